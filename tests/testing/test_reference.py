"""The page of the reference has every public name, and every fixture."""

from __future__ import annotations

import inspect

from docs.pages import quoted, read, rows

import sig.testing
from sig.testing import aio, plugin

PAGE = "reference/testing.md"


def test_every_public_name_is_in_the_reference() -> None:
    page = read(PAGE)
    for module in (sig.testing, aio):
        for name in module.__all__:
            assert f":: {module.__name__}.{name}\n" in page, name


def test_the_fixtures_are_those_of_the_plugin() -> None:
    told = [quoted(cells[0])[0] for cells in rows(read(PAGE)) if cells[0].startswith("`")]
    there = [name for name, value in vars(plugin).items() if "fixture" in type(value).__name__.lower()]
    assert sorted(told) == sorted(name for name in there if not name.startswith("_"))


def test_public_names_say_what_they_are() -> None:
    for name in sig.testing.__all__:
        assert inspect.getdoc(getattr(sig.testing, name)), name
