"""Links and wires over a medium that blocks: two threads of ours read and write it, for routers of either face.

A medium is what somebody else wrote: a pipe, a serial line, a queue. It need not know loops, locks or time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from sig.drivers.aio import Wire, WireUser
from sig.drivers.links import LINGER_S, LinkUser, ReadsByItself
from sig.errors import ConnectionLost, SigError
from sig.log import logger
from sig.protocol.connection import Connection

# How soon a thread that reads notices that it is to end, and that time has passed for a layer.
_TICK_S: Final = 0.05
# How long a write that is under way may keep the medium from being closed.
_LAST_WRITE_S: Final = 0.5

# What has a function called where the user lives: `call(function, *arguments)` returns when it has been.
_Call = Callable[..., None]


class Medium(Protocol):
    """Carries bytes both ways, in order. Each method is called by one thread at a time; all may raise `OSError`."""

    def read(self, timeout: float) -> bytes | None:
        """What has come; `b""` when nothing more ever will, `None` when nothing did within `timeout` seconds."""
        ...

    def write(self, data: bytes) -> None:
        """Bring this to the other end, in one piece or in several. May block for as long as that takes."""
        ...

    def close(self) -> None:
        """Let go of it; called once. Nobody reads then, and nobody writes but who has been blocked for too long."""
        ...


class _Pumps:
    """The two threads of one medium.

    Args:
        call: brings the calls below to where they belong.
        received: called with bytes.
        writable: called when all that was sent has gone.
        lost: called once, at the end.
        stall_s: how long a write may take.
        ticks: whether `received` is called with no bytes now and then, for a layer that knows time.
    """

    def __init__(
        self,
        medium: Medium,
        call: _Call,
        received: Callable[[bytes], object],
        writable: Callable[[], object],
        lost: Callable[[SigError], object],
        stall_s: float,
        ticks: bool,
    ) -> None:
        self._medium = medium
        self._call = call
        self._received = received
        self._writable = writable
        self._lost = lost
        self._stall_s = stall_s
        self._ticks = ticks
        self._lock = threading.Lock()  # guards `_parts` and `unsent` together
        self._work = threading.Event()  # there is something to write, or no more
        self._parts: deque[bytes] = deque()
        self.unsent: int = 0
        self._writing_since: float | None = None
        self._error: SigError | None = None
        self._until: float | None = None  # when it must be down
        self._done = False
        self._writer = threading.Thread(target=self._write, name="sig-write", daemon=True)
        self.reader: threading.Thread = threading.Thread(target=self._read, name="sig-read", daemon=True)

    def start(self) -> None:
        self._writer.start()
        self.reader.start()

    def send(self, data: bytes) -> None:
        with self._lock:
            self._parts.append(data)
            self.unsent += len(data)
        self._work.set()

    def finish(self, timeout: float) -> None:
        """End when the other end does, or after `timeout` seconds; called again, the shorter time holds."""
        until = time.monotonic() + timeout
        self._until = until if self._until is None else min(until, self._until)

    def _read(self) -> None:
        error: SigError = ConnectionLost("the other end closed the link")
        try:
            while self._error is None and (self._until is None or time.monotonic() < self._until):
                data = self._medium.read(_TICK_S)
                if data == b"":
                    break
                if data or self._ticks:
                    self._call(self._received, data or b"")
                since = self._writing_since
                if since is not None and time.monotonic() - since > self._stall_s:
                    error = ConnectionLost(f"the other end has not taken anything for {self._stall_s:g} s")
                    break
        except Exception as trouble:  # of the medium, which is not ours
            error = _why(trouble)
        self._done = True
        self._work.set()
        self._writer.join(_LAST_WRITE_S)
        try:
            self._medium.close()
        except Exception as trouble:
            logger.warning(f"{type(self._medium).__name__}.close() failed: {type(trouble).__name__}: {trouble}")
        self._call(self._lost, self._error or error)

    def _write(self) -> None:
        try:
            while not self._done:
                self._work.wait()
                self._work.clear()
                while self._parts and not self._done:
                    part = self._parts[0]
                    self._writing_since = time.monotonic()
                    self._medium.write(part)
                    self._writing_since = None
                    with self._lock:
                        self._parts.popleft()
                        self.unsent -= len(part)
                    if not self.unsent:
                        self._call(self._writable)
        except Exception as trouble:
            self._error = _why(trouble)


class MediumLink(ReadsByItself):
    """Implements `Link`, for the blocking face.

    Args:
        stall_s: how long a write may take, in seconds.
        ticks: whether the user is given no bytes now and then, for a layer that knows time.
    """

    def __init__(self, medium: Medium, stall_s: float, *, ticks: bool = False) -> None:
        self._medium = medium
        self._stall_s = stall_s
        self._ticks = ticks
        self._pumps: _Pumps | None = None

    @property
    def unsent(self) -> int:
        return self._pumps.unsent if self._pumps is not None else 0

    def start(self, user: LinkUser) -> None:
        self._pumps = self._pumps_for(user, _at_once, user.lost)
        self._pumps.start()

    def _pumps_for(self, user: LinkUser, call: _Call, lost: Callable[[SigError], object]) -> _Pumps:
        return _Pumps(self._medium, call, user.received, user.writable, lost, self._stall_s, self._ticks)

    def send(self, data: bytes) -> None:
        assert self._pumps is not None  # it has been started
        self._pumps.send(data)

    def finish(self, timeout: float) -> None:
        if self._pumps is not None:
            self._pumps.finish(timeout)

    def join(self, timeout: float) -> Any:
        if self._pumps is None:
            self._medium.close()  # it never began
        elif self._pumps.reader is not threading.current_thread():
            self._pumps.reader.join(timeout)

    def abandon(self) -> None:
        """The medium's descriptors are its own affair: nobody touches them in the child."""


