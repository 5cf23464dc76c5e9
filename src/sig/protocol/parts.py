"""Answers that come in parts: their frames, and the two ends of one.

Sans-I/O: no socket, no thread, no clock. A REPLY with MORE holds one part or several, in the form of a batch of events:

    u32 peer, u32 corr, u32 cost, [u32 lens[count] if LENS], payloads

What gives them may be ahead of what takes them by a *window*: each part takes its cost from it, and CREDIT gives that
back once it has been taken. The cost stands in the frame, since a server may put payloads into another codec.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from sig.codecs import Codec, batch_decode
from sig.constants import STREAM_WINDOW_BYTES
from sig.errors import InvalidData, ProtocolError, RemoteProtocolError
from sig.protocol.frames import HEADER, REPLY_LENS, REPLY_MORE, Frame, Kind

# What a part costs beside its payload: never less than what it takes in its frame.
PART_BYTES: Final = 64
# A frame is closed once it holds so much: what comes behind it has to wait for all of it.
_ENOUGH_BYTES: Final = 32 * 1024
_MOST_PARTS: Final = 0xFFFF

_HEAD: Final = struct.Struct("<IBBHIIII")
_BODY: Final = struct.Struct("<III")
_HEAD_BYTES: Final = _HEAD.size
_COST: Final = struct.Struct("<I")
_COST_AT: Final = _HEAD_BYTES - _COST.size
_KIND_REPLY: Final = Kind.REPLY.value


class Parts(msgspec.Struct, frozen=True):
    """Some parts, one after the other, as they travel."""

    peer: int
    corr: int
    cost: int
    count: int
    lens: Sequence[int] | None
    payloads: bytes


def pack_parts(payloads: Sequence[bytes], *, route: int, peer: int, corr: int, lines: bool, cost: int) -> bytes:
    """One frame of parts. `lines`: payloads of this codec are joined by newlines, and need no lengths."""
    count = len(payloads)
    flags = REPLY_MORE
    if count == 1 or lines:
        body = b"\n".join(payloads)
    else:
        flags |= REPLY_LENS
        body = struct.pack(f"<{count}I", *map(len, payloads)) + b"".join(payloads)
    size = _BODY.size + len(body)
    return _HEAD.pack(size, _KIND_REPLY, flags, count, route, peer, corr, cost) + body


def unpack_parts(frame: Frame) -> Parts:
    """The parts in a REPLY with MORE; `RemoteProtocolError` for what is malformed."""
    frame.need(_BODY.size)
    count, start, data = frame.count, _HEAD_BYTES, frame.data
    peer, corr, cost = _BODY.unpack_from(data, HEADER.size)
    lens: Sequence[int] | None = None
    if not count:
        raise RemoteProtocolError("the peer sent a REPLY with MORE and without parts")
    if frame.flags & REPLY_LENS:
        frame.need(_BODY.size + 4 * count)
        lens = struct.unpack_from(f"<{count}I", data, start)
        start += 4 * count
        if sum(lens) != len(data) - start:
            raise RemoteProtocolError(
                f"the peer sent a REPLY with {len(data) - start} bytes of parts, and lengths of {sum(lens)}"
            )
    return Parts(peer, corr, cost, count, lens, data[start:])


def cost_of(data: bytes) -> int:
    """What the parts of a frame cost, as it says; `RemoteProtocolError` where it says nothing."""
    if len(data) < _HEAD_BYTES:
        Frame.of(data).need(_BODY.size)
    (cost,) = _COST.unpack_from(data, _COST_AT)
    return int(cost)


def slices(parts: Parts, *, lines: bool) -> list[bytes]:
    """The payload of each part. Raises `InvalidData` where they are not as many as was said."""
    if parts.count == 1:
        return [parts.payloads]
    if parts.lens is None:
        found = parts.payloads.split(b"\n") if lines else []
        if len(found) != parts.count:
            raise InvalidData(f"a frame said to hold {parts.count} parts holds {len(found)}")
        return found
    found, start = [], 0
    for size in parts.lens:
        found.append(parts.payloads[start : start + size])
        start += size
    return found


def batches(payloads: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Payloads in as many frames as they should be in."""
    start = size = 0
    for place, payload in enumerate(payloads, 1):
        size += len(payload)
        if size >= _ENOUGH_BYTES or place - start == _MOST_PARTS:
            yield payloads[start:place]
            start, size = place, 0
    if start < len(payloads):
        yield payloads[start:]


