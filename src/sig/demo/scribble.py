"""Changes in a folder, for the demo to have something to see."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sig.demo.repeat import repeating

PERIOD_S = 0.25


@contextmanager
def scribbling(folder: Path) -> Iterator[None]:
    """While the block runs, a file there is written again and again, and another comes and goes."""
    steps = itertools.count(1)

    def scribble() -> None:
        step = next(steps)
        (folder / "journal.txt").write_text(f"step {step}\n")
        if step % 2:
            (folder / "note.txt").write_text("here\n")
        else:
            (folder / "note.txt").unlink()

    with repeating(PERIOD_S, scribble):
        yield
