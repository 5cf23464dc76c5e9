"""Events for a receiver whose frames are smaller than the sender's: in parts where that can be, else told as lost.

Sans-I/O, and no payload is looked into, but for the newlines between those of a codec with `lines`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Final

from sig.protocol.events import EventBatch, unpack_events
from sig.protocol.frames import EVENT_LENS, EVENT_MIXED, Frame, Kind, pack
from sig.protocol.outbox import Counts

_U64: Final = struct.Struct("<Q")
# Of each event in the tables of a mixed frame; in others it is less, which does not matter.
_TABLES: Final = 8


def fit_events(frame: Frame, max_frame_bytes: int, *, lines: bool) -> Iterator[tuple[bytes | None, Counts]]:
    """An EVENT in parts whose bodies have at most so many bytes, in order, each with what it holds.

    Instead of the part there is `None` for what cannot be had in one: an event larger than that, or all of a batch
    whose payloads nobody can tell apart. Numbered batches are not for here.

    Args:
        lines: whether the codec's payloads are joined by newlines (`Codec.lines`).
    """
    batch = unpack_events(frame)
    routes = batch.routes or (frame.route,) * frame.count
    lens = lengths(batch, frame.count, lines=lines)
    if lens is None:
        yield None, ((frame.route, frame.count),)
        return

    def part(last: int) -> tuple[bytes, Counts]:
        chosen = routes[first:last]
        mixed = chosen.count(chosen[0]) != len(chosen)
        tables = (*chosen, *lens[first:last]) if mixed else lens[first:last]
        body = b"".join((_U64.pack(batch.time_us), struct.pack(f"<{len(tables)}I", *tables), batch.payloads[begin:at]))
        flags = EVENT_LENS | EVENT_MIXED if mixed else EVENT_LENS
        route = 0 if mixed else chosen[0]
        return pack(Kind.EVENT, body, flags=flags, count=len(chosen), route=route), tuple(Counter(chosen).items())

    first = begin = at = 0
    for index, size in enumerate(lens):
        if _U64.size + _TABLES * (index + 1 - first) + at + size - begin > max_frame_bytes:
            if first < index:
                yield part(index)
            first, begin = index, at
            if _U64.size + _TABLES + size > max_frame_bytes:
                yield None, ((routes[index], 1),)
                first, begin = index + 1, at + size
        at += size
    if first < len(lens):
        yield part(len(lens))


def lengths(batch: EventBatch, count: int, *, lines: bool) -> tuple[int, ...] | None:
    """The length of each payload, with the newline behind it where there is one; `None` if nobody can tell."""
    if batch.lens is not None:
        return batch.lens
    if count == 1:
        return (len(batch.payloads),)
    parts = batch.payloads.split(b"\n") if lines else []
    if len(parts) != count:
        return None
    return (*(len(part) + 1 for part in parts[:-1]), len(parts[-1]))
