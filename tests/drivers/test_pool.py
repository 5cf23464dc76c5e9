"""The pool: few threads, none needed twice, and none that outlives its work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sig.drivers.pool import Pool
from sig.errors import Closed


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(2, "sig-test")
    yield pool
    pool.close(10)


class Work:
    """A piece of work that runs until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.end, self.done = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.end.wait(10)
        self.done.set()


def test_work_runs_on_daemon_threads_of_the_pool_as_many_as_are_needed(pool: Pool) -> None:
    works = [Work() for _ in range(3)]
    for work in works:
        pool.submit(work)
    assert works[0].begun.wait(10)
    assert works[1].begun.wait(10)
    assert [(thread.name, thread.daemon) for thread in pool._workers] == [("sig-test", True)] * 2
    assert not works[2].begun.is_set()
    works[0].end.set()
    assert works[2].begun.wait(10)
    for work in works:
        work.end.set()
        assert work.done.wait(10)


def test_what_the_threads_may_be_waiting_for_gets_one_beyond(pool: Pool) -> None:
    works, beyond, late = [Work() for _ in range(2)], [Work() for _ in range(2)], Work()
    for work in works:
        pool.submit(work)
        assert work.begun.wait(10)
    for work in beyond:
        pool.submit(work, beyond=True)
    pool.submit(late)
    for work in beyond:
        assert work.begun.wait(10)
    assert not late.begun.is_set()
    works[0].end.set()
    assert late.begun.wait(10)
    for work in (*works, *beyond, late):
        work.end.set()
        assert work.done.wait(10)


def test_an_idle_thread_is_used_again(pool: Pool) -> None:
    threads: list[int] = []
    idle = threading.Semaphore(0)

    class Told(list[Any]):
        def append(self, worker: Any) -> None:
            super().append(worker)
            idle.release()

    pool._asleep = Told()
    for _ in range(3):
        pool.submit(lambda: threads.append(threading.get_ident()))
        assert idle.acquire(timeout=10)
    assert len(threads) == 3
    assert len({*threads}) == 1


