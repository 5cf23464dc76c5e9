"""Frames: the recorded bytes, however they are cut up, and whatever else may arrive."""

from __future__ import annotations

import copy
import itertools
import pickle
import struct
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol import recorded

from sig.errors import MessageTooBig, RemoteProtocolError
from sig.messages import (
    Bye,
    Error,
    Hello,
    Interest,
    Last,
    Listen,
    Message,
    Presence,
    Result,
    Route,
    RouteGone,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.events import pack_batch
from sig.protocol.frames import (
    EVENT_LENS,
    FRAMING_ROOM_BYTES,
    HEADER,
    PREFACE,
    REPLY_ERR,
    RESULT_ERR,
    Frame,
    FrameReader,
    FramingError,
    Kind,
    check_payload,
    pack,
    parse_preface,
)

LIMIT = 1024


def one_by_one(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def read(
    parts: Iterable[bytes], *, limit: int = LIMIT, preface: bool = False
) -> tuple[list[Frame], FramingError | None]:
    """All that a reader finds, asked as it wants to be asked."""
    reader = FrameReader(limit, preface=preface)
    found: list[Frame] = []
    for part in parts:
        frames = reader.feed(part)
        while frames:
            found += frames
            frames = reader.feed()
    return found, reader.error


# -- the recorded bytes --------------------------------------------------------------------------


def test_every_kind_is_recorded() -> None:
    assert sorted({data[4] for data in recorded.FRAMES.values()}) == sorted(Kind)


@pytest.mark.parametrize("data", recorded.FRAMES.values(), ids=recorded.FRAMES)
def test_a_frame_is_read_whole_byte_by_byte_and_with_trailing_bytes(data: bytes) -> None:
    length, kind, flags, count, route = struct.unpack("<IBBHI", data[:12])
    frame = Frame(kind, flags, count, route, data)
    assert length == len(data) - 12
    assert read([data]) == ([frame], None)
    assert read(one_by_one(data)) == ([frame], None)
    assert read([data + data[:5], data[5:]]) == ([frame, frame], None)


@pytest.mark.parametrize("data", recorded.FRAMES.values(), ids=recorded.FRAMES)
def test_a_frame_is_packed_to_the_same_bytes(data: bytes) -> None:
    frame = Frame.of(data)
    assert read([data]) == ([frame], None)
    assert pack(frame.kind, frame.body, flags=frame.flags, count=frame.count, route=frame.route) == data


CONTROL: dict[str, tuple[int, Message]] = {
    "hello": (0, Hello([1], ["json"], name="hall 2", heartbeat_s=10.0)),
    "welcome": (0, Welcome(1, ["json"], "n1", 3, 9, "token", 2**24, 2**20, 10.0)),
    "bye": (0, Bye("shutdown", retry_after_s=2.5)),
    "error": (0, Error("too_large", "no", fatal=True)),
    "call": (7, Listen(1, "lab/*")),
    "result": (7, Result(None)),
    "route": (5, Route("wärme", "changed", incarnation=2**64 - 1)),
    "route gone": (5, RouteGone("closed")),
    "interest": (5, Interest("grouped")),
    "interest: none": (5, Interest("none")),
    "interest: some": (5, Interest("some")),
    "interest: held": (5, Interest("some", held=True)),
    "route: lane": (9, Route("thermo", "changed", incarnation=1, next_seq=41, retained=True, base=5, call=7)),
    "route: lane of a listener": (10, Route("thermo", "changed", incarnation=1, next_seq=41, base=5, listener=12)),
    "call: last": (8, Last("thermo", "changed")),
    "presence": (0, Presence("thermo", 1, "#connect", {"events": ["changed"], "requests": None})),
}


@pytest.mark.parametrize("name", CONTROL)
def test_control_is_packed_to_the_recorded_bytes_and_read_from_them(name: str) -> None:
    route, message = CONTROL[name]
    frame = Frame.of(recorded.FRAMES[name])
    assert pack(frame.kind, encode_control(message), route=route) == recorded.FRAMES[name]
    assert decode_control(type(message), frame.body) == message


def test_a_frame_without_anything_is_a_header() -> None:
    assert pack(Kind.CALL) == bytes.fromhex("00000000 10 00 0000 00000000")
    assert read([pack(Kind.CALL)]) == ([Frame(0x10, 0, 0, 0, pack(Kind.CALL))], None)


def test_a_frame_shows_its_header_and_keeps_its_body_to_itself() -> None:
    frame = Frame.of(pack(Kind.EVENT, b"S3CR3T--1", flags=EVENT_LENS, count=2, route=5))
    assert repr(frame) == "<Frame EVENT flags=0x1 count=2 route=5, 9 bytes>"
    assert repr(Frame.of(pack(0x99))) == "<Frame kind 0x99 flags=0x0 count=0 route=0, 0 bytes>"


# -- the preface ---------------------------------------------------------------------------------


def test_the_preface_is_as_recorded() -> None:
    assert PREFACE == recorded.PREFACE == b"PSIG\x01\x00\x00\x00"


def test_the_preface_is_read_whole_byte_by_byte_and_with_trailing_bytes() -> None:
    frame = pack(Kind.PING, bytes(8))
    for parts in ([PREFACE + frame], one_by_one(PREFACE + frame), [PREFACE, frame], [PREFACE[:3], PREFACE[3:] + frame]):
        assert read(parts, preface=True) == ([Frame.of(frame)], None)
    assert read([PREFACE], preface=True) == ([], None)


def test_a_preface_is_complete_or_may_become_so() -> None:
    assert [parse_preface(PREFACE[:size]) for size in range(9)] == [False] * 8 + [True]
    assert parse_preface(memoryview(PREFACE + b"more"))


def test_a_later_minor_version_is_understood_and_what_is_reserved_ignored() -> None:
    assert parse_preface(b"PSIG\x01\x07\xff\xff")


@pytest.mark.parametrize(
    ("preface", "sentence"),
    [
        (b"PSIG\x02\x03\0\0", "speaks version 2.3 of the protocol, and we speak 1.0: update the program on this side"),
        (b"PSIG\x00\x09\0\0", "speaks version 0.9 of the protocol, and we speak 1.0: update the peer"),
    ],
)
def test_another_major_version_is_told_what_both_sides_speak(preface: bytes, sentence: str) -> None:
    frames, error = read([preface], preface=True)
    assert frames == []
    assert error is not None
    assert error.code == "version"
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("greeting", "spoken"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP; a browser or WebSocket"),
        (b"POST /x HTTP/1.1\r\n", "speaks HTTP"),
        (b"PUT / HTTP/1.1\r\n", "speaks HTTP"),
        (b"PRI * HTTP/2.0\r\n", "speaks HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "speaks HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "speaks TLS"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks SSH"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03", "speaks ZeroMQ"),
        (b'INFO {"server_id"', "speaks NATS"),
        (b'{"method": "addSender"}', "pysig 0.7"),
        (b"EHLO there", r"began with b'EHLO the'"),
        (b"\x00" * 20, "does not speak the protocol of sig"),
        (b"PSIX", "does not speak"),
    ],
)
def test_another_protocol_is_recognised_within_one_read(greeting: bytes, spoken: str) -> None:
    frames, error = read([greeting], preface=True)
    assert frames == []
    assert error is not None
    assert error.code == "not_sig"
    assert spoken in str(error)
    assert read(one_by_one(greeting), preface=True)[1] is not None


# -- limits --------------------------------------------------------------------------------------


def test_the_limit_is_the_largest_body() -> None:
    for size in (LIMIT - 1, LIMIT):
        frame = pack(Kind.EVENT, bytes(size), count=1)
        assert read([frame]) == read(one_by_one(frame)) == ([Frame.of(frame)], None)
    frames, error = read([pack(Kind.EVENT, bytes(LIMIT + 1), count=1)])
    assert frames == []
    assert error is not None
    assert error.code == "too_large"
    assert "(EVENT) of 1025 bytes, over the limit of 1024" in str(error)


def test_a_length_is_judged_before_the_body_is_waited_for() -> None:
    header = HEADER.pack(2**32 - 1, 0x99, 0, 0, 0)
    assert read([header[:11]]) == ([], None)
    tracemalloc.start()
    _, error = read([header])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error is not None
    assert error.code == "too_large"
    assert peak < 16 * 1024


def test_a_large_frame_in_many_reads_costs_a_few_times_its_size() -> None:
    size = 1024 * 1024
    frame = pack(Kind.EVENT, bytes(size), count=1)
    parts = [frame[i : i + 50] for i in range(0, len(frame), 50)]
    reader = FrameReader(size)
    tracemalloc.start()
    frames = [found for part in parts for found in reader.feed(part)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frames == [Frame.of(frame)]
    assert peak < 4 * size


def test_a_frame_may_raise_the_limit_for_the_next_in_the_same_read() -> None:
    welcome, large = pack(Kind.WELCOME, b"{}"), pack(Kind.EVENT, bytes(LIMIT + 1), count=1)
    reader = FrameReader(LIMIT)
    assert reader.feed(welcome + large) == [Frame.of(welcome)]
    assert reader.error is None
    reader.max_frame_bytes = LIMIT + 1
    assert reader.feed() == [Frame.of(large)]
    assert reader.feed() == []
    assert reader.error is None


@pytest.mark.parametrize("more", [b"", b"x", pack(Kind.PING, bytes(8))])
def test_a_frame_over_the_limit_is_judged_once_nothing_precedes_it(more: bytes) -> None:
    good, large = pack(Kind.PING, bytes(8)), pack(Kind.EVENT, bytes(LIMIT + 1), count=1)
    reader = FrameReader(LIMIT)
    assert reader.feed(good + large) == [Frame.of(good)]
    assert reader.feed(more) == []
    assert reader.error is not None
    assert reader.error.code == "too_large"


def test_a_payload_must_leave_room_for_the_frame_around_it() -> None:
    room = LIMIT - FRAMING_ROOM_BYTES
    for size in (0, room - 1, room):
        check_payload(bytes(size), LIMIT)
    with pytest.raises(MessageTooBig, match=rf"takes {room + 1} bytes, and the limit is {room}: 1024 for a frame"):
        check_payload(bytes(room + 1), LIMIT)


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, None])
def test_what_came_before_an_error_is_delivered_and_nothing_after_it(parts: int | None) -> None:
    good = pack(Kind.PING, bytes(8))
    stream = good + good + pack(0x77) + good
    frames, error = read([stream] if parts else one_by_one(stream))
    assert frames == [Frame.of(good)] * 2
    assert error is not None
    assert (error.code, str(error)) == ("protocol", "the peer sent a frame of an unknown kind, 0x77")


