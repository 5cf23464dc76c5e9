"""One publisher, many subscribers, each in a process of its own and each getting, and decoding, everything."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.cases import HIGHER, Case, Figures, Measure
from benchmarks.peers.cases.throughput import ROUTE
from benchmarks.peers.stage import Stage

# Deliveries, whatever the number of subscribers.
DELIVERIES = 500_000


def run(stage: Stage, subscribers: int) -> Figures:
    events = stage.scaled(DELIVERIES // subscribers)
    stage.serve()
    publisher, listening = stage.connect([ROUTE], subscribers)
    stage.deliver(publisher, listening, "publish", max(1, events // 10))
    seconds, _ = stage.deliver(publisher, listening, "publish", events)
    return {"deliveries": events * subscribers / seconds}


CASES = tuple(
    Case(
        f"fanout_{subscribers}",
        f"fan-out to {subscribers} subscribers",
        (Measure("deliveries", "deliveries/s", HIGHER),),
        partial(run, subscribers=subscribers),
    )
    for subscribers in (10, 50)
)
