"""Links within one process: no socket, one hop to the server's loop and back.

What a router sends while the loop is busy stays with it, and goes over in one piece when the loop comes to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from sig.drivers.aio import ServerDriver, Wire
from sig.drivers.links import LinkUser, ReadsByItself
from sig.errors import ConnectionLost
from sig.protocol.connection import Connection

_ADDRESS: Final = "local"
# So much may be under way to another loop; the rest waits at the server, where the oldest can be dropped.
_ENOUGH: Final = 256 * 1024


class InsideLink(ReadsByItself, Wire):
    """Both ends in one: implements `Link` for a router of the blocking face, and is the server driver's `Wire`.

    Args:
        driver: the server's.
        post: has a function called on the driver's loop; not at once, even if that runs here.
        ours: whether the router is the server's own.
    """

    inside = True

    def __init__(self, driver: ServerDriver, post: Callable[..., object], *, ours: bool = True) -> None:
        self.ours: bool = ours
        self._server = driver
        self._post = post
        self._user: LinkUser
        self._connection: Connection | None = None
        self._parcel = b""  # under way to the loop; put there under the user's lock, taken away on the loop
        self._down = threading.Event()

    # The router's end

    @property
    def unsent(self) -> int:
        return len(self._parcel)

    def start(self, user: LinkUser) -> None:
        self._user = user
        try:
            self._post(self._attach)
        except RuntimeError:
            raise ConnectionLost("the server has been closed") from None  # its loop has ended

    def send(self, data: bytes) -> None:
        self._parcel = data
        with suppress(RuntimeError):
            self._post(self._carry)

    def finish(self, timeout: float) -> None:
        if not self._down.is_set():
            with suppress(RuntimeError):
                self._post(self._leave)

    def join(self, timeout: float) -> Any:
        self._down.wait(timeout)

    def abandon(self) -> None:
        """Nothing here is the parent's alone."""

    # The server's end, on its loop

    def _attach(self) -> None:
        self._connection = self._server.attach(self, _ADDRESS)

    def _carry(self) -> None:
        parcel, self._parcel = self._parcel, b""
        if self._connection is not None:
            self._server.received(self._connection, parcel)
        self._tell(self._user.writable)

    def _leave(self) -> None:
        if self._parcel:
            self._server.loop.call_soon(self._leave)  # behind what is under way
        else:
            self.close()

    def write(self, data: bytes) -> None:
        self._tell(self._user.received, data)

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._server.detached(connection)
            self._tell(self._end)

    abort = close

    def move(self, connection: Connection | None) -> None:
        self._connection = connection
        if connection is None:
            self._tell(self._end)

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        """Call something of the router's where it may be called: any thread will do."""
        function(*args)

    def _end(self) -> None:
        """The link is down. Where the router may be called."""
        self._user.lost(ConnectionLost("the server has been closed"))
        self._down.set()


class LoopInsideLink(InsideLink):
    """The same for a router of the asyncio face, on the loop that runs here; `join` is to be awaited."""

    def __init__(self, driver: ServerDriver, *, ours: bool = True) -> None:
        loop = asyncio.get_running_loop()
        alike = loop is driver.loop
        super().__init__(driver, loop.call_soon if alike else driver.loop.call_soon_threadsafe, ours=ours)
        self._alike = alike
        self._tell_here = loop.call_soon if alike else loop.call_soon_threadsafe
        self._ended = asyncio.Event()
        self._under_way = 0  # bytes that another loop has not come to yet; the server's

    async def join(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            pass  # its loop has other things to do

    # The server's end

    @property
    def full(self) -> bool:
        return self._under_way > _ENOUGH

    @property
    def unwritten(self) -> int:
        return self._under_way

    def write(self, data: bytes) -> None:
        if self._alike:
            super().write(data)
        else:
            self._under_way += len(data)
            self._tell(self._take, data)

    def _take(self, data: bytes) -> None:
        """On this loop."""
        self._user.received(data)
        with suppress(RuntimeError):
            self._post(self._taken, len(data))

    def _taken(self, size: int) -> None:
        full = self.full
        self._under_way -= size
        if full and not self.full and self._connection is not None:
            self._server.pump(self._connection)

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._tell_here(function, *args)
        except RuntimeError:
            pass  # this loop has been closed, and the router with it

    def _end(self) -> None:
        super()._end()
        self._ended.set()
