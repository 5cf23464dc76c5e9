"""A thread that is there when something is due, for drivers whose other threads wait for something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic


class Deadlines:
    """Calls `fire` when the time last given to `watch` has come. The thread is started when it is first needed."""

    def __init__(self, fire: Callable[[], object]) -> None:
        self._fire = fire
        self._changed = threading.Condition(threading.Lock())  # guards what follows
        self._due: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def watch(self, due: float) -> None:
        """Be there at `due`, on the monotonic clock, or sooner if asked before. Cheap where it is not sooner."""
        known = self._due
        if known is not None and known <= due:
            return
        with self._changed:
            if self._closed or (self._due is not None and self._due <= due):
                return
            self._due = due
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sig-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed:
                    wait = None if self._due is None else self._due - monotonic()
                    if wait is not None and wait <= 0:
                        break
                    self._changed.wait(wait)
                if self._closed:
                    return
                self._due = None
            self._fire()
