"""Tables that hold what may go wrong to the tests about it: a line a test, as pytest writes them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent


def missing(row: str) -> list[str]:
    """The tests of a row that do not exist."""
    return [test for test in row.split() if not _exists(*test.split("::"))]


def _exists(path: str, name: str) -> bool:
    return name.startswith("test_") and name in _names_in(TESTS / path)


@cache
def _names_in(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, functions))
