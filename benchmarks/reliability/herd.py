"""Many clients in one process: `python -m benchmarks.reliability.herd URL COUNT FIRST`.

Each has a sender of its own and listens to the bell. What they see is told, a JSON object a line: when all are there,
and when they have heard it; when all have been away and are back, and when they have heard it again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import sig
import sig.aio

AT_ONCE = 50


class Herd:
    """Clients, and how far they are."""

    def __init__(self, url: str, count: int, first: int) -> None:
        self._url = url
        self._count = count
        self._first = first
        self._away = 0
        self._back = asyncio.Event()
        self._rung = [asyncio.Event(), asyncio.Event()]
        self._heard = [0, 0]
        self._told_restart = 0
        self._told_other = 0

    async def live(self) -> None:
        clients: list[sig.aio.ClientRouter] = []
        try:
            while len(clients) < self._count:
                some = range(len(clients), min(len(clients) + AT_ONCE, self._count))
                clients += await asyncio.gather(*(self._come(self._first + number) for number in some))
            say(there=len(clients))
            await self._rung[0].wait()
            say(heard=self._heard[0])
            await self._back.wait()
            say(back=self._away, at=time.monotonic())
            await self._rung[1].wait()
            say(heard=self._heard[1], restart=self._told_restart, other=self._told_other)
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    async def _come(self, number: int) -> sig.aio.ClientRouter:
        client = await sig.aio.connect(self._url, name=f"herd-{number}")
        await client.listen(self._hear, "bell", "rung", on_gap=self._miss)
        await client.add_sender(f"herd/{number}", "e")
        client.on_connected = self._return
        return client

    def _return(self) -> None:
        self._away += 1
        if self._away == self._count:
            self._back.set()

    def _hear(self, info: sig.Info, turn: Any) -> None:
        self._heard[turn] += 1
        if self._heard[turn] == self._count:
            self._rung[turn].set()

    def _miss(self, info: sig.Info, gap: sig.Gap) -> None:
        if gap.reason == "server_restart":
            self._told_restart += 1
        else:
            self._told_other += 1


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    url, count, first = sys.argv[1:]
    asyncio.run(Herd(url, int(count), int(first)).live())
