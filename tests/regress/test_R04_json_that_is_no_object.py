"""R04. JSON that is no object killed the connection's thread; it is an error of that client's, told to it."""

from __future__ import annotations

import pytest
from regress.hostile import raw

import sig
from sig.messages import Error, decode_control
from sig.protocol.frames import Kind, pack


@pytest.mark.parametrize("body", [b"[]", b"5", b'"x"', b"null", b"true"])
def test_a_call_that_is_no_object_is_answered_with_an_error(body: bytes) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as client:
        client.send(pack(Kind.CALL, body, route=1))
        assert "malformed" in decode_control(Error, client.wait_for(Kind.ERROR).body).message
        assert client.closed()
        assert server.senders() == []
