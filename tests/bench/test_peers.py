"""The suite against the peers: it runs, counts what arrives, leaves no process behind. No test asks how fast."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from benchmarks.peers.cases import Case, Measure, everyone, throughput
from benchmarks.peers.children import Trouble
from benchmarks.peers.contestants import ALL, EVENTS, Contestant
from benchmarks.peers.report import behind
from benchmarks.peers.results import Results
from benchmarks.peers.stage import Stage
from benchmarks.peers.tally import Lost, Tally, percentiles
from benchmarks.peers.targets import PEERS, TARGETS, Target

ROOT = Path(__file__).parents[2]

# So little work that a run is little more than starting and stopping.
TINY = 0.002
LIMIT_S = 25.0

PRESENT = [contestant.name for contestant in ALL if contestant.missing() is None and EVENTS in contestant.offers]
# The others are the same code with other numbers.
CASES = [case.name for case in everyone() if case.name != "fanout_50"]


def suite(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and standard error of a tiny run."""
    command = [sys.executable, "-m", "benchmarks.peers", "--scale", str(TINY), "--limit", str(LIMIT_S), "--json", "-"]
    ended = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else {}, ended.stderr


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="the tables need rich")
class TestTheCommand:
    @pytest.mark.parametrize("case", CASES)
    def test_sig_takes_part_in_every_case(self, case: str) -> None:
        code, told, errors = suite("--only", f"{case}/sig_blocking", "--rounds", "1")
        assert (code, told["failures"]) == (0, []), errors
        measures = told["cases"][case]["measures"]
        [figures] = told["cases"][case]["contestants"]["sig_blocking"]["rounds"]
        assert set(figures) >= set(measures)

    @pytest.mark.parametrize("contestant", PRESENT)
    def test_whoever_is_installed_loses_nothing(self, contestant: str) -> None:
        code, told, errors = suite(
            "--rounds", "2", "--only", f"alternating/{contestant}", "--only", f"pip*/{contestant}"
        )
        assert (code, told["failures"]) == (0, []), errors
        rounds = told["cases"]["alternating"]["contestants"][contestant]["rounds"]
        assert len(rounds) == 2
        assert all(figures["rate"] > 0 for figures in rounds)

    @pytest.mark.parametrize(
        ("bare", "cases"),
        [
            ("bare_sockets", {"latency", "roundtrip"}),
            ("bare_asyncio", {"latency", "roundtrip", "pipelined"}),
            ("bare_uvloop", {"latency", "roundtrip", "pipelined"}),
        ],
    )
    def test_those_without_a_library_show_where_the_machine_ends(self, bare: str, cases: set[str]) -> None:
        [contestant] = (one for one in ALL if one.name == bare)
        if contestant.missing() is not None:
            pytest.skip(f"{bare} is {contestant.missing()}")
        code, told, errors = suite("--rounds", "1", "--only", f"/{bare}")
        assert (code, told["failures"]) == (0, []), errors
        assert set(told["cases"]) == cases
        assert bare not in PEERS

    def test_it_says_on_what_the_figures_were_taken(self) -> None:
        _, told, _ = suite("--only", "memory/sig_blocking", "--rounds", "1")
        about = told["about"]
        assert about["python"] == sys.version.split()[0]
        assert "--only memory/sig_blocking" in about["command"]
        assert about["versions"]["msgspec"]
        assert about["cpus"]

    @pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the pictures need matplotlib")
    def test_the_documentation_gets_tables_pictures_and_the_machine(self, tmp_path: Path) -> None:
        suite("--only", "latency/sig_blocking", "--rounds", "1", "--docs", str(tmp_path))
        page = (tmp_path / "peers.inc").read_text()
        assert "| sig, blocking, TCP, JSON |" in page
        assert "](latency-p50.png)" in page
        assert (tmp_path / "latency-p50.png").stat().st_size
        assert f"python -m benchmarks.peers --scale {TINY}" in page

    def test_a_choice_of_nothing_is_an_error_that_lists_what_there_is(self) -> None:
        code, _, errors = suite("--only", "thoughput")
        assert code == 2
        assert "throughput" in errors
        assert "sig_blocking" in errors


