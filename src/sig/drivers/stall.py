"""Watching whether the other end takes anything at all while bytes wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Stall:
    """One transport's watch. On the loop's thread.

    Args:
        seconds: how long it may take nothing.
        waiting: how many bytes wait for it.
        stalled: called once it has taken nothing for so long.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        waiting: Callable[[], int],
        stalled: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._waiting = waiting
        self._stalled = stalled
        self._before = 0  # at the last look
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Bytes wait from here on."""
        self._before = self._waiting()
        self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """They do not any more. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._waiting() < self._before:
            self.start()
        else:
            self._stalled()
