"""EVENT bodies: the recorded batches, packing into few frames, and taking apart what may be malformed."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol.recorded import FRAMES

from sig.codecs import JSON, as_codec, batch_decode
from sig.errors import LocalProtocolError, MessageTooBig, RemoteProtocolError
from sig.protocol.events import (
    MAX_EVENTS,
    EventBatch,
    count_events,
    gather_events,
    latest_events,
    merge_events,
    pack_batch,
    pack_event,
    pack_events,
    routes_of,
    split_events,
    stamp,
    stamped,
    unpack_events,
)
from sig.protocol.frames import (
    EVENT_DURABLE,
    EVENT_LENS,
    EVENT_MIXED,
    EVENT_SEQ,
    FRAMING_ROOM_BYTES,
    HEADER,
    Frame,
    Kind,
    pack,
)

LIMIT = 1024
ROOM = LIMIT - FRAMING_ROOM_BYTES
PRODUCER = 0x0123456789ABCDEF


@dataclass
class Bytes:
    """A codec without lines."""

    name: str = "bytes"

    def encode(self, obj: object) -> bytes:
        assert isinstance(obj, bytes)
        return obj

    def decode(self, data: bytes) -> object:
        return data


BYTES = as_codec(Bytes())


def packed(
    items: list[tuple[int, bytes]], *, lens: bool = False, lines: bool = True, limit: int = LIMIT
) -> list[bytes]:
    return pack_events(items, lens=lens, lines=lines, max_frame_bytes=limit)


def opened(frame: bytes, *, lines: bool) -> list[tuple[int, bytes]]:
    """The `(route, payload)` pairs of a frame, by the slow and obvious way."""
    batch = unpack_events(Frame.of(frame))
    count = Frame.of(frame).count
    if batch.lens is None:
        payloads = batch.payloads.split(b"\n")
    else:
        starts = [sum(batch.lens[:i]) for i in range(count)]
        payloads = [batch.payloads[a : a + n] for a, n in zip(starts, batch.lens, strict=True)]
        payloads = [payload.removesuffix(b"\n") for payload in payloads] if lines else payloads
    assert len(payloads) == count
    return list(zip(batch.routes or [Frame.of(frame).route] * count, payloads, strict=True))


# -- the recorded bytes --------------------------------------------------------------------------

T = 123456

RECORDED = {
    "event: one": (
        pack_batch(5, [b'{"celsius":21.5}'], lens=False, lines=True),
        EventBatch(0, None, None, None, None, b'{"celsius":21.5}'),
    ),
    "event: two, stamped": (
        pack_batch(5, [b"1", b"22"], lens=False, lines=True, time_us=T),
        EventBatch(T, None, None, None, None, b"1\n22"),
    ),
    "event: LENS": (
        pack_batch(5, [b"1", b"22"], lens=True, lines=True, time_us=T),
        EventBatch(T, None, None, None, (2, 2), b"1\n22"),
    ),
    "event: LENS, codec without lines": (
        pack_batch(5, [b"\xff", b"", b"\x00\n"], lens=False, lines=False),
        EventBatch(0, None, None, None, (1, 0, 2), b"\xff\x00\n"),
    ),
    "event: MIXED": (
        pack_batch(0, [b"1", b"22", b"333"], routes=[5, 6, 5], lens=False, lines=True, time_us=T),
        EventBatch(T, None, None, (5, 6, 5), (2, 3, 3), b"1\n22\n333"),
    ),
    "event: SEQ": (
        pack_batch(5, [b"1", b"22"], lens=False, lines=True, time_us=T, first_seq=9),
        EventBatch(T, 9, None, None, None, b"1\n22"),
    ),
    "event: DURABLE": (
        pack_batch(5, [b"1"], lens=False, lines=True, producer_seq=PRODUCER),
        EventBatch(0, None, PRODUCER, None, None, b"1"),
    ),
    "event: SEQ, DURABLE and LENS": (
        pack_batch(5, [b"1", b"22"], lens=True, lines=True, time_us=T, first_seq=9, producer_seq=PRODUCER),
        EventBatch(T, 9, PRODUCER, None, (2, 2), b"1\n22"),
    ),
}


def test_every_recorded_event_is_tried() -> None:
    assert list(RECORDED) == [name for name, data in FRAMES.items() if data[4] == Kind.EVENT]


@pytest.mark.parametrize("name", RECORDED)
def test_a_batch_is_packed_to_the_recorded_bytes_and_taken_apart_again(name: str) -> None:
    data, batch = RECORDED[name]
    assert data == FRAMES[name]
    assert unpack_events(Frame.of(FRAMES[name])) == batch


def test_the_payloads_of_every_layout_are_decoded_by_one_call() -> None:
    for name, (data, batch) in RECORDED.items():
        if "without lines" not in name:
            expected = [{"celsius": 21.5}] if name == "event: one" else [1, 22, 333][: Frame.of(data).count]
            assert batch_decode(JSON, batch.payloads, batch.lens, Frame.of(data).count) == expected
    batch = RECORDED["event: LENS, codec without lines"][1]
    assert batch_decode(BYTES, batch.payloads, batch.lens, 3) == [b"\xff", b"", b"\x00\n"]


# -- packing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lens", [True, False])
@pytest.mark.parametrize("payload", [b"", b"1", b"x" * 1000])
def test_one_event_is_packed_as_a_batch_of_one(payload: bytes, lens: bool) -> None:
    for lines in (True, False) if lens else (True,):
        assert pack_event(5, payload, lens=lens) == pack_batch(5, [payload], lens=lens, lines=lines)


def test_nothing_makes_no_frame() -> None:
    assert packed([]) == []


def test_one_route_makes_a_plain_batch_and_several_a_mixed_one() -> None:
    assert packed([(5, b"1"), (5, b"22")]) == [pack_batch(5, [b"1", b"22"], lens=False, lines=True)]
    assert packed([(5, b"1"), (6, b"22")]) == [pack_batch(0, [b"1", b"22"], routes=[5, 6], lens=True, lines=True)]


def test_lengths_are_told_when_asked_for_or_needed() -> None:
    for lens, lines, flags in ((False, True, 0), (True, True, EVENT_LENS), (False, False, EVENT_LENS)):
        for items in ([(5, b"1")], [(5, b"1"), (5, b"2")]):
            (frame,) = packed(items, lens=lens, lines=lines)
            assert Frame.of(frame).flags == flags


def test_the_time_is_the_same_in_all_frames() -> None:
    frames = pack_events([(5, bytes(400))] * 5, lens=False, lines=False, max_frame_bytes=LIMIT, time_us=T)
    assert len(frames) > 1
    assert {unpack_events(Frame.of(frame)).time_us for frame in frames} == {T}


@pytest.mark.parametrize("others", [[], [(5, b"1")], [(6, b"1")] * 10])
def test_a_payload_may_be_as_large_as_the_limit_leaves_room_for(others: list[tuple[int, bytes]]) -> None:
    for size in (ROOM - 1, ROOM):
        frames = packed([*others, (5, b"x" * size)])
        assert [item for frame in frames for item in opened(frame, lines=True)] == [*others, (5, b"x" * size)]
    with pytest.raises(MessageTooBig, match=f"takes {ROOM + 1} bytes, and the limit is {ROOM}"):
        packed([*others, (5, b"x" * (ROOM + 1))])


def test_a_payload_of_the_largest_size_fits_in_whatever_layout() -> None:
    payload = bytes(ROOM)
    largest = pack_batch(5, [payload], lens=True, lines=True, first_seq=1, producer_seq=1)
    mixed = pack_batch(0, [payload], lens=True, lines=True, routes=[5])
    assert max(len(largest), len(mixed)) <= HEADER.size + LIMIT


def test_more_events_than_a_frame_counts_make_two() -> None:
    items = [(5, b"1")] * (MAX_EVENTS + 1)
    frames = packed(items, limit=2**24)
    assert [Frame.of(frame).count for frame in frames] == [MAX_EVENTS, 1]
    assert [Frame.of(frame).count for frame in packed(items[1:], limit=2**24)] == [MAX_EVENTS]


some_items = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([b"", b"1", b"x" * 90, b"y" * 250, b"z" * ROOM])), max_size=12
)


@given(some_items, st.booleans(), st.booleans())
def test_what_is_packed_comes_out_in_its_order(items: list[tuple[int, bytes]], lens: bool, lines: bool) -> None:
    frames = packed(items, lens=lens, lines=lines)
    assert all(len(frame) <= HEADER.size + LIMIT for frame in frames)
    assert [item for frame in frames for item in opened(frame, lines=lines)] == items


@given(some_items, st.booleans(), st.booleans())
def test_there_are_never_more_frames_than_needed(items: list[tuple[int, bytes]], lens: bool, lines: bool) -> None:
    def fits(part: list[tuple[int, bytes]]) -> bool:
        payloads = [payload for _, payload in part]
        routes = [route for route, _ in part]
        mixed = any(route != routes[0] for route in routes)
        frame = pack_batch(
            0 if mixed else routes[0], payloads, routes=routes if mixed else None, lens=lens, lines=lines
        )
        return len(frame) <= HEADER.size + LIMIT

    # The fewest for each beginning of the list, tried in every way.
    fewest = [0]
    for end in range(1, len(items) + 1):
        fewest.append(min(fewest[start] + 1 for start in range(end) if fits(items[start:end])))
    assert len(packed(items, lens=lens, lines=lines)) == fewest[-1]


def test_a_batch_that_cannot_be_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="1 to 65535 events, not 0"):
        pack_batch(5, [], lens=True, lines=True)
    with pytest.raises(LocalProtocolError, match="1 to 65535 events, not 65536"):
        pack_batch(5, [b"1"] * 65536, lens=True, lines=True)
    for wrong in ({"first_seq": 1}, {"producer_seq": 1}, {"route": 5}, {"routes": [5]}):
        options: dict[str, object] = {"route": 0, "routes": [5, 6], **wrong}
        with pytest.raises(LocalProtocolError, match="a mixed batch has a route for each event"):
            pack_batch(payloads=[b"1", b"2"], lens=True, lines=True, **options)  # type: ignore[arg-type]  # by name


# -- what may be malformed -----------------------------------------------------------------------


def event(flags: int, count: int, *fields: int, payloads: bytes = b"") -> Frame:
    """An EVENT of time 0 with these u32 after it."""
    body = bytes(8) + struct.pack(f"<{len(fields)}I", *fields) + payloads
    return Frame.of(pack(Kind.EVENT, body, flags=flags, count=count, route=5))


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (event(0, 0, payloads=b"1"), "without events"),
        (event(EVENT_LENS, 0), "without events"),
        (event(EVENT_MIXED, 1, 5, payloads=b"1"), "mixed EVENT without lengths, or with numbers"),
        (event(EVENT_MIXED | EVENT_LENS | EVENT_SEQ, 1, 0, 0, 5, 1, payloads=b"1"), "or with numbers"),
        (event(EVENT_MIXED | EVENT_LENS | EVENT_DURABLE, 1, 0, 0, 5, 1, payloads=b"1"), "or with numbers"),
        (event(EVENT_LENS, 2, 1, 1, payloads=b"1"), "with 1 bytes of payloads, and lengths of 2"),
        (event(EVENT_LENS, 2, 1, 1, payloads=b"123"), "with 3 bytes of payloads, and lengths of 2"),
        (event(EVENT_LENS, 2, 2**32 - 1, 2**32 - 1, payloads=b"12"), "lengths of 8589934590"),
        (event(EVENT_LENS, 65535, 1, payloads=b"1"), "at least 262148"),
        (event(EVENT_SEQ, 1, 0), "at least 16"),
    ],
)
def test_a_malformed_event_is_the_peers_mistake(frame: Frame, sentence: str) -> None:
    for take in (unpack_events, count_events, routes_of, lambda frame: split_events(frame, [{5}])):
        with pytest.raises(RemoteProtocolError, match=sentence):
            take(frame)


@pytest.mark.parametrize("name", RECORDED)
def test_an_event_cut_short_is_refused_or_has_shorter_payloads(name: str) -> None:
    data, batch = RECORDED[name]
    head = len(data) - len(batch.payloads)
    for end in range(HEADER.size, len(data)):
        frame = Frame(Kind.EVENT, data[5], Frame.of(data).count, 5, data[:end])
        if end < head or batch.lens is not None:
            with pytest.raises(RemoteProtocolError):
                unpack_events(frame)
        else:
            assert unpack_events(frame).payloads == data[head:end]


@given(st.integers(0, 15), st.integers(0, 4), st.binary(max_size=60))
def test_garbage_raises_nothing_but_a_protocol_error(flags: int, count: int, body: bytes) -> None:
    frame = Frame.of(pack(Kind.EVENT, body, flags=flags, count=count, route=5))
    for take in (unpack_events, count_events, routes_of, lambda frame: split_events(frame, [])):
        with contextlib.suppress(RemoteProtocolError):
            take(frame)


# -- time, counts, parts -------------------------------------------------------------------------


def test_a_stamp_changes_the_time_and_nothing_else() -> None:
    for data, batch in RECORDED.values():
        before, after = Frame.of(data), stamp(Frame.of(data), 77)
        assert after == Frame.of(after.data)
        assert (after.kind, after.flags, after.count, after.route) == (
            before.kind,
            before.flags,
            before.count,
            before.route,
        )
        assert unpack_events(after) == EventBatch(
            77, batch.first_seq, batch.producer_seq, batch.routes, batch.lens, batch.payloads
        )


def test_events_are_counted_by_their_routes() -> None:
    assert routes_of(Frame.of(FRAMES["event: two, stamped"])) is None
    assert routes_of(Frame.of(FRAMES["event: MIXED"])) == RECORDED["event: MIXED"][1].routes
    assert count_events(Frame.of(FRAMES["event: two, stamped"])) == ((5, 2),)
    assert count_events(Frame.of(FRAMES["event: MIXED"])) == ((5, 2), (6, 1))


def test_a_part_of_a_mixed_frame_is_mixed_or_of_one_route() -> None:
    (whole,) = packed([(5, b"1"), (6, b"22"), (7, b"333"), (5, b"4444")])
    frame = Frame.of(whole)
    all_of_it, some, one = split_events(frame, [{5, 6, 7}, [6, 5], {5: "thermo"}])
    assert all_of_it is frame.data
    assert some == packed([(5, b"1"), (6, b"22"), (5, b"4444")])[0]
    assert one == packed([(5, b"1"), (5, b"4444")], lens=True)[0]


def test_a_part_keeps_the_newline_at_its_end() -> None:
    (whole,) = packed([(5, b"1"), (6, b"22")])
    (part,) = split_events(Frame.of(whole), [{5}])
    assert part == bytes.fromhex("0e000000 20 01 0100 05000000  0000000000000000 02000000 310a")
    batch = unpack_events(Frame.of(part))
    assert batch_decode(JSON, batch.payloads, batch.lens, 1) == [1]


def test_a_frame_of_one_route_cannot_be_split() -> None:
    for name, (data, _) in RECORDED.items():
        if name != "event: MIXED":
            frame = Frame.of(data)
            assert [part is frame.data for part in split_events(frame, [{5}, {5}])] == [True, True]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10**6)), min_size=1, max_size=12),
    st.lists(st.sets(st.integers(1, 4)), max_size=4),
    st.booleans(),
    st.integers(0, 2**64 - 1),
)
def test_parts_hold_just_what_is_wanted_and_decode(
    events: list[tuple[int, int]], some: list[set[int]], lines: bool, time_us: int
) -> None:
    codec = JSON if lines else BYTES
    values: list[tuple[int, object]] = [(route, n if lines else b"\n" * (n % 3)) for route, n in events]
    items = [(route, codec.encode(value)) for route, value in values]
    (data,) = pack_events(items, lens=True, lines=lines, max_frame_bytes=LIMIT, time_us=time_us)
    there = {route for route, _ in values}
    asked = [wanted & there for wanted in some if wanted & there]
    for wanted, part in zip(asked, split_events(Frame.of(data), asked), strict=True):
        frame = Frame.of(part)
        assert len(part) == HEADER.size + HEADER.unpack_from(part)[0]
        batch = unpack_events(frame)
        assert batch.time_us == time_us
        assert batch.lens is not None
        decoded = batch_decode(codec, batch.payloads, batch.lens, frame.count)
        kept = [(route, value) for route, value in values if route in wanted]
        assert list(zip(batch.routes or [frame.route] * frame.count, decoded, strict=True)) == kept


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10**6)), min_size=2, max_size=6), min_size=1, max_size=4
)


@given(BATCHES, st.booleans(), st.booleans())
def test_merged_frames_hold_what_they_held_in_order(
    batches: list[list[tuple[int, int]]], lines: bool, newlines: bool
) -> None:
    codec = JSON if lines else BYTES
    frames: list[Frame] = []
    expected: list[tuple[int, object]] = []
    for batch in batches:
        values: list[tuple[int, object]] = [(route, n if lines else b"\n" * (n % 3)) for route, n in batch]
        expected += values
        payloads = [codec.encode(value) for _, value in values]
        if lines and newlines:
            payloads[-1] += b"\n"  # as a part of a batch has it
        routes = [route for route, _ in values]
        frames.append(Frame.of(pack_batch(0, payloads, lens=True, lines=lines, routes=routes, time_us=7)))
    merged = merge_events(frames, lines=lines)
    assert len(frames) > 1 or merged is frames[0]
    assert merged == Frame.of(merged.data)
    assert len(merged.data) == HEADER.size + HEADER.unpack_from(merged.data)[0]
    found = unpack_events(merged)
    decoded = batch_decode(codec, found.payloads, found.lens, merged.count)
    assert list(zip(found.routes or (), decoded, strict=True)) == expected
    assert found.time_us == 7
    # And what is cut out of it again can be decoded too.
    for route in dict.fromkeys(route for route, _ in expected):
        (part,) = split_events(merged, [{route}])
        one = unpack_events(Frame.of(part))
        values_of = [value for number, value in expected if number == route]
        assert batch_decode(codec, one.payloads, one.lens, len(values_of)) == values_of


@given(
    st.lists(
        st.tuples(st.sampled_from([(1,), (1, 1, 1), (2, 2), (1, 2, 1)]), st.booleans(), st.booleans()), min_size=1
    ),
    st.booleans(),
    st.sampled_from([1, 80, 150, 1 << 20]),
)
def test_gathered_frames_hold_what_they_held_in_order(
    batches: list[tuple[tuple[int, ...], bool, bool]], lines: bool, most_bytes: int
) -> None:
    codec = JSON if lines else BYTES
    frames: list[Frame] = []
    expected: list[tuple[int, object]] = []
    for routes, lens, newline in batches:
        values: list[tuple[int, object]] = [(route, (len(expected) if lines else b"\n")) for route in routes]
        expected += values
        payloads = [codec.encode(value) for _, value in values]
        mixed = len(set(routes)) > 1
        measured = lens or mixed or not lines
        if lines and measured and newline:
            payloads[-1] += b"\n"  # as a part of a batch has it
        told = {"routes": routes} if mixed else {}
        route = 0 if mixed else routes[0]
        frames.append(Frame.of(pack_batch(route, payloads, lens=measured, lines=lines, time_us=7, **told)))
    few = [Frame.of(data) for data in gather_events(frames, most_bytes, lines=lines)]
    found: list[tuple[int, object]] = []
    for frame in few:
        batch = unpack_events(frame)
        assert batch.time_us == 7
        decoded = batch_decode(codec, batch.payloads, batch.lens, frame.count)
        found += zip(batch.routes or [frame.route] * frame.count, decoded, strict=True)
    assert found == expected
    largest = max(len(frame.data) for frame in frames)
    assert all(len(frame.data) <= max(most_bytes, largest) for frame in few)
    if most_bytes == 1:
        assert few == frames
    elif most_bytes == 1 << 20:
        assert len(few) == len([*groupby((frame.flags, frame.route) for frame in frames)])


def test_what_is_gathered_is_counted() -> None:
    frames = [Frame.of(pack_batch(1, [b"1"] * 30_000, lens=False, lines=True))] * 3
    few = [Frame.of(data) for data in gather_events(frames, 1 << 20, lines=True)]
    assert [frame.count for frame in few] == [60_000, 30_000]


@settings(max_examples=100)  # fewer leave lines untried
@given(
    st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10**6)), min_size=1, max_size=6), max_size=4),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 4), unique=True),
)
def test_of_each_route_the_last_event_is_found(
    batches: list[list[tuple[int, int]]], lens: bool, lines: bool, wanted: list[int]
) -> None:
    frames: list[Frame] = []
    expected: dict[int, tuple[int, bytes]] = {}
    for time_us, batch in enumerate(batches):
        items = [(route, JSON.encode(n) if lines else b"\n" * (n % 3)) for route, n in batch]
        made = pack_events(items, lens=lens, lines=lines, max_frame_bytes=1 << 20, time_us=time_us)
        frames += [Frame.of(data) for data in made]
        expected.update((route, (time_us, payload)) for route, payload in items)
    found = list(latest_events(frames, wanted, lines=lines))
    assert {route: (time_us, payload) for route, time_us, payload in found} == {
        route: last for route, last in expected.items() if route in wanted
    }
    assert len({route for route, _, _ in found}) == len(found)


def test_the_newline_at_the_end_is_no_part_of_the_last_event() -> None:
    mixed = Frame.of(pack_batch(0, [b"1", b"22"], lens=True, lines=True, routes=[5, 6]))
    part = Frame.of(split_events(mixed, [(5,)])[0])
    assert part.data.endswith(b"1\n")
    assert list(latest_events([part], [5], lines=True)) == [(5, 0, b"1")]


def test_what_nobody_can_tell_apart_is_taken_as_a_whole() -> None:
    unmeasured = Frame.of(pack(Kind.EVENT, bytes(8) + b"ab", count=2, route=5))
    assert list(latest_events([unmeasured], [5], lines=False)) == [(5, 0, b"ab")]


def test_a_frame_is_given_its_time() -> None:
    frame = pack_batch(7, [b"1", b"2"], lens=False, lines=True)
    assert stamped(memoryview(frame), 12) == pack_batch(7, [b"1", b"2"], lens=False, lines=True, time_us=12)
