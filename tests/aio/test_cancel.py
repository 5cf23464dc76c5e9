"""A task may be cancelled wherever it waits: nothing stays behind, here or at the server, and the router goes on.

Each verb is begun again and again, and cancelled one turn of the loop later each time, until it has ended before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aio.beside import NewLoop
from aio.leftovers import LIMIT_S, of_client, settled

import sig
import sig.aio
from sig.aio.answers import LoopAnswers

Verb = Callable[[Any], Awaitable[object]]

# Where a verb takes more turns than this, something turns in circles.
MOST_TURNS = 3000


async def cancelled_after(turns: int, work: Awaitable[object]) -> bool:
    """Whether it had not ended by then. If so it ends at once, and says that it was cancelled."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    early = task.cancel()
    try:
        await asyncio.wait_for(task, LIMIT_S)
    except asyncio.CancelledError:
        assert early
    else:
        assert not early, "it ended as if nobody had cancelled it"
    return early


async def nothing_but(*tasks: asyncio.Task[Any] | None) -> None:
    """Return when no other task is left."""
    deadline = asyncio.get_running_loop().time() + LIMIT_S
    while left := asyncio.all_tasks() - set(tasks) - {asyncio.current_task()}:
        assert asyncio.get_running_loop().time() < deadline, left
        await asyncio.sleep(0)


def run(new_loop: NewLoop, main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


async def hear(info: sig.Info, data: object) -> None:
    pass


async def with_listener(client: sig.aio.ClientRouter) -> None:
    async with client.listen(hear, "s", "e"):
        await client.flush()


async def with_events(client: sig.aio.ClientRouter) -> None:
    async with client.events("there", "tick") as events:
        await events.get()


async def iterate(client: sig.aio.ClientRouter) -> None:
    async for _ in client.events("there", "tick"):
        break


async def with_sender(client: sig.aio.ClientRouter) -> None:
    async with client.add_sender("s", "e", {"m": hear_params}) as sender:
        sender.trigger("e", 1)


async def hear_params(params: object) -> object:
    await asyncio.sleep(0)
    return params


async def start(client: sig.aio.ClientRouter) -> None:
    assert await client.start_request("there", "nested", 5) == 5


async def drain(client: sig.aio.ClientRouter) -> None:
    sender = await client.add_sender("s", "e")
    sender.trigger("e", "x" * 10_000)
    await sender.signal("e").drain()
    await sender.remove()


VERBS: dict[str, Verb] = {
    "listen": with_listener,
    "events": with_events,
    "async for": iterate,
    "add_sender": with_sender,
    "add_listener": lambda client: client.add_listener(print, "there", "e"),
    "request": lambda client: client.request("there", "quick", 5),
    "request async": lambda client: client.request("there", "slow", 5),
    "request nested": lambda client: client.request("there", "nested", 5),
    "start_request": start,
    "flush": lambda client: client.flush(),
    "senders": lambda client: client.senders(),
    "wait for a sender": lambda client: client.sender("there").wait(),
    "wait for nobody": lambda client: client.sender("nobody").wait(0.002),
    "wait": lambda client: client.wait(0.002),
    "drain": drain,
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_verb_that_is_cancelled_leaves_nothing(verb: Verb, new_loop: NewLoop) -> None:
    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as other:
            await other.add_sender("elsewhere", requests={"slow": hear_params})

            async def nested(params: object) -> object:
                return await server.request("elsewhere", "slow", params)

            async def tick() -> None:
                while True:
                    there.trigger("tick")
                    await asyncio.sleep(0)

            requests = {"quick": lambda params: params, "slow": hear_params, "nested": nested}
            there = await server.add_sender("there", ["e", "tick"], requests)
            ticking = asyncio.ensure_future(tick())
            for turns in range(MOST_TURNS):
                async with sig.aio.connect(server.urls[0]) as client:
                    before = asyncio.all_tasks()
                    early = await cancelled_after(turns, verb(client))
                    await nothing_but(*before)
                    await client.flush()  # whatever was taken back has been
                    if verb is VERBS["add_listener"] and not early:
                        await client.remove_listener(print, "there", "e")
                        await client.flush()
                    assert of_client(client) == {}
                    await settled(server, senders=2, names=2, clients=2)
                if not early:
                    break
            else:
                pytest.fail("it never ends by itself")
            ticking.cancel()

    run(new_loop, main)


def test_connecting_that_is_cancelled_leaves_nothing(new_loop: NewLoop) -> None:
    async def connect(url: str) -> None:
        async with sig.aio.connect(url):
            pass

    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            before = asyncio.all_tasks()
            for turns in range(MOST_TURNS):
                early = await cancelled_after(turns, connect(server.urls[0]))
                await nothing_but(*before)
                await settled(server)
                if not early:
                    return
            pytest.fail("it never ends by itself")

    run(new_loop, main)


def test_a_client_that_is_cancelled_while_it_connects_may_try_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            for turns in range(MOST_TURNS):
                client = sig.aio.ClientRouter(server.urls[0])
                early = await cancelled_after(turns, client.open())
                if early:
                    await settled(server)
                    assert client.state == "connecting"
                    await client.open()
                assert await client.senders() == []
                await client.close()
                await settled(server)
                if not early:
                    return
            pytest.fail("it never ends by itself")

    run(new_loop, main)


def test_serving_that_is_cancelled_leaves_nothing(new_loop: NewLoop) -> None:
    async def serve() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0", "tcp://localhost:0") as server:
            await server.add_carrier("tcp://127.0.0.1:0")
            assert await server.remove_carrier(server.urls[0])

    async def main() -> None:
        for turns in range(MOST_TURNS):
            early = await cancelled_after(turns, serve())
            await nothing_but()
            if not early:
                return
        pytest.fail("it never ends by itself")

    run(new_loop, main)


def test_a_listener_may_ask_until_it_returns(new_loop: NewLoop) -> None:
    async def main() -> None:
        answers: list[object] = []
        begun = asyncio.Event()
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            await server.add_sender("office", requests={"echo": lambda params: params})
            async with sig.aio.connect(server.urls[0]) as client:

                async def ask(info: sig.Info, data: object) -> None:
                    begun.set()
                    await asyncio.sleep(0.05)  # by then the other is closing
                    answers.append(await client.request("office", "echo", data))

                await client.listen(ask, "s", "e")
                (await server.add_sender("s", "e")).trigger("e", 1)
                await asyncio.wait_for(begun.wait(), LIMIT_S)
        assert answers == [1]

    run(new_loop, main)


def test_closing_that_is_cancelled_closes_all_the_same(new_loop: NewLoop) -> None:
    """With all that may be under way: events in a queue, a handler, a request, a sender."""

    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            sender = await server.add_sender("s", "e", {"wait": forever})
            before = asyncio.all_tasks()
            for turns in range(MOST_TURNS):
                client = await sig.aio.connect(server.urls[0])
                await client.listen(hear_slowly, "s", "e")
                await client.add_sender("c", "e", {"wait": forever})
                calls = [client.start_request("s", "wait"), server.start_request("c", "wait")]
                for number in range(10):
                    sender.trigger("e", number)
                await server.flush()
                early = await cancelled_after(turns, client.close(0.5))
                await asyncio.wait_for(client.close(), LIMIT_S)
                assert client.state == "closed"
                outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), LIMIT_S)
                assert [type(outcome) for outcome in outcomes] == [sig.Closed, sig.ConnectionLost]
                await nothing_but(*before)
                assert of_client(client) == {}
                await settled(server, senders=1, names=1)
                if not early:
                    return
            pytest.fail("it never ends by itself")

    run(new_loop, main)


