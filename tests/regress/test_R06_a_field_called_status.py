"""R06. Any field `status` turned a request into a reply; what a message is stands in its header."""

from __future__ import annotations

import sig


def test_a_request_may_carry_any_field() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        server.add_sender("s", requests={"m": lambda params: params})
        for params in ({"status": 0}, {"id": 1, "status": -1, "method": "x"}, {"params": None}):
            assert client.request("s", "m", params) == params
