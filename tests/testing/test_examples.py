"""The test files that the documentation shows pass, as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LIMIT_S = 100

# How many tests there are, at least: none would pass too.
FILES = {"test_broken_link.py": 3, "test_heating.py": 5, "test_with_asyncio.py": 1, "test_pipe_carrier.py": 60}


def test_each_is_run() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("test_*.py")) == sorted(FILES)


@pytest.mark.parametrize(("name", "count"), FILES.items())
def test_its_tests_pass(name: str, count: int, tmp_path: Path) -> None:
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    # The plugins by name: ours is not found by itself unless the package has been installed since it has one.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "sig.testing.plugin", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins, "-c", settings, "--rootdir", EXAMPLES, name],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1].split()[0]) >= count
