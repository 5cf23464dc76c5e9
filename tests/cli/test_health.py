"""`sig health`: whether a server answers, in an exit code and one line."""

from __future__ import annotations

import json
import re

from cli.commands import only_line
from cli.conftest import Here

import sig
from sig.security import Policy


def test_a_server_that_answers_is_healthy(here: Here, url: str, server: sig.ServerRouter) -> None:
    with sig.connect(url) as client:
        client.add_sender("s", "e")
        done = here("health", url)
        assert (done.code, done.err) == (0, "")
        assert re.fullmatch(
            rf"{re.escape(url)} answers within [\d.]+ ms; clients: 1, senders: 1, waiting bytes: 0", only_line(done.out)
        )
    assert here("health").code == 0  # $SIG_URL


def test_in_json(here: Here, url: str) -> None:
    told = json.loads(only_line(here("health", "--json").out))
    assert told.pop("answer_s") > 0
    assert told == {"url": url, "healthy": True, "clients": 0, "senders": 0, "memory_bytes": 0}


def test_where_nobody_answers(here: Here, server: sig.ServerRouter, url: str) -> None:
    server.close()
    done = here("health", url)
    assert (done.code, done.out) == (3, "")
    assert "nobody serves at" in only_line(done.err)
    done = here("health", url, "--json")
    assert (done.code, done.err) == (3, "")
    told = json.loads(only_line(done.out))
    assert (told["healthy"], told["url"]) == (False, url)
    assert "nobody serves at" in told["error"]


def test_a_server_that_is_ending_is_not_healthy(here: Here, server: sig.ServerRouter, url: str) -> None:
    server.drain()
    assert here("health", url).code == 3


def test_one_that_may_not_see_statistics_knows_that_it_answers(
    here: Here,
    server: sig.ServerRouter,
    url: str,
) -> None:
    server.set_acl(Policy())
    done = here("health", url)
    assert (done.code, "clients" in done.out) == (0, False)
