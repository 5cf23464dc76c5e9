"""The tail of a burst: what nobody sends any more is sent a moment later, on a thread of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from net.raw import LIMIT_S

from sig.drivers.tail import Tail


class Flushed:
    """What `flush` does: takes what has been gathered, and tells when enough has come."""

    def __init__(self, enough: int = 1) -> None:
        self.gathered: list[Any] = []
        self.sent: list[Any] = []
        self.threads: list[threading.Thread] = []
        self.done = threading.Event()
        self._enough = enough

    def __call__(self) -> None:
        count = len(self.gathered)
        self.sent += self.gathered[:count]
        del self.gathered[:count]
        self.threads.append(threading.current_thread())
        if len(self.sent) >= self._enough:
            self.done.set()


def gather(tail: Tail, flushed: Flushed, item: object) -> None:
    """As `trigger` does."""
    flushed.gathered.append(item)
    if not tail.armed:
        tail.arm()


def tails() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sig-tail"]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = tails()
    yield
    assert tails() == before


def end(tail: Tail) -> None:
    tail.close()
    tail.join(LIMIT_S)


def test_nothing_runs_until_somebody_needs_it() -> None:
    tail = Tail(Flushed())
    assert (tail.armed, tail.gate) == (False, 0.0)
    assert tails() == []
    end(tail)


def test_what_is_gathered_is_sent_by_itself_and_on_one_thread() -> None:
    flushed = Flushed()
    tail = Tail(flushed)
    for number in range(3):
        gather(tail, flushed, number)
        assert flushed.done.wait(LIMIT_S)
        flushed.done.clear()
    assert flushed.sent == [0, 1, 2]
    assert len(set(flushed.threads)) == 1
    assert flushed.threads[0] is not threading.current_thread()
    end(tail)


def test_what_is_gathered_while_it_sends_is_sent_too() -> None:
    """`armed` goes before the sending: who gathers behind it arms anew."""
    seen: list[bool] = []
    again = threading.Event()

    def flush() -> None:
        seen.append(tail.armed)
        if len(seen) == 1:
            tail.arm()
        else:
            again.set()

    tail = Tail(flush)
    tail.arm()
    assert again.wait(LIMIT_S)
    end(tail)
    assert seen[:2] == [False, False]


def test_as_long_as_the_gate_moves_on_it_leaves_sending_to_those_who_trigger() -> None:
    passed: list[bool] = []
    done = threading.Event()

    def flush() -> None:
        passed.append(time.monotonic() >= tail.gate)
        done.set()

    tail = Tail(flush)
    tail.gate = time.monotonic() + 0.02
    tail.arm()
    tail.gate = time.monotonic() + 0.1
    assert done.wait(LIMIT_S)
    end(tail)
    assert all(passed)


@pytest.mark.parametrize("threads", [1, 4])
def test_all_that_many_threads_gather_is_sent_though_nobody_triggers_any_more(threads: int) -> None:
    each = 500
    flushed = Flushed(threads * each)
    tail = Tail(flushed)
    begin = threading.Barrier(threads)

    def trigger(name: int) -> None:
        begin.wait(LIMIT_S)
        for number in range(each):
            gather(tail, flushed, (name, number))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=trigger, args=(name,)) for name in range(threads)]
        for worker in workers:
            worker.start()
        assert flushed.done.wait(LIMIT_S)
    finally:
        sys.setswitchinterval(interval)
    for worker in workers:
        worker.join(LIMIT_S)
    end(tail)
    for name in range(threads):
        assert [number for whose, number in flushed.sent if whose == name] == list(range(each))


def test_closing_shuts_the_gate_and_ends_the_thread() -> None:
    flushed = Flushed()
    tail = Tail(flushed)
    gather(tail, flushed, 1)
    assert flushed.done.wait(LIMIT_S)
    tail.gate = 1e9
    tail.close()
    tail.close()
    assert tail.gate == 0.0
    tail.join(LIMIT_S)
    tail.join(LIMIT_S)
    sent = len(flushed.threads)
    tail.arm()
    assert not tail.armed
    assert len(flushed.threads) == sent


def test_one_that_is_armed_may_be_closed() -> None:
    sending, go_on = threading.Event(), threading.Event()

    def flush() -> None:
        sending.set()
        assert go_on.wait(LIMIT_S)

    tail = Tail(flush)
    tail.arm()
    assert sending.wait(LIMIT_S)
    tail.arm()  # while it sends
    tail.close()
    go_on.set()
    tail.join(LIMIT_S)


def test_its_own_thread_may_close_it_and_does_not_wait_for_itself() -> None:
    closed = threading.Event()

    def flush() -> None:
        end(tail)
        closed.set()

    tail = Tail(flush)
    tail.arm()
    assert closed.wait(LIMIT_S)
    tail.join(LIMIT_S)


def test_where_there_is_no_thread_to_be_had_it_can_still_be_closed_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    flushed = Flushed()
    tail = Tail(flushed)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            gather(tail, flushed, 1)
    assert not tail.armed
    gather(tail, flushed, 2)
    assert flushed.done.wait(LIMIT_S)
    end(tail)
    assert flushed.sent == [1, 2]
