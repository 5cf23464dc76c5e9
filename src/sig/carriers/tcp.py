"""TCP: sockets from addresses."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from sig.carriers.address import Address, is_loopback, parse
from sig.carriers.base import Carrier
from sig.constants import DEFAULT_PORT, Limits
from sig.drivers.aio import ServerDriver, StreamWire
from sig.drivers.sockets import SocketLink
from sig.drivers.streams import StreamLink
from sig.errors import ConnectFailed, InvalidArgument, SigError
from sig.log import logger

# One address of a host, as the system's resolver gives it: family, and what `bind` and `connect` take.
_Place: TypeAlias = tuple[int, Any]

_BACKLOG: Final = 1024
# How often to look for a port that is free on all addresses of a host.
_ATTEMPTS: Final = 20


class TCPServer(Carrier):
    """Listens on a TCP port for a `ServerRouter`.

    `sig.serve("tcp://127.0.0.1:3000")` makes one; the form of pysig 0.7 is
    `carrier = TCPServer(); router = ServerRouter(carrier); carrier.start(host, port)`.
    """

    def __init__(self, url: str | None = None) -> None:
        self.address: Address | None = None if url is None else parse(url)
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    # The contract with the server router

    def bind(self, *, public: bool) -> str:
        """Take the port, on all addresses of the host; returns the URL as bound. Nobody is accepted yet.

        Raises `ConnectFailed` when it cannot be had, and `InvalidArgument` for an address that other machines can
        reach, unless `public`.
        """
        address = self.address or Address("127.0.0.1", DEFAULT_PORT)
        places = _resolve(address, "serve on")
        if not public and not all(is_loopback(place[0]) for _, place in places):
            raise InvalidArgument(
                f"{address} can be reached from other machines, and anybody there may do everything: "
                "serve on 127.0.0.1, or say insecure_public=True (--insecure-public)"
            )
        try:
            self._sockets = _bind(places, address.port)
        except OSError as error:
            raise ConnectFailed(_why_not(address, error)) from None
        self.address = Address(address.host, self._sockets[0].getsockname()[1])
        return str(self.address)

    async def serve(self, driver: ServerDriver) -> None:
        """Accept, on the driver's loop."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            server = await driver.loop.create_server(
                lambda: StreamWire(driver, _peer_of), sock=sock, backlog=_BACKLOG, start_serving=False
            )
            self._servers.append(server)  # before anything is awaited: whoever is cancelled there can close it
            await server.start_serving()

    async def close(self) -> None:
        """Accept nobody any more, on the driver's loop; links that exist stay."""
        self.unbind()
        for server in self._servers:
            server.close()
        self._servers.clear()

    def unbind(self) -> None:
        """Give up a port on which nobody was accepted yet."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    # The form of pysig 0.7

    def start(self, host: str, port: int) -> bool:
        """Start serving the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ServerRouter(carrier) first")
        before, self.address = self.address, Address(host, port)
        try:
            self.router.start()  # type: ignore[attr-defined]  # a ServerRouter, which is above this layer
        except SigError as error:
            logger.error(f"cannot serve on {Address(host, port)}: {error}")
            self.address = before
            return False
        return True

    def stop(self) -> None:
        """Close the router: every client is told."""
        if self.router is not None:
            self.router.close()  # type: ignore[attr-defined]  # of the blocking face


