"""A server that is about to end: nobody comes in, what is under way is answered, and who is sent off knows why."""

from __future__ import annotations

import asyncio
import threading

import pytest

import sig
import sig.aio

LIMIT_S = 20.0


def test_what_is_under_way_is_answered_and_nothing_new_is_taken(server: sig.ServerRouter) -> None:
    begun, go_on, drained = threading.Event(), threading.Event(), threading.Event()

    def slow(params: object) -> object:
        begun.set()
        assert go_on.wait(LIMIT_S)
        return client.request("helper", "double", params)  # a part of what is under way

    with sig.connect(server.urls[0]) as client, sig.connect(server.urls[0]) as helper:
        client.add_sender("worker", requests={"slow": slow})
        helper.add_sender("helper", requests={"double": lambda number: 2 * number})
        call = helper.start_request("worker", "slow", 21)
        assert begun.wait(LIMIT_S)
        assert server.drain(0.01) is False  # still under way
        with pytest.raises(sig.ConnectFailed):
            sig.connect(server.urls[0], timeout=LIMIT_S)
        with pytest.raises(sig.Overloaded, match="ask again when it is back"):
            helper.request("helper", "double", 1)
        draining = threading.Thread(target=lambda: (server.drain(LIMIT_S), drained.set()))
        draining.start()
        assert not drained.is_set()
        go_on.set()
        assert call.result(LIMIT_S) == 42
        draining.join(LIMIT_S)
        assert drained.is_set()


def test_who_is_sent_off_hears_first_who_leaves_with_the_server(server: sig.ServerRouter) -> None:
    with sig.connect(server.urls[0]) as one, sig.connect(server.urls[0]) as other:
        one.add_sender("s", "e")
        told: list[object] = []
        other.listen(lambda info, data: told.append((info.sender, data["reason"])), None, "#disconnect")
        gone = threading.Event()
        other.on_disconnected = gone.set
        assert server.drain() is True
        server.close()
        assert gone.wait(LIMIT_S)
        assert told == [("s", "shutdown")]


def test_a_server_without_anybody_has_drained_at_once() -> None:
    server = sig.ServerRouter("tcp://127.0.0.1:0")
    assert server.drain() is True  # not started yet
    server.start()
    assert server.drain() is True
    server.close()
    assert server.drain() is True


def test_in_asyncio() -> None:
    async def main() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(params: object) -> object:
            begun.set()
            await go_on.wait()
            return params

        async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:
            await server.add_sender("worker", requests={"slow": slow})
            call = client.start_request("worker", "slow", 21)
            await begun.wait()
            draining = asyncio.create_task(server.drain(LIMIT_S))
            go_on.set()
            assert await call == 21
            assert await draining is True

    asyncio.run(main())
