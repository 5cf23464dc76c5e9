"""When a client whose link is down tries again, and at which of its addresses.

Sans-I/O: no socket, no thread, no clock; `now` and what is random are passed in. Thousands of clients lose their server
in the same instant: each waits a random time from its first attempt on, so that they do not come back in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# However long a server asks to be left alone: one that is wrong about that must not cost its clients a day.
LONGEST_ASKED_S: Final = 3600.0
# Two to this power is more than any wait that is allowed; beyond, the number would only grow.
_LARGEST_POWER: Final = 32


class Retry(Generic[T]):
    """Exponential back-off with full jitter, over several addresses in turn.

    Args:
        addresses: at least one, the preferred first.
        random: evenly from 0 up to 1.
        first_s: the longest wait of the first round; it doubles with each round, a round being all addresses once.
        longest_s: where doubling ends.
        settled_s: a link that lived so long was a good one: after it all begins anew, at the same address.
    """

    def __init__(
        self,
        addresses: Sequence[T],
        random: Callable[[], float],
        *,
        first_s: float,
        longest_s: float,
        settled_s: float,
    ) -> None:
        self.attempts: int = 0
        """Failed in a row."""
        self._addresses = list(addresses)
        self._random = random
        self._first_s = first_s
        self._longest_s = longest_s
        self._settled_s = settled_s
        self._at = 0
        self._opened: float | None = None
        self._not_before = [0.0] * len(self._addresses)  # as the servers there have asked

    @property
    def address(self) -> T:
        """Where the next attempt goes, or the last one went."""
        return self._addresses[self._at]

    def opened(self, now: float) -> None:
        """The attempt has succeeded: the handshake is complete."""
        self._opened = now
        self._not_before[self._at] = now

    def failed(self, now: float, retry_after_s: float | None = None) -> float:
        """The attempt has failed, or its link is down: how many seconds to wait before the next, at `address`.

        Args:
            retry_after_s: what the server's BYE asked for. Others are tried meanwhile, if there are any.
        """
        opened, self._opened = self._opened, None
        if retry_after_s is not None:
            self._not_before[self._at] = now + min(retry_after_s, LONGEST_ASKED_S)
        if opened is not None and now - opened >= self._settled_s:
            self.attempts = 0
            turn = self._at
        else:
            self.attempts += 1
            turn = self._at + 1
        power = min(self.attempts // len(self._addresses), _LARGEST_POWER)
        pause = self._random() * min(self._longest_s, self._first_s * 2.0**power)
        self._at = self._choose(turn, now + pause)
        # On top of what was asked for, not instead: whoever was sent away together was given the same number.
        return max(0.0, self._not_before[self._at] - now) + pause

    def _choose(self, turn: int, when: float) -> int:
        """The first from this one on that may be tried by then; if none may, the one that may the soonest."""
        count = len(self._addresses)
        places = [(turn + step) % count for step in range(count)]
        free = (place for place in places if self._not_before[place] <= when)
        return next(free, min(places, key=self._not_before.__getitem__))
