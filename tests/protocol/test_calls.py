"""Replies find their calls, each exactly once."""

from __future__ import annotations

from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import ConnectionLost, Overloaded, SigError
from sig.protocol.calls import Calls, Done, Waiting


class Waiter:
    def __init__(self) -> None:
        self.got: list[tuple[object, BaseException | None]] = []

    def __call__(self, value: object, error: BaseException | None) -> None:
        self.got.append((value, error))


def late(number: int, call: Waiting[str]) -> SigError:
    return ConnectionLost(f"{call.what} {number} took too long")


def made(limit: int = 10) -> Calls[str]:
    return Calls(limit, late)


def ask(calls: Calls[str], done: Done, deadline: float, about: Hashable = None) -> int:
    return calls.open(done, deadline, "call", about)


def test_an_answer_finds_its_call() -> None:
    calls, first, second = made(), Waiter(), Waiter()
    a, b = ask(calls, first, 10, "x"), ask(calls, second, 10)
    assert (a != b, calls.find(99)) == (True, None)
    assert [call.about for number in (a, b) if (call := calls.find(number)) is not None] == ["x", None]
    assert calls.succeed(b, 2)
    assert calls.succeed(a, 1)
    assert (first.got, second.got, len(calls)) == ([(1, None)], [(2, None)], 0)


def test_a_second_answer_is_late() -> None:
    calls, waiter = made(), Waiter()
    number = ask(calls, waiter, 10)
    assert calls.succeed(number, 1)
    assert not calls.succeed(number, 2)
    assert not calls.fail(number, ConnectionLost("x"))
    assert (waiter.got, calls.late) == ([(1, None)], 2)


def test_a_call_that_was_given_up_is_not_answered() -> None:
    calls, waiter = made(), Waiter()
    number = ask(calls, waiter, 10)
    given_up = calls.forget(number)
    assert given_up is not None
    assert (given_up.what, given_up.deadline) == ("call", 10)
    assert calls.forget(number) is None
    assert not calls.succeed(number, 1)
    assert waiter.got == []


def test_time_is_up_in_order_and_not_before() -> None:
    calls, slow, fast = made(), Waiter(), Waiter()
    a = ask(calls, slow, 20)
    b = ask(calls, fast, 10)
    assert calls.next_deadline() == 10
    assert calls.handle_timeout(9.9) == []
    assert calls.handle_timeout(10) == [b]
    assert calls.next_deadline() == 20
    assert calls.handle_timeout(30) == [a]
    assert calls.next_deadline() is None
    assert [str(error) for _, error in fast.got] == [f"call {b} took too long"]


def test_an_answered_call_has_no_deadline() -> None:
    calls = made()
    calls.succeed(ask(calls, Waiter(), 5), 1)
    assert calls.next_deadline() is None


def test_all_about_one_thing_fail_together() -> None:
    calls, one, other = made(), Waiter(), Waiter()
    ask(calls, one, 10, 1)
    ask(calls, other, 10, 2)
    calls.fail_about(1, ConnectionLost("gone"))
    assert (len(one.got), len(other.got)) == (1, 0)
    calls.fail_all(ConnectionLost("all gone"))
    assert len(other.got) == 1


def test_beyond_the_limit_nothing_is_opened() -> None:
    calls = made(2)
    ask(calls, Waiter(), 10)
    ask(calls, Waiter(), 10)
    with pytest.raises(Overloaded, match="2 requests"):
        ask(calls, Waiter(), 10)
    assert len(calls) == 2


def test_numbers_go_round_and_are_not_given_twice() -> None:
    calls = made()
    calls._last = 0xFFFFFFFE
    numbers = [ask(calls, Waiter(), 10) for _ in range(3)]
    assert numbers == [0xFFFFFFFF, 1, 2]
    calls._last = 0
    assert ask(calls, Waiter(), 10) == 3


def test_an_answer_is_taken_by_whom_it_is_about() -> None:
    calls, waiter = made(), Waiter()
    number = ask(calls, waiter, 10, "x")
    assert (calls.take(number, "y"), calls.take(99, "x"), calls.late) == (None, None, 2)
    call = calls.take(number, "x")
    assert call is not None
    assert (call.done, call.what, len(calls)) == (waiter, "call", 0)
    assert calls.take(number, "x") is None


def test_what_a_call_is_about_may_be_said_later() -> None:
    calls, waiter = made(), Waiter()
    call = calls.find(ask(calls, waiter, 10))
    assert call is not None
    call.about = "x"
    calls.fail_about("x", ConnectionLost("gone"))
    assert len(waiter.got) == 1


def test_calls_that_ended_long_before_their_deadline_cost_one_look() -> None:
    calls, waiter = made(), Waiter()
    for _ in range(1000):
        calls.succeed(ask(calls, Waiter(), 100), 1)
    ask(calls, waiter, 200)
    assert calls.next_deadline() == 100
    assert (calls.handle_timeout(100), calls.next_deadline()) == ([], 200)
    assert (calls.handle_timeout(200), len(waiter.got)) == ([1001], 1)


def test_whoever_is_told_that_time_is_up_may_give_up_others() -> None:
    calls, other = made(), Waiter()
    numbers: list[int] = []
    numbers.append(ask(calls, lambda value, error: calls.forget(numbers[1]), 5))
    numbers.append(ask(calls, other, 6))
    calls.handle_timeout(7)
    assert (other.got, calls.next_deadline()) == ([], None)


def test_whoever_is_answered_may_ask_again_at_once() -> None:
    calls = made(1)
    got: list[object] = []
    ask(calls, lambda value, error: got.append(ask(calls, Waiter(), 10)), 5)
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
    calls, now = made(1000), 0
    waiting: dict[int, int] = {}  # number -> deadline
    for what, value in acts:
        if what == "open":
            number = ask(calls, Waiter(), now + value)
            waiting[number] = now + value
        elif what == "time":
            now += value
            over = calls.handle_timeout(now)
            assert over == sorted(over, key=lambda number: waiting[number])
            assert [n for n, deadline in waiting.items() if deadline <= now] == sorted(over)
            for number in over:
                del waiting[number]
        else:
            act = {"succeed": calls.succeed, "fail": calls.fail}.get(what, lambda number, _: bool(calls.forget(number)))
            assert act(value, ConnectionLost("x")) == (value in waiting)
            waiting.pop(value, None)
        assert len(calls) == len(waiting)
        soonest, told = min(waiting.values(), default=None), calls.next_deadline()
        assert (told is None) == (soonest is None)
        if told is not None and soonest is not None:
            # Too early costs a look, and is right from then on.
            assert told <= soonest
            assert calls.handle_timeout(min(told, soonest - 1)) == []
            assert told < soonest or calls.next_deadline() == soonest
