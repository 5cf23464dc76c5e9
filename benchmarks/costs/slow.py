"""Whether those who read notice those who do not: ages of events, the server's memory, and the books at the end.

A publisher, a server and two subscribers, in processes of their own over TCP, with the usual limits. Beside them is
nobody, one that never reads, one that reads a byte in a second, or many that never read. The events are large: at first
they fill what the system keeps for each link and then what the server does, which is work as for any other subscriber.
From then on, when the server drops, they are measured. In the end those who did not read do: what they are given, and
told that they have missed, must be what the server has accepted, event by event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.costs.rows import Outcome
from benchmarks.peers.children import Trouble
from benchmarks.peers.stage import Stage
from benchmarks.progress import say
from benchmarks.rounds import Spread, ratios, rotated, spread
from benchmarks.tables import Table, cell, hundredths, whole

ROUNDS = 5
ROUTE = "reading"
HEALTHY = 2
MIB = 1024 * 1024
# For everything that waits at a server; a frame that waits for many counts once.
BUDGET_BYTES = 256 * MIB
LIMIT_S = 120.0


class Scenario(NamedTuple):
    """Who does not read, beside the healthy."""

    name: str
    links: int = 0
    bytes_per_s: float = 0.0


NOBODY = Scenario("nobody else")
SCENARIOS = (
    NOBODY,
    Scenario("one that never reads", 1),
    Scenario("one that reads a byte a second", 1, 1.0),
    Scenario("many that never read", 200),
)


class Effort(NamedTuple):
    """How much is published, in how large events."""

    rate: float = 1_000.0
    filling_s: float = 4.0
    seconds: float = 5.0
    size: int = 8 * 1024
    most_links: int = 200


# So little, in events so large, that what is lost is lost soon. But those who read keep up where the machine is busy
# with other things: two seconds of this wait for whoever has no processor, in the system and at the server.
QUICK = Effort(rate=250.0, filling_s=3.5, seconds=0.5, size=32 * 1024, most_links=20)


class Figures(NamedTuple):
    """One run."""

    p50: float  # microseconds, of the healthy subscriber that was worse off
    p99: float
    filling: float  # the same as p99, before
    memory: float  # bytes that the server's process has grown by
    delivered: int  # to those who did not read, when they did, in all
    missed: int


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Each scenario in each round, with processes of its own."""
    effort = QUICK if quick else Effort()
    found: dict[str, list[Figures | None]] = {scenario.name: [] for scenario in SCENARIOS}
    failures = []
    for turn, scenario in rotated(SCENARIOS, rounds):
        say(f"slow, round {turn + 1} of {rounds}: {scenario.name}")
        try:
            with Stage("crowd", LIMIT_S, package="benchmarks.costs") as stage:
                found[scenario.name].append(measure(stage, scenario, effort))
        except (Trouble, WrongBooks) as trouble:
            found[scenario.name].append(None)
            failures.append(f"{scenario.name}, round {turn + 1}: {trouble}")
    rows = [_as_json(name, figures) for name, figures in found.items()]
    return Outcome({"rows": rows}, list(tables(found, effort.rate)), failures)


class WrongBooks(Exception):
    """What came, and what was told to be missing, is not what was accepted."""


def measure(stage: Stage, scenario: Scenario, effort: Effort) -> Figures:
    """One run of one scenario."""
    stage.serve()
    publisher, healthy = stage.connect([ROUTE], HEALTHY, timing=True)
    links = min(scenario.links, effort.most_links)
    reluctant = stage.start("Reluctant")
    reluctant.ask("open", count=links, route=ROUTE, bytes_per_s=scenario.bytes_per_s)
    before = stage.memory_bytes(stage.server_pids)
    accepted = 0
    ages = []
    for seconds in (effort.filling_s, effort.seconds):
        count = round(effort.rate * seconds)
        _, told = stage.deliver(publisher, healthy, "pace", count, rate=effort.rate, computing=False, size=effort.size)
        ages.append({rank: max(one[rank] for one in told) * 1e6 for rank in ("p50", "p99")})
        accepted += count
    memory = stage.memory_bytes(stage.server_pids) - before
    others = reluctant.ask("finish", accepted=accepted, limit=0.9 * LIMIT_S)
    check_books(accepted, [child.ask("books") for child in healthy], others)
    filling, full = ages
    delivered, missed = (sum(one[which] for one in others) for which in (0, 1))
    return Figures(full["p50"], full["p99"], filling["p99"], memory, delivered, missed)


def check_books(accepted: int, healthy: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> None:
    """Raise `WrongBooks` unless what each got and missed is all that was accepted; the healthy miss nothing."""
    for delivered, missed in healthy:
        if (delivered, missed) != (accepted, 0):
            raise WrongBooks(f"of {accepted} events somebody who reads got {delivered} and missed {missed}")
    if wrong := [(delivered, missed) for delivered, missed in others if delivered + missed != accepted]:
        raise WrongBooks(
            f"of {accepted} events {len(wrong)} of {len(others)} that did not read got and missed other numbers: "
            f"{wrong[0][0]} and {wrong[0][1]}, the first of them"
        )


def tables(found: Mapping[str, Sequence[Figures | None]], rate: float) -> Iterator[Table]:
    nobody = found[NOBODY.name]
    rows = []
    for name, figures in found.items():
        row = [name]
        for rank in ("p50", "p99"):
            row += [cell(_spread(figures, rank), whole), cell(_ratio(figures, nobody, rank), hundredths)]
        row.append(cell(_spread(figures, "filling"), whole))
        row.append(cell(_spread(figures, "memory"), lambda size: f"{size / MIB:.0f}"))
        rows.append([*row, *(cell(_spread(figures, which), whole) for which in ("delivered", "missed"))])
    head = [
        "beside the healthy",
        "p50, us",
        "ratio",
        "p99, us",
        "ratio",
        "while it fills",
        "memory, MiB",
        "got",
        "missed",
    ]
    title = f"age of events at {HEALTHY} healthy subscribers, {rate:,.0f}/s, and what the server's process grows by"
    yield Table(f"{title} (budget {BUDGET_BYTES // MIB} MiB)", head, rows)


def _of(figures: Sequence[Figures | None], name: str) -> list[float | None]:
    return [None if one is None else getattr(one, name) for one in figures]


def _spread(figures: Sequence[Figures | None], name: str) -> Spread | None:
    there = [figure for figure in _of(figures, name) if figure is not None]
    return spread(there) if there else None


def _ratio(figures: Sequence[Figures | None], nobody: Sequence[Figures | None], name: str) -> Spread | None:
    within = ratios(_of(figures, name), _of(nobody, name))
    return spread(within) if within else None


def _as_json(name: str, figures: Sequence[Figures | None]) -> dict[str, object]:
    return {"beside": name, "rounds": [None if one is None else one._asdict() for one in figures]}