def test_each_part_is_ended_where_the_end_of_another_is_cancelled(new_loop: NewLoop) -> None:
    """Whatever turn that comes in: here in the very one in which the link is let go."""

    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            client = await sig.aio.connect(server.urls[0])
            await client.add_sender("c", requests={"wait": forever})
            call = server.start_request("c", "wait")
            await server.flush()
            driver, answers = client._driver, client._answers
            assert driver is not None
            assert answers is not None
            link = driver._link
            assert link is not None
            join, task = link.join, asyncio.ensure_future(asyncio.sleep(0))

            async def cancelled(timeout: float) -> None:
                task.cancel()
                await join(timeout)

            link.join = cancelled  # type: ignore[method-assign]  # the place where it is to be cancelled
            await task
            task = asyncio.ensure_future(client.close(0.5))
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, LIMIT_S)
            assert isinstance(answers, LoopAnswers)
            assert not answers._tasks
            with pytest.raises(sig.ConnectionLost):
                await call

    run(new_loop, main)


def test_closing_a_server_that_is_cancelled_closes_all_the_same(new_loop: NewLoop) -> None:
    async def main() -> None:
        for turns in range(MOST_TURNS):
            server = await sig.aio.serve("tcp://127.0.0.1:0")
            clients = [await sig.aio.connect(server.urls[0], reconnect=False) for _ in range(3)]
            await server.add_sender("s", "e", {"wait": forever})
            await clients[0].listen(hear_slowly, "s", "e")
            calls = [client.start_request("s", "wait") for client in clients]
            early = await cancelled_after(turns, server.close(0.5))
            await asyncio.wait_for(server.close(), LIMIT_S)
            outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), LIMIT_S)
            assert {type(outcome) for outcome in outcomes} == {sig.ConnectionLost}
            for client in clients:
                with pytest.raises(sig.ConnectionLost):
                    await asyncio.wait_for(client.wait(), LIMIT_S)
                await client.close()
                assert of_client(client) == {}
            await nothing_but()
            if not early:
                return
        pytest.fail("it never ends by itself")

    run(new_loop, main)


async def forever(params: object) -> None:
    await asyncio.Event().wait()


async def hear_slowly(info: sig.Info, data: object) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
