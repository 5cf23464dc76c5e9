"""The server's side on asyncio: one flush for each turn of the loop, nothing awaited while routing.

Everything here runs on the loop's thread, except where a docstring says otherwise.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from sig.constants import Limits
from sig.errors import Closed, ConnectionLost
from sig.log import logger
from sig.protocol.connection import Connection
from sig.protocol.server import ServerCore

T = TypeVar("T")

_READ: Final = 64 * 1024
_CHUNK: Final = 256 * 1024
# What asyncio keeps for a client that does not read; the rest waits in the outbox, where the oldest can be dropped.
_TRANSPORT_BYTES: Final = 256 * 1024


class LoopThread:
    """An event loop on a daemon thread of its own. Its methods are for other threads."""

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def stop(self, timeout: float) -> None:
        """End the loop and its thread."""
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            return  # ended before
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)


class ServerDriver:
    """Moves the bytes and the time of one `ServerCore`."""

    def __init__(self, core: ServerCore, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.core = core
        self.limits = limits
        self.loop = loop
        self._wires: dict[Connection, Wire] = {}
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event = asyncio.Event()
        self._log = _Sparing(10, 60.0)

    def attach(self, wire: Wire, address: str) -> Connection:
        """A link has come up."""
        connection = self.core.accept(time.monotonic(), address)
        self._wires[connection] = wire
        self._empty.clear()
        self.schedule()
        return connection

    def received(self, connection: Connection, data: bytes | memoryview) -> None:
        """Bytes from a link."""
        self.core.receive_data(connection, data, time.monotonic())
        self.schedule()

    def detached(self, connection: Connection) -> None:
        """A link is down."""
        if self._wires.pop(connection, None) is None:
            return
        if connection.error is not None:
            self._log.say(f"client {connection.address} was disconnected: {connection.error}")
        self.core.disconnected(connection, time.monotonic())
        if not self._wires:
            self._empty.set()
        self.schedule()

    def schedule(self) -> None:
        """Flush at the end of this turn, and be there at the next deadline."""
        if self.core.dirty and not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)
        deadline = self.core.next_deadline()
        if deadline is not None and self._timer is None:
            self._timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._on_time)

    def pump(self, connection: Connection) -> None:
        """Send what a connection has to say, while its link takes it; close when that was the last."""
        wire = self._wires.get(connection)
        if wire is None:
            return
        while not wire.full:
            data = connection.data_to_send(_CHUNK)
            if not data:
                if connection.closed:
                    wire.close()
                return
            wire.write(data)
        if connection.closed and connection.error is not None:
            wire.close()

    async def close(self, timeout: float) -> None:
        """Say goodbye to everybody; who does not leave in time is dropped."""
        self.core.close()
        self.schedule()
        if self._wires:
            try:
                await asyncio.wait_for(self._empty.wait(), timeout)
            except TimeoutError:
                for wire in list(self._wires.values()):
                    wire.abort()
                await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._flushing = False
        dirty, self.core.dirty = self.core.dirty, {}
        for connection in dirty:
            self.pump(connection)

    def _on_time(self) -> None:
        self._timer = None
        self.core.handle_timeout(time.monotonic())
        self.schedule()


class Wire:
    """What the server driver needs of one link."""

    full = False

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close once everything written has gone."""
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


class StreamWire(Wire, asyncio.BufferedProtocol):
    """One stream connection to the server."""

    def __init__(self, driver: ServerDriver, name: Callable[[asyncio.Transport], str]) -> None:
        self._driver = driver
        self._name = name
        self._buffer = memoryview(bytearray(_READ))
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_TRANSPORT_BYTES)
        self._connection = self._driver.attach(self, self._name(self._transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._connection is not None:
            self._driver.received(self._connection, self._buffer[:nbytes])

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stall, self._closing):
            if timer is not None:
                timer.cancel()
        if self._connection is not None:
            self._driver.detached(self._connection)
            self._connection = None

    def pause_writing(self) -> None:
        self.full = True
        self._stall = self._driver.loop.call_later(self._driver.limits.write_stall_s, self._stalled)

    def resume_writing(self) -> None:
        self.full: bool = False
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._connection is not None:
            self._driver.pump(self._connection)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is None or self._closing is not None:
            return
        transport = self._transport
        if transport.can_write_eof():
            # Closing at once would make the kernel discard what the peer has not read, if it still sends.
            transport.write_eof()
            self._closing = self._driver.loop.call_later(_LINGER_S, transport.abort)
        else:
            transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _stalled(self) -> None:
        if self._connection is not None:
            seconds = self._driver.limits.write_stall_s
            self._connection.cut(ConnectionLost(f"it has not read anything for {seconds:g} s"))
        self.abort()


# How long a peer that was told to go may take to close its end.
_LINGER_S: Final = 1.0


class LocalWire(Wire):
    """The link between a server and the router in its own process. Also the client's `Link`: see `drivers.threads`."""

    def __init__(self, driver: ServerDriver, address: str = "local") -> None:
        self._server = driver
        self._address = address
        self._client: Any = None  # a ClientDriver; this module does not know the other driver
        self._connection: Connection | None = None
        self._in_flight = 0  # guarded by the client driver's lock

    # The client's side: any thread, with the client driver's lock held where it sends

    @property
    def unsent(self) -> int:
        return self._in_flight if self._in_flight > _TRANSPORT_BYTES else 0

    def start(self, driver: Any) -> None:
        self._client = driver
        self._server.loop.call_soon_threadsafe(self._attach)

    def send(self, data: bytes) -> None:
        self._in_flight += len(data)
        try:
            self._server.loop.call_soon_threadsafe(self._carry, data)
        except RuntimeError:
            raise Closed("the server has been closed") from None

    def abandon(self) -> None:
        self._client = None

    # The server's side: the loop's thread

    def _attach(self) -> None:
        self._connection = self._server.attach(self, self._address)

    def _carry(self, data: bytes) -> None:
        if self._connection is not None:
            self._server.received(self._connection, data)
        self._client.locked(lambda: self._arrived(len(data)))
        self._client.writable()

    def _arrived(self, size: int) -> bool:
        self._in_flight -= size
        return True

    def write(self, data: bytes) -> None:
        self._client.received(data)

    def close(self, timeout: float = 0.0) -> None:
        """Both sides close with this."""
        try:
            self._server.loop.call_soon_threadsafe(self.abort)
        except RuntimeError:
            self._end()

    def abort(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._server.detached(connection)
            self._end()

    def _end(self) -> None:
        client, self._client = self._client, _Nobody()
        client.lost(ConnectionLost("the server has been closed"))


class _Nobody:
    """Stands for a client that has gone."""

    def received(self, data: bytes) -> None: ...

    def writable(self) -> None: ...

    def lost(self, error: Exception) -> None: ...

    def locked(self, function: Callable[[], bool]) -> bool:
        return function()


class _Sparing:
    """Logs at most so many lines in so many seconds, then says how many it kept back."""

    def __init__(self, lines: int, seconds: float) -> None:
        self._lines = lines
        self._seconds = seconds
        self._since = 0.0
        self._said = 0

    def say(self, text: str) -> None:
        now = time.monotonic()
        if now - self._since > self._seconds:
            if self._said > self._lines:
                logger.warning(f"{self._said - self._lines} more clients were disconnected for their mistakes")
            self._since, self._said = now, 0
        self._said += 1
        if self._said <= self._lines:
            logger.warning(text)
