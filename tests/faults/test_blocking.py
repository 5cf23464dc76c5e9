"""A listener that blocks keeps nobody waiting but those behind it."""

from __future__ import annotations

import threading

from net.book import LIMIT_S, Book

import sig


def test_while_a_listener_blocks_its_client_asks_answers_and_triggers() -> None:
    go_on = threading.Event()
    blocked, heard = Book(), Book()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.listen(heard.hear, "mine", "e")
        signal = server.add_sender("s", ["e"], {"m": lambda params: params})
        mine = client.add_sender("mine", ["e"], {"m": lambda params: params})

        def block(info: sig.Info, data: object) -> None:
            blocked.add(data)
            go_on.wait(LIMIT_S)

        client.listen(block, "s", "e")
        for number in range(3):
            signal.trigger("e", number)
        blocked.wait(0)
        assert client.request("s", "m", 1) == 1
        assert server.request("mine", "m", 2) == 2
        mine.trigger("e", 3)
        heard.wait(3)
        assert blocked.story == [0]
        go_on.set()
        assert blocked.wait(2) == [0, 1, 2]
