"""A listener's queue: in order, bounded, and nothing lost without being told of, in its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.info import Gap, Info, info_of
from sig.mailbox import POLICIES, Entry, Mailbox

A, B = info_of("s", "a"), info_of("s", "b")


class Box(Mailbox):
    """A mailbox that notes what it asks for."""

    def __init__(self, size: int | None = None, policy: str = "drop_oldest", max_wait: float = 5) -> None:
        self.woken = 0
        self.overflows = 0
        self.waiting = threading.Semaphore(0)
        super().__init__(self.on_wake, size=size, policy=policy, max_wait=max_wait, overflow=self.on_overflow)

    def on_wake(self) -> None:
        self.woken += 1

    def on_overflow(self) -> None:
        self.overflows += 1

    def _wait(self, room: threading.Lock) -> None:
        self.waiting.release()
        super()._wait(room)


def told(box: Mailbox) -> list[object]:
    """All that a consumer would get: data, or `-n` for a gap of n."""
    return [entry.data if entry.gap is None else -(entry.gap.missed or 0) for entry in taken(box)]


def taken(box: Mailbox) -> Iterator[Entry]:
    while (entry := box.take()) is not None:
        yield entry


# -- order and places ----------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_events_come_out_in_the_order_in_which_they_went_in(policy: str) -> None:
    box = Box(3, policy)
    for number, info in enumerate((A, B, info_of("t", "a"))):
        assert box.put(info, number)
    assert len(box) == 3
    assert box.load == 1.0
    assert told(box) == [0, 1, 2]
    assert (len(box), box.load, box.received, box.missed) == (0, 0.0, 3, 0)


def test_the_oldest_goes_and_the_gap_is_told_in_its_place() -> None:
    box = Box(2, "drop_oldest")
    for number in range(5):
        box.put(A, number)
    assert told(box) == [-3, 3, 4]
    assert (box.received, box.missed) == (2, 3)


@pytest.mark.parametrize("policy", ["drop_newest", "disconnect"])
def test_the_newest_goes_and_the_gap_is_told_behind_what_was_kept(policy: str) -> None:
    box = Box(2, policy)
    for number in range(5):
        box.put(A, number)
    assert box.take() == Entry(A, 0)
    box.put(A, 5)
    box.put(A, 6)
    assert told(box) == [1, -3, 5, -1]
    assert box.overflows == (4 if policy == "disconnect" else 0)


def test_of_each_event_of_each_sender_the_latest_stays_and_stands_last() -> None:
    box = Box(5, "latest")
    box.put(A, "a1")
    box.put(B, "b1")
    box.put(A, "a2")
    assert len(box) == 2
    assert told(box) == [-1, "b1", "a2"]


def test_latest_loses_the_oldest_of_too_many_different_ones() -> None:
    box = Box(2, "latest")
    for event in "abc":
        box.put(info_of("s", event), event)
    assert told(box) == [-1, "b", "c"]


def test_latest_holds_one_gap_for_each_event_however_long_nobody_takes() -> None:
    box = Box(5, "latest")
    for number in range(1_000):
        box.put(A, number)
        box.put_gap(A, Gap(1, "lost_link"))
        box.put(B, number)
    assert len(list(taken(box))) == 5  # two events, a gap before each, and one for what the link lost
    assert box.missed == 2 * 999 + 1_000


def test_gaps_of_one_event_and_reason_are_one_and_those_of_others_are_not() -> None:
    box = Box(1)
    for gap in (Gap(1, "slow"), Gap(2, "slow"), Gap(4, "lost_link"), Gap(None, "codec"), Gap(1, "codec")):
        box.put_gap(A, gap)
    box.put_gap(B, Gap(8, "slow"))
    assert [(entry.info, entry.gap) for entry in taken(box)] == [
        (A, Gap(3, "slow")),
        (A, Gap(4, "lost_link")),
        (A, Gap(None, "codec")),
        (B, Gap(8, "slow")),
    ]
    assert box.missed == 16


def test_a_gap_that_stood_before_a_lost_event_is_lost_with_it_and_told_with_it() -> None:
    box = Box(1)
    box.put_gap(A, Gap(10, "slow"))
    box.put(A, "old")
    box.put(A, "new")
    assert told(box) == [-11, "new"]


STEPS = st.lists(
    st.tuples(st.just("put"), st.sampled_from([A, B]))
    | st.tuples(st.just("gap"), st.sampled_from([A, B]))
    | st.tuples(st.just("take"), st.just(A)),
    max_size=40,
)


@given(st.sampled_from(POLICIES), st.integers(1, 4), STEPS)
def test_accepted_is_delivered_and_missed_exactly_and_in_order(
    policy: str, size: int, steps: list[tuple[str, Info]]
) -> None:
    box = Box(size, policy)
    sent = {"a": 0, "b": 0}  # each event carries its number, so that the gaps can be checked against the holes
    got: list[Entry] = []
    for what, info in steps:
        if what == "put":
            box.put(info, sent[info.event], may_wait=False)
            sent[info.event] += 1
        elif what == "gap":
            box.put_gap(info, Gap(2, "slow"))
            sent[info.event] += 2
        elif (entry := box.take()) is not None:
            got.append(entry)
        assert len(box) <= size
    got += taken(box)
    for event in ("a", "b"):
        mine = [entry for entry in got if entry.info.event == event]
        numbers = [entry.data for entry in mine if entry.gap is None]
        missing = [entry.gap.missed or 0 for entry in mine if entry.gap is not None]
        assert numbers == sorted(numbers)
        assert len(numbers) + sum(missing) == sent[event]
        if policy != "latest":  # there a gap may be told early: what is old may be replaced anywhere in the queue
            place = 0
            for entry in mine:
                assert entry.gap is not None or entry.data == place
                place += 1 if entry.gap is None else entry.gap.missed or 0
    assert box.received == sum(1 for entry in got if entry.gap is None)
    assert box.missed == sum(entry.gap.missed or 0 for entry in got if entry.gap is not None)


# -- consumers -----------------------------------------------------------------------------------


def test_one_consumer_is_started_for_all_that_comes_until_it_has_found_nothing() -> None:
    box = Box()
    box.put(A, 1)
    box.put(A, 2)
    box.put_gap(A, Gap(1, "slow"))
    assert box.woken == 1
    assert told(box) == [1, 2, -1]
    box.put_gap(A, Gap(1, "slow"))
    assert box.woken == 2


def test_a_consumer_that_ended_early_is_followed_by_another() -> None:
    box = Box()
    box.put(A, 1)
    box.rest()
    box.put(A, 2)
    assert box.woken == 2
    box.start()
    assert box.woken == 3


def test_a_consumer_that_could_not_be_started_is_tried_again_at_the_next_event() -> None:
    attempts = []

    def wake() -> None:
        attempts.append(1)
        raise OSError("no room on the stage")

    box = Mailbox(wake)
    with pytest.raises(OSError, match="no room"):
        box.put(A, 1)
    with pytest.raises(OSError, match="no room"):
        box.put(A, 2)
    assert len(attempts) == 2
    assert told(box) == [1, 2]


# -- the policy `block` --------------------------------------------------------------------------


class Putters:
    """Threads that put and may have to wait."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.pool = ThreadPoolExecutor(4)

    def put(self, data: object) -> None:
        """Start a put, and return when it waits for room."""
        self.future = self.pool.submit(self.box.put, A, data)
        assert self.box.waiting.acquire(timeout=10)

    def end(self) -> None:
        self.pool.shutdown()


