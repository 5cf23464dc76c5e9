"""Streams of both faces, in one process."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

import sig
from sig import aio
from sig.runtime import Expired
from sig.streams import END, Stream, Taking

LIMIT_S = 20


class Counter:
    """A handler that counts, and whether it has ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def count(self, params: int) -> Generator[int, None, str]:
        try:
            yield from range(params)
            return "done"
        finally:
            self.ended.set()

    async def count_later(self, params: int) -> AsyncIterator[int]:
        try:
            for number in range(params):
                yield number
                await asyncio.sleep(0)
        finally:
            self.ended.set()

    async def stall(self, params: object) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def router(counter: Counter) -> Iterator[sig.Router]:
    with sig.Router() as router:
        router.add_sender("s", requests={"count": counter.count, "plain": lambda params: params})
        yield router


def test_parts_are_taken_one_by_one_and_the_result_is_behind_them(router: sig.Router) -> None:
    with router.stream("s", "count", 3) as parts:
        assert repr(parts) == "<Stream 'count' of 's', under way>"
        with pytest.raises(sig.InvalidArgument, match="'s' to 'count' has not come to its end: take all its parts"):
            _ = parts.result
        assert list(parts) == [0, 1, 2]
        assert parts.result == "done"
        assert list(parts) == []
    assert repr(parts) == "<Stream 'count' of 's', ended>"
    assert parts.result == "done"


def test_a_handler_that_is_no_generator_gives_no_parts_and_a_result(router: sig.Router) -> None:
    with router.stream("s", "plain", 3) as parts:
        assert list(parts) == []
        assert parts.result == 3


def test_whoever_leaves_early_lets_the_handler_end(router: sig.Router, counter: Counter) -> None:
    with router.stream("s", "count", 3) as parts:
        assert next(parts) == 0
        assert not counter.ended.is_set()
    assert counter.ended.is_set()
    assert list(parts) == []
    parts.close()
    with pytest.raises(sig.InvalidArgument):
        _ = parts.result


def test_a_stream_that_is_forgotten_ends_too(router: sig.Router, counter: Counter) -> None:
    for part in router.stream("s", "count", 3):
        assert part == 0
        break
    gc.collect()
    assert counter.ended.is_set()


def test_a_request_for_what_comes_in_parts_is_refused(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match=r"'count' of sender 's' answers in parts: take them with stream\(\)"):
        router.request("s", "count", 3)


def test_parts_may_be_given_a_type(router: sig.Router) -> None:
    with router.stream("s", "count", 2, type=float) as parts:
        assert [repr(part) for part in parts] == ["0.0", "1.0"]
    with router.stream("s", "count", 2, type=str) as parts:
        with pytest.raises(sig.InvalidData, match="'s' answered 'count' with other data"):
            next(parts)
        assert list(parts) == []


def test_what_a_handler_raises_ends_it_behind_its_parts(router: sig.Router) -> None:
    def fail(params: object) -> Iterator[int]:
        yield 1
        raise KeyError("paper")

    router.add_sender("t", requests=[fail])
    with router.stream("t", "fail") as parts:
        assert next(parts) == 1
        with pytest.raises(KeyError, match="paper"):
            next(parts)
        assert list(parts) == []
        with pytest.raises(sig.InvalidArgument):
            _ = parts.result


def test_what_is_known_is_told_at_once(router: sig.Router) -> None:
    with pytest.raises(sig.SenderNotConnected):
        router.stream("nobody", "m")
    with pytest.raises(sig.MethodNotFound):
        router.stream("s", "absent")
    with pytest.raises(sig.InvalidName):
        router.stream("", "m")
    for wrong in (0, -1, math.nan):
        with pytest.raises(sig.InvalidArgument, match="idle="):
            router.stream("s", "count", 1, idle=wrong)
        with pytest.raises(sig.InvalidArgument, match="timeout="):
            router.stream("s", "count", 1, timeout=wrong)
    router.close()
    with pytest.raises(sig.Closed):
        router.stream("s", "count")


def test_it_may_take_longer_than_any_request(router: sig.Router) -> None:
    with router.stream("s", "count", 1, timeout=1e6, idle=math.inf) as parts:
        assert list(parts) == [0]


def test_a_view_streams_too(router: sig.Router) -> None:
    with router.sender("s").stream("count", 2) as parts:
        assert list(parts) == [0, 1]


