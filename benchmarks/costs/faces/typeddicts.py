"""Events that are dicts of a declared form."""

from __future__ import annotations

from benchmarks.costs.faces import typed
from benchmarks.costs.faces.blocking import Server as Server
from benchmarks.costs.types import Plain
from benchmarks.peers import roles


class Publisher(typed.Publisher):
    kind = Plain
    publish = roles.Publisher.publish


class Subscriber(typed.Subscriber):
    kind = Plain
