"""A server for the commands to talk to, and the commands in this process."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import pytest

import sig
from sig.cli import main


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


@pytest.fixture
def url(server: sig.ServerRouter) -> str:
    return server.urls[0]


@contextmanager
def chattering(trigger: Callable[[], object]) -> Iterator[None]:
    """While the block runs, `trigger` is called again and again: a process that is starting hears it in the end."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.02):
            try:
                trigger()
            except sig.SigError:
                return  # the test has closed the server

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def chatter(server: sig.ServerRouter) -> Iterator[None]:
    """Sender `a` triggers `e` all the time."""
    sender = server.add_sender("a", "e")
    with chattering(lambda: sender.trigger("e", {"minutes": 12})):
        yield


class Done(NamedTuple):
    code: int
    out: str
    err: str


Here: TypeAlias = Callable[..., Done]


@pytest.fixture
def here(url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """Runs a command in this process, at a pipe, against the server."""
    monkeypatch.setenv("SIG_URL", url)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str, text: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        capfd.readouterr()
        code = main(list(words))
        return Done(code, *capfd.readouterr())

    return run
