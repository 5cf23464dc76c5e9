"""Many worlds, one after the other, each with its own seed: see `scene`.

    PYTHONPATH=src:tests python -m sim.run [--seeds N] [--from SEED] [--days D | --seconds S] [--keep-going]

The days are shared by all seeds. Prints how much time was simulated and what happened in it, and stops at the first
promise that is not kept, or at Ctrl-C, with the seed, the step and the moment that show it again.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sim.scene import Scene, counted

DAY_S = 86_400.0
COUNTED = (
    "events triggered",
    "events heard",
    "gaps told",
    "gaps of unknown size",
    "retained values",
    "requests",
    "streams",
    "faults",
    "steps",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--days", type=float, help="simulated time of all seeds together")
    length.add_argument("--seconds", type=float, default=60.0, help="simulated time of each seed (60)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    options = parser.parse_args()
    length_s = options.seconds if options.days is None else options.days * DAY_S / options.seeds
    # A shell lets what it starts in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(stderr=True)
    tally: Counter[str] = Counter()
    simulated, played, violations, begun = 0.0, 0, 0, time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress, suppress(KeyboardInterrupt):
        task = progress.add_task("seeds", total=options.seeds, told="")
        for seed in range(options.first, options.first + options.seeds):
            scene = Scene(seed, length_s)
            try:
                scene.play()
            except Exception as failure:
                violations += 1
                where = f"seed {seed}, step {scene.world.steps}, at {scene.world.now:.6f} s"
                print(f"{where} (--from {seed} --seeds 1 --seconds {length_s:g}): {failure}", file=sys.stderr)
                if not options.keep_going:
                    break
            played += 1
            simulated += scene.world.now
            tally += counted(scene)
            progress.update(task, advance=1, told=f"{simulated / DAY_S:.2f} days, {violations} violations")
    took = time.monotonic() - begun
    for name in COUNTED:
        print(f"{tally[name]:>12,}  {name}")
    print(
        f"{simulated / DAY_S:.2f} days in {took:.0f} s ({simulated / took:,.0f} times as fast), "
        f"{played} seeds from {options.first} on: {violations} violations"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
