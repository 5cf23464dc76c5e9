"""`sig trigger`: what it sends, from the command line and from a pipe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from cli.commands import LIMIT_S, command, only_line, running
from cli.conftest import Here

import sig
from sig.cli import values


class Heard:
    """The data of `done` of lab/oven, as it comes."""

    def __init__(self, server: sig.ServerRouter) -> None:
        self.data: list[object] = []
        self._came = threading.Condition()
        server.listen(self._hear, "lab/oven", "done")

    def _hear(self, info: sig.Info, data: object) -> None:
        with self._came:
            self.data.append(data)
            self._came.notify()

    def wait(self, count: int) -> list[object]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.data) >= count, LIMIT_S)
            return self.data


@pytest.fixture
def heard(server: sig.ServerRouter) -> Iterator[Heard]:
    yield Heard(server)
    server.close()


def test_it_comes_triggers_and_leaves(server: sig.ServerRouter, url: str) -> None:
    told: list[tuple[str, object]] = []
    with sig.connect(url) as client:
        client.listen(lambda info, data: told.append((info.event, data)), "lab/oven")
        done = command("trigger", "lab/oven", "done", "minutes=12", "--url", url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        client.flush()
    assert told == [
        ("#connect", {"events": ["done"], "requests": None}),
        ("done", {"minutes": 12}),
        ("#disconnect", {"events": ["done"], "requests": None, "reason": "closed"}),
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["minutes=12", "name=x", 'tags=["a"]', "empty=", "eq=a=b"],
         {"minutes": 12, "name": "x", "tags": ["a"], "empty": "", "eq": "a=b"}),
        (['{"a": 1}'], {"a": 1}),
        (["hello"], "hello"),
        (['"a=b"'], "a=b"),
        (['"--a"'], "--a"),
        (["007"], "007"),
        (["21.5"], 21.5),
        (["-5"], -5),
        (["x=-5"], {"x": -5}),
    ],
)  # fmt: skip
def test_it_sends_what_is_typed(here: Here, heard: Heard, words: list[str], expected: object) -> None:
    assert here("trigger", "lab/oven", "done", *words) == (0, "", "")
    assert heard.wait(1) == [expected]


def test_a_line_of_standard_input_is_an_event(url: str, heard: Heard) -> None:
    done = command("trigger", "lab/oven", "done", "-", url=url, text='{"a":1}\n\n[2]\n"three"')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert heard.wait(3) == [{"a": 1}, [2], "three"]


def test_lines_are_sent_as_they_come_and_ctrl_c_is_130(url: str, heard: Heard) -> None:
    with running("trigger", "lab/oven", "done", "-", url=url) as process:
        assert process.stdin is not None
        for number in (1, 2):
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            assert heard.wait(number)[-1] == number
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_server_that_goes_is_told_once() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        heard = Heard(server)
        with running("trigger", "lab/oven", "done", "-", url=server.urls[0]) as process:
            assert process.stdin is not None
            process.stdin.write("1\n")
            process.stdin.flush()
            heard.wait(1)
            server.close()
            _, told = process.communicate("2\n", LIMIT_S)
    assert process.returncode == 3
    assert only_line(told).startswith("sig: ")


def test_lines_before_a_wrong_one_are_sent(here: Here, heard: Heard) -> None:
    done = here("trigger", "lab/oven", "done", "-", text="1\nnot json\n3\n")
    assert done.code == 2
    assert "line 2 of the input is not JSON" in only_line(done.err)
    assert heard.wait(1) == [1]


def test_input_that_is_no_text_is_one_sentence() -> None:
    with pytest.raises(sig.InvalidArgument, match="line 1 of the input is not JSON"):
        list(values._lines([b'"\xff"\n']))


def test_a_name_that_is_held_is_code_1(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("lab/oven", "done")
    done = here("trigger", "lab/oven", "done")
    assert done.code == 1
    assert "already connected; use another name" in only_line(done.err)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{broken"], "looks like JSON and is not"),
        (["a={broken"], "looks like JSON and is not"),
        (["two", "words"], "quote it as a whole"),
        (["a=1", "word"], "quote it as a whole"),
        (["a=1", "a=2"], "given before"),
        (["=2"], "no key"),
        (["--urk=5"], "there is no option '--urk=5'"),
        (["-v"], "there is no option '-v'"),
        (["\udcff"], "surrogates not allowed"),
    ],
)
def test_what_cannot_be_meant_is_refused(here: Here, server: sig.ServerRouter, words: list[str], told: str) -> None:
    done = here("trigger", "lab/oven", "done", *words)
    assert (done.code, done.out) == (2, "")
    assert told in only_line(done.err)
