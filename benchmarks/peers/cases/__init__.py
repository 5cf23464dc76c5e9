"""What is measured: one file a case. A case is a `run`, which drives one stage and returns its figures by measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.contestants import EVENTS
from benchmarks.peers.stage import Stage

HIGHER, LOWER = "higher", "lower"

Figures = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """One figure of a case: its name, its unit, and which end of the scale is the good one.

    The tables compare with it unless it is a part of another.
    """

    name: str
    unit: str
    better: str
    compared: bool = True


@dataclass(frozen=True)
class Case:
    """One case; `needs` is what a contestant must offer to take part."""

    name: str
    title: str
    measures: tuple[Measure, ...]
    run: Callable[[Stage], Figures]
    needs: str = EVENTS


def everyone() -> tuple[Case, ...]:
    """All cases, in the order in which they are run."""
    from benchmarks.peers.cases import (
        alternating,
        busy,
        computing,
        fanout,
        large,
        latency,
        memory,
        pipelined,
        roundtrip,
        throughput,
    )

    return (
        throughput.CASE,
        alternating.CASE,
        *fanout.CASES,
        latency.CASE,
        computing.CASE,
        *busy.CASES,
        roundtrip.CASE,
        pipelined.CASE,
        large.CASE,
        memory.CASE,
    )
