"""TCP carriers: the sentences when it fails, the forms of pysig 0.7, and encodings of one's own."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import sig
from sig.carrier.tcpclient import CarrierTCPClient
from sig.carrier.tcpserver import CarrierTCPServer
from sig.carriers import TCPClient, tcp
from sig.carriers.address import Address
from sig.constants import Limits
from sig.drivers.sockets import SocketLink


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


# -- hosts with several addresses ----------------------------------------------------------------


class Names:
    """A resolver that knows what a test has told it, and nothing else by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> None:
        known = socket.getaddrinfo

        def getaddrinfo(host: str | None, port: int, **options: Any) -> list[Any]:
            if host not in hosts:
                return known(host, port, **options)
            return [found for address in hosts[host] for found in known(address, port, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def has(family: int, address: str) -> bool:
    try:
        with socket.socket(family) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has(socket.AF_INET6, "::1"), reason="no IPv6 here")
needs_more_loopback = pytest.mark.skipif(not has(socket.AF_INET, "127.0.0.3"), reason="one loopback address here")


def ports(carrier: CarrierTCPServer) -> set[tuple[str, int]]:
    return {acceptor._sock.getsockname()[:2] for acceptor in carrier._acceptors}


@needs_ipv6
def test_a_host_is_served_on_all_its_addresses_and_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, both=["::1", "127.0.0.1"])
    carrier = CarrierTCPServer("tcp://both:0")
    with sig.serve(carrier) as server:
        port = int(server.urls[0].rpartition(":")[2])
        assert server.urls == [f"tcp://both:{port}"]
        assert ports(carrier) == {("::1", port), ("127.0.0.1", port)}
        for host in ("[::1]", "127.0.0.1", "both"):
            with sig.connect(f"tcp://{host}:{port}") as client:
                assert client.senders() == []


def test_an_address_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, some=["192.0.2.1", "127.0.0.1"])
    with sig.serve("tcp://some:0", insecure_public=True) as server:
        port = server.urls[0].rpartition(":")[2]
        with sig.connect(f"tcp://127.0.0.1:{port}") as client:
            assert client.senders() == []


@needs_more_loopback
def test_a_free_port_is_one_that_is_free_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address gives a port that somebody else has on the second: then another is tried."""
    Names(monkeypatch, two=["127.0.0.1", "127.0.0.2"])
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        taken = other.getsockname()[1]
        bind, first = tcp._bound, [taken]

        def unlucky(family: int, place: Any) -> socket.socket:
            return bind(family, (place[0], place[1] or (first.pop() if first else 0)))

        monkeypatch.setattr(tcp, "_bound", unlucky)
        carrier = CarrierTCPServer("tcp://two:0")
        with sig.serve(carrier) as server:
            port = int(server.urls[0].rpartition(":")[2])
            assert port != taken
            assert ports(carrier) == {("127.0.0.1", port), ("127.0.0.2", port)}
        with pytest.raises(sig.ConnectFailed, match="the port is in use"):
            sig.serve(f"tcp://two:{taken}")  # and the first address is given back, else a descriptor would be left


def test_there_is_an_end_to_trying(monkeypatch: pytest.MonkeyPatch, used_port: int) -> None:
    bind = tcp._bound
    monkeypatch.setattr(tcp, "_bound", lambda family, place: bind(family, (place[0], used_port)))
    with pytest.raises(sig.ConnectFailed, match="the port is in use"):
        sig.serve("tcp://127.0.0.1:0")


@needs_more_loopback
def test_a_host_is_tried_at_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, several=["127.0.0.3", "127.0.0.2", "127.0.0.1"])
    with sig.serve("tcp://127.0.0.1:0") as server:
        port = server.urls[0].rpartition(":")[2]
        with sig.connect(f"tcp://several:{port}") as client:
            assert client.senders() == []
    with pytest.raises(sig.ConnectFailed, match="nobody serves at tcp://several"):
        sig.connect(f"tcp://several:{port}")


def test_all_addresses_together_have_one_time(monkeypatch: pytest.MonkeyPatch, used_port: int) -> None:
    Names(monkeypatch, several=["127.0.0.1"] * 3)
    tried: list[float] = []

    def slow(place: object, timeout: float) -> socket.socket:
        tried.append(timeout)
        raise TimeoutError

    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(tcp, "time", clock)
    monkeypatch.setattr(tcp, "_connected", slow)
    with pytest.raises(sig.ConnectFailed, match="no answer within 4 s"):
        sig.connect(f"tcp://several:{used_port}", timeout=4)
    assert tried == [4.0]  # three times the same address is one
    clock.now = 0.0
    Names(monkeypatch, several=["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    ticks = iter([0.0, 0.0, 3.0, 5.0])
    monkeypatch.setattr(tcp, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with pytest.raises(sig.ConnectFailed, match="no answer within 4 s"):
        sig.connect(f"tcp://several:{used_port}", timeout=4)
    assert tried == [4.0, 4.0, 1.0]


def test_a_socket_that_is_connected_to_itself_is_nobody() -> None:
    """Where nobody listens on a port of the system's own range, that may happen."""
    connect = socket.socket.connect

    class Unlucky(socket.socket):
        def connect(self, address: Any) -> None:
            self.bind(("127.0.0.1", 0))
            connect(self, self.getsockname())
            assert self.getsockname() == self.getpeername()  # so it does

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tcp.socket, "socket", Unlucky)
        with pytest.raises(sig.ConnectFailed, match="nobody serves at"):
            sig.connect("tcp://127.0.0.1:5")


