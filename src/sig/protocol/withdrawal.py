"""Events that wait for somebody who may not hear them any more.

Sans-I/O: no socket, no thread, no clock. What waits is whole frames, several in one piece, and many outboxes share
them: so nothing is changed in place, and who keeps its rights keeps the bytes that it has.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import partial
from typing import TYPE_CHECKING

from sig.protocol.connection import Connection
from sig.protocol.events import count_events, split_events
from sig.protocol.frames import HEADER, Frame
from sig.protocol.outbox import Entry, Frames

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


def withdraw(server: ServerCore, connection: Connection) -> None:
    """Take out of what waits for a client the events that it may not hear any more; they do not count as missed.

    Those on lanes stay: they have been given to one listener, who says how many it has begun. So do those of senders
    that have gone.
    """
    lost: dict[int, None] = {}
    for number in connection.outbox.routes():
        route = server.routes.get(number)
        if route is None or server.allowed(connection.identity, "listen", route.sender, route.event):
            continue
        lost[number] = None
        # It does not count along: should it hear that again, it is told where it is.
        route.known_by[connection] = False
    if lost:
        connection.outbox.sift(partial(_left, lost))


def _left(lost: Container[int], entry: Entry[bytes]) -> Entry[bytes] | None:
    counts = tuple((route, events) for route, events in entry.counts if route not in lost)
    if len(counts) == len(entry.counts):
        return entry
    assert entry.item is not None  # it has events
    kept = {route for route, _ in counts}
    parts: list[bytes] = []
    for frame in _frames(entry.item):
        here = [route for route, _ in count_events(frame) if route in kept]
        if here:
            parts += split_events(frame, (here,))
    return Frames.of(b"".join(parts), counts, len(parts)) if parts else None


def _frames(data: bytes) -> Iterator[Frame]:
    start = 0
    while start < len(data):
        end = start + HEADER.size + HEADER.unpack_from(data, start)[0]
        yield Frame.of(data[start:end])
        start = end
