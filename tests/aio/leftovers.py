"""What routers of the asyncio face still hold, and should not when nobody is using them."""

from __future__ import annotations

import asyncio
from typing import Any

import sig.aio

LIMIT_S = 20


def of_client(router: Any) -> dict[str, int]:
    """By name, how much of what a router with a link holds of its own; what is not there is left out."""
    core = router._driver.core if router._driver is not None else None
    answers = router._answers
    held = {
        "senders": router._senders,
        "subscriptions": router._subscriptions,
        "listeners": range(router._index.count),
        "tasks": router._runtime._tasks,
        "handlers": [*answers._tasks, *answers._under_way] if answers is not None else (),
        "requests": core.asking.calls if core is not None else (),
        "calls": core._control if core is not None else (),
        "outlets": core.owning._outlets if core is not None else (),
        "room": router._driver._waiting if router._driver is not None else (),
    }
    return {name: len(things) for name, things in held.items() if len(things)}


def of_server(server: sig.aio.ServerRouter) -> dict[str, int]:
    """The same of a server's core: of all its clients, and of itself."""
    assert server._server is not None
    core = server._server.core
    links = core.connections.values()
    held = {
        "senders": len(core.registry._senders),
        "subscriptions": sum(len(link.subscriptions) for link in links),
        "names": sum(len(link.held) for link in links),
        "handshakes": len(core._entrance.pending),
        "answers": len(core.listening._waiting),
        "clients": len(links) - 1,
    }
    return {name: count for name, count in held.items() if count}


async def settled(server: sig.aio.ServerRouter, **expected: int) -> None:
    """Return when the server holds that and nothing else; fails when that does not come to be."""
    deadline = asyncio.get_running_loop().time() + LIMIT_S
    while (found := of_server(server)) != expected:  # nobody tells of all of these
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0)
