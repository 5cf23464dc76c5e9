"""R03. A message over 4,096 bytes could never arrive; only the limit that is documented limits."""

from __future__ import annotations

from regress.hostile import Heard

import sig


def test_large_events_and_answers_arrive() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        client.listen(heard, "s", "e")
        sender = server.add_sender("s", "e", {"echo": lambda params: params})
        for size in (4095, 4096, 4097, 8192, 3_000_000):
            sender.trigger("e", "x" * size)
            assert client.request("s", "echo", "y" * size) == "y" * size
        heard.wait(5)
    assert [len(str(data)) for data in heard.data] == [4095, 4096, 4097, 8192, 3_000_000]
