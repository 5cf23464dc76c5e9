"""TCP: sockets from addresses."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from sig.carriers.address import Address, is_loopback, parse
from sig.carriers.base import Carrier
from sig.constants import DEFAULT_PORT, Limits
from sig.drivers.aio import ServerDriver, StreamWire
from sig.drivers.threads import SocketLink
from sig.errors import ConnectFailed, InvalidArgument, SigError
from sig.log import logger


class TCPServer(Carrier):
    """Listens on a TCP port for a `ServerRouter`.

    `sig.serve("tcp://127.0.0.1:3000")` makes one; the form of pysig 0.7 is
    `carrier = TCPServer(); router = ServerRouter(carrier); carrier.start(host, port)`.
    """

    def __init__(self, url: str | None = None) -> None:
        self.address = None if url is None else parse(url)
        self._server: asyncio.Server | None = None

    # The contract with the server driver: on its loop

    async def open(self, driver: ServerDriver) -> str:
        """Bind and accept; returns the URL with the port that was bound."""
        address = self.address or Address("127.0.0.1", DEFAULT_PORT)
        try:
            self._server = await driver.loop.create_server(
                lambda: StreamWire(driver, _peer_of), address.host, address.port, reuse_address=True, backlog=1024
            )
        except OSError as error:
            raise ConnectFailed(_why_not(address, error)) from None
        bound = self._server.sockets[0].getsockname()
        self.address = Address(address.host, bound[1])
        return str(self.address)

    async def close(self) -> None:
        """Accept nobody any more; links that exist stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        return self.address is not None and not is_loopback(self.address.host)

    # The form of pysig 0.7

    def start(self, host: str, port: int) -> bool:
        """Start serving the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ServerRouter(carrier) first")
        before, self.address = self.address, Address(host, port)
        try:
            self.router.start()  # type: ignore[attr-defined]  # a ServerRouter, which is above this layer
        except SigError as error:
            logger.error(f"cannot serve on {self.address}: {error}")
            self.address = before
            return False
        return True

    def stop(self) -> None:
        """Close the router: every client is told."""
        if self.router is not None:
            self.router.close()


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
        self.address = None if url is None else parse(url)

    # The contract with the blocking driver

    def open(self, limits: Limits, timeout: float) -> SocketLink:
        """A connected link; all addresses of the host are tried. Raises `ConnectFailed`."""
        address = self.address or Address("127.0.0.1", DEFAULT_PORT)
        try:
            sock = socket.create_connection((address.host, address.port), timeout)
        except OSError as error:
            raise ConnectFailed(_why_no_answer(address, error, timeout)) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SocketLink(sock, limits.write_stall_s)

    # The form of pysig 0.7

    def connect(self, host: str, port: int) -> bool:
        """Connect the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ClientRouter(carrier) first")
        before, self.address = self.address, Address(host, port)
        try:
            self.router.open()  # type: ignore[attr-defined]  # a ClientRouter, which is above this layer
        except SigError as error:
            logger.error(f"cannot connect to {self.address}: {error}")
            self.address = before
            return False
        return True

    def disconnect(self) -> None:
        """Close the router's link. May be called at any time, from inside a listener too."""
        if self.router is not None:
            self.router.close()

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return getattr(self.router, "state", None) == "connected"

    def isConnected(self) -> bool:
        return self.connected


def _peer_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(Address(peer[0], peer[1])) if peer else "unknown"


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot serve on {address}: the port is in use; stop what uses it, or choose another"
    if error.errno == errno.EACCES:
        return f"cannot serve on {address}: this user may not use that port; choose one above 1023"
    if isinstance(error, socket.gaierror):
        return f"cannot serve on {address}: the name {address.host!r} is not known; check the spelling"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot serve on {address}: this machine does not have that address"
    return f"cannot serve on {address}: {error.strerror or error}"


def _why_no_answer(address: Address, error: OSError, timeout: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"nobody serves at {address}: start a server there (sig serve {address}), or check host and port"
    if isinstance(error, socket.gaierror):
        return f"cannot connect to {address}: the name {address.host!r} is not known; check the spelling"
    if isinstance(error, TimeoutError):
        return f"cannot connect to {address}: no answer within {timeout:g} s; check host, port and firewall"
    return f"cannot connect to {address}: {error.strerror or error}"
