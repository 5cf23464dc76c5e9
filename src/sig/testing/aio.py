"""For tests of programs that use routers of `sig.aio`: the names of `sig.testing`, awaited where they wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from sig.aio import ClientRouter, Pending, Router, ServerRouter, connect, serve
from sig.hub import Hub, Name
from sig.steps import walk, walk_awaiting

from .blocking import fresh_url
from .captured import TIMEOUT_S, Captured
from .faults import Faults, faulty
from .rest import to_rest

__all__ = ["Capture", "capture", "pair", "settle"]


class Capture(Captured):
    """What `await capture(...)` returns: the events so far, as a list of `Received`."""

    async def wait(self, count: int = 1, timeout: float = TIMEOUT_S) -> Self:
        """As `sig.testing.Capture.wait`."""
        await walk_awaiting(self._waiting(count, timeout))
        return self


def capture(router: Router, sender: Name | None = None, event: str | None = None, **options: Any) -> Pending[Capture]:
    """As `sig.testing.capture`: await it for the capture, or enter it, which also ends it."""
    return Pending(_capture(router, sender, event, options))


async def _capture(router: Router, sender: Name | None, event: str | None, options: dict[str, Any]) -> Capture:
    captured = Capture(router)
    captured._begun(await router.listen(captured._hear, sender, event, **options))
    return captured


async def settle(*routers: Hub, timeout: float = TIMEOUT_S) -> None:
    """As `sig.testing.settle`. Some of the routers may be of the other face: they are waited for in a thread."""
    for router, steps in to_rest(routers, timeout):
        await (walk_awaiting(steps) if router._runtime.awaits else asyncio.to_thread(walk, steps))


@asynccontextmanager
async def pair(
    url: str | None = None, *, faults: Faults | None = None, **options: Any
) -> AsyncIterator[tuple[ServerRouter, ClientRouter]]:
    """As `sig.testing.pair`: `async with sig.testing.aio.pair() as (server, client): ...`."""
    async with serve(url or fresh_url(), **options) as server:
        client = await connect(faulty(server.urls[0], faults), **{"reconnect": False, **options})
        try:
            yield server, client
        finally:
            await client.close()
