"""R09. A trigger waited for every listener in turn; over a link it waits for nobody."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S, Heard

import sig


def test_a_trigger_returns_while_the_listener_is_still_busy() -> None:
    go_on, heard = threading.Event(), Heard()

    def slow(info: sig.Info, data: object) -> None:
        go_on.wait(LIMIT_S)
        heard(info, data)

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        client.listen(slow, "s", "e")
        sender = server.add_sender("s", "e")
        for number in range(100):
            sender.trigger("e", number)
        server.flush()
        assert heard.events == []
        go_on.set()
        heard.wait(100)
    assert heard.data == list(range(100))
