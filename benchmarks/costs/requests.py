"""What a request costs: in the cores of its three ends, and in processes over TCP, one at a time and many.

On the clock is processor time, which other work on the machine disturbs far less than it does a rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks.costs import volley
from benchmarks.costs.rows import QUICK, Effort, Outcome, Row
from benchmarks.peers.children import Trouble
from benchmarks.peers.stage import Stage
from benchmarks.progress import say
from benchmarks.rounds import Spread, rotated, spread
from benchmarks.tables import Table, cell, number, whole

ROUNDS = 5
PARTS = ("cores", "processes")
tenths = "{:.1f}".format
ENDS = ("requester", "server", "owner")
LIMIT_S = 60.0


class Job(NamedTuple):
    """What a requester does, in which face all three processes are."""

    face: str
    flight: int
    requests: int

    @property
    def name(self) -> str:
        return f"{self.face}, {self.flight} in flight"


JOBS = (
    Job("awaited", 64, 50_000),
    Job("awaited", 1, 10_000),
    Job("blocking", 64, 30_000),
    Job("blocking", 1, 10_000),
)


class Figures(NamedTuple):
    """One run: microseconds of processor time for a request at each end, and requests in a second."""

    requester: float
    server: float
    owner: float
    rate: float

    @property
    def all(self) -> float:
        return self.requester + self.server + self.owner


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Each part in rounds of its own."""
    told: dict[str, Any] = {}
    shown: list[Table] = []
    failures: list[str] = []
    if not only or "cores" in only:
        rows = _cores(rounds, QUICK if quick else Effort())
        told["cores"] = [row.as_json() for row in rows]
        cells = [[row.way, cell(row.spread, whole)] for row in rows]
        shown.append(Table(f"a request in the cores alone, {volley.FLIGHT} in flight", ["", "ns"], cells))
    if not only or "processes" in only:
        found = _processes(rounds, 0.01 if quick else 1.0, failures)
        told["processes"] = [{"job": name, "rounds": [f._asdict() for f in runs]} for name, runs in found.items()]
        shown += _tables(found)
    return Outcome(told, shown, failures)


def _cores(rounds: int, effort: Effort) -> list[Row]:
    with ExitStack() as ends:
        ways = {name: ends.enter_context(way) for name, way in volley.ways()}
        figures: dict[str, list[float]] = {name: [] for name in ways}
        for turn, name in rotated(list(ways), rounds):
            say(f"cores, round {turn + 1} of {rounds}: {name}")
            figures[name] += ways[name](effort)
    return [Row("cores", name, found) for name, found in figures.items()]


def _processes(rounds: int, scale: float, failures: list[str]) -> dict[str, list[Figures]]:
    found: dict[str, list[Figures]] = {job.name: [] for job in JOBS}
    for turn, job in rotated(JOBS, rounds):
        say(f"processes, round {turn + 1} of {rounds}: {job.name}")
        try:
            with Stage(job.face, LIMIT_S, scale, package="benchmarks.costs.faces") as stage:
                found[job.name].append(measure(stage, job))
        except Trouble as trouble:
            failures.append(f"{job.name}, round {turn + 1}: {trouble}")
    return found


def measure(stage: Stage, job: Job) -> Figures:
    """One run of one job, after a tenth of it without the clock."""
    stage.serve()
    owner, requester = stage.start("Replier"), stage.start("Requester")
    children = (requester, stage.server, owner)
    count = stage.scaled(job.requests, least=10)

    def ask(count: int) -> float:
        if job.flight > 1:
            return float(requester.ask("ask_many", count=count, flight=job.flight)["took"])
        return float(requester.ask("ask", count=count)["p50"]) * count

    ask(max(10, count // 10))
    before = [child.ask("used_s") for child in children]
    took = ask(count)
    requester_us, server_us, owner_us = (
        (child.ask("used_s") - start) / count * 1e6 for child, start in zip(children, before, strict=True)
    )
    return Figures(requester_us, server_us, owner_us, count / took)


def _tables(found: Mapping[str, Sequence[Figures]]) -> Iterator[Table]:
    def column(runs: Sequence[Figures], name: str) -> Spread | None:
        return spread([getattr(one, name) for one in runs]) if runs else None

    rows = []
    for name, runs in found.items():
        spent = [cell(column(runs, which), tenths) for which in ("all", *ENDS)]
        rows.append([name, *spent, cell(column(runs, "rate"), number)])
    yield Table("a request between processes, us of processor time", ["", "all three", *ENDS, "requests/s"], rows)
