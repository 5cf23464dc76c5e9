"""Coroutines that answer: so many at a time, each until its real end. For the blocking face see tests/net."""

from __future__ import annotations

import asyncio

import pytest

import sig
import sig.aio

LIMIT_S = 20


@pytest.mark.asyncio
async def test_coroutines_too_run_two_at_a_time() -> None:
    most = running = 0
    pairs = asyncio.Barrier(2)

    async def work(params: object) -> object:
        nonlocal most, running
        running += 1
        most = max(most, running)
        async with asyncio.timeout(LIMIT_S):
            await pairs.wait()
        running -= 1
        return params

    async with (
        sig.aio.Router() as router,
        sig.aio.serve("tcp://127.0.0.1:0") as server,
        sig.aio.connect(server.urls[0]) as client,
    ):
        for answering, asking in ((router, router), (server, client)):
            most = 0
            await answering.add_sender("s", requests=[work], max_concurrent=2)
            answers = await asyncio.gather(*(asking.request("s", "work", number) for number in range(20)))
            assert answers == list(range(20))
            assert most == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("over_a_link", [False, True], ids=["in process", "over a link"])
async def test_a_slot_is_held_until_the_coroutine_has_really_ended(over_a_link: bool) -> None:
    begun, cancelled, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn(params: object) -> None:
        begun.set()
        try:
            await asyncio.sleep(LIMIT_S)
        except asyncio.CancelledError:
            cancelled.set()
            await end.wait()

    async with (
        sig.aio.Router() as router,
        sig.aio.serve("tcp://127.0.0.1:0") as server,
        sig.aio.connect(server.urls[0]) as client,
    ):
        answering, asking = (server, client) if over_a_link else (router, router)
        sender = await answering.add_sender(
            "s", requests={"stubborn": stubborn, "quick": lambda params: params}, max_concurrent=1
        )
        slots = sender._slots
        assert slots is not None
        call = asking.start_request("s", "stubborn")
        async with asyncio.timeout(LIMIT_S):
            await begun.wait()
            call.cancel()
            await cancelled.wait()
            waiting = asking.start_request("s", "quick", 1)
            with pytest.raises(sig.RequestTimeout):
                await asking.request("s", "quick", 2, timeout=0.05)
            assert slots.taken == 1
            assert not waiting.done()
            end.set()
            assert await waiting == 1
        assert (slots.taken, len(slots)) == (0, 0)
