"""What a client is told of the past: parts of answers, each value on a lane of its own.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from sig.errors import RemoteProtocolError
from sig.messages import Presence, Route
from sig.protocol.bodies import Lost
from sig.protocol.frames import Frame


class Told(NamedTuple):
    """An event of the past, or why it is missing."""

    route: Route
    """Of its lane; `next_seq` is the number of the event."""
    frame: Frame | None
    reason: str = ""


# In the order in which it was told.
Past: TypeAlias = list[Told | Presence]


class Pasts:
    """Gathers what belongs to the answers of calls, until these come."""

    def __init__(self) -> None:
        self.lanes: dict[int, Route] = {}
        """Those that are open, by their numbers."""
        self._parts: dict[int, Past] = {}

    def expect(self, call: int) -> None:
        """There may be something for that call; what is for others is dropped."""
        self._parts[call] = []

    def take(self, call: int) -> Past:
        """What was told, once its answer has come."""
        return self._parts.pop(call, [])

    def event(self, frame: Frame) -> None:
        """An EVENT on a lane, well formed."""
        if frame.count != 1:
            raise RemoteProtocolError(f"the server sent {frame.count} events on lane {frame.route}, which is for one")
        route = self.lanes[frame.route]
        self._add(route.call, Told(route, frame))

    def lost(self, lost: Lost) -> None:
        """A LOST on a lane."""
        route = self.lanes[lost.route]
        self._add(route.call, Told(route, None, lost.reason))

    def presence(self, presence: Presence) -> None:
        """A PRESENCE for one listener alone."""
        self._add(presence.call, presence)

    def _add(self, call: int | None, part: Told | Presence) -> None:
        parts = self._parts.get(call) if call is not None else None
        if parts is not None:
            parts.append(part)
