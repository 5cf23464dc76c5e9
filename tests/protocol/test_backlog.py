"""The backlog: kept once, and for each late link what an outbox of its own would have kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sig.protocol.backlog import Backlog, Backlogs, Lot
from sig.protocol.budget import Budget
from sig.protocol.outbox import SLOW, Frames

MUCH = 1 << 40
Route = int


class Late:
    """A link: all that it should have from some place on, and where that begins."""

    def __init__(self, first: Lot) -> None:
        self.first = first
        self.due: list[tuple[Route, bytes]] = []
        self.told: list[tuple[int, int]] = []
        """Where it was told something: the number of the place, and how many events should stand before it."""


class Stage:
    """A backlog, who follows it, and what each of them should find."""

    def __init__(self, *, drop_bytes: int = MUCH, lot_bytes: int = 100, memory_bytes: int = MUCH) -> None:
        self.budget = Budget(memory_bytes)
        self.common = Backlogs(self.budget, drop_bytes=drop_bytes, lot_bytes=lot_bytes)
        self.prompt: dict[str, None] = dict.fromkeys(map(str, range(4)))
        self.backlog: Backlog[str] = Backlog(self.common, self.prompt)
        self.other: Backlog[str] = Backlog(self.common, {"of another": None})
        self.other.join("of another")
        self.late: dict[str, Late] = {}
        self.triggered = 0

    def put(self, routes: list[Route], longer: int = 0) -> None:
        """Events of these routes, in one run. Without anybody who follows, nothing is put."""
        if not self.late:
            return
        events = []
        for route in routes:
            self.triggered += 1
            events.append((route, b"%d:%d%s|" % (route, self.triggered, b"x" * longer)))
        data = b"".join(payload for _, payload in events)
        self.backlog.put(Frames.of(data, tuple(Counter(routes).items()), len(events)))
        for link in self.late.values():
            link.due += events

    def beside(self) -> None:
        """Something comes in another backlog."""
        self.other.put(Frames.of(b"beside", ((9, 1),)))

    def tell(self) -> None:
        for link in self.late.values():
            link.told.append((self.common.place(), len(link.due)))

    def join(self, name: str) -> None:
        if name in self.prompt:
            self.late[name] = Late(self.backlog.join(name))

    def go_on(self, name: str) -> None:
        if link := self.late.get(name):
            link.first = self.backlog.go_on(link.first)
            link.due.clear()
            link.told.clear()

    def leave(self, name: str) -> None:
        if link := self.late.pop(name, None):
            self.backlog.leave(name, link.first)

    def shed(self) -> None:
        if self.backlog.event_bytes:
            self.backlog.shed()

    def check(self) -> None:
        """Each finds the newest of what it should have, and how many of the others are missing, by route."""
        for link in self.late.values():
            missing: Counter[Route] = Counter()
            found: list[bytes] = []
            for lot in self.backlog.since(link.first):
                assert lot.entry is not None
                if lot.entry.lost is None:
                    assert lot.entry.item is not None
                    assert len(lot.entry.item) == lot.entry.size
                    some = lot.entry.item.split(b"|")[:-1]
                    assert (lot.entry.frames, lot.entry.events) == (len(some), len(some))
                    assert Counter(int(one.split(b":")[0]) for one in some) == dict(lot.entry.counts)
                    found += some
                    continue
                assert not found
                for (route, reason), missed in lot.entry.lost.items():
                    assert reason == SLOW
                    missing[route] += missed
            for place, before in link.told:
                lots = [lot for lot in self.backlog.since(link.first) if lot.number < place]
                assert sum(map(events_of, lots)) == before
            gone = len(link.due) - len(found)
            assert missing == Counter(route for route, _ in link.due[:gone])
            assert found == [payload.removesuffix(b"|") for _, payload in link.due[gone:]]
            assert self.backlog.missed(link.first) == missing.total()
            size = sum(len(one) + 1 for one in found)
            assert self.backlog.waiting(link.first) == (size, len(found))
        assert self.backlog.links == len(self.late)
        assert self.prompt.keys() | self.late.keys() == {*map(str, range(4))}
        assert not self.prompt.keys() & self.late.keys()


def events_of(lot: Lot) -> int:
    """Those that are there, or missing there."""
    assert lot.entry is not None
    return lot.entry.events if lot.entry.lost is None else sum(lot.entry.lost.values())


NAMES = st.sampled_from([*map(str, range(4))])
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(st.integers(1, 3), min_size=1, max_size=6), st.sampled_from([0, 1, 50, 200])),
    st.tuples(st.just("put"), st.lists(st.integers(1, 3), min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["join", "join", "go_on", "leave"]), NAMES),
    st.tuples(st.sampled_from(["shed", "beside", "check", "tell"])),
)


@settings(max_examples=100)  # fewer leave lines untried
@given(st.sampled_from([1, 60, 300, 1000, MUCH]), st.sampled_from([0, 30, 200]), st.lists(STEPS, max_size=40))
def test_each_finds_what_came_for_it_or_how_much_of_it_is_missing(
    drop_bytes: int, lot_bytes: int, program: list[tuple[Any, ...]]
) -> None:
    stage = Stage(drop_bytes=drop_bytes, lot_bytes=lot_bytes)
    stage.join("0")
    for what, *arguments in program:
        getattr(stage, what)(*arguments)
    stage.check()
    for name in list(stage.late):
        stage.leave(name)
        stage.check()
    stage.other.leave("of another", stage.other._first)
    assert (stage.backlog.event_bytes, stage.budget.used) == (0, 0)


def lots(stage: Stage, name: str) -> list[tuple[bytes | None, dict[Route, int] | None]]:
    """What is there for one: the events of each place, or how many are missing there."""
    found: list[tuple[bytes | None, dict[Route, int] | None]] = []
    for lot in stage.backlog.since(stage.late[name].first):
        assert lot.entry is not None
        lost = lot.entry.lost
        found.append((lot.entry.item, None if lost is None else {route: missed for (route, _), missed in lost.items()}))
    return found


def test_what_comes_in_a_row_is_one_place_for_all() -> None:
    stage = Stage(lot_bytes=20)
    stage.join("0")
    stage.join("1")
    for _ in range(8):
        stage.put([1])
    assert lots(stage, "0") == lots(stage, "1") == [(b"1:1|1:2|1:3|1:4|1:5|", None), (b"1:6|1:7|1:8|", None)]
    first, second = (list(stage.backlog.since(stage.late[name].first)) for name in "01")
    assert [one.entry is other.entry for one, other in zip(first, second, strict=True)] == [True, True]


def test_it_costs_the_same_for_many() -> None:
    """In memory, as in time: nothing is touched that one of them has."""
    used = []
    for links in (1, 1000):
        stage = Stage()
        stage.prompt.update(dict.fromkeys(map(str, range(links))))
        for number in range(links):
            stage.join(str(number))
        stage.put([1, 2, 3])
        used.append(stage.budget.used)
    assert used[0] == used[1] > 0


def test_places_of_several_backlogs_stand_in_order() -> None:
    """Nobody who follows both is given an event before one that came before it."""
    stage = Stage()
    stage.join("0")
    stage.put([1])
    stage.put([1])
    stage.beside()
    stage.put([1])
    stage.beside()
    one, other = (list(backlog.since(first)) for backlog, first in _both(stage))
    assert [lot.entry.item for lot in sorted([*one, *other], key=lambda lot: lot.number) if lot.entry is not None] == [
        b"1:1|1:2|",
        b"beside",
        b"1:3|",
        b"beside",
    ]


def _both(stage: Stage) -> list[tuple[Backlog[str], Lot]]:
    return [(stage.backlog, stage.late["0"].first), (stage.other, stage.other._first)]


def test_losses_are_told_to_those_whose_they_are_and_once() -> None:
    """Who has come later is not told of what was lost before; and what nobody distinguishes is one place."""
    stage = Stage(lot_bytes=0)
    stage.join("0")
    stage.put([1])
    stage.put([1, 2])
    stage.join("1")
    stage.put([2])
    stage.put([3])
    stage.put([1])
    for _ in range(4):
        stage.shed()
    assert lots(stage, "0") == [(None, {1: 2, 2: 1}), (None, {2: 1, 3: 1}), (b"1:6|", None)]
    assert lots(stage, "1") == [(None, {2: 1, 3: 1}), (b"1:6|", None)]


def test_news_for_those_who_have_gone_are_no_places_any_more() -> None:
    """Links that come and go beside one that stays must not make its backlog longer and longer."""
    stage = Stage(lot_bytes=0)
    stage.join("0")
    for _ in range(20):
        stage.put([1])
        stage.join("1")
        stage.put([2])
        stage.join("2")
        stage.put([3])
        for _ in range(3):
            stage.shed()
        stage.leave("1")
        stage.leave("2")
        stage.check()
    assert lots(stage, "0") == [(None, {1: 20, 2: 20, 3: 20})]


def test_what_all_have_is_not_kept() -> None:
    stage = Stage()
    stage.join("0")
    stage.put([1] * 100)
    stage.join("1")
    stage.put([2])
    held = stage.budget.used
    stage.go_on("0")
    assert 0 < stage.budget.used < held - 100 * len(b"1:1|")
    stage.leave("1")
    assert (stage.budget.used, stage.backlog.event_bytes) == (0, 0)


def test_it_gives_what_is_over_the_budget_like_an_outbox() -> None:
    stage = Stage(lot_bytes=100, memory_bytes=4000)
    stage.join("0")
    for _ in range(40):
        stage.put([1], 90)
    assert stage.budget.over
    assert stage.budget.shed()
    assert not stage.budget.over
    stage.check()
    assert 0 < stage.backlog.event_bytes < 4000
    stage.budget.limit = 0
    assert not stage.budget.shed()  # nothing is left but the news
    stage.check()
    assert stage.backlog.event_bytes == 0
