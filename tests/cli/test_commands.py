"""Each command, as one types it: what it prints, and the code it ends with."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from cli.commands import LIMIT_S, command, environment, running

import sig


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


@pytest.fixture
def url(server: sig.ServerRouter) -> str:
    return server.urls[0]


@pytest.fixture
def chatter(server: sig.ServerRouter) -> Iterator[None]:
    """Sender `a` triggers `e` again and again: a process that is starting hears it once it listens."""
    sender = server.add_sender("a", "e")
    ended = threading.Event()

    def trigger() -> None:
        while not ended.wait(0.02):
            try:
                sender.trigger("e", {"minutes": 12})
            except sig.SigError:
                return  # the test has closed the server

    thread = threading.Thread(target=trigger)
    thread.start()
    yield
    ended.set()
    thread.join()


def refuse(params: object) -> object:
    raise sig.RequestFailed("door open", code="interlock")


def fail(params: object) -> object:
    raise KeyError("x")


def only_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


# -- serve ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_tells_its_port_and_ends_on_a_signal(number: signal.Signals) -> None:
    with running("serve", "tcp://127.0.0.1:0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving tcp://127.0.0.1:")
        with sig.connect(line.split()[1]) as client:
            assert client.senders() == []
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, out, err) == (0, "", "")


def test_serve_refuses_other_machines_unless_told() -> None:
    done = command("serve", "tcp://0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure-public" in only_line(done.stderr)


def test_serve_on_a_port_in_use_is_one_sentence(url: str) -> None:
    done = command("serve", url)
    assert done.returncode == 3
    assert "the port is in use" in only_line(done.stderr)


def test_serve_takes_limits_by_name() -> None:
    with running(
        "serve", "tcp://127.0.0.1:0", "--limit", "max-names=1", "--limit", "handshake_timeout_s=5.5"
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        with sig.connect(address) as client:
            client.add_sender("a", "e")
            with pytest.raises(sig.Overloaded):
                client.add_sender("b", "e")


@pytest.mark.parametrize(
    ("limit", "told"), [("max_nmaes=1", "max_names"), ("max_names", "NAME=NUMBER"), ("a=b", "NAME=NUMBER")]
)
def test_a_wrong_limit_is_one_sentence(limit: str, told: str) -> None:
    done = command("serve", "tcp://127.0.0.1:0", "--limit", limit)
    assert done.returncode == 2
    assert told in only_line(done.stderr)


# -- trigger and listen --------------------------------------------------------------------------


@pytest.mark.usefixtures("chatter")
def test_listen_prints_lines_of_json_when_piped(url: str) -> None:
    done = command("listen", "*", "e", "--count", "2", "--meta", url=url)
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["sender"], r["event"], r["data"]) for r in records] == [("a", "e", {"minutes": 12})] * 2
    assert records[1]["seq"] == records[0]["seq"] + 1
    assert records[0]["time"] <= records[1]["time"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [None]),
        (["minutes=12", "name=x", 'tags=["a"]'], [{"minutes": 12, "name": "x", "tags": ["a"]}]),
        (['{"a": 1}'], [{"a": 1}]),
        (["hello"], ["hello"]),
        (["21.5"], [21.5]),
        (["-"], [{"a": 1}, [2]]),
    ],
)
def test_trigger_sends_what_is_typed(
    server: sig.ServerRouter, url: str, words: list[str], expected: list[object]
) -> None:
    got: list[object] = []
    server.listen(lambda info, data: got.append(data), "lab/oven", "done")
    done = command("trigger", "lab/oven", "done", *words, "--url", url, text='{"a":1}\n\n[2]\n')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.flush()
    server.close()
    assert got == expected


def test_listen_ends_after_its_seconds(url: str) -> None:
    done = command("listen", "--seconds", "0.2", url=url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("chatter")
def test_listen_ends_on_ctrl_c(url: str) -> None:
    with running("listen", url=url) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")


@pytest.mark.usefixtures("chatter")
def test_listen_says_that_the_server_has_gone(server: sig.ServerRouter, url: str) -> None:
    with running("listen", url=url) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        server.close()
        _, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 3
        assert "the server has gone" in err


@pytest.mark.usefixtures("chatter")
def test_a_reader_that_leaves_ends_listen_quietly(url: str) -> None:
    with running("listen", url=url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(LIMIT_S) == 0
        assert process.stderr.read() == ""


# -- request and senders -------------------------------------------------------------------------


def test_request_prints_the_answer(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/laser", requests={"set": lambda params: {"was": params}})
    done = command("request", "lab/laser", "set", "mw=40", "--url", url)
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"was": {"mw": 40}}, "")


def test_request_of_nothing_prints_null(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("s", requests={"m": lambda params: None})
    assert command("request", "s", "m", url=url).stdout == "null\n"


@pytest.mark.parametrize(
    ("sender", "method", "code", "told"),
    [
        ("s", "fail", 1, "the handler failed: KeyError"),
        ("s", "refuse", 1, "the handler refused (interlock): door open"),
        ("s", "absent", 2, "has no request 'absent'"),
        ("silent", "m", 2, "silent"),
        ("nobody", "m", 3, "'nobody' is not connected"),
        ("s", "", 2, "cannot be empty"),
    ],
)
def test_what_goes_wrong_is_a_code_and_a_sentence(
    server: sig.ServerRouter, url: str, sender: str, method: str, code: int, told: str
) -> None:
    server.add_sender("s", requests={"fail": fail, "refuse": refuse})
    server.add_sender("silent", "e")
    done = command("request", sender, method, url=url)
    assert done.returncode == code
    assert done.stdout == ""
    assert told in only_line(done.stderr)


def test_an_answer_that_does_not_come_is_code_4(server: sig.ServerRouter, url: str) -> None:
    hold = threading.Event()
    server.add_sender("s", requests={"wait": lambda params: hold.wait(LIMIT_S)})
    done = command("request", "s", "wait", "--timeout", "0.2", url=url)
    hold.set()
    assert done.returncode == 4
    assert "within 0.2 s" in only_line(done.stderr)


def test_senders_lists_who_is_there(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/laser", "state", {"set": lambda params: None})
    server.add_sender("oven", "done")
    assert [json.loads(line)["name"] for line in command("senders", url=url).stdout.splitlines()] == [
        "lab/laser",
        "oven",
    ]
    (only,) = command("senders", "lab/*", "--json", url=url).stdout.splitlines()
    found = json.loads(only)
    assert (found["events"], found["requests"], found["address"]) == (["state"], ["set"], "local")


# -- mistakes ------------------------------------------------------------------------------------


def test_nobody_there_is_code_3() -> None:
    done = command("senders", "--url", "tcp://127.0.0.1:1")
    assert done.returncode == 3
    assert "start a server there" in only_line(done.stderr)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "nonsense"),
        (["request", "s"], "METHOD"),
        (["senders", "--url", "nonsense"], "has no scheme"),
        (["senders", "--url", "smoke://signals"], "unknown scheme 'smoke'"),
        (["senders", "--no-such-option"], "no-such-option"),
        (["listen", "a**"], "'*'"),
        (["trigger", "s", "e", "{broken"], "looks like JSON and is not"),
        (["trigger", "s", "e", "two", "words"], "quote the JSON"),
        (["trigger", "s", "#connect"], "triggered by routers only"),
        (["trigger", "s", "e", "-"], "line 1 of the input is not JSON"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(url: str, words: list[str], told: str) -> None:
    done = command(*words, url=url, text="not json\n")
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in only_line(done.stderr)


def test_help_and_version() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert "sig listen 'lab/**'" in done.stdout
    assert command("--version").stdout.strip() == sig.__version__
    assert "--count" in command("listen", "--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str) -> None:
    done = command("completion", shell)
    assert done.returncode == 0
    assert "listen" in done.stdout


@pytest.mark.parametrize(
    ("missing", "words", "extra"), [("cyclopts", ["senders"], "pysig[cli]"), ("psutil", ["demo"], "pysig[demo]")]
)
def test_a_missing_extra_is_one_sentence(missing: str, words: list[str], extra: str) -> None:
    # `None` in the table of modules is how Python is told that there is none.
    program = f"import sys; sys.modules[{missing!r}] = None; from sig.cli import main; sys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 2
    assert extra in only_line(done.stderr)


# -- at a terminal -------------------------------------------------------------------------------


def at_terminal(*words: str, url: str) -> str:
    """What a person sees: the command runs on a pseudo terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "sig", *words],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environment(url, TERM="xterm", COLUMNS="120"),
        )
        os.close(theirs)
        theirs = -1
        seen = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how a pseudo terminal says that everybody has gone
                break
            if not part:
                break
            seen += part
        assert process.wait(LIMIT_S) == 0
        return seen.decode()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def test_people_see_tables_and_colours(server: sig.ServerRouter, url: str) -> None:
    server.add_sender("lab/[red]laser", "state", {"set": lambda params: {"a": 1}, None: lambda method, params: None})
    seen = at_terminal("senders", url=url)
    assert "lab/[red]laser" in seen
    assert "(any)" in seen
    assert "\x1b[" in at_terminal("request", "lab/[red]laser", "set", url=url)
    assert "nobody is connected" in at_terminal("senders", "absent", url=url)


@pytest.mark.usefixtures("chatter")
def test_people_see_events_in_colour(url: str) -> None:
    seen = at_terminal("listen", "--count", "1", url=url)
    assert "minutes" in seen
    assert "\x1b[" in seen
