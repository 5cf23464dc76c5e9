"""Carriers over stream sockets: what TCP and unix sockets, with TLS and WebSocket upon them, have in common."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, cast

from sig.carriers.base import ClientCarrier, ServerCarrier
from sig.constants import Limits
from sig.drivers.aio import ServerDriver, StreamWire
from sig.drivers.layered import LayeredLink, LayeredWire
from sig.drivers.links import Link
from sig.drivers.sockets import SocketLink
from sig.drivers.streams import StreamLink
from sig.protocol.layers import Layer

# Links that the system keeps for us until we take them, and how many we take in one turn of the loop: few enough that
# the descriptors in reserve last until the first of them can be turned away.
_BACKLOG: Final = 1024
AT_ONCE: Final = 2


class StreamServer(ServerCarrier):
    """Accepts on listening sockets; a subclass makes them, and puts a layer on what they accept."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []  # bound, and nobody is accepted yet
        self._servers: list[asyncio.Server] = []

    def _layer(self, limits: Limits) -> Layer | None:
        """What a client's bytes go through."""
        return None

    def _client_of(self, transport: asyncio.Transport) -> tuple[str, str | None]:
        """Where a client is, and who it is known to be."""
        raise NotImplementedError

    async def _listen(self, factory: Any, sock: socket.socket) -> asyncio.Server:
        """A server upon a socket that does not accept yet."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(factory, sock=sock, backlog=AT_ONCE, start_serving=False)

    async def serve(self, driver: ServerDriver) -> None:
        def wire() -> StreamWire:
            layer = self._layer(driver.limits)
            return StreamWire(driver if layer is None else LayeredWire(driver, layer), self._client_of)

        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            server = await self._listen(wire, sock)
            self._servers.append(server)  # before anything is awaited: whoever is cancelled there can close it
            await server.start_serving()
            sock.listen(_BACKLOG)  # asyncio knows one number for both

    async def close(self) -> None:
        self.unbind()
        for server in self._servers:
            server.close()
        self._servers.clear()

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
