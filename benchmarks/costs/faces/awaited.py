"""The asyncio face."""

from __future__ import annotations

from benchmarks.costs.faces import Used
from benchmarks.peers.contestants import sig_asyncio


class Server(Used, sig_asyncio.Server):
    pass


class Replier(Used, sig_asyncio.Replier):
    pass


class Requester(Used, sig_asyncio.Requester):
    pass
