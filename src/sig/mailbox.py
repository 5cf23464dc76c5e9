"""A listener's own queue: bounded, serial, with a policy for when it is full and a count of what it lost.

Whoever triggers puts; whoever the listener belongs to (a loop, an executor, a GUI) takes, one consumer at a time.
What was lost is told in the place where it would have come.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from threading import Lock, RLock
from typing import Final, NamedTuple, TypeAlias

from .constants import Limits
from .errors import InvalidArgument
from .info import Gap, Info

POLICIES: Final = ("drop_oldest", "drop_newest", "latest", "block", "disconnect")


class Entry(NamedTuple):
    """What a consumer takes: an event, or a gap where events are missing."""

    info: Info
    data: object
    gap: Gap | None = None


# Sender and event; of a gap its reason too.
_Key: TypeAlias = tuple[str, str, str | None]


class _Latest(OrderedDict[_Key, Entry]):
    """The queue of the policy `latest`, with one place for each event of each sender, found without a walk."""

    def append(self, entry: Entry) -> None:
        # Only a gap can be there already: what it tells joins it, else they would pile up between the events.
        before = self.get(_key(entry))
        self[_key(entry)] = entry if before is None else _joined(before, entry)

    def popleft(self) -> Entry:
        return self.popitem(last=False)[1]


class Mailbox:
    """One listener's queue.

    `wake()` is called, on the thread that puts, when a consumer should start: it takes until `take` answers `None`, and
    is then forgotten. One that ends before that says so with `rest`. `overflow()` is called when the queue is full and
    the policy is `disconnect`.
    """

    __slots__ = (
        "_armed",
        "_before",
        "_behind",
        "_closed",
        "_entries",
        "_lock",
        "_max_wait",
        "_overflow",
        "_pending",
        "_policy",
        "_size",
        "_waiting",
        "_wake",
        "missed",
        "received",
    )

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        size: int | None = None,
        policy: str = "drop_oldest",
        max_wait: float = 5,
        overflow: Callable[[], None] = lambda: None,
    ) -> None:
        if policy not in POLICIES:
            raise InvalidArgument(f"when_full={policy!r} is unknown: choose one of {', '.join(POLICIES)}")
        if size is not None and size < 1:
            raise InvalidArgument(f"queue={size!r} has no room for a single event: give at least 1")
        if not 0 <= max_wait < math.inf:
            raise InvalidArgument(f"max_wait={max_wait!r} is no time to wait: give seconds")
        self._wake = wake
        self._size = Limits().listener_queue_events if size is None else size
        self._policy = policy
        self._max_wait = max_wait
        self._overflow = overflow
        # Guards all below; never held while anything of others is called. But the garbage collector may call a
        # `__del__` at any time, on this very thread, and that may come back to us: hence an RLock.
        self._lock = RLock()
        self._entries: deque[Entry] | _Latest = _Latest() if policy == "latest" else deque()
        # Gaps that have no entry to stand behind: told before the oldest (lost there by `drop_oldest` and `latest`),
        # or after the newest (lost there by the others, or before they came here).
        self._before: dict[_Key, Entry] = {}
        self._behind: dict[_Key, Entry] = {}
        self._pending = 0
        # Threads under the policy `block`, with their events. Whoever takes lets the first in, so that nobody can get
        # in front of it; there is no room while one waits.
        self._waiting: dict[Lock, Entry] = {}
        self._armed = False
        self._closed = False
        self.missed: int = 0
        self.received: int = 0

    def __len__(self) -> int:
        """Events that wait."""
        return self._pending

    @property
    def resting(self) -> bool:
        """Whether no consumer is at work, or about to be: nothing waits, and what was taken is done with."""
        return not self._armed

    @property
    def load(self) -> float:
        """How full it is, from 0 to 1."""
        return self._pending / self._size

    def put(self, info: Info, data: object, may_wait: bool = True) -> bool:
        """Enter an event; false if it is closed. Any thread; waits only under `block`, at most `max_wait` seconds."""
        entry = Entry(info, data)
        room: Lock | None = None
        overflow = False
        with self._lock:
            if self._closed:
                return False
            if self._policy == "latest":
                self._replace(entry)
            if self._pending < self._size:
                self._append(entry)
            elif self._policy in ("drop_oldest", "latest"):
                self._lose_oldest()
                self._append(entry)
            elif self._policy == "block" and may_wait:
                room = Lock()
                room.acquire()
                self._waiting[room] = entry
            else:
                self._lose(entry, self._behind)
                overflow = self._policy == "disconnect"
            wake, self._armed = not self._armed, True
        if wake:
            self.start()
        if room is not None:
            self._wait(room)
        if overflow:
            self._overflow()
        return True

    def put_many(self, info: Info, values: Sequence[object]) -> None:
        """Enter events of one signal, in order, as `put` would one by one."""
        wake = False
        with self._lock:
            simple = (
                self._pending + len(values) <= self._size
                and self._policy != "latest"
                and not (self._closed or self._behind or self._waiting)
            )
            if simple:
                self._entries.extend([Entry(info, value) for value in values])  # type: ignore[union-attr]  # a deque
                self._pending += len(values)
                wake, self._armed = not self._armed, True
        if not simple:
            for value in values:
                self.put(info, value)
        elif wake:
            self.start()

    def put_gap(self, info: Info, gap: Gap) -> None:
        """Enter the news that events were lost on their way here."""
        with self._lock:
            if self._closed:
                return
            self._lose(Entry(info, None, gap), self._behind)
            self.missed += gap.missed or 0
            wake, self._armed = not self._armed, True
        if wake:
            self.start()

    def take(self) -> Entry | None:
        """The next entry for the consumer; `None` ends its round."""
        with self._lock:
            return self._take()

    def take_many(self, limit: int) -> list[Entry]:
        """The next entries for the consumer, at most `limit`; none ends its round."""
        found: list[Entry] = []
        with self._lock:
            while len(found) < limit and (not found or self._before or self._entries or self._behind):
                entry = self._take()
                if entry is None:
                    break
                found.append(entry)
        return found

    def start(self) -> None:
        """Start a consumer; one that has not come to the end of the queue may so go on in another turn."""
        try:
            self._wake()
        except BaseException:
            self.rest()
            raise

    def rest(self) -> None:
        """The consumer has ended before `take` answered `None`; the next event starts another."""
        with self._lock:
            self._armed = False

    def close(self) -> list[Entry]:
        """Refuse all that comes; returns the events that nobody will take any more."""
        with self._lock:
            self._closed = True
            queued = self._entries.values() if isinstance(self._entries, _Latest) else self._entries
            rest = [entry for entry in (*queued, *self._waiting.values()) if entry.gap is None]
            self._entries.clear()
            self._before.clear()
            self._behind.clear()
            self._pending = 0
            for room in self._waiting:
                room.release()
            self._waiting.clear()
            return rest

    def _wait(self, room: Lock) -> None:
        """Until a consumer has let the event in; if none does in time, the event is lost."""
        try:
            room.acquire(timeout=self._max_wait)
        finally:
            with self._lock:
                entry = self._waiting.pop(room, None)
                if entry is not None:
                    self._lose(entry, self._behind)

    # The lock is held

    def _take(self) -> Entry | None:
        if self._before:
            return _first(self._before)
        if not self._entries:
            if self._behind:
                return _first(self._behind)
            self._armed = False
            return None
        entry = self._entries.popleft()
        if entry.gap is None:
            self._pending -= 1
            self.received += 1
            if self._waiting:
                room = next(iter(self._waiting))
                self._append(self._waiting.pop(room))
                room.release()
        return entry

    def _append(self, entry: Entry) -> None:
        """Enter an event behind all that is queued, and behind what was lost meanwhile."""
        if self._behind:
            for gap in self._behind.values():
                self._entries.append(gap)
            self._behind.clear()
        self._entries.append(entry)
        self._pending += 1

    def _replace(self, entry: Entry) -> None:
        """`latest`: an older event of the same sender and event makes room; the new one stands last."""
        assert isinstance(self._entries, _Latest)
        old = self._entries.pop(_key(entry), None)
        if old is not None:
            self._pending -= 1
            self._lose(old, self._before)

    def _lose_oldest(self) -> None:
        while True:
            oldest = self._entries.popleft()
            self._lose(oldest, self._before)
            if oldest.gap is None:
                self._pending -= 1
                return

    def _lose(self, entry: Entry, gaps: dict[_Key, Entry]) -> None:
        """Count an event as missed, or keep a gap that has no place in the queue; one for each event and reason."""
        gap = entry.gap or Gap(1, "slow")
        if entry.gap is None:
            self.missed += 1
        lost = Entry(entry.info, None, gap)
        before = gaps.get(_key(lost))
        gaps[_key(lost)] = lost if before is None else _joined(before, lost)


def _key(entry: Entry) -> _Key:
    return entry.info.sender, entry.info.event, None if entry.gap is None else entry.gap.reason


def _first(gaps: dict[_Key, Entry]) -> Entry:
    return gaps.pop(next(iter(gaps)))


def _joined(first: Entry, second: Entry) -> Entry:
    """Two gaps of one event and reason as one."""
    assert first.gap is not None
    assert second.gap is not None
    missed, more = first.gap.missed, second.gap.missed
    return Entry(second.info, None, Gap(None if missed is None or more is None else missed + more, second.gap.reason))
