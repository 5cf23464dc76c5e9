"""The bodies of requests, and of what keeps a link in order: fixed layouts, little endian.

One class and a pair of functions for each kind; what a kind is sent for stands in its class. The functions
that unpack raise `RemoteProtocolError` for whatever is not exactly that.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from sig.errors import LocalProtocolError, RemoteProtocolError
from sig.protocol.frames import HEADER, Frame, Kind, pack

_U64: Final = struct.Struct("<Q")

# -- requests ------------------------------------------------------------------------------------
#
# The header's route is the one of the sender's requests.

# In `remaining_ms`: there is no deadline.
NO_DEADLINE: Final = 0xFFFF_FFFF

# With the header, so that one call packs or reads all that has a fixed length.
_REQUEST: Final = struct.Struct("<IBBHIIIIBB")
_REQUEST_BODY: Final = struct.Struct("<12xIIIBB")
_REPLY: Final = struct.Struct("<IBBHIII")
_REPLY_BODY: Final = struct.Struct("<12xII")
_CORR_BODY: Final = struct.Struct("<16xI")
_PEER_CORR: Final = struct.Struct("<II")
_PEER: Final = struct.Struct("<I")
# Plain numbers: each of them is looked up several times for a request.
_REQUEST_BYTES: Final = _REQUEST.size
_REQUEST_REST: Final = _REQUEST.size - HEADER.size
REPLY_BYTES: Final = _REPLY.size  # of a frame, before the payload
_REPLY_REST: Final = _REPLY.size - HEADER.size
_KIND_REQUEST: Final = Kind.REQUEST.value
_KIND_REPLY: Final = Kind.REPLY.value


# Structs, which cost a third of a tuple with names; gc=False: they hold no containers.
class Request(msgspec.Struct, frozen=True, gc=False):
    """REQUEST: u32 peer, u32 corr, u32 remaining_ms, u8 hops, u8 length of the name, name, payload."""

    # Who asks, written by the server; 0 on the way to it.
    peer: int
    # The requester's number for it, which the reply repeats.
    corr: int
    remaining_ms: int
    # How many requests led to this one.
    hops: int
    method: str
    payload: bytes


class Reply(msgspec.Struct, frozen=True, gc=False):
    """REPLY: u32 peer, u32 corr, payload. The flags say whether it is an error, a part, or an end."""

    peer: int
    corr: int
    payload: bytes


class Cancel(NamedTuple):
    """CANCEL: u32 peer, u32 corr."""

    peer: int
    corr: int


def pack_request(request: Request, *, route: int, flags: int = 0) -> bytes:
    corr, remaining_ms, hops = request.corr, request.remaining_ms, request.hops
    return request_frame(route, flags, corr, remaining_ms, hops, request.method, request.payload, request.peer)


def request_frame(
    route: int, flags: int, corr: int, remaining_ms: int, hops: int, method: str, payload: bytes, peer: int = 0
) -> bytes:
    """`pack_request`, for whoever makes many: without the object."""
    name = method.encode()
    size = _REQUEST_REST + len(name) + len(payload)
    head = _REQUEST.pack(size, _KIND_REQUEST, flags, 0, route, peer, corr, remaining_ms, hops, len(name))
    return b"".join((head, name, payload))


def unpack_request(frame: Frame) -> Request:
    return find_request(frame.data, 0, len(frame.data))


def find_request(data: bytes, start: int, end: int) -> Request:
    """The REQUEST that is a frame there."""
    name = start + _REQUEST_BYTES
    if name > end or name + data[name - 1] > end:
        _need_request(data, start, end)
    peer, corr, remaining_ms, hops, name_len = _REQUEST_BODY.unpack_from(data, start)
    payload = name + name_len
    try:
        return Request(peer, corr, remaining_ms, hops, data[name:payload].decode(), data[payload:end])
    except UnicodeDecodeError as error:
        raise _no_method() from error


def find_asked(data: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Of the REQUEST there its number and the name of its method, for whoever passes it on."""
    name = start + _REQUEST_BYTES
    if name > end or name + data[name - 1] > end:
        _need_request(data, start, end)
    return _CORR_BODY.unpack_from(data, start)[0], data[name : name + data[name - 1]]


def method_of(name: bytes) -> str:
    """What `find_asked` has found; the rest of the REQUEST is well formed."""
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise _no_method() from error


def _need_request(data: bytes, start: int, end: int) -> None:
    """Raise what is missing of the REQUEST there."""
    frame = Frame.of(data[start:end])
    frame.need(_REQUEST_REST)
    frame.need(_REQUEST_REST + frame.data[_REQUEST_BYTES - 1])


def _no_method() -> RemoteProtocolError:
    return RemoteProtocolError("the peer sent a REQUEST with a method that is not UTF-8")


def pack_reply(reply: Reply, *, route: int, flags: int = 0) -> bytes:
    return reply_frame(route, flags, reply.peer, reply.corr, reply.payload)


