"""Nobody waits for longer than a moment without looking for signals."""

from __future__ import annotations

import threading

import pytest

import sig
from sig.drivers.waiting import TURN_S, Answer, Flag, wait_in_turns


@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_what_is_long_in_coming_is_waited_for_in_turns(timeout: float | None) -> None:
    asked: list[float] = []

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) == 5

    assert wait_in_turns(wait, timeout)
    assert asked == [TURN_S] * 5


@pytest.mark.parametrize("timeout", [0.0, -1.0, 0.001])
def test_a_wait_ends_in_time_and_has_looked_at_least_once(timeout: float) -> None:
    asked: list[float] = []
    never = threading.Event()

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        return never.wait(seconds)

    assert not wait_in_turns(wait, timeout)
    assert asked
    assert max(asked) <= max(0.0, timeout)


def test_a_flag_is_waited_for() -> None:
    flag = Flag()
    assert not flag.wait(0)
    threading.Thread(target=flag.set).start()
    assert flag.wait()
    assert flag.wait(0)


def test_an_answer_is_given_once() -> None:
    answer = Answer()
    assert not answer.wait(-1)
    answer.give(5)
    answer.give(6, ZeroDivisionError())
    assert answer.wait(0)
    assert answer.result() == 5


def test_who_are_given_the_same_error_each_raise_their_own() -> None:
    error = sig.ConnectionLost("gone")
    raised = []
    for _ in range(2):
        answer = Answer()
        answer.give(None, error)
        assert answer.wait(0)
        with pytest.raises(sig.ConnectionLost, match="gone") as caught:
            answer.result()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert error.__traceback__ is None
