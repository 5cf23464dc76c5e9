"""The table of limits as options of `sig serve`: `--max-connections 50`, or `--limit max_connections=50`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from sig.constants import Limits
from sig.errors import InvalidArgument

# Each has an option of its own name.
OPTIONS: Final = {f"--{field.name.replace('_', '-')}": field.name for field in fields(Limits)}


def spell_out(tokens: Iterable[str]) -> list[str]:
    """A command line with `--max-connections 50` and `--max-connections=50` written as the option `--limit`."""
    found: list[str] = []
    rest = iter(tokens)
    for token in rest:
        option, equals, number = token.partition("=")
        name = OPTIONS.get(option.replace("_", "-"))
        if name is None:
            found.append(token)
        else:
            found.append(f"--limit={name}={number if equals else next(rest, '')}")
    return found


def read(given: Iterable[str]) -> dict[str, float]:
    """The limits in texts like `max_connections=50`, ready for `sig.serve`, which knows the names."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            found[name.replace("-", "_")] = float(number) if "." in number else int(number)
        except ValueError:
            raise InvalidArgument(f"limit {text!r} is not NAME=NUMBER, as in max_connections=50") from None
    return found
