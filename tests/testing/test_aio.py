"""The same in asyncio."""

from __future__ import annotations

import asyncio

import pytest

import sig
import sig.aio
import sig.testing
from sig.testing import aio

LIMIT_S = 20


@pytest.mark.asyncio
async def test_events_are_caught() -> None:
    async with aio.pair() as (server, client):
        sender = await server.add_sender("s", "e")
        got = await aio.capture(client, "s", "e")
        for number in range(3):
            sender.trigger("e", number)
        assert (await got.wait(3)).data == [0, 1, 2]
        assert got.names == [("s", "e")] * 3
        got.close()
        with pytest.raises(AssertionError, match=r"3 of 4 events .* before it was closed"):
            await got.wait(4)


@pytest.mark.asyncio
async def test_a_capture_ends_with_its_block() -> None:
    async with sig.aio.Router() as router:
        sender = await router.add_sender("s", "e")
        async with aio.capture(router, "s") as got:
            sender.trigger("e", 1)
        sender.trigger("e", 2)
        assert got.data == [1]


@pytest.mark.asyncio
async def test_routers_settle() -> None:
    async with aio.pair() as (server, client), sig.aio.Router() as plain:
        got: list[object] = []

        async def hear(info: sig.Info, data: object) -> None:
            await asyncio.sleep(0)
            got.append(data)

        for router in (server, client, plain):
            await router.listen(hear, "s", "e")
        for router in (plain, server):
            (await router.add_sender("s", "e")).trigger("e", 1)
        await aio.settle(server, client, plain)
        assert got == [1, 1, 1]


@pytest.mark.asyncio
async def test_routers_of_both_faces_settle_together() -> None:
    async with sig.aio.serve("tcp://127.0.0.1:0") as server:
        client = await asyncio.to_thread(sig.connect, server.urls[0])
        got = await asyncio.to_thread(sig.testing.capture, client, "s", "e")
        sender = await server.add_sender("s", "e")
        for number in range(100):
            sender.trigger("e", number)
        await aio.settle(server, client)
        assert got.data == list(range(100))
        await asyncio.to_thread(client.close)


@pytest.mark.asyncio
async def test_each_face_is_told_of_the_other() -> None:
    async with sig.aio.Router() as router:
        with pytest.raises(sig.InvalidArgument, match=r"sig\.testing\.aio"):
            sig.testing.capture(router, "s")  # type: ignore[arg-type]
        with pytest.raises(sig.InvalidArgument, match="await"):
            sig.testing.settle(router)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_a_listener_that_does_not_return_is_named() -> None:
    async with sig.aio.Router() as router:
        go_on = asyncio.Event()

        async def stuck(info: sig.Info, data: object) -> None:
            await go_on.wait()

        await router.listen(stuck, "s", "e")
        (await router.add_sender("s", "e")).trigger("e", 1)
        with pytest.raises(AssertionError, match="stuck"):
            await aio.settle(router, timeout=0.05)
        go_on.set()
