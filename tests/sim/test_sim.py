"""Whole worlds in virtual time: whatever links, processes and the server suffer, what is promised is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sim.scene import Scene, counted
from sim.seeds import FOUND, Found

ROOT = Path(__file__).parents[2]
# Seeds of one test: so many take about a second.
SHARE = 10
SEEDS = 50
LENGTH_S = 30


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_what_is_promised_is_kept(first: int) -> None:
    tally: Counter[str] = Counter()
    for seed in range(first, first + SHARE):
        scene = Scene(seed, LENGTH_S)
        try:
            scene.play()
        except Exception as failure:
            failure.add_note(f"python -m sim.run --from {seed} --seeds 1 --seconds {LENGTH_S}")
            raise
        tally += counted(scene)
    # It is no promise that much happens, but nothing would be shown if it did not.
    assert all(tally[name] for name in ("events triggered", "events heard", "gaps told", "requests", "faults"))


@pytest.mark.parametrize("found", FOUND, ids=lambda found: str(found.seed))
def test_what_was_found_is_mended(found: Found) -> None:
    Scene(found.seed, found.length_s).play()


def test_the_same_seed_gives_the_same_history() -> None:
    """In another process, too, where texts have other hashes."""
    here = [Scene(seed, LENGTH_S).play() for seed in (1, 2)]
    program = f"from sim.scene import Scene; print([Scene(seed, {LENGTH_S}).play() for seed in (1, 2)])"
    for hashes in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join(sys.path)}
        told = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT
        )
        assert told.stdout.strip() == str(here), told.stderr


def test_another_seed_gives_another() -> None:
    assert Scene(1, LENGTH_S).play() != Scene(2, LENGTH_S).play()
