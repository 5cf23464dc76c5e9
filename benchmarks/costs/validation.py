"""What types cost from end to end: events in a second from one process to another, checked at both ends, or not at all.

Three processes over TCP, everybody in each round. What is checked is decoded into its type; what is not is a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.costs.rows import Outcome
from benchmarks.costs.types import LEAST
from benchmarks.peers.children import Trouble
from benchmarks.peers.stage import Stage
from benchmarks.progress import say
from benchmarks.rounds import ratios, rotated, spread
from benchmarks.tables import Table, cell, number

ROUNDS = 7
UNTYPED = "blocking"
# The modules in `faces`, and what their events are.
FACES = {UNTYPED: "a dict, no types", "structs": "a Struct", "dataclasses": "a dataclass", "typeddicts": "a TypedDict"}
ROUTE_COUNTS = (1, 10)
EVENTS = 300_000
LIMIT_S = 120.0

hundredths = "{:.2f}".format


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    found: dict[tuple[int, str], list[float | None]] = {(routes, face): [] for routes in ROUTE_COUNTS for face in FACES}
    failures: list[str] = []
    for turn, (routes, face) in rotated(list(found), rounds):
        say(f"validation, round {turn + 1} of {rounds}: {FACES[face]}, {routes} routes")
        try:
            with Stage(face, LIMIT_S, 0.001 if quick else 1.0, package="benchmarks.costs.faces") as stage:
                found[routes, face].append(measure(stage, routes))
        except Trouble as trouble:
            failures.append(f"{FACES[face]}, round {turn + 1}: {trouble}")
            found[routes, face].append(None)
    told = {f"{FACES[face]}, {routes} routes": rates for (routes, face), rates in found.items()}
    return Outcome({"validation": told}, [_table(found)], failures)


def measure(stage: Stage, routes: int) -> float:
    """Events in a second, after a tenth of them without the clock."""
    count = stage.scaled(EVENTS, least=100)
    stage.serve()
    publisher, subscribers = stage.connect([f"changed{number}" for number in range(routes)])
    stage.deliver(publisher, subscribers, "publish", count // 10)
    seconds, _ = stage.deliver(publisher, subscribers, "publish", count)
    return count / seconds


def _table(found: Mapping[tuple[int, str], Sequence[float | None]]) -> Table:
    rows = []
    for (routes, face), rates in found.items():
        there = [rate for rate in rates if rate is not None]
        shares = ratios(rates, found[routes, UNTYPED])
        if shares:
            share = spread(shares)
            reached = "" if face == UNTYPED else "must" if share.median >= LEAST else "missed"
            rows.append([FACES[face], str(routes), cell(spread(there), number), cell(share, hundredths), reached])
    head = ["", "routes", "events/s", "rate", f"must {LEAST:g}"]
    return Table("events with and without types, from end to end", head, rows)