class TestWhoIsMissing:
    def test_a_package_that_is_not_installed_is_named(self) -> None:
        nobody = Contestant("sig_blocking", "", {"no-such-package": "no_such_module"}, {})
        assert nobody.missing() == "not installed: pip install no-such-package"

    def test_a_program_that_is_not_there_is_named(self) -> None:
        nobody = Contestant("sig_blocking", "", {}, {"the-package": "no-such-program"})
        assert nobody.missing() == "there is no no-such-program on the path: install the-package"

    def test_what_sig_does_not_have_yet_is_not_there_yet(self) -> None:
        future = Contestant("sig_blocking", "", {}, {}, not_yet=lambda: "no such face")
        assert future.missing() == "not there yet: no such face"
        unwritten = Contestant("sig_telepathic", "", {}, {})
        assert unwritten.missing() == "not there yet: write contestants/sig_telepathic.py"


class TestTally:
    def test_it_ends_with_the_last_event(self) -> None:
        tally = Tally()
        ended: list[bool] = []
        tally.ended = lambda: ended.append(True)
        tally.expect(3)
        assert [tally.take(None, {"seq": seq}) for seq in range(3)] == [False, False, True]
        assert ended == [True]
        assert set(tally.result()) == {"ended"}

    def test_events_with_attributes_are_counted_alike(self) -> None:
        tally = Tally()
        tally.expect(3)
        assert [tally.take_object(None, SimpleNamespace(seq=seq)) for seq in range(3)] == [False, False, True]
        assert set(tally.result()) == {"ended"}

    def test_a_lost_event_is_told(self) -> None:
        tally = Tally()
        tally.expect(3)
        tally.take(None, {"seq": 0})
        tally.take(None, {"seq": 2})
        with pytest.raises(Lost, match="2 of 3 events arrived"):
            tally.result()

    @pytest.mark.parametrize("seqs", [(0, 1, 1), (0, 1, 2, 2)])
    def test_an_event_that_comes_twice_is_told(self, seqs: tuple[int, ...]) -> None:
        tally = Tally()
        tally.expect(3)
        for seq in seqs:
            tally.take(None, {"seq": seq})
        with pytest.raises(Lost, match="twice"):
            tally.result()

    def test_events_may_come_in_any_order_and_be_timed(self) -> None:
        tally = Tally(timing=True)
        tally.expect(3)
        for seq in (2, 0, 1):
            tally.take(None, {"seq": seq, "ts": 0.0})
        assert set(tally.result()) == {"ended", "p50", "p99"}

    def test_only_the_event_that_is_waited_for_is_a_meeting(self) -> None:
        tally = Tally()
        tally.expect_meeting(2)
        assert [tally.meet(None, {"seq": seq}) for seq in (1, 2, 2)] == [False, True, False]

    def test_percentiles_are_ranks(self) -> None:
        assert percentiles(range(100)) == {"p50": 50, "p99": 99}
        assert percentiles([]) == {}


