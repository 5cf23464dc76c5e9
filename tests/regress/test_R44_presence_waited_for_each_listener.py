"""R44. Telling that a client had gone waited 10 s for each dead listener, one after the other."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S, Heard

import sig


def test_many_that_go_at_once_are_told_although_a_listener_is_stuck() -> None:
    busy, go_on, heard = threading.Event(), threading.Event(), Heard()
    released: list[bool] = []

    def stuck(info: sig.Info, data: object) -> None:
        busy.set()
        released.append(go_on.wait(2 * LIMIT_S))

    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as slow,
        sig.connect(server.urls[0]) as quick,
    ):
        slow.listen(stuck, None, "#disconnect")
        quick.listen(heard, None, "#disconnect")
        clients = [sig.connect(server.urls[0]) for _ in range(5)]
        for number, client in enumerate(clients):
            client.add_sender(f"s{number}", "e")
        for client in clients:
            client.close()
        heard.wait(5)
        assert busy.wait(LIMIT_S)
        assert released == []
        go_on.set()
