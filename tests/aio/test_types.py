"""Types in the asyncio face: what is triggered is looked at, and comes in order, however it leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import sig
import sig.aio

pytestmark = pytest.mark.asyncio

LIMIT_S = 20


class Entry(msgspec.Struct):
    number: int
    text: str = ""
    more: Any = None


async def test_small_and_large_instances_and_dicts_come_in_order() -> None:
    heard: asyncio.Queue[Entry] = asyncio.Queue()

    def hear(info: sig.Info, data: Entry) -> None:
        heard.put_nowait(data)

    async with (
        sig.aio.serve("tcp://127.0.0.1:0") as server,
        sig.aio.connect(server.urls[0]) as sending,
        sig.aio.connect(server.urls[0]) as listening,
    ):
        await listening.listen(hear, "log", "entry")
        sender = await sending.add_sender("log", {"entry": Entry, "unheard": Entry})
        trigger = sender.signal("entry").trigger
        # More than one turn of the loop gathers.
        entries = [Entry(number, "x" * (10_000 if number % 200 == 199 else 1)) for number in range(700)]
        for entry in entries:
            trigger(entry if entry.number % 2 else {"number": entry.number, "text": entry.text})
        with pytest.raises(sig.InvalidData, match="JSON cannot carry this Entry"):
            trigger(Entry(1, more=object()))
        with pytest.raises(sig.InvalidData, match="event 'entry' of sender 'log' takes Entry"):
            trigger({"number": "one"})
        for _ in range(2):
            sender.trigger("unheard", Entry(1))
            await sending.flush()  # the sender knows by now that nobody listens
        with pytest.raises(sig.InvalidData, match="event 'unheard' of sender 'log' takes Entry"):
            sender.trigger("unheard", 1)
        async with asyncio.timeout(LIMIT_S):
            assert [await heard.get() for _ in entries] == entries
        await sender.remove()
        with pytest.raises(sig.SenderNotConnected):
            trigger(entries[0])
