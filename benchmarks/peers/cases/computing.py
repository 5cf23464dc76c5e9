"""As `latency`, but the publisher computes in pure Python between its triggers.

Whoever needs the interpreter to send, waits for it.
"""

from __future__ import annotations

from benchmarks.peers.cases import Case, Figures
from benchmarks.peers.cases.latency import EVENTS, MEASURES, paced
from benchmarks.peers.stage import Stage


def run(stage: Stage) -> Figures:
    return paced(stage, stage.scaled(EVENTS), computing=True)


CASE = Case("computing", "age of an event, from a publisher that computes between its triggers", MEASURES, run)
