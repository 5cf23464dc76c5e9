"""EVENT: many events in one frame, whose payloads nobody looks into on the way.

    u64 time_us  [u64 first_seq if SEQ]  [u64 producer_seq if DURABLE]
    [u32 routes[count] if MIXED]  [u32 lens[count] if LENS]  payloads

The header's route is the route of all events, and 0 if MIXED. A client sends 0 for the time, and the server
writes its own there. The payloads of a codec with `lines` are joined by newlines, LENS or not, so that a
batch is decoded in one call; under LENS each length counts the newline after its payload, and there may be
one after the last, so that parts of a batch are plain slices of it. The payloads of any other codec follow
each other directly, always under LENS.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from sig.errors import LocalProtocolError, RemoteProtocolError
from sig.protocol.frames import (
    EVENT_DURABLE,
    EVENT_HEAD_BYTES,
    EVENT_LENS,
    EVENT_MIXED,
    EVENT_SEQ,
    FRAMING_ROOM_BYTES,
    HEADER,
    Frame,
    Kind,
    check_payload,
    pack,
)

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_EVENT: Final = Kind.EVENT.value

# `count` is a u16.
MAX_EVENTS: Final = 0xFFFF

_PLAIN: Final = struct.Struct(f"{HEADER.format}Q")  # header and time, of one event
_MEASURED: Final = struct.Struct(f"{HEADER.format}QI")  # and its length


class EventBatch(msgspec.Struct, frozen=True, gc=False):
    """The body of an EVENT, taken apart; the payloads are still one piece, see `codecs.batch_decode`."""

    time_us: int
    first_seq: int | None
    producer_seq: int | None
    routes: tuple[int, ...] | None
    lens: tuple[int, ...] | None
    payloads: bytes


def pack_events(
    items: Sequence[tuple[int, bytes]], *, lens: bool, lines: bool, max_frame_bytes: int, time_us: int = 0
) -> list[bytes]:
    """The fewest frames that carry the `(route, payload)` pairs in their order.

    Events of one route make a plain batch, of several a MIXED one. If one cannot be packed, none is.

    Args:
        lens: whether plain batches tell the lengths too, even where they can do without.
        lines: whether the codec's payloads are joined by newlines (`Codec.lines`).

    Raises:
        MessageTooBig: a payload is larger than a frame may be.
    """
    if not items:
        return []
    if len(items) <= MAX_EVENTS:
        frame = _pack_some(items, lens, lines, time_us)
        # So much fits whatever it is; with more, one payload may be too big although the frame is not.
        if len(frame) <= max_frame_bytes - FRAMING_ROOM_BYTES:
            return [frame]
    for _, payload in items:
        check_payload(payload, max_frame_bytes)
    cuts = _cuts(items, lens or not lines, lines, max_frame_bytes)
    return [_pack_some(items[start:end], lens, lines, time_us) for start, end in cuts]


def pack_batch(
    route: int,
    payloads: Sequence[bytes],
    *,
    lens: bool,
    lines: bool,
    routes: Sequence[int] | None = None,
    time_us: int = 0,
    first_seq: int | None = None,
    producer_seq: int | None = None,
) -> bytes:
    """One EVENT frame, as large as it gets; with `routes` it is MIXED, and `route` must be 0."""
    count = len(payloads)
    if not 0 < count <= MAX_EVENTS:
        raise LocalProtocolError(f"an EVENT carries 1 to {MAX_EVENTS} events, not {count}")
    flags = 0
    parts = [b"", _U64.pack(time_us)]
    if first_seq is not None:
        flags |= EVENT_SEQ
        parts.append(_U64.pack(first_seq))
    if producer_seq is not None:
        flags |= EVENT_DURABLE
        parts.append(_U64.pack(producer_seq))
    if routes is not None:
        if flags or route or len(routes) != count:
            raise LocalProtocolError("a mixed batch has a route for each event, none of its own, and no numbers")
        flags = EVENT_MIXED
        parts.append(struct.pack(f"<{count}I", *routes))
    if lens or routes is not None or not lines:
        flags |= EVENT_LENS
        newline = 1 if lines else 0
        sizes = [len(payload) + newline for payload in payloads]
        sizes[-1] -= newline
        parts.append(struct.pack(f"<{count}I", *sizes))
    parts.append((b"\n" if lines else b"").join(payloads))
    parts[0] = HEADER.pack(sum(map(len, parts)), _EVENT, flags, count, route)
    return b"".join(parts)  # the only copy of a large payload: joining one is none


def pack_event(route: int, payload: bytes, *, lens: bool) -> bytes:
    """The same as `pack_batch` for one event, in a tenth of the time."""
    size = len(payload)
    if lens:
        return _MEASURED.pack(_U64.size + _U32.size + size, _EVENT, EVENT_LENS, 1, route, 0, size) + payload
    return _PLAIN.pack(_U64.size + size, _EVENT, 0, 1, route, 0) + payload


def _pack_some(items: Sequence[tuple[int, bytes]], lens: bool, lines: bool, time_us: int) -> bytes:
    # Twice over the pairs is faster than zip(*items) once.
    routes = [route for route, _ in items]
    payloads = [payload for _, payload in items]
    if routes.count(routes[0]) == len(routes):
        return pack_batch(routes[0], payloads, lens=lens, lines=lines, time_us=time_us)
    return pack_batch(0, payloads, lens=lens, lines=lines, routes=routes, time_us=time_us)


def _cuts(
    items: Sequence[tuple[int, bytes]], lens: bool, lines: bool, max_frame_bytes: int
) -> Iterator[tuple[int, int]]:
    """Where to cut: each frame takes all that it can.

    No other way makes fewer frames, since part of what fits fits too.
    """
    start = total = 0
    mixed = False
    for index, (route, payload) in enumerate(items):
        mixed = mixed or route != items[start][0]
        count = index - start + 1
        tables = 2 if mixed else 1 if lens else 0
        newlines = count - 1 if lines else 0
        size = _U64.size + 4 * tables * count + total + len(payload) + newlines
        if size > max_frame_bytes or count > MAX_EVENTS:
            yield start, index
            start, total, mixed = index, 0, False
        total += len(payload)
    yield start, len(items)


def stamped(data: bytes | memoryview, time_us: int) -> bytes:
    """The EVENT, whole, with that time."""
    return b"".join((data[: HEADER.size], _U64.pack(time_us), data[EVENT_HEAD_BYTES:]))


def unpack_events(frame: Frame) -> EventBatch:
    """Take an EVENT apart, with every bound checked.

    Raises:
        RemoteProtocolError: it is malformed. A server that passes frames on calls this or `routes_of`
            first; a client that meets one all the same loses this frame, not the link.
    """
    data, flags = frame.data, frame.flags
    if not flags and frame.count and len(data) >= EVENT_HEAD_BYTES:  # as nearly always where one comes by itself
        return EventBatch(_U64.unpack_from(data, HEADER.size)[0], None, None, None, None, data[EVENT_HEAD_BYTES:])
    routes, lens, start = _tables(frame)
    (time_us,) = _U64.unpack_from(data, HEADER.size)
    first_seq = _U64.unpack_from(data, EVENT_HEAD_BYTES)[0] if flags & EVENT_SEQ else None
    at = EVENT_HEAD_BYTES if first_seq is None else EVENT_HEAD_BYTES + _U64.size
    producer_seq = _U64.unpack_from(data, at)[0] if flags & EVENT_DURABLE else None
    return EventBatch(time_us, first_seq, producer_seq, routes, lens, data[start:])


def routes_of(frame: Frame) -> tuple[int, ...] | None:
    """The route of each event; `None` where it is the header's. Raises what `unpack_events` would."""
    return _tables(frame)[0]


