"""As `throughput`, but two routes taking turns event by event: the worst for whoever batches by route."""

from __future__ import annotations

from benchmarks.peers.cases import Case, Figures
from benchmarks.peers.cases.throughput import CPU, EVENTS, RATE, stream
from benchmarks.peers.stage import Stage

ROUTES = ("reading", "status")


def run(stage: Stage) -> Figures:
    return stream(stage, ROUTES, stage.scaled(EVENTS))


CASE = Case("alternating", "two routes taking turns event by event", (RATE, CPU), run)
