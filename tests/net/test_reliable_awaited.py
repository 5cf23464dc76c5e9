"""The asyncio face with `reliable=True`: events, requests and streams over links that are cut anywhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from net.book import LIMIT_S, Book
from net.unbroken import EVENTS, QUICK, Cuts, World, check, world

import sig
import sig.aio
from sig.testing import Fault

STEP = 89


async def session(there: World, faults: Cuts) -> tuple[dict[str, int], dict[str, int]]:
    """As `unbroken.session`, and a stream."""
    there.heard.story.clear()
    there.asked.clear()
    mine = Book()
    asked: list[object] = []

    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    url = faults.upon(there.server.urls[0])
    async with sig.aio.connect(url, reliable=True, **QUICK) as client:  # type: ignore[arg-type]
        began = {"sent": faults.bytes_sent, "received": faults.bytes_received}
        await client.listen(mine.hear, "s", "e", on_gap=mine.gap)
        sender = await client.add_sender("c", "e", {"double": double})
        for number in range(EVENTS):
            sender.trigger("e", number)
            there.sender.trigger("e", number)
            if number % 3 == 0:
                await asyncio.sleep(0)
        assert await client.request("s", "echo", {"a": [1]}, timeout=LIMIT_S) == {"a": [1]}
        assert await asyncio.to_thread(there.server.request, "c", "double", 21, timeout=LIMIT_S) == 42
        async with client.stream("count", "to", EVENTS) as parts:
            assert [part async for part in parts] == list(range(EVENTS))
        await client.flush()
        await asyncio.to_thread(mine.wait, EVENTS - 1)
        ended = {"sent": faults.bytes_sent, "received": faults.bytes_received}
    await asyncio.to_thread(there.bid_farewell)
    check(mine.story, there.heard.story)
    assert (there.asked, asked) == ([{"a": [1]}], [21])
    return began, ended


@pytest.mark.parametrize("carrier", ["tcp", "local", "ws"])
def test_a_session_that_is_cut_goes_on(carrier: str) -> None:
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    async def main(there: World) -> int:
        began, ended = await session(there, Cuts())
        links = 0
        for direction in ("sent", "received"):
            middle = {direction: Fault(cut_at=(began[direction] + ended[direction]) // 2)}
            for at in range(began[direction] + random.randrange(STEP), ended[direction], STEP):
                for faults in (Cuts({direction: Fault(cut_at=at)}), Cuts(middle, {direction: Fault(cut_at=at)})):
                    try:
                        await session(there, faults)
                    except sig.ConnectFailed:
                        continue  # a byte earlier than it seemed: there was no session yet
                    links += faults.opened - 1
        return links

    with world(carrier) as there:
        there.server.add_sender("count", requests={"to": count})
        assert asyncio.run(asyncio.wait_for(main(there), 2 * LIMIT_S)) > 0
