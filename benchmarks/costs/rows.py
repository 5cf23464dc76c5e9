"""What is made of the figures of some rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from benchmarks.rounds import Spread, spread
from benchmarks.tables import Table

# Nanoseconds for an event over the codec alone: what must be reached, and what we aim for.
BUDGETS = {"trigger": (220.0, 120.0), "dispatch": (70.0, 50.0)}


class Outcome(NamedTuple):
    """What a suite has found."""

    told: dict[str, Any]  # for programs
    tables: Sequence[Table]
    failures: Sequence[str] = ()  # sentences about what does not agree


class WrongCount(AssertionError):
    """Not every event arrived once: the figures would be worth nothing."""


class Effort(NamedTuple):
    """How much work goes into one round."""

    batch_s: float = 0.001
    batches: int = 25  # of which the fastest tells: the others were disturbed


QUICK = Effort(batch_s=0.0002, batches=1)


# One round: seconds for an event, then for the codec alone, if it has a part in this.
Measure: TypeAlias = Callable[[Effort], list[float]]


class Row(NamedTuple):
    """Seconds for an event."""

    part: str  # trigger, dispatch or forward
    way: str
    figures: list[float]
    codec: list[float] | None = None

    @property
    def spread(self) -> Spread:
        return _ns(self.figures)

    @property
    def over(self) -> Spread | None:
        """Over the codec alone, round by round."""
        if self.codec is None:
            return None
        return _ns([figure - alone for figure, alone in zip(self.figures, self.codec, strict=True)])

    @property
    def alone(self) -> Spread | None:
        return None if self.codec is None else _ns(self.codec)

    @property
    def verdict(self) -> str:
        """`goal`, `must` or `missed`; nothing where there is no budget."""
        if self.over is None or self.part not in BUDGETS:
            return ""
        must, goal = BUDGETS[self.part]
        return "goal" if self.over.median <= goal else "must" if self.over.median <= must else "missed"

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {"part": self.part, "way": self.way, "ns": [f * 1e9 for f in self.figures]}
        if self.codec is not None and self.over is not None:
            told |= {"codec_ns": [f * 1e9 for f in self.codec], "over_ns": self.over._asdict()}
        return told | {"quartiles": self.spread._asdict()} | ({"verdict": self.verdict} if self.verdict else {})


def _ns(seconds: list[float]) -> Spread:
    return Spread(*(figure * 1e9 for figure in spread(seconds)))
