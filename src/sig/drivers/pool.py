"""A small pool of daemon threads: work that must not hold up the interpreter's exit, as `concurrent.futures` does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final

from sig.errors import Closed
from sig.log import logger

# So long a thread that is at work may take before another one is had for what waits behind it: most work is over by
# then, and threads that run by turns for it cost more than they gain.
_MOMENT_S: Final = 200e-6


class _Worker:
    """One thread of a pool: asleep, called, or at work."""

    __slots__ = ("begun", "thread", "wake")

    def __init__(self) -> None:
        self.thread: threading.Thread
        self.wake = threading.Lock()  # held while nobody calls: nothing is cheaper to wait for
        self.wake.acquire()
        self.begun = 0.0  # when it began what it is at; long ago while it is at nothing


class Pool:
    """At most `size` daemon threads, started when needed; one that has been idle for a while ends.

    Work begins at once where no thread has begun any within the last moment; else when such a thread is done with that,
    or a moment later.
    """

    IDLE_S = 10.0

    def __init__(self, size: int, name: str) -> None:
        self._size = size  # and one more for each work that was submitted as `beyond`, until it is done
        self._name = name
        self._lock = threading.Lock()  # guards all below
        self._work: deque[Callable[[], object]] = deque()
        self._workers: dict[threading.Thread, _Worker] = {}
        self._asleep: list[_Worker] = []  # the last to fall asleep is called first
        self._called: _Worker | None = None  # one at a time; it calls the next when it takes something
        self._dozing = False  # the one that was called waits whether others do the work meanwhile
        self._closed = False

    def submit(self, function: Callable[[], object], beyond: bool = False) -> None:
        """Run `function` on a thread of the pool. Never blocks.

        `beyond` is for what the threads of the pool may be waiting for: there will be one more for it.

        Raises `Closed` after `close`, and `RuntimeError` when the system gives us no thread at all.
        """
        with self._lock:
            if self._closed:
                raise Closed(f"the worker threads of {self._name} have ended")
            if beyond:
                self._size += 1
                function = partial(self._beyond, function)
            self._work.append(function)
            try:
                self._call()
            except RuntimeError:
                self._work.remove(function)
                self._size -= beyond
                raise

    def close(self, timeout: float) -> None:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log."""
        with self._lock:
            self._closed = True
            self._work.clear()
            for worker in self._asleep:
                worker.wake.release()
            self._asleep.clear()
            self._rouse()
            threads = [thread for thread in self._workers if thread is not threading.current_thread()]
        deadline = monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                logger.warning(f"a worker of {self._name} is still busy after {timeout:g} s; it is left to itself")

    def _beyond(self, function: Callable[[], object]) -> None:
        try:
            function()
        finally:
            with self._lock:
                self._size -= 1

    def _call(self) -> None:
        """Have one more thread come for what waits. The lock is held; raises `RuntimeError` if there is none at all."""
        if self._called is not None:
            if self._dozing and self._moment() <= 0:
                self._rouse()
        elif self._asleep:
            self._called = self._asleep.pop()
            self._called.wake.release()
        elif len(self._workers) < self._size:
            worker = _Worker()
            worker.thread = threading.Thread(target=self._run, args=(worker,), name=self._name, daemon=True)
            try:
                worker.thread.start()
            except RuntimeError:
                if self._workers:
                    return  # those will come to it
                raise
            self._workers[worker.thread] = self._called = worker  # it looks for work as soon as we leave the lock

    def _rouse(self) -> None:
        if self._called is not None and self._dozing:
            self._dozing = False
            self._called.wake.release()

    def _moment(self) -> float:
        """How long it is until all who are at work have been for a moment. The lock is held."""
        return max(worker.begun for worker in self._workers.values()) + _MOMENT_S - monotonic()

    def _run(self, me: _Worker) -> None:
        while (function := self._next(me)) is not None:
            try:
                function()
            except Exception:
                logger.exception(f"work in {self._name} failed")
            except BaseException:  # SystemExit: of this thread, not of those who wait for one
                with self._lock:
                    del self._workers[me.thread]
                    if self._work:
                        self._call()
                raise

    def _next(self, me: _Worker) -> Callable[[], object] | None:
        me.begun = 0.0
        while True:
            with self._lock:
                if self._work:
                    moment = self._moment() if self._called is me else 0.0
                    if moment <= 0:
                        return self._take(me)
                    self._dozing = True
                else:
                    if self._called is me:
                        self._called = None
                    if self._closed:
                        del self._workers[me.thread]
                        return None
                    moment = self.IDLE_S
                    self._asleep.append(me)
            if not me.wake.acquire(timeout=moment) and self._overslept(me):
                return None

    def _take(self, me: _Worker) -> Callable[[], object]:
        """The oldest work. The lock is held."""
        function = self._work.popleft()
        me.begun = monotonic()
        if self._called is me:
            self._called = None
        if self._work:
            self._call()
        return function

    def _overslept(self, me: _Worker) -> bool:
        """Nobody has called: whether that was all the time that a thread waits for work."""
        with self._lock:
            if me in self._asleep:
                self._asleep.remove(me)
                del self._workers[me.thread]
                return True
            if self._called is me and self._dozing:
                self._dozing = False
                return False
        me.wake.acquire()  # called in that very moment, or closed
        return False
