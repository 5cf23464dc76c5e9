"""A clock that stands still until a test moves it."""

from __future__ import annotations

from sig.errors import InvalidArgument


class Clock:
    """Goes into `Router(clock=...)` of either face.

    What the router tells of time follows it (`info.time`, `since` of a sender), and so do deadlines: a request whose
    time is over when its handler asks somebody else raises `RequestTimeout`. Whoever is waiting goes on waiting by the
    clock on the wall, and routers with links keep to that one altogether.
    """

    def __init__(self, wall: float = 1_000_000_000.0) -> None:
        self._moved = 0.0
        self._wall = wall

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass. Raises `InvalidArgument` below 0: time does not go back."""
        if not seconds >= 0:
            raise InvalidArgument(f"a clock cannot be advanced by {seconds!r} seconds: give 0 or more")
        self._moved += seconds

    def now(self) -> float:
        """Seconds that have passed since it was made."""
        return self._moved

    def wall(self) -> float:
        """Seconds since the epoch: `wall` and what has passed."""
        return self._wall + self._moved
