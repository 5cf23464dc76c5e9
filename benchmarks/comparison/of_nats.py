"""nats-py with nats-server: requests are messages with a subject to reply to."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

import nats
from nats.aio.msg import Msg

from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, enough, told
from benchmarks.comparison.child import daemon, free_port, kill, killable, reachable, ready

NAME = "nats-py"


async def child(url: str) -> None:
    client = await nats.connect(url)
    await client.subscribe("mortal", cb=Hearing().work)
    await client.flush()
    ready()
    await asyncio.Event().wait()


def server_program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"


async def probe(found: Found) -> None:
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder, daemon(server_program(), "-p", str(port), "-js", "-sd", folder):
        await reachable(port)
        client, owner = await nats.connect(url), await nats.connect(url, error_cb=quiet)
        hearing = Hearing()

        async def fail(message: Msg) -> None:
            raise Boom("boom")

        async def count(message: Msg) -> None:
            params: int = json.loads(message.data)
            await message.respond(b"%d" % (params + 1))

        for subject, handler in (("s.fail", fail), ("s.count", count), ("s.work", hearing.work)):
            await owner.subscribe(subject, cb=handler)
        await owner.flush()
        found["absent"] = await told(client.request("nobody", b"", timeout=TIMEOUT_S))
        found["unknown"] = await told(client.request("s.absent", b"", timeout=TIMEOUT_S))
        found["fails"] = await told(client.request("s.fail", b"", timeout=TIMEOUT_S))
        found["type"] = await told(client.request("s.count", b'"text"', timeout=TIMEOUT_S))
        call = asyncio.create_task(client.request("s.work", b"", timeout=TIMEOUT_S))
        await hearing.begun.wait()
        call.cancel()
        found["cancelled"] = await hearing.heard()
        async with killable("of_nats", url) as mortal:
            pending = asyncio.create_task(client.request("mortal", b"", timeout=TIMEOUT_S))
            await asyncio.sleep(0.3)
            kill(mortal)
            found["gone"] = await told(pending)
        found["presence"] = "not for clients: the server tells its system account (not run)"
        js = client.jetstream()
        bucket = await js.create_key_value(bucket="last")
        await bucket.put("e", b"42")
        watcher = await bucket.watch("e")
        entry = await watcher.updates(timeout=TIMEOUT_S)
        entry = entry or await watcher.updates(timeout=TIMEOUT_S)  # `None` says that there is no more for now
        found["late"] = f"with JetStream's key-value: {entry.value!r}"
        got: list[list[bytes]] = [[], []]
        for mine in got:

            async def collect(message: Msg, mine: list[bytes] = mine) -> None:
                mine.append(message.data)

            await owner.subscribe("e", queue="g", cb=collect)
        await owner.flush()
        for number in range(100):
            await client.publish("e", b"%d" % number)
        await client.flush()
        await enough(got)
        found["group"] = f"{sum(map(len, got))} arrive, {len(got[0])} and {len(got[1])}"
        await client.close()
        await owner.close()


async def quiet(error: Exception) -> None:
    """What it does with the exception of a handler: it is told here, to nobody else."""
