"""Large events, one publisher to one subscriber: 64 KiB, 1 MiB and 16 MiB (less a little for the frame around them)."""

from __future__ import annotations

from benchmarks.peers.cases import HIGHER, Case, Figures, Measure
from benchmarks.peers.cases.throughput import ROUTE
from benchmarks.peers.stage import Stage

KIB, MIB = 1024, 1024 * 1024
SIZES = {"64K": 64 * KIB, "1M": MIB, "16M": 16 * MIB}
# Bytes in all for each size: events wait in queues without bounds, and this must fit into memory several times.
VOLUME = 128 * MIB


def run(stage: Stage) -> Figures:
    stage.serve()
    publisher, subscribers = stage.connect([ROUTE], large=True)
    figures = {}
    for name, size in SIZES.items():
        events = stage.scaled(VOLUME // size, least=2)
        stage.deliver(publisher, subscribers, "publish", 1, size=size)
        seconds, _ = stage.deliver(publisher, subscribers, "publish", events, size=size)
        figures[name] = events * size / seconds / MIB
    return figures


CASE = Case("large", "large events", tuple(Measure(name, f"MiB/s in events of {name}", HIGHER) for name in SIZES), run)
