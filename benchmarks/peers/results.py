"""What the rounds have given, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers.cases import HIGHER, Case, Figures
from benchmarks.peers.contestants import Contestant
from benchmarks.rounds import Spread, ratios, spread


@dataclass
class Results:
    """The figures of every contestant in every round of every case; `None` where a run failed."""

    rounds: int
    missing: dict[str, str] = field(default_factory=dict)
    """Why a contestant does not take part."""
    failures: list[str] = field(default_factory=list)
    """Sentences about runs that failed."""
    cases: dict[str, dict[str, list[Figures | None]]] = field(default_factory=dict)

    def add(self, case: str, contestant: str, figures: Figures | None) -> None:
        """One more round."""
        self.cases.setdefault(case, {}).setdefault(contestant, []).append(figures)

    def figures(self, case: str, contestant: str, measure: str) -> list[float | None]:
        """Round by round; empty if it did not take part."""
        rounds = self.cases.get(case, {}).get(contestant, [])
        return [None if figures is None else figures[measure] for figures in rounds]

    def spread(self, case: str, contestant: str, measure: str) -> Spread | None:
        """Median and quartiles, if there is anything."""
        found = [figure for figure in self.figures(case, contestant, measure) if figure is not None]
        return spread(found) if found else None

    def ratio(self, case: str, measure: str, mine: str, others: Sequence[str], better: str = HIGHER) -> Spread | None:
        """Mine over the other's, or over that of the best of the others, within each round."""
        own = self.figures(case, mine, measure)
        theirs = [row for row in (self.figures(case, other, measure) for other in others) if row]
        if not own or not theirs:
            return None
        best = max if better == HIGHER else min
        rivals = [
            best(present) if (present := [figure for figure in row if figure is not None]) else None
            for row in zip(*theirs, strict=True)
        ]
        found = ratios(own, rivals)
        return spread(found) if found else None

    def as_json(self, cases: Sequence[Case], contestants: Sequence[Contestant]) -> dict[str, Any]:
        """Everything, figures of each round included."""
        return {
            "rounds": self.rounds,
            "missing": self.missing,
            "failures": self.failures,
            "cases": {
                case.name: {
                    "title": case.title,
                    "measures": {m.name: {"unit": m.unit, "better": m.better} for m in case.measures},
                    "contestants": {
                        contestant.name: {
                            "title": contestant.title,
                            "rounds": self.cases[case.name][contestant.name],
                            "quartiles": {
                                measure.name: self.spread(case.name, contestant.name, measure.name)
                                for measure in case.measures
                            },
                        }
                        for contestant in contestants
                        if contestant.name in self.cases[case.name]
                    },
                }
                for case in cases
                if case.name in self.cases
            },
        }
