"""Nobody waits for longer than a moment without looking for signals."""

from __future__ import annotations

import threading

import pytest

from sig.drivers.waiting import TURN_S, Flag, wait_in_turns


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
