"""A million requests under random weather, see `storm`.

    PYTHONPATH=src:tests python -m model.soak [--requests N] [--seed N]

Prints what they came to, and stops at the first promise that is not kept, with the seed that shows it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import count

from model.storm import ENDS, Broken, Storm

OTHERS = (
    "begun",
    "in parts",
    "ended within",
    "windows full",
    "credits",
    "answered twice",
    "refused at the caller",
    "links lost",
    "rests",
)
# Of one seed: worlds are small, and each begins anew.
STEPS = 50_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally: Counter[str] = Counter()
    begun = time.monotonic()
    for seed in count(options.seed):
        storm = Storm(seed)
        try:
            storm.run(STEPS)
            storm.end()
        except Broken as broken:
            print(f"seed {seed}: {broken}", file=sys.stderr)
            return 1
        tally += storm.tally
        if tally["asked"] >= options.requests:
            break
    for name in ("asked", *ENDS):
        print(f"{tally[name]:>12,}  {name}")
    for name in OTHERS:
        print(f"{tally[name]:>12,}  ({name})")
    print(f"seeds {options.seed} to {seed}, {time.monotonic() - begun:.0f} s: every promise was kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
