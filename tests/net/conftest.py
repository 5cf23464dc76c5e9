"""A server of its own for each test, and those who connect to it. A file that wants another writes it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from net.proxy import Proxy

import sig


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


@pytest.fixture
def connect(server: sig.ServerRouter) -> Iterator[Callable[..., sig.ClientRouter]]:
    """Connects with these options; all are closed behind the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(sig.connect(server.urls[0], **options))


@pytest.fixture
def owner(connect: Callable[..., sig.ClientRouter]) -> sig.ClientRouter:
    """Whose senders they are."""
    return connect()


@pytest.fixture
def caller(connect: Callable[..., sig.ClientRouter]) -> sig.ClientRouter:
    """Who asks them."""
    return connect()


@pytest.fixture
def proxy(server: sig.ServerRouter) -> Iterator[Proxy]:
    """A way to the server that the test can cut."""
    with Proxy(server.urls[0]) as proxy:
        yield proxy
