"""What an answer in parts carries: parts in a second, beside events of the same content in the same round, and memory.

Three processes over TCP. Parts wait for whoever takes them, events do not; half of the events' rate has to be reached,
and nobody's memory may grow with the number of parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.costs.rows import Outcome
from benchmarks.peers.children import Trouble
from benchmarks.peers.stage import Stage
from benchmarks.progress import say
from benchmarks.rounds import rotated, spread
from benchmarks.tables import Table, cell, number

ROUNDS = 3
FACES = ("blocking", "awaited")
PARTS = 1_000_000
ROUTE = "changed"
LIMIT_S = 120.0
MIB = 1024 * 1024
# What must be reached, of the rate of events.
SHARE = 0.5

tenths = "{:.1f}".format
hundredths = "{:.2f}".format


class Figures(NamedTuple):
    """One run: in a second, and by how many MiB each process has grown."""

    events: float
    parts: float
    owner: float
    server: float
    taker: float

    @property
    def share(self) -> float:
        return self.parts / self.events


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    found: dict[str, list[Figures]] = {face: [] for face in FACES}
    failures: list[str] = []
    for turn, face in rotated(FACES, rounds):
        say(f"streams, round {turn + 1} of {rounds}: {face}")
        try:
            with Stage(face, LIMIT_S, 0.001 if quick else 1.0, package="benchmarks.costs.faces") as stage:
                found[face].append(measure(stage))
        except Trouble as trouble:
            failures.append(f"{face}, round {turn + 1}: {trouble}")
    told = {face: [one._asdict() | {"share": one.share} for one in runs] for face, runs in found.items()}
    return Outcome({"streams": told}, [_table(found)], failures)


def measure(stage: Stage) -> Figures:
    """One run, after a tenth of it without the clock."""
    count = stage.scaled(PARTS, least=100)
    stage.serve()
    publisher, subscribers = stage.connect([ROUTE])
    stage.deliver(publisher, subscribers, "publish", count // 10)
    seconds, _ = stage.deliver(publisher, subscribers, "publish", count)
    owner, taker = stage.start("Giver"), stage.start("Taker")
    children = (owner, stage.server, taker)
    taker.ask("take", count=count // 10)
    before = [stage.memory_bytes([child.pid]) for child in children]
    told = taker.ask("take", count=count)
    grown = [(stage.memory_bytes([child.pid]) - start) / MIB for child, start in zip(children, before, strict=True)]
    return Figures(count / seconds, count / told["took"], *grown)


def _table(found: Mapping[str, Sequence[Figures]]) -> Table:
    rows = []
    for face, runs in found.items():
        if runs:
            rates = [cell(spread([getattr(one, name) for one in runs]), number) for name in ("events", "parts")]
            share = cell(spread([one.share for one in runs]), hundredths)
            grown = [
                cell(spread([getattr(one, name) for one in runs]), tenths) for name in ("owner", "server", "taker")
            ]
            rows.append([face, *rates, share, *grown])
    head = ["", "events/s", "parts/s", f"of it (must: {SHARE:g})", "owner, MiB more", "server", "taker"]
    return Table(f"{PARTS:,} parts of one answer, and as many events", head, rows)
