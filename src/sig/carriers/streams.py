"""Carriers over stream sockets: what TCP and unix sockets, with TLS and WebSocket upon them, have in common."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.constants import Limits
from sig.drivers.acceptor import Acceptor
from sig.drivers.aio import ServerDriver, StreamWire
from sig.drivers.layered import LayeredLink, LayeredWire
from sig.drivers.links import Link
from sig.drivers.sockets import SocketLink
from sig.drivers.streams import StreamLink
from sig.protocol.layers import Layer


class StreamServer(ServerCarrier):
    """Accepts on listening sockets; a subclass makes them, and puts a layer on what they accept."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []  # bound, and nobody is accepted yet
        self._acceptors: list[Acceptor] = []

    def _layer(self, limits: Limits) -> Layer | None:
        """What a client's bytes go through."""
        return None

    def _client_of(self, transport: asyncio.Transport) -> tuple[str, str | None]:
        """Where a client is, and who it is known to be."""
        raise NotImplementedError

    async def serve(self, driver: ServerDriver) -> None:
        def wire() -> StreamWire:
            layer = self._layer(driver.limits)
            return StreamWire(driver if layer is None else LayeredWire(driver, layer), self._client_of)

        loop = asyncio.get_running_loop()
        sockets, self._sockets = self._sockets, []
        self._acceptors += [Acceptor(loop, sock, wire) for sock in sockets]

    async def close(self) -> None:
        self.unbind()
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    def unbind(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


class StreamClient(ClientCarrier):
    """Connects a stream socket; a subclass does that, and puts a layer on it."""

    def _layer(self, limits: Limits) -> Layer | None:
        """What the link's bytes go through."""
        return None

    def _connect(self, timeout: float) -> socket.socket:
        """A connected socket. Raises `ConnectFailed`."""
        raise NotImplementedError

    async def _create(self, factory: Any, timeout: float) -> Any:
        """The protocol, connected, of a transport of the loop that runs here. Raises `ConnectFailed`."""
        raise NotImplementedError

    def link(self, limits: Limits, timeout: float) -> Link:
        layer = self._layer(limits)
        link = SocketLink(self._connect(timeout), limits.write_stall_s)
        return link if layer is None else LayeredLink(link, layer)

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        layer = self._layer(limits)
        link = cast(StreamLink, await self._create(lambda: StreamLink(limits.write_stall_s), timeout))
        return link if layer is None else LayeredLink(link, layer)
