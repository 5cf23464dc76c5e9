"""Listeners and executors for tests of what stands before a listener."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import sig


class Heard(list[Any]):
    """A listener that notes the data, and can be waited for."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)

    def __call__(self, info: sig.Info, data: object) -> None:
        self.append(data)
        self.arrived.release()

    def wait(self, count: int = 1) -> Heard:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)
        return self


class Desk:
    """An executor whose work is done when the test says so."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def __call__(self, function: Callable[[], object]) -> None:
        self.work.append(function)

    def run(self) -> None:
        while self.work:
            self.work.pop(0)()


class Thing:
    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    def hear(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)

    async def hear_later(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)


def nothing(info: object, data: object) -> None: ...


async def nothing_later(info: object, data: object) -> None: ...
