"""A noisy line keeps every promise of a carrier, over either face."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from carriers.cable import BitFlips, Cable

from sig.testing import Check, Ends, carrier_checks

pytest.importorskip("serialx")

# The others take a while, and the mixed face has clients of both.
SLOW = ("blocking", "asyncio")


def cases() -> Iterator[object]:
    for face in ("mixed", *SLOW):
        for check in carrier_checks(face):
            yield pytest.param(check, id=f"{face}-{check.name}", marks=[pytest.mark.slow] if face in SLOW else [])


@contextmanager
def ends() -> Iterator[Ends]:
    """Terminals are faster than any line; of the bytes one in 30,000 is broken."""
    with Cable(BitFlips(4e-6, 1)) as cable:
        yield Ends(
            serve=lambda api, **options: api.serve(f"serial://{cable.here}?baudrate=4000000", **options),
            connect=lambda api, _, **options: api.connect(f"serial://{cable.there}?baudrate=4000000", **options),
            clients=1,
        )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("check", list(cases()))
def test_a_noisy_line_keeps_its_promise(check: Check) -> None:
    check.run(ends)