def test_a_handler_streams_within_its_own_time(router: sig.Router) -> None:
    def relay(params: int) -> Iterator[Any]:
        before = sig.current_request().remaining
        with router.stream("s", "count", params) as parts:
            yield from parts
        assert sig.current_request().remaining <= before

    router.add_sender("t", requests=[relay])
    with router.stream("t", "relay", 3) as parts:
        assert list(parts) == [0, 1, 2]
    with pytest.raises(sig.InvalidArgument, match="no request is being answered here"):
        sig.current_request()


def test_the_time_for_all_of_it_and_for_a_part_is_told_with_its_number(router: sig.Router) -> None:
    class Never:
        result: object = None

        def more(self, timeout: float) -> Generator[Callable[[], object], object, None]:
            yield from ()
            raise Expired

        def close(self, timeout: float) -> Generator[Callable[[], object], object, None]:
            yield from ()

        def abandon(self) -> None:
            raise AssertionError("it was closed")

    now = router._runtime.now()
    for idle, timeout, told in ((5.0, 10.0, "5 s"), (10.0, 5.0, "5 s"), (7.0, math.inf, "7 s")):
        stream = Stream(router, Never(), ("s", "m"), None, (idle, timeout, now + timeout))
        with pytest.raises(sig.RequestTimeout, match=f"'s' has not answered 'm' within {told}"):
            next(stream)
        assert list(stream) == []


def test_parts_that_have_come_together_are_taken_one_by_one(router: sig.Router) -> None:
    class Batches:
        result: object = "end"

        def __init__(self) -> None:
            self.left = [(4, 5), (), (1, 2, 3)]

        def more(self, timeout: float) -> Generator[Callable[[], object], object, tuple[int, ...] | None]:
            yield from ()
            return self.left.pop() if self.left else None

        def close(self, timeout: float) -> Generator[Callable[[], object], object, None]:
            raise AssertionError("it has come to its end")

        abandon = close

    stream = Stream(router, Batches(), ("s", "m"), None, (1, math.inf, math.inf))  # type: ignore[arg-type]  # `abandon`
    assert (list(stream), stream.result) == ([1, 2, 3, 4, 5], "end")


def test_one_that_was_never_made_can_be_forgotten() -> None:
    Taking.__new__(Taking).__del__()


# -- asyncio -------------------------------------------------------------------------------------


def run(program: Callable[[aio.Router, Counter], Any]) -> None:
    async def within() -> None:
        counter = Counter()
        async with aio.Router() as router:
            await router.add_sender("s", requests=[counter.count, counter.count_later, counter.stall])
            await program(router, counter)

    asyncio.run(within())


@pytest.mark.parametrize(("method", "result"), [("count", "done"), ("count_later", None)])
def test_async_for_takes_them(method: str, result: object) -> None:
    async def program(router: aio.Router, counter: Counter) -> None:
        async with router.stream("s", method, 3) as parts:
            assert [part async for part in parts] == [0, 1, 2]
            assert parts.result == result
        async with router.sender("s").stream(method, 2) as parts:
            assert [part async for part in parts] == [0, 1]

    run(program)


@pytest.mark.parametrize("method", ["count", "count_later"])
def test_whoever_leaves_an_async_block_early_lets_the_handler_end(method: str) -> None:
    async def program(router: aio.Router, counter: Counter) -> None:
        async with router.stream("s", method, 3) as parts:
            assert await anext(parts) == 0
        assert counter.ended.is_set()

    run(program)


def test_an_async_generator_that_takes_too_long_is_given_up() -> None:
    async def program(router: aio.Router, counter: Counter) -> None:
        async with router.stream("s", "stall", idle=0.01) as parts:
            assert await anext(parts) == 1
            with pytest.raises(sig.RequestTimeout, match=r"within 0\.01 s"):
                await anext(parts)
        assert counter.ended.is_set()

    run(program)


def test_a_task_that_is_cancelled_ends_its_stream() -> None:
    async def program(router: aio.Router, counter: Counter) -> None:
        begun = asyncio.Event()

        async def take() -> None:
            async for _ in router.stream("s", "stall"):
                begun.set()

        task = asyncio.create_task(take())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert counter.ended.is_set()

    run(program)


def test_the_end_is_nothing_that_a_handler_could_give() -> None:
    assert not inspect.isclass(END)
    assert END not in (None, False, 0, "")
