"""This library, with its defaults."""

from __future__ import annotations

import asyncio
from functools import partial

import sig.aio
from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, enough, told
from benchmarks.comparison.child import kill, killable, ready

NAME = "sig"
# So long a client that is lost may come back.
GRACE_S = 5.0


async def child(url: str) -> None:
    async with sig.aio.connect(url) as client:
        await client.add_sender("mortal", requests={"work": Hearing().work})
        ready()
        await client.wait()


def count(params: int) -> int:
    return params + 1


def fail(params: object) -> None:
    raise Boom("boom")


def collect(mine: list[object], info: sig.Info, data: object) -> None:
    mine.append(data)


async def probe(found: Found) -> None:
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as asker:
        hearing = Hearing()
        sender = await server.add_sender("s", ["e"], {"fail": fail, "count": count, "work": hearing.work}, retain=True)
        found["absent"] = await told(asker.request("nobody", "m", timeout=TIMEOUT_S))
        found["unknown"] = await told(asker.request("s", "absent", timeout=TIMEOUT_S))
        found["fails"] = await told(asker.request("s", "fail", timeout=TIMEOUT_S))
        found["type"] = await told(asker.request("s", "count", "text", timeout=TIMEOUT_S))
        call = asker.start_request("s", "work")
        await hearing.begun.wait()
        call.cancel()
        found["cancelled"] = await hearing.heard()

        presence: list[str] = []
        left = asyncio.Event()

        def note(info: sig.Info, data: dict[str, object]) -> None:
            presence.append(" ".join(str(word) for word in (info.event, data.get("reason")) if word))
            if info.event == "#disconnect":
                left.set()

        for event in ("#connect", "#disconnect"):
            await asker.listen(note, "mortal", event)
        async with killable("of_sig", server.urls[0]) as mortal:
            pending = asker.start_request("mortal", "work", timeout=TIMEOUT_S)
            await asyncio.sleep(0.3)
            kill(mortal)
            found["gone"] = await told(pending)
        async with asyncio.timeout(GRACE_S + TIMEOUT_S):
            await left.wait()
        found["presence"] = "yes: " + ", ".join(presence)

        sender.trigger("e", 42)
        await asker.flush()
        last: list[object] = []
        await asker.listen(lambda info, data: last.append(data), "s", "e", initial=True)
        found["late"] = f"yes: {last}"
        got: list[list[object]] = [[], []]
        for mine in got:
            await asker.listen(partial(collect, mine), "s", "e", group="g")
        for number in range(100):
            sender.trigger("e", number)
        await server.flush()
        await asker.flush()
        await enough(got)
        found["group"] = f"{sum(map(len, got))} arrive, {len(got[0])} and {len(got[1])}"
