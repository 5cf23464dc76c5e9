"""Parts of an answer: their frames, and the two ends of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.recorded import FRAMES

from sig.codecs import as_codec
from sig.constants import STREAM_WINDOW_BYTES
from sig.errors import ConnectionLost, InvalidData, ProtocolError, RemoteProtocolError
from sig.protocol.frames import REPLY_LENS, REPLY_MORE, Frame, Kind, pack
from sig.protocol.parts import (
    PART_BYTES,
    Abandoned,
    Parts,
    PartsIn,
    PartsOut,
    batches,
    cost_of,
    pack_parts,
    slices,
    unpack_parts,
)

JSON = as_codec("json")
MSGPACK = as_codec("msgpack")
PAYLOAD = st.binary(max_size=20).map(lambda some: some.replace(b"\n", b""))


def frame(payloads: list[bytes], *, lines: bool = True, cost: int = 1000) -> Frame:
    return Frame.of(pack_parts(payloads, route=5, peer=2, corr=3, lines=lines, cost=cost))


def out(lines: bool = True) -> tuple[PartsOut, list[PartsOut | Abandoned]]:
    written: list[PartsOut | Abandoned] = []
    return PartsOut(5, 2, 3, lines, written), written


@given(st.lists(PAYLOAD, min_size=1, max_size=20), st.booleans())
def test_what_is_packed_is_unpacked(payloads: list[bytes], lines: bool) -> None:
    made = frame(payloads, lines=lines)
    parts = unpack_parts(made)
    assert (parts.peer, parts.corr, parts.cost, parts.count) == (2, 3, 1000, len(payloads))
    assert slices(parts, lines=lines) == payloads
    assert cost_of(made.data) == 1000
    assert (made.kind, made.route, made.count) == (Kind.REPLY, 5, len(payloads))
    assert bool(made.flags & REPLY_LENS) == (not lines and len(payloads) > 1)


@pytest.mark.parametrize(
    ("name", "payloads", "lines"),
    [
        ("reply: parts of a stream", [b"1", b"2"], True),
        ("reply: parts with lengths", [b"\x01", b"\x02"], False),
    ],
)
def test_the_recorded_bytes(name: str, payloads: list[bytes], lines: bool) -> None:
    parts = PartsOut(6, 9, 1, lines, [])
    for payload in payloads:
        parts.write(payload)
    assert parts.pack() == [FRAMES[name]]
    found = unpack_parts(Frame.of(FRAMES[name]))
    assert (found.peer, found.corr, found.cost, slices(found, lines=lines)) == (9, 1, 130, payloads)


def reply(body: bytes, *, count: int = 1, flags: int = REPLY_MORE) -> Frame:
    return Frame.of(pack(Kind.REPLY, body, flags=flags, count=count, route=5))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (reply(bytes(11)), "of 11 bytes, and it must have at least 12"),
        (reply(bytes(12), count=0), "without parts"),
        (reply(bytes(15), flags=REPLY_MORE | REPLY_LENS), "of 15 bytes, and it must have at least 16"),
        (reply(bytes(17), flags=REPLY_MORE | REPLY_LENS), "1 bytes of parts, and lengths of 0"),
    ],
)
def test_what_is_no_frame_of_parts_says_so(bad: Frame, told: str) -> None:
    with pytest.raises(RemoteProtocolError, match=told):
        unpack_parts(bad)


def test_a_cost_that_is_not_there_says_so() -> None:
    with pytest.raises(RemoteProtocolError, match="must have at least 12"):
        cost_of(reply(bytes(3)).data)


@pytest.mark.parametrize("lines", [True, False])
def test_lines_that_are_not_as_many_as_was_said_are_no_parts(lines: bool) -> None:
    with pytest.raises(InvalidData, match="said to hold 3 parts holds"):
        slices(Parts(1, 1, 1, 3, None, b"1\n2"), lines=lines)


def test_a_frame_is_closed_once_it_is_large_enough() -> None:
    sizes = [[len(payload) for payload in some] for some in batches([b"x" * 20_000] * 5)]
    assert sizes == [[20_000] * 2, [20_000] * 2, [20_000]]
    assert [len(some) for some in batches([b""] * 70_000)] == [65_535, 4465]
    assert list(batches([])) == []


@pytest.mark.parametrize("lines", [True, False])
def test_what_is_written_leaves_in_frames_and_costs_room(lines: bool) -> None:
    parts, written = out(lines)
    for _ in range(3):
        parts.write(b"12345")
    assert written == [parts], "it enters itself once"
    (packed,) = parts.pack()
    found = unpack_parts(Frame.of(packed))
    assert (found.count, found.cost) == (3, 3 * (5 + PART_BYTES))
    assert parts.pack() == []
    parts.write(b"6")
    assert written == [parts, parts], "and again once that has left"


@given(st.integers(min_value=0, max_value=30_000))
def test_a_cost_is_never_less_than_its_frame(size: int) -> None:
    for lines in (True, False):
        parts, _ = out(lines)
        while parts.room:
            parts.write(b"x" * size)
        assert all(cost_of(packed) >= len(packed) for packed in parts.pack())


def test_the_window_holds_so_much_and_one_part() -> None:
    parts, _ = out()
    told: list[str] = []
    parts.news = lambda: told.append("news")
    count = 0
    while parts.room:
        parts.write(b"x" * 1000)
        count += 1
    assert (count - 1) * (1000 + PART_BYTES) < STREAM_WINDOW_BYTES <= count * (1000 + PART_BYTES)
    parts.grant(STREAM_WINDOW_BYTES)
    assert parts.room
    assert told == ["news"]


def test_nobody_need_want_to_be_told_of_room() -> None:
    parts, _ = out()
    parts.grant(1)
    assert parts.room


class Taken:
    """The end that takes, and how often it had news."""

    def __init__(self) -> None:
        self.times = 0
        self.parts = PartsIn(self.news)

    def news(self) -> None:
        self.times += 1


def test_parts_are_taken_as_they_came_and_then_the_end() -> None:
    taken = Taken()
    parts = taken.parts
    assert parts.take() is None
    parts.put(frame([b"1", b"2"]), JSON)
    parts.put(frame([b"\x03", b"\x04"], lines=False), MSGPACK)
    parts.put(frame([b"5"]), JSON)
    parts.finish(b"6", None)
    assert taken.times == 4
    assert [parts.take(), parts.take(), parts.take(), parts.take()] == [[1, 2], [3, 4], [5], None]
    assert (parts.over, parts.result, parts.error) == (True, b"6", None)


def test_only_the_first_end_counts() -> None:
    taken = Taken()
    error = ConnectionLost("gone")
    taken.parts.finish(None, error)
    taken.parts.finish(b"6", None)
    assert (taken.parts.result, taken.parts.error, taken.times) == (None, error, 1)


def test_credit_is_given_back_when_half_of_the_window_has_been_taken() -> None:
    parts = Taken().parts
    share = STREAM_WINDOW_BYTES // 4
    for _ in range(3):
        parts.put(frame([b"1"], cost=share), JSON)
    parts.take()
    assert not parts.owes
    parts.take()
    assert parts.owes
    assert parts.give_back() == 2 * share
    assert not parts.owes
    parts.take()
    parts.put(frame([b"1"], cost=share), JSON)
    parts.take()
    parts.finish(b"null", None)
    assert not parts.owes, "nobody gives any more"


def test_who_gives_more_than_there_is_room_for_is_refused() -> None:
    parts = Taken().parts
    parts.put(frame([b"1"], cost=STREAM_WINDOW_BYTES), JSON)
    with pytest.raises(ProtocolError, match="gives more parts than it was asked for"):
        parts.put(frame([b"1"]), JSON)
    parts.take()
    parts.give_back()
    parts.put(frame([b"1"]), JSON)


def lie() -> Frame:
    return Frame.of(pack(Kind.REPLY, bytes(12) + b"1", flags=REPLY_MORE, count=2, route=5))


@pytest.mark.parametrize(
    ("bad", "error", "told"),
    [
        (lambda: reply(bytes(13), count=0), ProtocolError, "gives parts that cannot be read: .*without parts"),
        (lie, InvalidData, "said to hold 2 payloads holds 1"),
        (lambda: frame([b"{"]), InvalidData, "is not JSON that can be read"),
    ],
)
def test_what_cannot_be_read_is_told_to_whoever_takes(
    bad: Callable[[], Frame], error: type[Exception], told: str
) -> None:
    parts = Taken().parts
    parts.put(bad(), JSON)
    with pytest.raises(error, match=told) as raised:
        parts.take()
    assert not isinstance(raised.value, RemoteProtocolError), "the link is not to blame"
