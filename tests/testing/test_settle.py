"""`settle` returns when everything triggered so far has been delivered, whatever stands between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import sig
from sig.drivers.loops import LoopThread
from sig.testing import capture, pair, settle

LIMIT_S = 20


def test_what_was_triggered_is_there() -> None:
    with pair() as (server, client), sig.connect(server.urls[0]) as other:
        got = [capture(router, None, "e") for router in (server, client, other)]
        senders = [router.add_sender(name, "e") for name, router in (("a", server), ("b", client), ("c", other))]
        for number in range(100):
            for sender in senders:
                sender.trigger("e", number)
        settle(server, client, other)
        assert [len(each) for each in got] == [300, 300, 300]


def test_what_listeners_trigger_in_turn_is_there_too() -> None:
    with pair() as (server, client):
        relays = [
            client.add_sender("relay/0", "e"),
            server.add_sender("relay/1", "e"),
            client.add_sender("relay/2", "e"),
        ]
        for number, router in enumerate((server, client)):
            forward = relays[number + 1].signal("e").trigger
            router.listen(lambda info, data, forward=forward: forward(data), f"relay/{number}", "e")
        got = capture(server, "relay/2", "e")
        relays[0].trigger("e", 5)
        settle(server, client)
        assert got.data == [5]


def test_queues_are_empty_and_listeners_have_returned() -> None:
    with sig.Router() as router, ThreadPoolExecutor() as executor:
        begun, go_on = threading.Event(), threading.Event()
        got: list[object] = []

        def slow(info: sig.Info, data: object) -> None:
            begun.set()
            go_on.wait(LIMIT_S)
            got.append(data)

        router.listen(slow, "s", "e", queue=10)
        router.listen(slow, "s", "e", executor=executor)
        router.add_sender("s", "e").trigger("e", 1)
        assert begun.wait(LIMIT_S)
        threading.Timer(0.02, go_on.set).start()
        settle(router)
        assert got == [1, 1]


def test_it_goes_from_one_queue_to_the_next_and_from_router_to_router() -> None:
    with sig.Router() as first, sig.Router() as second:
        behind = second.add_sender("behind", "e")
        first.listen(lambda info, data: behind.trigger("e", data), "s", "e", queue=10)
        got = capture(second, "behind", "e", queue=10)
        first.add_sender("s", "e").trigger("e", 1)
        settle(second, first)
        assert got.data == [1]


def test_async_listeners_have_returned() -> None:
    loop = LoopThread("test-loop")
    try:
        for router in (sig.Router(), sig.serve("tcp://127.0.0.1:0")):
            with router:
                got: list[object] = []

                async def hear(info: sig.Info, data: object, got: list[object] = got) -> None:
                    got.append(data)

                router.listen(hear, "s", "e", loop=loop.loop)
                router.add_sender("s", "e").trigger("e", 1)
                settle(router)
                assert got == [1]
    finally:
        loop.stop(LIMIT_S)


def test_who_takes_events_himself_is_not_waited_for() -> None:
    with sig.Router() as router, router.events("s", "e") as events:
        router.add_sender("s", "e").trigger("e", 1)
        settle(router)
        assert events.get(0).data == 1


def test_a_listener_that_does_not_return_is_named() -> None:
    with sig.Router() as router:
        go_on = threading.Event()

        def stuck(info: sig.Info, data: object) -> None:
            go_on.wait(LIMIT_S)

        router.listen(stuck, "s", "e", queue=10)
        router.add_sender("s", "e").trigger("e", 1)
        with pytest.raises(AssertionError, match=r"not come to rest within 0.1 s: .*stuck.* to 's', 'e'"):
            settle(router, timeout=0.1)
        go_on.set()


def test_listeners_that_never_come_to_an_end_are_told() -> None:
    with pair() as (server, client):
        sender = client.add_sender("s", "e")
        server.listen(lambda info, data: sender.trigger("e", data), "s", "e")
        sender.trigger("e", 1)
        with pytest.raises(AssertionError, match="listeners trigger without end"):
            settle(server, client, timeout=0.1)


def test_a_router_without_a_link_says_so() -> None:
    with pair() as (server, client):
        server.close()
        assert client.wait_connected(0) is False
        with pytest.raises(sig.Closed):
            settle(server)


def test_from_inside_a_listener_it_is_refused() -> None:
    with pair() as (server, _):
        failures: list[BaseException] = []
        server.on_error = lambda failed: failures.append(failed.error)
        server.listen(lambda info, data: settle(server), "s", "e")
        server.add_sender("s", "e").trigger("e", 1)
        settle(server)
        assert [type(error) for error in failures] == [sig.WouldDeadlock]
