"""The outbox: order, and losses that add up, each told in its place."""

from __future__ import annotations

import gc
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from sig.protocol.budget import Budget
from sig.protocol.outbox import Entry, Frames, Losses, Outbox


def drain(outbox: Outbox[str]) -> list[object]:
    found: list[object] = []
    while (entry := outbox.take()) is not None:
        found.append(entry.item if entry.lost is None else {route: n for (route, _), n in entry.lost.items()})
    return found


def test_what_is_put_comes_out_in_order() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=100)
    outbox.put("a", 5)
    outbox.put_events("b", 7, ((1, 2),))
    outbox.put("c", 3)
    assert (outbox.bytes, outbox.events, len(outbox)) == (15, 2, 3)
    assert drain(outbox) == ["a", "b", "c"]
    assert (outbox.bytes, outbox.events, len(outbox)) == (0, 0, 0)


def test_the_oldest_events_go_and_the_rest_stays() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=20)
    outbox.put("before", 1000)
    outbox.put_events("b1", 10, ((1, 3),))
    outbox.put("between", 1000)
    outbox.put_events("b2", 10, ((2, 1),))
    outbox.put_events("b3", 10, ((1, 4),))
    assert outbox.dropped == 3
    assert drain(outbox) == ["before", {1: 3}, "between", "b2", "b3"]


def test_losses_of_a_route_are_told_once_where_its_events_go_on() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    for number in range(5):
        outbox.put_events(f"b{number}", 10, ((1, 1), (2, 1)))
    assert len(outbox) == 2
    assert drain(outbox) == [{1: 4, 2: 4}, "b4"]


def test_a_frame_larger_than_the_queue_goes_through_alone() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    outbox.put_events("small", 1, ((1, 1),))
    outbox.put_events("large", 99, ((1, 1),))
    assert drain(outbox) == [{1: 1}, "large"]


def test_what_is_sifted_out_is_not_told_as_missing() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=100)
    outbox.put("a", 5)
    outbox.put_events("both", 7, ((1, 2), (2, 1)))
    outbox.put_events("gone", 7, ((1, 2),))
    outbox.put_events("kept", 7, ((2, 1),))
    assert outbox.routes() == [1, 2]
    outbox.sift(partial(without, 2))
    assert (outbox.bytes, outbox.events, outbox.dropped, outbox.routes()) == (15, 2, 0, [2])
    assert drain(outbox) == ["a", "fewer", "kept"]


def test_events_can_be_counted_too() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=1000, drop_events=3)
    outbox.put_events("b1", 1, ((1, 2),))
    outbox.put_events("b2", 1, ((1, 2),))
    assert drain(outbox) == [{1: 2}, "b2"]


def test_a_loss_that_came_from_elsewhere_stays_in_its_place() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=1000)
    outbox.put_events("b1", 1, ((1, 1),))
    outbox.put_loss(1, 5, "slow")
    outbox.put_events("b2", 1, ((1, 1),))
    assert drain(outbox) == ["b1", {1: 5}, "b2"]


def test_losses_that_are_reported_one_after_the_other_are_one_entry() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=1000)
    outbox.put_events("b1", 1, ((1, 1),))
    for _ in range(1000):
        outbox.put_loss(1, 1, "slow")
        outbox.put_loss(2, 2, "slow")
    assert len(outbox) == 2
    outbox.put("control", 1)
    outbox.put_loss(1, 5, "slow")
    assert drain(outbox) == ["b1", {1: 1000, 2: 2000}, "control", {1: 5}]


def test_each_reason_is_told_by_itself_and_all_in_one_place() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    for _ in range(3):
        outbox.put_events("b", 10, ((1, 1),))
        outbox.put_loss(1, 5, "too_big")
        outbox.put_loss(2, 1, "codec")
    entry = outbox.take()
    assert entry is not None
    assert entry.lost == {(1, "slow"): 2, (1, "too_big"): 5, (2, "codec"): 1}
    outbox.put_loss(2, 1, "codec")
    assert drain(outbox) == [{1: 5, 2: 1}, "b", {1: 5, 2: 2}]


def test_an_entry_whose_news_has_moved_on_is_not_used_again() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    outbox.put_events("b1", 10, ((1, 1),))
    outbox.put_loss(1, 1, "slow")
    outbox.put_events("b2", 10, ((1, 1),))  # b1 goes
    outbox.put_events("b3", 10, ((1, 1),))  # b2 goes, and takes what was lost before it along
    outbox.put_loss(1, 7, "slow")
    assert len(outbox) == 3
    assert drain(outbox) == [{1: 3}, "b3", {1: 7}]


