"""What has been heard."""

from __future__ import annotations

import threading

import sig

LIMIT_S = 30.0


class Book:
    """All that has been heard, in order, gaps too; it can be waited for."""

    def __init__(self) -> None:
        self.story: list[object] = []
        self._changed = threading.Condition()

    def hear(self, info: sig.Info, data: object) -> None:
        self.add(info.event if info.event.startswith("#") else data)

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        self.add(gap)

    def add(self, what: object) -> None:
        with self._changed:
            self.story.append(what)
            self._changed.notify_all()

    def wait(self, what: object) -> list[object]:
        """All up to here, once this is in it."""
        with self._changed:
            assert self.comes(what, LIMIT_S), f"{what} has not come: {self.story}"
            return list(self.story)

    def comes(self, what: object, seconds: float) -> bool:
        """Whether it does, within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: what in self.story, seconds)
