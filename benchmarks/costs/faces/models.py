"""Events that are models of pydantic."""

from __future__ import annotations

import pydantic

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server


class Reading(pydantic.BaseModel):
    seq: int
    ts: float
    name: str
    values: list[float]


class Publisher(typed.Publisher):
    kind = Reading


class Subscriber(typed.Subscriber):
    kind = Reading
