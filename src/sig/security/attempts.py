"""Logins that fail: who must wait before the next one, so that guessing takes too long.

No clock: `now` is passed in. Memory is bounded; where there are too many to remember, those go that failed first.
"""

from __future__ import annotations

from typing import Final

# Failures that cost nothing: everybody mistypes.
FREE: Final = 3
# From then on each doubles the wait, from one second; the longest for a place, and for a name. The second is short, for
# others than its owner can make a name wait.
PLACE_S: Final = 60.0
NAME_S: Final = 5.0
# Whoever has not failed for so long begins anew.
FORGOTTEN_S: Final = 600.0
REMEMBERED: Final = 4096
# One line for so long.
SUMMARY_S: Final = 60.0


class Attempts:
    """Failures by place (`places.place_of` an address) and by name."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}  # how often, and when last; in the order of that
        self._home: dict[str, str] = {}  # the place at which each name was let in last; in the order of that
        self._unsaid = 0
        self._last = ""
        self._said = float("-inf")

    def __len__(self) -> int:
        return len(self._failed)

    def wait(self, place: str, name: str, now: float) -> float:
        """For how many seconds nobody at this place, or of this name, may try.

        The name need not wait where it was let in last: else whoever knows it could keep its owner out.
        """
        by_name = 0.0 if self._home.get(name) == place else self._left(_name(name), NAME_S, now)
        return max(self._left(_place(place), PLACE_S, now), by_name)

    def failed(self, place: str, name: str, now: float) -> None:
        """A login was refused, which was tried."""
        for key in (_place(place), _name(name)):
            times, last = self._failed.pop(key, (0, now))
            self._failed[key] = (times + 1 if now - last < FORGOTTEN_S else 1), now
        while len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        self._unsaid += 1
        self._last = place

    def succeeded(self, place: str, name: str) -> None:
        """Somebody is let in: the failures of this name are over. Those of the place stay: it may try other names."""
        self._failed.pop(_name(name), None)
        self._home.pop(name, None)
        self._home[name] = place
        if len(self._home) > REMEMBERED:
            del self._home[next(iter(self._home))]

    def summary(self, now: float) -> str | None:
        """A line for the log, if there is something to say and nothing was said for a minute."""
        if not self._unsaid or now - self._said < SUMMARY_S:
            return None
        times, self._unsaid, self._said = self._unsaid, 0, now
        return f"{times} login{'s' * (times > 1)} refused, the last from {self._last}"

    def _left(self, key: str, longest: float, now: float) -> float:
        times, last = self._failed.get(key, (0, 0.0))
        if times <= FREE:
            return 0.0
        return max(0.0, last + min(longest, 2.0 ** min(times - FREE - 1, 10)) - now)


def _place(place: str) -> str:
    return f"at {place}"


def _name(name: str) -> str:
    return f"as {name}"
