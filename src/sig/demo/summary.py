"""How the demo went."""

from __future__ import annotations

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sig.demo.tally import Snapshot, percentiles


class Summary(msgspec.Struct, kw_only=True):
    """What is told at the end; with `--json`, these are the keys."""

    seconds: float
    events: dict[str, int]
    latency_ms: dict[str, dict[str, float]]
    requests_answered: int
    presence: list[str]
    missed: int
    problems: list[str]


def summary(seen: Snapshot, *, seconds: float, missed: int, problems: list[str]) -> Summary:
    """The summary of what was seen; `missed` is what the listener itself was told of, whatever the numbers say."""
    return Summary(
        seconds=round(seconds, 1),
        events={f"{sender} {event}": row.count for (sender, event), row in seen.rows.items()},
        latency_ms={
            f"{s} {e}": percentiles(list(row.latencies_ms)) for (s, e), row in seen.rows.items() if row.latencies_ms
        },
        requests_answered=len(seen.texts("answer")),
        presence=seen.texts("presence"),
        missed=max(seen.missed, missed),
        problems=problems,
    )


def show(summary: Summary, console: Console) -> None:
    """For people."""
    console.print(f"\n{summary.seconds:.0f} seconds of sig")
    table = Table("sender and event", box=SIMPLE_HEAD, pad_edge=False)
    for head in ("events", "latency p50 (ms)", "p99 (ms)"):
        table.add_column(head, justify="right")
    for name, count in summary.events.items():
        latency = summary.latency_ms.get(name, {})
        table.add_row(Text(name), str(count), *(f"{latency[p]:.2f}" if p in latency else "" for p in ("p50", "p99")))
    console.print(table)
    console.print(
        "latency: from just before the sender's trigger to the listener's call, through the server, "
        "by the wall clock of this machine, which all processes share"
    )
    console.print(Text(f"presence: {'; '.join(summary.presence)}"))
    console.print(f"requests answered: {summary.requests_answered}; events missed: {summary.missed}")
    for problem in summary.problems:
        console.print(Text("not as expected: ", "red").append(problem, "default"))
