"""TCP carriers: the sentences when it fails, the forms of pysig 0.7, and encodings of one's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

import sig
from sig.carrier.tcpclient import CarrierTCPClient
from sig.carrier.tcpserver import CarrierTCPServer


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("tcp://127.0.0.1:1", "start a server there"),
        ("tcp://no-such-host.invalid:3000", "is not known; check the spelling"),
    ],
)
def test_connecting_to_nobody_is_one_sentence(url: str, told: str) -> None:
    with pytest.raises(sig.ConnectFailed, match=told):
        sig.connect(url, timeout=5)


def test_serving_on_a_port_in_use_is_one_sentence(used_port: int) -> None:
    with pytest.raises(sig.ConnectFailed, match="the port is in use"):
        sig.serve(f"tcp://127.0.0.1:{used_port}")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_serving_where_one_cannot_is_one_sentence(host: str) -> None:
    with pytest.raises(sig.ConnectFailed, match="cannot serve on"):
        sig.serve(f"tcp://{host}:0", insecure_public=True)


def test_other_machines_are_served_only_when_told() -> None:
    with pytest.raises(sig.InvalidArgument, match="insecure_public=True"):
        sig.serve("tcp://0.0.0.0:0")
    with sig.serve("tcp://0.0.0.0:0", insecure_public=True) as server:
        port = server.urls[0].rpartition(":")[2]
        with sig.connect(f"tcp://127.0.0.1:{port}") as client:
            assert client.senders() == []


def test_a_port_where_nobody_speaks_sig_is_one_sentence(used_port: int) -> None:
    with pytest.raises(sig.ConnectFailed, match="did not finish the handshake"):
        sig.connect(f"tcp://127.0.0.1:{used_port}", handshake_timeout_s=0.2)


def test_an_option_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(sig.InvalidArgument, match="max_frame_bytes"):
        sig.serve("tcp://127.0.0.1:0", max_frame_byte=5)


# -- as in pysig 0.7 -----------------------------------------------------------------------------


def test_the_form_of_0_7() -> None:
    server_carrier, client_carrier = CarrierTCPServer(), CarrierTCPClient()
    server, client = sig.ServerRouter(server_carrier), sig.ClientRouter(client_carrier)
    connected, disconnected = threading.Event(), threading.Event()
    client_carrier.on_connected = connected.set
    client_carrier.on_disconnected = disconnected.set
    assert server_carrier.start("127.0.0.1", 0)
    try:
        assert server_carrier.address is not None
        assert not client_carrier.isConnected()
        assert client_carrier.connect("127.0.0.1", server_carrier.address.port)
        assert client_carrier.isConnected()
        assert connected.wait(5)
        got = threading.Event()
        assert client.addRemoteListener(lambda info, data: got.set(), "probe", "reading")
        probe = server.addSender("probe", ["reading"], {"read": lambda params: 5})
        signal = probe.getSignal("reading")
        assert signal is not None
        signal.trigger(1)
        assert got.wait(5)
        assert client.remoteRequest("probe", "read") == 5
        assert client.remoteRequest("nobody", "read") is None
    finally:
        client_carrier.disconnect()
        client_carrier.disconnect()
        server_carrier.stop()
    assert client.state == "closed"


def test_a_failing_start_or_connect_answers_false(used_port: int) -> None:
    server_carrier, client_carrier = CarrierTCPServer(), CarrierTCPClient()
    server, client = sig.ServerRouter(server_carrier), sig.ClientRouter(client_carrier)
    assert server_carrier.start("127.0.0.1", used_port) is False
    assert client_carrier.connect("127.0.0.1", 1) is False
    with pytest.raises(sig.ConnectionLost, match="not connected yet"):
        client.senders()
    client.close()
    server.close()


def test_a_carrier_without_a_router_says_what_is_missing() -> None:
    with pytest.raises(sig.InvalidArgument, match="ServerRouter"):
        CarrierTCPServer().start("127.0.0.1", 0)
    with pytest.raises(sig.InvalidArgument, match="ClientRouter"):
        CarrierTCPClient().connect("127.0.0.1", 1)
    CarrierTCPServer().stop()
    CarrierTCPClient().disconnect()


# -- encodings -----------------------------------------------------------------------------------


class ReversedServer(CarrierTCPServer):
    def pack(self, obj: object) -> bytes:
        assert isinstance(obj, bytes)
        return obj[::-1]

    def unpack(self, data: bytes) -> object:
        return bytes(data)[::-1]


class ReversedClient(CarrierTCPClient):
    pack = ReversedServer.pack
    unpack = ReversedServer.unpack


def test_an_encoding_of_ones_own_carries_bytes() -> None:
    carrier = ReversedServer("tcp://127.0.0.1:0")
    with sig.ServerRouter(carrier) as server:
        server.start()
        with sig.ClientRouter(ReversedClient(server.urls[0])) as client:
            client.open()
            got: list[object] = []
            server.listen(lambda info, data: got.append(data), "s", "e")
            sender = client.add_sender("s", "e", {"m": lambda params: params + b"!"})
            for number in range(100):
                sender.trigger("e", b"\n\x00%d" % number)
            assert server.request("s", "m", b"hello") == b"hello!"
            client.flush()
            server.flush()
    assert got == [b"\n\x00%d" % number for number in range(100)]


def test_an_encoding_on_one_end_only_is_refused_with_what_to_do() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = sig.ClientRouter(ReversedClient(server.urls[0]))
        with pytest.raises(sig.HandshakeRefused, match="give both ends the same codec"):
            client.open()
        client.close()
        with pytest.raises(sig.InvalidArgument, match="alike"):
            server.add_carrier(ReversedServer("tcp://127.0.0.1:0"))
    with pytest.raises(sig.InvalidArgument, match="alike"):
        sig.serve("tcp://127.0.0.1:0", ReversedServer("tcp://127.0.0.1:0"))
