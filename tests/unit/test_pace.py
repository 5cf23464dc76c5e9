"""What a listener tells the server that keeps events for it."""

from __future__ import annotations

from sig.pace import Pace


def paced(window: int) -> tuple[Pace, list[int]]:
    granted: list[int] = []
    return Pace(window, granted.append), granted


def test_half_a_window_is_granted_at_once() -> None:
    pace, granted = paced(6)
    pace.come(6)
    for _ in range(4):
        assert pace.begin()
    assert (granted, pace.begun, pace.window) == ([3], 4, 6)


def test_all_that_is_here_is_granted_however_little_it_is() -> None:
    pace, granted = paced(16)
    pace.come(2)
    assert pace.begin()
    assert granted == []
    assert pace.begin()
    assert granted == [2]


def test_a_gap_counts_once_all_before_it_has_been_begun() -> None:
    pace, granted = paced(4)
    pace.miss(1)
    assert granted == [1]
    pace.come(1)
    pace.miss(7)
    assert granted == [1]
    assert pace.begin()
    assert (granted, pace.begun) == ([1, 8], 1)
    assert pace.close() == 9


def test_who_rests_asks_for_no_more_and_begins_what_is_here() -> None:
    pace, granted = paced(2)
    pace.come(2)
    pace.rest()
    assert pace.begin()
    assert pace.begin()
    pace.miss(1)
    assert (granted, pace.close()) == ([], 3)


def test_after_the_end_nothing_begins() -> None:
    pace, granted = paced(2)
    pace.come(2)
    assert pace.begin()
    assert pace.close() == 1
    assert not pace.begin()
    pace.miss(5)
    assert (granted, pace.begun, pace.close()) == ([1], 1, 1)
