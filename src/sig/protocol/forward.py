"""Events on their way through a server: from the frame to the outboxes of all who hear them.

Sans-I/O: no socket, no thread, no clock. A payload is never decoded. Frames of one read that go to the same receivers,
one after the other, are a *run*, and travel on as one piece: what a receiver costs, it costs once for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sig.errors import RemoteProtocolError
from sig.protocol.connection import Audience, Connection, Frames
from sig.protocol.events import routes_of, split_events
from sig.protocol.fitting import fit_events
from sig.protocol.frames import EVENT_DURABLE, EVENT_SEQ, HEADER, Frame
from sig.protocol.outbox import Counts

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# A run is dropped as a whole where it is too much: it must be little beside what may wait for a receiver.
_RUN_BYTES: Final = 64 * 1024
_RUN_SHARE: Final = 16


class Forwarder:
    """Takes the EVENT frames of all connections."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._enough = min(_RUN_BYTES, server.limits.link_drop_bytes // _RUN_SHARE)
        # The run: whose it is, who hears it, its frames, and how many events of which route these have.
        self._owner: Connection
        self._audience: Audience | None = None
        self._frames: list[bytes] = []
        self._size = 0
        self._counts: Counter[int] = Counter()

    def forward(self, connection: Connection, frame: Frame) -> None:
        """Pass events on to all who hear them, byte for byte.

        They may wait for others until `seal` is called, which must be before anything but another EVENT is looked at.
        Raises `RemoteProtocolError`, and then passes nothing on.
        """
        routes = routes_of(frame)
        heard = connection.heard
        if routes is None:
            audience = heard.get(frame.route)
        else:
            # One look for each event tells whether it is the client's own, who hears it, and whether all are alike.
            audience = heard.get(routes[0]) if len(set(map(heard.get, routes))) == 1 else None
        size = len(frame.data)
        if audience is None or size > audience.largest or frame.flags & _NUMBERED:
            self._part(connection, frame, routes)
            return
        if audience is not self._audience or self._size >= self._enough:
            self.seal()
            self._owner, self._audience = connection, audience
        self._frames.append(frame.data)
        self._size += size
        if routes is None:
            self._counts[frame.route] += frame.count
        else:
            self._counts.update(routes)

    def seal(self) -> None:
        """Hand out the run."""
        audience = self._audience
        if audience is None:
            return
        counts = tuple(self._counts.items())
        self._server.accepted(counts)
        self._owner.spend(self._size)
        entry = Frames.of(b"".join(self._frames), counts, len(self._frames))
        self._owner.events_in += entry.events
        for receiver in audience.connections:
            receiver.share(entry)
        self._audience = None
        self._frames.clear()
        self._size = 0
        self._counts.clear()

    def _part(self, connection: Connection, frame: Frame, routes: tuple[int, ...] | None) -> None:
        """Pass on what is for several audiences, for one that nobody has asked after yet, or too large for some."""
        self.seal()
        if frame.flags & _NUMBERED:
            raise RemoteProtocolError("numbered events belong to sessions and stores, which this server does not have")
        server = self._server
        counts = tuple(Counter(routes).items()) if routes is not None else ((frame.route, frame.count),)
        # Everything is checked before anything is passed on.
        found = [server.owned(connection, number) for number, _ in counts]
        wanted: dict[Connection, dict[int, int]] = {}
        for route, (number, events) in zip(found, counts, strict=True):
            for receiver in server.audience(route).connections if route is not None else ():
                wanted.setdefault(receiver, {})[number] = events
        server.accepted(counts)
        connection.spend(len(frame.data))
        connection.events_in += frame.count
        alike: dict[tuple[int, ...], list[Connection]] = {}
        for receiver, held in wanted.items():
            alike.setdefault(tuple(held), []).append(receiver)
        for numbers, part in zip(alike, split_events(frame, alike), strict=True):
            receivers = alike[numbers]
            self._spread(receivers, part, tuple(wanted[receivers[0]].items()))

    def _spread(self, receivers: Iterable[Connection], data: bytes, counts: Counts) -> None:
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
                fitted[room] = list(fit_events(Frame.of(data), room))
            for part, held in fitted[room]:
                if part is not None:
                    receiver.share(Frames.of(part, held))
                else:
                    receiver.lose(held, "too_big")


_NUMBERED: Final = EVENT_SEQ | EVENT_DURABLE
