"""One publisher, one subscriber, as fast as it goes; and the processor time that an event costs at that.

The time runs from the first trigger to the arrival of the last event. Before it, a tenth of the events go through to
warm everything up: short runs understate some peers by half.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.cases import HIGHER, LOWER, Case, Figures, Measure
from benchmarks.peers.stage import Stage

EVENTS = 300_000
ROUTE = "reading"

RATE = Measure("rate", "events/s", HIGHER)
# Time of start-up is left out: both are differences between the beginning and the end of the run.
CPU = Measure("cpu", "CPU us/event, all three", LOWER)
CPU_PARTS = tuple(Measure(f"cpu_{part}", part, LOWER, compared=False) for part in ("publisher", "server", "subscriber"))


def stream(stage: Stage, routes: Sequence[str], events: int) -> Figures:
    """Rate and processor time of `events` events, the routes taking turns."""
    stage.serve()
    publisher, subscribers = stage.connect(routes)
    stage.deliver(publisher, subscribers, "publish", max(1, events // 10))
    parts = {"publisher": [publisher.pid], "server": stage.server_pids, "subscriber": [subscribers[0].pid]}
    before = {part: stage.processor_s(pids) for part, pids in parts.items()}
    seconds, _ = stage.deliver(publisher, subscribers, "publish", events)
    used = {f"cpu_{part}": (stage.processor_s(pids) - before[part]) / events * 1e6 for part, pids in parts.items()}
    return {"rate": events / seconds, "cpu": sum(used.values()), **used}


def run(stage: Stage) -> Figures:
    return stream(stage, [ROUTE], stage.scaled(EVENTS))


CASE = Case("throughput", "throughput, one publisher to one subscriber", (RATE, CPU, *CPU_PARTS), run)
