"""The blocking face."""

from __future__ import annotations

from benchmarks.costs.faces import Used
from benchmarks.peers.contestants import sig_blocking


class Server(Used, sig_blocking.Server):
    pass


class Replier(Used, sig_blocking.Replier):
    pass


class Requester(Used, sig_blocking.Requester):
    pass
