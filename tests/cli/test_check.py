"""`sig check`: a contract against what a server offers; code 1 if they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.commands import at_terminal
from cli.conftest import Here

import sig


class Reading(msgspec.Struct):
    celsius: float


class Placed(msgspec.Struct):
    celsius: float
    place: str


def convert(params: Reading) -> float:
    return params.celsius


def convert_placed(params: Placed) -> str:
    return params.place


@pytest.fixture
def contract(tmp_path: Path, here: Here, server: sig.ServerRouter) -> Path:
    """What is offered at first."""
    with server.add_sender("lab/probe", {"read": Placed, "noise": None}, [convert]):
        path = tmp_path / "contract.json"
        path.write_text(here("schema").out)
    return path


def differences(here: Here, contract: Path) -> list[tuple[str, str, str]]:
    done = here("check", str(contract), "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == (1 if rows else 0)
    return [(row["sender"], row["what"], row["difference"]) for row in rows]


def test_what_is_kept_does_not_differ(here: Here, server: sig.ServerRouter, contract: Path) -> None:
    server.add_sender("lab/probe", {"read": Placed, "noise": int, "more": int}, [convert, convert_placed])
    server.add_sender("stranger", "e")
    assert differences(here, contract) == []
    assert here("check", str(contract)) == (0, "", "")


def test_what_is_not_kept_is_told(here: Here, server: sig.ServerRouter, contract: Path) -> None:
    assert differences(here, contract) == [("lab/probe", "", "is not connected")]
    with server.add_sender("lab/probe", {"read": Reading}, {"convert": convert_placed}):
        assert differences(here, contract) == [
            ("lab/probe", "event read", "$.place is missing"),
            ("lab/probe", "event noise", "is not offered"),
            ("lab/probe", "request convert", "parameters: $.place is missing"),
            ("lab/probe", "request convert", "answer: $ is a string, not a number"),
        ]
    with server.add_sender("lab/probe", ["read", "noise"], {"other": convert}):
        assert differences(here, contract) == [("lab/probe", "request convert", "is not offered")]
    server.add_sender("lab/probe", ["read", "noise"], {None: lambda method, params: None})
    assert differences(here, contract) == []


def test_parts_of_answers_are_compared_too(here: Here, server: sig.ServerRouter, tmp_path: Path) -> None:
    def rows(params: object) -> Iterator[int]:
        yield 1

    def words(params: object) -> Iterator[str]:
        yield "one"

    path = tmp_path / "contract.json"
    with server.add_sender("table", requests={"rows": rows}):
        path.write_text(here("schema").out)
        assert differences(here, path) == []
    server.add_sender("table", requests={"rows": words})
    assert differences(here, path) == [("table", "request rows", "parts of the answer: $ is a string, not an integer")]


def test_a_name_may_be_a_pattern(here: Here, server: sig.ServerRouter, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text('{"senders": {"lab/*": {"events": {"read": {"type": "number"}}}}}')
    server.add_sender("lab/a", {"read": float})
    server.add_sender("lab/b", {"read": str})
    server.add_sender("hall", {"read": str})
    assert differences(here, path) == [("lab/b", "event read", "$ is a string, not a number")]


def test_people_see_a_table_or_a_word(server: sig.ServerRouter, url: str, contract: Path, here: Here) -> None:
    with server.add_sender("lab/probe", {"read": Placed, "noise": None}, [convert]):
        assert "nothing differs" in at_terminal("check", str(contract), url=url)


def test_differences_are_a_table(
    here: Here, server: sig.ServerRouter, contract: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    server.add_sender("lab/probe", {"read": Reading, "noise": None}, [convert])
    done = here("check", str(contract))
    assert done.code == 1
    for text in ("sender", "difference", "lab/probe", "event read", "$.place is missing"):
        assert text in done.out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "the contract cannot be read: {path}: No such file or directory"),
        ("{", "{path} is not what `sig schema` prints: "),
        ('{"senders": {"a": {"event": {}}}}', "Object contains unknown field `event` - at `$.senders[...]`"),
    ],
)
def test_a_contract_that_cannot_be_read_is_a_mistake(
    here: Here, tmp_path: Path, text: str | None, sentence: Any
) -> None:
    path = tmp_path / "contract.json"
    if text is not None:
        path.write_text(text)
    done = here("check", str(path))
    assert done.code == 2
    assert sentence.format(path=path) in done.err
