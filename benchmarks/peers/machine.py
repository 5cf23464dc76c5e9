"""Where and with what the figures were taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.peers.contestants import Contestant, find_program


def describe(contestants: Sequence[Contestant]) -> dict[str, Any]:
    """What a reader of the figures must know."""
    packages = {"msgspec", "psutil", *(name for contestant in contestants for name in contestant.modules)}
    programs = {program for contestant in contestants for program in contestant.programs.values()}
    return {
        **machine.describe(sorted(packages)),
        "memory_bytes": psutil.virtual_memory().total,
        "programs": {
            name: machine.output(found, "--version") for name in sorted(programs) if (found := find_program(name))
        },
    }
