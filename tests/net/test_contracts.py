"""Contracts over links, in both faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing

import msgspec
import pytest
from net.raw import LIMIT_S

import sig
import sig.aio


class Reading(msgspec.Struct):
    celsius: float


class Thermostat(sig.Contract):
    changed: sig.EventOf[Reading]

    def set_target(self, celsius: float) -> float:
        self.changed.trigger(Reading(celsius))
        return celsius


class Other(sig.Contract):
    def set_target(self, celsius: int) -> str: ...


class Awaited(sig.aio.Contract):
    """The same, for callers and owners in asyncio."""

    changed: sig.aio.EventOf[Reading]

    async def set_target(self, celsius: float) -> float:
        self.changed.trigger(Reading(celsius))
        return celsius


class Scanner(sig.Contract):
    def scan(self, steps: int) -> Generator[Reading, None, Reading]:
        for step in range(steps):
            yield Reading(step)
        return Reading(-1)


class PlainScanner(sig.Contract):
    """The same, without a word of the result."""

    def scan(self, steps: int) -> Iterator[Reading]:
        raise NotImplementedError


class AwaitedScanner(sig.aio.Contract):
    """The same, for callers and owners in asyncio; parts that are awaited have no result."""

    async def scan(self, steps: int) -> AsyncGenerator[Reading, None]:
        for step in range(steps):
            yield Reading(step)


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("local://contracts") as server:
        yield server


def test_an_owner_and_a_caller_share_a_class(server: sig.ServerRouter) -> None:
    heard: list[Reading] = []
    with sig.connect("local://contracts") as owner, sig.connect("local://contracts") as caller:
        thermostat = owner.add_sender("lab/thermostat", Thermostat())
        proxy = caller.sender("lab/thermostat").typed(Thermostat)
        events = proxy.changed.events()
        proxy.changed.listen(lambda info, data: heard.append(data))
        assert proxy.set_target(21.5) == 21.5
        thermostat.changed.trigger(Reading(22))
        assert [events.get(LIMIT_S), events.get(LIMIT_S)] == [
            ({"sender": "lab/thermostat", "event": "changed"}, Reading(celsius)) for celsius in (21.5, 22)
        ]
        with pytest.raises(sig.RequestFailed, match=r"takes Parameters: Expected `float`, got `str`"):
            proxy.set_target("warm")  # type: ignore[arg-type]  # the mistake in question
        with thermostat:
            assert proxy.sender.connected
        with pytest.raises(sig.SenderNotConnected):
            thermostat.changed.trigger(Reading(23))
        caller.flush()  # it knows that, then; else it may ask, and be told that the sender has left meanwhile
        with pytest.raises(sig.SenderNotConnected):
            proxy.set_target(1)
    assert heard == [Reading(21.5), Reading(22)]


def test_a_caller_with_another_contract_is_told_once_it_can_be_known(server: sig.ServerRouter) -> None:
    told: list[str] = []
    with sig.connect("local://contracts") as caller:
        caller.on_error = lambda failed: told.append(str(failed.error))
        server.add_sender("lab/thermostat", Thermostat())
        proxy = caller.sender("lab/thermostat").typed(Other)
        for _ in range(3):
            with pytest.raises(sig.InvalidData, match="'lab/thermostat' answered 'set_target' with other data"):
                proxy.set_target(5)
    [sentence] = told
    assert sentence.startswith("request 'set_target' of sender 'lab/thermostat' answers with other data than Other.")
    assert sentence.endswith("set_target says: $ is a number, not a string")


def test_one_at_the_server_itself_is_known_at_once(server: sig.ServerRouter) -> None:
    told: list[str] = []
    server.on_error = lambda failed: told.append(str(failed.error))
    server.add_sender("lab/thermostat", Thermostat())
    server.sender("lab/thermostat").typed(Other)
    assert len(told) == 1


@pytest.mark.asyncio
async def test_both_faces_understand_each_other(server: sig.ServerRouter) -> None:
    heard: asyncio.Queue[Reading] = asyncio.Queue()
    server.add_sender("blocking", Thermostat())
    async with sig.aio.connect("local://contracts") as client:
        blocking = client.sender("blocking").typed(Awaited)
        async with blocking.changed.listen(lambda info, data: heard.put_nowait(data)):
            assert await blocking.set_target(20.5) == 20.5
            assert await asyncio.wait_for(heard.get(), LIMIT_S) == Reading(20.5)
        async with client.add_sender("awaited", Awaited()) as thermostat:
            proxy = client.sender("awaited").typed(Awaited)
            events = await proxy.changed.events()
            assert await asyncio.to_thread(server.request, "awaited", "set_target", {"celsius": 1}) == 1.0
            assert await proxy.set_target(2) == 2.0
            thermostat.changed.trigger(Reading(3))
            assert [(await events.get(LIMIT_S)).data for _ in range(3)] == [Reading(1), Reading(2), Reading(3)]
            assert proxy.sender.connected
        assert [row.name for row in await client.senders()] == ["blocking"]


def test_answers_in_parts_go_between_owners_and_callers_of_both_faces(server: sig.ServerRouter) -> None:
    wanted = [Reading(0), Reading(1)]

    async def main() -> None:
        async with sig.aio.connect("local://contracts") as client:
            await client.add_sender("awaited", AwaitedScanner())
            for name in ("plain", "awaited"):
                scan = client.sender(name).typed(AwaitedScanner).scan(2)
                assert [part async for part in scan] == wanted
                async with aclosing(client.sender(name).typed(AwaitedScanner).scan(2)) as left:
                    assert await anext(left) == Reading(0)
            with sig.connect("local://contracts") as caller:
                plain = caller.sender("awaited").typed(PlainScanner)
                assert await asyncio.to_thread(lambda: list(plain.scan(2))) == wanted
                proxy = caller.sender("plain").typed(Scanner)
                with closing(proxy.scan(2)) as parts:
                    assert await asyncio.to_thread(next, parts) == Reading(0)

    with sig.connect("local://contracts") as owner:
        owner.add_sender("plain", Scanner())
        asyncio.run(main())


def test_a_result_of_another_type_ends_the_stream_behind_its_parts(server: sig.ServerRouter) -> None:
    def scan(params: object) -> Iterator[dict[str, float]]:
        yield {"celsius": 1}
        return {"kelvin": 1}

    server.add_sender("odd", requests=[scan])
    with sig.connect("local://contracts") as caller:
        parts = caller.sender("odd").typed(Scanner).scan(1)
        assert next(parts) == Reading(1)
        with pytest.raises(sig.InvalidData, match="'odd' answered 'scan' with other data: Object missing required"):
            next(parts)
        with pytest.raises(StopIteration):
            next(parts)