class LoopMediumLink(MediumLink):
    """The same for asyncio: its user is called on the loop, and `join` is to be awaited."""

    def __init__(self, medium: Medium, stall_s: float, *, ticks: bool = False) -> None:
        super().__init__(medium, stall_s, ticks=ticks)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()

    def start(self, user: LinkUser) -> None:
        def lost(error: SigError) -> None:
            self._ended.set()
            user.lost(error)

        self._pumps = self._pumps_for(user, _on(self._loop), lost)
        self._pumps.start()

    async def join(self, timeout: float) -> None:
        if self._pumps is None:
            self._medium.close()
            return
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._pumps.finish(0)
        await self._ended.wait()


class MediumWire(Wire):
    """The server's end of a medium. Made on any thread; everything else runs on the driver's loop."""

    def __init__(self, driver: WireUser, medium: Medium, address: str, *, ticks: bool = False) -> None:
        self._driver = driver
        self._address = address
        self._connection: Connection | None = None
        self._closing = False
        stall_s = driver.limits.write_stall_s
        call = _on(driver.loop)
        self._pumps = _Pumps(medium, call, self._received, self._writable, self._lost, stall_s, ticks)
        driver.loop.call_soon_threadsafe(self._attach)

    @property
    def full(self) -> bool:
        return self._pumps.unsent > 0

    @property
    def unwritten(self) -> int:
        return self._pumps.unsent

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._pumps.send(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._pumps.finish(self._driver.limits.close_timeout_s if self.full else 0)

    def abort(self) -> None:
        self._closing = True
        self._pumps.finish(0)

    def move(self, connection: Connection | None) -> None:
        self._connection = connection
        if connection is None:
            self.abort()

    def _attach(self) -> None:
        self._connection = self._driver.attach(self, self._address)
        self._pumps.start()

    def _received(self, data: bytes) -> None:
        if self._connection is not None:
            self._driver.received(self._connection, data)

    def _writable(self) -> None:
        if self._closing:
            self._pumps.finish(0)  # the last has gone
        elif self._connection is not None:
            self._driver.pump(self._connection)

    def _lost(self, error: SigError) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._driver.detached(connection)


def _at_once(function: Callable[..., object], *args: object) -> None:
    function(*args)


def _on(loop: asyncio.AbstractEventLoop) -> _Call:
    """Calls on a loop. Whoever calls waits, so that nobody reads faster than the loop takes it."""

    def call(function: Callable[..., object], *args: object) -> None:
        done = threading.Event()

        def run() -> None:
            try:
                function(*args)
            finally:
                done.set()

        try:
            loop.call_soon_threadsafe(run)
        except RuntimeError:
            return  # the loop has ended
        while not done.wait(LINGER_S):
            if loop.is_closed():
                return

    return call


def _why(trouble: Exception) -> SigError:
    text = getattr(trouble, "strerror", None) or str(trouble) or type(trouble).__name__
    return ConnectionLost(f"the link was lost: {text}")
