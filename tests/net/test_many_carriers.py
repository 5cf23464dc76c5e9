"""Many carriers on one server: a sender that came by one is heard on all, as in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from net.places import place

import sig
import sig.aio

LIMIT_S = 60
KINDS = ("tcp", "unix", "tls", "ws")
CLIENTS = 100
EVENTS = 20


@pytest.fixture
def server() -> Iterator[tuple[sig.ServerRouter, list[dict[str, Any]]]]:
    """With one carrier of each kind, and what clients of each say beside the URL."""
    with ExitStack() as stack:
        places = [stack.enter_context(place(kind)) for kind in KINDS]
        options = {name: value for each in places for name, value in each.server.items()}
        router = stack.enter_context(sig.serve(*(each.url for each in places), **options))
        yield router, [each.client for each in places]


class Ear:
    """Listens to everybody, and knows when it has heard all."""

    def __init__(self, wanted: int) -> None:
        self.heard: dict[str, list[object]] = {}
        self.events: list[tuple[str, str]] = []
        self.all = threading.Event()
        self._left = wanted

    def __call__(self, info: sig.Info, data: object) -> None:
        self.events.append((info.sender, info.event))
        if info.event == "e":
            self.heard.setdefault(info.sender, []).append(data)
            self._left -= 1
            if not self._left:
                self.all.set()


def test_every_sender_is_heard_by_every_listener(server: tuple[sig.ServerRouter, list[dict[str, Any]]]) -> None:
    router, options = server
    senders = 12  # of each carrier three
    ears = [Ear(senders * EVENTS) for _ in range(CLIENTS)]
    with ExitStack() as stack:
        clients = [
            stack.enter_context(sig.connect(router.urls[n % len(KINDS)], **options[n % len(KINDS)]))
            for n in range(CLIENTS)
        ]
        for client, ear in zip(clients, ears, strict=True):
            client.listen(ear, "**")
        made = [
            client.add_sender(f"s/{number}", ["e"], {"who": lambda _, number=number: number})
            for number, client in enumerate(clients[:senders])
        ]
        for count in range(EVENTS):
            for sender in made:
                sender.trigger("e", count)
        for ear in ears:
            assert ear.all.wait(LIMIT_S)
            assert ear.heard == {f"s/{number}": list(range(EVENTS)) for number in range(senders)}
            assert sorted(ear.events[:senders]) == sorted((f"s/{n}", "#connect") for n in range(senders))
        # Anybody can be asked from anywhere.
        for number in range(senders):
            assert clients[-number - 1].request(f"s/{number}", "who") == number
        stats = router.stats()
        assert stats is not None
        gone = threading.Event()
        clients[-1].listen(lambda info, data: gone.set(), "s/0", "#disconnect")
        clients[0].close()
        assert gone.wait(LIMIT_S)


def test_carriers_come_and_go_while_the_server_runs() -> None:
    with (
        place("ws") as web,
        place("unix") as near,
        sig.serve("tcp://127.0.0.1:0") as router,
        sig.connect(router.urls[0]) as first,
    ):
        first.add_sender("first", requests={"name": lambda _: "first"})
        added = [router.add_carrier(each.url, **each.server) for each in (web, near)]
        assert router.urls[1:] == added
        with sig.connect(added[0]) as second, sig.connect(added[1]) as third:
            assert [client.request("first", "name") for client in (second, third)] == ["first", "first"]
            assert router.remove_carrier(added[0])
            assert router.urls == [router.urls[0], added[1]]
            with pytest.raises(sig.ConnectFailed):
                sig.connect(added[0], timeout=5)
            assert second.request("first", "name") == "first"  # whoever is there stays
            assert not router.remove_carrier(added[0])


def test_many_carriers_in_the_asyncio_face() -> None:
    async def main() -> None:
        with ExitStack() as stack:
            places = [stack.enter_context(place(kind)) for kind in KINDS]
            options = {name: value for each in places for name, value in each.server.items()}
            async with sig.aio.serve(*(each.url for each in places), **options) as router:
                await router.add_sender("here", requests={"double": lambda number: number * 2})
                for url, each in zip(router.urls, places, strict=True):
                    async with sig.aio.connect(url, **each.client) as client:
                        assert await client.request("here", "double", 21) == 42
                        await client.add_sender("there", requests={"half": lambda number: number // 2})
                        assert await router.request("there", "half", 42) == 21

    asyncio.run(main())
