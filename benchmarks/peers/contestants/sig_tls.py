"""`sig`, the blocking face, over TLS with a certificate of its own; all else as in `sig_blocking`."""

from __future__ import annotations

from pathlib import Path

import sig
from benchmarks.peers.contestants import sig_blocking
from benchmarks.peers.contestants.sig_blocking import Idle, Publisher, Replier, Requester, Subscriber
from sig import certs

__all__ = ["Idle", "Publisher", "Replier", "Requester", "Server", "Subscriber"]


class Server(sig_blocking.Server):
    url = "tls://127.0.0.1:0"

    def __init__(self, folder: Path) -> None:
        made = certs.make(folder, ["127.0.0.1"], days=1)
        assert made.server is not None  # a host was given
        sig_blocking.SERVER_OPTIONS["tls"] = sig.TLS(cert=made.server.cert, key=made.server.key)
        super().__init__(folder)
        self.address["url"] += f"?ca={made.authority.cert}"
