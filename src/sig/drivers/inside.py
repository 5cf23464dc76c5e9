"""The link between a server and the router in its own process: no socket, one hop to the loop's thread and back.

What the router sends while the loop is busy stays with it, and goes over in one piece when the loop comes to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from sig.drivers.aio import ServerDriver, Wire
from sig.drivers.links import LinkUser
from sig.errors import ConnectionLost
from sig.protocol.connection import Connection

_ADDRESS: Final = "local"


class InsideLink(Wire):
    """Both ends in one: implements `Link` for the router, and is the server driver's `Wire`.

    `post(function)` has a function called on the driver's loop; not at once, even if that runs here.
    """

    ours: bool = True

    def __init__(self, driver: ServerDriver, post: Callable[..., object]) -> None:
        self._server = driver
        self._post = post
        self._user: LinkUser
        self._connection: Connection | None = None
        self._parcel = b""  # under way to the loop; put there under the user's lock, taken away on the loop
        self._ended = threading.Event()

    # The router's end

    @property
    def unsent(self) -> int:
        return len(self._parcel)

    def start(self, user: LinkUser) -> None:
        self._user = user
        self._post(self._attach)

    def send(self, data: bytes) -> None:
        self._parcel = data
        self._post(self._carry)

    def finish(self, timeout: float) -> None:
        if not self._ended.is_set():
            self._post(self._leave)

    def join(self, timeout: float) -> Any:
        self._ended.wait(timeout)

    def abandon(self) -> None:
        """Nothing here is the parent's alone."""

    # The server's end, on the loop

    def _attach(self) -> None:
        self._connection = self._server.attach(self, _ADDRESS)

    def _carry(self) -> None:
        parcel, self._parcel = self._parcel, b""
        if self._connection is not None:
            self._server.received(self._connection, parcel)
        self._user.writable()

    def _leave(self) -> None:
        if self._parcel:
            self._server.loop.call_soon(self._leave)  # behind what is under way
        else:
            self.close()

    def write(self, data: bytes) -> None:
        self._user.received(data)

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._server.detached(connection)
            self._user.lost(ConnectionLost("the server has been closed"))
            self._ended.set()

    abort = close


class LoopInsideLink(InsideLink):
    """The same where both ends run on one loop; `join` is to be awaited."""

    async def join(self, timeout: float) -> None:
        while not self._ended.is_set() and self._connection is not None:  # noqa: ASYNC110
            await asyncio.sleep(0)  # it ends in a few turns, and nothing can keep it

    def write(self, data: bytes) -> None:
        self._post(self._user.received, data)
