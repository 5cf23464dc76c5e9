"""Each outcome of a request is what it is in the blocking face, see the table in tests/net."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from net.outcomes import BUGS, HANDLERS, OUTCOMES, wrong, wrong_bug

import sig.aio


@asynccontextmanager
async def ends(kind: str) -> AsyncIterator[tuple[sig.aio.Router, sig.aio.Router]]:
    """Who answers, and who asks."""
    async with AsyncExitStack() as stack:
        if kind == "in process":
            router = await stack.enter_async_context(sig.aio.Router())
            yield router, router
        else:
            server = await stack.enter_async_context(sig.aio.serve("tcp://127.0.0.1:0"))
            owner = await stack.enter_async_context(sig.aio.connect(server.urls[0]))
            yield owner, await stack.enter_async_context(sig.aio.connect(server.urls[0]))


async def outcome(verb: Any, router: sig.aio.Router) -> BaseException | None:
    try:
        answer = verb(router)
        if inspect.isawaitable(answer):
            await answer
    except Exception as error:
        return error
    return None


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["in process", "over a link"])
async def test_it_is_the_same(kind: str) -> None:
    async with ends(kind) as (owner, asker):

        async def go_round(params: object) -> object:
            return await owner.request("circle", "round")

        await owner.add_sender("s", "e", HANDLERS)
        await owner.add_sender("silent", "e")
        await owner.add_sender("circle", requests={"round": go_round})
        complaints: list[str] = []
        for name, expected in OUTCOMES.items():
            complaints += [f"{name}: {what}" for what in wrong(expected, await outcome(expected.verb, asker))]
        for name, (verb, own, text) in BUGS.items():
            error = await outcome(verb, asker)
            complaints += [f"{name}: {what}" for what in wrong_bug(error, own, text, kind != "in process")]
        assert not complaints
        assert await asker.request("s", "echo", 1) == 1
