"""What a verb returns that has not been awaited yet."""

from __future__ import annotations

import pytest

import sig.aio

pytestmark = pytest.mark.asyncio


async def test_who_forgets_to_await_is_told() -> None:
    server = sig.aio.serve("tcp://127.0.0.1:0")
    with pytest.raises(AttributeError, match="what has not begun yet has no 'urls': await it, or enter it"):
        server.urls  # type: ignore[attr-defined]  # noqa: B018
    async with server as begun:
        assert begun.urls
