"""Streams over links, and what ends them: each costs its own call, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from net.raw import Raw
from reprs import Reprs

import sig
import sig.aio
from sig.messages import Error, decode_control
from sig.protocol.frames import Kind
from sig.protocol.parts import pack_parts
from sig.testing.stage import becomes

LIMIT_S = 20


class Endless:
    """A handler that never ends by itself, and how it fares."""

    def __init__(self, size: int = 0) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.given = 0
        self._part = "x" * size

    def run(self, params: object) -> Iterator[str]:
        try:
            for self.given in count(1):
                self.begun.set()
                yield self._part
        finally:
            self.ended.set()


@pytest.fixture
def owner(connect: Callable[..., sig.ClientRouter]) -> sig.ClientRouter:
    return connect(reconnect=False)


def running(owner: sig.ClientRouter, caller: sig.ClientRouter) -> tuple[Endless, sig.Stream[str]]:
    """An endless handler of sender `s`, and a stream of it that has begun."""
    handler = Endless()
    owner.add_sender("s", requests=[handler.run])
    stream = caller.stream("s", "run")
    next(stream)
    return handler, stream


def cut(server: sig.ServerRouter, client: sig.ClientRouter) -> None:
    """Break that client's link, without a word."""
    driver, router = server._server, client._driver
    assert driver is not None
    assert router is not None
    assert router.core.welcome is not None
    number = router.core.welcome.client
    (wire,) = [wire for connection, wire in list(driver._wires.items()) if connection.number == number]
    driver.loop.call_soon_threadsafe(wire.abort)


