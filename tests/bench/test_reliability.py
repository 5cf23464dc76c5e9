"""The benchmark of what a server keeps to: tiny runs of the real command keep the books, and tell every figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the tables need rich")
pytest.importorskip("psutil", reason="the memory of a process needs psutil")

import sig
from benchmarks.reliability import servers
from benchmarks.reliability.kills import check

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.reliability", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.timeout(320)
def test_a_little_of_each() -> None:
    done = bench("--quick", "--json", "-", "--seed", "3")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["failures"] == []
    assert (told["about"]["seed"], "python" in told["about"]) == (3, True)
    assert (told["idle"]["connections"], told["idle"]["let_in"]) == (200, 200)
    assert (told["mute"]["mute"], told["mute"]["lost_by_healthy"]) == (20, 0)
    assert (told["strangers"]["wrong"], told["strangers"]["refused"]) == (200, 200)
    assert (told["subscriptions"]["subscriptions"], told["subscriptions"]["left"]) == (500, 0)
    assert told["subscriptions"]["blocks_left"] < 5_000
    storm = told["storm"]
    assert storm["clients"] == storm["back"] == storm["senders_back"] == storm["heard"] == storm["told_restart"] == 40
    assert set(told["vanished"]) == {"a client, tuned", "a server, tuned"}
    assert told["kills"]["heard_of_victims"] >= told["kills"]["acknowledged"] > 0
    assert (told["kills"]["servers"], told["kills"]["heard_of_owner"] > 0) == (1, True)
    assert all(told["cuts"][carrier]["sessions"] > 10 for carrier in told["cuts"])
    assert all(told["reliable"][carrier]["links"] > 2 for carrier in told["reliable"])


def test_what_the_documentation_includes(tmp_path: Path) -> None:
    done = bench("idle", "--quick", "--docs", str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "idle.inc").read_text().splitlines()
    assert {"### idle connections", "|  | figure | must | goal |", "| connections let in | 200 | 200 |  |"} <= {*lines}
    assert "seed 1" in lines[-1]


def test_what_is_no_scenario() -> None:
    done = bench("idel")
    assert done.returncode == 2
    assert "choose among idle," in done.stderr


@pytest.mark.parametrize(
    ("story", "told"),
    [
        (["#connect", [3, 0], [3, 1], "#disconnect"], []),
        (["#connect", [3, 0], "#disconnect"], ["1 events were routed and not heard"]),
        (["#connect", [3, 0], [3, 0], "#disconnect"], ["its events were not heard once each and in order"]),
        ([[3, 0], "#connect", [3, 1], "#disconnect"], ["its events are not between its #connect and its #disconnect"]),
    ],
)
def test_books_that_do_not_agree_are_told(story: list[object], told: list[str]) -> None:
    assert check(story, 3, 1) == told


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ([4, 5, sig.Gap(2, "slow"), 8, sig.Gap(None, "server_restart"), 9], []),
        ([4, sig.Gap(1, "slow"), sig.Gap(1, "lost_link"), 7, sig.Gap(None, "lost_link"), 12], []),
        ([4, 6], ["heard 6 behind 4, and was told that 0 were missing"]),
        ([4, sig.Gap(2, "slow"), 6], ["heard 6 behind 4, and was told that 2 were missing"]),
        ([4, 5, 5], ["heard 5 behind 5"]),
        ([5, sig.Gap(None, "lost_link"), 4], ["heard 4 behind 5"]),
    ],
    ids=["as it should be", "several", "lost", "too many told", "doubled", "swapped"],
)
def test_what_is_missing_and_was_not_told_is_seen(story: list[object], told: list[str]) -> None:
    assert servers.check(story) == told
