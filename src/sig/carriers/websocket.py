"""WebSocket over TCP or TLS: `ws://host:port/path` and `wss://`, for browsers, and through what only lets HTTP pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sig.carriers.address import parse
from sig.carriers.tcp import TCPClient, TCPServer
from sig.carriers.tls import TLSClient, TLSServer
from sig.constants import Limits
from sig.protocol.layers import Layer, Stacked
from sig.protocol.subprotocol import check_hosts, check_origins
from sig.protocol.websocket import ClientWebSocket, ServerWebSocket


class WSServer(TCPServer):
    """Listens on a TCP port, and speaks WebSocket there, on one path.

    Args:
        origins: the web pages that may connect, such as `https://lab.example`; none by default. Programs that are no
            browsers need not be listed.
        hosts: the names by which clients may ask for this server, without ports, such as `lab.example`; any, if there
            are none. Keeps out pages that come by a name which somebody else has given to this machine.
    """

    scheme = "ws"
    options: ClassVar[tuple[str, ...]] = ("origins", "hosts")

    def __init__(self, url: str, *, origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        super().__init__(parse(url, path=True))
        check_origins(origins)
        check_hosts(hosts)
        self._origins, self._hosts = origins, hosts

    def _layer(self, limits: Limits) -> Layer:
        return ServerWebSocket(limits, _path(self.address), self._origins, self._hosts)


class WSClient(TCPClient):
    """Connects to a server that speaks WebSocket, ours or one in a web application."""

    scheme = "ws"

    def __init__(self, url: str) -> None:
        super().__init__(parse(url, path=True))

    def _layer(self, limits: Limits) -> Layer:
        return ClientWebSocket(str(self._place()), limits)


class WSSServer(TLSServer):
    """`WSServer` over TLS; arguments of both."""

    scheme = "wss"
    options: ClassVar[tuple[str, ...]] = ("origins", "hosts", "tls")

    def __init__(self, url: str, *, origins: Sequence[str] = (), hosts: Sequence[str] = (), **tls: object) -> None:
        super().__init__(url, **tls)  # type: ignore[arg-type]  # what TLSServer takes
        check_origins(origins)
        check_hosts(hosts)
        self._origins, self._hosts = origins, hosts

    def _layer(self, limits: Limits) -> Layer:
        return Stacked(super()._layer(limits), ServerWebSocket(limits, _path(self.address), self._origins, self._hosts))


class WSSClient(TLSClient):
    """`WSClient` over TLS; arguments of both."""

    scheme = "wss"

    def _layer(self, limits: Limits) -> Layer:
        return Stacked(super()._layer(limits), ClientWebSocket(str(self._place()), limits))


def _path(address: object) -> str:
    return getattr(address, "path", "") or "/"