def test_after_an_error_everything_is_discarded() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(pack(0x77))
    error = reader.error
    assert reader.feed(pack(Kind.PING, bytes(8))) == []
    assert reader.error is error


@pytest.mark.parametrize("kind", [0x80, 0x99, 0xFF])
def test_an_optional_kind_is_skipped_whatever_its_flags(kind: int) -> None:
    good = pack(Kind.PING, bytes(8))
    stream = good + pack(kind, b"later", flags=0xFF, count=3, route=9) + good
    assert read([stream]) == read(one_by_one(stream)) == ([Frame.of(good)] * 2, None)


def test_an_optional_kind_is_held_to_the_limit_too() -> None:
    _, error = read([pack(0x99, bytes(LIMIT + 1))])
    assert error is not None
    assert "(kind 0x99) of 1025 bytes" in str(error)


@pytest.mark.parametrize("kind", [0x00, 0x09, 0x0F, 0x16, 0x21, 0x34, 0x44, 0x7F])
def test_any_other_unknown_kind_is_an_error_at_its_header(kind: int) -> None:
    frames, error = read([HEADER.pack(100, kind, 0, 0, 0)])
    assert frames == []
    assert error is not None


@pytest.mark.parametrize("kind", list(Kind))
def test_only_the_flags_of_a_kind_may_be_set(kind: Kind) -> None:
    allowed = {Kind.EVENT: 0x0F, Kind.REQUEST: 0x01, Kind.REPLY: 0x0F, Kind.RESULT: 0x01}.get(kind, 0)
    for bit in range(8):
        _, error = read([pack(kind, bytes(20), flags=1 << bit)])
        assert (error is None) == bool(allowed & 1 << bit)
        if error is not None:
            assert str(error) == f"the peer sent a frame ({kind.name}) with unknown flags, {1 << bit:#x}"
    assert RESULT_ERR == REPLY_ERR == 1


