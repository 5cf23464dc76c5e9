"""The layers of the house: imports point down, the core knows no world and no chance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sig"

# The one table: layer -> modules of `sig`, as patterns. Every source file is in it, or in EXEMPT.
LAYERS: dict[int, str] = {
    0: "constants errors names log alias spelling",
    1: "call callables complaints consumer contract declaring forms gather holders hub index info initial "
    "iterators kinds mailbox marks pace parts promises requests rounds router runtime schema sender signal "
    "slots stats steps streams subscription security.attempts security.credentials security.identity "
    "security.places security.policy security.policyfile security.proof security.secret",
    2: "messages codecs decoding",
    3: "protocol.*",
    4: "drivers.*",
    5: "carriers.* certs",
    6: "answers arrivals connecting gate giving gui linked network plans questions returned returning security.* "
    "serving settings taking told wishes aio aio.*",
    7: "__main__ cli cli.* demo demo.* testing testing.*",
}

# Files that only re-export: the packages, and the import paths of 0.7. Nobody below the top may import them.
EXEMPT = "__init__ *.__init__ carrier.* utils.*"
TOP = max(LAYERS)

# What layers 0 to 3 may not import: the world, its clock and its dice;
# but for these names, in this layer or module.
CORE = range(4)
FORBIDDEN = ["socket", "ssl", "threading", "asyncio", "time", "random", "uuid"]
ALLOWED: dict[str, dict[int | str, str]] = {
    "threading": {1: "Lock RLock"},
    "ssl": {
        "protocol.tls": "MemoryBIO SSLCertVerificationError SSLContext SSLError SSLObject SSLWantReadError "
        "SSLZeroReturnError cert_time_to_seconds"
    },
}


def name_of(path: Path) -> str:
    """The module in this file, without the leading `sig.`; a package is `<name>.__init__`."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


MODULES: dict[str, Path] = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def listed(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns.split())


def layer_of(name: str) -> int | None:
    """The layer of a module; None for one that is not in the table."""
    if listed(name, EXEMPT):
        return TOP
    return next((layer for layer, patterns in LAYERS.items() if listed(name, patterns)), None)


def core_modules() -> list[str]:
    """The modules that are covered by their own tests alone; also what tests/own_coverage.py walks."""
    return [name for name in MODULES if not listed(name, EXEMPT) and layer_of(name) in CORE]


# -- imports -------------------------------------------------------------------------------------


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, str | None, int]]:
    """Every import, wherever it stands: module, the name taken from it (None for the module itself), line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield module, alias.name, node.lineno


def target(module: str, name: str | None) -> str | None:
    """Which of our modules an import brings, as in MODULES; None for one that is not ours."""
    if module.split(".")[0] != "sig":
        return None
    path = module.split(".")[1:]
    for candidate in ([*path, name] if name else path, path):
        for spelling in (candidate, [*candidate, "__init__"]):
            if ".".join(spelling) in MODULES:
                return ".".join(spelling)
    return ".".join(path)


def upward(name: str, source: str, layer: int) -> Iterator[str]:
    """The imports of our own modules that do not point down or sideways."""
    package = ".".join(["sig", *name.split(".")[:-1]])
    for module, what, line in imports(ast.parse(source), package):
        wanted = target(module, what)
        if wanted is None:
            continue
        to = layer_of(wanted)
        if to is None or to > layer:
            yield f"{name}:{line} (layer {layer}) imports {wanted} (layer {to})"


def worldly(name: str, source: str, layer: int) -> Iterator[str]:
    """The imports of what the core must be given from outside."""
    tree = ast.parse(source)
    for module, what, line in imports(tree, "sig"):
        root = module.split(".")[0]
        if root not in FORBIDDEN:
            continue
        exceptions = ALLOWED.get(root, {})
        allowed = f"{exceptions.get(layer, '')} {exceptions.get(name, '')}".split()
        used = [what] if what else [*attributes(tree, root)]
        if not allowed or any(part not in allowed for part in used):
            yield f"{name}:{line} (layer {layer}) imports {root}" + (f" for {', '.join(used)}" if allowed else "")


def attributes(tree: ast.AST, module: str) -> Iterator[str]:
    """What is taken from a module that was imported as a whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            yield node.attr


# -- order ---------------------------------------------------------------------------------------

