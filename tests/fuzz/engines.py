"""What makes up inputs: atheris, which follows where they lead in the code, or plain mutation by a seed."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fuzz.targets import TARGETS, mutated

FINDINGS = Path(__file__).parent / "findings"
# No input may take longer: it would take the server away from everybody.
SLOW_S = 5.0


class Outcome(NamedTuple):
    """What became of one target."""

    target: str
    engine: str
    runs: int
    seconds: float
    finding: str | None
    """Where the input is that broke the promise; `None` if none did."""


def mutate(
    name: str, seconds: float, seed: int, say: Callable[[str], None] = lambda text: None, runs: int | None = None
) -> Outcome:
    """Try what was found before, the seeds, and then mutations of them: for so long, or so often."""
    target, chance = TARGETS[name], random.Random(f"{name} {seed}")
    begun = told = time.monotonic()
    first = [*(path.read_bytes() for path in sorted((FINDINGS / name).glob("*"))), *target.seeds]
    done = 0
    while True:
        data = first[done] if done < len(first) else mutated(chance, target.seeds)
        before = time.monotonic()
        try:
            target.run(data)
            assert time.monotonic() - before < SLOW_S, f"{time.monotonic() - before:.1f} s for {len(data)} bytes"
        except Exception as error:
            raise Broken(name, data) from error
        done += 1
        now = time.monotonic()
        if now - begun > seconds or done == runs:
            return Outcome(name, "mutation", done, now - begun, None)
        if now - told > 1:
            told = now
            say(f"{name}: {done:,} inputs, {done / (now - begun):,.0f} a second")


class Broken(AssertionError):
    """An input that breaks a promise; keep it as a file below `findings`, and it is tried first from then on."""

    def __init__(self, target: str, data: bytes) -> None:
        super().__init__(f"{target} breaks its promise with {data!r}")
        self.target = target
        self.data = data


def has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def guided(name: str, seconds: float, seed: int, corpus: Path) -> Outcome:
    """Let atheris search, in a process of its own: it does not return."""
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds):
        (folder / f"seed-{number}").write_bytes(data)
    (FINDINGS / name).mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fuzz.child", name, str(folder), str(FINDINGS / name)),
            *(
                f"-max_total_time={max(1, round(seconds))}",
                f"-seed={seed or 1}",
                "-max_len=4096",
                "-print_final_stats=1",
            ),
            *(f"-timeout={SLOW_S:.0f}", f"-artifact_prefix={FINDINGS / name}/"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=Path(__file__).parents[1],
    )
    lines = done.stderr.splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith("stat::number_of_executed_units")]
    finding = next((line.rpartition(" ")[2] for line in lines if "Test unit written to" in line), None)
    if done.returncode and finding is None:
        raise RuntimeError(f"atheris ended with {done.returncode}:\n{done.stderr[-3000:]}")
    for folder in (FINDINGS / name, FINDINGS):
        if not any(folder.iterdir()):
            folder.rmdir()
    return Outcome(name, "atheris", int(counts[0]) if counts else 0, time.monotonic() - begun, finding)
