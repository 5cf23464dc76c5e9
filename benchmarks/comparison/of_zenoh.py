"""zenoh, two sessions through a router of the package: requests are queries, and presence is liveliness."""

from __future__ import annotations

import asyncio
import threading

import zenoh
import zenoh.ext

from benchmarks.comparison.asking import LIMIT_S, TIMEOUT_S, Boom, Found, told
from benchmarks.comparison.child import free_port, kill, killable, ready

NAME = "eclipse-zenoh"


def opened(url: str, mode: str) -> zenoh.Session:
    config = zenoh.Config()
    config.insert_json5("mode", f'"{mode}"')
    config.insert_json5("listen/endpoints" if mode == "router" else "connect/endpoints", f'["{url}"]')
    config.insert_json5("timestamping/enabled", "true")
    config.insert_json5("scouting/multicast/enabled", "false")
    return zenoh.open(config)


async def child(url: str) -> None:
    session = opened(url, "client")
    session.liveliness().declare_token("alive/mortal")
    session.declare_queryable("mortal", lambda query: threading.Event().wait(LIMIT_S * 2))
    ready()
    await asyncio.Event().wait()


class Refused(Exception):
    """An error reply."""


async def probe(found: Found) -> None:
    url = f"tcp/127.0.0.1:{free_port()}"
    with opened(url, "router"), opened(url, "client") as owner, opened(url, "client") as client:

        def fail(query: zenoh.Query) -> None:
            raise Boom("boom")

        def count(query: zenoh.Query) -> None:
            assert query.payload is not None
            query.reply(query.key_expr, str(int(query.payload.to_string()) + 1))

        queryables = [owner.declare_queryable(f"s/{one.__name__}", one) for one in (fail, count)]
        await asyncio.sleep(0.3)

        def ask(key: str, payload: str = "") -> list[str]:
            answers = []
            for reply in client.get(key, payload=payload, timeout=TIMEOUT_S):
                if reply.ok is None:
                    raise Refused(reply.err.payload.to_string() if reply.err is not None else "")
                answers.append(reply.ok.payload.to_string())
            return answers

        found["absent"] = await told(asyncio.to_thread(ask, "nobody"))
        found["unknown"] = await told(asyncio.to_thread(ask, "s/absent"))
        found["fails"] = await told(asyncio.to_thread(ask, "s/fail"))
        found["type"] = await told(asyncio.to_thread(ask, "s/count", "text"))
        found["cancelled"] = "no: a query may be cancelled, and whoever answers is not told"
        presence: list[str] = []
        watching = client.liveliness().declare_subscriber("alive/**", lambda sample: presence.append(str(sample.kind)))
        async with killable("of_zenoh", url) as mortal:
            pending = asyncio.create_task(asyncio.to_thread(ask, "mortal"))
            await asyncio.sleep(0.3)
            kill(mortal)
            found["gone"] = await told(pending)
        await asyncio.sleep(0.5)
        found["presence"] = "yes: " + ", ".join(presence)
        cached = zenoh.ext.declare_advanced_publisher(owner, "e", cache=zenoh.ext.CacheConfig(max_samples=1))
        cached.put("42")
        await asyncio.sleep(0.3)
        last: list[str] = []
        late = zenoh.ext.declare_advanced_subscriber(
            client, "e", lambda sample: last.append(sample.payload.to_string()), history=zenoh.ext.HistoryConfig()
        )
        await asyncio.sleep(0.5)
        found["late"] = f"with an advanced publisher's cache: {last}"
        del queryables, watching, cached, late
