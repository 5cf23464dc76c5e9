"""R53. `disconnect` inside a listener raised: a thread cannot wait for itself."""

from __future__ import annotations

import threading

from regress.hostile import LIMIT_S

import sig
from sig.carrier.tcpclient import CarrierTCPClient


def test_a_listener_may_disconnect() -> None:
    done = threading.Event()
    with sig.serve("tcp://127.0.0.1:0") as server:
        carrier = CarrierTCPClient(server.urls[0])
        client = sig.ClientRouter(carrier)
        client.open()

        def leave(info: sig.Info, data: object) -> None:
            carrier.disconnect()
            done.set()

        client.listen(leave, "s", "e")
        server.add_sender("s", "e").trigger("e")
        assert done.wait(LIMIT_S)
        assert client.state == "closed"
