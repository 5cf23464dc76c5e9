"""Request and answer, one at a time: requester -> server -> replier and back, encoded and decoded on both ends."""

from __future__ import annotations

from benchmarks.peers.cases import LOWER, Case, Figures, Measure
from benchmarks.peers.contestants import REQUESTS
from benchmarks.peers.stage import Stage

COUNT = 10_000

MEASURES = (Measure("p50", "us, median", LOWER), Measure("p99", "us, 99th percentile", LOWER))


def run(stage: Stage) -> Figures:
    count = stage.scaled(COUNT, least=10)
    stage.serve()
    stage.start("Replier")
    requester = stage.start("Requester")
    requester.ask("ask", count=count // 10)
    told = requester.ask("ask", count=count)
    return {measure.name: told[measure.name] * 1e6 for measure in MEASURES}


CASE = Case("roundtrip", "request and answer, one in flight", MEASURES, run, needs=REQUESTS)
