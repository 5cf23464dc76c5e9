"""`sig`, the asyncio face on uvloop; all else as in `sig_asyncio`."""

from __future__ import annotations

import uvloop

from benchmarks.peers import awaited
from benchmarks.peers.contestants.sig_asyncio import Idle, Publisher, Replier, Requester, Server, Subscriber

__all__ = ["Idle", "Publisher", "Replier", "Requester", "Server", "Subscriber"]

# In place: each role has a process of its own, into which one contestant is imported.
awaited.OnLoop.new_loop = lambda self: uvloop.new_event_loop()  # type: ignore[method-assign]
