"""On what something was measured: without it no figure means anything."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROGRAM_S = 10


def machine() -> dict[str, object]:
    """Python, the system, processors, and how busy they were before we began."""
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": load(),
    }


def describe(distributions: Iterable[str] = ("msgspec",)) -> dict[str, Any]:
    """All that a reader of the figures must know."""
    return {
        "taken": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": command(),
        **machine(),
        "platform": platform.platform(),
        "processor": _processor(),
        "sig": _sig(),
        "versions": versions(distributions),
    }


def headline(about: dict[str, Any]) -> str:
    """The same in a line."""
    return (
        f"sig {about['sig']}, {about['implementation']} {about['python']}, {about['cpus']} x {about['processor']}, "
        f"load {about['load']} before and {load()} after"
    )


def command() -> str:
    """How this was started: with the module's name, not this machine's path to Python."""
    line = sys.orig_argv[1:]
    return shlex.join(["python", *line]) if line[:1] == ["-m"] else shlex.join(["python", *sys.argv])


def load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The version of each distribution; `None` for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def output(*line: str) -> str:
    """What a program prints; nothing if it is not there, or takes too long."""
    try:
        return subprocess.run(line, capture_output=True, text=True, timeout=PROGRAM_S).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _sig() -> str:
    import sig

    commit = output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return f"{sig.__version__} {commit}".strip()


def _processor() -> str:
    """The model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
