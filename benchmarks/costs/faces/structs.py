"""Events that are Structs of msgspec."""

from __future__ import annotations

import msgspec

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server


class Reading(msgspec.Struct):
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
