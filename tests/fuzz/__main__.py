"""Fuzz: `python -m tests.fuzz [TARGET...] [--seconds 60]`, from the top of the repository.

With atheris installed it follows the code; else it changes known bytes by chance, by a seed. What breaks a promise is
kept below tests/fuzz/findings, is told, and is tried by the tests from then on. Exit code 1 if something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def main() -> int:
    paths = [str(TESTS), str(TESTS.parent / "src"), str(TESTS.parent)]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])

    from fuzz.engines import FINDINGS, Broken, Outcome, guided, has_atheris, mutate
    from fuzz.targets import TARGETS

    from benchmarks.machine import describe, headline
    from benchmarks.progress import say
    from benchmarks.tables import Table, markdown, write_page

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--runs", type=int, help="inputs for each target, where mutation makes them (as time allows)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["atheris", "mutation"], default=None)
    parser.add_argument(
        "--corpus", type=Path, default=TESTS.parent / ".fuzz", help="where atheris keeps what it learns"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    parser.add_argument("--docs", metavar="DIR", type=Path, help="write what the documentation includes there")
    given = parser.parse_args()
    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]!r}: choose among {', '.join(TARGETS)}")
    engine = given.engine or ("atheris" if has_atheris() else "mutation")
    about = describe()
    outcomes: list[Outcome] = []
    for name in given.targets or TARGETS:
        say(f"{name}: {given.seconds:g} s of {engine}")
        try:
            if engine == "atheris":
                outcome = guided(name, given.seconds, given.seed, given.corpus)
            else:
                outcome = mutate(name, given.seconds, given.seed, say, given.runs)
        except Broken as broken:
            path = FINDINGS / name / f"{len(list((FINDINGS / name).glob('*')))}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(broken.data)
            outcome = Outcome(name, engine, 0, 0.0, str(path))
        outcomes.append(outcome)
    say("")
    if given.json:
        print(json.dumps({"about": about, "seed": given.seed, "outcomes": [each._asdict() for each in outcomes]}))
    else:
        print(f"{headline(about)}; seed {given.seed}")
        for each in outcomes:
            print(
                f"{each.target:22}{each.runs:>12,} inputs in {each.seconds:5.0f} s   {each.finding or 'nothing found'}"
            )
        print(f"{'together':22}{sum(each.runs for each in outcomes):>12,} inputs")
    if given.docs is not None:
        rows = [
            [each.target, f"{each.runs:,}", f"{each.seconds:.0f}", "1" if each.finding else "0"] for each in outcomes
        ]
        table = Table(f"fuzzing, by {engine}", ["what is given the inputs", "inputs", "seconds", "findings"], rows)
        taken = f"*{about['taken'][:10]}, {headline(about)}; seed {given.seed}.*\n"
        write_page(given.docs / "fuzz.inc", [markdown(table), taken])
    return int(any(each.finding for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
