"""The asyncio face."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic

import sig.aio
from benchmarks.costs.faces import Used
from benchmarks.peers import awaited
from benchmarks.peers.contestants import sig_asyncio
from benchmarks.peers.payload import Event, sample
from benchmarks.peers.roles import Address, Role


class Server(Used, sig_asyncio.Server):
    pass


class Replier(Used, sig_asyncio.Replier):
    pass


class Requester(Used, sig_asyncio.Requester):
    pass


class Publisher(sig_asyncio.Publisher):
    pass


class Subscriber(sig_asyncio.Subscriber):
    pass


async def give(params: int) -> AsyncIterator[Event]:
    event = sample()
    for seq in range(params):
        event["seq"] = seq
        yield event


class Giver(awaited.OnLoop, Role):
    """Answers in parts."""

    def __init__(self, address: Address) -> None:
        self.start_loop()
        self.run(self._serve(address))

    async def _serve(self, address: Address) -> None:
        self._router = await sig.aio.connect(address["url"])
        await self._router.add_sender("giver", requests=[give])

    def close(self) -> None:
        self.run(self._router.close())


class Taker(awaited.OnLoop, Role):
    """Takes them, and sees that they are all there."""

    def __init__(self, address: Address) -> None:
        self.start_loop()
        self.run(self._connect(address))

    async def _connect(self, address: Address) -> None:
        self._router = await sig.aio.connect(address["url"])

    def take(self, count: int) -> dict[str, float]:
        return self.run(self._take(count))

    async def _take(self, count: int) -> dict[str, float]:
        started = monotonic()
        seq = 0
        async with self._router.stream("giver", "give", count) as parts:
            async for part in parts:
                assert part["seq"] == seq
                seq += 1
        assert seq == count
        return {"took": monotonic() - started}

    def close(self) -> None:
        self.run(self._router.close())
