"""A listener's own queue: bounded, serial, with a policy for when it is full and a count of what it lost.

Whoever triggers puts; whoever the listener belongs to (a loop, an executor, a GUI) takes, one consumer at a time.
What was lost is told in the place where it would have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from .constants import Limits
from .errors import InvalidArgument
from .info import Gap, Info

POLICIES = ("drop_oldest", "drop_newest", "latest", "block", "disconnect")


class Entry(NamedTuple):
    """What a consumer takes: an event, or a gap where events are missing."""

    info: Info
    data: object
    gap: Gap | None = None


class Mailbox:
    """One listener's queue.

    `wake()` is called, on the thread that puts, when a consumer should start; it takes until `take` answers `None`
    and is then forgotten. `overflow()` is called when the queue is full and the policy is `disconnect`.
    """

    __slots__ = (
        "_armed",
        "_closed",
        "_entries",
        "_gaps",
        "_lock",
        "_max_wait",
        "_overflow",
        "_pending",
        "_policy",
        "_size",
        "_waiters",
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
        self._wake = wake
        self._size = Limits().listener_queue_events if size is None else size
        self._policy = policy
        self._max_wait = max_wait
        self._overflow = overflow
        self._lock = Lock()  # guards all below; never held while anything of others is called
        self._entries: deque[Entry] = deque()
        # Lost where the queue has no entry to stand for it: before the oldest (`drop_oldest`), after the newest (else).
        self._gaps: dict[tuple[str, str, str], Entry] = {}
        self._pending = 0
        self._waiters: deque[Lock] = deque()
        self._armed = False
        self._closed = False
        self.missed = 0
        self.received = 0

    def __len__(self) -> int:
        """Events that wait."""
        return self._pending

    def put(self, info: Info, data: object) -> None:
        """Enter an event. Any thread; waits only under the policy `block`, and at most `max_wait` seconds."""
        entry = Entry(info, data)
        room = self._enter(entry, may_wait=self._policy == "block")
        if room is not None:
            if not room.acquire(timeout=self._max_wait):
                with self._lock:
                    if room in self._waiters:
                        self._waiters.remove(room)  # else it would take the room meant for another
            self._enter(entry, may_wait=False)

    def put_gap(self, info: Info, gap: Gap) -> None:
        """Enter the news that events were lost on their way here."""
        with self._lock:
            if self._closed:
                return
            if self._policy != "drop_oldest":
                self._settle_gaps()
            self._entries.append(Entry(info, None, gap))
            self.missed += gap.missed or 0
            wake, self._armed = not self._armed, True
        if wake:
            self._wake()

    def take(self) -> Entry | None:
        """The next entry for the consumer; `None` ends its round."""
        with self._lock:
            if self._policy == "drop_oldest" and self._gaps:
                return self._gaps.pop(next(iter(self._gaps)))
            if not self._entries:
                self._settle_gaps()
            if not self._entries:
                self._armed = False
                return None
            entry = self._entries.popleft()
            if entry.gap is None:
                self._pending -= 1
                self.received += 1
                if self._waiters:
                    self._waiters.popleft().release()
            return entry

    def close(self) -> list[Entry]:
        """Refuse all that comes; returns the events that nobody will take any more."""
        with self._lock:
            self._closed = True
            rest = [entry for entry in self._entries if entry.gap is None]
            self._entries.clear()
            self._gaps.clear()
            self._pending = 0
            for waiter in self._waiters:
                waiter.release()
            self._waiters.clear()
            return rest

    def _enter(self, entry: Entry, *, may_wait: bool) -> Lock | None:
        """Put, or lose by policy; a held lock is returned where one should wait for room and come again."""
        overflow = False
        with self._lock:
            if self._closed:
                return None
            if self._policy == "latest":
                self._replace(entry)
            if self._pending < self._size:
                if self._policy != "drop_oldest":
                    self._settle_gaps()
                self._entries.append(entry)
                self._pending += 1
            elif self._policy in ("drop_oldest", "latest"):
                self._lose_oldest()
                self._entries.append(entry)
            elif may_wait:
                room = Lock()
                room.acquire()
                self._waiters.append(room)
                return room
            else:
                self._lose(entry)
                overflow = self._policy == "disconnect"
            wake, self._armed = not self._armed, True
        if wake:
            self._wake()
        if overflow:
            self._overflow()
        return None

    def _replace(self, entry: Entry) -> None:
        """`latest`: an older event of the same sender and event makes room; the new one stands last."""
        for position, old in enumerate(self._entries):
            if old.gap is None and old.info.sender == entry.info.sender and old.info.event == entry.info.event:
                del self._entries[position]
                self._pending -= 1
                self._lose(old)
                return

    def _lose_oldest(self) -> None:
        while True:
            oldest = self._entries.popleft()
            self._lose(oldest)
            if oldest.gap is None:
                return

    def _lose(self, entry: Entry) -> None:
        """Count an event as missed, or keep a gap that had to leave its place."""
        gap = entry.gap or Gap(1, "slow")
        if entry.gap is None:
            self.missed += 1
        key = (entry.info.sender, entry.info.event, gap.reason)
        before = self._gaps.get(key)
        if before is not None:
            assert before.gap is not None  # only gaps stand there
            known = gap.missed is not None and before.gap.missed is not None
            gap = Gap((gap.missed or 0) + (before.gap.missed or 0) if known else None, gap.reason)
        self._gaps[key] = Entry(entry.info, None, gap)

    def _settle_gaps(self) -> None:
        """Give the lost their place behind all that is queued."""
        self._entries.extend(self._gaps.values())
        self._gaps.clear()
