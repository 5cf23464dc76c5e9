"""Resident memory of the server for each connection on which nothing happens.

Buffers of the system are not in it. The first connections are not counted: with them come threads, arenas and tables.
"""

from __future__ import annotations

from benchmarks.peers.cases import LOWER, Case, Figures, Measure
from benchmarks.peers.stage import Stage

FIRST = 20
COUNT = 400


def run(stage: Stage) -> Figures:
    count = stage.scaled(COUNT, least=2)
    stage.serve()
    idle = stage.start("Idle")
    idle.ask("open", count=FIRST)
    before = stage.memory_bytes(stage.server_pids)
    idle.ask("open", count=count)
    return {"each": (stage.memory_bytes(stage.server_pids) - before) / count / 1024}


CASE = Case(
    "memory", "the server's memory for an idle connection", (Measure("each", "KiB per connection", LOWER),), run
)
