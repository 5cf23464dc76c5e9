"""Payloads put from one codec into another, for a client that lacks the codec of a sender.

Sans-I/O: no socket, no thread, no clock. Here, and nowhere else, a server looks into payloads: once for each codec,
however many receivers need it. What one codec says and the other cannot, and what is not in the codec it should be in,
is lost by itself, in its place; what comes before and after it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby, repeat
from typing import Final, NamedTuple, TypeAlias, cast

from sig.codecs import Codec, batch_decode
from sig.constants import Limits
from sig.errors import InvalidData, MessageTooBig
from sig.protocol.bodies import Reply, Request, pack_reply, pack_request, unpack_reply, unpack_request
from sig.protocol.events import EventBatch, count_events, pack_events, unpack_events
from sig.protocol.fitting import lengths
from sig.protocol.frames import FRAMING_ROOM_BYTES, Frame
from sig.protocol.outbox import Counts

# A payload, or why there is none.
Outcome: TypeAlias = bytes | str

_CODEC: Final = "codec"
_TOO_BIG: Final = "too_big"


class Part(NamedTuple):
    """Some events, one after the other: a frame of them, or `None` for those that are missing, and why."""

    data: bytes | None
    counts: Counts
    reason: str = ""


class Bridge:
    """Puts payloads into other codecs, within the limits of a server.

    A payload of more than `max_bridged_bytes` is not looked into: a few bytes may stand for many objects. How deep it
    may be nested is for the codecs to say; those that are built in refuse what the interpreter's stack does not hold.
    """

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.max_bridged_bytes
        self._max_frame_bytes = limits.max_frame_bytes
        self._room = limits.max_frame_bytes - FRAMING_ROOM_BYTES

    def events(self, frames: Iterable[Frame], source: Codec, target: Codec) -> Iterator[Part]:
        """The events of some frames of one time, in their order, in another codec; in as few frames as can be.

        The frames must have been checked, and carry no numbers.
        """
        time_us = 0
        routes: list[int] = []
        outcomes: list[Outcome] = []
        for frame in frames:
            batch = unpack_events(frame)
            time_us = batch.time_us
            routes += batch.routes or repeat(frame.route, frame.count)
            outcomes += self._batch(batch, frame.count, source, target)
        found = list(zip(routes, outcomes, strict=True))
        # As nearly always, nothing is missing.
        groups = groupby(found, key=_reason) if str in set(map(type, outcomes)) else ((None, found),)
        for reason, group in groups:
            if reason is not None:
                yield Part(None, tuple(Counter(route for route, _ in group).items()), reason)
                continue
            items = cast("list[tuple[int, bytes]]", list(group))
            size = self._max_frame_bytes
            for data in pack_events(items, lens=False, lines=target.lines, max_frame_bytes=size, time_us=time_us):
                yield Part(data, count_events(Frame.of(data)))

    def _batch(self, batch: EventBatch, count: int, source: Codec, target: Codec) -> list[Outcome]:
        payloads = batch.payloads
        if len(payloads) <= self._limit:
            try:
                values = batch_decode(source, payloads, batch.lens, count)
            except InvalidData:
                pass  # one may be wrong, and the others right
            else:
                return [self._encoded(value, target) for value in values]
        sizes = lengths(batch, count, lines=source.lines)
        if sizes is None:
            return [_CODEC] * count
        starts = accumulate(sizes, initial=0)
        return [
            self.event(payloads[start : start + size], source, target)
            for start, size in zip(starts, sizes, strict=False)
        ]

    def event(self, payload: bytes, source: Codec, target: Codec) -> Outcome:
        """One payload in another codec, or why it cannot be."""
        if len(payload) > self._limit:
            return _TOO_BIG
        try:
            value = source.decode(payload)
        except InvalidData:
            return _CODEC
        return self._encoded(value, target)

    def _encoded(self, value: object, target: Codec) -> Outcome:
        try:
            payload = target.quick(value)
        except Exception:  # whatever a codec of the user's says, or a value that another of them has made
            return _CODEC
        return payload if len(payload) <= self._room else _TOO_BIG

    def request(self, frame: Frame, source: Codec, target: Codec) -> Frame:
        """A REQUEST with its parameters in another codec. Raises what the requester is to be told."""
        asked = unpack_request(frame)
        payload = self.payload(asked.payload, source, target, f"the parameters of request {asked.method!r}")
        moved = Request(asked.peer, asked.corr, asked.remaining_ms, asked.hops, asked.method, payload)
        return Frame.of(pack_request(moved, route=frame.route, flags=frame.flags))

    def reply(self, frame: Frame, source: Codec, target: Codec, sender: str) -> Frame:
        """A REPLY, but for errors, with its answer in another codec. Raises what the requester is to be told."""
        reply = unpack_reply(frame)
        payload = self.payload(reply.payload, source, target, f"the answer of sender {sender!r}")
        return Frame.of(pack_reply(Reply(reply.peer, reply.corr, payload), route=frame.route, flags=frame.flags))

    def payload(self, payload: bytes, source: Codec, target: Codec, what: str) -> bytes:
        """A payload in another codec; `what` it is stands in the sentence of what is raised."""
        between = f"the server cannot put {what} from codec {source.name!r} into {target.name!r}"
        if len(payload) > self._limit:
            raise MessageTooBig(
                f"{between}: {len(payload)} bytes are over its limit of {self._limit} (max_bridged_bytes); "
                "send it in parts, or give both ends a codec that they have in common"
            )
        try:
            return target.encode(source.decode(payload))
        except InvalidData as error:
            raise InvalidData(f"{between}: {error}") from error


def _reason(found: tuple[int, Outcome]) -> str | None:
    return found[1] if isinstance(found[1], str) else None
