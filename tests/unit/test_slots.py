"""Whose turn it is, and who gets none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import Overloaded, RequestCancelled
from sig.slots import End, Lines, Slots, has_share


def filled(text: str) -> Lines[str]:
    """`"aab"`: two of `a`, then one of `b`."""
    lines: Lines[str] = Lines()
    for number, who in enumerate(text):
        lines.put(who, f"{who}{number}")
    return lines


def emptied(lines: Lines[str]) -> list[str]:
    return [lines.take() for _ in range(len(lines))]


def test_of_each_line_one_in_turn() -> None:
    assert emptied(filled("aaaaabbc")) == ["a0", "b5", "c7", "a1", "b6", "a2", "a3", "a4"]


def test_where_nobody_waits_there_is_nobody_to_take() -> None:
    with pytest.raises(IndexError):
        filled("").take()


def test_who_has_had_its_turn_comes_behind_those_who_wait() -> None:
    lines = filled("ab")
    assert lines.take() == "a0"
    lines.put("a", "again")
    assert emptied(lines) == ["b1", "again"]


def test_out_of_a_line_comes_only_what_is_in_it() -> None:
    lines = filled("aab")
    assert not lines.remove("a", "b2")
    assert not lines.remove("nobody", "b2")
    assert lines.remove("a", "a0")
    assert lines.remove("b", "b2")
    assert not lines.remove("b", "b2")
    assert emptied(lines) == ["a1"]


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_nobody_waits_for_more_than_one_of_each_other(text: list[str]) -> None:
    lines = filled("".join(text))
    waiting = {who: text.count(who) for who in text}
    taken = emptied(lines)
    for who in waiting:
        behind = [item[0] for item in taken]
        first = behind.index(who)
        assert all(behind[:first].count(other) <= 1 for other in waiting)
        own = [item for item in taken if item[0] == who]
        assert own == sorted(own, key=lambda item: int(item[1:]))
    assert sorted(taken) == sorted(f"{who}{number}" for number, who in enumerate(text))


@pytest.mark.parametrize(
    ("own", "others", "total", "expected"),
    [
        (9, 0, 9, True),  # below the limit whoever comes first
        (10, 0, 10, False),  # alone, all is its share
        (0, 1, 10, True),
        (4, 1, 14, True),
        (5, 1, 15, False),  # it has its share
        (0, 1, 20, False),  # twice is the end
        (0, 10, 12, False),  # a share of nothing
    ],
)
def test_beyond_the_limit_those_get_in_who_have_less_than_their_share(
    own: int, others: int, total: int, expected: bool
) -> None:
    assert has_share(own, others, total, 10) is expected


def test_lines_know_who_has_how_much() -> None:
    lines = filled("aaaa")
    assert not lines.allows("a", 4)
    assert lines.allows("b", 4)
    assert lines.allows("a", 5)


def test_slots_are_taken_and_handed_on() -> None:
    slots, said = Slots("s", 2, 10), list[str]()

    def go(name: str) -> Callable[[], object]:
        return lambda: said.append(name)

    assert slots.enter(1, go("a"))
    assert slots.enter(1, go("b"))
    for name in "cd":
        assert not slots.enter(1, go(name))
    assert not slots.enter(2, go("e"))
    assert (slots.taken, len(slots), said) == (2, 3, [])
    slots.leave()
    slots.leave()
    assert (slots.taken, len(slots), said) == (2, 1, ["c", "e"])
    for _ in range(3):
        slots.leave()
    assert (slots.taken, len(slots), said) == (0, 0, ["c", "e", "d"])
    assert slots.enter(1, go("f"))


def test_who_waits_no_more_gets_no_slot() -> None:
    slots, said = Slots("s", 1, 10), list[str]()

    def first() -> None:
        said.append("first")

    def second() -> None:
        said.append("second")

    assert slots.enter(1, first)
    assert not slots.enter(1, first)
    assert not slots.enter(1, second)
    assert slots.withdraw(1, first)
    slots.leave()
    assert said == ["second"]
    assert not slots.withdraw(1, second)
    slots.leave()
    assert slots.taken == 0


def test_beyond_those_who_may_wait_it_is_refused_at_once() -> None:
    slots = Slots("oven", 1, 2)

    def go() -> None: ...

    assert slots.enter("greedy", go)
    for _ in range(2):
        assert not slots.enter("greedy", go)
    with pytest.raises(Overloaded, match="sender 'oven' answers at most 1 at a time, and 2 requests wait"):
        slots.enter("greedy", go)
    assert not slots.enter("modest", go)
    with pytest.raises(Overloaded):
        slots.enter("modest", go)


# -- the end of a handler ------------------------------------------------------------------------


async def double_later(params: int) -> int:
    return 2 * params


def double(params: int) -> int:
    return 2 * params


def outcome(end: End, waits: bool, params: object) -> object:
    if waits:
        return asyncio.run(end.of(double_later, True)(params))
    return end.of(double, False)(params)


@pytest.mark.parametrize("waits", [False, True])
def test_a_handler_that_has_begun_tells_its_end_itself(waits: bool) -> None:
    told: list[str] = []
    end = End(lambda: told.append("ended"))
    assert outcome(end, waits, 4) == 8
    assert told == ["ended"]
    end.here()
    assert told == ["ended"]
    with pytest.raises(TypeError):
        outcome(End(lambda: told.append("failed")), waits, None)
    assert told == ["ended", "failed"]


@pytest.mark.parametrize("waits", [False, True])
def test_one_that_has_not_begun_never_does_then(waits: bool) -> None:
    told: list[str] = []
    end = End(lambda: told.append("ended"))
    end.here()
    with pytest.raises(RequestCancelled):
        outcome(end, waits, 4)
    assert told == ["ended"]


def test_a_slot_may_be_left_where_the_lock_is_held() -> None:
    slots = Slots("s", 1, 5)
    assert slots.enter("a", print)
    with slots._lock:  # as if garbage were collected inside of one of its methods
        slots.abandon()
    assert slots.taken == 1
    assert slots.enter("b", print), "whoever comes next finds it free"
    slots.abandon()
    assert slots.taken == 0
