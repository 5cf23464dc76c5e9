"""What users set by name, sorted: limits for the router, and options for whoever carries its links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.constants import Limits
from sig.errors import InvalidArgument

# Options of carriers, as they are given here and on a command line, and the addresses that they belong to.
_GOES_WITH: Final = {
    "tls": ("tls=", "tls:// or wss://"),
    "origins": ("origins= (--origin)", "ws:// or wss://"),
    "hosts": ("hosts= (--host)", "ws:// or wss://"),
    "command": ("command=", "stdio:"),
    "cwd": ("cwd=", "stdio:"),
    "env": ("env=", "stdio:"),
}


def sorted_out(settings: dict[str, Any]) -> tuple[Limits, dict[str, Any]]:
    """What are limits, and what carriers shall take."""
    known = {field.name for field in fields(Limits)}
    limits = Limits.of(**{name: value for name, value in settings.items() if name in known})
    return limits, {name: value for name, value in settings.items() if name not in known and value is not None}


def check_taken(options: dict[str, Any], carriers: Iterable[ServerCarrier | ClientCarrier]) -> None:
    """Raise `InvalidArgument` for an option that none of the carriers takes."""
    for name, value in options.items():
        takers = [carrier for carrier in carriers if name in carrier.options]
        if takers:
            continue
        if name in _GOES_WITH:
            given, address = _GOES_WITH[name]
            raise InvalidArgument(f"{given} needs an address that goes with it: write {address}")
        Limits.of(**{name: value})  # which says what there is
