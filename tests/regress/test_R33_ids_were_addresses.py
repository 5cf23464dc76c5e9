"""R33. Ids were memory addresses, leaked and used again; they are numbers that the server gives."""

from __future__ import annotations

from regress.hostile import HELLO, raw

import sig
from sig.messages import Welcome, decode_control
from sig.protocol.frames import Kind


def test_ids_are_small_numbers_given_once() -> None:
    seen: list[int] = []
    with sig.serve("tcp://127.0.0.1:0") as server:
        for _ in range(5):
            with raw(server.urls[0], hello=False) as client:
                client.send(HELLO)
                seen.append(decode_control(Welcome, client.wait_for(Kind.WELCOME).body).client)
    assert seen == sorted(set(seen))
    assert max(seen) < 1000
