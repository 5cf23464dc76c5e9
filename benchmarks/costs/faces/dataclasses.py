"""Events that are dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server


@dataclass
class Reading:
    seq: int
    ts: float
    name: str
    values: list[float]

    def __getitem__(self, name: str) -> object:  # as the tally asks
        return getattr(self, name)


class Publisher(typed.Publisher):
    kind = Reading


class Subscriber(typed.Subscriber):
    kind = Reading
