"""The server's side on asyncio: one flush for each turn of the loop, nothing awaited while routing.

Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from sig.constants import Limits
from sig.drivers.descriptors import is_spare
from sig.drivers.stall import Stall
from sig.errors import ConnectionLost
from sig.log import logger
from sig.protocol.connection import Connection
from sig.protocol.server import ServerCore

_READ: Final = 256 * 1024
# What is written at once, and asyncio keeps at most for a client that does not read: it takes all that it is given. The
# rest waits in the outbox, where many have it together and the oldest can be dropped.
_CHUNK: Final = 64 * 1024
# With nothing read for so long, nothing else is about to be: a flush for each turn would only add the turn's time.
_AGE_S: Final = 50e-6
# How long a peer that was told to go may take to close its end.
_LINGER_S: Final = 1.0
# How often to look whether a request is still under way, when the server is to end.
_LOOK_S: Final = 0.01


class Wire:
    """What the server driver needs of one link."""

    ours: bool = False
    """Whether it leads to the router of this process, not to a client."""
    inside: bool = False
    """Whether the other end is in this process: it cannot be gone without a word."""

    @property
    def descriptor(self) -> int:
        """The number that the system gave it; -1 where it has none of its own."""
        return -1

    @property
    def full(self) -> bool:
        """Whether nothing should be written now; `WireUser.pump` is called when that is over."""
        return False

    @property
    def unwritten(self) -> int:
        """Bytes that were written and are still here."""
        return 0

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close once everything written has gone. May be called again."""
        raise NotImplementedError

    def move(self, connection: Connection | None) -> None:
        """What comes from here on is another connection's; `None`: nobody's, and the link ends at once."""
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


