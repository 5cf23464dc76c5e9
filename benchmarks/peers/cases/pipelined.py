"""Requests and answers, 64 of them under way at a time: with futures, tasks or threads, as a contestant likes best."""

from __future__ import annotations

from benchmarks.peers.cases import HIGHER, Case, Figures, Measure
from benchmarks.peers.contestants import REQUESTS
from benchmarks.peers.stage import Stage

COUNT = 50_000
FLIGHT = 64


def run(stage: Stage) -> Figures:
    count = stage.scaled(COUNT, least=10)
    stage.serve()
    stage.start("Replier")
    requester = stage.start("Requester")
    requester.ask("ask_many", count=count // 10, flight=FLIGHT)
    return {"rate": count / requester.ask("ask_many", count=count, flight=FLIGHT)["took"]}


CASE = Case(
    "pipelined",
    f"request and answer, {FLIGHT} in flight",
    (Measure("rate", "requests/s", HIGHER),),
    run,
    needs=REQUESTS,
)
