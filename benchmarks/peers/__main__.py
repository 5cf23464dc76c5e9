"""The command line: which cases, which contestants, how many rounds, and where the figures go."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.machine import headline, load
from benchmarks.peers.cases import Case, everyone
from benchmarks.peers.children import ROOT, Trouble
from benchmarks.peers.contestants import ALL, Contestant
from benchmarks.peers.results import Results
from benchmarks.rounds import rotated
from benchmarks.tables import markdown, show, write_page

# A tenth of the work, for seeing that everything runs. It understates whoever needs warming up.
QUICK = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 when a run failed, or 2 for a command line that makes no sense."""
    options = _options(arguments)
    if str(ROOT / "src") not in sys.path:
        sys.path.append(str(ROOT / "src"))
    for module, needed in (("psutil", True), ("rich", True), ("matplotlib", bool(options.plots or options.docs))):
        if needed and importlib.util.find_spec(module) is None:
            print(f"{module} is not installed: pip install -r benchmarks/requirements.txt", file=sys.stderr)
            return 2
    plan = [(case, chosen) for case in everyone() if (chosen := _chosen(case, options.only))]
    if not plan:
        print("--only leaves nothing to do; the cases and contestants are:", file=sys.stderr)
        print(f"  {' '.join(case.name for case in everyone())}", file=sys.stderr)
        print(f"  {' '.join(contestant.name for contestant in ALL)}", file=sys.stderr)
        return 2
    from benchmarks.peers import machine

    about = machine.describe(ALL)
    results = measure(plan, options.rounds, options.limit, options.scale)
    publish(results, plan, options, about)
    return 1 if results.failures else 0


def measure(plan: Sequence[tuple[Case, list[Contestant]]], rounds: int, limit: float, scale: float) -> Results:
    """Run everything, round by round; tells on standard error how it is going."""
    from benchmarks.peers.stage import Stage

    results = Results(rounds)
    wanted = {contestant.name for _, contestants in plan for contestant in contestants}
    for contestant in ALL:
        missing = contestant.missing() if contestant.name in wanted else None
        if missing:
            results.missing[contestant.name] = missing
            tell(f"{contestant.name}: {missing}")
    for case, contestants in plan:
        present = [contestant for contestant in contestants if contestant.name not in results.missing]
        for number, contestant in rotated(present, rounds):
            before = monotonic()
            try:
                with Stage(contestant.name, limit, scale) as stage:
                    figures = case.run(stage)
            except (Trouble, OSError) as trouble:
                results.add(case.name, contestant.name, None)
                results.failures.append(f"{case.name}, round {number + 1}: {trouble}")
                tell(f"FAILED {results.failures[-1]}")
                continue
            results.add(case.name, contestant.name, figures)
            shown = ", ".join(f"{m.name} {figures[m.name]:.4g}" for m in case.measures)
            took = monotonic() - before
            tell(f"{case.name} {number + 1}/{rounds} {contestant.name}: {shown} ({took:.1f} s)")
    return results


def publish(
    results: Results,
    plan: Sequence[tuple[Case, list[Contestant]]],
    options: argparse.Namespace,
    about: dict[str, Any],
) -> None:
    """Tables on standard output (standard error with `--json -`); JSON, pictures and a page where they are wanted."""
    from benchmarks.peers import plots, report

    cases = [case for case, _ in plan]
    about |= {"scale": options.scale, "load_after": load()}
    if options.json is not None:
        text = json.dumps({"about": about, **results.as_json(cases, ALL)}, indent=1)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(text + "\n")
    tables = report.of_cases(results, cases, options.reference)
    rounds = "One round" if results.rounds == 1 else f"{results.rounds} rounds: medians (quartiles)"
    before = [headline(about), f"{rounds}; ratio: {options.reference} over that contestant, within rounds."]
    if options.scale < 1:
        before.append(f"Only {options.scale:g} of the work was done: that understates those who need warming up.")
    after = [*report.absences(results), *(f"FAILED: {sentence}" for sentence in results.failures)]
    if options.plots is not None:
        written = plots.draw(results, cases, Path(options.plots))
        after.append(f"{sum(map(len, written.values()))} pictures in {options.plots}")
    show([*tables.values(), report.of_targets(results)], before, after, aside=options.json == "-")
    if options.docs is not None:
        pictures = plots.draw(results, cases, Path(options.docs), most=1)
        parts = ["\n\n".join([*before, f"`{about['command']}`", *report.absences(results)]) + "\n"]
        for name, table in tables.items():
            parts += [markdown(table), *(f"![{table.title}]({picture.name})\n" for picture in pictures[name])]
        parts += [markdown(report.of_targets(results)), *report.behind(results, cases, options.reference)]
        write_page(Path(options.docs) / "peers.inc", parts)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _chosen(case: Case, patterns: Sequence[str]) -> list[Contestant]:
    """Who takes part in a case: whoever has what it needs, and is not left out by all of the patterns."""
    return [
        contestant
        for contestant in ALL
        if (case.needs in contestant.offers or case.name in contestant.offers)
        and (not patterns or any(fnmatchcase(f"{case.name}/{contestant.name}", pattern) for pattern in patterns))
    ]


def _pattern(text: str) -> str:
    """`case`, `case/contestant` or `/contestant`, with `*`."""
    case, _, contestant = text.partition("/")
    return f"{case or '*'}/{contestant or '*'}"


def _positive(text: str) -> float:
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be above zero")
    return number


def _rounds(text: str) -> int:
    return max(1, round(_positive(text)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_pattern,
        metavar="CASE/CONTESTANT",
        help="also CASE or /CONTESTANT, with * for the rest; may be given several times",
    )
    parser.add_argument("--rounds", type=_rounds, help="5, or 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the work: to see that it runs")
    parser.add_argument("--scale", type=_positive, help="how much of the work to do; 1")
    parser.add_argument("--limit", type=_positive, default=120.0, help="seconds that any step may take; 120")
    parser.add_argument("--reference", default="sig_blocking", help="whom the tables compare with; sig_blocking")
    parser.add_argument("--json", metavar="FILE", help="write everything there; - is standard output")
    parser.add_argument("--plots", metavar="DIR", help="draw pictures into this directory")
    parser.add_argument("--docs", metavar="DIR", help="write what the documentation includes there")
    options = parser.parse_args(arguments)
    if options.reference not in {contestant.name for contestant in ALL}:
        parser.error(f"--reference: there is no {options.reference}")
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.scale = options.scale or (QUICK if options.quick else 1.0)
    return options


if __name__ == "__main__":
    # As ctrl-C: the stage is cleared before we go.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
