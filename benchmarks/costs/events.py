"""What an event costs over the codec alone: `trigger`, `dispatch` and `forward`, in rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks.costs import dispatch, forward, trigger
from benchmarks.costs.rows import BUDGETS, QUICK, Effort, Outcome, Row
from benchmarks.progress import say
from benchmarks.rounds import rotated
from benchmarks.tables import Table, cell, whole

ROUNDS = 15
PARTS = {"trigger": trigger.ways, "dispatch": dispatch.ways, "forward": forward.ways}
TITLES = {
    "trigger": "signal.trigger with packing, ns for an event over encoding it",
    "dispatch": f"dispatch of batches of {dispatch.EVENTS}, ns for an event over decoding it",
    "forward": "forwarding in the server, ns for an event that comes in",
}


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Measure: each part in rounds of its own, all its ways set up from beginning to end."""
    effort = QUICK if quick else Effort()
    rows = [row for part in PARTS if not only or part in only for row in _part(part, rounds, effort)]
    return Outcome({"rows": [row.as_json() for row in rows]}, list(tables(rows)))


def _part(part: str, rounds: int, effort: Effort) -> list[Row]:
    with ExitStack() as ends:
        ways = {name: ends.enter_context(way) for name, way in PARTS[part]()}
        figures: dict[str, list[list[float]]] = {name: [] for name in ways}
        for number, name in rotated(list(ways), rounds):
            say(f"{part}, round {number + 1} of {rounds}: {name}")
            figures[name].append(ways[name](effort))
    return [_row(part, name, rounds) for name, rounds in figures.items()]


def _row(part: str, way: str, rounds: list[list[float]]) -> Row:
    first, *codec = map(list, zip(*rounds, strict=True))
    return Row(part, way, first, codec[0] if codec else None)


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    for part in dict.fromkeys(row.part for row in rows):
        yield _table(part, [row for row in rows if row.part == part])


def _table(part: str, rows: Sequence[Row]) -> Table:
    if part not in BUDGETS:
        return Table(TITLES[part], ["", "ns"], [[row.way, cell(row.spread, whole)] for row in rows])
    must, goal = BUDGETS[part]
    head = ["", "ns", "codec alone", "over it", f"must {must:.0f}, goal {goal:.0f}"]
    return Table(
        TITLES[part],
        head,
        [[row.way, *(cell(f, whole) for f in (row.spread, row.alone, row.over)), row.verdict] for row in rows],
    )
