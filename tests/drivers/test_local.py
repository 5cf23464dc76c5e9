"""The ordinary world of a router: clocks, chance, workers and asyncio's loops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from net.aside import aside

from sig.drivers.local import LocalRuntime
from sig.errors import Closed, InvalidArgument, RequestCancelled
from sig.runtime import Dropping, Expired


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    runtime = LocalRuntime(workers=1)
    yield runtime
    runtime.close(10)


# -- time and chance -----------------------------------------------------------------------------


def test_the_clocks_are_those_of_the_system_or_the_ones_given(runtime: LocalRuntime) -> None:
    before = time.monotonic(), time.time()
    now, wall = runtime.now(), runtime.wall()
    assert before[0] <= now <= time.monotonic()
    assert before[1] <= wall <= time.time()

    class Clock:
        def now(self) -> float:
            return 1.0

        def wall(self) -> float:
            return 2.0

    given = LocalRuntime(clock=Clock())
    assert (given.now(), given.wall()) == (1.0, 2.0)


def test_a_random_number_has_64_bits_and_is_never_zero(runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [runtime.random64() for _ in range(100)]
    assert len({*numbers}) == 100
    assert max(numbers).bit_length() > 56
    monkeypatch.setattr("secrets.randbits", lambda bits: 0)
    assert runtime.random64() == 1


# -- workers -------------------------------------------------------------------------------------


def test_work_runs_on_a_worker_made_when_needed_and_ended_by_close() -> None:
    runtime = LocalRuntime()
    done = threading.Event()
    names: list[str] = []
    assert runtime._pool is None

    def work() -> None:
        names.append(threading.current_thread().name)
        done.set()

    runtime.submit(work)
    assert done.wait(10)
    runtime.close(10)
    assert names == ["sig-worker"]
    assert not [thread for thread in threading.enumerate() if thread.name == "sig-worker"]
    with pytest.raises(Closed):
        runtime.submit(work)


def test_after_close_no_worker_is_made_either() -> None:
    runtime = LocalRuntime()
    runtime.close(10)
    with pytest.raises(Closed):
        runtime.submit(lambda: None)


def test_an_executor_may_be_one_or_a_function_that_posts(loop: asyncio.AbstractEventLoop) -> None:
    done = threading.Semaphore(0)
    with ThreadPoolExecutor(1) as executor:
        for given in (executor, loop.call_soon_threadsafe):
            runtime = LocalRuntime(executor=given)
            runtime.submit(done.release)
            assert done.acquire(timeout=10)
            runtime.close(0)
        executor.submit(done.release)  # still open: it is not ours
        assert done.acquire(timeout=10)
    with pytest.raises(InvalidArgument, match="executor=5 is neither an executor nor a function"):
        LocalRuntime(executor=5)


# -- loops ---------------------------------------------------------------------------------------


def test_the_running_loop_is_that_of_this_thread(runtime: LocalRuntime, loop: asyncio.AbstractEventLoop) -> None:
    async def ask() -> object:
        return runtime.running_loop()

    assert runtime.running_loop() is None
    assert asyncio.run_coroutine_threadsafe(ask(), loop).result(10) is loop


def test_a_task_is_started_on_a_loop_of_another_thread(runtime: LocalRuntime, loop: asyncio.AbstractEventLoop) -> None:
    done = threading.Event()
    where: list[object] = []

    async def work() -> None:
        where.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        done.set()

    runtime.spawn(loop, work)
    assert done.wait(10)
    assert where == [loop]


@pytest.mark.asyncio
async def test_a_task_under_way_is_held_and_forgotten_at_its_end(runtime: LocalRuntime) -> None:
    go_on = asyncio.Event()
    ended: list[bool] = []

    async def work() -> None:
        await go_on.wait()
        ended.append(True)

    async def cancelled() -> None:
        raise asyncio.CancelledError

    for function in (work, cancelled):
        runtime.spawn(asyncio.get_running_loop(), function)
    await asyncio.sleep(0)
    assert len(runtime._tasks) == 2
    go_on.set()
    await asyncio.wait([*runtime._tasks])
    await asyncio.sleep(0)
    assert ended == [True]
    assert not runtime._tasks


def test_a_loop_that_has_ended_is_known_and_takes_nothing(runtime: LocalRuntime) -> None:
    loop = asyncio.new_event_loop()
    assert not runtime.ended(loop)
    loop.close()
    assert runtime.ended(loop)

    async def work() -> None: ...

    with pytest.raises(RuntimeError, match="closed"):
        runtime.spawn(loop, work)
    with pytest.raises(RuntimeError, match="closed"):
        runtime.run(loop, work(), 1)


@pytest.mark.asyncio
async def test_a_task_knows_whether_it_was_told_to_end(runtime: LocalRuntime) -> None:
    answers: list[bool] = []

    async def work() -> None:
        answers.append(runtime.cancelling())
        try:
            await asyncio.Event().wait()
        finally:
            answers.append(runtime.cancelling())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert answers == [False, True]


def test_a_callback_is_no_task(runtime: LocalRuntime) -> None:
    async def main() -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: answer.set_result(runtime.cancelling()))
        return await answer

    assert asyncio.run(main()) is False


def test_here_one_waits_and_handlers_run_where_they_are_asked(runtime: LocalRuntime) -> None:
    assert (runtime.awaits, runtime.elsewhere) == (False, False)
    here = threading.current_thread()
    assert runtime.call(lambda *given: (threading.current_thread(), given), (1, 2)) == (here, (1, 2))


def test_waiting_for_a_loop_is_refused_on_it_alone(runtime: LocalRuntime, loop: asyncio.AbstractEventLoop) -> None:
    async def would_block() -> list[bool]:
        return [runtime.would_block(loop), runtime.would_block(asyncio.get_running_loop())]

    assert runtime.would_block(loop) is False
    assert asyncio.run(would_block()) == [False, True]


# -- running a coroutine from outside ------------------------------------------------------------


def test_the_result_of_a_coroutine_is_returned_and_its_error_raised(
    runtime: LocalRuntime, loop: asyncio.AbstractEventLoop
) -> None:
    async def work(value: object) -> object:
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    assert runtime.run(loop, work(5), 10) == 5
    with pytest.raises(KeyError, match="own"):
        runtime.run(loop, work(KeyError("own")), 10)
    with pytest.raises(TimeoutError, match="own"):
        runtime.run(loop, work(TimeoutError("own")), 10)


def forever() -> tuple[threading.Event, Callable[[], Any]]:
    cancelled = threading.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    return cancelled, work


def test_a_coroutine_whose_time_is_over_is_cancelled(runtime: LocalRuntime, loop: asyncio.AbstractEventLoop) -> None:
    cancelled, work = forever()
    with pytest.raises(Expired):
        runtime.run(loop, work(), 0.01)
    assert cancelled.wait(10)


def test_a_coroutine_is_cancelled_when_nobody_waits_for_it_any_more(
    runtime: LocalRuntime, loop: asyncio.AbstractEventLoop
) -> None:
    begun, dropping = threading.Event(), Dropping()
    cancelled, work = forever()

    async def begin() -> None:
        begun.set()
        await work()

    running = aside(lambda: runtime.run(loop, begin(), 60, dropping))
    assert begun.wait(10)
    dropping.drop()
    with pytest.raises(RequestCancelled):
        running.result(10)
    assert cancelled.wait(10)


def test_a_coroutine_is_cancelled_when_who_waits_is_interrupted(
    runtime: LocalRuntime, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled, work = forever()

    def interrupted(futures: object, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runtime.run(loop, work(), 10)
    assert cancelled.wait(10)


def test_a_coroutine_that_something_else_cancels_says_so(
    runtime: LocalRuntime, loop: asyncio.AbstractEventLoop
) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RequestCancelled, match="the handler was cancelled"):
        runtime.run(loop, work(), 10)


# -- settling ------------------------------------------------------------------------------------


def test_settling_waits_until_nothing_is_busy(runtime: LocalRuntime) -> None:
    answers = [True, True, False, True]
    runtime.settle(lambda: answers.pop(0), 60)
    assert answers == [True]


def test_settling_ends_when_its_time_is_over(runtime: LocalRuntime) -> None:
    runtime.settle(lambda: True, 0.01)


def test_settling_does_not_wait_where_that_would_keep_things_busy(runtime: LocalRuntime) -> None:
    asked: list[bool] = []

    def busy() -> bool:
        asked.append(True)
        return True

    async def on_a_loop() -> None:
        runtime.settle(busy, 60)

    asyncio.run(on_a_loop())
    done = threading.Event()

    def on_a_worker() -> None:
        runtime.settle(busy, 60)
        done.set()

    runtime.submit(on_a_worker)
    assert done.wait(10)
    assert asked == []


def test_a_flag_is_set_by_one_thread_for_another(runtime: LocalRuntime) -> None:
    flag = runtime.flag()
    assert not flag.wait(0)
    runtime.submit(flag.set)
    assert flag.wait(10)
    assert flag.is_set()
