"""The benchmark of calls in one process: a tiny run of the real command gives every figure it promises.

How large the figures are is nobody's business here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.inprocess.measures import WrongCount, check_called, listeners

ROOT = Path(__file__).parents[2]

WAYS = {
    ("sig", "signal.trigger"),
    ("sig", "sender.trigger"),
    ("bare loop", "written out"),
    ("blinker", "send"),
    ("psygnal", "emit_fast"),
    ("psygnal", "emit"),
    ("pyee", "emit"),
    ("PyDispatcher", "send"),
    ("PyPubSub", "topic.publish"),
    ("django.dispatch", "send"),
    ("django.dispatch", "send_robust"),
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.inprocess", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=50,
    )


def figures(*arguments: str) -> dict[str, Any]:
    done = bench("--quick", "--json", "-", *arguments)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_run_gives_every_row() -> None:
    told = figures("--rounds", "2")

    there = {(name, way) for name, way in WAYS if name not in told["absent"]}
    assert {name for name, _ in WAYS - there} == set(told["absent"])
    registering = {name for name, _ in there} - {"bare loop"}
    expected = {("trigger", name, way, count) for name, way in there for count in (1, 10, 100)}
    expected |= {("registration", name, way, 200) for name in registering for way in ("add", "remove", "keep")}
    expected |= {("scale", "sig", way, 200) for way in ("listen", "listen_name", "listen_pattern", "join", "close")}
    expected |= {("scale", "sig", "trigger", count) for count in (1, 10)}
    rows = {(row["measure"], row["library"], row["way"], row["listeners"]): row for row in told["rows"]}
    assert rows.keys() == expected
    assert len(told["rows"]) == len(rows)

    for (measure, _, way, _), row in rows.items():
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert len(row["rounds"]) == (1 if way == "keep" else 2)
        assert ("ratio" in row) == ("trigger" in (measure, way))
    assert all(rows["trigger", "sig", "signal.trigger", count]["isolates_failures"] for count in (1, 10, 100))


def test_a_run_says_on_what_it_ran_and_what_follows() -> None:
    told = figures("--only", "sig")

    assert told["machine"]["python"] == sys.version.split()[0]
    assert told["machine"]["cpus"] == os.cpu_count()
    assert list(told["versions"]) == ["sig"]
    assert {row["library"] for row in told["rows"]} == {"sig"}
    # For each of two ways and three sizes: near the bare loop, and failures isolated. And one for registration.
    assert len(told["verdicts"]) == 2 * 3 * 2 + 1


def test_people_get_a_table_and_programs_a_file(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = bench("--quick", "--only", "sig", "bare loop", "--json", str(file), "--docs", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "a trigger with 100 listeners, ns" in done.stdout
    assert "sig signal.trigger" in done.stdout
    assert "bare loop written out" in done.stdout
    assert "round 1 of 1" in done.stderr
    assert json.loads(file.read_text())["effort"]["quick"] is True
    assert "| sig signal.trigger |" in (tmp_path / "inprocess.inc").read_text()


def test_listeners_that_are_not_called_once_each_spoil_the_run() -> None:
    first, second = listeners("data", 2)

    def drive(times: int) -> None:
        for _ in range(times):
            first({})
            second({})

    check_called(drive, (first, second), "both")
    for expected in [(first,), listeners("data", 3), ()]:
        with pytest.raises(WrongCount, match="3 triggers"):
            check_called(drive, expected, "others")
