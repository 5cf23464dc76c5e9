"""The demo on a screen: a live table at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sig.cli.output import as_json
from sig.demo.tally import Tally, percentiles


class View(Protocol):
    """What shows the tally."""

    def __enter__(self) -> View: ...

    def __exit__(self, *error: object) -> None: ...

    def update(self, headline: str) -> None: ...


class LiveView:
    """A table that changes in place."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._live: Live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def update(self, headline: str) -> None:
        self._live.update(picture(self._tally, headline))


class PlainView:
    """A line whenever something of note has happened, for logs and pipes."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._said = 0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *error: object) -> None:
        self.update("")

    def update(self, headline: str) -> None:
        _, presence, answers, _ = self._tally.snapshot()
        notes = [*presence, *answers] if not headline else presence
        for note in notes[self._said :]:
            self._console.print(escape(note))
        self._said = max(self._said, len(notes))


class NoView:
    """Nothing: for `--json`."""

    def __enter__(self) -> NoView:
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self, headline: str) -> None: ...


def picture(tally: Tally, headline: str) -> Group:
    """All of it, as rich draws it."""
    rows, presence, answers, missed = tally.snapshot()
    table = Table("sender", "event", "count", "per second", "latency p50, last (ms)", "data", title=escape(headline))
    now = time.monotonic()
    for sender, event, row in rows:
        latencies = list(row.latencies_ms)
        shown = f"{percentiles(latencies)['p50']:.2f}, {latencies[-1]:.2f}" if latencies else ""
        table.add_row(sender, event, str(row.count), f"{row.rate(now):.1f}", shown, escape(as_json(row.last)[:60]))
    lines = [f"[yellow]{escape(note)}[/]" for note in presence[-4:]] + [f"[cyan]{escape(a)}[/]" for a in answers[-3:]]
    return Group(table, Text.from_markup("\n".join([*lines, f"events missed: {missed}"])))


def show_summary(console: Console, summary: dict[str, object], seconds: float) -> None:
    """The summary, for people."""
    table = Table("sender and event", "events", "latency p50 (ms)", "p99 (ms)", title=f"{seconds:.0f} seconds of sig")
    events, latencies = summary["events"], summary["latency_ms"]
    assert isinstance(events, dict)
    assert isinstance(latencies, dict)
    for name, count in events.items():
        found = latencies.get(name, {})
        table.add_row(escape(name), str(count), str(found.get("p50", "")), str(found.get("p99", "")))
    console.print(table)
    presence = summary["presence"]
    assert isinstance(presence, list)
    console.print(f"presence: {escape('; '.join(presence))}")
    console.print(f"requests answered: {summary['requests_answered']}; events missed: {summary['missed']}")
    console.print("Latency: from the sender's call to the listener's, through the server, by this machine's clock.")
