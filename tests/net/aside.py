"""Doing something on another thread while the test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(function: Callable[[], T]) -> Future[T]:
    """Begin at once; `result(timeout)` waits, and raises what it raised."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="aside").start()
    return future
