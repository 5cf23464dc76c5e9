"""Child processes, seen from the suite: started, told what to do, always stopped."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

# Enough for a child to close by itself.
STOP_S = 2.0
# What is shown of what a child that failed has said last.
LAST_WORDS = 600

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    """For processes that import the suite, and the `sig` beside it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


class Trouble(Exception):
    """A run has failed; the sentence says at what."""


class Child:
    """One role of one contestant in a process group of its own; see `child.py` for what it is told.

    The constructor does not wait: `answer` gives the first answer, which is the role's `hello`.
    """

    def __init__(self, module: str, role: str, arguments: dict[str, Any], limit: float, log: Path) -> None:
        self._name = f"the {role.lower()} of {module.rpartition('.')[2]}"
        self._limit = limit
        self._log = log
        self._doing = "start"
        self._read = b""
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.peers.child", module, role, json.dumps(arguments), str(limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=environment(),
                start_new_session=True,
            )
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, verb: str, **arguments: Any) -> None:
        """Tell it to do something; `answer` waits for the result."""
        self._doing = verb
        order = {"do": verb, "with": arguments, "limit": self._limit}
        try:
            self._orders.write(json.dumps(order).encode() + b"\n")
            self._orders.flush()
        except OSError:
            raise Trouble(f"{self._name} has ended{self._last_words()}") from None

    def answered(self, within: float = 0) -> bool:
        """Whether there is an answer, now or `within` seconds."""
        deadline = monotonic() + within
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._read:
                if not selector.select(max(0.0, deadline - monotonic())):
                    return False
                data = os.read(self._answers.fileno(), 65536)
                if not data:
                    self._process.wait(STOP_S)
                    raise Trouble(f"{self._name} ended while told to {self._doing!r}{self._last_words()}")
                self._read += data
        return True

    def answer(self) -> Any:
        """What came of it; raises `Trouble` with what went wrong, or when that takes too long."""
        if not self.answered(self._limit):
            raise Trouble(
                f"{self._name}, told to {self._doing!r}, took more than {self._limit:g} s{self._last_words()}"
            )
        line, _, self._read = self._read.partition(b"\n")
        told = json.loads(line)
        if "error" in told:
            raise Trouble(f"{self._name}, told to {self._doing!r}: {told['error']}")
        return told["result"]

    def ask(self, verb: str, **arguments: Any) -> Any:
        """`begin` and `answer`."""
        self.begin(verb, **arguments)
        return self.answer()

    def leave(self) -> None:
        """Tell it to end, and go on."""
        with contextlib.suppress(OSError):
            self._orders.close()

    def stop(self) -> None:
        """End it and whatever it has started. Idempotent."""
        self.leave()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        # Also after a child that has ended by itself: it may have left a server behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()

    def _last_words(self) -> str:
        words = self._log.read_text(errors="replace").strip()
        return f"; its last words:\n{words[-LAST_WORDS:]}" if words else ""
