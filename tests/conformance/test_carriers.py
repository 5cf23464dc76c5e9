"""Every carrier keeps the same promises, over either face and with every codec."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conformance.carriers import CARRIERS, CODECS

from sig.testing import Check, carrier_checks

FACES = ("blocking", "asyncio", "mixed")

# The others look into no payload: for them one codec is as good as another. And an encoder knows no face: in the face
# `mixed` clients of both are met.
OF_VALUES = ("delivery", "calls.answers_", "calls.errors_", "calls.what_cannot_be_sent_")


def cases() -> Iterator[object]:
    for carrier in CARRIERS:
        for face in FACES:
            for check in carrier_checks(face):
                for codec in CODECS if face == "mixed" and check.name.startswith(OF_VALUES) else ("json",):
                    name = f"{carrier}-{face}-{codec}-{check.name}"
                    yield pytest.param(carrier, codec, check, id=name)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("carrier", "codec", "check"), list(cases()))
def test_a_carrier_keeps_its_promise(carrier: str, codec: str, check: Check) -> None:
    check.run(lambda: CARRIERS[carrier](codec=CODECS[codec]))
