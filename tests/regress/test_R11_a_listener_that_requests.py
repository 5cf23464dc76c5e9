"""R11. A listener that made a request blocked for 10 s the thread that had to read the answer."""

from __future__ import annotations

from regress.hostile import Heard

import sig


def test_a_listener_may_request() -> None:
    heard = Heard()
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        sender = server.add_sender("s", "e", {"double": lambda params: params * 2})
        client.listen(lambda info, data: heard(info, client.request("s", "double", data, timeout=5)), "s", "e")
        for number in range(5):
            sender.trigger("e", number)
        heard.wait(5)
    assert heard.data == [0, 2, 4, 6, 8]
