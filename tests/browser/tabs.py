"""Running scripts in pages that have imported `sig.js`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import chromium

Script = Callable[[str], Any]


@contextmanager
def tab(browser: chromium.Browser, origin: str, url: str) -> Iterator[Script]:
    with browser.page(f"{origin}/sig.js") as page:  # as good as any page from there
        page.run(f"window.url = {url!r}; window.connect = (await import('/sig.js')).connect; window.heard = [];")
        yield page.run
