"""R02. A message in two segments was two errors; it waits for its rest."""

from __future__ import annotations

import socket

from regress.hostile import raw

import sig
from sig.messages import Flush, encode_control
from sig.protocol.frames import Kind, pack


def test_a_call_in_pieces_is_answered() -> None:
    frame = pack(Kind.CALL, encode_control(Flush()), route=7)
    with sig.serve("tcp://127.0.0.1:0") as server, raw(server.urls[0]) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame:
            client.send(bytes([byte]))
        assert client.wait_for(Kind.RESULT).route == 7
