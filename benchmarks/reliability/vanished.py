"""Peers that stop without a word, while their system holds the link: how soon does the other end know?"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import Any

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Outcome, server, table
from benchmarks.reliability.program import Program
from sig.constants import Limits

SETTINGS = {"by default": Limits().heartbeat_timeout_s, "tuned": 2.0}
# What is due at a moment is done a little later on a machine that has other things to do.
LATE_S = 1.0


class Watch:
    """One end of a link whose other end is stopped, and when that was noticed."""

    def __init__(self, name: str, limit: float, stopped: Program | subprocess.Popen[str]) -> None:
        self.name = name
        self.limit = limit
        self._process = stopped.process if isinstance(stopped, Program) else stopped
        self._began = 0.0
        self.seconds: float | None = None
        self.noticed = threading.Event()

    def begin(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self._began = time.monotonic()

    def tell(self) -> None:
        self.seconds = time.monotonic() - self._began
        self.noticed.set()


def run(quick: bool, seed: int) -> Outcome:
    settings = {"tuned": SETTINGS["tuned"]} if quick else SETTINGS
    watches: list[Watch] = []
    with ExitStack() as stack:
        for how, limit in settings.items():
            watches += [_client_stops(stack, how, limit), _server_stops(stack, how, limit)]
        say(f"vanished: up to {max(settings.values()):g} s")
        for watch in watches:
            watch.begin()
        for watch in watches:
            watch.noticed.wait(watch.limit + LIMIT_S)
    told: dict[str, Any] = {}
    rows, failures = [], []
    for watch in watches:
        seconds = watch.seconds
        told[watch.name] = None if seconds is None else round(seconds, 3)
        rows.append([watch.name, "never" if seconds is None else f"{seconds:.1f} s", f"{watch.limit:g} s"])
        if seconds is None or seconds > watch.limit + LATE_S:
            failures.append(f"{watch.name}: noticed after {rows[-1][1]}, and {watch.limit:g} s must do")
    return Outcome(told, table("a peer that vanishes is noticed after", rows), failures)


def _client_stops(stack: ExitStack, how: str, limit: float) -> Watch:
    """A server sees it, and others are told that its sender has left; here after no grace worth the name."""
    child = stack.enter_context(server(heartbeat_timeout_s=limit, presence_grace_s=0.001))
    victim = stack.enter_context(Program("victim", child.url))
    watch = Watch(f"a client, {how}", limit, victim)
    client = stack.enter_context(sig.connect(child.url))
    client.listen(lambda info, data: watch.tell(), "victim", "#disconnect")
    if not client.sender("victim").wait(LIMIT_S):
        raise TimeoutError("the client that will be stopped has not come")
    return watch


def _server_stops(stack: ExitStack, how: str, limit: float) -> Watch:
    child = stack.enter_context(server(heartbeat_timeout_s=limit))
    watch = Watch(f"a server, {how}", limit, child.process)
    client = sig.connect(child.url)
    stack.callback(client.close, 0.1)
    client.on_disconnected = watch.tell
    return watch
