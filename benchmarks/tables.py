"""Tables of text: for people at a terminal, and for the documentation."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.rounds import Spread

# Wide enough for the widest table, wherever it is written.
WIDTH = 150


class Table(NamedTuple):
    """Some rows under a head; the first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(
    tables: Iterable[Table], before: Sequence[str] = (), after: Sequence[str] = (), *, aside: bool = False
) -> None:
    """Print all of that, with lines of text around it; `aside` to standard error."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn

    console = Console(stderr=aside, width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False)
    for line in before:
        console.print(line, soft_wrap=True)
    for table in tables:
        drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(table.head):
            drawn.add_column(name, justify="right" if number else "left", no_wrap=bool(number))
        for row in table.rows:
            drawn.add_row(*row)
        # Not the table's own title: that would be as narrow as the table.
        console.print(f"\n{table.title}", style="bold", soft_wrap=True)
        console.print(drawn)
    for line in after:
        console.print(line, soft_wrap=True)


def cell(found: Spread | None, form: Callable[[float], str]) -> str:
    """The median, and the quartiles where there are some."""
    if found is None:
        return "-"
    low, median, high = map(form, found)
    return median if low == high else f"{median} ({low}-{high})"


def number(value: float) -> str:
    """Three digits, and a letter for thousands and millions."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


whole: Callable[[float], str] = "{:,.0f}".format
hundredths: Callable[[float], str] = "{:.2f}".format


def aligned(table: Table) -> Iterator[str]:
    """Lines of plain text, where rich is not to be asked for."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    yield from ("", table.title, "")
    for first, *others in (table.head, *table.rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def missing_rich() -> bool:
    """Whether `show` cannot work here; says so."""
    if importlib.util.find_spec("rich") is not None:
        return False
    print("rich is not installed: pip install -r benchmarks/requirements.txt", file=sys.stderr)
    return True


def markdown(table: Table, level: int = 3) -> str:
    """The same as Markdown, with its title as a heading."""
    lines = [
        f"{'#' * level} {table.title}",
        "",
        _line(table.head),
        _line(["---", *["--:"] * (len(table.head) - 1)]),
        *map(_line, table.rows),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write_page(path: Path, parts: Sequence[str]) -> None:
    """What a page of the documentation includes: some parts, and where they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["<!-- Written by the benchmarks: see benchmarks/README.md. -->", "", *parts]))
