"""Sets the stage of the demo, and tells how it went."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

import sig
from sig.cli import errors
from sig.cli.output import as_json
from sig.demo import view
from sig.demo.play import Missing, Play
from sig.demo.scribble import scribbling
from sig.demo.summary import show, summary
from sig.demo.tally import Tally


def run(*, seconds: float, folder: str | None, json: bool, url: str) -> int:
    """Run it; returns the exit code."""
    if not 4 <= seconds < float("inf"):
        raise sig.InvalidArgument(f"--seconds {seconds:g} does not show anything: give at least 4")
    if folder is not None and not Path(folder).is_dir():
        raise sig.InvalidArgument(f"--folder {folder!r} is not a folder: name one that exists, or leave it out")
    plain = not json and not sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=plain)
    tally = Tally((lambda note: console.print(view.styled(note))) if plain else (lambda note: None))
    problems: list[str] = []
    began = time.monotonic()
    with ExitStack() as stack:
        # Who is killed is told to have left at once: its link does not come back, and nobody wants to watch that.
        server = stack.enter_context(sig.serve(url, presence_grace_s=0.5))
        (address,) = server.urls
        listener = stack.enter_context(sig.connect(address, name="sig demo"))
        subscription = listener.listen(tally.event, "machine/**", None, on_gap=tally.gap)
        if folder is None:
            watched = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sig-demo-")))
            stack.enter_context(scribbling(watched))
        else:
            watched = Path(folder)
        title = f"sig demo at {address}"
        if plain:
            console.print(f"{title}, for {seconds:g} s")
            stack.enter_context(view.plain(tally, console))
        elif not json:
            stack.enter_context(view.live(tally, console, title))
        play = Play(stack, listener, tally, url=address, folder=watched, changes=folder is None, seconds=seconds)
        try:
            play.run()
        except Missing as missing:
            problems.append(str(missing))
        result = summary(
            tally.snapshot(), seconds=time.monotonic() - began, missed=subscription.missed, problems=problems
        )
    if result.missed:
        problems.append(f"{result.missed} events were missed")
    if json:
        print(as_json(result))
    else:
        show(result, console)
    return errors.FAILED if problems else errors.ANSWERED
