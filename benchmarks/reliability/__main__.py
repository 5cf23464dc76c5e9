"""The command: `python -m benchmarks.reliability [SCENARIO...]`. It fails if a promise was not kept.

What stands under *must* is promised, and the command fails if it is not kept; under *goal* is what we should like.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe, headline
from benchmarks.progress import say
from benchmarks.reliability import cuts, idle, kills, mute, reliable, storm, strangers, subscriptions, vanished
from benchmarks.reliability.place import Outcome
from benchmarks.tables import markdown, missing_rich, show, write_page

SCENARIOS = {
    "idle": idle.run,
    "mute": mute.run,
    "strangers": strangers.run,
    "subscriptions": subscriptions.run,
    "storm": storm.run,
    "vanished": vanished.run,
    "kills": kills.run,
    "cuts": cuts.run,
    "reliable": reliable.run,
}


def main(line: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 if a promise was not kept, 2 for a command line that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a little of each: does it run?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, metavar="N", help="of kills: so many listeners, senders and servers")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too; - is standard output")
    parser.add_argument("--docs", metavar="DIR", help="write what the documentation includes there, a file a scenario")
    asked = parser.parse_args(line)
    unknown = [name for name in asked.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"there is no scenario {unknown[0]!r}: choose among {', '.join(SCENARIOS)}")
    if missing_rich():
        return 2
    kills.CYCLES = asked.cycles or kills.CYCLES
    about = describe() | {"seed": asked.seed, "quick": asked.quick}
    outcomes: dict[str, Outcome] = {}
    for name in asked.scenarios or SCENARIOS:
        say(f"{name} begins")
        outcomes[name] = SCENARIOS[name](asked.quick, asked.seed)
    say("")
    failures = [f"{name}: {sentence}" for name, outcome in outcomes.items() for sentence in outcome.failures]
    head = [headline(about), f"Seed {asked.seed}.{' A little of each: this says nothing.' if asked.quick else ''}"]
    tables = [outcome.table for outcome in outcomes.values()]
    show(tables, head, [f"FAILED: {sentence}" for sentence in failures], aside=asked.json == "-")
    if asked.json is not None:
        told = {name: outcome.told for name, outcome in outcomes.items()}
        text = json.dumps({"about": about, **told, "failures": failures}, indent=1) + "\n"
        if asked.json == "-":
            sys.stdout.write(text)
        else:
            Path(asked.json).write_text(text, encoding="utf-8")
    if asked.docs is not None:
        for name, outcome in outcomes.items():
            taken = f"*{about['taken'][:10]}, {headline(about)}; seed {asked.seed}.*\n"
            write_page(Path(asked.docs) / f"{name}.inc", [markdown(outcome.table), taken])
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
