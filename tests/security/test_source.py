"""What comes over a link, or stands in a file, is data: nothing in the source makes code of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sig"

# Whoever reads these runs what somebody has written.
MODULES = (
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "jsonpickle",
    "dbm",
    "yaml",
    "code",
)
CALLS = ("eval", "exec", "compile", "__import__", "execfile")
# What runs a text by way of a shell.
SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
# Modules by name: packages that not everybody has installed, from tables that stand there.
BY_NAME = ("__init__.py", "carriers/schemes.py", "gui.py")


def dotted(node: ast.expr) -> str:
    """The name that is written there, as `os.system`; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def wrong(text: str, *, by_name: bool = False) -> Iterator[str]:
    """What in a source may not be."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{node.lineno}: imports {m}" for m in modules if m.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name.removeprefix("builtins.") in CALLS or name in SHELLS:
                yield f"{node.lineno}: calls {name}"
            elif name.endswith("import_module") and not by_name:
                yield f"{node.lineno}: imports by name"
            elif name.startswith("subprocess.") and any(
                word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords
            ):
                yield f"{node.lineno}: runs a shell"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_makes_code_of_data(path: Path) -> None:
    by_name = str(path.relative_to(SOURCE)) in BY_NAME
    assert list(wrong(path.read_text("utf-8"), by_name=by_name)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import json, pickle", "imports pickle"),
        ("from marshal import loads", "imports marshal"),
        ("def f(x):\n    return eval(x)", "calls eval"),
        ("builtins.exec(x)", "calls builtins.exec"),
        ("import importlib\nimportlib.import_module(name)", "imports by name"),
        ("os.system(x)", "calls os.system"),
        ("subprocess.run(x, shell=True)", "runs a shell"),
        ("subprocess.run(x, shell=how)", "runs a shell"),
    ],
)
def test_what_may_not_be_is_found(text: str, found: str) -> None:
    (told,) = wrong(text)
    assert told.endswith(found)


def test_what_looks_alike_is_not() -> None:
    assert list(wrong("re.compile(x)\nit.exec()\nsubprocess.run(x, shell=False)\nimport codecs")) == []
