"""R55. `stop` waited for its threads without end; it waits so long and no longer, whatever they do."""

from __future__ import annotations

import threading

import pytest
from regress.hostile import LIMIT_S, in_thread, raw

import sig


def test_a_client_that_does_not_go_is_dropped() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as stubborn:
        server.close(0.3)
        assert server.wait(0)
        assert stubborn.closed()


def test_a_handler_that_does_not_end_is_left_to_itself() -> None:
    asked, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def wait(params: object) -> None:
        asked.set()
        go_on.wait(2 * LIMIT_S)
        ended.set()

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"wait": wait})

        def ask() -> None:
            with pytest.raises(sig.ConnectionLost):
                client.request("s", "wait", timeout=2 * LIMIT_S)

        thread = in_thread(ask)
        assert asked.wait(LIMIT_S)
        server.close(0.3)
        assert not ended.is_set()
        go_on.set()
        assert ended.wait(LIMIT_S)
        thread.join(LIMIT_S)
