"""Subscriptions and targets find each other: as a walk over all of them would, in the documented order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sig.index import Bucket, Index, rank
from sig.names import matches


@dataclass(frozen=True)
class Sub:
    sender: str | None
    event: str | None
    serial: int


@dataclass(frozen=True)
class Spot:
    sender: str
    event: str


class Table(Index["Bucket[Sub]", Sub, Spot]):
    def __init__(self) -> None:
        super().__init__(Bucket)


LEVELS = st.sampled_from(["a", "b"])
NAMES = st.lists(LEVELS, min_size=1, max_size=3).map("/".join)
EVENTS = NAMES | st.sampled_from(["#x", "#connect", "#audit"])
PATTERNS = st.tuples(st.lists(LEVELS | st.just("*"), max_size=2), LEVELS | st.sampled_from(["*", "**"])).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)
SENDER_SELECTORS = st.none() | NAMES | PATTERNS
EVENT_SELECTORS = st.none() | EVENTS | PATTERNS


def reaches(sub: Sub, spot: Spot) -> bool:
    return matches(sub.sender, spot.sender) and matches(sub.event, spot.event)


@settings(max_examples=200)  # fewer leave lines untried
@given(st.data())
def test_both_directions_agree_with_a_walk_over_everything(data: st.DataObject) -> None:
    table = Table()
    subs: list[Sub] = []
    spots: list[Spot] = []
    for serial in range(data.draw(st.integers(0, 14), "steps")):
        what = data.draw(st.sampled_from(["listen", "close", "arrive", "leave"]))
        if what == "listen":
            sub = Sub(data.draw(SENDER_SELECTORS), data.draw(EVENT_SELECTORS), serial)
            subs.append(sub)
            assert set(table.add(sub)) == {spot for spot in spots if reaches(sub, spot)}
        elif what == "close" and subs:
            sub = subs.pop(data.draw(st.integers(0, len(subs) - 1)))
            assert set(table.remove(sub)) == {spot for spot in spots if reaches(sub, spot)}
        elif what == "arrive":
            spot = Spot(data.draw(NAMES), data.draw(EVENTS))
            if spot not in spots:
                spots.append(spot)
                table.add_target(spot)
        elif what == "leave" and spots:
            table.remove_target(spots.pop(data.draw(st.integers(0, len(spots) - 1))))

    assert table.count == len(subs)
    assert table.all() == sorted(subs, key=lambda sub: sub.serial)
    for spot in spots:
        assert table.target(spot.sender, spot.event) is spot
        heard = [sub for sub in subs if reaches(sub, spot)]
        assert table.matching(spot.sender, spot.event) == sorted(
            heard, key=lambda sub: (rank(sub.sender, sub.event), sub.serial)
        )
    # What nobody has entered is found just as well: presence is no target.
    elsewhere = Spot(data.draw(NAMES), data.draw(EVENTS))
    assert set(table.matching(elsewhere.sender, elsewhere.event)) == {sub for sub in subs if reaches(sub, elsewhere)}
    sub = Sub(data.draw(SENDER_SELECTORS), data.draw(EVENT_SELECTORS), -1)
    found = table.targets(sub.sender, sub.event)
    assert set(found) == {spot for spot in spots if reaches(sub, spot)}
    assert len(set(found)) == len(found)


@given(
    st.lists(st.tuples(SENDER_SELECTORS, EVENT_SELECTORS), max_size=8), st.lists(st.tuples(NAMES, EVENTS), max_size=8)
)
def test_nothing_stays_when_all_have_gone(selectors: list[tuple[str, str]], names: list[tuple[str, str]]) -> None:
    table = Table()
    subs = [Sub(*selector, serial) for serial, selector in enumerate(selectors)]
    spots = [Spot(*name) for name in dict.fromkeys(names)]
    for sub in subs:
        table.add(sub)
    for spot in spots:
        table.add_target(spot)
    for spot in spots:
        table.remove_target(spot)
    for sub in subs:
        table.remove(sub)
    assert table.count == 0
    assert not table._plain
    assert table._of_any.any is None
    for tree in (table._of_any.tree, table._of_senders, table._senders, table._events):
        assert len(tree) == 0


@pytest.mark.parametrize(
    ("sender", "event", "place"),
    [
        (None, None, 0),
        ("a", None, 1),
        (None, "x", 2),
        ("a/*", None, 2),
        ("a", "*", 2),
        ("*", "x", 2),
        (None, "*", 2),
        ("a", "x", 3),
    ],
)
def test_the_order_is_broadcasts_senders_channels_and_patterns_specific(
    sender: str | None, event: str | None, place: int
) -> None:
    assert rank(sender, event) == place


def test_a_bucket_holds_those_of_one_selector_in_order() -> None:
    table = Table()
    first, second = Sub("a", "x", 1), Sub("a", "x", 2)
    assert table.bucket("a", "x") is None
    assert table.bucket("a/*", "x") is None
    table.add(second)
    table.add(first)
    bucket = table.bucket("a", "x")
    assert bucket is not None
    assert list(bucket.subscriptions.values()) == [second, first]
    for sub in (Sub("a", None, 3), Sub("b", "x", 4), Sub("a", "*", 5), Sub("a/*", "x", 6), Sub("a/*", None, 7)):
        table.add(sub)
        found = table.bucket(sub.sender, sub.event)
        assert found is not None
        assert list(found.subscriptions.values()) == [sub]
    assert table.buckets("a") == [bucket, table.bucket("a", None)]


def test_a_bucket_that_is_asked_for_is_made_but_not_entered() -> None:
    table = Table()
    assert not table.make("a", "x").subscriptions
    assert table.bucket("a", "x") is None


def test_removing_what_is_not_there_does_nothing() -> None:
    table = Table()
    table.add_target(Spot("a", "x"))
    table.add(Sub("a", "x", 1))
    assert table.remove(Sub("a", "x", 2)) == []
    assert table.remove(Sub("b", "x", 1)) == []
    table.remove_target(Spot("a", "y"))
    table.remove_target(Spot("b", "x"))
    assert table.count == 1
    assert table.target("a", "x") is not None
    assert table.target("a", "y") is None
    assert table.target("b", "x") is None


def test_the_successor_of_a_target_stays_when_it_is_removed_late() -> None:
    table = Table()
    old, new = Spot("a", "x"), Spot("a", "x")
    table.add_target(old)
    table.add_target(new)
    table.remove_target(old)
    assert table.target("a", "x") is new
    assert table.targets(None, "x")[0] is new


@settings(max_examples=200)  # fewer leave lines untried
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30), SENDER_SELECTORS, EVENT_SELECTORS)
def test_targets_of_one_name_are_all_found_as_long_as_they_are_there(
    steps: list[tuple[int, bool]], sender: str | None, event: str | None
) -> None:
    table = Table()
    spots = [Spot("a", "x"), Spot("a", "y")]
    there: list[Spot] = []
    for number, comes in steps:
        # Equal ones are told apart.
        spot = Spot(spots[number % 2].sender, spots[number % 2].event)
        same = [other for other in there if other == spot]
        if comes:
            table.add_target(spot, beside=True)
            there.append(spot)
        elif same:
            gone = same[number % len(same)]
            table.remove_target(gone)
            there = [other for other in there if other is not gone]
        table.remove_target(Spot("a", "x"))  # one that never was there
        assert table.target("a", "x") is next((s for s in there if s.event == "x"), None) or there
        for one in spots:
            assert {id(s) for s in table.alike(one.sender, one.event)} == {id(s) for s in there if s == one}
        reached = [s for s in there if matches(sender, s.sender) and matches(event, s.event)]
        assert sorted(map(id, table.targets(sender, event))) == sorted(map(id, reached))
