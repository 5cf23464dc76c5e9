"""A screen for all tests here, and a window of each toolkit for each of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest
from gui.windows import KINDS, Window, display, wait


@pytest.fixture(scope="session")
def screen() -> Iterator[None]:
    before = os.environ.get("DISPLAY")
    server = display()
    yield
    if before is None:
        os.environ.pop("DISPLAY", None)
    else:
        os.environ["DISPLAY"] = before
    if server is not None:
        assert server.stdout is not None
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest, screen: None) -> str:
    """A toolkit that works; what it sets up once in a process is there after this."""
    name: str = request.param
    first = KINDS[name]()
    done = first.executor.submit(lambda: None)
    wait(first, done.done)
    first.destroy()
    return name


@pytest.fixture
def window(kind: str) -> Iterator[Window]:
    made = KINDS[kind]()
    yield made
    made.destroy()


@pytest.fixture
def threads_take_turns() -> Iterator[Callable[[float], None]]:
    """How long a thread may go on while another waits for the interpreter, in seconds."""
    before = sys.getswitchinterval()
    yield sys.setswitchinterval
    sys.setswitchinterval(before)
