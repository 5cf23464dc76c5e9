"""`--codec`: what a command says is in that, and what others say is shown as JSON whatever it was in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cli.commands import command, line_of, only_line, running
from cli.conftest import Here, chattering

import sig


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0", codec="msgpack") as server:
        yield server


def test_requests_and_lists_reach_a_server_of_another_codec(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"double": lambda params: (params["mw"] * 2, b"\x00\xff")})
    done = here("request", "s", "double", "mw=20", "--codec", "msgpack")
    assert (done.code, json.loads(done.out), done.err) == (0, [40, "AP8="], "")
    done = here("senders", "--codec=msgpack")
    assert (done.code, json.loads(done.out)["name"], done.err) == (0, "s", "")


def test_events_reach_a_server_of_another_codec(here: Here, server: sig.ServerRouter) -> None:
    events = server.events("lab/oven", "done")
    done = here("trigger", "lab/oven", "done", "minutes=12", "--codec", "msgpack")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert events.get(30).data == {"minutes": 12}


@pytest.mark.parametrize(
    ("data", "shown"),
    [({1: b"\x00"}, {"1": "AA=="}), ({None: 1}, "{None: 1}"), ([{(1, 2): float("nan")}], "[{(1, 2): nan}]")],
)
def test_what_json_has_no_word_for_is_shown_as_python_writes_it(
    server: sig.ServerRouter, url: str, data: object, shown: object
) -> None:
    sender = server.add_sender("s", "e")
    with (
        chattering(lambda: sender.trigger("e", data)),
        running("listen", "s", "e", "--count", "1", "--codec", "msgpack", url=url) as process,
    ):
        assert json.loads(line_of(process)) == {"sender": "s", "event": "e", "data": shown}


def test_who_chooses_none_understands_the_others(here: Here, server: sig.ServerRouter) -> None:
    server.add_sender("s", requests={"double": lambda params: (params["mw"] * 2, b"\x00\xff")})
    done = here("request", "s", "double", "mw=20")
    assert (done.code, json.loads(done.out), done.err) == (0, [40, "AP8="], "")


class Text:
    """A codec that the commands do not have."""

    name = "text"

    def encode(self, obj: object) -> bytes:
        return str(obj).encode()

    def decode(self, data: bytes) -> object:
        return data.decode()


@pytest.mark.parametrize("words", [["listen"], ["trigger", "s", "e"], ["request", "s", "m"], ["senders"]])
def test_no_codec_in_common_with_the_server_is_one_sentence_and_code_3(words: list[str]) -> None:
    with sig.serve("tcp://127.0.0.1:0", codec=Text()) as server:
        done = command(*words, url=server.urls[0])
    assert (done.returncode, done.stdout) == (3, "")
    assert "the client encodes with 'json' or 'msgpack', this server with 'text'" in only_line(done.stderr)


def test_a_codec_that_is_not_built_in_is_a_mistake(here: Here) -> None:
    done = here("senders", "--codec", "yaml")
    assert (done.code, done.out) == (2, "")
    assert "msgpack" in only_line(done.err)