class WireUser(Protocol):
    """What a wire calls: the server driver, or a layer that stands before it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    buffer: memoryview
    """To read into: what is in it is taken before the next wire reads."""

    def attach(self, wire: Wire, address: str, identity: str | None = None) -> Connection:
        """A link has come up; `identity` is who the other end is known to be."""
        ...

    def received(self, connection: Connection, data: bytes | memoryview) -> None:
        """Bytes from a link."""
        ...

    def pump(self, connection: Connection) -> None:
        """The link takes more now."""
        ...

    def detached(self, connection: Connection) -> None:
        """A link is down."""
        ...


class ServerDriver:
    """Moves the bytes and the time of one `ServerCore`. Implements `WireUser`."""

    def __init__(self, core: ServerCore, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.core = core
        core.sessions.moved = self._moved
        self.limits: Limits = limits
        self.loop: asyncio.AbstractEventLoop = loop
        self._wires: dict[Connection, Wire] = {}
        self._clients = 0
        self._deserted: asyncio.Event | None = None  # set when the last client has gone; made by `dismiss`
        self._stopped = False
        self._flushing = False
        self._flushed = 0.0  # or when something was read that will be flushed
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it rings
        self._log = _Sparing(10, 60.0)
        # One for all links: what is read is taken out before the next link is read.
        self.buffer: memoryview = memoryview(bytearray(_READ))

    def attach(self, wire: Wire, address: str, identity: str | None = None) -> Connection:
        """A link has come up; `identity` is who the other end is known to be."""
        room = is_spare(wire.descriptor, self.limits.reserve_descriptors)
        connection = self.core.accept(time.monotonic(), address, vanishes=not wire.inside, room=room)
        connection.known_as = identity
        connection.trusted = wire.ours
        self._wires[connection] = wire
        self._clients += not wire.ours
        self.schedule()
        if self._stopped:  # it was on its way in when the doors were shut
            wire.abort()
        return connection

    def received(self, connection: Connection, data: bytes | memoryview) -> None:
        """Bytes from a link. What comes of the first after a pause leaves at once, else at the end of the turn."""
        now = time.monotonic()
        first = now - self._flushed > _AGE_S and not self._flushing
        lone = self.core.receive_lone(connection, data, now) if first else None
        if lone is not None:
            self._pass_by(*lone)
            return
        self.core.receive_data(connection, data, now)
        if first:
            self._flush()
        else:
            self._flushed = now
        self.schedule()

    def _pass_by(self, frame: bytes, receivers: Sequence[Connection]) -> None:
        """Send what is to be sent at once; what that makes due, if anything, later."""
        for receiver in receivers:
            wire = self._wires.get(receiver)
            if wire is None:
                continue  # it has gone since: what is given to one in this process may do anything
            wire.write(frame)
            if wire.full:
                self.core.held_up(receiver, wire.unwritten)
        self._flushed = time.monotonic()
        if self.core.dirty:
            self.schedule()

    def detached(self, connection: Connection) -> None:
        """A link is down."""
        wire = self._wires.pop(connection, None)
        if wire is None:
            return
        if connection.error is not None:
            self._log.say(f"client {connection.address} was disconnected: {connection.error}")
        self.core.disconnected(connection, time.monotonic())
        self._clients -= not wire.ours
        if not self._clients and self._deserted is not None:
            self._deserted.set()
        self.schedule()

    def schedule(self) -> None:
        """Flush at the end of this turn, and be there at the next deadline."""
        if self.core.dirty and not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)
        deadline = self.core.next_deadline()
        if deadline is not None and (self._timer is None or deadline < self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._due = deadline
            self._timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._on_time)

    def pump(self, connection: Connection) -> None:
        """Send what a connection has to say, while its link takes it; close when that was the last."""
        wire = self._wires.get(connection)
        if wire is None:
            if connection.parted:
                self.core.held_up(connection, 0)
            return
        while not wire.full:
            data = connection.data_to_send(_CHUNK)
            if data:
                wire.write(data)
            if len(data) < _CHUNK:  # that was all
                break
        full = wire.full
        if full or connection.beside:
            self.core.held_up(connection, wire.unwritten)
        if connection.closed and (not full or connection.error is not None):
            wire.close()

    async def drain(self, timeout: float) -> bool:
        """Let nobody in and have nothing asked any more; true once all that was asked has been answered."""
        self.core.drain()
        deadline = time.monotonic() + timeout
        while self.core.requests.asked:  # to tell of the last would cost something with each
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    async def dismiss(self, timeout: float) -> None:
        """Say goodbye to every client, but not to ourselves; who does not leave in time is dropped."""
        self._deserted = asyncio.Event()
        self.core.close(spare=next((c for c, wire in self._wires.items() if wire.ours), None))
        self.schedule()
        if self._clients:
            try:
                async with asyncio.timeout(timeout):
                    await self._deserted.wait()
            except TimeoutError:
                for wire in list(self._wires.values()):
                    if not wire.ours:
                        wire.abort()
                await asyncio.sleep(0)  # their transports tell at the next turn

    def stop(self, *, loop_ends: bool = False) -> None:
        """Nothing will be due any more; who is still there is dropped, and who still comes where the loop ends too."""
        self._stopped = loop_ends
        if self._timer is not None:
            self._timer.cancel()
        for wire in list(self._wires.values()):
            if not wire.ours:
                wire.abort()

    def _moved(self, link: Connection, to: Connection | None) -> None:
        wire = self._wires.pop(link, None)
        if wire is None:
            return  # it is down already
        if to is not None:
            self._wires[to] = wire
        else:
            self._clients -= not wire.ours
            if not self._clients and self._deserted is not None:
                self._deserted.set()
        wire.move(to)

    def _flush(self) -> None:
        self._flushing = False
        self._flushed = time.monotonic()
        dirty, self.core.dirty = self.core.dirty, {}
        for connection in dirty:
            self.pump(connection)

    def _on_time(self) -> None:
        self._timer = None
        self.core.handle_timeout(time.monotonic())
        self.schedule()


class StreamWire(Wire, asyncio.BufferedProtocol):
    """One stream connection to the server.

    Args:
        name: says of a transport where the client is, and who it is known to be.
    """

    def __init__(self, driver: WireUser, name: Callable[[asyncio.Transport], tuple[str, str | None]]) -> None:
        self._driver = driver
        self._name = name
        self._transport: asyncio.Transport
        self._connection: Connection | None = None
        self._full = False
        self._stall = Stall(driver.loop, driver.limits.write_stall_s, lambda: self.unwritten, self._stalled)
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._connection = self._driver.attach(self, *self._name(self._transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._driver.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._connection is not None:
            self._driver.received(self._connection, self._driver.buffer[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.stop()
        if self._linger is not None:
            self._linger.cancel()
        if self._connection is not None:
            self._driver.detached(self._connection)
            self._connection = None

    @property
    def descriptor(self) -> int:
        sock = self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    @property
    def full(self) -> bool:
        return self._full

    @property
    def unwritten(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_writing(self) -> None:
        self._full = True
        self._stall.start()

    def resume_writing(self) -> None:
        self._full = False
        self._stall.stop()
        if self._connection is not None:
            self._driver.pump(self._connection)

    def write(self, data: bytes) -> None:
        if self._linger is None:  # else the last has been said
            self._transport.write(data)

    def close(self) -> None:
        if self._linger is not None:
            return
        # Closing at once would make the kernel discard what the peer has not read, if it still sends. One who has
        # much to read yet gets more time.
        late = self.unwritten > 0
        seconds = self._driver.limits.close_timeout_s if late else _LINGER_S
        if not is_spare(self.descriptor, self._driver.limits.reserve_descriptors // 2):
            seconds = 0.0  # those who were turned away must not take the last descriptors
        self._linger = self._driver.loop.call_later(seconds, self._transport.abort)
        try:
            self._transport.write_eof()
        except OSError:  # the peer was faster
            self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()

    def move(self, connection: Connection | None) -> None:
        self._connection = connection
        if connection is None:
            self.abort()

    def _stalled(self) -> None:
        if self._connection is not None:
            seconds = self._driver.limits.write_stall_s
            self._connection.cut(ConnectionLost(f"it has not read anything for {seconds:g} s"))
        self.abort()


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
