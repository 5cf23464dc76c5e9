"""The demo's two senders, each as a process and from within."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.commands import LIMIT_S, environment

import sig
from sig.demo import files, metrics


@contextmanager
def sender(module: str, url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = [url] + ([str(folder)] if module == "files" else [])
    process = subprocess.Popen(
        [sys.executable, "-m", f"sig.demo.{module}", *words], stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("module", ["metrics", "files"])
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_its_server_or_when_told(module: str, number: int | None, tmp_path: Path) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sender(module, server.urls[0], tmp_path) as process:
        assert server.sender(f"machine/{module}").wait(LIMIT_S)
        if number is None:
            server.close()
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("module", ["metrics", "files"])
def test_without_a_server_it_says_so_in_a_sentence(module: str, tmp_path: Path) -> None:
    with sender(module, "tcp://127.0.0.1:1", tmp_path) as process:
        _, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 1
        assert err.startswith("sig demo: nobody serves at tcp://127.0.0.1:1")
        assert len(err.splitlines()) == 1


def test_changes_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "before.txt").touch()
    with sig.serve("tcp://127.0.0.1:0") as server, sender("files", server.urls[0], tmp_path):
        assert server.sender(files.NAME).wait(LIMIT_S)
        assert server.request(files.NAME, "list") == ["before.txt"]


def test_a_sample_is_this_machine() -> None:
    sample = metrics.sample()
    assert isinstance(sample["cpu_percent"], list)
    assert isinstance(sample["memory_percent"], float)


@pytest.mark.parametrize("by", ["memory", "cpu"])
def test_the_processes_that_use_most_come_first(by: str) -> None:
    found = metrics.processes({"count": 5, "by": by})
    assert len(found) == 5
    used = [process[f"{by}_percent"] for process in found]
    assert used == sorted(used, reverse=True)  # type: ignore[type-var]  # numbers


def test_how_full_the_disk_is() -> None:
    assert metrics.disk_usage(None)["path"] == "/"
    assert metrics.disk_usage({"path": "."})["path"] == "."


def test_parameters_that_cannot_be_are_refused() -> None:
    with pytest.raises(sig.RequestFailed, match="count='many' is not a number"):
        metrics.processes({"count": "many"})
    with pytest.raises(sig.RequestFailed, match="by='colour' is none of memory, cpu"):
        metrics.processes({"by": "colour"})
    with pytest.raises(sig.RequestFailed, match="no disk"):
        metrics.disk_usage({"path": "/no/such/path"})
