"""R19. Sending wrote an `id` into the caller's dict; what is given is not touched."""

from __future__ import annotations

import sig


def test_what_is_given_is_not_touched() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        sender = client.add_sender("s", "e", {"m": lambda params: params})
        data = {"a": {"b": [1]}}
        sender.trigger("e", data)
        client.request("s", "m", data)
        client.flush()
    assert data == {"a": {"b": [1]}}
