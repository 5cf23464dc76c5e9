"""`sig`, the asyncio face: all of it on one loop in each process, the server's too.

A publisher that never waits would only fill its own outbox: every few hundred events it awaits `signal.drain()`, as a
program has to, which also lets its loop send.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import sig.aio
from benchmarks.peers import awaited, roles
from benchmarks.peers.contestants.sig_blocking import OPTIONS, SENDER, SERVER_OPTIONS
from benchmarks.peers.payload import Event, clock, sample
from benchmarks.peers.roles import MEETING, Address
from benchmarks.peers.tally import Tally

# Events between two looks at whether there is room. Fewer cost more turns of the loop; more make longer pauses at the
# server.
BETWEEN = 256


async def connect(address: Address) -> sig.aio.ClientRouter:
    return await sig.aio.connect(address["url"], **OPTIONS)


class Server(awaited.OnLoop, roles.Server):
    url = "tcp://127.0.0.1:0"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start_loop()
        self._server = self.run(self._serve(self.url.format(folder=folder)))
        self.address = {"url": self._server.urls[0]}

    async def _serve(self, url: str) -> sig.aio.ServerRouter:
        return await sig.aio.serve(url, **SERVER_OPTIONS)

    def close(self) -> None:
        self.run(self._server.close())


class Publisher(awaited.Publisher):
    async def connect(self, address: Address) -> None:
        self._router = await connect(address)
        self._sender = await self._router.add_sender(SENDER, [*self._routes, MEETING])

    def trigger(self, route: str) -> Callable[[Event], Awaitable[object]]:
        trigger = self._sender.signal(route).trigger

        async def send(event: Event) -> None:
            trigger(event)

        return send

    async def _publish(self, count: int, size: int) -> dict[str, float]:
        # The loop of `awaited` awaits for each event, where there is nothing to wait for.
        signals = [self._sender.signal(route) for route in self._routes]
        triggers = [signal.trigger for signal in signals]
        between = BETWEEN if not size else 1
        event = sample(size)
        started = clock()
        for first in range(0, count, between):
            for seq in range(first, min(first + between, count)):
                event["seq"] = seq
                triggers[seq % len(triggers)](event)
            await signals[0].drain()
        await self.drain()
        return {"started": started}

    def close(self) -> None:
        self.run(self._router.close())


class Subscriber(awaited.Subscriber):
    async def subscribe(self, address: Address, routes: Sequence[str], tally: Tally) -> None:
        self._router = await connect(address)
        for route in routes:
            await self._router.listen(tally.take, SENDER, route)
        await self._router.listen(tally.meet, SENDER, MEETING)

    def close(self) -> None:
        self.run(self._router.close())


class Replier(awaited.Replier):
    async def serve(self, address: Address) -> None:
        self._router = await connect(address)
        await self._router.add_sender(SENDER, requests={"echo": lambda params: params})

    def close(self) -> None:
        self.run(self._router.close())


class Requester(awaited.Requester):
    async def connect(self, address: Address) -> None:
        self._router = await connect(address)

    async def request_soon(self, event: Event) -> Event:
        answer: Event = await self._router.request(SENDER, "echo", event)
        return answer

    async def _ask_many(self, count: int, flight: int) -> dict[str, float]:
        start = self._router.start_request
        return await awaited.windowed(lambda event: start(SENDER, "echo", event), count, flight)

    def close(self) -> None:
        self.run(self._router.close())


class Idle(awaited.Idle):
    async def connect(self) -> sig.aio.ClientRouter:
        return await connect(self.address)

    def close(self) -> None:
        async def close() -> None:
            for router in self._open:
                await router.close(0)  # type: ignore[attr-defined]  # what `connect` returned

        self.run(close())
