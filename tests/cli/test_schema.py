"""`sig schema`: what senders offer, as JSON Schema and as an AsyncAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from cli.commands import at_terminal, command
from cli.conftest import Here

import sig
from sig.cli.asyncapi import asyncapi
from sig.cli.schema import Document, told


class Place(msgspec.Struct):
    room: int


class Reading(msgspec.Struct):
    celsius: float
    place: Place


def convert(params: Reading) -> float:
    return params.celsius


def untyped(params: Any) -> Any: ...


def offer(server: sig.ServerRouter) -> None:
    server.add_sender("lab/probe", {"read": Reading, "noise": None}, [convert, untyped])
    server.add_sender("oven", "done", {None: lambda method, params: None})


def test_it_prints_what_can_be_kept(here: Here, server: sig.ServerRouter) -> None:
    offer(server)
    done = here("schema")
    assert done.code == 0
    assert done.out.startswith('{\n  "senders": {\n    "lab/probe": {\n')
    senders = json.loads(done.out)["senders"]
    assert senders["oven"] == {"events": {"done": {}}, "requests": {}}
    probe = senders["lab/probe"]
    assert probe["events"]["noise"] == {}
    assert probe["events"]["read"]["$defs"]["Reading"]["required"] == ["celsius", "place"]
    assert probe["requests"]["untyped"] == {}
    assert probe["requests"]["convert"]["result"] == {"type": "number"}
    assert msgspec.json.decode(done.out, type=Document).senders.keys() == {"lab/probe", "oven"}


def test_a_pattern_chooses_and_json_is_one_line(here: Here, server: sig.ServerRouter) -> None:
    offer(server)
    [line] = here("schema", "lab/*", "--json").out.splitlines()
    assert list(json.loads(line)["senders"]) == ["lab/probe"]


def test_people_see_it_in_colours(server: sig.ServerRouter, url: str) -> None:
    offer(server)
    assert "celsius" in at_terminal("schema", url=url)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def at(document: Any, reference: str) -> Any:
    for word in reference.removeprefix("#/").split("/"):
        document = document[word]
    return document


def test_an_asyncapi_document_says_who_sends_and_who_replies(server: sig.ServerRouter, url: str) -> None:
    offer(server)
    document = json.loads(command("schema", "--asyncapi", url=url).stdout)
    assert document["asyncapi"] == "3.0.0"
    assert list(document["channels"]) == [
        "lab_probe.read",
        "lab_probe.noise",
        "lab_probe.convert",
        "lab_probe.untyped",
        "oven.done",
    ]
    actions = {name: operation["action"] for name, operation in document["operations"].items()}
    assert actions == {**dict.fromkeys(actions, "send"), "lab_probe.convert": "receive", "lab_probe.untyped": "receive"}
    assert "reply" in document["operations"]["lab_probe.convert"]
    read = document["channels"]["lab_probe.read"]
    assert read["address"] == "lab/probe"
    assert read["title"] == "event 'read' of 'lab/probe'"
    payload = at(document, read["messages"]["event"]["payload"]["$ref"])
    assert payload["properties"]["place"] == {"$ref": "#/components/schemas/Place"}
    # Shared by the event and the request.
    assert sorted(document["components"]["schemas"]) == ["Place", "Reading"]
    assert all(at(document, reference) is not None for reference in references(document))


def rows(params: int) -> Iterator[Reading]:
    yield from ()


def test_parts_of_answers_are_told_too(here: Here, server: sig.ServerRouter, url: str) -> None:
    server.add_sender("table", requests=[rows])
    requests = json.loads(here("schema").out)["senders"]["table"]["requests"]
    assert requests["rows"]["parts"]["$ref"] == "#/$defs/Reading"
    document = json.loads(command("schema", "--asyncapi", url=url).stdout)
    messages = document["channels"]["table.rows"]["messages"]
    assert list(messages) == ["params", "parts", "result"]
    assert at(document, messages["parts"]["payload"]["$ref"])["title"] == "Reading"
    reply = document["operations"]["table.rows"]["reply"]["messages"]
    assert [at(document, one["$ref"])["name"] for one in reply] == ["rows.parts", "rows.result"]


def test_who_says_nothing_of_the_parts_is_known_to_answer_in_parts(here: Here, server: sig.ServerRouter) -> None:
    def lines(params):  # type: ignore[no-untyped-def]
        yield from params

    server.add_sender("table", requests=[lines])
    assert json.loads(here("schema").out)["senders"]["table"]["requests"] == {"lines": {"parts": {}}}


def test_definitions_of_one_name_are_told_apart_by_what_they_say() -> None:
    def node(**values: Any) -> dict[str, Any]:
        properties = {**values, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}
        return {"$ref": "#/$defs/Node", "$defs": {"Node": {"properties": properties}, "Unused": {}}}

    outer = {
        "$ref": "#/$defs/Outer",
        "$defs": {"Outer": {"items": {"$ref": "#/$defs/Inner"}}, "Inner": {"type": "null"}},
    }
    other = {**outer, "$defs": {**outer["$defs"], "Inner": {"type": "string"}}}  # type: ignore[dict-item]
    events = {"a": node(), "b": node(), "c": node(x={}), "d": outer, "e": other, "f": {"$ref": "elsewhere", "x": [1]}}
    document = asyncapi({"s": (events, {}), "s/": ({"a": {}}, {}), "s_": ({"a": {}}, {})})
    schemas = document["components"]["schemas"]
    assert list(schemas) == ["Node", "Node-2", "Outer", "Inner", "Outer-2", "Inner-2"]
    assert schemas["Node"]["properties"]["next"]["anyOf"][0] == {"$ref": "#/components/schemas/Node"}
    assert schemas["Outer-2"]["items"] == {"$ref": "#/components/schemas/Inner-2"}
    assert [key for key in document["channels"] if key.endswith(".a") or "-" in key] == ["s.a", "s_.a", "s_.a-2"]
    assert document["channels"]["s.f"]["messages"]["event"]["payload"] == events["f"]
    assert all(re.fullmatch(r"[\w.-]+", key) for key in (*schemas, *document["channels"]))


def test_what_a_peer_calls_a_schema_is_taken_calmly() -> None:
    for schema in ({"events": 5}, {"events": {"e": 5}, "requests": {"m": []}}, {"requests": {"m": {"params": "x"}}}):
        row = sig.SenderInfo("s", ["e"], ["m"], 0.0, "local", 1, schema)
        offer = told([row]).senders["s"]
        assert offer.events == {"e": {}}
        assert offer.requests in ({"m": {}}, {"m": {"params": {}}})
