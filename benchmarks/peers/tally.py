"""Counts what a subscriber is given. Its few instructions per event are the same for every contestant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.peers.payload import Event, clock

# What a contestant calls with (whatever it knows about the event, the decoded event). True: that was the last one.
Take = Callable[[object, Event], bool]


class Lost(Exception):
    """Not every event arrived, or some arrived twice: the run does not count."""


class Tally:
    """What one subscriber has been given.

    Args:
        timing: also note how old each event is when it arrives.
    """

    def __init__(self, timing: bool = False) -> None:
        self.ended: Callable[[], object] = lambda: None
        """Called by whoever gave the last of what was expected, on that thread."""
        self._meeting: int | None = None
        self._count = 0
        self._delays: list[float] = []
        # Variables of closures, because attributes cost more.
        left = total = 0
        when = 0.0
        late = self._delays.append

        def expect(count: int) -> None:
            nonlocal left, total
            self._count = left = count
            total = 0
            self._delays.clear()

        def state() -> tuple[int, int, float]:
            return left, total, when

        def count_it(about: object, event: Event) -> bool:
            nonlocal left, total, when
            left -= 1
            total += event["seq"]
            if left:
                return False
            when = clock()
            self.ended()
            return True

        def count_object(about: object, event: Any) -> bool:
            nonlocal left, total, when
            left -= 1
            total += event.seq
            if left:
                return False
            when = clock()
            self.ended()
            return True

        def time_it(about: object, event: Event) -> bool:
            late(clock() - event["ts"])
            return count_it(about, event)

        self.expect = expect
        """Begin to count, to so many."""
        self.take: Take = time_it if timing else count_it
        """Take an event."""
        self.take_object: Callable[[object, Any], bool] = count_object
        """Take an event that has attributes, not keys: counted only, never timed."""
        self._state = state

    def expect_meeting(self, seq: int) -> None:
        """Begin to wait for the event with this `seq`, among those that only show that everybody is connected."""
        self._meeting = seq

    def meet(self, about: object, event: Event) -> bool:
        """Take such an event."""
        if event["seq"] != self._meeting:
            return False
        self._meeting = None
        self.ended()
        return True

    def result(self) -> dict[str, float]:
        """When the last event came, and how old they were; raises `Lost` unless each came exactly once."""
        left, total, when = self._state()
        if left > 0:
            raise Lost(f"{self._count - left} of {self._count} events arrived")
        if left < 0 or total != self._count * (self._count - 1) // 2:
            raise Lost(f"more than {self._count} events arrived, or some twice and others never")
        return {"ended": when, **percentiles(self._delays)}


def percentiles(figures: Sequence[float]) -> dict[str, float]:
    """`p50` and `p99`, by rank; nothing of no figures."""
    if not figures:
        return {}
    ranked = sorted(figures)
    return {f"p{rank}": ranked[min(len(ranked) - 1, len(ranked) * rank // 100)] for rank in (50, 99)}
