"""R45. What clients had registered was never cleared when they were all gone."""

from __future__ import annotations

from regress.hostile import Heard

import sig


def test_nothing_is_left_when_all_have_gone() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        gone = Heard()
        server.listen(gone, None, "#disconnect")
        for number in range(3):
            client = sig.connect(server.urls[0])
            client.add_sender(f"s{number}", "e", {"m": lambda params: None})
            client.listen(print, "**", None)
            client.close()
        gone.wait(3)
        driver = server._server
        assert driver is not None
        core = driver.core
        # Presence is told at the goodbye; the links themselves go a moment later.
        for _ in range(1000):
            if len(core.connections) == 1:
                break
            server.wait(0.01)
        assert (core.registry._senders, core.routes) == ({}, {})
        assert (len(core.connections), core.listening.index.count) == (1, 1)