def test_a_framing_error_can_be_copied_and_pickled() -> None:
    error = FramingError("no", "too_large")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), twin.code) == (FramingError, "no", "too_large")
    assert isinstance(error, RemoteProtocolError)


def test_a_body_is_held_to_its_layout() -> None:
    frame = Frame.of(pack(Kind.ACK, b"12345678"))
    frame.need(8)
    assert frame.fields(struct.Struct("<8s")) == (b"12345678",)
    with pytest.raises(RemoteProtocolError, match=r"\(ACK\) of 8 bytes, and it must have at least 9"):
        frame.need(9)
    for layout in ("<7s", "<9s"):
        with pytest.raises(RemoteProtocolError, match=r"\(ACK\) of 8 bytes, not of the . it must have"):
            frame.fields(struct.Struct(layout))


# -- time ----------------------------------------------------------------------------------------


def test_the_time_is_written_into_events_and_nothing_else() -> None:
    event = pack(Kind.EVENT, bytes(8) + b"[1]", count=1, route=5)
    stamped = pack(Kind.EVENT, (7).to_bytes(8, "little") + b"[1]", count=1, route=5)
    ping = pack(Kind.PING, bytes(8))
    assert FrameReader(LIMIT).feed(event + ping + event, 7) == list(map(Frame.of, (stamped, ping, stamped)))
    reader = FrameReader(LIMIT)
    frames = [frame for part in one_by_one(event + ping) for frame in reader.feed(part, 7)]
    assert frames == [Frame.of(stamped), Frame.of(ping)]


