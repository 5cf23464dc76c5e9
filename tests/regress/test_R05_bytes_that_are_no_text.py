"""R05. Bytes that are not UTF-8 made the line of the log itself raise; logging never does."""

from __future__ import annotations

from regress.hostile import raw

import sig
from sig.protocol.frames import Kind, pack


def test_anything_can_be_logged() -> None:
    assert isinstance(sig.stringify_object({"data": b"\xff\xfe", "x": {1, 2}}), str)


def test_such_bytes_cost_their_connection_only() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as client:
        client.send(pack(Kind.CALL, b'{"call":"remove_sender","name":"\xff\xfe"}', route=1))
        client.wait_for(Kind.ERROR)
        assert server.senders() == []
