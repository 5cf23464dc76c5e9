"""autobahn with a crossbar router: WAMP, whose procedures are registered under URIs."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from autobahn.asyncio.component import Component
from autobahn.wamp.types import CallOptions, PublishOptions, SubscribeOptions

from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, told
from benchmarks.comparison.child import daemon, free_port, kill, killable, reachable, ready

NAME = "autobahn"


def write_config(folder: str, port: int) -> None:
    everything = {
        "uri": "",
        "match": "prefix",
        "allow": dict.fromkeys(("call", "register", "publish", "subscribe"), True),
    }
    realm = {"name": "realm1", "roles": [{"name": "anonymous", "permissions": [everything]}]}
    endpoint = {"type": "tcp", "port": port, "interface": "127.0.0.1"}
    anybody = {"anonymous": {"type": "static", "role": "anonymous"}}
    transport = {"type": "websocket", "endpoint": endpoint, "auth": anybody}
    node = {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}
    Path(folder, "config.json").write_text(json.dumps(node))


async def joined(url: str) -> Any:
    loop = asyncio.get_running_loop()
    session: asyncio.Future[Any] = loop.create_future()
    component = Component(transports=url, realm="realm1")

    @component.on_join
    async def join(found: Any, details: object) -> None:
        if not session.done():
            session.set_result(found)

    task = component.start(loop=loop)
    found = await asyncio.wait_for(session, 10)
    found.component_task = task  # a loop keeps only weak references to its tasks
    return found


async def child(url: str) -> None:
    session = await joined(url)
    await session.register(Hearing().work, "mortal.work")
    ready()
    await asyncio.Event().wait()


def fail(params: object) -> None:
    raise Boom("boom")


def count(params: int) -> int:
    return params + 1


async def probe(found: Found) -> None:
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        write_config(folder, port)
        program = str(Path(sys.executable).with_name("crossbar"))
        with daemon(program, "start", "--cbdir", folder, "--config", f"{folder}/config.json", "--loglevel", "none"):
            await reachable(port)
            await asyncio.sleep(2)  # it listens before it is ready
            owner, client = await joined(url), await joined(url)
            hearing = Hearing()
            for function, uri in ((fail, "s.fail"), (count, "s.count"), (hearing.work, "s.work")):
                await owner.register(function, uri)
            limit = CallOptions(timeout=int(TIMEOUT_S * 1000))

            def ask(uri: str, *params: object) -> Any:
                return asyncio.wait_for(client.call(uri, *params, options=limit), TIMEOUT_S)

            found["absent"] = await told(ask("nobody.m"))
            found["unknown"] = await told(ask("s.absent"))
            found["fails"] = await told(ask("s.fail", 1))
            found["type"] = await told(ask("s.count", "text"))
            call = asyncio.ensure_future(client.call("s.work"))
            await hearing.begun.wait()
            call.cancel()
            found["cancelled"] = await hearing.heard()
            presence: list[str] = []
            for event in ("wamp.session.on_join", "wamp.session.on_leave"):
                await client.subscribe(lambda *told, event=event: presence.append(event), event)
            async with killable("of_autobahn", url) as mortal:
                pending = asyncio.ensure_future(ask("mortal.work"))
                await asyncio.sleep(0.3)
                kill(mortal)
                found["gone"] = await told(pending)
            await asyncio.sleep(0.5)
            found["presence"] = "yes, of sessions: " + ", ".join(name.rpartition(".")[2] for name in presence)
            await owner.publish("e", 42, options=PublishOptions(acknowledge=True, retain=True))
            last: list[object] = []
            await client.subscribe(last.append, "e", options=SubscribeOptions(get_retained=True))
            await asyncio.sleep(0.5)
            found["late"] = f"yes: {last}"
            found["group"] = "of calls alone: shared registrations (not run)"
