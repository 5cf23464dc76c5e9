"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.peers.cases import HIGHER, Case
from benchmarks.peers.contestants import Contestant
from benchmarks.peers.results import Results
from benchmarks.peers.targets import TARGETS
from benchmarks.rounds import Spread

# Wide enough for the widest table, wherever it is written.
WIDTH = 150


def show(
    results: Results, cases: Sequence[Case], contestants: Sequence[Contestant], reference: str, console: Console
) -> None:
    """One table a case, one of the targets, and who was not there."""
    rounds = "one round" if results.rounds == 1 else f"{results.rounds} rounds: medians (quartiles)"
    console.print(f"{rounds}; ratio: {reference} / that contestant, within rounds\n", soft_wrap=True)
    for case in cases:
        if case.name in results.cases:
            _show(case.title, _of_case(results, case, contestants, reference), console)
    _show("targets: ratios within rounds", _of_targets(results), console)
    for contestant in contestants:
        if contestant.name in results.missing:
            console.print(f"{contestant.title}: {results.missing[contestant.name]}", soft_wrap=True)
    for sentence in results.failures:
        console.print(f"FAILED: {sentence}", style="bold red", markup=False, soft_wrap=True)


def _of_case(results: Results, case: Case, contestants: Sequence[Contestant], reference: str) -> Table:
    table = _table()
    table.add_column("")
    for measure in case.measures:
        table.add_column(measure.unit, justify="right", no_wrap=True)
        if measure.compared:
            table.add_column("ratio", justify="right", no_wrap=True)
    for contestant in contestants:
        if contestant.name not in results.cases[case.name]:
            continue
        row = [contestant.title]
        for measure in case.measures:
            found = results.spread(case.name, contestant.name, measure.name)
            if not measure.compared:
                row.append(number(found.median) if found else "-")
                continue
            row.append(_spread(found))
            row.append(_ratio(results.ratio(case.name, measure.name, reference, [contestant.name])))
        table.add_row(*row)
    return table


def _of_targets(results: Results) -> Table:
    table = _table()
    for name in ("", "measured", "must", "goal", "reached"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for target in TARGETS:
        found = target.measured(results)
        sign = ">=" if target.better == HIGHER else "<="
        table.add_row(
            target.text,
            _ratio(found),
            f"{sign} {target.must:g}",
            f"{sign} {target.goal:g}",
            target.verdict(found.median) if found else "not measured",
        )
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def _show(title: str, table: Table, console: Console) -> None:
    # Not the table's own title: that would be as narrow as the table.
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)


def number(value: float) -> str:
    """Three digits, and a letter for thousands and millions."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def _spread(found: Spread | None) -> str:
    return "-" if found is None else _with_quartiles(*map(number, found))


def _ratio(found: Spread | None) -> str:
    return "-" if found is None else _with_quartiles(*(f"{figure:.2f}" for figure in found))


def _with_quartiles(low: str, median: str, high: str) -> str:
    return median if low == high else f"{median} ({low}-{high})"
