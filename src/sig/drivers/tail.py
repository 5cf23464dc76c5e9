"""The last events of a burst: nobody triggers after them, so a thread sends them a moment later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

# Asleep for less, the thread would wake at each event of a steady stream. What a burst ends with comes so much later.
_TAIL_S: Final = 200e-6
# Past the gate whoever triggers next sends all by himself, and should be given the time to.
_GRACE_S: Final = 100e-6


class Tail:
    """Whether events may be gathered, and who sends those that are left.

    `gate` is the time on the monotonic clock up to which events are gathered; 0 when none are. Whoever gathers one
    arms the tail, if it is not armed: then `flush` is called soon, on a thread of its own, which is started with the
    first that need it.
    """

    __slots__ = ("_closed", "_flush", "_lock", "_thread", "_work", "armed", "gate")

    def __init__(self, flush: Callable[[], object]) -> None:
        self.gate: float = 0.0
        self.armed: bool = False
        self._flush = flush
        self._closed = False
        self._lock = threading.Lock()  # guards `armed` becoming true, and the making of the thread
        self._work = threading.Lock()  # held while there is nothing to do
        self._work.acquire()
        self._thread: threading.Thread | None = None

    def arm(self) -> None:
        """Have `flush` called soon."""
        with self._lock:
            if self.armed or self._closed:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="sig-tail", daemon=True)
                thread.start()
                self._thread = thread  # not before: the system may have none to give
            self.armed = True
            self._work.release()

    def close(self) -> None:
        """Gather no more, and end the thread. What is left is for whoever closes."""
        with self._lock:
            self.gate = 0.0
            if not self._closed:
                self._closed = True
                if not self.armed:
                    self._work.release()

    def join(self, timeout: float) -> None:
        """Wait until the thread has ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while not self._closed:
            self._work.acquire()
            if not self._closed:
                time.sleep(_TAIL_S)
            while (left := self.gate - time.monotonic()) > 0 and not self._closed:
                time.sleep(left + _GRACE_S)  # somebody has sent meanwhile, or is about to
            self.armed = False  # first: what is gathered from here on arms anew
            self._flush()
