"""R12. A slow listener blocked the sender and the listeners behind it."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S, Heard

import sig


def test_other_clients_do_not_wait_for_a_slow_listener() -> None:
    busy, go_on, quick = threading.Event(), threading.Event(), Heard()
    released: list[bool] = []

    def slow(info: sig.Info, data: object) -> None:
        busy.set()
        released.append(go_on.wait(2 * LIMIT_S))

    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        sig.connect(server.urls[0]) as slow_client,
        sig.connect(server.urls[0]) as quick_client,
    ):
        slow_client.listen(slow, "s", "e")
        quick_client.listen(quick, "s", "e")
        sender = server.add_sender("s", "e")
        sender.trigger("e", 1)
        assert busy.wait(LIMIT_S)
        sender.trigger("e", 2)
        quick.wait(2)
        assert released == []
        go_on.set()
