"""Payloads that would take seventy times their size, were they read: a server passes them on unread."""

from __future__ import annotations

import tracemalloc

from net.raw import Raw

import sig
from sig.protocol.events import pack_batch
from sig.protocol.frames import Kind

SIZE = 1024 * 1024
# Half a million objects, and then nonsense: who reads it fails, or has no end of them.
BOMB = (b"[" + b"{}," * (SIZE // 3))[: SIZE - 1] + b"}"


def test_a_server_does_not_look_into_what_it_passes_on() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0") as server,
        Raw.client(server.urls[0]) as owner,
        Raw.client(server.urls[0]) as listener,
    ):
        route = owner.hold("s", "e")["e"]
        listener.listen("s", "e")
        frame = pack_batch(route, [BOMB], lens=False, lines=True)
        tracemalloc.start()
        try:
            owner.send(frame)
            heard = listener.read(Kind.EVENT)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert heard.body[8:] == BOMB
        # Some copies on its way through two sockets, of the server's and of the test's own.
        assert most < 16 * SIZE
