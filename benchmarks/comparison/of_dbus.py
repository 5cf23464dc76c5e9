"""dbus-fast on a dbus-daemon of its own: methods have signatures, and names have owners."""

from __future__ import annotations

import asyncio
import shutil

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method

from benchmarks.comparison.asking import TIMEOUT_S, Boom, Found, Hearing, told
from benchmarks.comparison.child import daemon, kill, killable, ready

NAME = "dbus-fast"
INTERFACE = "org.example.S"


class Service(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(INTERFACE)
        self.hearing = Hearing()

    @dbus_method()
    def Fail(self):
        raise Boom("boom")

    @dbus_method()
    def Count(self, params: "i") -> "i":  # noqa: F821, UP037  # its way to give signatures
        return params + 1

    @dbus_method()
    async def Work(self):
        await self.hearing.work()


async def owner(url: str, name: str) -> tuple[MessageBus, Service]:
    bus = await MessageBus(bus_address=url).connect()
    service = Service()
    bus.export("/s", service)
    await bus.request_name(name)
    return bus, service


async def child(url: str) -> None:
    await owner(url, "org.example.Mortal")
    ready()
    await asyncio.Event().wait()


class Refused(Exception):
    """An ERROR message, which `call` returns."""


async def probe(found: Found) -> None:
    program = shutil.which("dbus-daemon") or "dbus-daemon"
    with daemon(program, "--session", "--nofork", "--print-address=1") as process:
        assert process.stdout is not None
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        bus, service = await owner(url, "org.example.S")
        client = await MessageBus(bus_address=url).connect()

        async def call(name: str, method: str, signature: str = "", *body: object) -> object:
            message = Message(
                destination=name, path="/s", interface=INTERFACE, member=method, signature=signature, body=list(body)
            )
            reply = await asyncio.wait_for(client.call(message), TIMEOUT_S)
            assert reply is not None
            if reply.message_type is MessageType.ERROR:
                raise Refused(f"{reply.error_name}: {reply.body[0]}")
            return reply.body

        name = "org.example.S"
        found["absent"] = await told(call("org.example.Nobody", "M"))
        found["unknown"] = await told(call(name, "Absent"))
        found["fails"] = await told(call(name, "Fail"))
        found["type"] = await told(call(name, "Count", "s", "text"))
        working = asyncio.create_task(call(name, "Work"))
        await service.hearing.begun.wait()
        working.cancel()
        found["cancelled"] = await service.hearing.heard()
        presence: list[str] = []

        def note(message: Message) -> None:
            if message.member == "NameOwnerChanged" and message.body[0] == "org.example.Mortal":
                presence.append("came" if message.body[2] else "went")

        client.add_message_handler(note)
        await client.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',member='NameOwnerChanged'"],
            )
        )
        async with killable("of_dbus", url) as mortal:
            pending = asyncio.create_task(call("org.example.Mortal", "Work"))
            await asyncio.sleep(0.3)
            kill(mortal)
            found["gone"] = await told(pending)
        await asyncio.sleep(0.5)
        found["presence"] = "yes: " + ", ".join(presence)
        bus.disconnect()
        client.disconnect()