def test_an_event_too_short_for_a_time_leaves_its_neighbour_alone() -> None:
    short, ping = pack(Kind.EVENT, bytes(7), count=1), pack(Kind.PING, bytes(8))
    assert FrameReader(LIMIT).feed(short + ping, 2**64 - 1) == [Frame.of(short), Frame.of(ping)]


def test_who_asks_is_written_in_place() -> None:
    for kind in (Kind.REQUEST, Kind.CANCEL):
        said, written = (pack(kind, struct.pack("<I", peer) + b"more", route=3) for peer in (0, 9))
        reply, short = pack(Kind.REPLY, bytes(8)), pack(kind, b"abc")
        frames = [Frame.of(frame) for frame in (written, reply, short)]
        assert FrameReader(LIMIT, peer=9).feed(said + reply + short) == frames
        assert FrameReader(LIMIT).feed(said) == [Frame.of(said)]


@pytest.mark.parametrize("wrap", [bytearray, lambda data: memoryview(bytearray(data))])
def test_the_callers_buffer_is_neither_changed_nor_kept(wrap: type[bytearray]) -> None:
    event = pack(Kind.EVENT, bytes(8) + b"[1]", count=1)
    buffer = wrap(event)
    (frame,) = FrameReader(LIMIT).feed(buffer, 7)
    assert bytes(buffer) == event
    buffer[:] = b"\xff" * len(buffer)
    assert frame.body == (7).to_bytes(8, "little") + b"[1]"


