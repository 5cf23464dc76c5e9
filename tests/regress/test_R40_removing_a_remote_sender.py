"""R40. `removeRemoteSender` always raised TypeError, after it had told the server."""

from __future__ import annotations

import sig


def test_it_removes_and_says_so() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        client.addRemoteSender("s", "e")
        assert client.removeRemoteSender("s") is True
        assert client.removeRemoteSender("s") is False
        assert server.senders() == []
        client.addRemoteSender("s", "e")
