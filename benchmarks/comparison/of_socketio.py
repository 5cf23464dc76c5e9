"""python-socketio: a server on aiohttp; it calls clients and they it, and whoever is called acknowledges."""

from __future__ import annotations

import asyncio
from typing import Any

import socketio
from aiohttp import web

from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, told
from benchmarks.comparison.child import free_port, kill, killable, ready

NAME = "python-socketio"


async def child(url: str) -> None:
    client = socketio.AsyncClient()
    client.on("work", Hearing().work)
    await client.connect(url)
    ready()
    await client.wait()


async def probe(found: Found) -> None:
    server = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    server.attach(app)
    presence: list[str] = []
    connected: list[str] = []
    hearing = Hearing()

    async def connect(sid: str, environ: Any) -> None:
        presence.append("connect")
        connected.append(sid)

    async def disconnect(sid: str, reason: str = "") -> None:
        presence.append(f"disconnect {reason}".strip())

    async def fail(sid: str, data: object) -> None:
        raise Boom("boom")

    async def count(sid: str, data: int) -> int:
        return data + 1

    for name, handler in (("connect", connect), ("disconnect", disconnect), ("fail", fail), ("count", count)):
        server.on(name, handler)
    server.on("work", hearing.work)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"http://127.0.0.1:{port}"
    client = socketio.AsyncClient()
    await client.connect(url)
    try:
        found["absent"] = await told(server.call("m", to="nobody", timeout=TIMEOUT_S))
        found["unknown"] = await told(client.call("absent", 1, timeout=TIMEOUT_S))
        found["fails"] = await told(client.call("fail", 1, timeout=TIMEOUT_S))
        found["type"] = await told(client.call("count", "text", timeout=TIMEOUT_S))
        call = asyncio.create_task(client.call("work", 1, timeout=TIMEOUT_S))
        await hearing.begun.wait()
        call.cancel()
        found["cancelled"] = await hearing.heard()
        presence.clear()
        async with killable("of_socketio", url) as mortal:
            pending = asyncio.create_task(server.call("work", 1, to=connected[-1], timeout=TIMEOUT_S))
            await asyncio.sleep(0.3)
            kill(mortal)
            found["gone"] = await told(pending)
        await asyncio.sleep(0.5)
        found["presence"] = "the server alone: " + ", ".join(presence)
    finally:
        await client.disconnect()
        await runner.cleanup()