def test_losses_before_a_dropped_frame_move_into_it() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    outbox.put_loss(1, 5, "slow")
    outbox.put_events("b1", 10, ((1, 1),))
    outbox.put_loss(1, 7, "slow")
    outbox.put_events("b2", 10, ((1, 1),))
    assert drain(outbox) == [{1: 6}, {1: 7}, "b2"]


def test_some_are_taken_at_a_time() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=100)
    outbox.put("a", 5)
    outbox.put_events("b", 7, ((1, 2),))
    outbox.put_loss(1, 3, "codec")
    outbox.put("c", 3)
    assert [entry.item for entry in outbox.take_some(12)] == ["a", "b"]
    assert [entry.item for entry in outbox.take_some(2)] == [None, "c"]
    assert outbox.take_some(1) == []


def test_clear_forgets_everything() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    outbox.put_events("b1", 10, ((1, 1),))
    outbox.put_events("b2", 10, ((1, 1),))
    outbox.clear()
    assert (drain(outbox), outbox.bytes, len(outbox)) == ([], 0, 0)


def test_nothing_is_kept_of_each_frame_that_is_dropped() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=50)
    outbox.put("control in front of it all", 1)
    for number in range(10_000):
        outbox.put_events("b", 10, ((number % 3, 1),))
    assert len(outbox) == 1 + 1 + 5
    assert drain(outbox) == ["control in front of it all", {0: 3332, 1: 3332, 2: 3331}, *"bbbbb"]


def test_a_loss_does_not_move_past_what_stands_behind_it() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=10)
    outbox.put_events("b1", 10, ((1, 1),))
    outbox.put("here somebody begins to listen", 1)
    outbox.put_events("b2", 10, ((1, 1),))
    outbox.put_loss(1, 3, "slow")
    outbox.put_events("b3", 10, ((1, 1),))
    assert drain(outbox) == [{1: 1}, "here somebody begins to listen", {1: 1}, {1: 3}, "b3"]


def test_one_entry_in_many_queues() -> None:
    outboxes: list[Outbox[str]] = [Outbox(drop_bytes=size) for size in (10, 100)]
    for name in ("b1", "b2"):
        entry = Entry(name, 10, ((1, 2),), 2)
        for outbox in outboxes:
            outbox.share(entry)
    assert [drain(outbox) for outbox in outboxes] == [[{1: 2}, "b2"], ["b1", "b2"]]


Operation = st.one_of(
    st.tuples(st.just("events"), st.dictionaries(st.integers(1, 3), st.integers(1, 4), min_size=1, max_size=3)),
    st.tuples(st.just("loss"), st.tuples(st.integers(1, 3), st.integers(1, 9))),
    st.tuples(st.just("put"), st.just(None)),
    st.tuples(st.just("take"), st.integers(1, 3)),
)


@given(st.lists(Operation, max_size=60), st.integers(1, 60))
def test_delivered_and_missed_are_all_and_in_order(operations: list[tuple[str, object]], room: int) -> None:
    """Events are numbered by route; whoever reads keeps count of what it has and of what it was told is missing."""
    outbox: Outbox[object] = Outbox(drop_bytes=room)
    sent = dict.fromkeys((1, 2, 3), 0)
    seen = dict.fromkeys((1, 2, 3), 0)
    controls: list[int] = []
    put = 0

    def read(entry_item: object, lost: Losses | None) -> None:
        for (route, _), missing in (lost or {}).items():
            seen[route] += missing
        if isinstance(entry_item, int):
            controls.append(entry_item)
        elif entry_item is not None:
            assert isinstance(entry_item, dict)
            for route, (first, count) in entry_item.items():
                assert seen[route] == first, "an event before its place, or after it"
                seen[route] += count

    def take() -> bool:
        entry = outbox.take()
        if entry is not None:
            read(entry.item, entry.lost)
        return entry is not None

    for what, value in operations:
        assert bool(outbox) == (len(outbox) > 0)
        if what == "events":
            assert isinstance(value, dict)
            item = {route: (sent[route], count) for route, count in value.items()}
            for route, count in value.items():
                sent[route] += count
            outbox.put_events(item, 7, tuple(value.items()))
            assert outbox.event_bytes <= max(room, 7)
        elif what == "loss":
            assert isinstance(value, tuple)
            sent[value[0]] += value[1]
            outbox.put_loss(*value, "slow")
        elif what == "put":
            outbox.put(put, 1)
            put += 1
        else:
            assert isinstance(value, int)
            for _ in range(value):
                take()
    while take():
        pass
    assert seen == sent
    assert controls == list(range(put))
    assert (outbox.bytes, outbox.events, len(outbox)) == (0, 0, 0)


