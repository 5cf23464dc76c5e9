"""R44. Telling that a client had gone waited 10 s for each dead listener, one after the other."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S, Heard

import sig


def test_many_that_go_at_once_are_told_although_a_listener_is_stuck() -> None:
    stuck, heard = threading.Event(), Heard()
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as slow,
        sig.connect(server.urls[0]) as quick,
    ):
        slow.listen(lambda info, data: stuck.wait(LIMIT_S), None, "#disconnect")
        quick.listen(heard, None, "#disconnect")
        clients = [sig.connect(server.urls[0]) for _ in range(5)]
        for number, client in enumerate(clients):
            client.add_sender(f"s{number}", "e")
        for client in clients:
            client.close()
        heard.wait(5)
        assert not stuck.is_set()
        stuck.set()
