"""R52. `disconnect` raised in one of five plain cycles."""

from __future__ import annotations

import sig
from sig.carrier.tcpclient import CarrierTCPClient
from sig.carrier.tcpserver import CarrierTCPServer


def test_four_hundred_cycles() -> None:
    server_carrier = CarrierTCPServer()
    with sig.ServerRouter(server_carrier):
        assert server_carrier.start("127.0.0.1", 0)
        assert server_carrier.address is not None
        for _ in range(400):
            carrier = CarrierTCPClient()
            sig.ClientRouter(carrier)
            assert carrier.connect("127.0.0.1", server_carrier.address.port)
            carrier.disconnect()
            assert not carrier.isConnected()
