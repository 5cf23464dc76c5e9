"""R15. Replies and events were written past each other's lock and mixed their bytes."""

from __future__ import annotations

from regress.hostile import LIMIT_S, Heard, in_thread

import sig


def test_many_writers_on_one_link_never_mix() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        sender = client.add_sender("s", "e", {"m": lambda params: params})
        server.listen(heard, "s", "e")

        def trigger() -> None:
            for number in range(200):
                sender.trigger("e", [number, "x" * 500])

        def ask() -> None:
            for number in range(100):
                assert server.request("s", "m", "y" * number) == "y" * number

        threads = [in_thread(trigger) for _ in range(4)] + [in_thread(ask) for _ in range(2)]
        for thread in threads:
            thread.join(LIMIT_S)
        heard.wait(800)
        assert client.state == "connected"
