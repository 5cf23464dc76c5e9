"""Heartbeats: what two ends agree on, and that each link is looked at in time and at no cost in between."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import Limits
from sig.protocol.heartbeat import SHORTEST_S, Rounds, accepted, granted, own_rhythm

SECONDS = st.floats(0.001, 1e6)
TOLD = st.floats(0, 1e300)
WISH = st.none() | TOLD


def limits(heartbeat_s: float, timeout_s: float) -> Limits:
    return Limits.of(heartbeat_s=heartbeat_s, heartbeat_timeout_s=timeout_s)


def test_by_default_each_end_speaks_every_ten_seconds_and_is_gone_after_25() -> None:
    for rhythm in (own_rhythm(Limits()), granted(Limits(), None, None)):
        assert rhythm == (10, 25)
        assert (rhythm.period_s, rhythm.patience) == (5, 4)


@given(SECONDS, SECONDS, WISH, WISH)
def test_who_falls_silent_is_found_in_time_and_nobody_else(
    own: float, own_timeout: float, wish: float | None, wish_timeout: float | None
) -> None:
    rhythm = granted(limits(own, own_timeout), wish, wish_timeout)
    # Silent since just after a look, or just before one.
    assert (rhythm.patience + 1) * rhythm.period_s <= rhythm.timeout_s * (1 + 1e-9)
    # An end that speaks every heartbeat leaves one period silent, perhaps two; there is time for a PING and its answer.
    assert rhythm.patience >= 4


@given(SECONDS, SECONDS, WISH, WISH)
def test_a_server_never_grants_more_than_it_has_nor_much_less_than_is_asked_for(
    own: float, own_timeout: float, wish: float | None, wish_timeout: float | None
) -> None:
    limit = limits(own, own_timeout)
    heartbeat, timeout = granted(limit, wish, wish_timeout)
    assert timeout <= own_timeout
    assert heartbeat <= own
    longest = math.inf if wish_timeout is None else max(wish_timeout, SHORTEST_S)
    assert timeout <= longest
    assert timeout >= min(own_timeout, SHORTEST_S, 86_400)
    if wish is not None:
        assert heartbeat <= max(wish, SHORTEST_S)
    assert heartbeat >= min(own, SHORTEST_S, timeout / 2.5)


@given(st.lists(SECONDS, min_size=50, max_size=50))
def test_however_different_the_wishes_there_are_few_periods(wishes: list[float]) -> None:
    assert len({granted(Limits(), wish, None).period_s for wish in wishes}) <= 6


@pytest.mark.parametrize(
    ("heartbeat", "timeout", "agreed"),
    [
        (1, 2.5, (1, 2.5)),
        (10, 2.5, (1, 2.5)),
        (1, 25, (1, 25)),
        (0.1, 0.25, (0.1, 0.25)),
        (10, 1, (0.4, 1)),
    ],
)
def test_what_is_set_at_the_server_holds_for_its_clients(
    heartbeat: float, timeout: float, agreed: tuple[float, float]
) -> None:
    rhythm = granted(limits(heartbeat, timeout), None, None)
    assert rhythm == agreed
    assert accepted(limits(heartbeat, timeout), *rhythm) == agreed


def test_a_client_may_ask_for_less_down_to_a_second() -> None:
    assert granted(Limits(), 4, 1000) == (2.5, 25)
    assert granted(Limits(), 1000, 10) == (2.5, 6.25)
    assert granted(Limits(), 0.001, None) == (1, 25)
    assert granted(Limits(), None, 0) == (0.4, 1)


@given(SECONDS, SECONDS, st.floats(1e-300, 1e300), TOLD)
def test_no_server_makes_a_client_busy_or_deaf(own: float, own_timeout: float, told: float, timeout: float) -> None:
    rhythm = accepted(limits(own, own_timeout), told, timeout)
    assert rhythm is not None
    assert min(own_rhythm(limits(own, own_timeout)).heartbeat_s, 0.4) <= rhythm.heartbeat_s <= 86_400 / 2.5
    assert rhythm.patience >= 4


def test_what_a_server_tells_holds() -> None:
    assert accepted(Limits(), 0, 25) is None
    assert accepted(Limits(), 60, 150) == (60, 150)
    assert accepted(Limits(), 1, 0) == (1, 2.5)


# Rounds


def test_each_is_due_a_period_after_it_has_come_and_then_again() -> None:
    rounds: Rounds[str] = Rounds()
    assert rounds.due == math.inf
    rounds.enter("a", 5, 100)
    rounds.enter("b", 5, 102)
    rounds.enter("quick", 1, 102.5)
    seen = []
    while rounds.due < 113:
        now = rounds.due
        seen.append((now, rounds.take(now)))
    assert [who for now, taken in seen for who in taken if who == "quick"] == ["quick"] * 10
    assert [(now, who) for now, taken in seen for who in taken if who != "quick"] == [
        (105, "a"),
        (107, "b"),
        (110, "a"),
        (112, "b"),
    ]


def test_nobody_is_due_before_time() -> None:
    rounds: Rounds[str] = Rounds()
    rounds.enter("a", 5, 100)
    assert rounds.take(104) == []
    assert rounds.due == 105


def test_who_has_left_is_not_looked_at() -> None:
    rounds: Rounds[str] = Rounds()
    rounds.enter("a", 5, 100)
    rounds.enter("b", 5, 100)
    rounds.enter("c", 1, 100)
    rounds.leave("c")
    rounds.leave("a")
    rounds.leave("never came")
    assert rounds.take(105) == ["b"]
    rounds.leave("b")
    assert rounds.take(200) == []
    assert rounds.due == math.inf


def test_many_share_a_look() -> None:
    """A timer for each of ten thousand would wake somebody two thousand times in a second."""
    rounds: Rounds[int] = Rounds()
    for number in range(10_000):
        rounds.enter(number, 5, 100 + number / 2000)
    looks: dict[int, list[float]] = {number: [] for number in range(10_000)}
    count = 0
    while rounds.due < 130:
        now = rounds.due
        count += 1
        for number in rounds.take(now):
            looks[number].append(now)
    assert count <= 64 * 6
    gaps = [after - before for times in looks.values() for before, after in pairwise(times)]
    assert min(gaps) >= 5 * (1 - 1 / 64) - 1e-9
    assert max(gaps) <= 5 + 1e-9


def test_a_late_look_is_one_look() -> None:
    """Whoever was stopped for an hour has not seen an hour of silence."""
    rounds: Rounds[str] = Rounds()
    rounds.enter("a", 5, 100)
    assert rounds.take(3700) == ["a"]
    assert rounds.take(3700) == []
    assert rounds.due == 3705
