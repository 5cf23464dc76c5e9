"""FastStream over nats-server: handlers have types, and `request` waits for what they return."""

from __future__ import annotations

import asyncio

from faststream.nats import NatsBroker

from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, enough, told
from benchmarks.comparison.child import daemon, free_port, kill, killable, reachable, ready
from benchmarks.comparison.of_nats import server_program

NAME = "faststream"


async def child(url: str) -> None:
    broker = NatsBroker(url, logger=None)

    @broker.subscriber("mortal")
    async def work(params: int) -> None:
        await Hearing().work()

    async with broker:
        await broker.start()
        ready()
        await asyncio.Event().wait()


async def probe(found: Found) -> None:
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    with daemon(server_program(), "-p", str(port)):
        await reachable(port)
        broker, hearing = NatsBroker(url, logger=None), Hearing()
        got: list[list[int]] = [[], []]

        @broker.subscriber("s.fail")
        async def fail(params: int) -> None:
            raise Boom("boom")

        @broker.subscriber("s.count")
        async def count(params: int) -> int:
            return params + 1

        @broker.subscriber("s.work")
        async def work(params: int) -> None:
            await hearing.work()

        @broker.subscriber("e", "g")
        async def first(params: int) -> None:
            got[0].append(params)

        @broker.subscriber("e", "g")
        async def second(params: int) -> None:
            got[1].append(params)

        async def ask(subject: str, params: object) -> object:
            return await (await broker.request(params, subject, timeout=TIMEOUT_S)).decode()

        async with broker:
            await broker.start()
            found["absent"] = await told(ask("nobody", 1))
            found["unknown"] = await told(ask("s.absent", 1))
            found["fails"] = await told(ask("s.fail", 1))
            found["type"] = await told(ask("s.count", "text"))
            call = asyncio.create_task(ask("s.work", 1))
            await hearing.begun.wait()
            call.cancel()
            found["cancelled"] = await hearing.heard()
            async with killable("of_faststream", url) as mortal:
                pending = asyncio.create_task(ask("mortal", 1))
                await asyncio.sleep(0.3)
                kill(mortal)
                found["gone"] = await told(pending)
            for number in range(100):
                await broker.publish(number, "e")
            await enough(got)
            found["group"] = f"{sum(map(len, got))} arrive, {len(got[0])} and {len(got[1])}"
