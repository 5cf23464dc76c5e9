"""A world that is cut differently each time."""

from __future__ import annotations

import pytest
from protocol.pairs import World, byte_by_byte, seeded, whole

CUTS = [whole, byte_by_byte, seeded(1), seeded(2)]


@pytest.fixture(params=CUTS, ids=["whole", "byte by byte", "seed 1", "seed 2"])
def world(request: pytest.FixtureRequest) -> World:
    return World(cut=request.param)
