"""What waits, in order: before it leaves on a link, or before a client's listeners are called.

Sans-I/O: no socket, no thread, no clock. Everything stands in the order in which it happened, and only events may be
dropped: whole frames, oldest first, each replaced in its place by the news of how many are missing on which route.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

# How many events of which route are in one frame.
Counts = tuple[tuple[int, int], ...]


class Entry(Generic[T]):
    """One place in the order: an item, or what became of it."""

    __slots__ = ("counts", "item", "lost", "order", "size")

    def __init__(self, item: T | None, size: int, counts: Counts, order: int) -> None:
        self.item: T | None = item
        self.order: int = order
        self.size: int = size
        self.counts: Counts = counts  # empty for what may not be dropped
        self.lost: dict[int, int] | None = None  # route -> events missing here; only once the item is gone


class Outbox(Generic[T]):
    """An ordered queue from which only events are shed.

    `drop_bytes` and `drop_events`: above either, the oldest events go. `events`, `event_bytes` and `other_bytes` tell
    what waits; whoever owns the queue decides when that is too much for the link to live.
    """

    def __init__(self, *, drop_bytes: int, drop_events: int | None = None) -> None:
        self._drop_bytes = drop_bytes
        self._drop_events = drop_events
        self._entries: deque[Entry[T]] = deque()
        self._droppable: deque[Entry[T]] = deque()
        self._losses: dict[int, deque[Entry[T]]] = {}  # where the missing events of a route are told, in order
        self._order = 0
        self._empty = 0  # entries whose news has moved on to a later one
        self.events: int = 0
        self.event_bytes: int = 0
        self.other_bytes: int = 0
        self.dropped: int = 0
        """Events dropped in all."""

    def __len__(self) -> int:
        return len(self._entries) - self._empty

    @property
    def bytes(self) -> int:
        """All that waits."""
        return self.event_bytes + self.other_bytes

    def put(self, item: T, size: int) -> None:
        """Append what may not be dropped."""
        self._append(item, size, ())
        self.other_bytes += size

    def put_events(self, item: T, size: int, counts: Counts) -> None:
        """Append a frame of events; older ones are dropped where there are too many."""
        self._droppable.append(self._append(item, size, counts))
        self.event_bytes += size
        self.events += _total(counts)
        while self.event_bytes > self._drop_bytes or (
            self._drop_events is not None and self.events > self._drop_events
        ):
            if len(self._droppable) <= 1:
                break  # a frame larger than the whole queue still goes through, alone
            self._drop_oldest()

    def put_loss(self, route: int, count: int) -> None:
        """Append the news that events are missing here."""
        entry = self._entries[-1] if self._entries else None
        if entry is None or not entry.lost:
            entry = self._append(None, 0, ())
            entry.lost = {}
        if route not in entry.lost:
            entry.lost[route] = 0
            self._losses.setdefault(route, deque()).append(entry)
        # Nothing stands behind it: one place tells of this loss and of those before, however many are reported.
        entry.lost[route] += count

    def take(self) -> Entry[T] | None:
        """The oldest entry: either `item` or `lost` is set. `None` when nothing waits."""
        while self._entries:
            entry = self._entries.popleft()
            if entry.lost is not None:
                if not entry.lost:
                    self._empty -= 1
                    continue
                for route in entry.lost:
                    self._losses[route].popleft()
                    if not self._losses[route]:
                        del self._losses[route]
            elif entry.counts:
                self._droppable.popleft()  # both queues have the same order
                self.event_bytes -= entry.size
                self.events -= _total(entry.counts)
            else:
                self.other_bytes -= entry.size
            return entry
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._droppable.clear()
        self._losses.clear()
        self._empty = self.events = self.event_bytes = self.other_bytes = 0

    def _drop_oldest(self) -> None:
        entry = self._droppable.popleft()
        count = _total(entry.counts)
        self.event_bytes -= entry.size
        self.events -= count
        self.dropped += count
        entry.item = None
        entry.lost = {}
        for route, missing in entry.counts:
            self._move_losses(route, missing, entry)

    def _move_losses(self, route: int, count: int, entry: Entry[T]) -> None:
        """Tell a loss at `entry`, with what was lost before it: no event of that route is left in between."""
        assert entry.lost is not None
        losses = self._losses.setdefault(route, deque())
        while losses and losses[0].order <= entry.order:
            before = losses.popleft()
            assert before.lost is not None
            count += before.lost.pop(route)
            if not before.lost and before is not entry:
                self._empty += 1
        entry.lost[route] = count
        losses.appendleft(entry)
        self._compact()

    def _append(self, item: T | None, size: int, counts: Counts) -> Entry[T]:
        self._order += 1
        entry = Entry(item, size, counts, self._order)
        self._entries.append(entry)
        return entry

    def _compact(self) -> None:
        """A queue that drops for hours must not grow by what is left of the dropped."""
        if self._empty > 64 and self._empty * 2 > len(self._entries):
            self._entries = deque(entry for entry in self._entries if entry.lost is None or entry.lost)
            self._empty = 0


def _total(counts: Sequence[tuple[int, int]]) -> int:
    return sum(count for _, count in counts)
