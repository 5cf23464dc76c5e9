"""A server as a service: told to reload, told to end, and telling how it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from queue import SimpleQueue

from msgspec.structs import asdict

import sig
from sig.cli import errors
from sig.cli.config import Settings
from sig.cli.notify import Notifier
from sig.cli.output import complain
from sig.errors import SigError
from sig.log import logger

_START_S = 5.0  # how long the loop may take to hear that it is watched


class Service:
    """A server that runs.

    Args:
        server: has been started.
        settings: with which.
        reread: what they are now. Raises `SigError` where they are wrong.
        notify: who is told.
    """

    def __init__(
        self, server: sig.ServerRouter, settings: Settings, reread: Callable[[], Settings], notify: Notifier
    ) -> None:
        self._server = server
        self._settings = settings
        self._reread = reread
        self._notify = notify
        self._urls = dict(zip(settings.urls, server.urls, strict=True))  # as wanted, and as bound

    def run(self, told: SimpleQueue[bool]) -> int:
        """Serve until told to end; returns the exit code. On the main thread."""
        try:
            self._show(self._server.urls)
            self._server._on_loop(self._notify.watch(), _START_S)
            self._notify.ready(self._status())
            while told.get():
                self._notify.reloading()
                self._reload()
                self._notify.ready(self._status())
            self._notify.stopping()
            if not self._server.drain():
                limit = self._server.limits.drain_timeout_s
                logger.warning(f"requests are still under way after {limit:g} s (drain_timeout_s): they are cut off")
            self._server.close()
        except KeyboardInterrupt:
            return errors.INTERRUPTED  # told so twice
        finally:
            self._server.close(0)  # of no effect on one that has closed
        return errors.ANSWERED

    def _reload(self) -> None:
        try:
            wanted = self._reread()
            self._server.reload()
            for url in wanted.urls:
                if url not in self._urls:
                    self._urls[url] = self._server.add_carrier(url)
                    self._show([self._urls[url]])
            for url in [url for url in self._urls if url not in wanted.urls]:
                self._server.remove_carrier(self._urls.pop(url))
        except SigError as error:
            complain(f"not all was reloaded: {error}")
            return
        before, now = asdict(self._settings), asdict(wanted)
        late = [name for name in now if name != "urls" and now[name] != before[name]]
        if late:
            logger.warning(f"{', '.join(late)}: changes here take effect when the server is started anew")
        self._settings = wanted

    def _show(self, urls: list[str]) -> None:
        hint = " (Ctrl-C ends it)" if sys.stdout.isatty() else ""
        for url in urls:
            print(f"serving {url}{hint}", flush=True)

    def _status(self) -> str:
        return f"serving {', '.join(self._server.urls)}"
