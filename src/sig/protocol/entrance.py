"""Who is let in: how many strangers at once, from where, and how many in a second.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. A link that is refused is told so and when to come back;
one that was let in is a stranger until its handshake is complete, and strangers may be sent away for others.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from sig.constants import Limits
from sig.security.places import other_machine

T = TypeVar("T")


class Entrance(Generic[T]):
    """Strangers in the order in which they came, and how many more may come.

    Args:
        limits: `max_connections`, `max_pending_handshakes`, `max_pending_per_source` and `max_accepts_per_s` of it.
    """

    def __init__(self, limits: Limits) -> None:
        self.pending: dict[T, None] = {}
        """Strangers, the oldest first."""
        self._limits = limits
        self._sources: dict[str, dict[T, None]] = {}
        self._source_of: dict[T, str] = {}
        self._left = float(limits.max_accepts_per_s)  # as many as a second brings may come in one instant
        self._since: float | None = None

    def refusal(self, connections: int, now: float, *, paced: bool = True) -> str | None:
        """Why one more may not come in now, there being so many; `None`: it may, and is counted if it is `paced`."""
        limits = self._limits
        if connections >= limits.max_connections:
            return f"this server has its {limits.max_connections} connections (max_connections): come back later"
        if not paced:
            return None
        if self._since is not None:
            more = (now - self._since) * limits.max_accepts_per_s
            self._left = min(float(limits.max_accepts_per_s), self._left + more)
        self._since = now
        if self._left < 1:
            most = limits.max_accepts_per_s
            return f"this server lets in {most} clients a second (max_accepts_per_s): come back later"
        self._left -= 1
        return None

    def enter(self, stranger: T, address: str) -> tuple[T, str] | None:
        """One has come in; returns who has to go for it, if anybody has, and what to tell it."""
        self.pending[stranger] = None
        source = self._source_of[stranger] = other_machine(address)
        theirs = self._sources.setdefault(source, {})
        theirs[stranger] = None
        most = self._limits.max_pending_per_source
        if source and len(theirs) > most:
            return next(iter(theirs)), f"{most} handshakes with {source} are under way (max_pending_per_source)"
        most = self._limits.max_pending_handshakes
        if len(self.pending) <= most:
            return None
        # From where most come: whoever tries alone is not in the way of many.
        fullest = max(self._sources.values(), key=len)
        return next(iter(fullest)), f"{most} handshakes are under way (max_pending_handshakes)"

    def leave(self, stranger: T) -> None:
        """It is no stranger any more, or has gone. May be called again."""
        self.pending.pop(stranger, None)
        source = self._source_of.pop(stranger, None)
        if source is not None:
            theirs = self._sources[source]
            del theirs[stranger]
            if not theirs:
                del self._sources[source]