def reply_frame(route: int, flags: int, peer: int, corr: int, payload: bytes) -> bytes:
    """`pack_reply`, for whoever makes many: without the object."""
    return _REPLY.pack(_REPLY_REST + len(payload), _KIND_REPLY, flags, 0, route, peer, corr) + payload


def unpack_reply(frame: Frame) -> Reply:
    peer, corr = find_asker(frame.data, 0, len(frame.data))
    return Reply(peer, corr, frame.data[REPLY_BYTES:])


def find_asker(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Who has asked, and under which number: of the REPLY there, or of a REQUEST that is well formed."""
    if end - start < REPLY_BYTES:
        Frame.of(data[start:end]).need(_REPLY_REST)
    found: tuple[int, int] = _REPLY_BODY.unpack_from(data, start)
    return found


def pack_cancel(cancel: Cancel, *, route: int) -> bytes:
    return pack(Kind.CANCEL, _PEER_CORR.pack(*cancel), route=route)


def unpack_cancel(frame: Frame) -> Cancel:
    return Cancel(*frame.fields(_PEER_CORR))


def pack_peer_gone(peer: int) -> bytes:
    """PEER_GONE: u32 peer."""
    return pack(Kind.PEER_GONE, _PEER.pack(peer))


def unpack_peer_gone(frame: Frame) -> int:
    (peer,) = frame.fields(_PEER)
    return int(peer)


# -- the state of the link -----------------------------------------------------------------------

_CREDIT: Final = struct.Struct("<QBII")
_LOST: Final = struct.Struct("<QB")
_STORED: Final = struct.Struct("<QQB")
_UNKNOWN: Final = 0xFFFF_FFFF_FFFF_FFFF

# The codes of LOST are places in this list; it only ever grows at its end.
LOST_REASONS: Final = ("unknown", "slow", "lost_link", "server_restart", "codec", "undecodable", "too_big")


class Unit(IntEnum):
    """What CREDIT counts."""

    BYTES = 0  # of EVENT frames on this link, headers included; the route is 0
    EVENTS = 1  # on the lane that the route is
    PARTS = 2  # what parts cost, of the stream that is the answer to the request `(peer, corr)` on the route


class Credit(NamedTuple):
    """CREDIT: u64 amount, u8 unit, u32 peer, u32 corr (0 unless parts). So much more may be sent."""

    amount: int
    unit: Unit = Unit.BYTES
    peer: int = 0
    corr: int = 0


class Lost(NamedTuple):
    """LOST: u64 count, u8 reason. Here, in their order, events of the header's route are missing.

    `missed` is `None` where nobody knows it, all ones on the wire.
    """

    route: int
    missed: int | None
    reason: str


class Stored(NamedTuple):
    """STORED: u64 producer_seq, u64 stream_seq, u8 code. What became of a durable event of the header's route."""

    route: int
    producer_seq: int
    stream_seq: int
    code: int


def pack_ping(payload: bytes, *, pong: bool = False) -> bytes:
    """PING, or the PONG that answers it: 8 bytes."""
    if len(payload) != _U64.size:
        raise LocalProtocolError(f"a PING carries {_U64.size} bytes, not {len(payload)}")
    return pack(Kind.PONG if pong else Kind.PING, payload)


def unpack_ping(frame: Frame) -> bytes:
    """The 8 bytes of a PING or PONG."""
    frame.fields(_U64)
    return frame.body


def pack_credit(credit: Credit, *, route: int = 0) -> bytes:
    return pack(Kind.CREDIT, _CREDIT.pack(*credit), route=route)


def unpack_credit(frame: Frame) -> Credit:
    amount, unit, peer, corr = frame.fields(_CREDIT)
    try:
        return Credit(amount, Unit(unit), peer, corr)
    except ValueError as error:
        raise RemoteProtocolError(f"the peer sent a CREDIT in the unknown unit {unit}") from error


def pack_ack(frames: int) -> bytes:
    """ACK: u64. So many frames of the ordered stream have arrived."""
    return pack(Kind.ACK, _U64.pack(frames))


def unpack_ack(frame: Frame) -> int:
    (frames,) = frame.fields(_U64)
    return int(frames)


def pack_lost(lost: Lost) -> bytes:
    route, missed, reason = lost
    code = LOST_REASONS.index(reason)
    return pack(Kind.LOST, _LOST.pack(_UNKNOWN if missed is None else missed, code), route=route)


def unpack_lost(frame: Frame) -> Lost:
    missed, code = frame.fields(_LOST)
    # A reason of a later version is no reason to part.
    reason = LOST_REASONS[code] if code < len(LOST_REASONS) else LOST_REASONS[0]
    return Lost(frame.route, None if missed == _UNKNOWN else missed, reason)


def pack_stored(stored: Stored) -> bytes:
    return pack(Kind.STORED, _STORED.pack(*stored[1:]), route=stored.route)


def unpack_stored(frame: Frame) -> Stored:
    return Stored(frame.route, *frame.fields(_STORED))
