"""R01. Two messages in one segment were both lost; every one is read."""

from __future__ import annotations

from regress.hostile import raw

import sig
from sig.messages import Flush, encode_control
from sig.protocol.frames import Kind, pack


def test_two_calls_in_one_segment_are_both_answered() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as client:
        client.send(b"".join(pack(Kind.CALL, encode_control(Flush()), route=n) for n in (1, 2)))
        assert [client.wait_for(Kind.RESULT).route for _ in range(2)] == [1, 2]