@pytest.fixture
def full() -> Iterator[Putters]:
    """A full queue of one event, 0; who puts has to wait."""
    box = Box(1, "block", max_wait=60)
    box.put(A, 0)
    putters = Putters(box)
    yield putters
    box.close()
    putters.end()


def test_who_waits_is_let_in_by_who_takes_in_order_of_arrival(full: Putters) -> None:
    for number in (1, 2, 3):
        full.put(number)
    assert len(full.box) == 1
    assert told(full.box) == [0, 1, 2, 3]
    assert full.box.missed == 0


def test_nobody_gets_in_front_of_who_waits(full: Putters) -> None:
    full.put(1)
    assert full.box.take() == Entry(A, 0)
    assert full.box.put(A, "in a hurry", may_wait=False)  # before the first has even woken up
    assert told(full.box) == [1, -1]


def test_who_may_not_wait_loses_at_once() -> None:
    box = Box(1, "block", max_wait=1e9)
    box.put(A, 0)
    box.put(A, 1, may_wait=False)
    assert told(box) == [0, -1]


def test_who_waits_too_long_loses_and_takes_no_room_from_others() -> None:
    box = Box(1, "block", max_wait=0)
    for number in range(3):
        assert box.put(A, number)
    assert box.take() == Entry(A, 0)
    box.put(A, 3)
    assert told(box) == [-2, 3]