def count_events(frame: Frame) -> tuple[tuple[int, int], ...]:
    """How many events of which route the EVENT holds. Raises as `unpack_events`."""
    routes, _, _ = _tables(frame)
    return ((frame.route, frame.count),) if routes is None else tuple(Counter(routes).items())


def _tables(frame: Frame) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None, int]:
    """Routes, lengths, and where the payloads begin."""
    data, flags, count = frame.data, frame.flags, frame.count
    if not count:
        raise RemoteProtocolError("the peer sent an EVENT without events")
    start = EVENT_HEAD_BYTES
    if not flags:
        frame.need(_U64.size)
        return None, None, start
    if flags & EVENT_SEQ:
        start += _U64.size
    if flags & EVENT_DURABLE:
        start += _U64.size
    mixed, measured = bool(flags & EVENT_MIXED), bool(flags & EVENT_LENS)
    if mixed and flags != EVENT_MIXED | EVENT_LENS:
        raise RemoteProtocolError("the peer sent a mixed EVENT without lengths, or with numbers")
    frame.need(start - HEADER.size + 4 * count * (mixed + measured))
    routes = lens = None
    if mixed:
        routes = struct.unpack_from(f"<{count}I", data, start)
        start += 4 * count
    if measured:
        lens = struct.unpack_from(f"<{count}I", data, start)
        start += 4 * count
        if sum(lens) != len(data) - start:
            raise RemoteProtocolError(
                f"the peer sent an EVENT with {len(data) - start} bytes of payloads, and lengths of {sum(lens)}"
            )
    return routes, lens, start


def stamp(frame: Frame, time_us: int) -> Frame:
    """The EVENT with another time. `FrameReader.feed` does the same in place, without copying the payloads."""
    return Frame(frame.kind, frame.flags, frame.count, frame.route, stamped(frame.data, time_us))


