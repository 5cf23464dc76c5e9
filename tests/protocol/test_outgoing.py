"""A client's ordered outbox: nothing is lost between the one who triggers and the link, and nothing overtakes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.codecs import JSON, MSGPACK, Codec
from sig.protocol.events import pack_batch, unpack_events
from sig.protocol.frames import FRAMING_ROOM_BYTES, HEADER, Frame, Kind, pack
from sig.protocol.outgoing import Outgoing

WINDOW = 2000
# As a client allows: who packs finds no payload that does not fit.
MAX_FRAME = 1000
LARGEST_PAYLOAD = MAX_FRAME - FRAMING_ROOM_BYTES


def outgoing(codec: Codec = JSON, *, credit: int = WINDOW, max_frame_bytes: int = MAX_FRAME) -> Outgoing:
    made = Outgoing(codec, max_frame_bytes, WINDOW)
    made.credit = credit
    return made


def control(number: int) -> bytes:
    return pack(Kind.CALL, b"x" * (number % 50), route=number)


def told(frames: Sequence[bytes]) -> list[tuple[int, bytes] | int]:
    """What leaves, in order: events as `(route, payload)`, control by its number."""
    found: list[tuple[int, bytes] | int] = []
    for data in frames:
        frame = Frame.of(data)
        assert len(data) == HEADER.size + len(frame.body)
        if frame.kind != Kind.EVENT:
            found.append(frame.route)
            continue
        batch = unpack_events(frame)
        routes = batch.routes or (frame.route,) * frame.count
        if batch.lens is None:
            parts = batch.payloads.split(b"\n") if frame.count > 1 else [batch.payloads]
        else:
            ends = [sum(batch.lens[: index + 1]) for index in range(frame.count)]
            parts = [batch.payloads[end - size : end] for end, size in zip(ends, batch.lens, strict=True)]
        found.extend((route, part.rstrip(b"\n")) for route, part in zip(routes, parts, strict=True))
    return found


def event(route: int, number: int, size: int) -> tuple[int, bytes]:
    return route, str(number).encode().zfill(size)


# -- one after the other -------------------------------------------------------------------------


def test_events_that_are_gathered_leave_in_one_frame_which_tells_their_routes() -> None:
    out = outgoing()
    out.events.extend([(5, b"1"), (5, b"22"), (6, b"3")])
    assert (out.size, out.packed) == (0, 0)
    (frame,) = out.take(1)
    assert frame == pack_batch(0, [b"1", b"22", b"3"], lens=True, lines=True, routes=[5, 5, 6])
    assert (out.size, out.packed, out.events) == (0, 3, [])


def test_events_of_one_route_tell_no_lengths_where_lines_do() -> None:
    for codec, lens in ((JSON, False), (MSGPACK, True)):
        out = outgoing(codec)
        out.events.extend([(5, b"1"), (5, b"2")])
        assert out.take(1) == [pack_batch(5, [b"1", b"2"], lens=lens, lines=codec.lines)]


def test_control_stands_behind_what_was_triggered_before_it() -> None:
    out = outgoing()
    out.events.append((5, b"1"))
    out.put(control(1))
    out.events.append((5, b"2"))
    assert out.size == len(pack_batch(5, [b"1"], lens=False, lines=True)) + len(control(1))
    assert told(out.take(1000)) == [(5, b"1"), 1, (5, b"2")]


def test_a_frame_leaves_while_there_is_any_credit_and_none_after_that() -> None:
    out = outgoing(credit=1)
    out.events.append((5, b"1" * 200))
    out.pack()
    out.events.append((5, b"2"))
    (first,) = out.take(10_000)
    assert out.credit == 1 - len(first)
    assert out.take(10_000) == []
    out.credit += len(first) - 1
    assert out.take(10_000) == []
    out.credit += 1
    assert told(out.take(10_000)) == [(5, b"2")]


def test_control_needs_no_credit_but_keeps_its_place() -> None:
    out = outgoing(credit=0)
    out.put(control(1))
    out.events.append((5, b"1"))
    out.put(control(2))
    assert told(out.take(10_000)) == [1]
    assert out.take(10_000) == []
    out.credit = 1
    assert told(out.take(10_000)) == [(5, b"1"), 2]


def test_room_is_what_the_server_takes_and_never_more_than_the_own_window() -> None:
    out = outgoing(credit=100 * WINDOW)
    assert out.room == WINDOW
    out.events.append((5, b"1" * 100))
    assert out.room == WINDOW  # until it is packed
    out.pack()
    assert out.room == WINDOW - out.event_bytes < WINDOW
    out.credit = 10
    assert out.room == 10 - out.event_bytes < 0


def test_a_link_that_has_gone_forgets_what_waits_and_hands_back_what_no_frame_holds() -> None:
    out = outgoing(credit=0)
    out.events.extend([(5, b"1"), (5, b"2")])
    out.put(control(1))
    out.events.append((5, b"3"))
    late = out.events.append  # of a thread that has looked up what to call
    assert out.part() == [(5, b"3")]
    out.shut = True
    out.clear()
    late((5, b"4"))
    assert (out.size, out.packed, out.take(1000)) == (0, 2, [])
    out.put(control(2))
    assert (out.take(1000), out.part()) == ([control(2)], [(5, b"4")])


# -- whatever is done ----------------------------------------------------------------------------

ACTIONS = st.one_of(
    st.tuples(st.just("event"), st.integers(1, 3), st.integers(1, LARGEST_PAYLOAD)),
    st.tuples(st.just("control")),
    st.tuples(st.just("pack")),
    st.tuples(st.just("take"), st.integers(1, 3 * MAX_FRAME)),
    st.tuples(st.just("credit"), st.integers(1, 2 * MAX_FRAME)),
)


@given(st.lists(ACTIONS, max_size=60), st.sampled_from([JSON, MSGPACK]), st.integers(0, WINDOW))
def test_nothing_is_lost_nothing_overtakes_and_credit_is_kept_to(
    actions: list[tuple[str, int, int]], codec: Codec, credit: int
) -> None:
    out = outgoing(codec, credit=credit)
    wanted: list[tuple[int, bytes] | int] = []
    left: list[bytes] = []
    granted = credit

    def check(taken: Sequence[bytes], limit: int) -> None:
        nonlocal granted
        left.extend(taken)
        sizes = [len(frame) for frame in taken]
        assert not taken or sum(sizes[:-1]) < limit
        sent = sum(len(frame) for frame in left if Frame.of(frame).kind == Kind.EVENT)
        assert out.credit == granted - sent
        assert out.credit > -(HEADER.size + MAX_FRAME)

    for number, (what, *values) in enumerate(actions):
        if what == "event":
            out.events.append(event(values[0], number, values[1]))
            wanted.append(out.events[-1])
        elif what == "control":
            out.put(control(number))
            wanted.append(number)
        elif what == "pack":
            out.pack()
        elif what == "take":
            check(out.take(values[0]), values[0])
        else:
            out.credit += values[0]
            granted += values[0]
        assert out.packed + len(out.events) == sum(isinstance(item, tuple) for item in wanted)
        assert told(left) == wanted[: len(told(left))]
        out_of_sight = [item for item in wanted[len(told(left)) :] if not isinstance(item, int)]
        assert (out.event_bytes > 0) is (len(out_of_sight) > len(out.events))
    granted += 10**6
    out.credit += 10**6
    check(out.take(10**6), 10**6)
    assert told(left) == wanted
    assert (out.size, out.event_bytes, out.other_bytes) == (0, 0, 0)


@given(st.lists(st.integers(1, LARGEST_PAYLOAD), min_size=1, max_size=40))
def test_gathered_events_leave_in_as_few_frames_as_can_be(sizes: list[int]) -> None:
    out = outgoing(credit=10**6)
    out.events.extend(event(5, number, size) for number, size in enumerate(sizes))
    frames = out.take(10**6)
    assert all(len(frame) <= HEADER.size + MAX_FRAME for frame in frames)
    for frame, following in pairwise(frames):
        more = [item[1] for item in (*told([frame]), told([following])[0]) if isinstance(item, tuple)]
        assert len(pack_batch(5, more, lens=False, lines=True)) > HEADER.size + MAX_FRAME


# -- from many threads ---------------------------------------------------------------------------


def test_what_another_thread_appends_in_the_middle_of_packing_is_packed_next_time() -> None:
    class Appended(list[tuple[int, bytes]]):
        def __getitem__(self, index: Any) -> Any:
            taken = super().__getitem__(index)
            self.append((5, b"meanwhile"))
            return taken

    out = outgoing()
    out.events = Appended([(5, b"1")])
    out.pack()
    assert (out.packed, out.events) == (1, [(5, b"meanwhile")])
    assert told(out.take(1000)) == [(5, b"1"), (5, b"meanwhile")]


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("threads", [1, 4])
def test_each_thread_may_append_while_another_packs_and_its_order_is_kept(threads: int) -> None:
    out, each = outgoing(credit=10**9, max_frame_bytes=2000), 2000
    begin = threading.Barrier(threads + 1)

    def trigger(route: int) -> None:
        append = out.events.append
        begin.wait(10)
        for number in range(each):
            append((route, b"%d" % number))

    workers = [threading.Thread(target=trigger, args=(route,)) for route in range(1, threads + 1)]
    with switching_often():
        for worker in workers:
            worker.start()
        begin.wait(10)
        frames: list[bytes] = []
        puts = 0
        while any(worker.is_alive() for worker in workers):
            out.put(control(puts))
            puts += 1
            frames += out.take(100)
        for worker in workers:
            worker.join()
    frames += out.take(10**9)
    found = told(frames)
    assert [item for item in found if isinstance(item, int)] == list(range(puts))
    for route in range(1, threads + 1):
        assert [item[1] for item in found if isinstance(item, tuple) and item[0] == route] == [
            b"%d" % number for number in range(each)
        ]
    assert (out.packed, out.size) == (threads * each, 0)


def test_what_went_into_frames_while_nothing_left_can_be_taken_back() -> None:
    out = Outgoing(JSON, 1000, 1000)
    out.events.append((1, b"1"))
    out.pack()
    out.record = []
    out.events.append((1, b"2"))
    out.pack()
    out.events.append((1, b"3"))
    assert out.packed == 2
    assert out.take_back() == [(1, b"2"), (1, b"3")]
    assert (out.packed, out.record, out.events) == (1, None, [])
    out.events.append((1, b"4"))
    assert out.take_back() == [(1, b"4")]


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
@pytest.mark.parametrize("lens", [True, False])
def test_an_event_that_nothing_is_in_the_way_of_leaves_as_if_it_had_waited(codec: Codec, lens: bool) -> None:
    one, other = outgoing(codec), outgoing(codec)
    one.lens = other.lens = lens
    one.events.append((5, b"1"))
    assert one.events
    (frame,) = one.take(1000)
    assert other.lone(5, b"1") == frame
    assert not one.frames
    assert not other.frames
    assert (one.credit, one.packed, one.size) == (other.credit, other.packed, other.size)


def test_an_event_that_something_is_in_the_way_of_has_to_wait() -> None:
    behind_events, behind_control, poor, recorded, free = (outgoing() for _ in range(5))
    behind_events.events.append((5, b"1"))
    behind_control.put(control(1))
    poor.credit = 0
    recorded.record = []
    for each in (behind_events, behind_control, poor, recorded):
        assert each.lone(5, b"2") is None
        assert each.packed == 0
    assert free.lone(5, b"x" * (LARGEST_PAYLOAD + 1)) is None
    assert free.lone(5, b"x" * LARGEST_PAYLOAD) is not None
