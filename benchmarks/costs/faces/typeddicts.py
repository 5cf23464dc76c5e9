"""Events that are dicts of a declared form."""

from __future__ import annotations

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server
from benchmarks.costs.types import Plain
from benchmarks.peers.tally import Take, Tally


class Publisher(typed.DictPublisher):
    kind = Plain


class Subscriber(typed.Subscriber):
    kind = Plain

    def taking(self, tally: Tally) -> Take:
        return tally.take