def gather_events(frames: Sequence[Frame], most_bytes: int, *, lines: bool) -> list[bytes]:
    """EVENTs of one codec and one time in fewer frames, in their order: those that follow each other and are alike.

    They must have been checked.

    Args:
        most_bytes: no frame that was made of several is larger.
        lines: whether payloads are joined by newlines.
    """
    found: list[bytes] = []
    alike: list[Frame] = []
    count = size = 0
    for frame in frames:
        count += frame.count
        size += len(frame.data) + 1  # the newline behind it
        if alike and (
            size > most_bytes or count > MAX_EVENTS or frame.flags != alike[0].flags or frame.route != alike[0].route
        ):
            found.append(merge_events(alike, lines=lines).data)
            alike = []
            count, size = frame.count, len(frame.data)
        alike.append(frame)
    found.append(merge_events(alike, lines=lines).data)
    return found


def merge_events(frames: Sequence[Frame], *, lines: bool) -> Frame:
    """Several EVENTs of one codec and one time as one, which must hold `MAX_EVENTS` at most.

    All are of one route, or MIXED; all have LENS, or none. They must have been checked.

    Args:
        lines: whether payloads are joined by newlines.
    """
    last = frames[-1]
    if len(frames) == 1:
        return last
    count = 0
    routes: list[bytes] = []
    lens: list[bytes] = []
    payloads: list[bytes] = []
    for frame in frames:
        data, start = frame.data, EVENT_HEAD_BYTES
        count += frame.count
        if frame.flags & EVENT_MIXED:
            tables, start = start, start + 4 * frame.count
            routes.append(data[tables:start])
        joined = lines and frame is not last and not data.endswith(b"\n")  # by a newline that is still to be
        if frame.flags & EVENT_LENS:
            tables, start = start, start + 4 * frame.count
            if joined:
                (length,) = _U32.unpack_from(data, start - _U32.size)
                lens += data[tables : start - _U32.size], _U32.pack(length + 1)
            else:
                lens.append(data[tables:start])
        payloads.append(data[start:])
        if joined:
            payloads.append(b"\n")
    body = b"".join((last.data[HEADER.size : EVENT_HEAD_BYTES], *routes, *lens, *payloads))
    data = pack(_EVENT, body, route=last.route, flags=last.flags, count=count)
    return Frame(_EVENT, last.flags, count, last.route, data)


def latest_events(frames: Sequence[Frame], wanted: Iterable[int], *, lines: bool) -> Iterator[tuple[int, int, bytes]]:
    """Of each of these routes the last event that the frames hold: route, time and payload; the latest first.

    The frames must have been checked.

    Args:
        lines: whether payloads are joined by newlines.
    """
    missing = dict.fromkeys(wanted)
    for frame in reversed(frames):
        if not missing:
            return
        routes, lens, start = _tables(frame)
        data = frame.data
        (time_us,) = _U64.unpack_from(data, HEADER.size)
        end = len(data)
        if routes is None:
            if frame.route in missing:
                del missing[frame.route]
                if lens is not None:
                    start = end - lens[-1]
                elif lines:
                    start = max(start, data.rfind(b"\n", start, end - 1) + 1)
                yield frame.route, time_us, _payload(data[start:end], lines)
            continue
        assert lens is not None  # a mixed batch has both
        for place in range(frame.count - 1, -1, -1):
            start = end - lens[place]
            if routes[place] in missing:
                del missing[routes[place]]
                yield routes[place], time_us, _payload(data[start:end], lines)
                if not missing:
                    return
            end = start


def _payload(part: bytes, lines: bool) -> bytes:
    """A part of a batch without the newline behind it."""
    return part.removesuffix(b"\n") if lines else part


def split_events(frame: Frame, wanted: Iterable[Collection[int]]) -> list[bytes]:
    """The EVENT reduced to some of its routes, once for each collection of those: itself where that is all of it.

    Each must have events in the frame. What remains of a MIXED frame is MIXED unless it is of one route, and has LENS.
    Raises as `unpack_events`.
    """
    routes, lens, start = _tables(frame)
    data = frame.data
    if routes is None or lens is None:
        return [data for _ in wanted]
    places: dict[int, list[int]] = {}
    for place, route in enumerate(routes):
        if route in places:
            places[route].append(place)
        else:
            places[route] = [place]
    ends = list(accumulate(lens, initial=start))
    head = data[HEADER.size : EVENT_HEAD_BYTES]
    parts: list[bytes] = []
    for some in wanted:
        if len(some) == len(places):
            parts.append(data)
            continue
        kept = [place for route in some for place in places[route]]
        tables: list[int] = []
        if len(some) > 1:
            kept.sort()
            tables = [routes[place] for place in kept]
        count = len(kept)
        tables += [lens[place] for place in kept]
        flags, route = (EVENT_MIXED | EVENT_LENS, 0) if len(some) > 1 else (EVENT_LENS, routes[kept[0]])
        body = [head, struct.pack(f"<{len(tables)}I", *tables)]
        body += [data[ends[place] : ends[place + 1]] for place in kept]
        parts.append(pack(_EVENT, b"".join(body), flags=flags, count=count, route=route))
    return parts