def test_an_empty_queue_answers_none() -> None:
    assert Outbox[str](drop_bytes=1).take() is None


REPORTED = st.lists(
    st.one_of(
        st.tuples(st.just("share"), st.integers(1, 500), st.integers(1, 4), st.sets(st.integers(0, 3))),
        st.tuples(st.just("put"), st.integers(0, 500), st.integers(0, 3)),
        st.tuples(st.just("put_loss"), st.integers(1, 3), st.integers(0, 3)),
        st.tuples(st.sampled_from(["take", "take", "clear", "hold_up"]), st.integers(0, 3)),
        st.tuples(st.just("sift"), st.integers(1, 3), st.integers(0, 3)),
    ),
    min_size=10,
    max_size=60,
)


def without(routes: int, entry: Entry[str]) -> Entry[str] | None:
    """What is left of it without the last of so many routes."""
    counts = tuple((route, events) for route, events in entry.counts if route != routes - 1)
    if len(counts) == len(entry.counts):
        return entry
    return Entry("fewer", entry.size // 2, counts, len(counts)) if counts else None


@given(REPORTED, st.sampled_from([1, 700, 3000, 1 << 40]), st.sampled_from([600, 3000, 1 << 40]))
def test_a_budget_always_knows_what_is_there(operations: list[tuple[object, ...]], limit: int, drop_bytes: int) -> None:
    budget = Budget(limit)
    outboxes: list[Outbox[str]] = [Outbox(drop_bytes=drop_bytes) for _ in range(4)]
    for place in range(3):
        outboxes[place].put("control", 1)
        outboxes[place].hold_up(budget)
    for operation in operations:
        match operation:
            case "share", int(size), int(route), set(places):
                entry = Entry("events", size, tuple((number, 1) for number in range(route)), route)
                for place in places:
                    outboxes[place].share(entry)
            case "put", int(size), int(place):
                outboxes[place].put("control", size)
            case "put_loss", int(route), int(place):
                outboxes[place].put_loss(route, 1, "codec")
            case "hold_up", int(place):
                outboxes[place].hold_up(budget)
            case "sift", int(route), int(place):
                outboxes[place].sift(partial(without, route))
                assert route - 1 not in outboxes[place].routes()
            case str(what), int(place):
                getattr(outboxes[place], what)()
        held = [outbox for outbox in outboxes if outbox.held]
        assert budget.shed() or not any(outbox.event_bytes for outbox in held)
        # The same from nothing: a budget that is told of what there is now.
        entries = [entry for outbox in held for entry in (*outbox._passed, *outbox._entries)]
        told = [entry.holders for entry in entries]
        for entry in entries:
            entry.holders = 0
        fresh = Budget(1 << 40)
        for entry in entries:
            fresh.hold(entry)
        assert budget.used == fresh.used
        assert [entry.holders for entry in entries] == told
        waiting = {id(outbox): outbox.event_bytes.bit_length() for outbox in held if outbox.event_bytes}
        assert waiting == {id(box): bits for bits, group in enumerate(budget._groups) for box in group}
    for outbox in outboxes:
        outbox.clear()
    assert budget.used == 0


def test_a_budget_takes_the_oldest_wherever_it_stands() -> None:
    outbox: Outbox[str] = Outbox(drop_bytes=1000)
    outbox.put("control", 1)
    outbox.put_events("b1", 10, ((1, 1),))
    outbox.put_events("b2", 10, ((1, 1),))
    outbox.shed()
    assert drain(outbox) == ["control", {1: 1}, "b2"]


def test_frames_for_many_are_none_of_the_garbage_collectors_business() -> None:
    frames = Frames.of(b"some bytes", (*[(route, 2) for route in (1, 2)],))
    assert (frames.size, frames.events) == (len(b"some bytes"), 4)
    assert not gc.is_tracked(frames)
