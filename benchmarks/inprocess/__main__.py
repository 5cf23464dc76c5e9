"""The command. It fails only if a listener was not called as it should have been: figures are no test."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.machine import command, machine
from benchmarks.progress import say
from benchmarks.rounds import rotated
from benchmarks.tables import aligned, markdown, write_page

from . import measures, scale
from .libraries import EVERYONE, InlineLoop, Library, Sig, installed
from .measures import QUICK, Effort
from .report import REGISTRATION, SCALE, TRIGGER, Row, tables, verdicts

LISTENERS = (1, 10, 100)


def arguments(line: Sequence[str] | None) -> argparse.Namespace:
    names = list(dict.fromkeys(library.name for library in EVERYONE))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inprocess", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured (default: 15)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there; - is the standard output")
    parser.add_argument("--docs", metavar="DIR", help="write what the documentation includes there")
    parser.add_argument("--quick", action="store_true", help="one round of a little: does everything run?")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    asked = parser.parse_args(line)
    asked.rounds = asked.rounds or (1 if asked.quick else 15)
    if asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    return asked


def run(libraries: Sequence[type[Library]], rounds: int, effort: Effort) -> Iterator[Row]:
    """Measure everything: one kind of figure after the other, each in rounds of its own."""
    for count in LISTENERS:
        mine, bare = _figures(libraries), _figures(libraries)
        for number, library in rotated(libraries, rounds):
            say(f"triggers, {count} listeners, round {number + 1} of {rounds}: {library.name} {library.way}")
            took, looped = measures.trigger(library, count, effort)
            mine[library].append(took)
            bare[library].append(looped)
        for library in libraries:
            isolates = measures.isolates(library, count)
            yield Row(TRIGGER, library.name, library.way, count, "ns", mine[library], bare[library], isolates)

    registering = [library for library in libraries if not library.alike]
    added, removed = _figures(registering), _figures(registering)
    for number, library in rotated(registering, rounds):
        say(f"registration, round {number + 1} of {rounds}: {library.name}")
        add, remove = measures.registration(library, effort)
        added[library].append(add)
        removed[library].append(remove)
    for library in registering:
        say(f"memory: {library.name}")
        used = [measures.memory(library, effort)]  # always the same
        for way, unit, figures in (
            ("add", "us", added[library]),
            ("remove", "us", removed[library]),
            ("keep", "B", used),
        ):
            yield Row(REGISTRATION, library.name, way, effort.listeners, unit, figures)

    if Sig in libraries:
        yield from run_scale(rounds, effort)


def run_scale(rounds: int, effort: Effort) -> Iterator[Row]:
    """The full router."""
    figures = []
    for number in range(rounds):
        say(f"scale, round {number + 1} of {rounds}")
        figures.append(scale.measure(effort))
    for way, unit in scale.PARTS.items():
        yield Row(SCALE, Sig.name, way, effort.listeners, unit, [getattr(figure, way) for figure in figures])
    for count in scale.RECEIVERS:
        full, empty = [f.full[count] for f in figures], [f.empty[count] for f in figures]
        yield Row(SCALE, Sig.name, "trigger", count, "ns", full, empty)


def _figures(libraries: Sequence[type[Library]]) -> dict[type[Library], list[float]]:
    return {library: [] for library in libraries}


def main(line: Sequence[str] | None = None) -> int:
    asked = arguments(line)
    chosen = [library for library in EVERYONE if asked.only is None or library.name in asked.only]
    libraries = [library for library in chosen if installed(library)]
    absent = list(dict.fromkeys(library.name for library in chosen if library not in libraries))
    named: list[type[Library]] = [Sig, *(library for library in libraries if library is not InlineLoop)]
    effort = QUICK if asked.quick else Effort()
    told: dict[str, Any] = {
        "machine": machine(),
        "versions": {library.name: library.version() for library in named},
        "absent": absent,
        "effort": {"rounds": asked.rounds, "quick": asked.quick, **effort._asdict()},
    }
    rows = list(run(libraries, asked.rounds, effort))
    say("")
    reached = verdicts(rows)
    told["rows"] = [row.as_json() for row in rows]
    told["verdicts"] = [verdict._asdict() for verdict in reached]
    if asked.json != "-":
        for text in (*headline(told), *chain.from_iterable(map(aligned, tables(rows))), "", *map(str, reached)):
            print(text)
    if asked.docs is not None:
        parts = ["\n\n".join([*headline(told), f"`{command()}`"]) + "\n", *map(markdown, tables(rows))]
        write_page(Path(asked.docs) / "inprocess.inc", [*parts, *(f"* {verdict}" for verdict in reached)])
    if asked.json is not None:
        with open(asked.json, "w", encoding="utf-8") if asked.json != "-" else nullcontext(sys.stdout) as file:
            json.dump(told, file, indent=1)
            file.write("\n")
    return 0


def headline(told: dict[str, Any]) -> Iterator[str]:
    """On what it was measured."""
    on = told["machine"]
    yield f"{on['implementation']} {on['python']}, {on['system']}, {on['cpus']} processors, load {on['load']} before"
    yield ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    if told["absent"]:
        yield f"not installed, so left out: {', '.join(told['absent'])}"
    yield f"{told['effort']['rounds']} rounds; medians and quartiles of the rounds; ratios within each round"


if __name__ == "__main__":
    sys.exit(main())
