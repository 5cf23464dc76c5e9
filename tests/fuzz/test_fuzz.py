"""Every target, with what was ever found, its seeds and a few mutations: always the same ones."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.engines import FINDINGS, Broken, mutate
from fuzz.targets import TARGETS, Target, mutated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_keeps_its_promise(name: str) -> None:
    outcome = mutate(name, 30.0, 0, runs=150)
    assert (outcome.runs, outcome.finding) == (150, None)


def test_what_was_found_is_of_a_target() -> None:
    assert {path.name for path in FINDINGS.glob("*")} <= set(TARGETS)


def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(data: bytes) -> None:
        assert b"\x07" not in data

    monkeypatch.setitem(TARGETS, "planted", Target(run, [b"\0\1\2\3\4\5\6"]))
    with pytest.raises(Broken) as caught:
        mutate("planted", 30.0, 1)
    assert b"\x07" in caught.value.data
    assert "planted" in str(caught.value)


def test_the_same_seed_makes_the_same_inputs() -> None:
    one, other = ([mutated(random.Random(5), [b"abc", b"defgh"]) for _ in range(3)] for _ in range(2))
    assert one == other


def test_the_command() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "frames",
        "guard",
        "--runs",
        "20",
        "--engine",
        "mutation",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(each["target"], each["runs"]) for each in told["outcomes"]] == [("frames", 20), ("guard", 20)]
    wrong = subprocess.run([*command[:3], "frame"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    assert "choose among frames," in wrong.stderr
