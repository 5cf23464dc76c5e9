"""Addresses: what stands in a URL, and what is wrong with one that cannot be used."""

from __future__ import annotations

import ipaddress
import os
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sig.constants import DEFAULT_PORT
from sig.errors import InvalidArgument

SCHEMES: Final = ("tcp",)


class Address(NamedTuple):
    """A TCP address: `str()` of it is its URL."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def parse(url: str) -> Address:
    """The address in `tcp://host:port`; without a port, the default one. Raises `InvalidArgument`."""
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    if not isinstance(url, str):
        raise InvalidArgument(f"{url!r} is not a URL: write it like 'tcp://127.0.0.1:{DEFAULT_PORT}'")
    if "://" not in url:
        raise InvalidArgument(f"{url!r} has no scheme: write it like 'tcp://{url or '127.0.0.1'}' (known: {known})")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(
            f"{url!r} is not a URL ({error}): write it like 'tcp://127.0.0.1:{DEFAULT_PORT}'"
        ) from None
    if parts.scheme not in SCHEMES:
        raise InvalidArgument(f"{url!r} has the unknown scheme {parts.scheme!r}: known are {known}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise InvalidArgument(
            f"{url!r} has more than a host and a port: write it like 'tcp://127.0.0.1:{DEFAULT_PORT}'"
        )
    if not parts.hostname:
        raise InvalidArgument(f"{url!r} names no host: write it like 'tcp://127.0.0.1:{DEFAULT_PORT}'")
    return Address(parts.hostname, DEFAULT_PORT if port is None else port)


def default_url() -> str:
    """Where to connect when nobody says: `$SIG_URL`, else the default port of this machine."""
    return os.environ.get("SIG_URL") or str(Address("127.0.0.1", DEFAULT_PORT))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
