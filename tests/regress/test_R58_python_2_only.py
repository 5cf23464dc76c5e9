"""R58. The package was Python 2 only, and had to be imported to read its version."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import sig


def test_every_module_compiles_and_the_version_is_read_without_running() -> None:
    root = Path(sig.__file__).parent
    for path in root.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    text = (root / "constants.py").read_text(encoding="utf-8")
    found = re.search(r'^VERSION: Final = "(.+)"$', text, re.M)
    assert found is not None
    assert found[1] == sig.__version__ == sig.VERSION
