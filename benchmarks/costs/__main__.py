"""The command. It fails if an event went astray; figures are no test."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.costs import access, events, reliable, requests, scale, slow, streams, types, validation
from benchmarks.costs.rows import Outcome
from benchmarks.machine import describe, headline
from benchmarks.progress import say
from benchmarks.tables import markdown, missing_rich, show, write_page


def main(line: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 if what was sent and what came do not agree, 2 for a command line that makes no sense."""
    asked = arguments(line)
    if missing_rich():
        return 2
    about = describe() | {"suite": asked.suite, "rounds": asked.rounds, "quick": asked.quick}
    outcome = SUITES[asked.suite].run(asked.rounds, asked.quick, asked.only)
    say("")
    publish(asked, about, outcome)
    return 1 if outcome.failures else 0


def publish(asked: argparse.Namespace, about: dict[str, Any], outcome: Outcome) -> None:
    """Tables on standard output (on standard error with `--json -`), JSON and a page where they are wanted."""
    head = [headline(about), said(asked)]
    failures = [f"FAILED: {sentence}" for sentence in outcome.failures]
    show(outcome.tables, head, failures, aside=asked.json == "-")
    if asked.json is not None:
        text = json.dumps({"about": about, **outcome.told, "failures": outcome.failures}, indent=1) + "\n"
        if asked.json == "-":
            sys.stdout.write(text)
        else:
            Path(asked.json).write_text(text, encoding="utf-8")
    if asked.docs is not None:
        parts = [f"{headline(about)}. {said(asked)}\n\n`{about['command']}`\n", *map(markdown, outcome.tables)]
        write_page(Path(asked.docs) / f"{asked.suite}.inc", parts)


def said(asked: argparse.Namespace) -> str:
    rounds = "One round" if asked.rounds == 1 else f"{asked.rounds} rounds: medians (quartiles)"
    return f"{rounds}{' of a little: this says nothing' if asked.quick else ''}."


def arguments(line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("suite", nargs="?", default="events", choices=SUITES, help="what to measure (default: events)")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured")
    parser.add_argument("--quick", action="store_true", help="one round of a little: does everything run?")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help=ONLY)
    parser.add_argument("--json", metavar="FILE", help="write all figures there; - is the standard output")
    parser.add_argument("--docs", metavar="DIR", help="write what the documentation includes there")
    asked = parser.parse_args(line)
    asked.rounds = asked.rounds or (1 if asked.quick else SUITES[asked.suite].ROUNDS)
    if asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    parts = PARTS.get(asked.suite, ())
    if asked.only and not parts:
        parser.error(f"--only is for {' and '.join(PARTS)}: {asked.suite} is measured as a whole")
    if unknown := set(asked.only) - set(parts):
        parser.error(f"--only knows {', '.join(parts)} of {asked.suite}, not {', '.join(sorted(unknown))}")
    return asked


SUITES = {
    "access": access,
    "events": events,
    "reliable": reliable,
    "requests": requests,
    "scale": scale,
    "slow": slow,
    "streams": streams,
    "types": types,
    "validation": validation,
}
PARTS = {"events": tuple(events.PARTS), "requests": requests.PARTS, "validation": validation.PARTS}
ONLY = "; ".join(f"of {suite}: {', '.join(parts)}" for suite, parts in PARTS.items())


if __name__ == "__main__":
    sys.exit(main())
