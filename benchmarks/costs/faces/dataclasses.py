"""Events that are dataclasses."""

from __future__ import annotations

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server
from benchmarks.costs.types import Data


class Publisher(typed.Publisher):
    kind = Data


class Subscriber(typed.Subscriber):
    kind = Data
