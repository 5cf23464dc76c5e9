"""The fixed layouts: the recorded bytes both ways, and nothing that is not exactly that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.recorded import FRAMES

from sig.errors import LocalProtocolError, RemoteProtocolError
from sig.protocol.bodies import (
    LOST_REASONS,
    NO_DEADLINE,
    Cancel,
    Credit,
    Lost,
    Reply,
    Request,
    Stored,
    Unit,
    find_asked,
    method_of,
    pack_ack,
    pack_cancel,
    pack_credit,
    pack_lost,
    pack_peer_gone,
    pack_ping,
    pack_reply,
    pack_request,
    pack_stored,
    unpack_ack,
    unpack_cancel,
    unpack_credit,
    unpack_lost,
    unpack_peer_gone,
    unpack_ping,
    unpack_reply,
    unpack_request,
    unpack_stored,
)
from sig.protocol.frames import FRAMING_ROOM_BYTES, REPLY_END, REPLY_ERR, REQUEST_PARTS, Frame, Kind, pack

U8, U32, U64 = st.integers(0, 2**8 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)

# What is recorded, how it is packed, how it is read, and what it says.
Case = tuple[bytes, Callable[[Frame], object], object]

ASKED = Request(9, 1, 30_000, 2, "read", b'{"probe":1}')
LISTED = Request(9, 1, NO_DEADLINE, 1, "list", b"")
UNNAMED = Request(0, 2**32 - 1, NO_DEADLINE, 0, "", b"\x00\xff")
CREDITS = {
    "bytes": (Credit(2**20), 0),
    "what a frame took": (Credit(22), 0),
    "events": (Credit(8, Unit.EVENTS), 12),
    "parts": (Credit(4, Unit.PARTS, 9, 1), 6),
}
LOST, LOST_ALL = Lost(5, 3, "slow"), Lost(5, None, "server_restart")
STORED = Stored(5, 0x0123456789ABCDEF, 2, 0)

RECORDED: dict[str, Case] = {
    "ping": (pack_ping(bytes(range(1, 9))), unpack_ping, bytes(range(1, 9))),
    "pong": (pack_ping(bytes(range(1, 9)), pong=True), unpack_ping, bytes(range(1, 9))),
    "request": (pack_request(ASKED, route=6), unpack_request, ASKED),
    "request: no deadline, default handler": (pack_request(UNNAMED, route=6), unpack_request, UNNAMED),
    "request: in parts": (pack_request(LISTED, route=6, flags=REQUEST_PARTS), unpack_request, LISTED),
    "reply": (pack_reply(Reply(9, 1, b"21.5"), route=6), unpack_reply, Reply(9, 1, b"21.5")),
    "reply: error": (
        pack_reply(Reply(9, 1, b'{"code":"request_failed"}'), route=6, flags=REPLY_ERR),
        unpack_reply,
        Reply(9, 1, b'{"code":"request_failed"}'),
    ),
    "reply: end of a stream": (
        pack_reply(Reply(9, 1, b"null"), route=6, flags=REPLY_END),
        unpack_reply,
        Reply(9, 1, b"null"),
    ),
    "cancel": (pack_cancel(Cancel(9, 1), route=6), unpack_cancel, Cancel(9, 1)),
    "peer gone": (pack_peer_gone(9), unpack_peer_gone, 9),
    **{
        f"credit: {name}": (pack_credit(credit, route=route), unpack_credit, credit)
        for name, (credit, route) in CREDITS.items()
    },
    "ack": (pack_ack(64), unpack_ack, 64),
    "lost": (pack_lost(LOST), unpack_lost, LOST),
    "lost: unknown count": (pack_lost(LOST_ALL), unpack_lost, LOST_ALL),
    "stored": (pack_stored(STORED), unpack_stored, STORED),
}

FIXED = [unpack_ping, unpack_cancel, unpack_peer_gone, unpack_credit, unpack_ack, unpack_lost, unpack_stored]
OPEN = [unpack_request, unpack_reply]


def test_everything_recorded_is_tried() -> None:
    here = {Kind.PING, Kind.PONG, *(kind for kind in Kind if kind >= Kind.REQUEST)}
    found = [name for name, data in FRAMES.items() if data[4] in here]
    assert list(RECORDED) == [name for name in found if not name.startswith("reply: parts ")]  # see test_parts


@pytest.mark.parametrize("name", RECORDED)
def test_a_body_is_packed_to_the_recorded_bytes_and_read_from_them(name: str) -> None:
    data, unpack, value = RECORDED[name]
    assert data == FRAMES[name]
    assert unpack(Frame.of(FRAMES[name])) == value


@pytest.mark.parametrize("name", [name for name, case in RECORDED.items() if case[1] in FIXED])
def test_a_fixed_body_is_neither_shorter_nor_longer(name: str) -> None:
    data, unpack, _ = RECORDED[name]
    frame = Frame.of(data)
    for body in (*(frame.body[:end] for end in range(len(frame.body))), frame.body + b"\0"):
        with pytest.raises(RemoteProtocolError, match=rf"\({Kind(frame.kind).name}\) of {len(body)} bytes, not of the"):
            unpack(Frame.of(pack(frame.kind, body)))


def test_a_request_cut_short_is_refused_or_has_a_shorter_payload() -> None:
    body = Frame.of(FRAMES["request"]).body
    head = len(body) - len(ASKED.payload)
    for end in range(head):
        with pytest.raises(RemoteProtocolError, match=r"\(REQUEST\) of .* at least"):
            unpack_request(Frame.of(pack(Kind.REQUEST, body[:end])))
        short = pack(Kind.REQUEST, body[:end])
        with pytest.raises(RemoteProtocolError, match=r"\(REQUEST\) of .* at least"):
            find_asked(b"before" + short + bytes(300), 6, 6 + len(short))
    assert unpack_request(Frame.of(pack(Kind.REQUEST, body[:head]))) == msgspec.structs.replace(ASKED, payload=b"")


def test_a_reply_needs_its_two_numbers() -> None:
    for size in range(8):
        with pytest.raises(RemoteProtocolError, match="at least 8"):
            unpack_reply(Frame.of(pack(Kind.REPLY, bytes(size))))
    assert unpack_reply(Frame.of(pack(Kind.REPLY, bytes(8)))) == Reply(0, 0, b"")


def test_a_method_is_utf_8() -> None:
    body = Frame.of(pack_request(Request(0, 1, 1, 0, "wärme", b"x"), route=6)).body
    assert unpack_request(Frame.of(pack(Kind.REQUEST, body))).method == "wärme"
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        unpack_request(Frame.of(pack(Kind.REQUEST, body.replace("ä".encode(), b"\xff\xff"))))
    broken = pack(Kind.REQUEST, body.replace("ä".encode(), b"\xff\xff"))
    _, name = find_asked(broken, 0, len(broken))
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        method_of(name)


def test_of_a_request_that_is_passed_on_the_number_and_the_method_are_found_where_it_lies() -> None:
    frame = pack_request(Request(3, 77, 1, 0, "wärme", b"payload"), route=6)
    assert find_asked(b"before" + frame + b"behind", 6, 6 + len(frame)) == (77, "wärme".encode())
    assert method_of("wärme".encode()) == "wärme"


def test_the_longest_method_leaves_the_room_it_should() -> None:
    empty = Frame.of(pack_request(Request(1, 1, 1, 1, "m" * 255, b""), route=1))
    assert len(empty.body) == 269 <= FRAMING_ROOM_BYTES


def test_credit_in_an_unknown_unit_is_the_peers_mistake() -> None:
    body = bytes(8) + b"\x03" + bytes(8)
    with pytest.raises(RemoteProtocolError, match="unknown unit 3"):
        unpack_credit(Frame.of(pack(Kind.CREDIT, body)))


def test_a_ping_of_another_size_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="a PING carries 8 bytes, not 7"):
        pack_ping(bytes(7))


def test_a_loss_of_unknown_size_is_not_a_loss_of_nothing() -> None:
    assert unpack_lost(Frame.of(pack_lost(Lost(5, None, "slow")))).missed is None
    assert unpack_lost(Frame.of(pack_lost(Lost(5, 0, "slow")))).missed == 0


def test_the_codes_of_the_reasons_never_change() -> None:
    codes = {reason: Frame.of(pack_lost(Lost(1, 1, reason))).body[8] for reason in LOST_REASONS}
    assert codes == {
        "unknown": 0,
        "slow": 1,
        "lost_link": 2,
        "server_restart": 3,
        "codec": 4,
        "undecodable": 5,
        "too_big": 6,
    }


def test_a_reason_of_a_later_version_is_unknown() -> None:
    body = bytes(8) + b"\x63"
    assert unpack_lost(Frame.of(pack(Kind.LOST, body, route=5))) == Lost(5, 0, "unknown")


# -- properties ----------------------------------------------------------------------------------


@given(U32, U32, U32, U32, U8, st.text(max_size=60), st.binary(max_size=40))
def test_requests_come_out_as_they_went_in(
    route: int, peer: int, corr: int, remaining_ms: int, hops: int, method: str, payload: bytes
) -> None:
    request = Request(peer, corr, remaining_ms, hops, method, payload)
    frame = Frame.of(pack_request(request, route=route))
    assert (frame.kind, frame.route) == (Kind.REQUEST, route)
    assert unpack_request(frame) == request


@given(U32, U32, U32, st.integers(0, 7), st.binary(max_size=40))
def test_replies_come_out_as_they_went_in(route: int, peer: int, corr: int, flags: int, payload: bytes) -> None:
    frame = Frame.of(pack_reply(Reply(peer, corr, payload), route=route, flags=flags))
    assert (frame.kind, frame.route, frame.flags) == (Kind.REPLY, route, flags)
    assert unpack_reply(frame) == Reply(peer, corr, payload)


@given(U32, U32, U32, U64, U64, st.sampled_from(Unit), st.sampled_from(LOST_REASONS), U8)
def test_the_rest_comes_out_as_it_went_in(
    route: int, peer: int, corr: int, amount: int, other: int, unit: Unit, reason: str, code: int
) -> None:
    credit, stored = Credit(amount, unit, peer, corr), Stored(route, amount, other, code)
    lost = Lost(route, amount if amount < 2**64 - 1 else None, reason)
    assert unpack_cancel(Frame.of(pack_cancel(Cancel(peer, corr), route=route))) == Cancel(peer, corr)
    assert unpack_credit(Frame.of(pack_credit(credit, route=route))) == credit
    assert unpack_peer_gone(Frame.of(pack_peer_gone(peer))) == peer
    assert unpack_ack(Frame.of(pack_ack(amount))) == amount
    assert unpack_lost(Frame.of(pack_lost(lost))) == lost
    assert unpack_stored(Frame.of(pack_stored(stored))) == stored


@given(st.sampled_from([*FIXED, *OPEN]), st.sampled_from(Kind), st.binary(max_size=40))
def test_garbage_raises_nothing_but_a_protocol_error(
    unpack: Callable[[Frame], object], kind: Kind, body: bytes
) -> None:
    with contextlib.suppress(RemoteProtocolError):
        unpack(Frame.of(pack(kind, body)))
