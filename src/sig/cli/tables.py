"""What people read at a terminal: text that does nothing else there, and columns of it that fit into 80."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor or change its colours, written as JSON does."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def table(*heads: str) -> Table:
    """An empty one. It has no frame: that costs a quarter of the width, and tells nothing."""
    return Table(*heads, box=None, padding=(0, 2, 0, 0), header_style="dim")


def of_texts(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """One with these rows, made printable.

    Columns in which nothing stands are left out; what does not fit is folded, never cut.
    """
    told = [place for place, _ in enumerate(heads) if any(row[place] for row in rows)]
    found = table(*(heads[place] for place in told))
    for row in rows:
        found.add_row(*(Text(printable(row[place]), overflow="fold") for place in told))
    return found
