"""`async for` over events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from sig.errors import Closed
from sig.info import Received
from sig.iterators import Taken
from sig.steps import walk_awaiting

from .pending import Pending


class Events(Taken):
    """What `await router.events(...)` returns: `async for info, data in events` takes events one by one.

    The loop ends when it, or its router, is closed. Several tasks may iterate: each event goes to one of them. A task
    that is cancelled while it waits takes none with it.
    """

    __slots__ = ()

    async def get(self, timeout: float | None = None) -> Received:
        """The next event; waits for it, at most `timeout` seconds.

        Raises `TimeoutError` when none comes in time, `Closed` when none will come any more.
        """
        return await walk_awaiting(self._getting(timeout))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        try:
            return await walk_awaiting(self._getting(None))
        except Closed:
            raise StopAsyncIteration from None


class PendingEvents(Pending[Events]):
    """`async for` registers by itself, and closes at its end; or await it, or enter it, for the `Events`."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[Received]:
        async with self as events:
            async for received in events:
                yield received
