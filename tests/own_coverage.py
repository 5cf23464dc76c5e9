"""Is each file of the core covered, every line and branch, by its own test file alone?

    python tests/own_coverage.py [module ...]

A line that only a test of something else happens to run is a line whose promise nobody has written down.
The files are those of layers 0 to 3, from the table in unit/test_layers.py. Of modules that are named the tests are
run; of all, this looks at what `coverage combine` has left of a whole run with `-p tests.contexts`.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from contexts import IMPORTS, ROOT, context_of
from coverage import Coverage
from unit.test_layers import MODULES, core_modules, own_test

TESTS = ROOT / "tests"


def measure(names: list[str], data: Path) -> int:
    """Run the tests of these modules by themselves."""
    files = sorted({str(TESTS / own_test(name)) for name in names})
    coverage = [sys.executable, "-m", "coverage"]
    ran = subprocess.run(
        [*coverage, "run", f"--data-file={data}", "-m", "pytest", "-q", "-p", "tests.contexts", *files], cwd=ROOT
    )
    subprocess.run([*coverage, "combine", "-q", f"--data-file={data}"], cwd=ROOT, check=True)
    return ran.returncode


def check(name: str, found: Coverage) -> str:
    """What is wrong with the coverage of one module; empty if nothing is."""
    test = TESTS / own_test(name)
    if not test.is_file():
        return f"{name}: there is no {own_test(name)}"
    told = io.StringIO()
    contexts = [f"^{re.escape(context)}$" for context in (IMPORTS, context_of(test))]
    if found.report(include=[str(MODULES[name])], contexts=contexts, file=told) == 100:
        return ""
    return f"{name}: not covered by {own_test(name)}\n{told.getvalue()}"


def main(names: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data" if names else ROOT / ".coverage"
        if names and (failed := measure(names, data)):
            return failed
        found = Coverage(data_file=data)
        found.load()
        chosen = names or core_modules()
        wrong = [complaint for name in chosen if (complaint := check(name, found))]
    print("\n".join(wrong) or f"{len(chosen)} modules are covered by their own tests")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
