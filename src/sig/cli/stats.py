"""`sig stats`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

import sig
from sig.cli import errors
from sig.cli.options import Codec, Json, Url
from sig.cli.output import Output, reader_has_gone
from sig.cli.signals import until_signal
from sig.cli.tables import printable, table
from sig.stats import LinkStats, SenderStats, Stats, Totals

EXAMPLES = """Examples:

    sig stats                     who is there, what is triggered
    sig stats --watch             the same each second, with rates
    sig stats | jq .totals        one JSON object when piped
    sig stats --watch --json | jq '.links[] | select(.missed > 0) | .name'

Clients come first for whom most waits, events first that are triggered most.
"""

_EVERY_S: Final = 1.0


def stats(
    *,
    watch: Annotated[
        bool, Parameter(negative="", show_default=False, help="again each second, with rates, until Ctrl-C")
    ] = False,
    rows: Annotated[int, Parameter(help="so many clients and events at most", validator=Number(gte=0, lte=1000))] = 20,
    json: Json = False,
    codec: Codec = "json",
    url: Url = None,
) -> int:
    """Tell what a server has done, and for whom something waits."""
    with sig.connect(url, codec=codec, reconnect=False, name="sig stats") as router:
        output = Output(json)
        if not watch:
            show(output, router.stats(rows))
            return errors.ANSWERED
        with until_signal() as stopped, _Screen(output) as screen:
            router.on_disconnected = stopped.set
            screen.show(router.stats(rows))
            while not stopped.wait(_EVERY_S) and not reader_has_gone():
                screen.show(router.stats(rows))
        router.wait(0)  # raises what the link has ended with
    return errors.ANSWERED


def show(output: Output, stats: Stats) -> None:
    """Once."""
    if output.json:
        output.value(stats)
    else:
        Console(highlight=False).print(Group(*_tables(stats, None)))


class _Screen:
    """Shows the last of several: over the one before, or as one more line of JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._before: Stats | None = None
        self._live = None if output.json else Live(console=Console(highlight=False), auto_refresh=False)

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, stats: Stats) -> None:
        if self._live is None:
            self._output.value(stats)
        else:
            self._live.update(Group(*_tables(stats, self._before)), refresh=True)
        self._before = stats


def _tables(now: Stats, before: Stats | None) -> Iterator[Table | Text]:
    yield Text(_sentence(now.totals) + "\n")
    seconds = now.time - before.time if before is not None else 0.0
    yield _totals(now.totals, before.totals if before is not None else None, seconds)
    yield Text()
    links = {link.client: link for link in before.links} if before is not None else {}
    yield _links(now.links, links, seconds)
    events = {(row.sender, row.event): row for row in before.senders} if before is not None else {}
    if now.senders:
        yield Text()
        yield _events(now.senders, events, seconds)


def _totals(now: Totals, before: Totals | None, seconds: float) -> Table:
    shown = table("", "in", "out")
    for name, show in (("events", _count), ("frames", _count), ("bytes", _size)):
        cells = []
        for way in ("in", "out"):
            count = getattr(now, f"{name}_{way}")
            text = show(count)
            if before is not None and seconds > 0:
                text += f"  {show(round((count - getattr(before, f'{name}_{way}')) / seconds))}/s"
            cells.append(Text(text, justify="right"))
        shown.add_row(name, *cells)
    return shown


def _sentence(totals: Totals) -> str:
    return (
        f"{_many(totals.clients, 'client')}, {_many(totals.senders, 'sender')} with {_many(totals.events, 'event')}, "
        f"{_many(totals.subscriptions, 'subscription')}\n{_size(totals.memory_bytes)} wait for slow clients, "
        f"{_many(totals.missed, 'event')} missed, {_many(totals.refused, 'link')} refused"
    )


def _links(links: list[LinkStats], before: dict[int, LinkStats], seconds: float) -> Table:
    shown = table("client", "address", "in", "out", "waiting", "missed", "requests")
    for link in links:
        earlier = before.get(link.client)
        if earlier is not None and seconds > 0:
            ways = [
                f"{_size(round((link.bytes_in - earlier.bytes_in) / seconds))}/s",
                f"{_size(round((link.bytes_out - earlier.bytes_out) / seconds))}/s",
            ]
        else:
            ways = [_size(link.bytes_in), _size(link.bytes_out)]
        waiting = _size(link.waiting_bytes) if link.waiting_bytes else ""
        missed = Text(_count(link.missed) if link.missed else "", "red", justify="right")
        requests = f"{link.requests_out} asked, {link.requests_in} to answer"
        asked = requests if link.requests_out or link.requests_in else ""
        name = Text(printable(link.name) or f"#{link.client}", "cyan")
        numbers = (Text(text, justify="right") for text in (*ways, waiting))
        shown.add_row(name, Text(printable(link.address), overflow="fold"), *numbers, missed, asked)
    return shown


def _events(rows: list[SenderStats], before: dict[tuple[str, str], SenderStats], seconds: float) -> Table:
    shown = table("sender", "event", "accepted", "rate", "receivers")
    for row in rows:
        earlier = before.get((row.sender, row.event))
        rate = ""
        if earlier is not None and seconds > 0:
            rate = f"{_count(round(((row.accepted or 0) - (earlier.accepted or 0)) / seconds))}/s"
        numbers = (Text(text, justify="right") for text in (_count(row.accepted or 0), rate, _count(row.receivers)))
        shown.add_row(Text(printable(row.sender), "cyan"), Text(printable(row.event), "green"), *numbers)
    return shown


def _count(number: int) -> str:
    return f"{number:,}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
