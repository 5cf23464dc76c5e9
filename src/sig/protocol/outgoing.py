"""What a client has to send in order: control as it is said, events gathered into batches, within the server's credit.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from sig.codecs import Codec
from sig.protocol.events import pack_event, pack_events
from sig.protocol.frames import FRAMING_ROOM_BYTES, Kind

_EVENT: Final = Kind.EVENT.value
_KIND_AT: Final = 4  # in a header


class Outgoing:
    """The ordered outbox of a client.

    `events` holds `(route, payload)` pairs that no frame holds yet. It may be appended to from any thread without a
    lock: what has been appended when `pack` is called is ahead of what is put afterwards. It stays the same list. All
    else is under the lock of whoever owns this.
    """

    def __init__(self, codec: Codec, max_frame_bytes: int, window_bytes: int) -> None:
        self.events: list[tuple[int, bytes]] = []
        self.max_frame_bytes: int = max_frame_bytes
        self.credit: int = 0
        """Bytes of EVENT frames, headers included, that the server will still take; below zero by one frame at most."""
        self.packed: int = 0
        """Events that have gone into frames so far."""
        self.event_bytes: int = 0
        self.other_bytes: int = 0
        self.lens: bool = False
        """Whether batches tell the lengths of their events, so that they can be shared out."""
        self.record: list[tuple[int, bytes]] | None = None
        """While nothing leaves: the events that have gone into frames all the same, for `take_back`."""
        self.shut: bool = False
        """Whether what is gathered goes into no frame: it is for another link than this."""
        self._window_bytes = window_bytes
        self.codec: Codec = codec
        self.frames: deque[bytes] = deque()
        """What stands in order, events packed."""

    @property
    def size(self) -> int:
        """Bytes that wait, in frames."""
        return self.event_bytes + self.other_bytes

    @property
    def room(self) -> int:
        """Bytes of events that may be added and will be sent without waiting for the server; none if not above 0."""
        return min(self.credit, self._window_bytes) - self.event_bytes

    def put(self, frame: bytes) -> None:
        """Append control: behind all events so far."""
        if self.events:
            self.pack()
        self.frames.append(frame)
        self.other_bytes += len(frame)

    def pack(self) -> None:
        """Put the events gathered so far into frames: as few as can be."""
        events = self.events
        if not events or self.shut:
            return
        count = len(events)
        taken = events[:count]
        del events[:count]  # not all: another thread may have appended meanwhile
        frames = pack_events(taken, lens=self.lens, lines=self.codec.lines, max_frame_bytes=self.max_frame_bytes)
        self.frames.extend(frames)
        self.event_bytes += sum(map(len, frames))
        self.packed += count
        if self.record is not None:
            self.record += taken

    def lone(self, route: int, payload: bytes) -> bytes | None:
        """The frame of one event, as if it had been added, packed and taken; `None` if something is in its way."""
        if self.events or self.frames or self.shut or self.credit <= 0 or self.record is not None:
            return None
        if len(payload) > self.max_frame_bytes - FRAMING_ROOM_BYTES:
            return None
        frame = pack_event(route, payload, lens=self.lens or not self.codec.lines)
        self.credit -= len(frame)
        self.packed += 1
        return frame

    def take(self, limit: int) -> Sequence[bytes]:
        """Frames to send, oldest first, up to about `limit` bytes; events only as far as there is credit."""
        if self.events:
            self.pack()
        frames = self.frames
        taken: list[bytes] = []
        if not frames:
            return taken
        if self.event_bytes <= self.credit and self.size <= limit:
            # As nearly always, all of it leaves.
            taken += frames
            frames.clear()
            self.credit -= self.event_bytes
            self.event_bytes = self.other_bytes = 0
            return taken
        size = 0
        while frames and size < limit:
            frame = frames[0]
            length = len(frame)
            if frame[_KIND_AT] != _EVENT:
                self.other_bytes -= length
            elif self.credit > 0:
                self.event_bytes -= length
                self.credit -= length
            else:
                break
            taken.append(frames.popleft())
            size += length
        return taken

    def part(self) -> list[tuple[int, bytes]]:
        """Take the events that no frame holds yet."""
        taken = self.events[:]
        del self.events[: len(taken)]  # not all, as in `pack`
        return taken

    def take_back(self) -> list[tuple[int, bytes]]:
        """The same, with those of `record` before them: as if they had not gone into frames."""
        record, self.record = self.record or [], None
        self.packed -= len(record)
        return record + self.part()

    def clear(self) -> None:
        """Forget the frames that wait."""
        self.frames.clear()
        self.event_bytes = self.other_bytes = 0
