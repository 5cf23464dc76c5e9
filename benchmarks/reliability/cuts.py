"""The reference session of the tests, cut at every byte, both ways, over every carrier."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from pathlib import Path

from benchmarks.progress import say
from benchmarks.reliability.place import Outcome
from benchmarks.tables import Table

TESTS = Path(__file__).parents[2] / "tests"


def run(quick: bool, seed: int) -> Outcome:
    sys.path.insert(0, str(TESTS))
    spec = importlib.util.spec_from_file_location("reference_session", TESTS / "testing" / "test_faults.py")
    assert spec is not None
    assert spec.loader is not None
    faults = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(faults)
    logging.getLogger("sig").setLevel(logging.CRITICAL)  # each end of a link is a line
    rows, failures = [], []
    told: dict[str, object] = {}
    for carrier in faults.OVER:
        say(f"cuts: {carrier}")
        begun = time.monotonic()
        try:
            count = faults.cut_anywhere(carrier, 97 if quick else 1, seed % 97 if quick else 0)
        except AssertionError as error:
            failures.append(f"over {carrier} at {error}")
            count = 0
        seconds = round(time.monotonic() - begun, 1)
        told[carrier] = {"sessions": count, "seconds": seconds}
        rows.append([carrier, f"{count:,}", f"{seconds:.1f}"])
    return Outcome(told, Table("sessions that were cut", ["carrier", "sessions", "seconds"], rows), failures)
