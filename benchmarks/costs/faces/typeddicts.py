"""Events that are dicts of a declared form."""

from __future__ import annotations

from typing import TypedDict

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server
from benchmarks.peers import roles


class Reading(TypedDict):
    seq: int
    ts: float
    name: str
    values: list[float]


class Publisher(typed.Publisher):
    kind = Reading
    publish = roles.Publisher.publish


class Subscriber(typed.Subscriber):
    kind = Reading
