"""Where and with what the figures were taken."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine, versions
from benchmarks.peers.contestants import Contestant, find_program

PROGRAM_S = 10


def describe(contestants: Sequence[Contestant]) -> dict[str, Any]:
    """What a reader of the figures must know."""
    packages = {"msgspec", "psutil", *(name for contestant in contestants for name in contestant.modules)}
    programs = {program for contestant in contestants for program in contestant.programs.values()}
    return {
        "taken": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join(sys.orig_argv),
        **machine(),
        "platform": platform.platform(),
        "processor": _processor(),
        "memory_bytes": psutil.virtual_memory().total,
        "sig": _sig(),
        "versions": versions(sorted(packages)),
        "programs": {name: _output(found, "--version") for name in sorted(programs) if (found := find_program(name))},
    }


def _sig() -> str:
    import sig

    commit = _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return f"{sig.__version__} {commit}".strip()


def _processor() -> str:
    """The model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_S).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