def test_a_requester_that_vanishes_ends_the_handler(
    server: sig.ServerRouter, owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    handler, stream = running(owner, caller)
    cut(server, caller)
    assert handler.ended.wait(LIMIT_S)
    with pytest.raises(sig.ConnectionLost):
        for _ in stream:
            pass
    caller.close()


def test_an_owner_that_vanishes_ends_the_stream_behind_the_parts_that_came(
    server: sig.ServerRouter, owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    handler, stream = running(owner, caller)
    becomes(lambda: handler.given > 100, True)
    cut(server, owner)
    with pytest.raises(sig.ConnectionLost, match="left .* before it answered"):
        for _ in stream:
            pass
    assert handler.ended.wait(LIMIT_S), "it has nobody to give to"
    assert caller.senders() == []
    owner.close()


def test_a_sender_that_leaves_ends_its_streams(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    handler = Endless()
    sender = owner.add_sender("s", requests=[handler.run])
    with caller.stream("s", "run") as stream:
        next(stream)
        sender.remove()
        with pytest.raises(sig.ConnectionLost, match=r"left \(closed\) before it answered"):
            for _ in stream:
                pass
    assert handler.ended.wait(LIMIT_S)


def test_a_server_that_closes_ends_them_on_both_sides(
    server: sig.ServerRouter, owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    handler, stream = running(owner, caller)
    server.close()
    with pytest.raises(sig.ConnectionLost):
        for _ in stream:
            pass
    assert handler.ended.wait(LIMIT_S)
    for client in (owner, caller):
        client.close()


def test_a_caller_that_has_left_is_given_no_million_parts(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    handler, stream = running(owner, caller)
    stream.close()
    assert handler.ended.wait(LIMIT_S)
    assert handler.given < 10_000
    assert caller._driver is not None
    assert len(caller._driver.core.asking.calls) == 0


def test_a_stream_that_is_forgotten_ends_with_what_is_said_next(
    owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    handler = Endless()
    owner.add_sender("s", requests=[handler.run])
    for _ in caller.stream("s", "run"):
        break
    caller.senders()
    assert handler.ended.wait(LIMIT_S)


def test_a_closed_caller_is_told_so(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    handler, stream = running(owner, caller)
    caller.close()
    with pytest.raises(sig.Closed):
        for _ in stream:
            pass
    assert handler.ended.wait(LIMIT_S)


def test_an_owner_that_closes_waits_for_its_handlers_to_end(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    with sig.connect(server.urls[0]) as owner:
        handler, stream = running(owner, caller)
    assert handler.ended.is_set()
    with pytest.raises(sig.ConnectionLost):
        for _ in stream:
            pass


def test_many_slow_callers_keep_nobody_from_asking(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    handler = Endless(10_000)
    owner.add_sender("s", requests={"run": handler.run, "echo": lambda params: params})
    streams = [caller.stream("s", "run") for _ in range(owner.limits.request_workers + 1)]
    for stream in streams:
        next(stream)
    assert caller.request("s", "echo", 1, timeout=LIMIT_S) == 1
    for stream in streams:
        stream.close()


def test_a_place_is_held_until_the_handler_has_really_ended(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    leaving, go = threading.Event(), threading.Event()

    def slow(params: object) -> Iterator[int]:
        try:
            yield from count()
        finally:
            leaving.set()
            go.wait(LIMIT_S)

    with sig.connect(server.urls[0]) as owner:
        owner.add_sender("s", requests={"slow": slow, "echo": lambda params: params}, max_concurrent=1)
        with caller.stream("s", "slow") as stream:
            next(stream)
        assert leaving.wait(LIMIT_S)
        waiting = caller.start_request("s", "echo", 1)
        assert caller.senders()[0].name == "s"
        assert not waiting.done()
        go.set()
        assert waiting.result(LIMIT_S) == 1


def test_a_part_that_takes_too_long_and_all_of_it(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    ended = threading.Event()

    def stall(params: object) -> Iterator[int]:
        try:
            yield 1
            while not ended.wait(0.01):
                sig.current_request().check()
        finally:
            ended.set()

    owner.add_sender("s", requests=[stall])
    for options, told in (({"idle": 0.05}, "0.05 s"), ({"timeout": 0.1, "idle": 100}, "0.1 s")):
        ended.clear()
        with caller.stream("s", "stall", **options) as stream:
            assert next(stream) == 1
            with pytest.raises(sig.RequestTimeout, match=f"has not answered 'stall' within {told}"):
                next(stream)
        assert ended.wait(LIMIT_S)


def test_clients_of_different_codecs_stream_to_each_other() -> None:
    values = [{"n": number, "text": "ü"} for number in range(3000)]

    def give(params: object) -> Iterator[object]:
        yield from values
        return params  # type: ignore[return-value]  # of a generator

    class Other(Reprs):
        name = "other"  # no client but its own has it

    with (
        sig.serve("tcp://127.0.0.1:0", codec=["json", Other()]) as server,
        sig.connect(server.urls[0]) as plain,
        sig.connect(server.urls[0], codec=Other()) as other,
    ):
        for owner, caller in ((plain, other), (other, plain)):
            with owner.add_sender("s", requests=[give]), caller.stream("s", "give", [1]) as stream:
                assert list(stream) == values
                assert stream.result == [1]


def test_parts_from_who_does_not_own_the_sender_cost_it_the_link(
    server: sig.ServerRouter, owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    go = threading.Event()

    def give(params: object) -> Iterator[str]:
        yield "first"
        go.wait(LIMIT_S)
        yield "second"

    owner.add_sender("s", requests=[give])
    core = [client._driver.core for client in (caller, owner) if client._driver is not None]
    with Raw.client(server.urls[0]) as forger, caller.stream("s", "give") as stream:
        assert next(stream) == "first"
        (corr,) = core[0].asking.calls._waiting
        assert core[0].welcome is not None
        peer, route = core[0].welcome.client, core[0].asking._numbers["s"]
        forger.send(pack_parts([b'"forged"'], route=route, peer=peer, corr=corr, lines=True, cost=1000))
        told = decode_control(Error, forger.read(Kind.ERROR).body)
        assert "which is not its own" in told.message
        go.set()
        assert list(stream) == ["second"]


def test_a_listener_may_stream(owner: sig.ClientRouter, caller: sig.ClientRouter) -> None:
    found: list[object] = []
    done = threading.Event()

    def give(params: int) -> Iterator[int]:
        yield from range(params)

    def take(info: sig.Info, data: int) -> None:
        with caller.stream("s", "give", data) as stream:
            found.extend(stream)
        done.set()

    caller.listen(take, "s", "e")
    owner.add_sender("s", "e", [give]).trigger("e", 3000)
    assert done.wait(LIMIT_S)
    assert found == list(range(3000))


def test_a_handler_that_streams_from_another_gives_up_with_its_caller(
    owner: sig.ClientRouter, caller: sig.ClientRouter
) -> None:
    handler = Endless()

    def relay(params: object) -> Iterator[object]:
        with caller.stream("s", "run") as stream:
            yield from stream

    owner.add_sender("s", requests=[handler.run])
    caller.add_sender("t", requests=[relay])
    with owner.stream("t", "relay") as stream:
        next(stream)
    assert handler.ended.wait(LIMIT_S)


def test_an_async_handler_that_waits_is_cancelled_when_its_caller_leaves(caller: sig.ClientRouter) -> None:
    async def program(url: str) -> None:
        begun, ended = asyncio.Event(), threading.Event()

        async def wait(params: object) -> AsyncIterator[int]:
            try:
                yield 1
                begun.set()
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with sig.aio.connect(url) as owner, sig.aio.connect(url) as other:
            await owner.add_sender("s", requests=[wait])
            async with other.stream("s", "wait") as stream:
                assert await anext(stream) == 1
                await begun.wait()
            assert await asyncio.to_thread(ended.wait, LIMIT_S)
            # And so is one whose task is cancelled.
            begun.clear()
            ended.clear()

            async def take() -> None:
                async with other.stream("s", "wait") as stream:
                    async for _ in stream:
                        pass

            task = asyncio.create_task(take())
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await asyncio.to_thread(ended.wait, LIMIT_S)

    with sig.serve("tcp://127.0.0.1:0") as server:
        asyncio.run(program(server.urls[0]))


@pytest.mark.parametrize("face", ["blocking", "asyncio"])
def test_an_async_handler_gives_on_its_own_loop_wherever_its_link_is(
    server: sig.ServerRouter, caller: sig.ClientRouter, loop: asyncio.AbstractEventLoop, face: str
) -> None:
    loops: list[bool] = []
    many = 5_000 if face == "blocking" else 500

    async def count_up(params: int) -> AsyncIterator[int]:
        try:
            for number in range(params):
                yield number
                if number % 100 == 0:
                    await asyncio.sleep(0)
        finally:
            loops.append(asyncio.get_running_loop() is loop)

    def look() -> None:
        assert list(caller.stream("s", "count_up", many)) == list(range(many))
        with caller.stream("s", "count_up", 1_000_000) as parts:
            assert next(parts) == 0
        becomes(lambda: loops, [True, True])

    async def main() -> None:
        async with sig.aio.connect(server.urls[0]) as client:
            await client.add_sender("s", requests=[count_up], loop=loop)
            await asyncio.to_thread(look)

    if face == "asyncio":
        asyncio.run(main())
        return
    with sig.connect(server.urls[0]) as client:
        client.add_sender("s", requests=[count_up], loop=loop)
        look()


def test_a_handler_runs_in_the_executor_where_there_is_one() -> None:
    threads: list[str] = []

    def give(params: int) -> Iterator[str]:
        try:
            for _ in range(params):
                yield threading.current_thread().name
        finally:
            threads.append(threading.current_thread().name)

    async def program(url: str, executor: ThreadPoolExecutor) -> None:
        async with sig.aio.connect(url, executor=executor) as owner, sig.aio.connect(url) as other:
            await owner.add_sender("s", requests=[give])
            async with other.stream("s", "give", 3) as stream:
                assert [part.rpartition("_")[0] async for part in stream] == ["elsewhere"] * 3
            async with other.stream("s", "give", 10**9) as stream:
                await anext(stream)
        assert [thread.rpartition("_")[0] for thread in threads] == ["elsewhere"] * 2

    with sig.serve("tcp://127.0.0.1:0") as server, ThreadPoolExecutor(2, "elsewhere") as executor:
        asyncio.run(program(server.urls[0], executor))
