"""Tables of the reference, compared with the code."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import sig
from sig import aio, constants, errors
from sig.alias import OldNames
from sig.carriers import Carrier, TCPClient, TCPServer
from sig.protocol import requests

from .pages import PAGES, ROOT, quoted, read, rows

UNITS = {"KiB": 1024, "MiB": 1024 * 1024}


def number(text: str) -> float:
    value, _, unit = text.replace(",", "").partition(" ")
    return float(value) * UNITS.get(unit, 1)


def test_the_limits_are_those_of_the_code() -> None:
    told = {
        quoted(cells[0])[0]: number(cells[1])
        for cells in rows(read("reference/limits.md").partition("## Not options")[0])
        if cells[0].startswith("`")
    }
    assert told == {field.name: field.default for field in dataclasses.fields(constants.Limits)}


def test_what_is_no_option_is_true_too() -> None:
    page = read("reference/limits.md")
    for value in (
        f"1 to {constants.NAME_MAX_BYTES} bytes",
        f"at most {constants.NAME_MAX_LEVELS} levels",
        f"{constants.CONTROL_MAX_DEPTH} levels",
        f"| {constants.DEFAULT_PORT} |",
        f"| {requests.TIMES} times `requests_out` |",
    ):
        assert value in page


def test_each_error_is_explained_once() -> None:
    told = re.findall(r"^### `(\w+)`$", read("explanation/errors.md"), re.M)
    assert sorted(told) == sorted(errors.__all__)


def test_the_errors_are_those_of_the_code() -> None:
    told = {}
    for cells in rows(read("reference/errors.md")):
        if len(cells) == 3 and cells[0].startswith("`"):
            name, base, code = (quoted(cell)[0] if cell else "" for cell in cells)
            told[name] = (base, code)
    there = {}
    for name in errors.__all__:
        error = getattr(errors, name)
        # The base that says most: the standard library's, or the error above; not SigError.
        base = error.__bases__[-1].__name__
        there[name] = ("" if base in ("SigError", "Exception") else base, error.wire_code)
    assert told == there


def test_each_error_is_described() -> None:
    page = read("reference/errors.md")
    for name in errors.__all__:
        assert f".. autoexception:: sig.{name}\n" in page


def old_names() -> list[tuple[str, str]]:
    """The aliases of all public classes, and the names of their kind: not as Python writes names today."""
    found = []
    for cls in (sig.Router, sig.ClientRouter, sig.Sender, sig.Event, Carrier, TCPServer, TCPClient):
        assert issubclass(cls, OldNames)
        found += [
            (cls.__name__, name)
            for base in cls.__mro__
            for name in vars(base)
            if not name.startswith("_") and name != name.lower()
        ]
    return found


@pytest.mark.parametrize(("cls", "name"), old_names())
def test_the_table_of_names_has_every_old_name(cls: str, name: str) -> None:
    page = read("reference/names.md")
    assert f".{name}`" in page, f"{cls}.{name}"


def test_the_primary_names_in_the_table_exist() -> None:
    owners = (sig.Router, sig.Sender, sig.Event, TCPClient, TCPServer, sig, sig.carriers)
    for cells in rows(read("reference/names.md")):
        for name in quoted(cells[1]):
            word = name.partition("(")[0].rpartition(".")[2]
            assert any(hasattr(owner, word) for owner in owners), name


@pytest.mark.parametrize("name", sorted(sig.__all__))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "reference"]
    forms = (f"sig.{name}\n", f"sig.{name}()\n", f"`{name}`", f"`sig.{name}`")
    assert any(form in page for page in pages for form in forms)


def test_what_is_awaited_in_asyncio_is_told() -> None:
    told = {cells[0]: sorted(quoted(cells[1])) for cells in list(rows(read("reference/asyncio.md")))[1:]}
    pending, awaited, called = told
    owners = [aio.Router, aio.ServerRouter, aio.ClientRouter, aio.Sender, aio.Signal, aio.Stream, aio.Events]
    verbs = [aio.serve, aio.connect]
    verbs += [getattr(owner, name) for owner in owners for name in dir(owner) if not name.startswith("_")]
    coroutines = {verb.__name__ for verb in verbs if inspect.iscoroutinefunction(verb)}
    others = {
        verb.__name__: str(inspect.signature(verb).return_annotation) for verb in verbs if inspect.isfunction(verb)
    }
    assert sorted(coroutines) == told[awaited]
    assert sorted(name for name, returned in others.items() if "Pending" in returned) == told[pending]
    assert {name for name in told[called] if name not in others or name in coroutines} == set()


def test_the_files_that_tell_how_it_is_built_are_there() -> None:
    named = [name for name in quoted(read("explanation/architecture.md")) if re.fullmatch(r"[a-z_/]+\.py", name)]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "src/sig" / name).is_file()] == []


def test_the_options_of_listen_are_described() -> None:
    text = inspect.getdoc(sig.Router.listen) or ""
    for option in inspect.signature(sig.Router.listen).parameters:
        assert option == "self" or re.search(rf"^    {option}:|`{option}`", text, re.M), option


def test_the_commands_are_those_of_the_command_line() -> None:
    app = pytest.importorskip("sig.cli.app").app
    page = read("reference/command_line.md")
    told = [quoted(cells[0])[0].split()[1] for cells in rows(page) if cells[0].startswith("`sig ")]
    assert sorted(told) == sorted(name for name in app if not name.startswith("-"))


def test_the_options_of_the_command_line_are_told() -> None:
    app = pytest.importorskip("sig.cli.app").app
    page = read("reference/command_line.md")
    told = {quoted(cells[0])[0]: sorted(quoted(cells[1])) for cells in rows(page) if cells[0].startswith("`--")}
    there: dict[str, list[str]] = {}
    for command in (name for name in app if not name.startswith("-")):
        for argument in app[command].assemble_argument_collection():
            for name in argument.names:
                if name.startswith("--") and not name.startswith("--empty-"):
                    there.setdefault(name, []).append(command)
    assert told == {name: sorted(commands) for name, commands in there.items()}


def test_the_exit_codes_are_told() -> None:
    codes = pytest.importorskip("sig.cli.errors")
    told = [cells[0] for cells in rows(read("reference/command_line.md")) if cells[0].isdigit()]
    assert told == [
        str(code)
        for code in (codes.ANSWERED, codes.FAILED, codes.USAGE, codes.NOT_CONNECTED, codes.TIMEOUT, codes.DENIED, 130)
    ]