class Abandoned(msgspec.Struct, frozen=True):
    """The number of a call that nobody waits for any more, found out where no lock may be taken."""

    number: int


class PartsOut:
    """The end that gives: what is written here leaves in frames, in order.

    One thread writes; all else is under the lock of whoever sends.

    Args:
        written: where it enters itself when it has something to pack.
        lines: whether payloads are joined by newlines.
    """

    __slots__ = (
        "_granted",
        "_lines",
        "_payloads",
        "_queued",
        "_spent",
        "_written",
        "corr",
        "news",
        "peer",
        "route",
    )

    def __init__(self, route: int, peer: int, corr: int, lines: bool, written: list[PartsOut | Abandoned]) -> None:
        self.route: int = route
        self.peer: int = peer
        self.corr: int = corr
        self.news: Callable[[], object] = _nothing
        """Called when there is room again. Must not block."""
        self._lines = lines
        self._written = written
        self._payloads: list[bytes] = []
        self._queued = False
        # Two sums, each added to by one thread alone.
        self._granted = STREAM_WINDOW_BYTES
        self._spent = 0

    @property
    def room(self) -> bool:
        """Whether one more part may be written."""
        return self._spent < self._granted

    def write(self, payload: bytes) -> None:
        """Add a part, while there is room. Whoever sends has to be told."""
        self._payloads.append(payload)
        self._spent += len(payload) + PART_BYTES
        if not self._queued:
            self._queued = True
            self._written.append(self)

    def grant(self, amount: int) -> None:
        """So much has been taken."""
        self._granted += amount
        self.news()

    def pack(self) -> list[bytes]:
        """Frames of what has been written."""
        self._queued = False  # before anything is taken: what is written from here on enters itself again
        payloads = self._payloads
        count = len(payloads)
        taken = payloads[:count]
        del payloads[:count]  # not all: another thread may have appended meanwhile
        return [
            pack_parts(
                some,
                route=self.route,
                peer=self.peer,
                corr=self.corr,
                lines=self._lines,
                cost=sum(map(len, some)) + PART_BYTES * len(some),
            )
            for some in batches(taken)
        ]


class PartsIn:
    """The end that takes: frames wait here until somebody asks for their parts.

    `put` and `finish` are called where bytes are read, all else by whoever takes.
    """

    __slots__ = ("_frames", "_granted", "_owed", "_spent", "error", "news", "over", "result")

    def __init__(self, news: Callable[[], object]) -> None:
        self.news: Callable[[], object] = news
        """Called when there is more to take, or an end."""
        self.over: bool = False
        """Whether nothing more will come."""
        self.result: object = None
        self.error: BaseException | None = None
        self._frames: deque[tuple[Frame, Codec]] = deque()
        self._owed = 0  # taken, and not yet given back
        # Two sums, each added to by one thread alone.
        self._granted = STREAM_WINDOW_BYTES
        self._spent = 0

    def put(self, frame: Frame, codec: Codec) -> None:
        """Parts have come. Raises `ProtocolError` where they are more than was asked for."""
        if self._spent >= self._granted:
            raise ProtocolError("the sender gives more parts than it was asked for")
        self._spent += cost_of(frame.data)
        self._frames.append((frame, codec))
        self.news()

    def finish(self, value: object, error: BaseException | None) -> None:
        """Nothing more will come, and this is why: what a call is done with."""
        if not self.over:
            self.result, self.error, self.over = value, error, True
            self.news()

    def take(self) -> list[object] | None:
        """The parts of one frame; `None` if there is none now.

        Raises `InvalidData` or `ProtocolError` for what cannot be read.
        """
        if not self._frames:
            return None
        frame, codec = self._frames.popleft()
        try:
            parts = unpack_parts(frame)
        except RemoteProtocolError as error:
            raise ProtocolError(f"the sender gives parts that cannot be read: {error}") from None
        self._owed += parts.cost
        return batch_decode(codec, parts.payloads, parts.lens, parts.count)

    @property
    def owes(self) -> bool:
        """Whether credit should be given back: half of the window has been taken."""
        return self._owed * 2 >= STREAM_WINDOW_BYTES and not self.over

    def give_back(self) -> int:
        """The credit to be given now."""
        owed, self._owed = self._owed, 0
        self._granted += owed
        return owed


def _nothing() -> None:
    pass