SETS = ("set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet")
# Calls that walk their argument in its own order, and let that order out.
WALKERS = ("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "dict")


def is_set(node: ast.AST | None, known: set[str]) -> bool:
    """Whether an expression is a set, as far as one can see without running it."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SETS
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in known
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return is_set(left, known) or is_set(right, known)
    return False


def says_set(annotation: ast.AST) -> bool:
    match annotation:
        case ast.Subscript(value=value):
            return says_set(value)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SETS
    return False


def named(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return name
    return ""


def walks_of_sets(name: str, source: str) -> Iterator[str]:
    """Where the order of a set gets out: best effort, by the names that a file gives to sets."""
    tree = ast.parse(source)
    known: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=bound, annotation=annotation) if says_set(annotation):
                known.add(named(bound))
            case ast.arg(annotation=ast.AST() as annotation) if says_set(annotation):
                known.add(named(node))
            case ast.Assign(targets=[bound], value=value) if is_set(value, set()):
                known.add(named(bound))
    for node in ast.walk(tree):
        walked: list[ast.expr] = []
        match node:
            case ast.For(iter=source_) | ast.AsyncFor(iter=source_) | ast.comprehension(iter=source_):
                walked = [source_]
            case ast.Starred(value=value) | ast.YieldFrom(value=value):
                walked = [value]
            case ast.Call(func=ast.Name(id=called), args=args) if called in WALKERS:
                walked = args
            case ast.Call(func=ast.Attribute(attr="join"), args=args):
                walked = args
            case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]):
                walked = [value]
        for expression in walked:
            if is_set(expression, known):
                yield f"{name}:{expression.lineno} walks the set {ast.unparse(expression)}"


# -- our source ----------------------------------------------------------------------------------


def test_every_source_file_has_a_layer() -> None:
    assert [name for name in MODULES if layer_of(name) is None] == []


def test_imports_point_down() -> None:
    wrong = [
        complaint
        for name, path in MODULES.items()
        if not listed(name, EXEMPT)
        for complaint in upward(name, path.read_text("utf-8"), layer_of(name) or 0)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_knows_no_world_and_no_chance() -> None:
    wrong = [
        complaint
        for name in core_modules()
        for complaint in worldly(name, MODULES[name].read_text("utf-8"), layer_of(name) or 0)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_walks_no_sets() -> None:
    wrong = [
        complaint for name in core_modules() for complaint in walks_of_sets(name, MODULES[name].read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_core_module_has_its_own_test() -> None:
    tests = Path(__file__).parents[1]
    missing = [name for name in core_modules() if not (tests / own_test(name)).is_file()]
    assert missing == []


def own_test(name: str) -> str:
    """Where the test of a core module is, from `tests`: protocol.frames -> protocol/test_frames.py."""
    folder, _, module = name.rpartition(".")
    return f"{folder.replace('.', '/') or 'unit'}/test_{module}.py"


# -- the checks themselves -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import sig.errors",
        "from sig.errors import SigError",
        "from sig import errors",
        "from . import errors",
        "from .errors import SigError",
        "import json, collections.abc",
    ],
)
def test_imports_down_and_sideways_are_right(source: str) -> None:
    assert list(upward("names", source, 0)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import sig",
        "from sig import Router",
        "import sig.codecs",
        "from sig import codecs",
        "from . import codecs",
        "from .codecs import Codec",
        "def later():\n    from sig.codecs import Codec",
        "from sig.nowhere import x",
    ],
)
def test_imports_up_are_found(source: str) -> None:
    assert len(list(upward("names", source, 0))) == 1


def test_relative_imports_are_resolved_from_the_package() -> None:
    assert list(upward("protocol.frames", "from ..errors import SigError", 3)) == []
    assert len(list(upward("protocol.frames", "from .. import Router", 3))) == 1


@pytest.mark.parametrize(
    ("name", "layer", "source", "wrong"),
    [
        ("names", 0, "import json", False),
        ("names", 0, "import time", True),
        ("names", 0, "from asyncio.events import get_running_loop", True),
        ("names", 0, "from threading import Lock", True),
        ("router", 1, "from threading import Lock", False),
        ("router", 1, "import threading\nx = threading.Lock()", False),
        ("router", 1, "import threading\nx = threading.Thread()", True),
        ("router", 1, "from threading import Lock, Thread", True),
        ("codecs", 2, "from threading import Lock", True),
        ("protocol.tls", 3, "from ssl import MemoryBIO", False),
        ("protocol.tls", 3, "import ssl\nx = ssl.create_default_context()", True),
        ("protocol.peer", 3, "import ssl", True),
    ],
)
def test_the_world_is_found(name: str, layer: int, source: str, wrong: bool) -> None:
    assert bool(list(worldly(name, source, layer))) is wrong


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("for x in {1, 2}: pass", True),
        ("[x for x in set(y)]", True),
        ("[x for x in {y for y in z} - w]", True),
        ("x = {1}\nlist(x)", True),
        ("x: set[int] = make()\nfor y in x: pass", True),
        ("class A:\n  def f(self):\n    self._x = set()\n  def g(self):\n    yield from self._x", True),
        ("def f(x: frozenset[int]): return [*x]", True),
        ("def f(x: typing.AbstractSet[int]): return ','.join(x)", True),
        ("x = set()\nx.pop()", True),
        ("x = set()\nsorted(x)\n1 in x\nlen(x)\nx.add(1)", False),
        ("for x in {1: 2}: pass", False),
        ("for x in sorted({1, 2}): pass", False),
        ("x = {}\nx.pop(1)", False),
        ("for x in f(y): pass", False),
        ("x = [1]\nx.pop()", False),
    ],
)
def test_walks_of_sets_are_found(source: str, wrong: bool) -> None:
    assert bool(list(walks_of_sets("names", source))) is wrong


def test_tests_lie_where_their_source_does() -> None:
    assert own_test("names") == "unit/test_names.py"
    assert own_test("protocol.frames") == "protocol/test_frames.py"
