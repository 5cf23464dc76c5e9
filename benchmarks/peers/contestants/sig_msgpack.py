"""`sig`, the blocking face, with MessagePack on both ends; all else as in `sig_blocking`."""

from __future__ import annotations

from benchmarks.peers.contestants import sig_blocking
from benchmarks.peers.contestants.sig_blocking import Idle, Publisher, Replier, Requester, Server, Subscriber

__all__ = ["Idle", "Publisher", "Replier", "Requester", "Server", "Subscriber"]

# In place: each role has a process of its own, into which one contestant is imported.
sig_blocking.OPTIONS["codec"] = sig_blocking.SERVER_OPTIONS["codec"] = "msgpack"
