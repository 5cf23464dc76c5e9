"""R21. Each connection had a thread that kept the program alive; a server has one loop for all."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from regress.hostile import raw

import sig


def test_connections_cost_the_server_no_threads() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, ExitStack() as stack:
        before = threading.active_count()
        for _ in range(50):
            stack.enter_context(raw(server.urls[0]))
        assert threading.active_count() == before
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("sig-"))
