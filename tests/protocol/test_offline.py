"""What is triggered without a link: kept in order, or dropped and counted, or refused with a sentence."""

from __future__ import annotations

import pytest

from sig.errors import ConnectionLost
from sig.protocol.offline import Kept, Offline

WHY = "the server closed the link"


def kept(number: int, event: str = "e") -> Kept:
    return Kept("s", event, b"%010d" % number)


def offline(policy: str = "buffer") -> Offline:
    made = Offline(policy, limit_bytes=30, kept_s=5)
    made.begin(100.0, [])
    return made


def test_what_is_kept_leaves_in_order_and_once() -> None:
    away = Offline("buffer", limit_bytes=30, kept_s=5)
    away.begin(100.0, [kept(1)])  # had not left when the link was lost
    away.add(kept(2), 101.0, WHY)
    assert len(away) == 2
    assert away.take(104.9) == [kept(1), kept(2)]
    assert (away.take(104.9), len(away), away.dropped, away.losses(104.9)) == ([], 0, 0, {})


def test_above_the_limit_nothing_is_accepted_and_nothing_lost() -> None:
    away = offline()
    for number in (1, 2, 3):
        away.add(kept(number), 101.0, WHY)
    with pytest.raises(
        ConnectionLost, match=rf"event 'e' of 's' was not accepted: {WHY}, and 30 bytes .* wait already"
    ):
        away.add(kept(4), 101.0, WHY)
    assert away.take(101.0) == [kept(1), kept(2), kept(3)]
    away.add(kept(5), 101.0, WHY)  # there is room again


def test_what_is_too_old_is_dropped_and_counted() -> None:
    away = offline()
    away.add(kept(1), 101.0, WHY)
    with pytest.raises(ConnectionLost, match=r"away for more than 5 s \(offline_s\)"):
        away.add(kept(2), 105.0, WHY)
    assert (away.dropped, away.losses(105.0)) == (1, {("s", "e"): 1})
    away.begin(200.0, [])
    away.add(kept(3), 200.0, WHY)
    away.add(kept(3, "f"), 200.0, WHY)
    assert away.losses(205.0) == {("s", "e"): 2, ("s", "f"): 1}
    assert away.take(205.0) == []
    away.settle()
    assert (away.losses(206.0), away.dropped) == ({}, 3)


def test_of_too_much_that_waited_for_the_link_the_oldest_is_lost() -> None:
    """It is told as lost before what is kept."""
    away = Offline("buffer", limit_bytes=30, kept_s=5)
    away.begin(100.0, [kept(number) for number in range(5)])
    assert away.losses(101.0) == {("s", "e"): 2}
    assert away.take(101.0) == [kept(2), kept(3), kept(4)]


def test_once_the_losses_are_told_nothing_is_lost_until_the_link_is_in_use() -> None:
    away = offline()
    away.add(kept(1), 101.0, WHY)
    assert away.losses(104.0) == {}
    away.add(kept(2), 105.0, WHY)
    away.settle()
    assert away.take(106.0) == [kept(1), kept(2)]
    dropping = offline("drop")
    dropping.add(kept(1), 101.0, WHY)
    assert dropping.losses(101.0) == {("s", "e"): 1}
    dropping.add(kept(2), 101.0, WHY)
    dropping.settle()
    assert (dropping.take(101.0), dropping.losses(101.0)) == ([kept(2)], {})


def test_where_the_new_link_is_lost_before_it_was_in_use_time_goes_on() -> None:
    away = offline()
    away.add(kept(1), 101.0, WHY)
    assert away.losses(104.0) == {}
    away.again()
    assert away.losses(105.0) == {("s", "e"): 1}


def test_time_is_up_when_it_is_taken() -> None:
    away = offline()
    away.add(kept(1), 101.0, WHY)
    assert away.take(105.0) == []
    assert away.dropped == 1


def test_dropping_counts_each_event_also_those_that_waited_for_the_link() -> None:
    away = Offline("drop", limit_bytes=30, kept_s=5)
    away.begin(100.0, [kept(1)])
    away.add(kept(2), 1000.0, WHY)
    assert (len(away), away.dropped, away.losses(1000.0)) == (0, 2, {("s", "e"): 2})


def test_raising_accepts_nothing() -> None:
    with pytest.raises(ConnectionLost, match=r"offline='raise'"):
        offline("raise").add(kept(1), 100.0, WHY)


def test_what_is_kept_of_who_leaves_stays_in_its_place_and_tells_whose_it_was() -> None:
    away = Offline("buffer", limit_bytes=100, kept_s=5)
    away.begin(100.0, [kept(1), kept(1, "f")])
    away.leave("s", "e", 7)
    away.add(kept(2), 101.0, WHY)
    away.leave("s", "e", -1)
    away.add(kept(3), 101.0, WHY)
    assert [one.of for one in away.take(102.0)] == [7, None, -1, None]


@pytest.mark.parametrize(("policy", "told", "dropped"), [("buffer", False, 0), ("raise", False, 1), ("drop", True, 0)])
def test_what_was_accepted_and_is_known_late_is_kept_where_it_can_be_or_dropped_and_counted(
    policy: str, told: bool, dropped: int
) -> None:
    away = offline(policy)
    if told:
        away.losses(101.0)
    away.add_late(kept(1))
    assert (len(away), away.dropped) == (1 - dropped, dropped)
