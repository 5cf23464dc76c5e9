"""What every carrier has: a codec, which a subclass may be."""

from __future__ import annotations

import pytest

import sig
from sig.carriers import Carrier, TCPClient, TCPServer


class Plain(Carrier):
    pass


class Hex(Carrier):
    codec_name = "hex"

    def pack(self, obj: object) -> bytes:
        return str(obj).encode().hex().encode()

    def unpack(self, data: bytes) -> object:
        return bytes.fromhex(data.decode()).decode()


def test_without_an_override_it_encodes_as_json() -> None:
    carrier = Plain()
    assert carrier.pack({"a": [1, None]}) == b'{"a":[1,null]}'
    assert carrier.unpack(b'{"a":[1,null]}') == {"a": [1, None]}
    assert not carrier.overrides_codec
    assert list(carrier.codecs()) == ["json", "msgpack"]
    assert carrier.router is None


def test_what_it_cannot_carry_raises() -> None:
    with pytest.raises(sig.InvalidData):
        Plain().pack(object())
    with pytest.raises(sig.InvalidData):
        Plain().unpack(b"{")


def test_an_override_is_the_codec_of_its_links() -> None:
    (codec,) = Hex().codecs("json").values()
    assert (codec.name, codec.lines) == ("hex", False)
    assert codec.encode("hi") == b"6869"
    assert codec.decode(b"6869") == "hi"


def test_half_an_override_is_one_too() -> None:
    class Half(Carrier):
        def pack(self, obj: object) -> bytes:
            return super().pack(obj).upper()

    (codec,) = Half().codecs().values()
    assert codec.name == "custom"
    assert codec.encode("a") == b'"A"'
    assert codec.decode(b'"A"') == "A"


def test_another_codec_may_be_chosen_where_nothing_is_overridden() -> None:
    class Upper:
        name = "upper"

        def encode(self, obj: object) -> bytes:
            return str(obj).upper().encode()

        def decode(self, data: bytes) -> object:
            return data.decode()

    assert list(Plain().codecs(Upper())) == ["upper"]
    assert list(Hex().codecs([Upper(), "json"])) == ["hex"]


def test_one_that_fails_costs_the_caller_and_not_the_link() -> None:
    class Fussy(Carrier):
        def pack(self, obj: object) -> bytes:
            if obj == "bad":
                raise ZeroDivisionError
            if obj == "odd":
                return 5  # type: ignore[return-value]  # on purpose
            return str(obj).encode()

        def unpack(self, data: bytes) -> object:
            if data == b"unreadable":
                raise ZeroDivisionError
            return data.decode()

    class Server(Fussy, TCPServer):
        pass

    class Client(Fussy, TCPClient):
        pass

    heard: list[object] = []
    gaps: list[sig.Gap] = []
    with sig.serve(Server("tcp://127.0.0.1:0")) as server, sig.connect(Client(server.urls[0])) as client:
        client.listen(lambda info, data: heard.append(data), "s", "e", on_gap=lambda info, gap: gaps.append(gap))
        sender = server.add_sender("s", "e", {"echo": lambda params: params})
        with pytest.raises(sig.InvalidData, match="ZeroDivisionError"):
            sender.trigger("e", "bad")
        with pytest.raises(sig.InvalidData, match="must return bytes"):
            client.request("s", "echo", "odd")
        sender.trigger("e", "unreadable")
        sender.trigger("e", "good")
        with pytest.raises(sig.InvalidData, match="cannot read"):
            client.request("s", "echo", "unreadable")
        assert client.request("s", "echo", "fine") == "fine"
        server.flush()
    assert heard == ["good"]
    assert gaps == [(1, "undecodable")]
