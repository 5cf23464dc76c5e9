"""A plugin of pytest for own_coverage.py: what each file of tests covers is kept apart, and what importing covers.

Started with `-p tests.contexts`, before the package's own plugin imports it. Processes that tests start are not told of
it: what they cover is no file's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[1]
IMPORTS = "imports"


def context_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def forget() -> None:
    """Empty the caches of functions: whichever file comes later would not see them work."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "sig":
            for each in list(vars(module).values()):
                if hasattr(each, "cache_clear"):
                    each.cache_clear()


class Contexts:
    def __init__(self, measured: Coverage) -> None:
        self._measured = measured
        self._current = IMPORTS
        measured.switch_context(IMPORTS)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        context = context_of(item.path)
        if context != self._current:
            forget()
            self._current = context
            self._measured.switch_context(context)
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    if contexts is None:
        raise pytest.UsageError("tests.contexts is for `coverage run -m pytest`")
    config.pluginmanager.register(contexts)


measured = Coverage.current()
contexts = Contexts(measured) if measured else None