class TCPClient(Carrier):
    """Connects a `ClientRouter` to a server.

    `sig.connect("tcp://127.0.0.1:3000")` makes one; the form of pysig 0.7 is
    `carrier = TCPClient(); router = ClientRouter(carrier); carrier.connect(host, port)`.
    """

    on_connected: Callable[[], object] | None = None
    """Called when the link has come up, as `ClientRouter.on_connected`."""
    on_disconnected: Callable[[], object] | None = None
    """Called when the link has gone, as `ClientRouter.on_disconnected`."""
    auto_reconnect: bool = False
    """Of pysig 0.7. Without an effect yet: a lost link is final."""

    def __init__(self, url: str | None = None) -> None:
        self.address: Address | None = None if url is None else parse(url)

    # The contract with the client router

    def open(self, limits: Limits, timeout: float) -> SocketLink:
        """A connected link; all addresses of the host are tried. Raises `ConnectFailed`."""
        address = self.address or Address("127.0.0.1", DEFAULT_PORT)
        deadline = time.monotonic() + timeout
        failure: OSError = TimeoutError()
        for place in _resolve(address, "connect to"):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return SocketLink(_connected(place, left), limits.write_stall_s)
            except OSError as error:
                failure = error
        raise ConnectFailed(_why_no_answer(address, failure, timeout)) from None

    async def open_awaited(self, limits: Limits, timeout: float) -> StreamLink:
        """The same in asyncio, on the loop that runs here."""
        address = self.address or Address("127.0.0.1", DEFAULT_PORT)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                places = await loop.run_in_executor(None, _resolve, address, "connect to")
                failure: OSError = TimeoutError()
                for _, place in places:
                    try:
                        _, link = await loop.create_connection(lambda: StreamLink(limits.write_stall_s), *place[:2])
                        return link
                    except OSError as error:
                        failure = error
        except TimeoutError as error:
            failure = error
        raise ConnectFailed(_why_no_answer(address, failure, timeout)) from None

    # The form of pysig 0.7

    def connect(self, host: str, port: int) -> bool:
        """Connect the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ClientRouter(carrier) first")
        before, self.address = self.address, Address(host, port)
        try:
            self.router.open()  # type: ignore[attr-defined]  # a ClientRouter, which is above this layer
        except SigError as error:
            logger.error(f"cannot connect to {Address(host, port)}: {error}")
            self.address = before
            return False
        return True

    def disconnect(self) -> None:
        """Close the router's link. May be called at any time, from inside a listener too."""
        if self.router is not None:
            self.router.close()  # type: ignore[attr-defined]  # of the blocking face

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return getattr(self.router, "state", None) == "connected"

    def isConnected(self) -> bool:
        return self.connected


def _resolve(address: Address, purpose: str) -> list[_Place]:
    """The addresses of a host, in the order in which the system would have them used."""
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError):  # a name that nobody knows, or that cannot be one
        raise ConnectFailed(
            f"cannot {purpose} {address}: the name {address.host!r} is not known; check the spelling"
        ) from None
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _bind(places: Iterable[_Place], port: int) -> list[socket.socket]:
    """Sockets on one and the same port of every place; for port 0, on one that is free on all."""
    for last in [False] * (_ATTEMPTS - 1) + [True]:
        try:
            return _bind_once(places, port)
        except OSError as error:
            if last or port or error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError  # the last attempt returns or raises


def _bind_once(places: Iterable[_Place], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, place in places:
            try:
                sockets.append(_bound(family, (place[0], port, *place[2:])))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error  # `localhost` names ::1 also where there is no IPv6
                continue
            port = sockets[-1].getsockname()[1]
        if missing is not None and not sockets:
            raise missing
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(family: int, place: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at it, to set TCP_NODELAY
    try:
        if os.name == "posix":
            # A server that starts again must not wait for the last packets of the one before. Elsewhere this would
            # let two of them share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        sock.bind(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(place: _Place, timeout: float) -> socket.socket:
    family, target = place
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.settimeout(timeout)
        sock.connect(target)
        if sock.getsockname() == sock.getpeername():
            # Where nobody listens on a port of the system's own range, TCP may connect a socket to itself.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _peer_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(Address(peer[0], peer[1])) if peer else "unknown"


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot serve on {address}: the port is in use; stop what uses it, or choose another"
    if error.errno == errno.EACCES:
        return f"cannot serve on {address}: this user may not use that port; choose one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot serve on {address}: this machine does not have that address"
    return f"cannot serve on {address}: {error.strerror or error}"


def _why_no_answer(address: Address, error: OSError, timeout: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"nobody serves at {address}: start a server there (sig serve {address}), or check host and port"
    if isinstance(error, TimeoutError):
        return f"cannot connect to {address}: no answer within {timeout:g} s; check host, port and firewall"
    return f"cannot connect to {address}: {error.strerror or error}"
