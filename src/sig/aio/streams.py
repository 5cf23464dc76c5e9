"""`async for` over an answer that comes in parts."""

from __future__ import annotations

from typing import Any, Self

from sig.steps import walk_awaiting
from sig.streams import END, Taking


class Stream(Taking):
    """What `router.stream(...)` returns: `async for part in stream` takes part by part, and waits for each.

    Use it with `async with`: whoever leaves the block early lets the handler end, whose `finally` runs. One that is
    only forgotten does so some time later. For one task at a time.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """The next part. Raises what `Router.request` raises; `RequestTimeout` when none comes in time."""
        if self._ready and self._type is None:
            return self._ready.popleft()
        part = await walk_awaiting(self._next())
        if part is END:
            raise StopAsyncIteration
        return part

    async def close(self) -> None:
        """Take no more: the handler is told, and closed where it gives its next part. Idempotent."""
        await walk_awaiting(self._closing())

    # As asynchronous generators call it: for `contextlib.aclosing`.
    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
