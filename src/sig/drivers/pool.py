"""A small pool of daemon threads: work that must not hold up the interpreter's exit, as `concurrent.futures` does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from sig.errors import Closed
from sig.log import logger


class Pool:
    """At most `size` daemon threads, started when needed; one that has been idle for a while ends."""

    IDLE_S = 10.0

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._changed = threading.Condition()  # guards all below
        self._work: deque[Callable[[], object]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[[], object]) -> None:
        """Run `function` on a thread of the pool. Never blocks.

        Raises `Closed` after `close`, and `RuntimeError` when the system gives us no thread at all.
        """
        with self._changed:
            if self._closed:
                raise Closed(f"the worker threads of {self._name} have ended")
            self._work.append(function)
            if self._idle >= len(self._work) or len(self._threads) >= self._size:
                self._changed.notify()
                return
            try:
                self._start()
            except RuntimeError:
                if not self._threads:
                    self._work.remove(function)
                    raise

    def close(self, timeout: float) -> None:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log."""
        with self._changed:
            self._closed = True
            self._work.clear()
            self._changed.notify_all()
            threads = [t for t in self._threads if t is not threading.current_thread()]
        deadline = monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                logger.warning(f"a worker of {self._name} is still busy after {timeout:g} s; it is left to itself")

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        thread.start()
        self._threads.append(thread)  # it looks for work as soon as we leave the lock

    def _run(self) -> None:
        while (function := self._next()) is not None:
            try:
                function()
            except Exception:
                logger.exception(f"work in {self._name} failed")
            except BaseException:  # SystemExit: of this thread, not of those who wait for one
                with self._changed:
                    self._threads.remove(threading.current_thread())
                    if self._work:
                        self._start()
                raise

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._work:
                    if self._closed or not self._wait():
                        self._threads.remove(threading.current_thread())
                        return None
                return self._work.popleft()
            finally:
                self._idle -= 1

    def _wait(self) -> bool:
        """For work; false after a long while without. Work may come in the very moment in which that is over."""
        return self._changed.wait(self.IDLE_S) or bool(self._work)
