"""What types cost: an event that is triggered, and one that is given to a listener, with types and without.

To a link that does nothing, and from frames in memory: codec included, since it is there that types save something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypedDict

import msgspec

from benchmarks.costs.dispatch import EVENTS, SENDER, handler, meet, pack
from benchmarks.costs.rows import QUICK, Effort, Measure, Outcome, Row, WrongCount
from benchmarks.costs.trigger import null_link
from benchmarks.costs.world import End, World, connect
from benchmarks.peers.payload import encode, sample
from benchmarks.progress import say
from benchmarks.rounds import Spread, ratios, rotated, spread
from benchmarks.tables import Table, cell, whole
from benchmarks.timing import fastest

ROUNDS = 15
ROUTES = 10
# Of a rate without types, so much must be left with Structs.
LEAST = 0.95


class Struct(msgspec.Struct):
    seq: int
    ts: float
    name: str
    values: list[float]


class Other(msgspec.Struct):
    seq: int
    name: str


@dataclass
class Data:
    seq: int
    ts: float
    name: str
    values: list[float]


class Plain(TypedDict):
    seq: int
    ts: float
    name: str
    values: list[float]


UNTYPED = "a dict, no types"
# What is triggered, the type of the event, those of the listeners on each route in turn, and how many routes.
WAYS: dict[str, tuple[Callable[..., Any], Any, Sequence[Any], int]] = {
    UNTYPED: (dict, None, [None], 1),
    "a Struct": (Struct, Struct, [Struct], 1),
    "a dataclass": (Data, Data, [Data], 1),
    "a TypedDict": (dict, Plain, [Plain], 1),
    "a dict, made a Struct": (dict, Struct, [Struct], 1),
    f"a dict, no types, {ROUTES} routes": (dict, None, [None], ROUTES),
    f"a Struct, {ROUTES} routes": (Struct, Struct, [Struct], ROUTES),
    f"a Struct, {ROUTES} routes of two types": (Struct, Struct, [Struct, Other], ROUTES),
}
# Classes of others, where they are installed: the name of the way, the package, and the module with the class.
for name, package, module in (("an attrs class", "attrs", "attrs_classes"), ("a pydantic model", "pydantic", "models")):
    if find_spec(package):
        made = import_module(f"benchmarks.costs.faces.{module}").Reading
        WAYS[name] = made, made, [made], 1


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Measure all ways in turn, set up from beginning to end."""
    effort = QUICK if quick else Effort()
    with ExitStack() as ends:
        ways = {(part, name): ends.enter_context(make(name)) for part, make in PARTS.items() for name in WAYS}
        figures: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for number, way in rotated(list(ways), rounds):
            say(f"{' '.join(way)}, round {number + 1} of {rounds}")
            figures[way] += ways[way](effort)
    rows = [Row(part, name, found) for (part, name), found in figures.items()]
    both = {name: [sum(pair) for pair in zip(*(figures[part, name] for part in PARTS), strict=True)] for name in WAYS}
    told = {"rows": [row.as_json() for row in rows], "rates": {name: _rate(both, name)._asdict() for name in WAYS}}
    return Outcome(told, [_table(figures, both)])


def _rate(both: dict[str, list[float]], name: str) -> Spread:
    """What is left of the rate without types, with as many routes, round by round."""
    routes = WAYS[name][3]
    plain = next(other for other, way in WAYS.items() if way[1] is None and way[3] == routes)
    return spread(ratios(both[plain], both[name]))


def _table(figures: dict[tuple[str, str], list[float]], both: dict[str, list[float]]) -> Table:
    head = ["", *PARTS, "both", "rate", f"must {LEAST}"]
    cells = []
    for name in WAYS:
        columns = [*(figures[part, name] for part in PARTS), both[name]]
        rate = _rate(both, name)
        verdict = "" if WAYS[name][0] is not Struct else "must" if rate.median >= LEAST else "missed"
        shown = [cell(spread([figure * 1e9 for figure in column]), whole) for column in columns]
        cells.append([name, *shown, cell(rate, "{:.2f}".format), verdict])
    return Table("an event with and without types, ns, codec included", head, cells)


@contextmanager
def triggering(way: str) -> Iterator[Measure]:
    """Seconds for triggering an event, to a link that does nothing."""
    make, kind, _, routes = WAYS[way]
    events = [f"event-{number}" for number in range(routes)]
    with null_link() as (client, between):
        sender = client.add_sender(SENDER, dict.fromkeys(events, kind))
        triggers = [sender.signal(event).trigger for event in events]
        value = make(**sample())

        def drive(times: int) -> None:
            for _ in range(times // routes):
                for trigger in triggers:
                    trigger(value)

        def measure(effort: Effort) -> list[float]:
            return fastest([drive], effort.batch_s, effort.batches, between, least=10 * routes)

        yield measure


@contextmanager
def dispatching(way: str) -> Iterator[Measure]:
    """Seconds for decoding an event, and giving it to a listener."""
    _, _, kinds, routes = WAYS[way]
    calls = 0
    wrong: list[object] = []

    def listener(info: object, data: object) -> None:
        nonlocal calls
        calls += 1

    world = World()
    publisher = End(world)
    events = [f"event-{number}" for number in range(routes)]
    numbers = publisher.add(SENDER, events)
    frames = pack(numbers)
    client, link = connect(world)
    with client:
        client.on_error = wrong.append
        for number, event in enumerate(events):
            client.listen(listener, SENDER, event, type=kinds[number % len(kinds)])
        meet(client, link, publisher, numbers, encode(sample()))
        handle = handler(client, frames)

        def measure(effort: Effort) -> list[float]:
            nonlocal calls
            handled = calls = 0

            def counted(times: int) -> None:
                nonlocal handled
                handled += times
                handle(times)

            [figure] = fastest([counted], effort.batch_s, effort.batches)
            if calls != handled * EVENTS or wrong:
                raise WrongCount(f"{handled * EVENTS} events made {calls} calls, and {len(wrong)} were wrong")
            return [figure / EVENTS]

        yield measure


PARTS: dict[str, Callable[[str], AbstractContextManager[Measure]]] = {"trigger": triggering, "dispatch": dispatching}
