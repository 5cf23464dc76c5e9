"""Every test of the asyncio face runs on the loop of asyncio and on that of uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

NewLoop = Callable[[], asyncio.AbstractEventLoop]


try:
    import uvloop
except ImportError:
    uvloop = None


def new_uvloop() -> asyncio.AbstractEventLoop:
    if uvloop is None:
        pytest.skip("uvloop is not installed")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS: Mapping[str, NewLoop] = {"asyncio": asyncio.new_event_loop, "uvloop": new_uvloop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, NewLoop]:
    return LOOPS


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """For tests that run loops themselves."""
    factory: NewLoop = request.param
    return factory
