"""Idle connections: how fast they are let in, and what each costs."""

from __future__ import annotations

import asyncio
import time

from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Child, Idler, Outcome, as_many, mib, server, table

CONNECTIONS = 10_000
_AT_ONCE = 200  # fewer than the system keeps in a queue


def run(quick: bool, seed: int) -> Outcome:
    count = as_many(200 if quick else CONNECTIONS)
    room = {"max_connections": count + 50, "max_pending_handshakes": count + 50, "max_accepts_per_s": 1_000_000}
    with server(**room) as child:
        child.settled(0)
        before = child.memory
        busy = child.seconds
        seconds, inside, after = asyncio.run(_crowd(child, count))
        busy = child.seconds - busy
        child.settled(0)
        left = child.memory
    each = (after - before) / count
    told = {
        "connections": count,
        "let_in": inside,
        "seconds": round(seconds, 3),
        "server_s": round(busy, 3),
        "bytes_each": round(each),
        "bytes_before": before,
        "bytes_with": after,
        "bytes_after": left,
    }
    rows = [
        ["connections let in", f"{inside:,}", f"{count:,}"],
        ["seconds for all", f"{seconds:.1f}", "", "5"],
        ["of the server's processor", f"{busy:.1f}"],
        ["memory of the server for each", f"{each / 1024:.1f} KiB", "", "8 KiB"],
        ["memory before, with all, after", f"{mib(before)}, {mib(after)}, {mib(left)}"],
    ]
    failures = [] if inside == count else [f"{count - inside} of {count} connections were not let in"]
    return Outcome(told, table("idle connections", rows), failures)


async def _crowd(child: Child, count: int) -> tuple[float, int, int]:
    loop = asyncio.get_running_loop()
    idlers: list[Idler] = []

    async def come() -> None:
        _, idler = await loop.create_connection(Idler, *child.place)
        idlers.append(idler)
        await asyncio.wait_for(idler.welcome, LIMIT_S)

    begun = time.monotonic()
    came = 0
    while came < count:
        some = min(_AT_ONCE, count - came)
        await asyncio.gather(*(come() for _ in range(some)))
        came += some
        say(f"idle: {came:,} connections")
    seconds = time.monotonic() - begun
    inside = (await asyncio.to_thread(child.stats)).totals.clients - 2
    memory = child.memory
    for idler in idlers:
        idler.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    return seconds, inside, memory
