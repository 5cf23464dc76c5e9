"""Which carriers the scheme of a URL stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from sig.carriers.address import scheme_of
from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.errors import InvalidArgument


class Scheme(NamedTuple):
    """What makes the carriers of a scheme: classes, or `module:Class` of what is imported when it is wanted."""

    server: Callable[..., ServerCarrier] | str
    client: Callable[..., ClientCarrier] | str
    extra: str = ""
    """What to install, as in `pip install 'pysig[extra]'`."""


_SCHEMES: Final[dict[str, Scheme]] = {
    "local": Scheme("sig.carriers.local:LocalServer", "sig.carriers.local:LocalClient"),
    "tcp": Scheme("sig.carriers.tcp:TCPServer", "sig.carriers.tcp:TCPClient"),
    "tls": Scheme("sig.carriers.tls:TLSServer", "sig.carriers.tls:TLSClient"),
    "unix": Scheme("sig.carriers.unix:UnixServer", "sig.carriers.unix:UnixClient"),
    "ws": Scheme("sig.carriers.websocket:WSServer", "sig.carriers.websocket:WSClient", "websocket"),
    "wss": Scheme("sig.carriers.websocket:WSSServer", "sig.carriers.websocket:WSSClient", "websocket"),
    "serial": Scheme("sig.carriers.serial:SerialServer", "sig.carriers.serial:SerialClient", "serial"),
    "stdio": Scheme("sig.carriers.stdio:StdioServer", "sig.carriers.stdio:StdioClient"),
}


def register(
    scheme: str, *, server: Callable[..., ServerCarrier] | str, client: Callable[..., ClientCarrier] | str
) -> None:
    """Let URLs of a scheme stand for carriers of one's own: both are called with the URL.

    Raises `InvalidArgument` for one that is taken, or is no name.
    """
    if not scheme.isalpha() or not scheme.islower():
        raise InvalidArgument(f"the scheme {scheme!r} is no word of small letters: choose one")
    if scheme in _SCHEMES:
        raise InvalidArgument(f"the scheme {scheme!r} is taken: choose another")
    _SCHEMES[scheme] = Scheme(server, client)


def server_carrier(url: object, options: Mapping[str, Any]) -> ServerCarrier:
    """The carrier to serve at a URL with. Raises `InvalidArgument`."""
    scheme = _scheme(url)
    return _make(scheme.server, scheme.extra, url, options)  # type: ignore[no-any-return]


def client_carrier(url: object, options: Mapping[str, Any]) -> ClientCarrier:
    """The carrier to connect to a URL with. Raises `InvalidArgument`."""
    scheme = _scheme(url)
    return _make(scheme.client, scheme.extra, url, options)  # type: ignore[no-any-return]


def _scheme(url: object) -> Scheme:
    name = scheme_of(url)
    if name not in _SCHEMES:
        known = ", ".join(f"{each}://" for each in _SCHEMES)
        raise InvalidArgument(f"{url!r} has the unknown scheme {name!r}: known are {known}")
    return _SCHEMES[name]


def _make(what: Callable[..., Any] | str, extra: str, url: object, options: Mapping[str, Any]) -> Any:
    make: Any = what
    if isinstance(what, str):
        module, _, name = what.partition(":")
        try:
            make = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise InvalidArgument(f"{url!r} needs the package {error.name!r}: pip install 'pysig[{extra}]'") from None
    return make(url, **{name: value for name, value in options.items() if name in getattr(make, "options", ())})
