"""The demo while it goes on: a live table at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sig.cli.output import as_json
from sig.cli.tables import printable
from sig.demo.repeat import repeating
from sig.demo.tally import Kind, Note, Snapshot, Tally, percentiles

# What is shown of the past.
_NOTES = 10
_STYLES: dict[Kind, str] = {"act": "bold", "presence": "yellow", "answer": "cyan", "missed": "red"}
# Often enough to see it go on, seldom enough for a log.
_LINE_S = 2.0


def live(tally: Tally, console: Console, title: str) -> Live:
    """While the block runs, a table that changes in place."""
    began = time.monotonic()

    def now() -> RenderableType:
        moment = time.monotonic()
        return picture(tally.snapshot(), f"{title}   {moment - began:.0f} s", moment)

    return Live(console=console, get_renderable=now, refresh_per_second=4)


@contextmanager
def plain(tally: Tally, console: Console) -> Iterator[None]:
    """While the block runs, a line every two seconds. Notes are lines too: the tally tells them."""

    def line() -> None:
        now = time.monotonic()
        rows = tally.snapshot().rows.items()
        counts = [f"{sender} {event}: {row.count} events, {row.rate(now):.1f}/s" for (sender, event), row in rows]
        console.print(Text("; ".join(counts) or "waiting for the first event"))

    with repeating(_LINE_S, line):
        yield


def styled(note: Note) -> Text:
    """A note as one line."""
    return Text(printable(note.text), _STYLES[note.kind], no_wrap=True, overflow="ellipsis")


def picture(seen: Snapshot, title: str, now: float) -> Group:
    """All of it, as rich draws it."""
    table = Table("sender", "event", box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for head in ("count", "/s", "p50 ms", "last ms"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("data", no_wrap=True, overflow="ellipsis", ratio=1)
    for (sender, event), row in seen.rows.items():
        latencies = list(row.latencies_ms)
        p50, last = (f"{percentiles(latencies)['p50']:.2f}", f"{latencies[-1]:.2f}") if latencies else ("", "")
        figures = (str(row.count), f"{row.rate(now):.1f}", p50, last)
        table.add_row(Text(sender), Text(event), *figures, Text(printable(as_json(row.last))))
    notes = [styled(note) for note in seen.notes[-_NOTES:]]
    return Group(
        Text(title, "bold"), table, *notes, Text(f"events missed: {seen.missed}", "red" if seen.missed else "green")
    )
