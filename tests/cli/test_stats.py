"""`sig stats`: JSON for programs, tables for people, once or again and again."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli.commands import LIMIT_S, at_terminal, command, line_of, only_line, running
from cli.conftest import Here

import sig
from sig.cli.output import Output
from sig.cli.stats import show
from sig.stats import LinkStats, SenderStats, Stats, Totals


@contextmanager
def busy(url: str, times: int) -> Iterator[sig.ClientRouter]:
    """A client whose listener has heard so many events of another."""
    heard = threading.Semaphore(0)
    with sig.connect(url, name="[red]hall") as listening, sig.connect(url) as oven:
        listening.listen(lambda info, data: heard.release(), "lab/oven")
        sender = oven.add_sender("lab/oven", "done")
        for _ in range(times):
            sender.trigger("done")
        for _ in range(times):
            assert heard.acquire(timeout=LIMIT_S)
        yield listening


def test_one_object_when_piped(url: str) -> None:
    with busy(url, 3):
        done = command("stats", url=url)
    found = json.loads(only_line(done.stdout))
    assert found["senders"] == [{"sender": "lab/oven", "event": "done", "accepted": 3, "receivers": 1}]
    assert found["totals"]["events_out"] == 3
    assert {"[red]hall", "sig stats"} <= {link["name"] for link in found["links"]}


def test_people_see_tables(url: str) -> None:
    with busy(url, 3):
        seen = at_terminal("stats", url=url)
    for text in ("4 clients", "1 sender with 1 event", "1 subscription", "[red]hall", "lab/oven", "done", "receivers"):
        assert text in seen
    assert "/s" not in seen


def test_as_many_rows_as_one_likes(here: Here, url: str) -> None:
    with busy(url, 1):
        found = json.loads(here("stats", "--rows", "1").out)
    assert (len(found["links"]), len(found["senders"])) == (1, 1)
    assert here("stats", "--rows", "-1").code == 2


def test_again_and_again_until_ctrl_c(url: str) -> None:
    with busy(url, 3), running("stats", "--watch", url=url) as process:
        first, second = (json.loads(line_of(process)) for _ in range(2))
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
    assert second["time"] > first["time"]
    assert second["totals"]["frames_in"] > first["totals"]["frames_in"]


def test_people_see_rates(url: str) -> None:
    with busy(url, 3):
        seen = at_terminal("stats", "--watch", url=url, ctrl_c_at="/s")
    assert "B/s" in seen
    assert "0/s" in seen


def test_it_ends_with_the_server() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, running("stats", "--watch", url=server.urls[0]) as process:
        line_of(process)
        server.close()
        assert process.wait(LIMIT_S) == 3


def test_what_waits_and_what_is_missed_is_to_be_seen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    link = LinkStats(
        client=7, name="", address="here", waiting_bytes=5 * 1024**4, missed=1234, requests_out=1, requests_in=2
    )
    totals = Totals(clients=1, memory_bytes=3 * 1024**2, refused=1)
    show(Output(json=False), Stats(time=1.0, totals=totals, links=[link], senders=[SenderStats(sender="s", event="e")]))
    seen = capsys.readouterr().out
    for text in ("3.0 MiB wait", "1 link refused", "#7", "5.0 TiB", "1,234", "1 asked, 2 to answer"):
        assert text in seen