def test_work_that_raises_is_logged_and_its_thread_goes_on(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    last = Work()
    last.end.set()
    pool._size = 1
    pool.submit(lambda: 1 / 0)
    pool.submit(last)
    assert last.done.wait(10)
    assert "work in sig-test failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# Not ours: Python itself says nothing of a SystemExit in a thread.
thread_may_exit = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@thread_may_exit
def test_work_that_ends_its_thread_does_not_end_the_work_behind_it(pool: Pool) -> None:
    last = Work()
    last.end.set()
    pool._size = 1
    hold = Work()

    def leave() -> None:
        hold()
        raise SystemExit

    pool.submit(leave)
    assert hold.begun.wait(10)
    pool.submit(last)
    hold.end.set()
    assert last.done.wait(10)


@thread_may_exit
def test_a_thread_that_ends_with_nothing_behind_it_is_forgotten(pool: Pool) -> None:
    def leave() -> None:
        raise SystemExit

    pool.submit(leave)
    [thread] = pool._workers
    thread.join(10)
    assert pool._workers == {}


def test_a_thread_without_work_ends_after_a_while(pool: Pool) -> None:
    pool.IDLE_S = 0.01
    work = Work()
    work.end.set()
    pool.submit(work)
    [thread] = pool._workers
    assert work.done.wait(10)
    thread.join(10)
    assert not thread.is_alive()
    assert (pool._workers, pool._asleep, pool._called) == ({}, [], None)


def test_work_that_comes_in_the_moment_in_which_a_thread_gives_up_is_done() -> None:
    """It has slept long enough; before it can say so, it is called."""
    work = Work()
    work.end.set()

    class Late(Pool):
        IDLE_S = 0.001

        def _overslept(self, me: Any) -> bool:
            if not work.begun.is_set():
                self.submit(work)
            return super()._overslept(me)

    pool = Late(1, "sig-test")
    pool.submit(lambda: None)
    assert work.done.wait(10)
    pool.close(10)


# -- together ------------------------------------------------------------------------------------


def test_work_that_lasts_holds_up_nobody(pool: Pool) -> None:
    """Each of them waits for all the others: as many threads come as there are."""
    pool._size = 8
    together = threading.Barrier(8)
    done = threading.Semaphore(0)

    def meet() -> None:
        together.wait(10)
        done.release()

    for _ in range(16):
        pool.submit(meet)
    for _ in range(16):
        assert done.acquire(timeout=10)


class Patient(Pool):
    """One whose moment is long."""

    def __init__(self) -> None:
        super().__init__(2, "sig-test")
        self.dozing = threading.Event()

    def _moment(self) -> float:
        if not any(worker.begun for worker in self._workers.values()):
            return 0.0
        self.dozing.set()
        return 1000.0


def test_short_work_that_comes_together_is_done_by_one_thread() -> None:
    pool, first, done = Patient(), Work(), threading.Semaphore(0)
    pool.submit(first)
    assert first.begun.wait(10)
    threads: list[int] = []

    def note() -> None:
        threads.append(threading.get_ident())
        done.release()

    for _ in range(50):
        pool.submit(note)
    assert pool.dozing.wait(10)
    first.end.set()
    for _ in range(50):
        assert done.acquire(timeout=10)
    assert len({*threads}) == 1
    pool.close(10)


def test_a_thread_that_waits_whether_others_do_the_work_comes_at_once_when_they_are_idle() -> None:
    pool, first, second, last = Patient(), Work(), Work(), Work()
    second.end.set()
    last.end.set()
    pool.submit(first)
    assert first.begun.wait(10)
    pool.submit(second)
    assert pool.dozing.wait(10)
    assert not second.begun.is_set()
    first.end.set()
    assert second.done.wait(10)
    pool.submit(last)
    assert last.done.wait(10)
    pool.close(10)


def test_it_ends_with_the_pool() -> None:
    pool, first, second = Patient(), Work(), Work()
    pool.submit(first)
    assert first.begun.wait(10)
    pool.submit(second)
    assert pool.dozing.wait(10)
    pool.close(0)
    first.end.set()
    for thread in list(pool._workers):
        thread.join(10)
    assert (pool._workers, second.begun.is_set()) == ({}, False)


def test_close_waits_for_what_runs_and_forgets_what_waits(pool: Pool) -> None:
    running, waiting = Work(), Work()
    pool._size = 1
    pool.submit(running)
    assert running.begun.wait(10)
    forgotten = threading.Event()

    class Told(deque[Any]):
        def clear(self) -> None:
            super().clear()
            forgotten.set()

    pool._work = Told()
    pool.submit(waiting)
    closing = threading.Thread(target=pool.close, args=(10,))
    closing.start()
    assert forgotten.wait(10)
    running.end.set()
    closing.join(10)
    assert not closing.is_alive()
    assert running.done.is_set()
    assert not waiting.begun.is_set()
    assert pool._workers == {}


def test_a_closed_pool_takes_nothing(pool: Pool) -> None:
    pool.close(1)
    pool.close(1)
    with pytest.raises(Closed, match="the worker threads of sig-test have ended"):
        pool.submit(lambda: None)


def test_what_will_not_end_is_named_in_the_log(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    pool.submit(work)
    assert work.begun.wait(10)
    pool.close(0)
    assert "a worker of sig-test is still busy after 0 s; it is left to itself" in caplog.text
    work.end.set()


def test_the_pool_can_be_closed_by_its_own_work(pool: Pool) -> None:
    closed = threading.Event()

    def close() -> None:
        pool.close(10)
        closed.set()

    pool.submit(close)
    assert closed.wait(10)


def no_more_threads(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_without_any_thread_the_work_is_refused_and_later_work_is_not(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, work = Work(), Work()
    work.end.set()
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(refused)
    pool.submit(work)
    assert work.done.wait(10)
    assert not refused.begun.is_set()


def test_with_too_few_threads_the_work_waits(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Work(), Work()
    second.end.set()
    pool.submit(first)
    assert first.begun.wait(10)
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", no_more_threads)
        pool.submit(second)
    first.end.set()
    assert second.done.wait(10)


def test_many_submitters_lose_nothing(pool: Pool) -> None:
    done: list[int] = []
    pool.IDLE_S = 0.0001  # threads come and go all the time
    all_done = threading.Semaphore(0)

    def work(number: int) -> Callable[[], None]:
        def note() -> None:
            done.append(number)
            all_done.release()

        return note

    def submit(first: int) -> None:
        for number in range(first, first + 500):
            pool.submit(work(number))

    submitters = [threading.Thread(target=submit, args=(first,)) for first in (0, 500, 1_000)]
    for thread in submitters:
        thread.start()
    for thread in submitters:
        thread.join()
    for _ in range(1_500):
        assert all_done.acquire(timeout=10)
    assert sorted(done) == list(range(1_500))
