"""The asyncio face: the names of `sig`, awaited where they wait.

Listeners and request handlers may be `def` or `async def`; all of them run on the loop that runs where a router is
made. `trigger` is a plain call.
"""

from .contract import Contract, EventOf
from .iterators import Events
from .network import ClientRouter, ServerRouter, connect, serve
from .pending import Pending
from .router import Router
from .sender import Sender, SenderView, Signal
from .streams import Stream

__all__ = [
    "ClientRouter",
    "Contract",
    "EventOf",
    "Events",
    "Pending",
    "Router",
    "Sender",
    "SenderView",
    "ServerRouter",
    "Signal",
    "Stream",
    "connect",
    "serve",
]
