"""What is done again and again, beside what else goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(period_s: float, action: Callable[[], object]) -> Iterator[None]:
    """While the block runs, a thread calls `action` at once and then after each period; not after the block."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            action()
            ended.wait(period_s)

    thread = threading.Thread(target=repeat, name="demo-repeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
