"""What is told of a sender is told in order: its `#connect`, what it triggers meanwhile, its `#disconnect`.

As long as listeners of its presence are being called, whatever else there is to tell of that sender waits behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import RLock


class Round(deque[Callable[[], object]]):
    """What is to be told of one sender."""

    running = False


class Rounds:
    """Those of one router: whoever comes first tells for all, the others leave with him what they have."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock  # the router's: guards what follows
        self._of: dict[str, Round] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, sender: str) -> Round | None:
        """What is being told of it, for more to be put behind; `None` where nothing is. The lock is held."""
        return self._of.get(sender)

    def add(self, sender: str, tells: Iterable[Callable[[], object]]) -> None:
        """Put these behind what is there, for the next `run`. The lock is held."""
        self._of.setdefault(sender, Round()).extend(tells)

    def run(self, sender: str) -> None:
        """Tell what there is of a sender, in order, unless somebody else is at it. The lock is not held."""
        with self._lock:
            waiting = self._of.get(sender)
            if waiting is None or waiting.running:
                return
            waiting.running = True
        try:
            while (tell := self._next(sender, waiting)) is not None:
                tell()
        finally:  # after a KeyboardInterrupt the rest is told by whoever comes next
            waiting.running = False

    def _next(self, sender: str, waiting: Round) -> Callable[[], object] | None:
        with self._lock:
            if waiting:
                return waiting.popleft()
            del self._of[sender]
            return None
