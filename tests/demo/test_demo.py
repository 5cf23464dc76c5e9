"""The demo, as `make demo` runs it: real processes, real metrics, real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import LIMIT_S, command
from rich.console import Console

import sig
from sig.demo import metrics
from sig.demo.tally import Tally, percentiles
from sig.demo.view import picture


def test_the_demo_shows_everything_and_loses_nothing() -> None:
    done = command("demo", "--seconds", "4", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert summary["problems"] == []
    assert summary["missed"] == 0
    assert summary["requests_answered"] == 3
    assert summary["events"]["machine/metrics sample"] >= 2
    assert summary["events"]["machine/files changed"] >= 1
    files = [line for line in summary["presence"] if line.startswith("machine/files")]
    assert files[:3] == ["machine/files #connect", "machine/files #disconnect (lost)", "machine/files #connect"]
    assert summary["latency_ms"]["machine/metrics sample"]["p50"] >= 0


def test_without_a_terminal_it_prints_plain_lines(tmp_path: Path) -> None:
    done = command("demo", "--seconds", "4", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "machine/files #disconnect (lost)" in done.stdout
    assert "requests answered: 3" in done.stdout
    assert "\x1b[" not in done.stdout


@pytest.mark.parametrize(
    ("words", "told"), [(["--seconds", "1"], "at least 4"), (["--folder", "/no/such/folder"], "not a folder")]
)
def test_a_mistake_is_one_sentence(words: list[str], told: str) -> None:
    done = command("demo", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["metrics", "files"])
def test_a_sender_ends_with_its_server(module: str, tmp_path: Path) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        words = [server.urls[0]] + ([str(tmp_path)] if module == "files" else [])
        process = subprocess.Popen([sys.executable, "-m", f"sig.demo.{module}", *words], stderr=subprocess.PIPE)
        assert server.sender(f"machine/{module}").wait(LIMIT_S)
        server.close()
        _, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0
        assert b"Traceback" not in err


def test_a_sample_is_this_machine() -> None:
    sample = metrics.sample()
    assert isinstance(sample["cpu_percent"], list)
    assert isinstance(sample["memory_percent"], float)


def test_the_requests_of_the_metrics_sender() -> None:
    found = metrics.processes({"count": 2})
    assert len(found) == 2
    assert found[0]["memory_percent"] >= found[1]["memory_percent"]  # type: ignore[operator]  # two floats
    assert metrics.disk_usage(None)["path"] == "/"
    with pytest.raises(sig.RequestFailed, match="not a number"):
        metrics.processes({"count": "many"})
    with pytest.raises(sig.RequestFailed, match="no disk"):
        metrics.disk_usage({"path": "/no/such/path"})


def test_the_picture_shows_names_as_text() -> None:
    tally = Tally()
    with sig.Router() as router:
        router.listen(tally.event, "a/*", None)
        with router.add_sender("a/[red]b", "e") as sender:
            sender.trigger("e", {"at": 1.0, "x": "[bold]"})
            sender.trigger("e", 5)
    tally.gap(sig.Info({"sender": "a", "event": "e"}), sig.Gap(3, "slow"))
    tally.answer("a answered")
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed below
    console.print(picture(tally, "headline"))
    console.file.close()
    text = console.export_text()
    assert "a/[red]b" in text
    assert "a/[red]b #connect" in text
    assert "events missed: 3" in text
    assert tally.summary()["missed"] == 3


def test_percentiles() -> None:
    assert percentiles([2.0]) == {"p50": 2.0, "p99": 2.0}
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50.0, "p99": 99.0}
