"""Replies find their calls, each exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import ConnectionLost, Overloaded, SigError
from sig.protocol.calls import Calls


class Waiter:
    def __init__(self) -> None:
        self.got: list[tuple[object, BaseException | None]] = []

    def __call__(self, value: object, error: BaseException | None) -> None:
        self.got.append((value, error))


def late(number: int) -> SigError:
    return ConnectionLost(f"call {number} took too long")


def test_an_answer_finds_its_call() -> None:
    calls, first, second = Calls(10), Waiter(), Waiter()
    a, b = calls.open(first, 10, late, about="x"), calls.open(second, 10, late)
    assert (a != b, calls.about(a), calls.about(b), calls.about(99)) == (True, "x", None, None)
    assert calls.succeed(b, 2)
    assert calls.succeed(a, 1)
    assert (first.got, second.got, len(calls)) == ([(1, None)], [(2, None)], 0)


def test_a_second_answer_is_late() -> None:
    calls, waiter = Calls(10), Waiter()
    number = calls.open(waiter, 10, late)
    assert calls.succeed(number, 1)
    assert not calls.succeed(number, 2)
    assert not calls.fail(number, ConnectionLost("x"))
    assert (waiter.got, calls.late) == ([(1, None)], 2)


def test_a_call_that_was_given_up_is_not_answered() -> None:
    calls, waiter = Calls(10), Waiter()
    number = calls.open(waiter, 10, late)
    assert calls.forget(number)
    assert not calls.forget(number)
    assert not calls.succeed(number, 1)
    assert waiter.got == []


def test_time_is_up_in_order_and_not_before() -> None:
    calls, slow, fast = Calls(10), Waiter(), Waiter()
    a = calls.open(slow, 20, late)
    b = calls.open(fast, 10, late)
    assert calls.next_deadline() == 10
    assert calls.handle_timeout(9.9) == []
    assert calls.handle_timeout(10) == [b]
    assert calls.next_deadline() == 20
    assert calls.handle_timeout(30) == [a]
    assert calls.next_deadline() is None
    assert [str(error) for _, error in fast.got] == [f"call {b} took too long"]


def test_an_answered_call_has_no_deadline() -> None:
    calls = Calls(10)
    calls.succeed(calls.open(Waiter(), 5, late), 1)
    assert calls.next_deadline() is None


def test_all_about_one_thing_fail_together() -> None:
    calls, one, other = Calls(10), Waiter(), Waiter()
    calls.open(one, 10, late, about=1)
    calls.open(other, 10, late, about=2)
    calls.fail_about(1, ConnectionLost("gone"))
    assert (len(one.got), len(other.got)) == (1, 0)
    calls.fail_all(ConnectionLost("all gone"))
    assert len(other.got) == 1


def test_beyond_the_limit_nothing_is_opened() -> None:
    calls = Calls(2)
    calls.open(Waiter(), 10, late)
    calls.open(Waiter(), 10, late)
    with pytest.raises(Overloaded, match="2 requests"):
        calls.open(Waiter(), 10, late)
    assert len(calls) == 2


def test_numbers_go_round_and_are_not_given_twice() -> None:
    calls = Calls(10)
    calls._last = 0xFFFFFFFE
    numbers = [calls.open(Waiter(), 10, late) for _ in range(3)]
    assert numbers == [0xFFFFFFFF, 1, 2]
    calls._last = 0
    assert calls.open(Waiter(), 10, late) == 3


def test_calls_that_ended_long_before_their_deadline_leave_nothing() -> None:
    calls = Calls(10)
    for _ in range(1000):
        calls.succeed(calls.open(Waiter(), 600, late), 1)
    assert len(calls._deadlines) < 100
    waiter = Waiter()
    calls.open(waiter, 5, late)
    calls.handle_timeout(5)
    assert len(waiter.got) == 1


def test_what_a_call_is_about_may_be_said_later_while_it_waits() -> None:
    calls, waiter = Calls(10), Waiter()
    number = calls.open(waiter, 10, late)
    assert calls.set_about(number, "x")
    calls.fail_about("x", ConnectionLost("gone"))
    assert (len(waiter.got), calls.set_about(number, "y"), calls.about(number)) == (1, False, None)


def test_whoever_is_answered_may_ask_again_at_once() -> None:
    calls = Calls(1)
    got: list[object] = []
    calls.open(lambda value, error: got.append(calls.open(Waiter(), 10, late)), 5, late)
    calls.handle_timeout(5)
    assert (got, len(calls), calls.next_deadline()) == ([2], 1, 10)
    calls.fail_all(ConnectionLost("over"))
    assert len(calls) == 0


Act = st.one_of(
    st.tuples(st.just("open"), st.integers(1, 20)),
    st.tuples(st.sampled_from(["succeed", "fail", "forget", "time"]), st.integers(1, 30)),
)


@given(st.lists(Act, max_size=150))
def test_each_call_ends_once_and_by_its_deadline(acts: list[tuple[str, int]]) -> None:
    calls, now = Calls(1000), 0
    waiting: dict[int, int] = {}  # number -> deadline
    for what, value in acts:
        if what == "open":
            number = calls.open(Waiter(), now + value, late)
            waiting[number] = now + value
        elif what == "time":
            now += value
            over = calls.handle_timeout(now)
            assert over == sorted(over, key=lambda number: waiting[number])
            assert [n for n, deadline in waiting.items() if deadline <= now] == sorted(over)
            for number in over:
                del waiting[number]
        else:
            act = {"succeed": calls.succeed, "fail": calls.fail}.get(what, lambda number, _: calls.forget(number))
            assert act(value, ConnectionLost("x")) == (value in waiting)
            waiting.pop(value, None)
        assert (len(calls), calls.next_deadline()) == (len(waiting), min(waiting.values(), default=None))
        assert len(calls._deadlines) <= 65 + 2 * max(len(waiting), 1) + 1
