"""`sig listen`: what it shows, and each way in which it ends."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys

import pytest
from cli.commands import LIMIT_S, at_terminal, command, environment, line_of, only_line, running
from cli.conftest import Here, chattering

import sig


@pytest.mark.usefixtures("chatter")
def test_lines_of_json_when_piped(url: str) -> None:
    done = command("listen", "*", "e", "--count", "2", "--meta", url=url)
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["sender"], r["event"], r["data"]) for r in records] == [("a", "e", {"minutes": 12})] * 2
    assert records[1]["seq"] == records[0]["seq"] + 1
    assert records[0]["time"] <= records[1]["time"]


@pytest.mark.usefixtures("chatter")
def test_without_arguments_everything_is_heard(here: Here) -> None:
    done = here("listen", "--count", "1")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"sender": "a", "event": "e", "data": {"minutes": 12}}


@pytest.mark.usefixtures("chatter")
def test_people_see_events_in_colour(url: str) -> None:
    seen = at_terminal("listen", "--count", "1", url=url)
    assert "Ctrl-C ends it" in seen
    assert "minutes" in seen
    assert "\x1b[" in seen


@pytest.mark.usefixtures("chatter")
def test_people_see_time_and_number_too(url: str) -> None:
    seen = at_terminal("listen", "a", "--meta", "--count", "1", url=url)
    assert seen.count(":") >= 2, "the time of day"


def test_presence_has_no_number(here: Here, server: sig.ServerRouter, url: str) -> None:
    with running("listen", "oven", "#connect", "--meta", "--count", "1", url=url) as process:
        while process.poll() is None:  # until it listens
            server.add_sender("oven", "done").remove()
            server.wait(0.01)
        record = json.loads(line_of(process))
    assert (record["event"], record["seq"]) == ("#connect", None)
    assert record["data"]["events"] == ["done"]


def test_what_could_move_the_cursor_is_shown_escaped(url: str, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"m": lambda params: "\x1b[2J\x9b2J\u202e"})
    seen = at_terminal("request", "s", "m", url=url)
    assert "\x1b[2J" not in seen
    assert "\x9b" not in seen
    assert r"\u009b2J\u202e" in seen


# -- how it ends ---------------------------------------------------------------------------------


def test_after_its_seconds(here: Here) -> None:
    assert here("listen", "--seconds", "0.2") == (0, "", "")


@pytest.mark.usefixtures("chatter")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_signal(url: str, number: signal.Signals) -> None:
    with running("listen", url=url) as process:
        assert line_of(process)
        process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")


@pytest.mark.usefixtures("chatter")
def test_when_the_server_goes(server: sig.ServerRouter, url: str) -> None:
    with running("listen", url=url) as process:
        assert line_of(process)
        server.close()
        _, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 3
        assert "the server closed the link" in only_line(err)


@pytest.mark.usefixtures("chatter")
def test_when_its_reader_leaves(url: str) -> None:
    pipe = f"set -o pipefail; {shlex.quote(sys.executable)} -m sig listen | head -1"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, timeout=LIMIT_S, env=environment(url))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["sender"] == "a"


def test_when_its_reader_leaves_although_nothing_comes(url: str) -> None:
    with running("listen", url=url) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(LIMIT_S) == 0
        process.stdout = None  # for `communicate`
        assert process.communicate()[1] == ""


@pytest.mark.usefixtures("chatter")
@pytest.mark.parametrize("words", [["listen"], ["senders"], ["--help"]])
def test_output_that_cannot_be_written_is_one_sentence(url: str, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sig", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            env=environment(url),
        )
    assert done.returncode == 1
    assert "No space left" in only_line(done.stderr)


# -- losses --------------------------------------------------------------------------------------


def test_what_was_missed_is_told(server: sig.ServerRouter, url: str) -> None:
    """Nobody reads for a while, and more is triggered than all queues on the way hold."""
    with server.add_sender("s", "e") as sender, running("listen", "s", "e", url=url) as process:
        with chattering(lambda: sender.trigger("e")):
            assert line_of(process)
        for _ in range(150):
            sender.trigger("e", 400_000 * "x")
        sender.trigger("e", "last")
        server.flush()
        while json.loads(line_of(process))["data"] != "last":
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert re.fullmatch(r"(sig warning: missed \d+ events 'e' of 's' \(slow\)\n)+", err), err
