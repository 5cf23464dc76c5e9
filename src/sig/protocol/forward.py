"""Events on their way through a server: from the frame to the outboxes of all who hear them.

Sans-I/O: no socket, no thread, no clock. No payload is looked into here; who lacks its codec, and needs it in another,
gets it from `bridge`. Frames of one read that go to the same receivers, one after the other, are a *run*, and travel on
as one piece: what a receiver costs, it costs once for all of them. For several receivers those that are alike become
one frame, since each costs a receiver as much as dozens of events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sig.codecs import Codec
from sig.errors import RemoteProtocolError
from sig.protocol.connection import Connection
from sig.protocol.events import count_events, gather_events, merge_events, routes_of, split_events
from sig.protocol.fitting import fit_events
from sig.protocol.frames import EVENT_DURABLE, EVENT_HEAD_BYTES, EVENT_SEQ, HEADER, Frame
from sig.protocol.heard import Audience
from sig.protocol.outbox import Counts, Frames

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# A run is dropped as a whole where it is too much: it must be little beside what may wait for a receiver. And it is
# half of what a client reads at once: if its frame were as large, nearly each would come in two reads.
_RUN_BYTES: Final = 32 * 1024
_RUN_SHARE: Final = 16


def run_bytes(drop_bytes: int) -> int:
    """How large a run becomes at most, where so much may wait for a link."""
    return min(_RUN_BYTES, drop_bytes // _RUN_SHARE)


class Forwarder:
    """Takes the EVENT frames of all connections."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._enough = run_bytes(server.limits.link_drop_bytes)
        # The run: whose it is, its frames, and who hears them. All the same, then their events are counted by route; or
        # `None`: each is for several audiences.
        self._owner: Connection
        self._audience: Audience | None = None
        self._frames: list[Frame] = []
        self._size = 0
        self._counts: Counter[int] = Counter()

    def forward(self, connection: Connection, frame: Frame) -> None:
        """Pass events on to all who hear them, payloads as they are.

        They may wait for others until `seal` is called, which must be before anything but another EVENT is looked at.
        Raises `RemoteProtocolError`, and then passes nothing on.
        """
        size = len(frame.data)
        credit = connection.credit
        if credit <= 0:
            self.seal()
            raise RemoteProtocolError("the client sent events for which it has no credit")
        connection.credit = credit - size
        # As nearly always where one leaves by itself: nothing but a time and a payload.
        routes = None if not frame.flags and frame.count and size >= EVENT_HEAD_BYTES else routes_of(frame)
        heard = connection.heard
        if routes is None:
            audience = heard.get(frame.route)
            known = audience is not None
        else:
            # One look for each event tells whether it is the client's own, who hears it, and whether all are alike.
            audiences = set(map(heard.get, routes))
            audience = heard.get(routes[0]) if len(audiences) == 1 else None
            known = None not in audiences
        if not known or frame.flags & _NUMBERED or (audience is not None and size > audience.largest):
            self.seal()
            self._check(connection, frame, routes)
            self._part(connection, frame)
            return
        if audience is not self._audience or self._size + size > self._enough:
            if self._frames:
                self.seal()
            self._audience = audience
        self._owner = connection
        self._frames.append(frame)
        self._size += size
        if audience is None:
            return
        if routes is None:
            number = frame.route
            self._counts[number] = self._counts.get(number, 0) + frame.count
        else:
            self._counts.update(routes)

    def lone(self, connection: Connection, count: int, number: int, size: int) -> tuple[Connection, ...] | None:
        """Who is to be sent a frame of so many events at once, as it is: a few, who all wait for nothing else.

        It has been passed on then; `None`: nothing is done, it is for `forward`. Nothing of the same read is before it.
        """
        audience = connection.heard.get(number)
        if audience is None or audience.lines or audience.bridged or audience.backlog is not None:
            return None
        if len(audience.prompt) > _FEW or size > audience.largest:
            return None
        if connection.credit <= 0 or connection.retained is not None:
            return None
        receivers = tuple(audience.prompt)  # others may come while it is sent
        for receiver in receivers:
            if not receiver.idle:
                return None
        for receiver in receivers:
            receiver.pass_by(size, count)
        connection.credit -= size
        connection.events_in += count
        self._server.listening.accepted(((number, count),))
        connection.spend(size)
        return receivers

    def seal(self) -> None:
        """Hand out the run."""
        frames, audience = self._frames, self._audience
        if not frames:
            return
        if audience is None:
            lines = self._owner.codec.lines
            self._part(self._owner, merge_events(frames, lines=lines))
        else:
            counts = tuple(self._counts.items())
            self._counts.clear()
            if audience.lines:
                self._server.shares.take(self._owner, frames, {number: audience.lines for number, _ in counts})
            self._server.listening.accepted(counts)
            parts = [frame.data for frame in frames]
            if len(frames) > 1 and len(audience.direct) > 1:  # for one it would cost as much as it saves
                parts = gather_events(frames, audience.largest, lines=self._owner.codec.lines)
            entry = Frames.of(b"".join(parts), counts, len(parts))
            self._owner.events_in += entry.events
            if (values := self._owner.retained) is not None:
                self._server.retained.keep(values, frames, counts, lines=self._owner.codec.lines)
            late = [receiver for receiver in audience.prompt if receiver.offer(entry)]
            if late:
                audience.part(late, self._server.backlogs)
            if audience.backlog is not None and audience.backlog.links:
                audience.backlog.put(entry)
            for codec, receivers in audience.bridged.items():
                self._translate(self._owner, frames, codec, {number: receivers for number, _ in counts})
        self._owner.spend(self._size)
        self._audience = None
        self._frames.clear()
        self._size = 0

    def _check(self, connection: Connection, frame: Frame, routes: tuple[int, ...] | None) -> None:
        """Find out who hears each of these routes, or raise over one that is not the connection's."""
        if frame.flags & _NUMBERED:
            raise RemoteProtocolError("numbered events belong to sessions and stores, which this server does not have")
        numbers = (frame.route,) if routes is None else dict.fromkeys(routes)
        found = [self._server.owned(connection, number) for number in numbers]
        for route in found:
            if route is not None:
                self._server.listening.audience(route)
        connection.spend(len(frame.data))

    def _part(self, connection: Connection, frame: Frame) -> None:
        """Give each what it hears: of one frame, so that its events stay in order."""
        counts = count_events(frame)
        heard = connection.heard
        hearing = {number: audience for number, _ in counts if (audience := heard.get(number)) is not None}
        lines = {number: audience.lines for number, audience in hearing.items() if audience.lines}
        if lines:
            self._server.shares.take(connection, (frame,), lines)
        self._server.listening.accepted(counts)
        connection.events_in += frame.count
        if connection.retained is not None:
            self._server.retained.keep(connection.retained, (frame,), counts, lines=connection.codec.lines)
        self._divide(frame, counts, {number: hearing[number].direct for number in hearing}, connection.codec)
        for codec in {codec: None for audience in hearing.values() for codec in audience.bridged}:
            needed = {number: hearing[number].bridged.get(codec, ()) for number in hearing}
            needed = {number: receivers for number, receivers in needed.items() if receivers}
            (part,) = split_events(frame, (needed,))
            self._translate(connection, [Frame.of(part)], codec, needed)

    def _translate(
        self,
        connection: Connection,
        frames: Iterable[Frame],
        codec: Codec,
        hearing: Mapping[int, Sequence[Connection]],
    ) -> None:
        """Put events that this connection sent into another codec, and give them to those who need them in that."""
        for part in self._server.bridge.events(frames, connection.codec, codec):
            if part.data is not None:
                self._divide(Frame.of(part.data), part.counts, hearing, codec)
                continue
            for number, missed in part.counts:
                for receiver in hearing[number]:
                    receiver.lose(((number, missed),), part.reason)

    def _divide(self, frame: Frame, counts: Counts, hearing: Mapping[int, Sequence[Connection]], codec: Codec) -> None:
        """Give each what it hears of a frame in that codec."""
        wanted: dict[Connection, dict[int, int]] = {}
        for number, events in counts:
            for receiver in hearing.get(number, ()):
                wanted.setdefault(receiver, {})[number] = events
        alike: dict[tuple[int, ...], list[Connection]] = {}
        for receiver, held in wanted.items():
            alike.setdefault(tuple(held), []).append(receiver)
        for numbers, part in zip(alike, split_events(frame, alike), strict=True):
            receivers = alike[numbers]
            self._spread(receivers, part, tuple(wanted[receivers[0]].items()), codec)

    def _spread(self, receivers: Iterable[Connection], data: bytes, counts: Counts, codec: Codec) -> None:
        """Give a frame to each, as large as it takes it."""
        size = len(data) - HEADER.size
        entry = Frames.of(data, counts)
        fitted: dict[int, list[tuple[bytes | None, Counts]]] = {}
        for receiver in receivers:
            room = receiver.max_frame_bytes
            if size <= room:
                receiver.share(entry)
                continue
            if room not in fitted:
                fitted[room] = list(fit_events(Frame.of(data), room, lines=codec.lines))
            for part, held in fitted[room]:
                if part is not None:
                    receiver.share(Frames.of(part, held))
                else:
                    receiver.lose(held, "too_big")


_FEW: Final = 8  # for more, it is cheaper to do for all of them what is the same
_NUMBERED: Final = EVENT_SEQ | EVENT_DURABLE
