"""TCP: sockets from addresses."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final, TypeAlias

from sig.carriers.address import Address, is_loopback, parse
from sig.carriers.streams import StreamClient, StreamServer
from sig.constants import DEFAULT_PORT
from sig.errors import ConnectFailed, InvalidArgument, SigError
from sig.log import logger

# One address of a host, as the system's resolver gives it: family, and what `bind` and `connect` take.
_Place: TypeAlias = tuple[int, Any]

# How long bytes may be under way without an acknowledgement of the other machine.
_SILENCE_MS: Final = 30_000
# How often to look for a port that is free on all addresses of a host.
_ATTEMPTS: Final = 20


class TCPServer(StreamServer):
    """Listens on a TCP port for a `ServerRouter`.

    `sig.serve("tcp://127.0.0.1:3000")` makes one; the form of pysig 0.7 is
    `carrier = TCPServer(); router = ServerRouter(carrier); carrier.start(host, port)`.
    """

    scheme: ClassVar[str] = "tcp"

    def __init__(self, url: str | Address | None = None) -> None:
        super().__init__()
        self.address: Address | None = url if url is None or isinstance(url, Address) else parse(url)

    def bind(self, *, public: bool) -> str:
        address = self.address or Address("127.0.0.1", DEFAULT_PORT, self.scheme)
        places = _resolve(address, "serve on")
        if not public and not all(is_loopback(place[0]) for _, place in places):
            raise InvalidArgument(
                f"{address} can be reached from other machines, and anybody there may do everything: serve on "
                "127.0.0.1, say who may come (auth=..., --tokens; or clients' certificates, tls:// with ca), or say "
                "insecure_public=True (--insecure-public)"
            )
        try:
            self._sockets = _bind(places, address.port)
        except OSError as error:
            raise ConnectFailed(_why_not(address, error)) from None
        self.address = address._replace(port=self._sockets[0].getsockname()[1])
        return str(self.address)

    def _client_of(self, transport: asyncio.Transport) -> tuple[str, str | None]:
        peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _bound_the_silence(sock)
        return (str(Address(peer[0], peer[1], self.scheme)) if peer else "unknown"), None

    # The form of pysig 0.7

    def start(self, host: str, port: int) -> bool:
        """Start serving the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ServerRouter(carrier) first")
        before, self.address = self.address, Address(host, port, self.scheme)
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
            self.router.close()  # type: ignore[attr-defined]  # of the blocking face


class TCPClient(StreamClient):
    """Connects a `ClientRouter` to a server.

    `sig.connect("tcp://127.0.0.1:3000")` makes one; the form of pysig 0.7 is
    `carrier = TCPClient(); router = ClientRouter(carrier); carrier.connect(host, port)`.
    """

    scheme: ClassVar[str] = "tcp"

    def __init__(self, url: str | Address | None = None) -> None:
        self.address: Address | None = url if url is None or isinstance(url, Address) else parse(url)

    def __str__(self) -> str:
        return str(self._place())

    def _place(self) -> Address:
        return self.address or Address("127.0.0.1", DEFAULT_PORT, self.scheme)

    @property
    def exposed(self) -> bool:  # type: ignore[override]  # read only here
        return self.scheme in ("tcp", "ws") and not is_loopback(self._place().host)

    def _connect(self, timeout: float) -> socket.socket:
        address = self._place()
        deadline = time.monotonic() + timeout
        failure: OSError = TimeoutError()
        for place in _resolve(address, "connect to"):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return _connected(place, left)
            except OSError as error:
                failure = error
        raise ConnectFailed(_why_no_answer(address, failure, timeout)) from None

    async def _create(self, factory: Any, timeout: float) -> Any:
        address = self._place()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                places = await loop.run_in_executor(None, _resolve, address, "connect to")
                failure: OSError = TimeoutError()
                for _, place in places:
                    try:
                        transport, link = await loop.create_connection(factory, *place[:2])
                    except OSError as error:
                        failure = error
                        continue
                    if transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
                        transport.abort()  # connected to itself, see `_connected`
                        failure = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
                        continue
                    _bound_the_silence(transport.get_extra_info("socket"))
                    return link
        except TimeoutError as error:
            failure = error
        raise ConnectFailed(_why_no_answer(address, failure, timeout)) from None

    # The form of pysig 0.7

    def connect(self, host: str, port: int) -> bool:
        """Connect the router that was made with this carrier; false, with a log line, if that fails."""
        if self.router is None:
            raise InvalidArgument("this carrier has no router yet: make ClientRouter(carrier) first")
        before, self.address = self.address, Address(host, port, self.scheme)
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
            self.router.close()  # type: ignore[attr-defined]  # of the blocking face

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return getattr(self.router, "state", None) == "connected"

    def isConnected(self) -> bool:
        return self.connected


def _bound_the_silence(sock: Any) -> None:
    """Have the system give up a peer that acknowledges nothing, sooner than after its usual 15 minutes."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, option, _SILENCE_MS)
        except OSError:
            pass  # not TCP after all, or down already


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
    left = 1 if port else _ATTEMPTS
    while True:
        left -= 1
        try:
            return _bind_once(places, port)
        except OSError as error:
            if not left or error.errno != errno.EADDRINUSE:
                raise


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
        _bound_the_silence(sock)
    except BaseException:
        sock.close()
        raise
    return sock


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
