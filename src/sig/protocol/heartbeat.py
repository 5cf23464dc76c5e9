"""How often the two ends of a link let each other know that they are there, and which of many links is looked at when.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. A link is looked at once in a period, half a heartbeat:
whether any bytes have come since, and whether any have left, see `Peer.beat`. Nothing is noted when they do, and no
interval is measured: an end that was stopped for an hour finds one silent period behind itself, and what has arrived
meanwhile before the next, instead of a world that seems dead.
"""

from __future__ import annotations

import math
from typing import Final, Generic, NamedTuple, TypeVar

from sig.constants import Limits

T = TypeVar("T")

# Neither time is shorter, but where whoever decides has set it so himself.
SHORTEST_S: Final = 1.0
# Longer is for ever, and too long for some timers.
_LONGEST_S: Final = 86_400.0
# A PING must have the time to be answered: the timeout is so many times the heartbeat, at least.
_PART: Final = 2.5
# Who is due so little later is looked at too: ten thousand links need not wake anybody one by one.
_EARLY: Final = 1 / 64


class Rhythm(NamedTuple):
    """What two ends have agreed on."""

    heartbeat_s: float
    """Each says something at least so often: a PING, if there is nothing else to say."""
    timeout_s: float
    """Whoever has said nothing for so long is gone."""

    @property
    def period_s(self) -> float:
        """How often to look."""
        return self.heartbeat_s / 2

    @property
    def patience(self) -> int:
        """How many silent periods in a row are one too many: in time, however the first falls between two looks."""
        return int(self.timeout_s / self.period_s) - 1


def own_rhythm(limits: Limits) -> Rhythm:
    """What one end has by itself."""
    return _fitting(limits.heartbeat_s, limits.heartbeat_timeout_s)


def granted(limits: Limits, heartbeat_s: float | None, timeout_s: float | None) -> Rhythm:
    """What a server grants a client that would like these times, or has no wish: never more than its own.

    Its own are halved until they will do: whatever ten thousand clients ask for, there are few different periods.
    """
    return _fitting(_halved(limits.heartbeat_s, heartbeat_s), _halved(limits.heartbeat_timeout_s, timeout_s))


def accepted(limits: Limits, heartbeat_s: float, timeout_s: float) -> Rhythm | None:
    """What a client makes of the times that a server tells, if it does tell any: never nonsense."""
    if not heartbeat_s:
        return None
    heartbeat_s = max(heartbeat_s, min(own_rhythm(limits).heartbeat_s, SHORTEST_S / _PART))
    return _fitting(heartbeat_s, max(timeout_s, heartbeat_s * _PART))


def _fitting(heartbeat_s: float, timeout_s: float) -> Rhythm:
    timeout_s = min(timeout_s, _LONGEST_S)
    return Rhythm(min(heartbeat_s, timeout_s / _PART), timeout_s)


def _halved(own_s: float, wish_s: float | None) -> float:
    if wish_s is not None:
        while own_s > wish_s:
            if own_s < 2 * SHORTEST_S:
                return min(own_s, SHORTEST_S)
            own_s /= 2
    return own_s


class Rounds(Generic[T]):
    """Many who are looked at again and again, each in its own period; in between they cost nothing."""

    __slots__ = ("_due", "_groups")

    def __init__(self) -> None:
        # Who has which period, and when each is due: in that order.
        self._groups: dict[float, dict[T, float]] = {}
        self._due = math.inf

    @property
    def due(self) -> float:
        """When to call `take`; no one is due before, perhaps no one is then."""
        return self._due

    def enter(self, who: T, period_s: float, now: float) -> None:
        """From here on."""
        due = now + period_s
        self._groups.setdefault(period_s, {})[who] = due
        self._due = min(self._due, due)

    def leave(self, who: T) -> None:
        """No more, if ever."""
        for period_s, group in self._groups.items():
            if group.pop(who, None) is not None:
                if not group:
                    del self._groups[period_s]
                return

    def take(self, now: float) -> list[T]:
        """Who is due; each will be again in a period from now."""
        taken: list[T] = []
        for period_s, group in self._groups.items():
            first = len(taken)
            for who, due in group.items():
                if due > now + period_s * _EARLY:
                    break
                taken.append(who)
            again = now + period_s
            for who in taken[first:]:
                del group[who]
                group[who] = again
        self._due = min((next(iter(group.values())) for group in self._groups.values()), default=math.inf)
        return taken
