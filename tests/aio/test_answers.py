"""Answering requests on the loop: many that came together, and what one of them does to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

import pytest
from aio.conftest import NewLoop

import sig.aio

place: ContextVar[str] = ContextVar("place", default="nowhere")


@asynccontextmanager
async def both() -> AsyncIterator[tuple[sig.aio.ClientRouter, sig.aio.ClientRouter]]:
    """Two clients of one server: an owner, and who asks."""
    async with AsyncExitStack() as ends:
        server = await ends.enter_async_context(sig.aio.serve("tcp://127.0.0.1:0"))
        owner, caller = [await ends.enter_async_context(sig.aio.connect(server.urls[0])) for _ in range(2)]
        yield owner, caller


@pytest.mark.asyncio
async def test_requests_that_come_together_are_answered_in_their_order_and_do_not_see_each_others_variables() -> None:
    order: list[int] = []

    def note(params: int) -> str:
        order.append(params)
        seen = place.get()
        place.set(f"request {params}")
        return seen

    async with both() as (owner, caller):
        await owner.add_sender("s", requests=[note])
        calls = [caller.start_request("s", "note", number) for number in range(100)]
        assert await asyncio.gather(*calls) == ["nowhere"] * 100
        assert order == list(range(100))


@pytest.mark.asyncio
async def test_of_many_requests_the_first_are_on_their_way_while_the_last_are_made_and_so_are_their_answers() -> None:
    async with both() as (owner, caller):
        asks, answers = caller._driver, owner._driver
        assert asks is not None
        assert answers is not None
        told: list[int] = []

        def answer(params: str) -> str:
            told.append(answers.core.bytes_out)
            return "x" * 1000

        await owner.add_sender("s", requests={"m": answer})
        await caller.request("s", "m", "x")
        told.clear()
        before = asks.core.bytes_out
        calls = [caller.start_request("s", "m", "x" * 100) for _ in range(100)]
        assert asks.core.bytes_out > before + 5000, "nothing has been awaited yet"
        await asyncio.gather(*calls)
        assert told[10] > told[0], "they came together"


@pytest.mark.asyncio
async def test_a_listener_hears_what_came_before_a_request_first() -> None:
    seen: list[object] = []
    async with both() as (owner, caller):
        await owner.listen(lambda info, data: seen.append(data), "t", "e")
        await owner.add_sender("s", requests={"m": lambda params: list(seen)})
        sender = await caller.add_sender("t", ["e"])
        await caller.request("s", "m")
        for number in range(5):
            sender.trigger("e", number)
            assert await caller.request("s", "m") == list(range(number + 1))


@pytest.mark.asyncio
async def test_what_was_given_up_before_it_was_sent_is_never_begun() -> None:
    begun: list[object] = []
    async with both() as (owner, caller):
        await owner.add_sender("s", requests={"m": begun.append, "last": lambda params: None})
        await caller.request("s", "last")
        calls = [caller.start_request("s", "m", number) for number in range(3)]
        assert calls[1].cancel()
        assert not calls[1].cancel()
        await caller.request("s", "last")
        assert begun == [0, 2]


def test_a_handler_that_ends_the_program_keeps_no_other_from_being_answered(new_loop: NewLoop) -> None:
    def leave(params: object) -> None:
        raise SystemExit(3)

    async def start() -> tuple[AsyncExitStack, list[asyncio.Future[object]]]:
        ends = AsyncExitStack()
        owner, caller = await ends.enter_async_context(both())
        await owner.add_sender("s", requests={"leave": leave, "stay": lambda params: params})
        await caller.request("s", "stay")
        return ends, [caller.start_request("s", method, 1) for method in ("leave", "stay")]

    async def answer(call: asyncio.Future[object]) -> object:
        return await call

    with asyncio.Runner(loop_factory=new_loop) as runner:
        ends, (leaving, staying) = runner.run(start())
        with pytest.raises(SystemExit):
            runner.run(answer(staying))
        assert runner.run(answer(staying)) == 1
        with pytest.raises(sig.RemoteError, match="3"):
            runner.run(answer(leaving))
        runner.run(ends.aclose())
