"""Where the parts of an answer come from in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Hashable, Iterator, Sequence

import pytest

from sig.drivers.local import LocalRuntime
from sig.drivers.running import LoopRuntime
from sig.errors import Closed, RequestCancelled, RequestsNotSupported, RequestTimeout
from sig.parts import Inline
from sig.requests import Handlers, Requests, Trail, current_request
from sig.runtime import FOREVER, Dropping, Expired
from sig.slots import Slots
from sig.steps import walk, walk_awaiting

LIMIT_S = 20


class Ended:
    """Whether a handler has come to its end."""

    def __init__(self) -> None:
        self.flag = threading.Event()

    def count(self, params: int) -> Generator[object, None, str]:
        try:
            for number in range(params):
                yield number
                current_request().check()
            return "done"
        finally:
            self.flag.set()

    async def count_later(self, params: int) -> AsyncIterator[object]:
        try:
            for number in range(params):
                yield [number, current_request().requester]
                await asyncio.sleep(0)
        finally:
            self.flag.set()

    async def wait_forever(self, params: object) -> AsyncIterator[object]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.flag.set()


def inline(
    requests: Requests,
    method: str,
    params: object,
    *,
    runtime: LocalRuntime | None = None,
    loop: object = None,
    trail: Trail | None = None,
) -> Inline:
    runtime = runtime or LocalRuntime()
    return Inline(runtime, Handlers(requests, runtime, loop), "s", method, params, trail or Trail(1, FOREVER))


def all_of(source: Inline) -> list[object]:
    found: list[object] = []
    while (some := walk(source.more(LIMIT_S))) is not None:
        found += some
    return found


def test_a_generator_gives_its_parts_one_by_one_and_then_its_result() -> None:
    source = inline([Ended().count], "count", 3)
    assert [walk(source.more(1)) for _ in range(4)] == [(0,), (1,), (2,), None]
    assert source.result == "done"


def test_a_handler_that_gives_no_parts_answers() -> None:
    source = inline({"m": lambda params: params + 1}, "m", 3)
    assert all_of(source) == []
    assert source.result == 4


def test_so_does_an_async_one_and_whatever_it_returns_may_be_a_generator(loop: asyncio.AbstractEventLoop) -> None:
    async def answer(params: int) -> int:
        return params + 1

    async def wrapped(params: int) -> object:
        return Ended().count(params)

    source = inline([answer, wrapped], "answer", 3, loop=loop)
    assert (all_of(source), source.result) == ([], 4)
    source = inline([answer, wrapped], "wrapped", 2, loop=loop)
    assert (all_of(source), source.result) == ([0, 1], "done")


def test_an_async_generator_runs_on_its_loop(loop: asyncio.AbstractEventLoop) -> None:
    source = inline([Ended().count_later], "count_later", 3, loop=loop, trail=Trail(1, FOREVER, None, 7))
    assert all_of(source) == [[0, 7], [1, 7], [2, 7]]
    assert source.result is None


def test_what_is_known_is_told_at_once() -> None:
    with pytest.raises(RequestsNotSupported):
        Inline(LocalRuntime(), Handlers(None, LocalRuntime()), "s", "m", None, Trail(1, FOREVER))


def test_a_generator_that_is_left_is_closed() -> None:
    ended = Ended()
    source = inline([ended.count], "count", 3)
    walk(source.more(1))
    assert not ended.flag.is_set()
    walk(source.close(LIMIT_S))
    assert ended.flag.is_set()


def test_an_async_generator_that_is_left_is_closed(loop: asyncio.AbstractEventLoop) -> None:
    ended = Ended()
    source = inline([ended.count_later], "count_later", 3, loop=loop)
    walk(source.more(LIMIT_S))
    walk(source.close(LIMIT_S))
    assert ended.flag.is_set()


def test_an_async_generator_that_takes_too_long_is_given_up(loop: asyncio.AbstractEventLoop) -> None:
    ended = Ended()
    source = inline([ended.wait_forever], "wait_forever", None, loop=loop)
    assert walk(source.more(LIMIT_S)) == (1,)
    with pytest.raises(Expired):
        walk(source.more(0.01))
    assert ended.flag.wait(LIMIT_S)


def test_the_loop_of_a_generator_may_have_ended() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    source = inline([Ended().count_later], "count_later", 3, loop=loop)
    walk(source.more(LIMIT_S))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LIMIT_S)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    walk(source.close(LIMIT_S))


def test_what_has_not_begun_can_be_left() -> None:
    source = inline({"m": lambda params: params}, "m", 3)
    walk(source.close(LIMIT_S))
    source = inline([Ended().count], "count", 3)
    source.abandon()


def test_the_request_that_it_is_a_part_of_may_be_given_up() -> None:
    outer = Dropping()
    source = inline([Ended().count], "count", 3, trail=Trail(1, FOREVER, outer))
    walk(source.more(1))
    outer.drop()
    with pytest.raises(RequestCancelled):
        walk(source.more(1))


def test_a_generator_may_be_run_elsewhere() -> None:
    asyncio.run(run_elsewhere())


async def run_elsewhere() -> None:
    threads: list[str] = []

    def post(work: object) -> None:
        thread = threading.Thread(target=work, name="elsewhere")  # type: ignore[arg-type]  # a function
        thread.start()

    def where(params: object) -> Iterator[str]:
        try:
            yield threading.current_thread().name
        finally:
            threads.append(threading.current_thread().name)

    runtime = LoopRuntime(executor=post)

    async def more(source: Inline) -> Sequence[object] | None:
        return await walk_awaiting(source.more(LIMIT_S))

    source = inline([where], "where", None, runtime=runtime)
    assert [await more(source), await more(source)] == [("elsewhere",), None]
    source = inline([where], "where", None, runtime=runtime)
    await more(source)
    await walk_awaiting(source.close(LIMIT_S))
    assert threads == ["elsewhere", "elsewhere"]


def test_a_generator_that_will_not_end_is_left_to_itself(loop: asyncio.AbstractEventLoop) -> None:
    ended = asyncio.Event()

    async def stubborn(params: object) -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            while not ended.is_set():
                try:
                    await ended.wait()
                except asyncio.CancelledError:
                    pass
            raise

    source = inline([stubborn], "stubborn", None, loop=loop)
    walk(source.more(LIMIT_S))
    walk(source.close(0.01))
    loop.call_soon_threadsafe(ended.set)

    async def others() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks)

    asyncio.run_coroutine_threadsafe(others(), loop).result(LIMIT_S)


def test_one_that_runs_on_another_thread_ends_with_what_it_is_doing() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(params: object) -> Iterator[bool]:
        entered.set()
        leave.wait(LIMIT_S)
        yield current_request().cancelled

    source = inline([slow], "slow", None)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(walk(source.more(1))))
    thread.start()
    entered.wait(LIMIT_S)
    walk(source.close(LIMIT_S))
    leave.set()
    thread.join(LIMIT_S)
    assert found == [(True,)]


class Crowded:
    """Handlers of which one runs at a time."""

    def __init__(self) -> None:
        self.slots = Slots("s", 1, 5)
        self.runtime = LocalRuntime()
        self.handlers = Handlers({"count": Ended().count, "fail": fail}, self.runtime, None, None, self.slots)

    def inline(self, method: str, params: object) -> Inline:
        return Inline(self.runtime, self.handlers, "s", method, params, Trail(1, FOREVER))


def fail(params: object) -> Iterator[int]:
    yield 1
    raise KeyError("oven")


def test_a_slot_is_held_until_a_handler_has_ended() -> None:
    crowd = Crowded()
    source = crowd.inline("count", 1)
    assert crowd.slots.taken == 0, "it has not begun"
    walk(source.more(1))
    assert crowd.slots.taken == 1
    with pytest.raises(RequestTimeout, match=r"within 0\.0\d* s"):
        walk(crowd.inline("count", 1).more(0.01))
    walk(source.more(1))
    assert crowd.slots.taken == 0
    for leave in (lambda source: walk(source.close(1)), lambda source: source.abandon()):
        source = crowd.inline("count", 3)
        walk(source.more(1))
        leave(source)
        assert crowd.slots.taken == 0
    source = crowd.inline("fail", 3)
    walk(source.more(1))
    with pytest.raises(KeyError):
        walk(source.more(1))
    assert crowd.slots.taken == 0


class Held:
    """Handlers that wait at their second part until they are let go, and say when they have ended."""

    def __init__(self) -> None:
        self.entered, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()

    def wait(self, params: object) -> Iterator[int]:
        try:
            yield 1
            self.entered.set()
            self.go.wait(LIMIT_S)
            yield 2
        finally:
            self.ended.set()

    async def wait_later(self, params: object) -> AsyncIterator[int]:
        try:
            yield 1
            self.entered.set()
            await asyncio.to_thread(self.go.wait, LIMIT_S)
            yield 2
        finally:
            self.ended.set()


@pytest.mark.parametrize("method", ["wait", "wait_later"])
def test_one_that_is_closed_by_another_thread_holds_its_slot_until_it_has_ended(
    loop: asyncio.AbstractEventLoop, method: str
) -> None:
    held, slots, runtime = Held(), Slots("s", 1, 5), LocalRuntime()
    handlers = Handlers([held.wait, held.wait_later], runtime, loop, None, slots)
    over: list[int] = []
    source = Inline(runtime, handlers, "s", method, None, Trail(1, FOREVER), lambda: over.append(slots.taken))
    walk(source.more(LIMIT_S))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(walk(source.more(LIMIT_S))))
    thread.start()
    assert held.entered.wait(LIMIT_S)
    with pytest.raises(Closed, match="or another thread takes its next part"):
        walk(source.more(LIMIT_S))
    walk(source.close(LIMIT_S))
    assert (slots.taken, over, held.ended.is_set()) == (1, [], False)
    held.go.set()
    thread.join(LIMIT_S)
    assert found == [(2,)]
    assert held.ended.is_set()
    assert (slots.taken, over) == (0, [1])
    with pytest.raises(Closed, match="has been closed, or another thread takes its next part"):
        walk(source.more(LIMIT_S))


def test_one_that_is_closed_in_the_moment_in_which_it_gets_its_slot_gives_it_back() -> None:
    class Closing(Slots):
        def enter(self, who: Hashable, go: Callable[[], object]) -> bool:
            entered = super().enter(who, go)
            walk(source.close(LIMIT_S))
            return entered

    ended, slots, runtime = Ended(), Closing("s", 1, 5), LocalRuntime()
    handlers = Handlers([ended.count], runtime, None, None, slots)
    source = Inline(runtime, handlers, "s", "count", 3, Trail(1, FOREVER))
    with pytest.raises(Closed, match="the answer of 's' to 'count' has been closed"):
        walk(source.more(LIMIT_S))
    assert slots.taken == 0


def test_one_whose_taker_is_cancelled_holds_its_slot_until_it_has_ended_elsewhere() -> None:
    held, slots = Held(), Slots("s", 1, 5)
    threads: list[threading.Thread] = []

    def post(work: object) -> None:
        threads.append(threading.Thread(target=work))  # type: ignore[arg-type]  # a function
        threads[-1].start()

    async def main() -> None:
        runtime = LoopRuntime(executor=post)
        handlers = Handlers([held.wait], runtime, None, None, slots)
        source = Inline(runtime, handlers, "s", "wait", None, Trail(1, FOREVER))
        await walk_awaiting(source.more(LIMIT_S))
        taking = asyncio.create_task(walk_awaiting(source.more(LIMIT_S)))
        await asyncio.to_thread(held.entered.wait, LIMIT_S)
        taking.cancel()
        await asyncio.wait([taking])
        await walk_awaiting(source.close(LIMIT_S))
        assert (slots.taken, held.ended.is_set()) == (1, False)
        held.go.set()
        await asyncio.to_thread(threads[-1].join, LIMIT_S)
        assert (slots.taken, held.ended.is_set()) == (0, True)

    asyncio.run(main())


def test_a_handler_that_fails_is_over() -> None:
    over: list[bool] = []
    handlers = Handlers([fail], LocalRuntime())
    source = Inline(LocalRuntime(), handlers, "s", "fail", None, Trail(1, FOREVER), lambda: over.append(True))
    walk(source.more(1))
    assert not over
    with pytest.raises(KeyError):
        walk(source.more(1))
    assert over
    source = Inline(LocalRuntime(), handlers, "s", "fail", None, Trail(1, FOREVER), over.clear)
    source.abandon()
    assert not over
