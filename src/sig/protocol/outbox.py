"""What waits, in order: before it leaves on a link, or before a client's listeners are called.

Sans-I/O: no socket, no thread, no clock. Everything stands in the order in which it happened, and only events may be
dropped: whole frames, oldest first, and in their place stands the news of how many are missing on which route.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from sig.protocol.budget import Budget

T = TypeVar("T")

# How many events of which route are in one frame.
Counts = tuple[tuple[int, int], ...]
# How many events of which route are missing, and why.
Losses = dict[tuple[int, str], int]

SLOW: Final = "slow"


class Entry(msgspec.Struct, Generic[T]):
    """One place in the order: an item, or the news of events that are missing there. Many queues may share one."""

    item: T | None
    size: int
    counts: Counts = ()
    events: int = 0  # in all; none in what may not be dropped
    frames: int = 1  # that the item is
    lost: Losses | None = None
    holders: int = 0  # of the queues that report to a budget, so many have it


class Frames(Entry[bytes], gc=False):
    """Events for many outboxes: whole frames. The garbage collector need not look at them: they refer to nobody."""

    @classmethod
    def of(cls, data: bytes, counts: Counts, frames: int = 1) -> Frames:
        return cls(data, len(data), counts, total(counts), frames)


class Outbox(Generic[T]):
    """An ordered queue from which only events are shed.

    `drop_bytes` and `drop_events`: above either, the oldest events go. `events`, `event_bytes` and `other_bytes` tell
    what waits; whoever owns the queue decides when that is too much for the link to live.
    """

    def __init__(self, *, drop_bytes: int, drop_events: float = math.inf) -> None:
        self._drop_bytes = drop_bytes
        self._drop_events = drop_events
        # Dropping goes from the oldest to the newest, past what may not be dropped. `_passed` is what it has gone
        # past: no events any more, but the news of those that were there. `_entries` stands behind it.
        self._passed: deque[Entry[T]] = deque()
        self._entries: deque[Entry[T]] = deque()
        self._budget: Budget | None = None  # only while it is held up
        self._group = 0  # how many bits `event_bytes` has, as far as the budget knows
        self.events: int = 0
        self.event_bytes: int = 0
        self.other_bytes: int = 0
        self.dropped: int = 0
        """Events dropped in all."""

    def __len__(self) -> int:
        return len(self._passed) + len(self._entries)

    @property
    def bytes(self) -> int:
        """All that waits."""
        return self.event_bytes + self.other_bytes

    def put(self, item: T, size: int, frames: int = 1) -> None:
        """Append what may not be dropped."""
        self._append(Entry(item, size, frames=frames))
        self.other_bytes += size

    def put_events(self, item: T, size: int, counts: Counts) -> None:
        """Append a frame of events; older ones are dropped where there are too many."""
        self.share(Entry(item, size, counts, total(counts)))

    def share(self, entry: Entry[T]) -> None:
        """The same, with an entry that other queues may have too."""
        self._entries.append(entry)
        self.event_bytes += entry.size
        self.events += entry.events
        while self.event_bytes > self._drop_bytes or self.events > self._drop_events:
            if len(self._entries) == 1:
                break  # a frame larger than the whole queue still goes through, alone
            self._pass()
        if self._budget is not None:
            self._budget.hold(entry)
            self._regroup()

    def put_loss(self, route: int, count: int, reason: str) -> None:
        """Append the news that events are missing here."""
        behind = self._entries or self._passed
        # Where nothing stands behind it, one place tells of this loss and of those before, however many there are.
        if not behind or behind[-1].lost is None:
            behind = self._entries
            self._append(Entry(None, 0, lost={}))
        self._lose(behind[-1], (route, reason), count)

    def take(self) -> Entry[T] | None:
        """The oldest entry: either `item` or `lost` is set. `None` when nothing waits."""
        return next(iter(self.take_some(1)), None)

    def take_some(self, size: int) -> list[Entry[T]]:
        """The oldest entries: until they have so many bytes together, at least one if there is any."""
        taken: list[Entry[T]] = []
        passed, entries = self._passed, self._entries
        while size > 0 and (passed or entries):
            entry = passed.popleft() if passed else entries.popleft()
            taken.append(entry)
            if entry.events:
                self.event_bytes -= entry.size
                self.events -= entry.events
            else:
                self.other_bytes -= entry.size
            size -= entry.size or 1
        if self._budget is not None:
            for entry in taken:
                self._budget.release(entry)
            self._regroup()
            if not self._passed and not self._entries:
                self._budget = None
        return taken

    def routes(self) -> list[int]:
        """Of all events that wait."""
        return list(dict.fromkeys(route for entry in self._entries for route, _ in entry.counts))

    def sift(self, left: Callable[[Entry[T]], Entry[T] | None]) -> None:
        """Have each frame of events be itself, become another, or go. What goes is not told as missing."""
        entries = self._entries
        self._entries = deque()
        for entry in entries:
            other = left(entry) if entry.events else entry
            if other is not entry:
                self.event_bytes -= entry.size
                self.events -= entry.events
                if self._budget is not None:
                    self._budget.release(entry)
            if other is None:
                continue
            self._entries.append(other)
            if other is not entry:
                self.event_bytes += other.size
                self.events += other.events
                if self._budget is not None:
                    self._budget.hold(other)
        self._regroup()

    def clear(self) -> None:
        """Forget everything."""
        if self._budget is not None:
            for entry in chain(self._passed, self._entries):
                self._budget.release(entry)
            self._budget.move(self, self._group, 0)
            self._budget, self._group = None, 0
        self._passed.clear()
        self._entries.clear()
        self.events = self.event_bytes = self.other_bytes = 0

    @property
    def held(self) -> bool:
        """Whether it is held up."""
        return self._budget is not None

    def hold_up(self, budget: Budget) -> None:
        """Report to a budget from now on, until nothing waits any more."""
        if self._budget is None and (self._passed or self._entries):
            self._budget = budget
            for entry in chain(self._passed, self._entries):
                budget.hold(entry)
            self._regroup()

    def shed(self) -> None:
        """Drop the oldest frame of events; there must be one."""
        events = self.events
        while self.events == events:
            self._pass()
        self._regroup()

    def _regroup(self) -> None:
        group = self.event_bytes.bit_length()
        if self._budget is not None and group != self._group:
            self._budget.move(self, self._group, group)
            self._group = group

    def _append(self, entry: Entry[T]) -> None:
        self._entries.append(entry)
        if self._budget is not None:
            self._budget.hold(entry)

    def _pass(self) -> None:
        """Go past the oldest entry that has not been; if it has events they are dropped, and missing from there on."""
        entry = self._entries.popleft()
        if entry.events:
            self.event_bytes -= entry.size
            self.events -= entry.events
            self.dropped += entry.events
        elif entry.lost is None:
            self._passed.append(entry)
            return
        if self._budget is not None:
            self._budget.release(entry)
        # Between two losses nothing is left: they are told as one.
        if not self._passed or self._passed[-1].lost is None:
            self._passed.append(Entry(None, 0, lost={}))
            if self._budget is not None:
                self._budget.hold(self._passed[-1])
        news = self._passed[-1]
        for route, missing in entry.counts:
            self._lose(news, (route, SLOW), missing)
        if entry.lost is not None:
            for what, missing in entry.lost.items():
                self._lose(news, what, missing)

    def _lose(self, entry: Entry[T], what: tuple[int, str], missing: int) -> None:
        lost = entry.lost
        assert lost is not None  # the entry was chosen for it
        if what in lost:
            lost[what] += missing
            return
        lost[what] = missing
        if self._budget is not None:
            self._budget.lose()


def total(counts: Sequence[tuple[int, int]]) -> int:
    """Events in all."""
    return counts[0][1] if len(counts) == 1 else sum(count for _, count in counts)