def test_a_consumer_is_started_for_who_waits(full: Putters) -> None:
    full.box.rest()
    full.put(1)
    assert full.box.woken == 2


def test_closing_wakes_who_waits_and_hands_all_events_back(full: Putters) -> None:
    full.put(1)
    full.put(2)
    assert [entry.data for entry in full.box.close()] == [0, 1, 2]
    assert full.future.result() is True  # it was accepted, before
    assert full.box.take() is None


# -- closing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_a_closed_queue_takes_nothing_and_gives_nothing(policy: str) -> None:
    box = Box(2, policy)
    box.put(A, 1)
    box.put_gap(A, Gap(1, "slow"))
    box.put(B, 2)
    assert [entry.data for entry in box.close()] == [1, 2]
    assert not box.put(A, 3)
    box.put_gap(A, Gap(1, "slow"))
    assert box.take() is None
    assert len(box) == 0
    assert box.woken == 1
    assert box.close() == []


# -- what makes no sense -------------------------------------------------------------------------


def test_a_queue_has_a_bound_of_its_own_accord() -> None:
    box = Mailbox(lambda: None)
    for number in range(Limits().listener_queue_events + 1):
        box.put(A, number)
    assert len(box) == Limits().listener_queue_events
    assert box.missed == 1


def test_a_queue_that_nobody_watches_over_just_loses() -> None:
    box = Mailbox(lambda: None, size=1, policy="disconnect")
    box.put(A, 1)
    box.put(A, 2)
    assert told(box) == [1, -1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "queue=0 has no room"),
        ({"policy": "keep"}, "when_full='keep' is unknown: choose one of drop_oldest, drop_newest, latest"),
        ({"max_wait": -1}, "max_wait=-1 is no time to wait"),
        ({"max_wait": float("inf")}, "max_wait=inf is no time to wait"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        Mailbox(lambda: None, **options)  # type: ignore[arg-type]


def test_the_garbage_collector_may_come_back_while_the_queue_is_locked() -> None:
    """A `__del__` may close a subscription, or trigger, in the middle of `put`: that must not hang."""
    box = Box(3)

    class Late:
        def __del__(self) -> None:
            box.put(A, "last words")

    with box._lock:
        Late()
    assert told(box) == ["last words"]


# -- many at once --------------------------------------------------------------------------------


@given(
    policy=st.sampled_from([policy for policy in POLICIES if policy != "block"]),
    size=st.integers(1, 6),
    steps=st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 5), st.booleans()), max_size=12),
    limit=st.integers(1, 4),
)
def test_many_at_once_are_as_one_by_one(
    policy: str, size: int, steps: list[tuple[Info, int, bool]], limit: int
) -> None:
    one, many = Box(size, policy), Box(size, policy)
    number = 0
    got: tuple[list[Entry], list[Entry]] = ([], [])
    for info, count, take in steps:
        values = list(range(number, number + count))
        number += count
        for value in values:
            one.put(info, value)
        many.put_many(info, values)
        assert (len(one), one.missed, one.overflows) == (len(many), many.missed, many.overflows)
        if take:
            got[1].extend(many.take_many(limit))
            for _ in range(limit):
                entry = one.take()
                if entry is None:
                    break
                got[0].append(entry)
    got[0].extend(taken(one))
    while found := many.take_many(limit):
        got[1].extend(found)
    assert got[0] == got[1]
    assert (one.received, one.missed) == (many.received, many.missed)


def test_a_batch_starts_one_consumer_and_finding_nothing_ends_it() -> None:
    box = Box()
    box.put_many(A, [1, 2, 3])
    box.put_many(A, [4])
    assert box.woken == 1
    assert [entry.data for entry in box.take_many(3)] == [1, 2, 3]
    assert [entry.data for entry in box.take_many(3)] == [4]
    assert box.woken == 1
    assert box.take_many(3) == []
    box.put_many(A, [5])
    assert box.woken == 2


def test_a_closed_queue_takes_no_batch() -> None:
    box = Box()
    box.close()
    box.put_many(A, [1, 2])
    assert (len(box), box.woken, box.take_many(5)) == (0, 0, [])


def test_it_rests_until_something_comes_and_when_all_is_taken() -> None:
    box = Mailbox(lambda: None)
    assert box.resting
    box.put(A, 1)
    assert not box.resting
    box.take()
    assert not box.resting  # whoever took may be at it
    assert box.take() is None
    assert box.resting
