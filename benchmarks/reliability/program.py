"""One of our programs in a process of its own, which tells what it knows a line at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self


class Program:
    """`python -m benchmarks.reliability.MODULE WORDS...`; killed at the end of `with`."""

    def __init__(self, module: str, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.reliability.{module}", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """What it tells next; it is up to its own time limits to tell something."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} has ended: see above")  # type: ignore[arg-type]
        return line

    def told(self) -> dict[str, Any]:
        return json.loads(self.line())  # type: ignore[no-any-return]

    def ask(self) -> dict[str, Any]:
        """Give it a line, and have its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.told()

    def kill(self) -> None:
        """Kill it, and wait until it has gone. May be called again."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
