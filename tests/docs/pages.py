"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)

_FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: Path | str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: Path | str, language: str) -> list[str]:
    """The bodies of the page's code blocks in that language."""
    return [found["body"] for found in _FENCE.finditer(read(page)) if found["language"] == language]


def without_blocks(page: Path | str) -> str:
    return _FENCE.sub("", read(page))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the tables in a text, row by row, heads included."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(text: str) -> list[str]:
    """What stands in `backticks`."""
    return re.findall(r"`([^`]+)`", text)


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", without_blocks(page), re.M | re.S)
    assert found is not None, f"{page} has no section {title!r}"
    return found[2]
