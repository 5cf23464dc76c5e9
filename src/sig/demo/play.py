"""The acts of the demo: two senders come, are asked, one is killed and comes back, both leave."""

from __future__ import annotations

import signal
import time
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import sig
from sig.cli.output import as_json
from sig.demo.children import Child, child
from sig.demo.tally import Tally

METRICS = "machine/metrics"
FILES = "machine/files"

# A child has to start an interpreter, on a machine that may be busy.
_START_S = 30.0
# However long that took, what comes next is to be seen for a while.
_SEEN_S = 1.0


class Missing(Exception):
    """Something that must happen did not; the sentence says what."""


class Play:
    """One run.

    Args:
        stack: what ends the child processes.
        listener: asks the requests.
        tally: hears of what happens.
        url: where the server listens.
        folder: what is watched.
        changes: whether something changes there for sure.
        seconds: how long it takes, where the machine is fast enough.
    """

    def __init__(
        self,
        stack: ExitStack,
        listener: sig.ClientRouter,
        tally: Tally,
        *,
        url: str,
        folder: Path,
        changes: bool,
        seconds: float,
    ) -> None:
        self._stack = stack
        self._listener = listener
        self._tally = tally
        self._url = url
        self._folder = str(folder)
        self._changes = changes
        self._seconds = seconds
        self._began = time.monotonic()

    def run(self) -> None:
        """All acts. Raises `Missing`."""
        sample = self._tally.next(METRICS, "sample")
        metrics = self._start("sig.demo.metrics")
        files = self._start_files()
        self._await(sample, "machine/metrics sample", metrics)
        self._ask(METRICS, "processes", {"count": 3})
        self._ask(METRICS, "disk_usage", {"path": "/"})
        self._watch_until(self._seconds / 2)

        self._end(FILES, files, signal.SIGKILL, "lost")
        files = self._start_files()
        self._ask(FILES, "list", None)
        self._watch_until(self._seconds)

        self._end(FILES, files, signal.SIGTERM, "closed")
        self._end(METRICS, metrics, signal.SIGTERM, "closed")

    def _start(self, module: str, *arguments: str) -> Child:
        self._tally.note("act", f"python -m {module} starts")
        return self._stack.enter_context(child(module, self._url, *arguments))

    def _start_files(self) -> Child:
        there = self._tally.next(FILES, sig.EVENT_CONNECT)
        changed = self._tally.next(FILES, "changed")
        process = self._start("sig.demo.files", self._folder)
        self._await(there, f"{FILES} {sig.EVENT_CONNECT}", process)
        if self._changes:
            self._await(changed, f"{FILES} changed", process)
        return process

    def _end(self, sender: str, process: Child, number: signal.Signals, reason: str) -> None:
        """End a process in one way or another, and hear of it."""
        gone = self._tally.next(sender, sig.EVENT_DISCONNECT)
        if process.poll() is not None:
            raise Missing(f"the process of {sender} has ended by itself, with code {process.returncode}")
        self._tally.note("act", f"the process of {sender} gets {number.name}")
        process.send_signal(number)
        told = self._await(gone, f"{sender} {sig.EVENT_DISCONNECT}")
        if not isinstance(told, dict) or told.get("reason") != reason:
            raise Missing(f"{sender} got {number.name}, and its {sig.EVENT_DISCONNECT} says {told!r}, not {reason!r}")

    def _await(self, news: Future[object], what: str, process: Child | None = None) -> object:
        """The data of what must come. Does not wait for a process that has ended."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return news.result(0.1)
            except TimeoutError:
                if process is not None and process.poll() is not None:
                    raise Missing(f"{what} did not come: its process ended with code {process.returncode}") from None
                if time.monotonic() > deadline:
                    raise Missing(f"{what} did not come within {_START_S:g} s") from None

    def _ask(self, sender: str, method: str, params: object) -> None:
        began = time.perf_counter()
        try:
            answer = self._listener.request(sender, method, params, timeout=_START_S)
        except sig.SigError as error:
            raise Missing(f"request {method!r} of {sender}: {error}") from error
        took_ms = (time.perf_counter() - began) * 1000
        self._tally.note("answer", f"{sender} answered {method!r} in {took_ms:.1f} ms: {as_json(answer)}")

    def _watch_until(self, moment: float) -> None:
        time.sleep(max(_SEEN_S, self._began + moment - time.monotonic()))
