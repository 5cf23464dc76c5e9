"""How fast a listener takes what its server keeps for it: what it has begun is told there, and makes room for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import RLock


class Pace:
    """Counts the events that one listener is given over a link, alone or as a member of a group.

    The server lets it have `window` events that it has not begun. `grant(events)` is called when more have been, on
    any thread: for half a window at once, or for all that are here. Both ends count in the order in which the events
    were given: a gap is done with when all that came before it has been begun.
    """

    __slots__ = ("_arrived", "_closed", "_done", "_gaps", "_grant", "_granted", "_lock", "_resting", "begun", "window")

    def __init__(self, window: int, grant: Callable[[int], object]) -> None:
        self.window: int = window
        self.begun: int = 0
        """Events given to the callback."""
        self._grant = grant
        # Guards what follows. An RLock: the garbage collector may close somebody while it is held.
        self._lock = RLock()
        self._arrived = 0
        self._done = 0  # begun, or missed
        self._gaps: deque[tuple[int, int]] = deque()  # what had arrived before each, and how many are missing
        self._granted = 0
        self._resting = False
        self._closed = False

    def come(self, events: int) -> None:
        """So many have arrived."""
        with self._lock:
            self._arrived += events

    def miss(self, events: int) -> None:
        """So many have arrived as the news that they are missing."""
        with self._lock:
            self._gaps.append((self._arrived, events))
            self._arrived += events
            due = self._due()
        if due:
            self._grant(due)

    def begin(self) -> bool:
        """An event is about to be given to the callback; false if it must not be any more: it is another's."""
        with self._lock:
            if self._closed:
                return False
            self.begun += 1
            self._done += 1
            due = self._due()
        if due:
            self._grant(due)
        return True

    def rest(self) -> None:
        """Ask for no more: what is here can still be begun."""
        with self._lock:
            self._resting = True

    def close(self) -> int:
        """Nothing begins any more. Returns how many events have been begun, or are known to be missing."""
        with self._lock:
            self._closed = True
            return self._done

    def _due(self) -> int:
        """What is to be granted now. The lock is held."""
        while self._gaps and self._gaps[0][0] <= self._done:
            self._done += self._gaps.popleft()[1]
        due = self._done - self._granted
        if self._closed or self._resting or (due * 2 < self.window and self._done < self._arrived):
            return 0
        self._granted = self._done
        return due
