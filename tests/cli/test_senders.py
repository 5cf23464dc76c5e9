"""`sig senders`: lines of JSON for programs, a table for people."""

from __future__ import annotations

import json
import sys
import time

import pytest
from cli.commands import at_terminal, command
from cli.conftest import Here

import sig
from sig.cli.output import Output


def test_lines_of_json_when_piped(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/laser", "state", {"set": lambda params: None})
    server.add_sender("oven", "done")
    names = [json.loads(line)["name"] for line in command("senders", url=url).stdout.splitlines()]
    assert names == ["lab/laser", "oven"]


def test_a_pattern_chooses(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("lab/laser", "state", {"set": lambda params: None})
    server.add_sender("oven", "done")
    (only,) = here("senders", "lab/*", "--json").out.splitlines()
    found = json.loads(only)
    assert (found["events"], found["requests"], found["address"]) == (["state"], ["set"], "local")


def test_people_see_a_table(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/[red]laser", "state", {"set": lambda params: {"a": 1}, None: lambda method, params: None})
    seen = at_terminal("senders", url=url)
    for text in ("sender", "since", "lab/[red]laser", "state", "set, (any)", "local"):
        assert text in seen
    assert at_terminal("senders", "absent", url=url) == "nobody is there\r\n"


def test_of_another_day_the_day_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    rows = [sig.SenderInfo("s", ["e"], None, since, "local", 1) for since in (time.time(), time.time() - 2 * 86_400)]
    Output(json=False).senders(rows)
    today, before = (line for line in capsys.readouterr().out.splitlines() if "local" in line)
    day = time.strftime("%Y-%m-%d", time.localtime(rows[1].since))
    assert day in before
    assert day[:5] not in today
