"""As `unbroken`, with both ends in one loop of asyncio: a session of few events that has every kind of frame.

But those of logins, of heartbeats, of durable events, and of losses: there are none to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from net.book import LIMIT_S
from net.unbroken import QUICK, Cuts, Found

import sig
import sig.aio
from sig.testing import Fault

EVENTS = 4
PARTS = 3
# Of the links of asyncio: at every byte in python -m benchmarks.reliability reliable.
OVER = ("tcp", "local", "ws", "application")


class Book:
    """All that is heard, in order."""

    def __init__(self) -> None:
        self.story: list[object] = []
        self._changed = asyncio.Event()

    def hear(self, info: sig.Info, data: object) -> None:
        self.add(info.event if info.event.startswith("#") else data)

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        self.add(gap)

    def add(self, what: object) -> None:
        self.story.append(what)
        self._changed.set()

    async def wait(self, last: object) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                while last not in self.story:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{last} has not come: {self.story}") from None


class World:
    """A server with a sender of its own, and what it hears of the client."""

    def __init__(self, server: sig.aio.ServerRouter, url: str) -> None:
        self.server = server
        self.url = url
        self.heard = Book()
        self.asked: list[object] = []
        self._given_up = asyncio.Event()

    async def begin(self) -> None:
        for event in ("e", "#connect", "#disconnect"):
            await self.server.listen(self.heard.hear, "c", event, on_gap=self.heard.gap)
        requests = {"echo": self._echo, "parts": self._parts, "never": self._never}
        self.sender = await self.server.add_sender("s", "e", requests)

    async def _echo(self, params: object) -> object:
        self.asked.append(params)
        return params

    async def _parts(self, count: int) -> AsyncIterator[int]:
        self.asked.append(count)
        for number in range(count):
            yield number

    async def _never(self, params: object) -> None:
        self.asked.append(params)
        try:
            await asyncio.Event().wait()
        finally:
            self._given_up.set()

    async def session(self, faults: Cuts) -> tuple[dict[str, int], dict[str, int]]:
        """As `unbroken.session`, and what else there is: a stream, a request that is given up, presence, names that go.

        Returns how many bytes there were each way on the last link, after the handshake and before the goodbye.
        """
        self.heard.story.clear()
        self.asked.clear()
        self._given_up.clear()
        mine, present = Book(), Book()
        asked: list[object] = []

        def double(number: int) -> int:
            asked.append(number)
            return 2 * number

        async with sig.aio.connect(faults.upon(self.url), reliable=True, **QUICK) as client:  # type: ignore[arg-type]
            began = {"sent": faults.bytes_sent, "received": faults.bytes_received}
            await client.listen(mine.hear, "s", "e", on_gap=mine.gap)
            await client.listen(present.hear, "other", "#connect")
            closing = await client.listen(present.hear, "other", "#disconnect")
            sender = await client.add_sender("c", ["e", "f"], {"double": double})
            sender.trigger("f", "nobody listens")
            other = await self.server.add_sender("other", "e")
            for number in range(EVENTS):
                sender.trigger("e", number)
                self.sender.trigger("e", number)
            assert await client.request("s", "echo", [1], timeout=LIMIT_S) == [1]
            assert await self.server.request("c", "double", 21, timeout=LIMIT_S) == 42
            async with client.stream("s", "parts", PARTS) as parts:
                assert [part async for part in parts] == [*range(PARTS)]
            listening = await self.server.listen(self.heard.hear, "c", "f")
            sender.trigger("f", "f")
            waiting = asyncio.ensure_future(client.request("s", "never", timeout=LIMIT_S))
            while None not in self.asked:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0)
            waiting.cancel()
            await self._given_up.wait()
            await other.remove()
            await present.wait("#disconnect")
            await self.heard.wait("f")
            listening.close()
            closing.close()
            await client.flush()
            await mine.wait(EVENTS - 1)
            ended = {"sent": faults.bytes_sent, "received": faults.bytes_received}
        await self.bid_farewell()
        everything = [*range(EVENTS)]
        assert mine.story == everything, f"the client heard {mine.story}"
        assert present.story == ["#connect", "#disconnect"], f"the client heard {present.story} of another"
        told = ["#connect", *everything, "f", "#disconnect"]
        assert self.heard.story == told, f"the server heard {self.heard.story}"
        assert (self.asked, asked) == ([[1], PARTS, None], [21]), "a request was carried out twice"
        return began, ended

    async def bid_farewell(self) -> None:
        """As `unbroken.World.bid_farewell`."""
        async with asyncio.timeout(LIMIT_S):
            while (await self.server.stats()).totals.clients > 1:
                for client in await self.server.clients():
                    await self.server.kick(client.client)
        await self.heard.wait("#disconnect")


@asynccontextmanager
async def world(carrier: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if carrier == "application":
            from aio.served import mounted, served

            server = await stack.enter_async_context(sig.aio.ServerRouter())
            url = f"ws://{await stack.enter_async_context(served(mounted(server)))}/sig/"
        else:
            asked = {"tcp": "tcp://127.0.0.1:0", "local": "local://unbroken", "ws": "ws://127.0.0.1:0"}[carrier]
            server = await stack.enter_async_context(sig.aio.serve(asked))
            url = server.urls[0]
        there = World(server, url)
        await there.begin()
        yield there


async def cut_anywhere(carrier: str, step: int, first: int, found: Found | None = None) -> Found:
    """As `unbroken.cut_anywhere`."""
    found = found or Found()
    first %= step
    async with world(carrier) as there:
        began, ended = await there.session(Cuts())
        for direction in ("sent", "received"):
            middle = (began[direction] + ended[direction]) // 2
            for at in range(began[direction] + first, ended[direction], step):
                await _lost(there, Cuts({direction: Fault(cut_at=at)}), f"{direction}, {at}", found)
            for at in range(first, ended[direction], step):
                faults = Cuts({direction: Fault(cut_at=middle)}, {direction: Fault(cut_at=at)})
                await _lost(there, faults, f"{direction}, {middle}, then {at}", found)
    return found


async def _lost(there: World, faults: Cuts, where: str, found: Found) -> None:
    """A session that may lose links."""
    try:
        async with asyncio.timeout(2 * LIMIT_S):
            await there.session(faults)
    except sig.ConnectFailed:
        return  # a byte earlier than it seemed: there was no session yet
    except (AssertionError, sig.SigError, TimeoutError) as error:
        raise AssertionError(f"{where}: {error!r}") from error
    if faults.opened > 1:
        found.cut += 1
        found.links += faults.opened - 1
        found.events += 2 * EVENTS
