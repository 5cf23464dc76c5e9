"""How old an event is when the subscriber's callback gets it: 1,000 events a second, from a publisher that sleeps."""

from __future__ import annotations

from benchmarks.peers.cases import LOWER, Case, Figures, Measure
from benchmarks.peers.cases.throughput import ROUTE
from benchmarks.peers.stage import Stage

RATE = 1_000.0
EVENTS = 5_000

MEASURES = (Measure("p50", "us, median", LOWER), Measure("p99", "us, 99th percentile", LOWER))


def paced(stage: Stage, events: int, *, computing: bool = False, busy: str = "") -> Figures:
    """Ages of `events` events in microseconds; `computing` between triggers, or next to a `busy` thread somewhere.

    And how many events there were in a second: less than is asked for where the publisher is held up.
    """
    stage.serve()
    publisher, subscribers = stage.connect([ROUTE], timing=True)
    if busy:
        {"publisher": publisher, "subscriber": subscribers[0]}[busy].ask("burden")
    stage.deliver(publisher, subscribers, "pace", max(10, events // 10), rate=RATE, computing=computing)
    seconds, told = stage.deliver(publisher, subscribers, "pace", events, rate=RATE, computing=computing)
    return {"rate": events / seconds, **{measure.name: told[0][measure.name] * 1e6 for measure in MEASURES}}


def run(stage: Stage) -> Figures:
    return paced(stage, stage.scaled(EVENTS))


CASE = Case("latency", "age of an event on arrival, at 1,000/s", MEASURES, run)
