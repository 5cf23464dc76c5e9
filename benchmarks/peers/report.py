"""What people are shown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.cases import HIGHER, Case, Measure
from benchmarks.peers.contestants import ALL, Contestant
from benchmarks.peers.results import Results
from benchmarks.peers.targets import PEERS, TARGETS
from benchmarks.rounds import Spread
from benchmarks.tables import Table, cell, hundredths, number


def of_cases(results: Results, cases: Sequence[Case], reference: str) -> dict[str, Table]:
    """By the case's name."""
    return {case.name: _of_case(results, case, reference) for case in cases if case.name in results.cases}


def of_targets(results: Results) -> Table:
    rows = []
    for target in TARGETS:
        found = target.measured(results)
        sign = ">=" if target.better == HIGHER else "<="
        reached = target.verdict(found.median) if found else "not measured"
        row = [target.text, cell(found, hundredths), f"{sign} {target.must:g}", f"{sign} {target.goal:g}", reached]
        rows.append(row)
    return Table("targets: ratios within rounds", ["", "measured", "must", "goal", "reached"], rows)


def absences(results: Results) -> list[str]:
    """Who was not there, and why."""
    return [f"{one.title}: {results.missing[one.name]}" for one in ALL if one.name in results.missing]


def behind(results: Results, cases: Sequence[Case], mine: str) -> list[str]:
    """Where a peer is better than `mine`, by the median of the ratios within rounds: Markdown, line by line."""
    found = ["### Where a peer is better", ""]
    for case in cases:
        for measure in case.measures:
            better = [
                f"{peer.title} ({hundredths(1 / ratio.median)} times as good)"
                for peer in ALL
                if peer.name in PEERS and (ratio := _ratio(results, case, measure, mine, peer)) and ratio.median < 1
            ]
            if better and measure.compared:
                found.append(f"* {case.title}, {measure.unit}: {', '.join(better)}")
    return [*found, "* Nowhere, in these cases."] if len(found) == 2 else found


def _ratio(results: Results, case: Case, measure: Measure, mine: str, peer: Contestant) -> Spread | None:
    """How many times as good as the peer's mine is."""
    if measure.better == HIGHER:
        return results.ratio(case.name, measure.name, mine, [peer.name])
    return results.ratio(case.name, measure.name, peer.name, [mine])


def _of_case(results: Results, case: Case, reference: str) -> Table:
    head = [""]
    for measure in case.measures:
        head += [measure.unit, "ratio"] if measure.compared else [measure.unit]
    rows = []
    for contestant in ALL:
        if contestant.name not in results.cases[case.name]:
            continue
        row = [contestant.title]
        for measure in case.measures:
            found = results.spread(case.name, contestant.name, measure.name)
            if not measure.compared:
                row.append(number(found.median) if found else "-")
                continue
            ratio = results.ratio(case.name, measure.name, reference, [contestant.name])
            row += [cell(found, number), cell(ratio, hundredths)]
        rows.append(row)
    return Table(case.title, head, rows)
