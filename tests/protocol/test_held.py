"""What a server knows of a sender."""

from __future__ import annotations

from msgspec import Raw
from protocol.pairs import World

from sig.messages import NO_SCHEMA, AddSender, Schema
from sig.protocol.held import Held, Route


def test_schemas_are_told_apart() -> None:
    number, requests = Raw(b'{"type":"number"}'), {"set": Raw(b"{}")}
    owner = World().client().connection

    def held(schema: Schema | None) -> Held:
        return Held("s", owner, AddSender("s", ["e", "f"], ["set"], schema), 1, 2)

    assert held(None).schema_of("e") is NO_SCHEMA
    assert held(None).presence() == {"events": ["e", "f"], "requests": ["set"]}
    typed = held(Schema({"e": number}, requests))
    assert typed.presence()["schema"] == {"events": {"e": number}, "requests": requests}
    assert typed.schema_of("e") == number
    assert typed.schema_of("f") is NO_SCHEMA
    assert typed.schema_of("") == Raw(b'{"set":{}}')
    assert held(Schema({"e": number})).schema_of("") is NO_SCHEMA
    large = held(Schema({"e": Raw(b'"' + b"x" * 999 + b'"')}))
    assert (held(None).declared, typed.declared, large.declared) == (3, 3, 6)


def test_a_route_is_of_a_sender() -> None:
    held = Held("s", World().client().connection, AddSender("s", ["e"]), 1, 2)
    assert (Route(5, held, "e").sender, Route(6, held, "").next_seq) == ("s", 1)
