"""`sig`, the blocking face, over a Unix socket; all else as in `sig_blocking`."""

from __future__ import annotations

from benchmarks.peers.contestants import sig_blocking
from benchmarks.peers.contestants.sig_blocking import Idle, Publisher, Replier, Requester, Subscriber

__all__ = ["Idle", "Publisher", "Replier", "Requester", "Server", "Subscriber"]


class Server(sig_blocking.Server):
    url = "unix://{folder}/bus.sock"
