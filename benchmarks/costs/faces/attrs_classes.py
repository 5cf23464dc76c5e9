"""Events of a class that attrs has made."""

from __future__ import annotations

import attrs

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server


@attrs.define
class Reading:
    seq: int
    ts: float
    name: str
    values: list[float]


class Publisher(typed.Publisher):
    kind = Reading


class Subscriber(typed.Subscriber):
    kind = Reading
