"""What types cost from end to end: events in a second from one process to another, checked at both ends, or not at all.

Three processes over TCP, everybody in each round. What is checked is decoded into its type; what is not is a dict. The
processor time of all three is there too, since other work disturbs it far less than it does the rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TypeAlias

from benchmarks.costs.rows import Outcome
from benchmarks.costs.types import LEAST
from benchmarks.peers.cases import Figures
from benchmarks.peers.cases.throughput import CPU_PARTS, stream
from benchmarks.peers.children import Trouble
from benchmarks.peers.stage import Stage
from benchmarks.progress import say
from benchmarks.rounds import ratios, rotated, spread
from benchmarks.tables import Table, cell, number

ROUNDS = 7
UNTYPED = "blocking"
# The modules in `faces`, and what their events are.
FACES = {
    UNTYPED: "a dict, no types",
    "structs": "a Struct",
    "dataclasses": "a dataclass",
    "typeddicts": "a TypedDict",
    "made": "a dict, made a Struct",
    "attrs_classes": "an attrs class",
    "models": "a pydantic model",
}
PARTS = tuple(face for face in FACES if face != UNTYPED)
# Of these, who has not installed it has no figures.
FOREIGN = {"attrs_classes": "attrs", "models": "pydantic"}
ON_TEN = (UNTYPED, "structs", "dataclasses", "typeddicts")
EVENTS = 300_000
LIMIT_S = 120.0

hundredths = "{:.2f}".format

Way: TypeAlias = tuple[int, str]  # how many routes, and the face


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    faces = [face for face in FACES if face == UNTYPED or face in (only or PARTS)]
    ways: list[Way] = [(1, face) for face in faces if face not in FOREIGN or find_spec(FOREIGN[face])]
    ways += [(10, face) for face in faces if face in ON_TEN]
    found: dict[Way, list[Figures | None]] = {way: [] for way in ways}
    failures: list[str] = []
    for turn, (routes, face) in rotated(ways, rounds):
        say(f"validation, round {turn + 1} of {rounds}: {FACES[face]}, {routes} routes")
        try:
            with Stage(face, LIMIT_S, 0.001 if quick else 1.0, package="benchmarks.costs.faces") as stage:
                names = [f"changed{number}" for number in range(routes)]
                found[routes, face].append(stream(stage, names, stage.scaled(EVENTS, least=100)))
        except Trouble as trouble:
            failures.append(f"{FACES[face]}, round {turn + 1}: {trouble}")
            found[routes, face].append(None)
    told = {f"{FACES[face]}, {routes} routes": figures for (routes, face), figures in found.items()}
    return Outcome({"validation": told}, [_table(found)], failures)


def _table(found: Mapping[Way, Sequence[Figures | None]]) -> Table:
    rows = []
    for (routes, face), figures in found.items():

        def of(way: Way, what: str) -> list[float | None]:
            return [None if one is None else one[what] for one in found[way]]

        rates = ratios(of((routes, face), "rate"), of((routes, UNTYPED), "rate"))
        if not rates:
            continue
        there = [one for one in figures if one is not None]
        # What others do at the same time slows down whoever it hits: of time used, the least says the most.
        parts = " + ".join(f"{min(one[part.name] for one in there):.2f}" for part in CPU_PARTS)
        times = ratios(of((routes, UNTYPED), "cpu"), of((routes, face), "cpu"))
        reached = "" if face == UNTYPED else "must" if spread(rates).median >= LEAST else "missed"
        absolute = cell(spread([one["rate"] for one in there]), number)
        shares = [cell(spread(each), hundredths) if each else "" for each in (rates, times)]
        rows.append([FACES[face], str(routes), absolute, parts, *shares, reached])
    used = "CPU us/event, publisher + server + subscriber"
    head = ["", "routes", "events/s", used, "rate", "CPU", f"must {LEAST:g}"]
    return Table("events with and without types, from end to end", head, rows)
