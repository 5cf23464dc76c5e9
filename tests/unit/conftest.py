"""A router in this process, and one event of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sig


@pytest.fixture
def router() -> Iterator[sig.Router]:
    with sig.Router() as router:
        yield router


@pytest.fixture
def signal(router: sig.Router) -> sig.Signal:
    return router.add_sender("s", ["e"]).signal("e")
