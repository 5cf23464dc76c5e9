"""Statistics over real links: a server's, its clients', and each router's own listeners."""

from __future__ import annotations

import threading

import pytest
from net.raw import LIMIT_S

import sig
import sig.aio
from sig.constants import Limits
from sig.stats import ListenerStats


def test_each_router_tells_of_the_server_and_of_its_own_listeners() -> None:
    heard = threading.Semaphore(0)
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0], name="hall") as client:
        sender = server.add_sender("s", "e")
        subscription = client.listen(lambda info, data: heard.release(), "s")
        for _ in range(3):
            sender.trigger("e")
        for _ in range(3):
            assert heard.acquire(timeout=LIMIT_S)
        for router in (server, client):
            stats = router.stats()
            assert [(row.sender, row.event, row.accepted, row.receivers) for row in stats.senders] == [("s", "e", 3, 1)]
            assert {(link.name, link.events_in, link.events_out) for link in stats.links} == {
                ("hall", 0, 3),
                ("server", 3, 0),
            }
        assert server.stats().listeners == []
        (row,) = client.stats().listeners
        assert row == ListenerStats(sender="s", event=None, received=subscription.received)
        assert subscription.received is not None


@pytest.mark.asyncio
async def test_they_can_be_awaited() -> None:
    async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as client:
        await server.add_sender("s", "e")
        assert [row.event for row in (await client.stats()).senders] == ["e"]
        assert (await client.stats(limit=0)).senders == []


def test_windows_of_clients_that_only_listen_are_small() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        assert client._driver is not None
        outgoing = client._driver.core.outgoing
        assert outgoing.credit < Limits().send_window_bytes // 100
        client.add_sender("s", "e")
        assert outgoing.credit == Limits().send_window_bytes
