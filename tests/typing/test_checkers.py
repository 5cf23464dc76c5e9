"""Type checkers see the types of contracts: no errors but those that are announced, and all of these."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent
ANNOUNCED = re.compile(r"# wrong: ([\w-]+)")


def announced(sample: Path) -> dict[int, str]:
    lines = sample.read_text(encoding="utf-8").splitlines()
    return {number: found[1] for number, line in enumerate(lines, 1) if (found := ANNOUNCED.search(line))}


def checked(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_mypy_sees_what_is_right_and_what_is_wrong() -> None:
    pytest.importorskip("mypy")
    sample = SAMPLES / "contracts.py"
    output = checked("mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty", str(sample))
    found = {int(line): code for line, code in re.findall(r"contracts\.py:(\d+): error: .*\[([\w-]+)\]$", output, re.M)}
    assert found == announced(sample), output


def test_pyright_finds_the_same_lines() -> None:
    pytest.importorskip("basedpyright")
    sample = SAMPLES / "contracts.py"
    output = checked("basedpyright", "--level", "error", str(sample))
    found = {int(line) for line in re.findall(r"contracts\.py:(\d+):\d+ - error", output)}
    assert found == set(announced(sample)), output
