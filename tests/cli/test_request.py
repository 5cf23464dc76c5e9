"""`sig request`: answers, and each exit code."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator

import pytest
from cli.commands import LIMIT_S, at_terminal, command, only_line, running
from cli.conftest import Here

import sig


def test_the_answer_is_a_line_of_json_when_piped(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/laser", requests={"set": lambda params: {"was": params}})
    done = command("request", "lab/laser", "set", "mw=40", "--url", url)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"was":{"mw":40}}\n', "")


def test_nothing_is_an_answer(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"m": lambda params: None})
    assert here("request", "s", "m") == (0, "null\n", "")


def test_a_line_of_standard_input_is_a_request(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"double": lambda params: 2 * params})
    assert here("request", "s", "double", "-", text="1\n2\n") == (0, "2\n4\n", "")


def test_people_see_it_indented_and_in_colour(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("s", requests={"m": lambda params: {"a": [1, "é"]}})
    seen = at_terminal("request", "s", "m", url=url)
    assert len(seen.splitlines()) == 6
    assert "\x1b[" in seen
    assert "é" in seen
    assert at_terminal("request", "s", "m", "--json", url=url) == '{"a":[1,"é"]}\r\n'


def test_all_that_match_are_asked_and_told_with_their_names(here: Here, server: sig.ServerRouter) -> None:
    for name in ("lab/b", "lab/a"):
        server.add_sender(name, requests={"read": lambda params, name=name: [name, params]})
    assert here("request", "--all", "lab/*", "read", "5") == (
        0,
        '{"sender":"lab/a","value":["lab/a",5]}\n{"sender":"lab/b","value":["lab/b",5]}\n',
        "",
    )
    server.add_sender("lab/c", requests={"write": len})
    server.add_sender("lab/d", requests={"read": refuse})
    done = here("request", "--all", "lab/*", "read")
    assert done.code == 2  # that of the first
    assert [json.loads(line).get("error") for line in done.out.splitlines()] == [
        None,
        None,
        "sender 'lab/c' has no request 'read'; `sig senders lab/c` lists those it has",
        "the handler refused (interlock): door\nopen",
    ]


def test_people_see_who_says_what(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("a", requests={"m": lambda params: 5})
    server.add_sender("b", requests={"m": refuse})
    seen = at_terminal("request", "--all", "*", "m", url=url, code=1)
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in seen.splitlines()] == [
        "a 5",
        "b the handler refused (interlock): door\\u000aopen",
    ]
    assert "\x1b[31m" in seen


def test_where_nobody_matches_nobody_is_asked(here: Here) -> None:
    assert here("request", "--all", "lab/*", "read") == (
        3,
        "",
        "sig: nobody who answers requests matches 'lab/*'; `sig senders` lists who is\n",
    )


# -- what goes wrong -----------------------------------------------------------------------------


def fail(params: object) -> object:
    raise KeyError("x")


def refuse(params: object) -> object:
    raise sig.RequestFailed("door\nopen", code="interlock")


def decline(params: object) -> object:
    raise sig.RequestFailed("not today")


def deny(params: object) -> object:
    raise sig.Denied("only for the night shift")


@pytest.mark.parametrize(
    ("sender", "method", "code", "told"),
    [
        ("s", "fail", 1, "the handler failed: KeyError: 'x'"),
        ("s", "refuse", 1, "the handler refused (interlock): door open"),
        ("s", "decline", 1, "the handler refused: not today"),
        ("s", "deny", 5, "only for the night shift"),
        ("s", "absent", 2, "has no request 'absent'; `sig senders s` lists those it has"),
        ("silent", "m", 2, "answers no requests"),
        ("nobody", "m", 3, "'nobody' is not connected; `sig senders` lists who is"),
        ("s", "", 2, "cannot be empty"),
    ],
)
def test_each_is_a_code_and_a_sentence(
    server: sig.ServerRouter, url: str, sender: str, method: str, code: int, told: str
) -> None:
    server.add_sender("s", requests=[fail, refuse, decline, deny])
    server.add_sender("silent", "e")
    done = command("request", sender, method, url=url)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in only_line(done.stderr)


@pytest.fixture
def hold(server: sig.ServerRouter) -> tuple[threading.Event, threading.Event]:
    """A request `wait` of `s` that has begun, and does not end before it may."""
    begun, may_end = threading.Event(), threading.Event()

    def wait(params: object) -> None:
        begun.set()
        may_end.wait(LIMIT_S)

    server.add_sender("s", requests=[wait])
    return begun, may_end


def test_no_answer_in_time_is_code_4(url: str, hold: tuple[threading.Event, threading.Event]) -> None:
    done = command("request", "s", "wait", "--timeout", "0.2", url=url)
    hold[1].set()
    assert done.returncode == 4
    told = re.search(r"within (\S+) s; --timeout gives it longer", only_line(done.stderr))
    assert told is not None
    # From when it was sent, which is a little less than was given where the machine is busy.
    assert 0 < float(told[1]) <= 0.2


def test_ctrl_c_is_code_130(url: str, hold: tuple[threading.Event, threading.Event]) -> None:
    with running("request", "s", "wait", url=url) as process:
        assert hold[0].wait(LIMIT_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
        hold[1].set()
        assert (process.returncode, out, err) == (130, "", "")


def test_a_server_that_goes_is_code_3(
    server: sig.ServerRouter, url: str, hold: tuple[threading.Event, threading.Event]
) -> None:
    with running("request", "s", "wait", url=url) as process:
        assert hold[0].wait(LIMIT_S)
        server.close(0)
        out, err = process.communicate(timeout=LIMIT_S)
        hold[1].set()
        assert (process.returncode, out) == (3, "")
        assert only_line(err).startswith("sig: ")


def count(params: int) -> Iterator[object]:
    for number in range(1, params + 1):
        yield {"done": number, "total": params}
        yield f"row {number}"
    return "that was all"  # type: ignore[return-value]  # of a generator


def test_a_stream_is_a_line_for_each_part_and_one_for_the_result(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"count": count, "plain": lambda params: None})
    done = here("request", "--stream", "s", "count", "2")
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"part": {"done": 1, "total": 2}},
        {"part": "row 1"},
        {"part": {"done": 2, "total": 2}},
        {"part": "row 2"},
        {"result": "that was all"},
    ]
    assert here("request", "--stream", "s", "plain") == (0, '{"result":null}\n', "")


def test_people_see_parts_and_a_bar(server: sig.ServerRouter, url: str) -> None:
    go_on = threading.Event()

    def slow(params: object) -> Iterator[object]:
        yield {"done": 1, "total": 4}
        yield "row"
        go_on.wait(LIMIT_S)

    server.add_sender("s", requests={"slow": slow, "count": count})
    seen = at_terminal("request", "--stream", "s", "count", "1", url=url)
    assert "row 1" in seen
    assert "that was all" in seen
    assert "done" not in seen
    go_on.set()
    assert "25%" in at_terminal("request", "--stream", "s", "slow", url=url)


def test_a_handler_that_fails_within_its_parts(here: Here, server: sig.ServerRouter) -> None:
    def fail(params: object) -> Iterator[int]:
        yield 1
        raise KeyError("oven")

    server.add_sender("s", requests=[fail])
    code, out, err = here("request", "--stream", "s", "fail")
    assert (code, out) == (1, '{"part":1}\n')
    assert "KeyError" in err


def test_what_comes_in_parts_says_how_to_ask(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"count": count})
    assert "--stream" in here("request", "s", "count", "2").err
    assert "one sender at a time" in here("request", "--all", "--stream", "*", "count").err
