"""Figures into tables for people and into JSON for programs, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.rounds import Spread, ratios, spread
from benchmarks.tables import Table

from .libraries import InlineLoop, Sig

TRIGGER, REGISTRATION, SCALE = "trigger", "registration", "scale"  # what is measured

MUST, GOAL = 1.3, 1.1  # trigger over the bare loop
REGISTRATION_US = 100.0  # on average, in the scale case
UNITS = {"ns": 1e9, "us": 1e6, "B": 1.0}


class Row(NamedTuple):
    """One measured thing: a figure for each round, in seconds (or bytes), and what it is compared with."""

    measure: str
    name: str
    way: str
    listeners: int
    unit: str
    figures: list[float]
    base: list[float] | None = None  # of the same rounds: the bare loop, or the empty router
    isolates: bool | None = None

    @property
    def spread(self) -> Spread:
        return Spread(*(figure * UNITS[self.unit] for figure in spread(self.figures)))

    @property
    def ratio(self) -> Spread | None:
        """Over the base, round by round."""
        return spread(ratios(self.figures, self.base)) if self.base is not None else None

    def as_json(self) -> dict[str, object]:
        scale = UNITS[self.unit]
        told: dict[str, object] = {
            "measure": self.measure,
            "library": self.name,
            "way": self.way,
            "listeners": self.listeners,
            "unit": self.unit,
            **self.spread._asdict(),
            "rounds": [figure * scale for figure in self.figures],
        }
        if self.base is not None and self.ratio is not None:
            told["base"] = [figure * scale for figure in self.base]
            told["ratio"] = self.ratio._asdict()
        if self.isolates is not None:
            told["isolates_failures"] = self.isolates
        return told


class Verdict(NamedTuple):
    """A target, and whether it was met."""

    what: str
    met: bool
    why: str

    def __str__(self) -> str:
        return f"{'met   ' if self.met else 'MISSED'}  {self.what}: {self.why}"


# -- verdicts ------------------------------------------------------------------------------------


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """One for each target about which these rows say something."""
    triggers = [row for row in rows if row.measure == TRIGGER]
    mine = [row for row in triggers if row.name == Sig.name]
    told = [_near_the_loop(row) for row in mine]
    told += [_isolated(row) for row in mine]
    for row in mine:
        others = [r for r in triggers if r.listeners == row.listeners and r.name not in (Sig.name, InlineLoop.name)]
        if others:
            told.append(_ahead(row, others))
    told += [_quick(row) for row in rows if (row.measure, row.way) == (SCALE, "listen")]
    return told


def _near_the_loop(row: Row) -> Verdict:
    assert row.ratio is not None  # triggers have one
    ratio = row.ratio.median
    what = f"{row.way}, {so_many(row.listeners)}: at most {MUST} of the bare loop"
    return Verdict(what, ratio <= MUST, f"{ratio:.2f}, the goal of {GOAL} is {'met' if ratio <= GOAL else 'missed'}")


def _isolated(row: Row) -> Verdict:
    what = f"{row.way}, {so_many(row.listeners)}: failing listeners are isolated"
    return Verdict(what, bool(row.isolates), "all of them raised" + (", all were called" if row.isolates else ""))


def _ahead(row: Row, others: Sequence[Row]) -> Verdict:
    factors = {f"{r.name} {r.way}": spread(ratios(r.figures, row.figures)).median for r in others}
    nearest = min(factors, key=factors.__getitem__)
    what = f"{row.way}, {so_many(row.listeners)}: ahead of every library"
    return Verdict(what, factors[nearest] > 1, f"the nearest, {nearest}, takes {factors[nearest]:.2f} times as long")


def _quick(row: Row) -> Verdict:
    median = row.spread.median
    what = f"registering, {so_many(row.listeners)}: below {REGISTRATION_US:.0f} us on average in a full router"
    return Verdict(what, median < REGISTRATION_US, f"{median:.1f} us")


def is_signal(row: Row) -> bool:
    """Whether it is of the fast way of `sig`."""
    return (row.name, row.way) == (Sig.name, Sig.way)


def so_many(count: int, what: str = "listener") -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


# -- tables --------------------------------------------------------------------------------------


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """One for each number of listeners, one of registration, one of the full router."""
    for count in dict.fromkeys(row.listeners for row in rows if row.measure == TRIGGER):
        yield _triggers(count, [row for row in rows if row.measure == TRIGGER and row.listeners == count])
    registered = [row for row in rows if row.measure == REGISTRATION]
    if registered:
        yield _registrations(registered)
    full = [row for row in rows if row.measure == SCALE]
    if full:
        yield _scale(full)


def _triggers(count: int, rows: Sequence[Row]) -> Table:
    mine = next((row for row in rows if is_signal(row)), None)
    lines = []
    for row in sorted(rows, key=lambda row: row.spread.median):
        over = f"{spread(ratios(row.figures, mine.figures)).median:.2f}" if mine is not None else ""
        bare = row._replace(figures=row.base or [], base=None)
        isolates = "yes" if row.isolates else "no"
        lines.append([f"{row.name} {row.way}", *_cells(row), _cells(bare)[0], *_ratio(row), over, isolates])
    head = ["", "median", "quartiles", "bare loop", "ratio", "quartiles", "over sig", "isolates failures"]
    return Table(f"a trigger with {so_many(count)}, ns", head, lines)


def _registrations(rows: Sequence[Row]) -> Table:
    lines: dict[str, list[str]] = {}
    for row in rows:
        lines.setdefault(row.name, [row.name]).extend(_cells(row) if row.unit != "B" else _cells(row)[:1])
    head = ["", "register, us", "quartiles", "unregister, us", "quartiles", "memory, bytes"]
    return Table(f"{so_many(rows[0].listeners)} of one event, each", head, list(lines.values()))


def _scale(rows: Sequence[Row]) -> Table:
    lines = []
    for row in rows:
        way = row.way.replace("_", " ") if row.base is None else f"{row.way}, {so_many(row.listeners, 'receiver')}"
        lines.append([f"{way}, {row.unit}", *_cells(row), *_ratio(row)])
    head = ["", "median", "quartiles", "over an empty router", "quartiles"]
    return Table(f"a full router: {so_many(rows[0].listeners)}", head, lines)


def _cells(row: Row) -> list[str]:
    """Median and quartiles."""
    low, median, high = row.spread
    digits = 0 if row.unit in ("ns", "B") else 2
    return [f"{median:,.{digits}f}", f"{low:,.{digits}f} - {high:,.{digits}f}"]


def _ratio(row: Row) -> list[str]:
    if row.ratio is None:
        return ["", ""]
    low, median, high = row.ratio
    return [f"{median:.2f}", f"{low:.2f} - {high:.2f}"]
