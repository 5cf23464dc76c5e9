"""The demo, as `make demo` runs it: real processes, real metrics, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cli.commands import LIMIT_S, at_terminal, command, line_of, only_line, running

import sig
from sig.cli import main
from sig.demo import children, play

METRICS = "machine/metrics"
FILES = "machine/files"


def test_it_shows_everything_and_loses_nothing() -> None:
    done = command("demo", "--seconds", "4", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    summary = json.loads(done.stdout)
    assert (summary["problems"], summary["missed"]) == ([], 0)
    assert summary["requests_answered"] == 3
    assert summary["seconds"] >= 4
    for event in (f"{METRICS} sample", f"{FILES} changed"):
        assert summary["events"][event] >= 2
        assert 0 <= summary["latency_ms"][event]["p50"] <= summary["latency_ms"][event]["p99"]
    connect, lost, closed = "#connect", "#disconnect (lost)", "#disconnect (closed)"
    for sender, expected in ((FILES, [connect, lost, connect, closed]), (METRICS, [connect, closed])):
        told = [line for line in summary["presence"] if line.startswith(f"{sender} ")]
        assert told == [f"{sender} {what}" for what in expected]


def test_without_a_terminal_it_prints_plain_lines_and_a_folder_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "quiet.txt").touch()
    done = command("demo", "--seconds", "4", "--folder", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert lines.index(f"{FILES} #disconnect (lost)") > lines.index(f"the process of {FILES} gets SIGKILL")
    assert any(line.startswith(f"{METRICS} sample: ") for line in lines)
    assert any(line.startswith(f"{FILES} answered 'list' in ") and line.endswith('["quiet.txt"]') for line in lines)
    assert lines[-1] == "requests answered: 3; events missed: 0"
    assert "\x1b[" not in done.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["quiet.txt"]


def test_at_a_terminal_it_is_a_live_table() -> None:
    seen = at_terminal("demo", "--seconds", "4")
    assert "\x1b[1A" in seen, "a table that changes in place moves the cursor up"
    assert "last ms" in seen
    assert f"{FILES} #disconnect (lost)" in seen
    assert "requests answered: 3; events missed: 0" in seen


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--seconds", "1"], 2, "at least 4"),
        (["--seconds", "inf"], 2, "at least 4"),
        (["--seconds", "nan"], 2, "at least 4"),
        (["--folder", "/no/such/folder"], 2, "not a folder"),
        (["--url", "tcp://127.0.0.1"], 3, "the port is in use"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], code: int, told: str) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        done = command("demo", *(server.urls[0] if word == "tcp://127.0.0.1" else word for word in words))
    assert (done.returncode, done.stdout) == (code, "")
    assert told in only_line(done.stderr)


# -- when it does not go as planned --------------------------------------------------------------


def both_senders(demo: subprocess.Popen[str]) -> list[psutil.Process]:
    """Their processes, once both are there."""
    while "answered 'disk_usage'" not in (line := line_of(demo)):
        assert line, "the demo has ended"
    return psutil.Process(demo.pid).children()


def to_all(pid: int, number: int) -> None:
    os.killpg(pid, number)


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        (os.kill, signal.SIGKILL, -signal.SIGKILL),
        (os.kill, signal.SIGTERM, 130),
        (os.kill, signal.SIGINT, 130),
        (to_all, signal.SIGINT, 130),  # Ctrl-C at a terminal reaches the children too
    ],
)
def test_its_processes_end_with_it(
    send: Callable[[int, int], None], number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running("demo", "--seconds", "60") as process:
        children = both_senders(process)
        assert len(children) == 2
        send(process.pid, number)
        _, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (code, "")
        _, alive = psutil.wait_procs(children, LIMIT_S)
        assert alive == []
        assert number == signal.SIGKILL or list(tmp_path.iterdir()) == [], "its folder has gone"


def test_a_process_that_ends_by_itself_is_told() -> None:
    with running("demo", "--seconds", "4") as process:
        (metrics,) = (child for child in both_senders(process) if "sig.demo.metrics" in child.cmdline())
        metrics.kill()
        out, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert f"not as expected: the process of {METRICS} has ended by itself, with code -9" in out


def test_a_process_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Found before the real one; Python reads the folder only in the processes that the demo starts.
    (tmp_path / "psutil.py").write_text("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = command("demo", "--seconds", "4", "--json")
    assert done.returncode == 1
    problem = f"{METRICS} sample did not come: its process ended with code 7"
    assert json.loads(done.stdout)["problems"] == [problem]


def test_a_process_that_does_not_start_in_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watchfiles.py").write_text("import signal; signal.pause()")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(play, "_START_S", 0.2)
    assert main(["demo", "--seconds", "4", "--json"]) == 1
    problem = f"{FILES} #connect did not come within 0.2 s"
    assert json.loads(capsys.readouterr().out)["problems"] == [problem]


def test_a_process_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_END_S", 0.2)
    with sig.serve("tcp://127.0.0.1:0") as server, children.child("sig.demo.metrics", server.urls[0]) as process:
        assert server.sender(METRICS).wait(LIMIT_S)
        process.send_signal(signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_ends_before_it_has_sent_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watchfiles.py").write_text("def watch(*a, **k):\n    raise SystemExit(0)\n    yield")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert main(["demo", "--seconds", "4", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem == f"{FILES} changed did not come: its process ended with code 0"


def test_others_may_trigger_at_its_server_what_they_like() -> None:
    with running("demo", "--seconds", "4") as process:
        address = line_of(process).split()[3].rstrip(",")
        with sig.connect(address) as client, client.add_sender("machine/guest", ["hello", "number"]) as guest:
            guest.trigger("hello")
            guest.trigger("number", {"number": 5, "at": "noon"})
            client.flush()
            out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, ""), out
    assert "machine/guest hello" in out
    assert "events missed: 0" in out
