"""Addresses: what stands in a URL, and what is wrong with one that cannot be used."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sig.constants import DEFAULT_PORT
from sig.errors import InvalidArgument

_EXAMPLE: Final = f"tcp://127.0.0.1:{DEFAULT_PORT}"


class Address(NamedTuple):
    """A place in a network: `str()` of it is its URL."""

    host: str
    port: int
    scheme: str = "tcp"
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def name(self) -> str:
        """Host and port alone."""
        return str(Address(self.host, self.port))[len("tcp://") :]


def scheme_of(url: object) -> str:
    """What stands before the colon. Raises `InvalidArgument` where there is none."""
    if not isinstance(url, str):
        several = ", and several as serve(one, another)" if isinstance(url, list | tuple) else ""
        raise InvalidArgument(f"{url!r} is not a URL: write it like {_EXAMPLE!r}{several}")
    scheme, colon, rest = url.partition(":")
    if rest.startswith("/") and not rest.startswith("//"):
        raise InvalidArgument(f"{url!r} lacks a slash: write it like '{scheme}:/{rest}'")
    if not colon or (rest and not rest.startswith("//")):
        raise InvalidArgument(f"{url!r} has no scheme: write it like 'tcp://{url or '127.0.0.1'}'")
    return scheme.lower()


def split(url: str, known: Iterable[str] = (), example: str = _EXAMPLE) -> tuple[SplitResult, dict[str, str]]:
    """A URL in its parts, and its options: what stands behind `?`. Raises `InvalidArgument`.

    Args:
        known: names of options that it may have.
        example: what a right one looks like.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is none
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidArgument(f"{url!r} is not a URL ({error}): write it like {example!r}") from None
    names = sorted(known)
    for name, _ in options:
        if name not in names:
            has = f"the options of {parts.scheme}:// are {', '.join(names)}" if names else "it has none"
            raise InvalidArgument(f"{url!r} has the unknown option {name!r}: {has}")
    if parts.fragment or parts.username is not None:
        raise InvalidArgument(f"{url!r} has a part that means nothing here: write it like {example!r}")
    return parts, dict(options)


def parse(url: str, *, path: bool = False, known: Iterable[str] = ()) -> Address:
    """The place in `scheme://host:port`; without a port, the default one. Raises `InvalidArgument`.

    Args:
        path: whether there may be one behind the port.
        known: options that it may have; `split` reads them.
    """
    scheme = scheme_of(url)
    example = _EXAMPLE.replace("tcp", scheme, 1)
    parts, _ = split(url, known, example)
    if parts.path not in ("", "/") and not path:
        raise InvalidArgument(f"{url!r} has more than a host and a port: write it like {example!r}")
    if not parts.hostname:
        raise InvalidArgument(f"{url!r} names no host: write it like {example!r}")
    port = DEFAULT_PORT if parts.port is None else parts.port
    return Address(parts.hostname, port, scheme, parts.path if path else "")


def parse_path(url: str, example: str, known: Iterable[str] = ()) -> str:
    """The path of a file in `scheme:///path`. Raises `InvalidArgument`."""
    parts, _ = split(url, known, example)
    if parts.netloc or not parts.path.strip("/"):
        raise InvalidArgument(f"{url!r} names no path: write it like {example!r}, with three slashes")
    return unquote(parts.path)


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
