"""The benchmark of what is added to the codec: tiny runs of the real command give every figure they promise.

How large the figures are is nobody's business here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.costs import access, dispatch, forward, requests, trigger, types, volley
from benchmarks.costs.rows import Row
from benchmarks.costs.scale import SIZES, SMALLEST, Size
from benchmarks.costs.slow import QUICK, SCENARIOS, WrongBooks, check_books
from benchmarks.tables import Table, markdown

ROOT = Path(__file__).parents[2]

needs_rich = pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="the tables need rich")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.costs", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )


def figures(*arguments: str) -> dict[str, Any]:
    done = bench("--quick", "--json", "-", *arguments)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["failures"] == []
    return told


@needs_rich
class TestEvents:
    def test_every_way_has_its_figures(self) -> None:
        told = figures("--rounds", "2")

        ways = {"trigger": trigger.ways(), "dispatch": dispatch.ways(), "forward": forward.ways()}
        expected = [(part, name) for part, found in ways.items() for name, _ in found]
        assert [(row["part"], row["way"]) for row in told["rows"]] == expected
        for row in told["rows"]:
            assert len(row["ns"]) == 2
            assert 0 < row["quartiles"]["low"] <= row["quartiles"]["median"] <= row["quartiles"]["high"]
            over_codec = row["part"] != "forward" and "alone" not in row["way"]
            assert ("over_ns" in row) == ("verdict" in row) == over_codec
            assert all(alone > 0 for alone in row.get("codec_ns", ()))

    def test_people_get_tables_and_the_documentation_a_page(self, tmp_path: Path) -> None:
        done = bench("--quick", "--only", "dispatch", "--docs", str(tmp_path))

        assert done.returncode == 0, done.stderr
        assert "dispatch of batches of 87" in done.stdout
        assert "forwarding" not in done.stdout
        assert "round 1 of 1" in done.stderr
        page = (tmp_path / "events.inc").read_text()
        assert "| 100 routes |" in page
        assert f"python -m benchmarks.costs --quick --only dispatch --docs {tmp_path}" in page

    def test_a_part_that_does_not_exist_is_an_error(self) -> None:
        done = bench("--only", "despatch")
        assert done.returncode == 2
        assert "trigger, dispatch, forward" in done.stderr


@needs_rich
class TestRequests:
    def test_every_step_and_every_process_has_its_figures(self) -> None:
        told = figures("requests")

        assert [row["way"] for row in told["cores"]] == [name for name, _ in volley.ways()]
        assert all(row["quartiles"]["median"] > 0 for row in told["cores"])
        assert [row["job"] for row in told["processes"]] == [job.name for job in requests.JOBS]
        for row in told["processes"]:
            [found] = row["rounds"]
            assert all(found[end] > 0 for end in (*requests.ENDS, "rate"))

    def test_a_part_by_itself(self) -> None:
        told = figures("requests", "--only", "cores")
        assert "processes" not in told
        done = bench("requests", "--only", "trigger")
        assert done.returncode == 2
        assert "cores, processes" in done.stderr


@needs_rich
def test_every_way_of_types_has_its_figures() -> None:
    told = figures("types", "--rounds", "2")

    assert [(row["part"], row["way"]) for row in told["rows"]] == [
        (part, way) for part in types.PARTS for way in types.WAYS
    ]
    assert all(len(row["ns"]) == 2 and row["quartiles"]["low"] > 0 for row in told["rows"])
    assert told["rates"][types.UNTYPED] == {"low": 1, "median": 1, "high": 1}
    assert all(rate["median"] > 0 for rate in told["rates"].values())


@needs_rich
def test_everything_is_measured_with_a_policy_and_without() -> None:
    told = figures("access", "--rounds", "2")

    assert told["rules"] == len(access.rules().rules)
    assert [row["way"] for row in told["rows"]] == list(access.WAYS)
    for row in told["rows"]:
        assert len(row["ns"]) == len(row["ns_with_rules"]) == 2
        assert min(*row["ns"], *row["ns_with_rules"]) > 0


@needs_rich
def test_everything_is_measured_on_reliable_links_and_on_others() -> None:
    told = figures("reliable", "--rounds", "2")
    assert len(told["rows"]) == 3
    for row in told["rows"]:
        assert len(row["us"]) == len(row["us_reliable"]) == 2
        assert min(*row["us"], *row["us_reliable"]) > 0


@needs_rich
def test_every_size_of_a_world_has_its_figures() -> None:
    told = figures("scale", "--rounds", "2")

    sizes = [Size(**row["size"]) for row in told["rows"]]
    assert sizes[0] == SMALLEST
    assert len(set(sizes)) == len(SIZES)
    for row in told["rows"]:
        for traffic in ("same", "all"):
            assert len(row[traffic]["ns"]) == 2
            assert row[traffic]["ratio"]["median"] > 0
    assert told["rows"][0]["same"]["ratio"] == {"low": 1, "median": 1, "high": 1}
    assert all(100 < size < 100_000 for size in told["bytes"].values())
    assert set(told["bytes"]) == {"route", "pattern", "client"}


@pytest.mark.slow
@needs_rich
class TestSlow:
    def test_the_books_are_right_beside_those_who_do_not_read(self) -> None:
        told = figures("slow")

        beside = {row["beside"]: row["rounds"] for row in told["rows"]}
        assert list(beside) == [scenario.name for scenario in SCENARIOS]
        accepted = round(QUICK.rate * (QUICK.filling_s + QUICK.seconds))
        for scenario in SCENARIOS:
            [found] = beside[scenario.name]
            assert 0 < found["p50"] <= found["p99"]
            links = min(scenario.links, QUICK.most_links)
            assert found["delivered"] + found["missed"] == links * accepted
            assert (found["delivered"] > 0) == (links > 0)


@pytest.mark.parametrize(
    ("healthy", "others"),
    [([(9, 0), (10, 0)], []), ([(9, 1), (10, 0)], []), ([(10, 0)], [(4, 6), (4, 5)]), ([(10, 0)], [(5, 6)])],
)
def test_books_that_are_wrong_fail_the_run(healthy: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    check_books(10, [(10, 0), (10, 0)], [(4, 6), (0, 10), (10, 0)])
    with pytest.raises(WrongBooks, match="of 10 events"):
        check_books(10, healthy, others)


def test_a_budget_is_kept_by_the_median_of_what_is_over_the_codec_alone() -> None:
    def verdict(*ns: float) -> str:
        return Row("trigger", "", [(figure + 300) / 1e9 for figure in ns], [300 / 1e9] * len(ns)).verdict

    assert verdict(119, 119, 500) == "goal"
    assert verdict(219, 219) == "must"
    assert verdict(221, 221, 0) == "missed"
    assert Row("forward", "", [1e-9]).verdict == ""


def test_a_table_becomes_markdown() -> None:
    page = markdown(Table("a | b", ["", "ns"], [["x|y", "1"]]))
    assert page == "### a | b\n\n|  | ns |\n| --- | --: |\n| x\\|y | 1 |\n"


@needs_rich
@pytest.mark.slow
def test_parts_of_one_answer_have_their_figures() -> None:
    told = figures("streams")["streams"]
    assert list(told) == ["blocking", "awaited"]
    for (one,) in told.values():
        assert one["events"] > 0
        assert one["parts"] > 0
        assert one["share"] == one["parts"] / one["events"]


@needs_rich
def test_events_with_types_are_measured_from_end_to_end() -> None:
    told = figures("validation", "--only", "typeddicts", "models")["validation"]
    assert list(told) == [
        "a dict, no types, 1 routes",
        "a TypedDict, 1 routes",
        "a pydantic model, 1 routes",
        "a dict, no types, 10 routes",
        "a TypedDict, 10 routes",
    ]
    assert all(round["rate"] > 0 for rounds in told.values() for round in rounds)
