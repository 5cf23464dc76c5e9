"""A browser, and pages in it that have imported `sig.js`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from examples.programs import EXAMPLES

import sig

from . import chromium
from .tabs import Script, tab


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    with chromium.running() as browser:
        yield browser


@pytest.fixture(scope="session")
def origin() -> Iterator[str]:
    """Where pages with `sig.js` come from."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", EXAMPLES / "browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as pages:
        assert pages.stdout is not None
        port = pages.stdout.readline().partition(" port ")[2].split()[0]
        yield f"http://127.0.0.1:{port}"
        pages.kill()


@pytest.fixture
def server(origin: str) -> Iterator[sig.ServerRouter]:
    with sig.serve("ws://127.0.0.1:0", origins=[origin]) as server:
        yield server


@pytest.fixture
def page(browser: chromium.Browser, origin: str, server: sig.ServerRouter) -> Iterator[Script]:
    """Runs a script in a page; `connect` is imported, and `router` is connected."""
    with tab(browser, origin, server.urls[0]) as script:
        script("window.router = await connect(url, { name: 'page' });")
        yield script
