"""Routes that have ended, and whose end a client may not have heard of: it is told again when it is back.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. What is sent comes in order: of all that stands before the
last ROUTE_GONE that has come, nothing is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sig.protocol.held import Route

# A link on which nothing comes any more has been given up by then, and what was sent before has come.
KEPT_S: Final = 120.0
# Of one client so many are kept; the oldest goes first.
MOST: Final = 1000


class End(NamedTuple):
    """What has ended: a route, or a lane of it."""

    route: Route
    first_seq: int
    """The number of the first event on it that the client was to hear."""
    listener: int | None = None
    """Of a lane: whose it was."""


class Ended:
    """Those of one link, in the order in which it was told."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: dict[int, tuple[End | None, float]] = {}  # and when that was, by their numbers

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, number: int, end: End | None, now: float, *, away: bool = False) -> None:
        """That one has ended; `None`: nothing is to be told of it. `away`: the link is down, and nothing is heard."""
        ends = self._ends
        while ends and (len(ends) >= MOST or not (away or next(iter(ends.values()))[1] > now - KEPT_S)):
            del ends[next(iter(ends))]
        ends[number] = end, now

    def unheard(self, last: int | None) -> list[End]:
        """What is to be told again to who has heard of the end of that one, and no other since; each once."""
        ends = self._ends
        numbers = list(ends)
        after = numbers.index(last) + 1 if last in ends else 0
        found: dict[tuple[Route, int | None], End] = {}
        for number in numbers[after:]:
            end, _ = ends[number]
            if end is not None:
                found.setdefault((end.route, end.listener), end)
        return list(found.values())