class TestResults:
    def results(self) -> Results:
        results = Results(2)
        for name, rates in {"ours": (6.0, 10.0), "slow": (2.0, 5.0), "fast": (3.0, None)}.items():
            for rate in rates:
                results.add("throughput", name, None if rate is None else {"rate": rate})
        return results

    def test_ratios_are_taken_within_rounds(self) -> None:
        assert self.results().ratio("throughput", "rate", "ours", ["slow"]) == (2.25, 2.5, 2.75)

    def test_the_best_of_the_others_may_change_with_the_round(self) -> None:
        assert self.results().ratio("throughput", "rate", "ours", ["slow", "fast"]) == (2.0, 2.0, 2.0)

    def test_a_failed_round_has_no_ratio(self) -> None:
        assert self.results().ratio("throughput", "rate", "fast", ["slow"]) == (1.5, 1.5, 1.5)

    def test_nobody_is_compared_with_who_was_not_there(self) -> None:
        assert self.results().ratio("throughput", "rate", "ours", ["absent"]) is None

    def test_where_a_peer_is_better_is_said(self) -> None:
        results = Results(1)
        for name, p50 in {"sig_blocking": 30.0, "pyzmq_two_part": 20.0, "nats_uvloop": 40.0}.items():
            results.add("latency", name, {"p50": p50, "p99": 50.0})
        *_, line = behind(results, everyone(), "sig_blocking")
        assert line.endswith("us, median: pyzmq, topic and body (1.50 times as good)")
        assert "nats" not in line

    def test_nowhere_is_said_too(self) -> None:
        case = Case("throughput", "", (throughput.RATE,), throughput.run)
        assert behind(self.results(), [case], "ours")[-1] == "* Nowhere, in these cases."

    @pytest.mark.parametrize(("figure", "verdict"), [(7, "goal"), (6, "goal"), (5, "must"), (3.9, "missed")])
    def test_a_target_is_reached_or_missed(self, figure: float, verdict: str) -> None:
        assert Target("", "throughput", "rate", "ours", ("slow",), 4, 6).verdict(figure) == verdict

    def test_every_target_is_about_something_that_is_measured(self) -> None:
        measured = {(case.name, measure.name) for case in everyone() for measure in case.measures}
        assert {(target.case, target.measure) for target in TARGETS} <= measured
        names = {contestant.name for contestant in ALL}
        assert {target.mine for target in TARGETS} <= names
        assert {name for target in TARGETS for name in target.others} <= names


class TestStage:
    def test_no_process_is_left_when_a_run_ends(self) -> None:
        with Stage("sig_blocking", LIMIT_S, TINY) as stage:
            throughput.run(stage)
            pids = list(stage.server_pids)
            assert all(psutil.pid_exists(pid) for pid in pids)
        assert not any(psutil.pid_exists(pid) for pid in pids)

    def test_a_child_that_cannot_do_what_it_is_told_says_why(self) -> None:
        with Stage("sig_blocking", LIMIT_S) as stage:
            stage.serve()
            with pytest.raises(Trouble, match="the requester of sig_blocking, told to 'ask': SenderNotConnected"):
                stage.start("Requester").ask("ask", count=1)

    def test_a_child_that_ends_is_noticed(self) -> None:
        with Stage("sig_blocking", LIMIT_S) as stage:
            stage.serve()
            child = stage.start("Idle")
            psutil.Process(child.pid).kill()
            with pytest.raises(Trouble, match="ended"):
                child.ask("open", count=1)

    def test_a_child_ends_when_the_suite_has_gone_even_in_the_middle_of_something(self) -> None:
        with Stage("sig_blocking", LIMIT_S) as stage:
            stage.serve()
            child = stage.start("Subscriber", routes=["reading"], timing=False, large=False)
            process = psutil.Process(child.pid)
            child.ask("expect", count=1)
            child.begin("receive", limit=10 * LIMIT_S)
            child.leave()
            process.wait(LIMIT_S)

    def test_a_child_that_does_not_answer_is_given_up_and_ended(self) -> None:
        def wait_for_nothing(stage: Stage) -> None:
            subscriber = stage.start("Subscriber", routes=["reading"], timing=False, large=False)
            subscriber.ask("expect", count=1)
            subscriber.ask("receive", limit=LIMIT_S)

        with Stage("sig_blocking", LIMIT_S) as stage:
            stage.serve()
            stage.limit = 1.0
            with pytest.raises(Trouble, match="took more than 1 s"):
                wait_for_nothing(stage)
            pids = stage.server_pids
        assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_case_is_compared_by_its_measures() -> None:
    names = [case.name for case in everyone()]
    assert len(names) == len(set(names))
    for case in everyone():
        assert isinstance(case, Case)
        assert any(measure.compared for measure in case.measures)
        assert all(isinstance(measure, Measure) and measure.better in ("higher", "lower") for measure in case.measures)
