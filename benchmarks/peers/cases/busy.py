"""As `latency`, next to a thread that computes in pure Python: in the publisher's process, or in the subscriber's.

Python gives such a thread five milliseconds at a time, and who needs the interpreter for each event waits for that. A
publisher that comes too late for its rate does not sleep before the next event. Ages are taken from the trigger: what
has been lost by then is in the rate.
"""

from __future__ import annotations

from functools import partial

from benchmarks.peers.cases import HIGHER, Case, Figures, Measure
from benchmarks.peers.cases.latency import MEASURES, paced
from benchmarks.peers.stage import Stage

# Fewer than elsewhere: some wait for the interpreter more than once for each.
EVENTS = 1_000


def run(stage: Stage, where: str) -> Figures:
    return paced(stage, stage.scaled(EVENTS), busy=where)


RATE = Measure("rate", "events/s", HIGHER)

CASES = tuple(
    Case(
        f"busy_{where}",
        f"age of an event, next to a computing thread in the {where}",
        measures,
        partial(run, where=where),
    )
    for where, measures in (("publisher", (*MEASURES, RATE)), ("subscriber", MEASURES))
)