def test_what_is_found_lies_in_what_was_read_as_long_as_nothing_is_to_be_written_or_waits_before_it() -> None:
    ping, event = pack(Kind.PING, bytes(8)), pack(Kind.EVENT, bytes(8) + b"[1]", count=1)
    buffer = bytearray(ping + event + event[:9])
    reader = FrameReader(LIMIT)
    whole, found = reader.find(memoryview(buffer))
    assert [bytes(whole[start:end]) for *_, start, end in found] == [ping, event]
    assert isinstance(whole, memoryview)
    assert whole.obj is buffer
    buffer[:] = b"\xff" * len(buffer)  # what was cut in two has been kept
    whole, found = reader.find(memoryview(event[9:] + ping))
    assert isinstance(whole, bytes)
    assert [whole[start:end] for *_, start, end in found] == [event, ping]
    assert reader.find(memoryview(event), 7)[0] == event[:12] + (7).to_bytes(8, "little") + event[20:]


# -- properties ----------------------------------------------------------------------------------

some_frames = st.lists(
    st.builds(
        lambda kind, body, count, route: pack(kind, body, count=count, route=route),
        st.sampled_from([*Kind, 0x80, 0xFE]),
        st.binary(max_size=40),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**32 - 1),
    ),
    max_size=12,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(ends)]


@given(some_frames, st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_any_cutting_gives_the_same_frames(frames: list[bytes], places: list[int], preface: bool) -> None:
    stream = (PREFACE if preface else b"") + b"".join(frames)
    expected = [Frame.of(frame) for frame in frames if frame[4] < 0x80]
    assert read(cut(stream, places), preface=preface) == (expected, None)


@given(some_frames, st.binary(max_size=60), st.lists(st.integers(0, 10_000), max_size=10), st.booleans())
def test_garbage_ends_in_an_error_or_waits_and_is_never_larger_than_the_limit(
    frames: list[bytes], garbage: bytes, places: list[int], preface: bool
) -> None:
    stream = b"".join(frames) + garbage
    whole = read([stream], limit=32, preface=preface)
    for found, error in (whole, read(cut(stream, places), limit=32, preface=preface)):
        assert all(len(frame.data) <= HEADER.size + 32 for frame in found)
        assert found == whole[0]
        assert getattr(error, "code", None) == getattr(whole[1], "code", None)


# -- events that come by themselves ------------------------------------------------------------


TWO = pack_batch(7, [b"1", b"2"], lens=False, lines=True)


def test_one_small_frame_of_events_and_nothing_else_is_found_without_being_taken() -> None:
    reader = FrameReader(1000)
    assert reader.lone(TWO) == (2, 7)
    assert reader.lone(memoryview(TWO)) == (2, 7)
    assert reader.find(TWO) == (TWO, [(Kind.EVENT, 0, 2, 7, 0, len(TWO))])


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "a part": TWO[:-1],
        "a header alone": TWO[: HEADER.size],
        "two": TWO + TWO,
        "one and a part": TWO + b"x",
        "flags": pack_batch(7, [b"1"], lens=True, lines=True),
        "another kind": pack(Kind.REPLY, bytes(20)),
        "no events": pack(Kind.EVENT, bytes(20), route=7),
        "no time": pack(Kind.EVENT, bytes(7), route=7, count=1),
        "much": pack_batch(7, [b"x" * 5000], lens=False, lines=True),
    }.values(),
)
def test_all_else_is_for_those_who_look_at_it_frame_by_frame(data: bytes) -> None:
    reader = FrameReader(10_000)
    assert reader.lone(data) is None
    assert [frame.data for frame in reader.feed(data)] == [frame.data for frame in FrameReader(10_000).feed(data)]


def test_so_is_what_comes_behind_a_part_of_something_or_is_too_large_or_before_the_preface() -> None:
    reader = FrameReader(1000)
    reader.feed(TWO[:3])
    assert reader.lone(TWO) is None
    assert FrameReader(len(TWO) - HEADER.size - 1).lone(TWO) is None
    assert FrameReader(len(TWO) - HEADER.size).lone(TWO) == (2, 7)
    assert FrameReader(1000, preface=True).lone(TWO) is None
