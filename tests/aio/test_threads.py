"""Other threads, other loops, other processes beside a router of the asyncio face."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from aio.beside import LIMIT_S, NewLoop
from aio.leftovers import of_client, settled

import sig
import sig.aio


@pytest.mark.asyncio
async def test_a_subscription_may_be_closed_from_any_thread() -> None:
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:
        closed = await client.listen(print, "s", "e")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(closed.close).result(LIMIT_S)  # while nothing else runs on this loop
            assert closed.closed
            assert of_client(client) == {}, "nothing of the link is touched on another thread"
            await settled(server, clients=1)


@pytest.mark.asyncio
async def test_who_takes_events_hears_of_a_close_on_another_thread() -> None:
    async with sig.aio.Router() as router:
        events = await router.events()
        waiting = asyncio.ensure_future(events.get())
        await asyncio.sleep(0)
        await asyncio.to_thread(events.close)
        with pytest.raises(sig.Closed):
            await asyncio.wait_for(waiting, LIMIT_S)


def test_a_subscription_may_outlive_its_loop(new_loop: NewLoop) -> None:
    async def main() -> sig.Subscription:
        server = await sig.aio.serve("tcp://127.0.0.1:0")
        client = await sig.aio.connect(server.urls[0])
        subscription = await client.listen(print)
        client._driver._link._transport.abort()  # type: ignore[union-attr]
        await server.close()
        return subscription

    with asyncio.Runner(loop_factory=new_loop) as runner:
        subscription = runner.run(main())
    subscription.close()
    assert subscription.closed


def test_each_loop_has_its_own_routers(new_loop: NewLoop) -> None:
    """Four loops in four threads: a server on the first, a client and a sender on each of the others."""
    serving, over, answered = threading.Event(), threading.Event(), threading.Barrier(3)
    urls: list[str] = []

    async def serve() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            urls.extend(server.urls)
            serving.set()
            await asyncio.to_thread(over.wait, LIMIT_S)

    async def talk(number: int) -> list[object]:
        async with sig.aio.connect(urls[0]) as client:

            async def double(params: int) -> int:
                return params * 2

            events = await client.events(f"s{(number + 1) % 3}", "e", queue=1000)
            sender = await client.add_sender(f"s{number}", "e", [double])
            for other in range(3):
                assert await client.sender(f"s{other}").wait(LIMIT_S)
                assert await client.request(f"s{other}", "double", number) == number * 2
            await asyncio.to_thread(answered.wait, LIMIT_S)  # who has done all this may leave
            signal = sender.signal("e")
            for value in range(500):
                signal.trigger([number, value])
            return [(await events.get(LIMIT_S)).data for _ in range(500)]

    def run(make: object, *arguments: object) -> object:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(make(*arguments))  # type: ignore[operator]

    with ThreadPoolExecutor(4) as pool:
        server = pool.submit(run, serve)
        assert serving.wait(LIMIT_S)
        talks = [pool.submit(run, talk, number) for number in range(3)]
        heard = [future.result(LIMIT_S) for future in talks]
        over.set()
        server.result(LIMIT_S)
    assert heard == [[[(number + 1) % 3, value] for value in range(500)] for number in range(3)]


def program(text: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=LIMIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_forked_child_is_told_and_the_parent_goes_on() -> None:
    said = program(
        """
import asyncio, os, sys, warnings, sig.aio
warnings.simplefilter("ignore", DeprecationWarning)

def attempt(what):
    try:
        what()
    except sig.SigError as error:
        return type(error).__name__
    return "done"

async def main():
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:
        sender = await client.add_sender("s", "e", {"m": lambda params: params})
        events = await client.events("s", "e")
        sender.trigger("e", 1)
        print((await events.get()).data, flush=True)
        child = os.fork()
        if child == 0:
            print(attempt(lambda: sender.trigger("e", 2)), attempt(lambda: client.start_request("s", "m")), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        sender.trigger("e", 3)
        print((await events.get()).data, await client.request("s", "m", 4))

asyncio.run(main())
"""
    )
    assert said == ["1", "Closed Closed", "3 4"]


def test_a_forked_child_does_not_keep_the_link_of_its_parent() -> None:
    """The parent dies without a word; its child lives on, and the server must hear of it all the same."""
    text = """
import asyncio, os, sys, warnings, sig.aio
warnings.simplefilter("ignore", DeprecationWarning)

async def main():
    client = await sig.aio.connect(sys.argv[1])
    await client.add_sender("s", "e")
    if os.fork() == 0:
        os.read(0, 1)
    os._exit(0)

asyncio.run(main())
"""
    with sig.serve("tcp://127.0.0.1:0") as server:
        gone = threading.Event()
        server.listen(lambda info, data: gone.set(), "s", "#disconnect")
        with subprocess.Popen([sys.executable, "-c", text, server.urls[0]], stdin=subprocess.PIPE) as parent:
            parent.wait(LIMIT_S)
            assert gone.wait(LIMIT_S)


@pytest.mark.asyncio
async def test_another_loop_is_told_where_to_go(new_loop: NewLoop) -> None:
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:

        async def elsewhere() -> None:
            for verb in (lambda: client.request("s", "m"), client.senders, lambda: client.listen(print)):
                with pytest.raises(sig.InvalidArgument, match="lives on another event loop"):
                    await verb()  # type: ignore[no-untyped-call]
            with pytest.raises(sig.InvalidArgument, match="lives on another event loop"):
                client.start_request("s", "m")

        def run() -> None:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(elsewhere())

        await asyncio.to_thread(run)
        await client.flush()  # the listener has been taken back, too
        assert of_client(client) == {}


def test_the_interpreter_ends_with_live_routers() -> None:
    said = program(
        """
import asyncio, sig.aio

async def main():
    server = await sig.aio.serve("tcp://127.0.0.1:0")
    clients = [await sig.aio.connect(server.urls[0]) for _ in range(3)]

    async def double(params):
        return params * 2

    async def hear(info, data):
        print("heard", data)

    sender = await clients[0].add_sender("s", "e", [double])
    await clients[1].listen(hear, "s", "e")
    sender.trigger("e", await clients[2].request("s", "double", 21))
    await clients[0].flush()
    await clients[1].flush()

asyncio.run(main())
"""
    )
    assert said == ["heard 42"]
