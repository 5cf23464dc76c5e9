"""Interleaved rounds, and what may be said of their figures.

On a shared machine absolute figures drift by the minute. So every round runs every contestant, in an order that
moves on by one each time, and contestants are compared within a round only.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Spread(NamedTuple):
    """The median of some figures, and the quartiles around it."""

    low: float
    median: float
    high: float


def rotated(names: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Every name in every round, each round beginning with the next one: `(round, name)`."""
    for number in range(rounds):
        start = number % max(1, len(names))
        for name in (*names[start:], *names[:start]):
            yield number, name


def spread(figures: Sequence[float]) -> Spread:
    """Median and quartiles; all three are the figure itself when there is only one."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    return Spread(*statistics.quantiles(figures, n=4, method="inclusive"))


def ratios(mine: Sequence[float | None], other: Sequence[float | None]) -> list[float]:
    """Mine over the other's, round by round; rounds in which one of the two has no figure are left out."""
    return [a / b for a, b in zip(mine, other, strict=True) if a is not None and b]
