"""A codec that both ends have chosen: for events, requests and answers alike, and refused where they differ."""

from __future__ import annotations

import contextlib
from queue import SimpleQueue
from typing import Any, NotRequired, TypedDict

import pytest
from reprs import Reprs

import sig
from sig.carriers.tcp import TCPClient, TCPServer

LIMIT_S = 30


# What JSON would change: that it arrives as it was says which codec carried it.
VALUES: list[object] = [(1, 2), {1: b"\x00\xff"}, {3}]


def test_a_server_and_its_clients_speak_the_codec_they_were_given() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", codec=Reprs()) as server,
        sig.connect(server.urls[0], codec=Reprs()) as sending,
        sig.connect(server.urls[0], codec=Reprs()) as listening,
    ):
        here: list[object] = []
        there: list[object] = []
        server.listen(lambda info, data: here.append(data), "s", "e")
        listening.listen(lambda info, data: there.append(data), "s", "e")
        sender = sending.add_sender("s", "e", {None: lambda method, params: (method, params)})
        for value in VALUES:
            sender.trigger("e", value)
        sending.flush()
        server.flush()
        listening.flush()
        assert listening.request("s", "echo", VALUES[1], timeout=LIMIT_S) == ("echo", VALUES[1])
        assert server.request("s", "echo", VALUES[2], timeout=LIMIT_S) == ("echo", VALUES[2])
    assert here == there == VALUES


class Declared(TypedDict):
    celsius: float
    raw: NotRequired[int]


@pytest.mark.parametrize("codec", ["json", "msgpack", Reprs()], ids=["json", "msgpack", "reprs"])
def test_a_dict_of_a_declared_form_arrives_as_one_in_every_codec(codec: Any) -> None:
    """Some of them are given something else to write, which is for their eyes only."""
    with (
        sig.serve("local://declared", codec=codec),
        sig.connect("local://declared", codec=codec) as sending,
        sig.connect("local://declared", codec=codec) as listening,
    ):
        got: SimpleQueue[object] = SimpleQueue()
        listening.listen(lambda info, data: got.put(data), "s", "e")
        sender = sending.add_sender("s", {"e": Declared})
        sender.trigger("e", {"celsius": 22, "more": 1})
        with pytest.raises(sig.InvalidData, match=r"event 'e' of sender 's' takes Declared: .*celsius"):
            sender.trigger("e", {"raw": 1})
        sender.trigger("e", {"celsius": 23.5, "raw": 7})
        sending.flush()
        first, second = (got.get(timeout=LIMIT_S) for _ in range(2))
    assert repr(first) == "{'celsius': 22.0}"
    assert second == {"celsius": 23.5, "raw": 7}


def test_messagepack_on_both_ends_carries_what_it_promises() -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", codec="msgpack") as server,
        sig.connect(server.urls[0], codec="msgpack") as sending,
        sig.connect(server.urls[0], codec="msgpack") as listening,
    ):
        got: list[object] = []
        for event in ("e", "f"):
            listening.listen(lambda info, data: got.append((info.event, data)), "s", event)
        sender = sending.add_sender("s", ["e", "f"], {"raw": lambda params: params})
        # Batches of one route, and of two in turn.
        wanted: list[object] = []
        for number in range(2_000):
            event = "f" if number % 2 and number > 1_000 else "e"
            sender.trigger(event, {number: bytes([number % 256])})
            wanted.append((event, {number: bytes([number % 256])}))
        with pytest.raises(sig.InvalidData, match="send larger ones as text"):
            sender.trigger("e", 2**64)
        sending.flush()
        listening.flush()
        assert listening.request("s", "raw", b"\x00\n\xff", timeout=LIMIT_S) == b"\x00\n\xff"
        with pytest.raises(sig.InvalidData, match="send larger ones as text"):
            listening.request("s", "raw", 2**64, timeout=LIMIT_S)
    assert got == wanted  # whoever closes lets its listeners have what has arrived


@pytest.mark.parametrize(
    ("at_server", "at_client"), [(Reprs(), "json"), ("json", Reprs()), (["json", "msgpack"], Reprs())]
)
def test_another_codec_is_refused_with_what_to_do(at_server: object, at_client: object) -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", codec=at_server) as server,
        pytest.raises(sig.HandshakeRefused, match=r"the client encodes with .* give both ends the same codec \(codec="),
        contextlib.closing(sig.ClientRouter(server.urls[0], codec=at_client)) as client,
    ):
        client.open()


@pytest.mark.parametrize("urls", [(), ("tcp://127.0.0.1:0",)])
def test_what_is_no_codec_is_refused_before_anything_is_begun(urls: tuple[str, ...]) -> None:
    with contextlib.closing(sig.ServerRouter(*urls, codec="yaml")) as server:
        with pytest.raises(sig.InvalidArgument, match=r"there is no codec 'yaml'; choose from 'json'"):
            server.start()
        assert server.urls == []


class Hex(TCPServer):
    codec_name = "hex"

    def pack(self, obj: object) -> bytes:
        return str(obj).encode().hex().encode()

    def unpack(self, data: bytes) -> object:
        return bytes.fromhex(data.decode()).decode()


class HexClient(TCPClient):
    codec_name = "hex"
    pack = Hex.pack
    unpack = Hex.unpack


def test_a_carrier_that_is_added_brings_its_codec_along() -> None:
    with sig.serve(codec=Reprs()) as server:
        url = server.add_carrier("tcp://127.0.0.1:0")
        with pytest.raises(sig.HandshakeRefused, match="this server with 'reprs'"):
            sig.connect(HexClient(url))
        hex_url = server.add_carrier(Hex("tcp://127.0.0.1:0"))
        with sig.connect(HexClient(hex_url)) as client, sig.connect(url, codec=Reprs()) as other:
            client.add_sender("s", requests={None: lambda method, params: [method, params]})
            # As the codec of the one who answers has it: as text.
            assert other.request("s", "echo", (1,), timeout=LIMIT_S) == "['echo', '(1,)']"
            assert server.request("s", "echo", 2, timeout=LIMIT_S) == "['echo', '2']"


def test_the_carriers_of_a_server_may_encode_each_in_its_own_way() -> None:
    with (
        sig.serve(Hex("tcp://127.0.0.1:0"), "tcp://127.0.0.1:0") as server,
        sig.connect(HexClient(server.urls[0])) as client,
        sig.connect(server.urls[1]) as other,
    ):
        client.add_sender("s", requests={None: lambda method, params: params})
        assert other.request("s", "echo", 1, timeout=LIMIT_S) == "1"
        assert client.request("s", "echo", 1, timeout=LIMIT_S) == "1"
