"""Is each file of the core covered, every line and branch, by its own test file alone?

    python tests/own_coverage.py [module ...]

A line that only a test of something else happens to run is a line whose promise nobody has written down.
The files are those of layers 0 to 3, from the table in unit/test_layers.py.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from unit.test_layers import MODULES, core_modules, own_test

TESTS = Path(__file__).parent
# Each of them is a process of its own; more at once than a small machine has processors gains nothing.
AT_ONCE = 2


def check(name: str) -> str:
    """What is wrong with the coverage of one module; empty if nothing is."""
    test = TESTS / own_test(name)
    if not test.is_file():
        return f"{name}: there is no {own_test(name)}"
    with tempfile.TemporaryDirectory() as folder:
        coverage = [sys.executable, "-m", "coverage"]
        data = f"--data-file={folder}/data"
        for step in (
            [*coverage, "run", data, "-m", "pytest", "-q", str(test)],
            [*coverage, "report", data, f"--include={MODULES[name]}", "--fail-under=100"],
        ):
            done = subprocess.run(step, cwd=TESTS.parent, capture_output=True, text=True)
            if done.returncode:
                return f"{name}: not covered by {own_test(name)}\n{done.stdout}{done.stderr}"
    return ""


def main(names: list[str]) -> int:
    chosen = names or core_modules()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [complaint for complaint in pool.map(check, chosen) if complaint]
    print("\n".join(wrong) or f"{len(chosen)} modules are covered by their own tests")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
