"""Columns for people: what stands in them can be read, and copied, at a terminal of 80."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text


def table(*heads: str) -> Table:
    """An empty one. It has no frame: that costs a quarter of the width, and tells nothing."""
    return Table(*heads, box=None, padding=(0, 2, 0, 0), header_style="dim")


def of_texts(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """One with these rows. Columns in which nothing stands are left out; what does not fit is folded, never cut."""
    told = [place for place, _ in enumerate(heads) if any(row[place] for row in rows)]
    found = table(*(heads[place] for place in told))
    for row in rows:
        found.add_row(*(Text(row[place], overflow="fold") for place in told))
    return found
