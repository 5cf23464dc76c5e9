"""`bare_asyncio` on uvloop."""

from __future__ import annotations

import uvloop

from benchmarks.peers import awaited
from benchmarks.peers.contestants.bare_asyncio import Publisher, Replier, Requester, Server, Subscriber

__all__ = ["Publisher", "Replier", "Requester", "Server", "Subscriber"]

awaited.OnLoop.new_loop = lambda self: uvloop.new_event_loop()  # type: ignore[method-assign]
