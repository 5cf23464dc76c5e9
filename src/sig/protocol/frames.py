"""Frames: cutting what arrives into them, and writing one down.

Sans-I/O: bytes in, frames out and back. What a frame means, and whether the peer may send it now, is decided
elsewhere; here it is well formed or it is not, and nothing is believed before it is checked. The bodies are in
`messages` (JSON), `events` (EVENT) and `bodies` (the rest). Everything is little endian.

    preface, on byte streams, once each way:   "PSIG"  u8 major  u8 minor  u16 0
    header of a frame, 12 bytes:               u32 length of the body  u8 kind  u8 flags  u16 count  u32 route
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, Final, TypeAlias

import msgspec

from sig.errors import MessageTooBig, RemoteProtocolError

Buffer: TypeAlias = bytes | bytearray | memoryview
# What the header of a frame says (kind, flags, count, route), and where in some bytes it begins and ends.
Found: TypeAlias = tuple[int, int, int, int, int, int]

MAGIC: Final = b"PSIG"
MAJOR: Final = 1
MINOR: Final = 0
_PREFACE: Final = struct.Struct("<4sBBH")
PREFACE: Final = _PREFACE.pack(MAGIC, MAJOR, MINOR, 0)

HEADER: Final = struct.Struct("<IBBHI")
_HEADER_BYTES: Final = HEADER.size  # a plain number, looked up for each frame
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
EVENT_HEAD_BYTES: Final = HEADER.size + _U64.size  # of an EVENT: the header, and a time
_SMALL_BYTES: Final = 4096


class Kind(IntEnum):
    """What a frame is; who sends it, and what its body holds."""

    # JSON bodies, see `messages`.
    HELLO = 0x01
    WELCOME = 0x02
    BYE = 0x03
    # 8 bytes of the sender's own, sent back as they are.
    PING = 0x04
    PONG = 0x05
    # JSON again.
    CHALLENGE = 0x06
    AUTH = 0x07
    ERROR = 0x08
    CALL = 0x10
    RESULT = 0x11
    ROUTE = 0x12
    ROUTE_GONE = 0x13
    INTEREST = 0x14
    PRESENCE = 0x15
    # Layouts of their own, see `events` and `bodies`.
    EVENT = 0x20
    REQUEST = 0x30
    REPLY = 0x31
    CANCEL = 0x32
    PEER_GONE = 0x33
    CREDIT = 0x40
    ACK = 0x41
    LOST = 0x42
    STORED = 0x43


# A kind with this bit is skipped by a peer that does not know it; any other unknown kind ends the link.
OPTIONAL_BIT: Final = 0x80

EVENT_LENS: Final = 0x01  # the length of each payload is told
EVENT_MIXED: Final = 0x02  # the route of each event is told; always with LENS
EVENT_SEQ: Final = 0x04  # the number of the first event is told; never with MIXED
EVENT_DURABLE: Final = 0x08  # the producer's number of the first event is told; never with MIXED
RESULT_ERR: Final = 0x01  # the body is an error
REPLY_ERR: Final = 0x01  # the payload is an error, and the last
REPLY_MORE: Final = 0x02  # a part of a stream; others follow
REPLY_END: Final = 0x04  # the end of a stream; the payload is its result
REPLY_LENS: Final = 0x08  # the length of each part is told; only with MORE
REQUEST_PARTS: Final = 0x01  # the answer may come in parts

# Every kind we know, with the flags it may carry.
_FLAGS: Final[dict[int, int]] = {
    **{kind.value: 0 for kind in Kind},
    Kind.RESULT.value: RESULT_ERR,
    Kind.EVENT.value: EVENT_LENS | EVENT_MIXED | EVENT_SEQ | EVENT_DURABLE,
    Kind.REQUEST.value: REQUEST_PARTS,
    Kind.REPLY.value: REPLY_ERR | REPLY_MORE | REPLY_END | REPLY_LENS,
}
_EVENT: Final = Kind.EVENT.value
# What begins with who asks.
_ASKING: Final = (Kind.REQUEST.value, Kind.CANCEL.value)


class FramingError(RemoteProtocolError):
    """The peer's bytes are no frames of ours; `code` is the word for it in ERROR and BYE.

    `protocol`, `too_large`, `version` (another major version), or `not_sig` (another protocol altogether).
    """

    def __init__(self, message: str, code: str = "protocol") -> None:
        super().__init__(message)
        self.code = code


def pack(kind: int, body: bytes = b"", *, flags: int = 0, count: int = 0, route: int = 0) -> bytes:
    """A whole frame. Whether the peer takes one so large is for the caller to know."""
    return HEADER.pack(len(body), kind, flags, count, route) + body


# What is left beside a payload in every frame that can carry it: at most 32 bytes in an EVENT, and 269 in a
# REQUEST. One number for all, so that what fits once fits on all the way, whatever it is packed with.
FRAMING_ROOM_BYTES: Final = 512


def check_payload(payload: bytes, max_frame_bytes: int) -> None:
    """Refuse a payload that does not fit into a frame.

    Raises:
        MessageTooBig: names the limit.
    """
    limit = max_frame_bytes - FRAMING_ROOM_BYTES
    if len(payload) > limit:
        raise MessageTooBig(
            f"the data takes {len(payload)} bytes, and the limit is {limit}: {max_frame_bytes} for a frame "
            f"(max_frame_bytes) less {FRAMING_ROOM_BYTES}; send it in parts, or raise the limit on both sides"
        )


# gc=False: a frame holds no containers, and there can be a million in a second.
class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it came: the header taken apart, and all of its bytes, to be passed on as they are."""

    kind: int
    flags: int
    count: int
    route: int
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Frame:
        """The frame that `data`, made by ourselves, is."""
        _, kind, flags, count, route = HEADER.unpack_from(data)
        return cls(kind, flags, count, route, data)

    @property
    def body(self) -> bytes:
        """What follows the header; a copy, made each time."""
        return self.data[HEADER.size :]

    def need(self, size: int) -> None:
        """Raise `RemoteProtocolError` if the body is shorter than this."""
        if len(self.data) < HEADER.size + size:
            raise RemoteProtocolError(
                f"the peer sent a frame ({_name(self.kind)}) of {len(self.data) - HEADER.size} bytes, "
                f"and it must have at least {size}"
            )

    def fields(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The body, if it is exactly of this layout; else `RemoteProtocolError`."""
        size = len(self.data) - HEADER.size
        if size != layout.size:
            raise RemoteProtocolError(
                f"the peer sent a frame ({_name(self.kind)}) of {size} bytes, not of the {layout.size} it must have"
            )
        return layout.unpack_from(self.data, HEADER.size)

    def __repr__(self) -> str:
        # Without the body: what people send is none of a log's business.
        size = len(self.data) - HEADER.size
        return f"<Frame {_name(self.kind)} flags={self.flags:#x} count={self.count} route={self.route}, {size} bytes>"


def _name(kind: int) -> str:
    return Kind(kind).name if kind in _FLAGS else f"kind {kind:#04x}"


# -- reading -------------------------------------------------------------------------------------

# What others say first, so that the one who mixed up two ports is told.
_GREETINGS: Final = (
    (b"\x16\x03", "TLS; use tls:// on both sides, or on neither"),
    (b"\x15\x03", "TLS; use tls:// on both sides, or on neither"),
    (b"GET ", "HTTP; a browser or WebSocket client needs a ws:// address of the server"),
    *((verb, "HTTP") for verb in (b"HTTP", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PRI ")),
    (b"SSH-", "SSH"),
    (b"\xff\x00\x00\x00", "ZeroMQ"),
    (b"INFO ", "NATS"),
    (b"{", "JSON, as pysig 0.7 did; the wire of 0.7 is not spoken any more, update the peer"),
)


def parse_preface(data: Buffer) -> bool:
    """Whether the preface at the beginning of `data` is complete; false while it may still become so.

    Raises:
        FramingError: whatever this is, or will be, it is not a preface of our major version.
    """
    first = bytes(data[: _PREFACE.size])
    if not (first.startswith(MAGIC) or MAGIC.startswith(first)):
        spoken = next((what for greeting, what in _GREETINGS if first.startswith(greeting)), None)
        told = f"speaks {spoken}" if spoken else f"does not speak the protocol of sig: it began with {first!r}"
        raise FramingError(f"the peer {told}", "not_sig")
    if len(first) < _PREFACE.size:
        return False
    _, major, minor, _ = _PREFACE.unpack(first)
    if major != MAJOR:
        raise FramingError(
            f"the peer speaks version {major}.{minor} of the protocol, and we speak {MAJOR}.{MINOR}: "
            f"update the {'peer' if major < MAJOR else 'program on this side'}",
            "version",
        )
    return True


class FrameReader:
    """Cuts what arrives into frames, however it is cut up on its way.

    Neither `feed` nor `find` raises. What is wrong is in `error`, after the frames that came before it have been
    returned, and everything after it is discarded. A length is checked when its header is complete, before anything is
    waited for: what is kept here is never more than one frame within `max_frame_bytes`, and the last read.

    Args:
        max_frame_bytes: the largest body; may be changed at any time.
        preface: whether the stream begins with one.
        peer: written into each REQUEST and CANCEL as who asks, in place, before its bytes are shared; not if 0.
    """

    __slots__ = ("_buffer", "_needed", "_peer", "_preface", "error", "max_frame_bytes", "more")

    def __init__(self, max_frame_bytes: int, *, preface: bool = False, peer: int = 0) -> None:
        self.max_frame_bytes: int = max_frame_bytes
        self._peer = peer
        self.error: FramingError | None = None
        self.more: bool = False
        """Whether something is left that has not been judged."""
        self._preface = preface
        # One buffer that grows, so that a large frame in many small reads is not copied again with each.
        self._buffer = bytearray()
        # With fewer bytes than this there is nothing to be found yet.
        self._needed = 1 if preface else HEADER.size

    def feed(self, data: Buffer = b"", time_us: int | None = None) -> list[Frame]:
        """Take the next bytes, and give the frames that are complete; arguments as `find`."""
        whole, found = self.find(data, time_us)
        return [Frame(kind, flags, count, route, bytes(whole[a:b])) for kind, flags, count, route, a, b in found]

    def lone(self, data: Buffer) -> tuple[int, int] | None:
        """How many events of which route, if the next bytes are one small EVENT of one route, whole, and nothing else.

        A look only: whoever takes the frame as it is need not feed it.
        """
        size = len(data)
        if self._buffer or self._preface or not EVENT_HEAD_BYTES <= size <= _SMALL_BYTES:
            return None
        length, kind, flags, count, route = HEADER.unpack_from(data)
        if kind != _EVENT or flags or not count or not size - _HEADER_BYTES == length <= self.max_frame_bytes:
            return None
        return count, route

    def find(self, data: Buffer = b"", time_us: int | None = None) -> tuple[Buffer, list[Found]]:
        """Take the next bytes, and tell where the frames are that are complete, and in which bytes.

        Where something is written into frames these are `bytes`; else they may be a part of `data`, as it is.

        Call it again without data while there is `more`: a frame over the limit is not judged in the same
        call as frames before it, since one of those may be the WELCOME that raises the limit.

        Args:
            data: is not changed, and may be reused once what is returned has been taken.
            time_us: written into each EVENT as its time, in place, before its bytes are shared.
        """
        self.more = False
        if self.error is not None:
            return b"", []
        buffer, peer = self._buffer, self._peer
        writes = time_us is not None or peer != 0  # into our own buffer, not into what was handed in
        here: Buffer = buffer
        if buffer or self._preface or writes:
            buffer += data
        else:
            here = data  # nothing waits to be put before it: each copy costs more than all the rest of a large read
        size = len(here)
        error: FramingError | None = None
        start = 0
        found: list[Found] = []
        if size < self._needed:
            size = 0  # nothing is to be found yet
        elif self._preface:
            try:
                if not parse_preface(buffer):
                    return b"", []
                start, self._preface = _PREFACE.size, False
                self._needed = HEADER.size
            except FramingError as wrong:
                error, size = wrong, 0
        else:
            self._needed = HEADER.size

        unpack, limit = HEADER.unpack_from, self.max_frame_bytes
        while (body := start + _HEADER_BYTES) <= size:
            length, kind, flags, count, route = unpack(here, start)
            known = _FLAGS.get(kind, -1)
            if length > limit or known < 0 or flags & ~known:
                if length > limit and found:
                    self.more = True
                    break
                error = self._fault(length, kind, flags)
                if error is not None:
                    break
            end = body + length
            if end > size:
                self._needed = end - start
                break
            if known >= 0:
                if kind == _EVENT:
                    if time_us is not None and length >= _U64.size:
                        _U64.pack_into(here, body, time_us)
                elif peer and kind in _ASKING and length >= _U32.size:
                    _U32.pack_into(here, body, peer)
                found.append((kind, flags, count, route, start, end))
            start = end

        # Found first, and cut from one piece afterwards: that is faster than a copy for each.
        whole = here if start == len(here) else here[:start]
        if here is buffer:
            whole = bytes(whole)
        if error is not None:
            self.error = error
            buffer.clear()
        elif here is buffer:
            del buffer[:start]
        elif start < len(data):
            buffer += data[start:]
        return whole, found

    def _fault(self, length: int, kind: int, flags: int) -> FramingError | None:
        """What is wrong with a header; None if the frame is merely to be skipped."""
        if length > self.max_frame_bytes:
            return FramingError(
                f"the peer sent a frame ({_name(kind)}) of {length} bytes, over the limit of {self.max_frame_bytes}",
                "too_large",
            )
        if kind in _FLAGS:
            return FramingError(f"the peer sent a frame ({_name(kind)}) with unknown flags, {flags:#x}")
        return None if kind & OPTIONAL_BIT else FramingError(f"the peer sent a frame of an unknown kind, {kind:#04x}")
