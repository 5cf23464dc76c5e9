"""Events that are Structs of msgspec."""

from __future__ import annotations

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server
from benchmarks.costs.types import Struct


class Reading(Struct):
    __getitem__ = typed.field


class Publisher(typed.Publisher):
    kind = Reading


class Subscriber(typed.Subscriber):
    kind = Reading
