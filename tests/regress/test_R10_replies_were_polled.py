"""R10. Replies were looked for every 10 ms; whoever waits is woken by the answer itself."""

from __future__ import annotations

import time

import sig


def test_a_thousand_requests_do_not_take_a_thousand_polls() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"m": lambda params: params})
        before = time.monotonic()
        for number in range(1000):
            assert client.request("s", "m", number) == number
        # With a poll each, ten seconds at least. It takes a fifth of one: the rest is room for a slow machine.
        assert time.monotonic() - before < 9
