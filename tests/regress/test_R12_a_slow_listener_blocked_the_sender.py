"""R12. A slow listener blocked the sender and the listeners behind it."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S, Heard

import sig


def test_other_clients_do_not_wait_for_a_slow_listener() -> None:
    go_on, quick = threading.Event(), Heard()
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as slow_client,
        sig.connect(server.urls[0]) as quick_client,
    ):
        slow_client.listen(lambda info, data: go_on.wait(LIMIT_S), "s", "e")
        quick_client.listen(quick, "s", "e")
        server.add_sender("s", "e").trigger("e", 1)
        quick.wait(1)
        assert not go_on.is_set()
        go_on.set()
