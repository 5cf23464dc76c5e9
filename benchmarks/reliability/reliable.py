"""The reference session with `reliable=True`, cut at every byte, both ways, over every carrier that comes back.

With both ends in asyncio, also in a web application (ASGI), it is another session: of fewer events, with every kind of
frame.

The books: both ends hear all events, once and in order; nobody is told of a loss, or of a sender that left and came
again; each request is answered, and carried out once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.progress import say
from benchmarks.reliability.place import Outcome
from benchmarks.tables import Table

TESTS = Path(__file__).parents[2] / "tests"


def run(quick: bool, seed: int) -> Outcome:
    sys.path.insert(0, str(TESTS))
    from net import unbroken, unbroken_awaited

    logging.getLogger("sig").setLevel(logging.CRITICAL)  # each end of a link is a line
    rows, failures = [], []
    told: dict[str, object] = {}
    blocking = {carrier: partial(unbroken.cut_anywhere, carrier) for carrier in unbroken.OVER}
    awaited = {f"{carrier}, asyncio": partial(_awaited, carrier) for carrier in unbroken_awaited.OVER}
    for carrier, cut_anywhere in {**blocking, **awaited}.items():
        say(f"reliable: {carrier}")
        begun = time.monotonic()
        found = unbroken.Found()
        try:
            cut_anywhere(397 if quick else 1, seed, found)
        except AssertionError as error:
            failures.append(f"over {carrier} at {error}")
        seconds = round(time.monotonic() - begun, 1)
        told[carrier] = {"sessions": found.cut, "links": found.links, "events": found.events, "seconds": seconds}
        verdict = "some" if failures and failures[-1].startswith(f"over {carrier} ") else "0"
        rows.append(
            [carrier, f"{found.cut:,}", f"{found.links:,}", f"{found.events:,}", verdict, "0", f"{seconds:.1f}"]
        )
    head = ["carrier", "sessions cut", "links lost, all gone on", "events", "lost or doubled", "must", "seconds"]
    return Outcome(told, Table("sessions with reliable=True that were cut", head, rows), failures)


def _awaited(carrier: str, *how: Any) -> None:
    from net import unbroken_awaited

    asyncio.run(unbroken_awaited.cut_anywhere(carrier, *how))
