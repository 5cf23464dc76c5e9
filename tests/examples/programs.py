"""Running the examples as a reader would: each as a program of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TIMEOUT_S = 30


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1", **more}


def run(program: str, *arguments: str, **more: str) -> str:
    """What it prints; fails unless it ends well, with nothing on standard error."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{program} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


class Program:
    """One that runs beside others."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> str:
        """What it still prints, once it has ended well."""
        output, errors = self.process.communicate(timeout=TIMEOUT_S)
        assert (self.process.returncode, errors) == (0, "")
        return output


@contextmanager
def running(program: str, *arguments: str) -> Iterator[Program]:
    # What we ignore, as those do who run behind a shell, our children would ignore too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, EXAMPLES / program, *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        signal.signal(signal.SIGINT, before)
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                process.kill()


def recorded(program: str) -> str:
    return (EXAMPLES / "output" / program).with_suffix(".txt").read_text(encoding="utf-8")


def without_places(output: str) -> str:
    """Without what depends on where we are and on the lines of our sources."""
    return re.sub(r"at \S*/examples/", "at examples/", re.sub(r"(?m)^(\[\w+\])\[\d+\]", r"\1[line]", output))