# -- what fails leaves nothing, and may be tried again -------------------------------------------


def test_a_server_whose_port_is_in_use_may_be_started_on_another(used_port: int) -> None:
    carrier = CarrierTCPServer()
    with sig.ServerRouter(carrier) as server:
        assert carrier.start("127.0.0.1", used_port) is False
        assert carrier.start("127.0.0.1", 0) is True
        with sig.connect(server.urls[0]) as client:
            assert client.senders() == []


def test_one_port_of_several_that_cannot_be_had_leaves_none_taken(used_port: int) -> None:
    first = CarrierTCPServer("tcp://127.0.0.1:0")
    server = sig.ServerRouter(first, f"tcp://127.0.0.1:{used_port}")
    with pytest.raises(sig.ConnectFailed):
        server.start()
    assert server.urls == []
    assert first._sockets == []
    with socket.socket() as sock:
        assert first.address is not None
        sock.bind(("127.0.0.1", first.address.port))  # it is free
    server.close()


def test_without_a_thread_for_its_loop_a_server_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    missing = ["sig-dispatch", "sig-server"]

    def no_more(self: threading.Thread) -> None:
        if self.name == missing[-1]:
            raise RuntimeError("can't start new thread")
        start(self)

    server = sig.ServerRouter("tcp://127.0.0.1:0")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        while missing:
            with pytest.raises(RuntimeError, match="can't start"):
                server.start()
            missing.pop()
    server.start()
    assert server.senders() == []
    server.close()


def test_a_client_may_try_again() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        url = server.urls[0]
    client = sig.ClientRouter(url)
    with pytest.raises(sig.ConnectFailed, match="nobody serves at"):
        client.open()
    with sig.serve(url), client:
        client.open()
        with pytest.raises(sig.InvalidArgument, match="connected already"):
            client.open()
        assert client.wait_connected(0)
        assert client.senders() == []


def test_where_nobody_answers_the_sentence_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full leaves the next one without an answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting: list[SocketLink] = []
        carrier = TCPClient(f"tcp://127.0.0.1:{listening.getsockname()[1]}")

        def connect_more() -> None:
            while len(waiting) < 100:
                waiting.append(carrier.link(Limits(), 0.1))

        with pytest.raises(sig.ConnectFailed, match="no answer within 0.1 s; check host, port and firewall"):
            connect_more()
        for link in waiting:
            link.join(0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errno.EACCES, "this user may not use that port"),
        (errno.EADDRNOTAVAIL, "this machine does not have that address"),
        (errno.ENETUNREACH, "Network is unreachable"),
    ],
)
def test_what_the_system_says_is_told_with_what_to_do(error: int, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(tcp, "_bound", fail)
    with pytest.raises(sig.ConnectFailed, match=f"cannot serve on tcp://127.0.0.1:5.*{told}"):
        sig.serve("tcp://127.0.0.1:5")
    monkeypatch.setattr(tcp, "_connected", fail)
    with pytest.raises(sig.ConnectFailed, match=f"cannot connect to tcp://127.0.0.1:5: {os.strerror(error)}"):
        sig.connect("tcp://127.0.0.1:5")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "\udcff", "no such host"])
def test_a_name_that_cannot_be_one_is_not_known(host: str) -> None:
    with pytest.raises(sig.ConnectFailed, match="is not known; check the spelling"):
        _open(host)


def _open(host: str) -> None:
    carrier = TCPClient()
    carrier.address = Address(host, 3000)
    carrier.link(Limits(), 1)


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


def test_the_timeout_holds_for_the_handshake_too(used_port: int) -> None:
    url = f"tcp://127.0.0.1:{used_port}"  # the system accepts, and nobody speaks
    with pytest.raises(sig.ConnectFailed, match="within 0.2 s"):
        sig.connect(url, timeout=0.2)
    with pytest.raises(sig.ConnectFailed, match="within 0.1 s"):
        sig.connect(url, timeout=50, handshake_timeout_s=0.1)


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
