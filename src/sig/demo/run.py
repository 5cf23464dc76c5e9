"""The demo's director: starts the processes, asks, kills one and brings it back, and sums up."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

import sig
from sig.cli.output import as_json
from sig.demo.tally import Tally
from sig.demo.view import LiveView, NoView, PlainView, View, show_summary

METRICS = "machine/metrics"
FILES = "machine/files"
# A child has to start an interpreter, on a machine that may be busy.
START_S = 30.0


def run(*, seconds: float, folder: str | None, json: bool, url: str) -> int:
    """Run it; returns the exit code."""
    if seconds < 4:
        raise sig.InvalidArgument(f"--seconds {seconds:g} is too short to see anything: give at least 4")
    if folder is not None and not Path(folder).is_dir():
        raise sig.InvalidArgument(f"--folder {folder!r} is not a folder: name one that exists, or leave it out")
    console = Console()
    tally = Tally()
    view: View = NoView() if json else LiveView(tally, console) if console.is_terminal else PlainView(tally, console)
    problems: list[str] = []
    started = time.monotonic()
    with ExitStack() as stack:
        own = folder is None
        watched = Path(
            folder if folder is not None else stack.enter_context(tempfile.TemporaryDirectory(prefix="sig-"))
        )
        server = stack.enter_context(sig.serve(url))
        listener = stack.enter_context(sig.connect(server.urls[0], name="demo listener"))
        subscription = listener.listen(tally.event, "machine/**", None, on_gap=tally.gap)
        stack.enter_context(view)
        address = server.urls[0]
        try:
            _play(stack, listener, tally, view, address, watched, own, seconds, started)
        except _Missing as missing:
            problems.append(str(missing))
        missed = subscription.missed
    summary = tally.summary()
    summary["missed"] = max(tally.missed, missed)
    summary["seconds"] = round(time.monotonic() - started, 1)
    if summary["missed"]:
        problems.append(f"{summary['missed']} events were missed")
    summary["problems"] = problems
    if json:
        print(as_json(summary))
    else:
        show_summary(console, summary, time.monotonic() - started)
        for problem in problems:
            console.print(f"[red]not as expected:[/] {problem}")
    return 1 if problems else 0


class _Missing(Exception):
    """Something that must happen did not."""


def _play(
    stack: ExitStack,
    listener: sig.ClientRouter,
    tally: Tally,
    view: View,
    address: str,
    watched: Path,
    own: bool,
    seconds: float,
    started: float,
) -> None:
    """The acts, in order; what remains of the time is spent watching."""

    def watch_until(moment: float) -> None:
        step = 0
        while (left := started + moment - time.monotonic()) > 0:
            step += 1
            if own:
                _change_something(watched, step)
            view.update(f"sig demo at {address}: {time.monotonic() - started:.0f} of {seconds:.0f} s")
            time.sleep(min(0.25, left))

    def expect(sender: str, event: str) -> Iterator[None]:
        flag = tally.flag(sender, event)
        yield
        if not flag.wait(START_S):
            raise _Missing(f"{sender} {event} did not come within {START_S:g} s")

    expected = contextmanager(expect)

    with expected(METRICS, "sample"):
        stack.enter_context(_child("sig.demo.metrics", address))
    with expected(FILES, sig.EVENT_CONNECT):
        files = stack.enter_context(_child("sig.demo.files", address, str(watched)))
    _ask(listener, tally, METRICS, "processes", {"count": 3})
    _ask(listener, tally, METRICS, "disk_usage", {"path": "/"})
    # The times of the acts count from here: children are slow to start on a busy machine.
    offset = time.monotonic() - started
    watch_until(offset + seconds / 2)
    with expected(FILES, sig.EVENT_DISCONNECT):
        files.send_signal(signal.SIGKILL)
    with expected(FILES, sig.EVENT_CONNECT):
        stack.enter_context(_child("sig.demo.files", address, str(watched)))
    _ask(listener, tally, FILES, "list", None)
    if own:
        # A watcher that has just started may not see the first change: one goes on until it does.
        flag = tally.flag(FILES, "changed")
        deadline = time.monotonic() + START_S
        step = 0
        while not flag.wait(0.1):
            step += 1
            _change_something(watched, step)
            if time.monotonic() > deadline:
                raise _Missing(f"{FILES} changed did not come within {START_S:g} s")
    watch_until(max(offset + seconds, time.monotonic() - started))


def _ask(listener: sig.ClientRouter, tally: Tally, sender: str, method: str, params: object) -> None:
    began = time.perf_counter()
    try:
        answer = listener.request(sender, method, params, timeout=START_S)
    except sig.SigError as error:
        raise _Missing(f"request {method!r} of {sender}: {error}") from error
    took = (time.perf_counter() - began) * 1000
    tally.answer(f"{sender} answered {method!r} in {took:.1f} ms: {as_json(answer)[:80]}")


def _change_something(folder: Path, step: int) -> None:
    """Real changes: a file is written anew, another comes and goes."""
    (folder / "journal.txt").write_text(f"step {step}\n")
    other = folder / "note.txt"
    if step % 2:
        other.write_text("here\n")
    else:
        other.unlink(missing_ok=True)


@contextmanager
def _child(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with us, at the latest."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
