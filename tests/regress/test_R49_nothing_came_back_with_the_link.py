"""R49: after a reconnect nothing was registered again: senders were dead, and still accepted `trigger`."""

from __future__ import annotations

import threading

import sig

LIMIT_S = 30


def test_listeners_and_senders_are_back_with_the_link() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    url = server.urls[0]
    heard: list[object] = []
    one, back = threading.Event(), threading.Event()
    with sig.connect(url, reconnect_first_s=0.01) as client:
        sender = client.add_sender("s", "e")
        client.listen(lambda info, data: (heard.append(data), one.set()), "s", "e")
        client.on_connected = back.set
        server.close()
        with sig.serve(url):
            assert back.wait(LIMIT_S)
            sender.trigger("e", 1)
            assert one.wait(LIMIT_S)
            client.flush()
    assert heard == [1]
