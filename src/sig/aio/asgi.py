"""A router in a web application: clients come by WebSockets that the application's server has opened.

Everything runs in the application's loop. Here is no HTTP and no framing of WebSocket: the server speaks them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sig.drivers.aio import ServerDriver, Wire
from sig.errors import ConnectionLost, RemoteProtocolError, SigError
from sig.log import logger
from sig.protocol.connection import Connection
from sig.protocol.frames import PREFACE
from sig.protocol.subprotocol import SUBPROTOCOL, check_hosts, check_origins, messages_of, misdirected

if TYPE_CHECKING:
    from .network import ServerRouter

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# Close codes, as WebSocket has them.
_NORMAL: Final = 1000
_BROKEN_RULES: Final = 1002
_NOT_BINARY: Final = 1003

_MIB: Final = 1024 * 1024
_ABOUT: Final = f"This is a router of sig (pysig). It speaks WebSocket, with the subprotocol {SUBPROTOCOL}."


class Application:
    """An ASGI application: give it to a server as it is, or mount it in another. Made by `ServerRouter.asgi`.

    The router is started when the application starts, and closed when it ends, if the server or the framework says so
    (`lifespan`); else it is started when the first client comes, and closing it is up to you.

    Args:
        router: whose clients will come.
        origins: of the web pages that may connect.
        hosts: the names by which clients may ask for the application, without ports; any, if there are none.

    Raises:
        InvalidArgument: something in `origins` is no origin, or in `hosts` no host.
    """

    def __init__(self, router: ServerRouter, origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        check_origins(origins)
        check_hosts(hosts)
        self._router = router
        self._origins = [origin.encode() for origin in origins]
        self._hosts = hosts
        self._starting = asyncio.Lock()  # several clients may be the first

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "websocket":
            await self._client(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        else:
            await _answer(send, "http.response", 426, "the request does not ask for a WebSocket")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._driver()
        except SigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._router.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _driver(self) -> ServerDriver:
        """The driver of the router, which runs then. Raises as `ServerRouter.start`."""
        async with self._starting:
            if not self._router._serves:
                await self._router.start()
            driver = self._router._server
            assert driver is not None  # it has been started
            return driver

    async def _client(self, scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        refusal = self._refusal(scope)
        if refusal is None:
            try:
                driver = await self._driver()
            except SigError as error:
                refusal = 503, str(error)
            else:
                await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
                await ASGIWire(driver, send, _address(scope)).run(receive)
                return
        if "websocket.http.response" in (scope.get("extensions") or ()):
            await _answer(send, "websocket.http.response", *refusal)
        else:
            await send({"type": "websocket.close"})  # which becomes 403

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """Why this client may not come in."""
        asked = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        strange = misdirected(asked, self._hosts)
        if strange is not None:
            return 421, strange
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if any(origin not in self._origins for origin in origins):
            told = origins[0].decode("latin-1")[:200]
            return 403, f"pages of {told!r} may not connect: `origins` does not list them"
        if SUBPROTOCOL not in (scope.get("subprotocols") or ()):
            return 400, "the subprotocol is missing"
        return None


class ASGIWire(Wire):
    """One WebSocket of an application's server. Everything on the loop."""

    def __init__(self, driver: ServerDriver, send: Send, address: str) -> None:
        self._driver = driver
        self._send = send
        self._queue: deque[bytes] = deque()
        self._unwritten = 0
        self._begun = False
        self._closing = False
        self._code = _NORMAL
        self._work = asyncio.Event()  # there is something to send, or nothing more will come
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: Connection | None = driver.attach(self, address)

    async def run(self, receive: Receive) -> None:
        """Carry bytes both ways until the end."""
        self._take(PREFACE)  # which no WebSocket has, and our peers begin with
        self._tasks = [asyncio.create_task(self._read(receive)), asyncio.create_task(self._write())]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            self._detach()
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled():
                task.result()  # of the server's own doing, if it raises

    # Wire

    @property
    def full(self) -> bool:
        return bool(self._queue)

    @property
    def unwritten(self) -> int:
        return self._unwritten

    def write(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            data = data.removeprefix(PREFACE)
        if data and not self._closing:
            self._queue.append(data)
            self._unwritten += len(data)
            self._work.set()

    def close(self) -> None:
        self._closing = True
        self._work.set()

    def abort(self) -> None:
        self._driver.loop.call_soon(self._detach)  # the tasks would take longer
        for task in self._tasks:
            task.cancel()

    def move(self, connection: Connection | None) -> None:
        self._connection = connection
        if connection is None:
            self.abort()

    # Within

    def _take(self, data: bytes) -> None:
        if self._connection is not None:
            self._driver.received(self._connection, data)

    def _pump(self) -> None:
        if self._connection is not None:
            self._driver.pump(self._connection)

    def _detach(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._driver.detached(connection)

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return  # it is down
            data = message.get("bytes")
            if data is not None:
                self._take(data)
                continue
            self._code = _NOT_BINARY
            if self._connection is not None:
                self._connection.fail(RemoteProtocolError("the peer sent a text message, where all are binary"))
            self._pump()

    async def _write(self) -> None:
        try:
            while not self._closing or self._queue:
                if not self._queue:
                    self._work.clear()
                    self._pump()  # more may have come meanwhile
                    await self._work.wait()
                    continue
                for message in messages_of(self._queue[0]):
                    await self._bring(bytes(message))
                self._unwritten -= len(self._queue.popleft())
            error = None if self._connection is None else self._connection.error
            broken = isinstance(error, RemoteProtocolError) and self._code == _NORMAL
            await self._send({"type": "websocket.close", "code": _BROKEN_RULES if broken else self._code})
        except SigError as error:
            if self._connection is not None:
                self._connection.cut(error)
        except OSError:
            pass  # it is down, which the reader is told too
        except Exception as error:  # of the server, each of which has its own
            logger.debug(f"a WebSocket could not be written: {type(error).__name__}: {error}")

    async def _bring(self, message: bytes) -> None:
        """Send a message. Raises `ConnectionLost` if that takes too long: nobody tells how much of it has gone."""
        seconds = self._driver.limits.write_stall_s * (1 + len(message) // _MIB)
        try:
            async with asyncio.timeout(seconds):
                await self._send({"type": "websocket.send", "bytes": message})
        except TimeoutError:
            raise ConnectionLost(f"it has not read anything for {seconds:g} s") from None


async def _answer(send: Send, kind: str, status: int, reason: str) -> None:
    """Answer by HTTP."""
    body = f"{_ABOUT}\n{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 426:
        headers.append((b"upgrade", b"websocket"))
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _address(scope: Message) -> str:
    client = scope.get("client")
    scheme = scope.get("scheme") or "ws"
    return f"{scheme}://{client[0]}:{client[1]}" if client else "unknown"
