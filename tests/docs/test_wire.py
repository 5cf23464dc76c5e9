"""docs/explanation/wire.md says what the code does, byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sig import errors, messages
from sig.protocol import bodies, frames

from .pages import ROOT, quoted, read, rows, section

WIRE = "explanation/wire.md"
CODE_BLOCK = re.compile(r"^```\{code-block\} text\n:caption: (?P<caption>[^\n]+)\n\n(?P<body>.*?)^```$", re.M | re.S)


def vectors() -> dict[str, bytes]:
    """The recorded frames of the protocol's own tests."""
    path = ROOT / "tests" / "protocol" / "vectors" / "v1.json"
    recorded: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: b"".join(bytes.fromhex(p) if isinstance(p, str) else p["text"].encode() for p in pieces)
        for name, pieces in recorded.items()
    }


def shown() -> list[tuple[str, str]]:
    return [(found["caption"], found["body"]) for found in CODE_BLOCK.finditer(read(WIRE))]


def bytes_of(body: str) -> bytes:
    """Hexadecimal, texts in 'quotes', and remarks behind two blanks and a #."""
    data = b""
    for line in body.splitlines():
        for text, digits in re.findall(r"'([^']*)'|([0-9a-f]+)", re.sub(r"\s{2,}#.*", "", line)):
            data += text.encode() if text else bytes.fromhex(digits)
    return data


@pytest.mark.parametrize(("caption", "body"), shown())
def test_the_bytes_shown_are_the_recorded_ones(caption: str, body: str) -> None:
    assert bytes_of(body) == vectors()[caption]


def test_every_kind_is_shown() -> None:
    kinds = {bytes_of(body)[4] for caption, body in shown() if caption != "preface"}
    twin = {frames.Kind.PONG}  # as PING
    assert kinds == set(frames.Kind) - twin


def test_the_table_of_kinds() -> None:
    told = {cells[1]: int(cells[0], 16) for cells in rows(section(WIRE, "Kinds")) if len(cells[0]) == 2}
    assert told == {kind.name: kind.value for kind in frames.Kind}


BODIES = {
    "HELLO": messages.Hello,
    "CHALLENGE": messages.Challenge,
    "AUTH": messages.Auth,
    "WELCOME": messages.Welcome,
    "BYE": messages.Bye,
    "ERROR": messages.Error,
    "add_sender": messages.AddSender,
    "remove_sender": messages.RemoveSender,
    "listen": messages.Listen,
    "close": messages.Close,
    "senders": messages.Senders,
    "last": messages.Last,
    "stats": messages.Stats,
    "clients": messages.Clients,
    "kick": messages.Kick,
    "open_requests": messages.OpenRequests,
    "flush": messages.Flush,
    "RESULT": messages.Result,
    "ROUTE": messages.Route,
    "ROUTE_GONE": messages.RouteGone,
    "INTEREST": messages.Interest,
    "PRESENCE": messages.Presence,
}


@pytest.mark.parametrize("title", BODIES)
def test_the_keys_of_a_body(title: str) -> None:
    told = [quoted(cells[0])[0] for cells in rows(section(WIRE, title)) if cells[0].startswith("`")]
    assert told == [field.encode_name for field in msgspec.structs.fields(BODIES[title])]


@pytest.mark.parametrize("title", BODIES)
def test_the_defaults_that_are_told(title: str) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(BODIES[title])}
    for cells in rows(section(WIRE, title)):
        told = re.search(r"default `([^`]+)`$|`([^`]+)` \(default\)|default (\S+)$", cells[-1])
        if told is not None:
            value = json.loads(next(filter(None, told.groups())))
            field = fields[quoted(cells[0])[0]]
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            assert default == value, cells[0]


def test_all_bodies_are_told() -> None:
    there = {
        value
        for value in vars(messages).values()
        if isinstance(value, type) and issubclass(value, messages.Message) and value is not messages.Message
    }
    assert there == set(BODIES.values())


def test_the_calls_are_named_as_in_the_code() -> None:
    for title, kind in BODIES.items():
        if title == title.lower():
            assert kind.__struct_config__.tag == title


def test_the_reasons_of_lost() -> None:
    told = re.findall(r"(\d) (\w+)", section(WIRE, "LOST").partition("u8 why:")[2].partition(";")[0])
    assert [(int(code), reason) for code, reason in told] == list(enumerate(bodies.LOST_REASONS))


def test_the_codes_of_errors_and_what_comes_with_them() -> None:
    told = {
        quoted(cells[0])[0]: quoted(cells[1])
        for cells in rows(section(WIRE, "Errors"))
        if len(cells) == 2 and cells[0].startswith("`")
    }
    for name in errors.__all__:
        error = getattr(errors, name)
        if error.wire_code in ("request_failed", "remote_error"):
            continue
        assert told.pop(error.wire_code) == list(error._wire_fields), name
    assert "failure" in told.pop("request_failed")
    assert {"failure", "type", "traceback"} <= set(told.pop("remote_error"))
    assert told == {}


def test_the_stranger_is_named() -> None:
    assert "examples/other_language_client.py" in read(WIRE)
    assert Path(ROOT / "examples" / "other_language_client.py").exists()
