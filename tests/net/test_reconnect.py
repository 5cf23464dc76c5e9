"""A client whose link is lost comes back, with all that it had registered, and says what was missed. Both faces."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from net.book import LIMIT_S, Book
from net.places import place
from net.proxy import Proxy
from net.raw import Raw

import sig
import sig.aio
from sig.drivers.loops import LoopThread
from sig.messages import Interest, encode_control
from sig.protocol.events import pack_batch
from sig.protocol.frames import Kind, pack
from sig.steps import walk
from sig.testing import settle
from sig.testing.stage import becomes

QUICK: dict[str, Any] = {"reconnect_first_s": 0.01, "reconnect_longest_s": 0.05}


class Heard(Book):
    """A listener; of presence it keeps who it was, too."""

    def __call__(self, info: sig.Info, data: object) -> None:
        self.add(data if not info.event.startswith("#") else (info.event, info.sender))


def states(client: sig.ClientRouter) -> Book:
    """Which it comes to from here on."""
    book = Book()
    client.on_state = book.add
    return book


def test_a_listener_hears_on_and_is_told_exactly_what_it_missed(server: sig.ServerRouter, proxy: Proxy) -> None:
    sender = server.add_sender("s", ["e"])
    heard = Heard()
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(heard, "s", "e", on_gap=heard.gap)
        server.listen(lambda info, data: None, "s", "e")  # so that it is sent at all
        sender.trigger("e", 1)
        heard.wait(1)
        proxy.cut_off()
        told.wait("away")
        assert client.state != "connected"
        for number in (2, 3, 4):
            sender.trigger("e", number)
        server.flush()
        proxy.accept()
        assert client.wait_connected(LIMIT_S)
        sender.trigger("e", 5)
        assert heard.wait(5) == [1, sig.Gap(3, "lost_link"), 5]
        assert told.wait("connected") == ["away", "connected"]


def test_where_nothing_was_missed_nobody_is_told(server: sig.ServerRouter, proxy: Proxy) -> None:
    sender = server.add_sender("s", ["e"])
    heard = Heard()
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(heard, "s", "e", on_gap=heard.gap)
        for number in range(5):
            sender.trigger("e", number)
            heard.wait(number)
            told.story.clear()
            proxy.cut()
            told.wait("connected")
        sender.trigger("e", 5)
        assert heard.wait(5) == [0, 1, 2, 3, 4, 5]


def test_a_sender_answers_again_and_sends_what_was_triggered_meanwhile(server: sig.ServerRouter, proxy: Proxy) -> None:
    heard = Heard()
    server.listen(heard, "s", "e")
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        sender = client.add_sender("s", ["e"], {"double": lambda params: 2 * params})
        sender.trigger("e", 1)
        heard.wait(1)
        client.flush()
        proxy.cut_off()
        told.wait("away")
        assert not sender.connected
        sender.trigger("e", 2)
        sender.trigger("e", 3)
        with pytest.raises(sig.ConnectionLost, match="whether 2 events were delivered is unknown"):
            client.flush()
        proxy.accept()
        told.wait("connected")
        assert sender.connected
        sender.trigger("e", 4)
        assert heard.wait(4) == [1, 2, 3, 4]
        assert server.request("s", "double", 21) == 42
        client.flush()


def test_away_listeners_and_senders_register_at_once_and_others_ask_in_vain(
    server: sig.ServerRouter, proxy: Proxy
) -> None:
    with sig.connect(proxy.url, **QUICK) as client:
        told, heard, there = states(client), Heard(), Heard()
        closed = client.listen(there, "other", "e")
        proxy.cut_off()
        told.wait("away")
        client.listen(heard, "here", "e")
        closed.close()
        sender = client.add_sender("there", "e")
        sender.trigger("e", "kept")
        with pytest.raises(sig.ConnectionLost):
            client.request("here", "m")
        with pytest.raises(sig.ConnectionLost):
            client.senders()
        assert not client.wait_connected(0)
        server.listen(there, "there", "e")
        proxy.accept()
        assert client.wait_connected(LIMIT_S)
        server.add_sender("here", "e").trigger("e", 1)
        heard.wait(1)
        assert there.wait("kept") == ["kept"]


@pytest.mark.parametrize("policy", ["buffer", "drop", "raise"])
def test_what_is_triggered_away(server: sig.ServerRouter, proxy: Proxy, policy: str) -> None:
    heard = Heard()
    server.listen(heard, "s", "e", on_gap=heard.gap)
    with sig.connect(proxy.url, offline=policy, offline_bytes=10, **QUICK) as client:
        told = states(client)
        sender = client.add_sender("s", "e")
        client.flush()
        proxy.cut_off()
        told.wait("away")
        accepted = [*_triggered(sender, 100_000), *_triggered(sender, 200_000)]  # six bytes each
        proxy.accept()
        told.wait("connected")
        sender.trigger("e", 1)
        expected: dict[str, tuple[list[int], list[object]]] = {
            "buffer": ([100_000], [100_000, 1]),
            "drop": ([100_000, 200_000], [sig.Gap(2, "lost_link"), 1]),
            "raise": ([], [1]),
        }
        assert (accepted, heard.wait(1)) == expected[policy]


def test_presence_goes_on_to_alternate(server: sig.ServerRouter, proxy: Proxy) -> None:
    stays = server.add_sender("stays", "e")
    leaves = server.add_sender("leaves", "e")
    changes = server.add_sender("changes", "e")
    heard, late = Heard(), Heard()
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(heard, None, "#connect", initial=True)
        client.listen(heard, None, "#disconnect")
        client.listen(late, None, "#connect")
        settle(client)
        assert sorted(map(str, heard.story)) == sorted(str(("#connect", n)) for n in ("stays", "leaves", "changes"))
        heard.story.clear()
        proxy.cut_off()
        told.wait("away")
        leaves.remove()
        changes.remove()
        server.add_sender("changes", "e")
        server.add_sender("comes", "e")
        proxy.accept()
        told.wait("connected")
        assert stays.connected
        assert sorted(map(str, heard.story)) == [
            "('#connect', 'changes')",
            "('#connect', 'comes')",
            "('#disconnect', 'changes')",
            "('#disconnect', 'leaves')",
        ]
        assert sorted(map(str, late.story)) == ["('#connect', 'changes')", "('#connect', 'comes')"]
        server.add_sender("leaves", "e")
        heard.wait(("#connect", "leaves"))


def test_what_a_member_of_a_group_is_told_late_is_not_what_others_know(server: sig.ServerRouter, proxy: Proxy) -> None:
    """The sender has gone and come back before the member is told, beside the other listener, that it has gone."""
    heard, begun, begin, go_on = Heard(), threading.Event(), threading.Event(), threading.Event()

    async def work(info: sig.Info, data: object) -> None:
        begun.set()
        await asyncio.to_thread(go_on.wait, LIMIT_S)

    loop = LoopThread("test-loop")
    try:
        with sig.connect(proxy.url, group_prefetch=1, **QUICK) as client:
            told = states(client)
            client.listen(heard, "s")
            client.listen(work, "s", group="g", loop=loop.loop)
            loop.loop.call_soon_threadsafe(begin.wait, LIMIT_S)
            server.add_sender("s", ["e"]).remove()
            sender = server.add_sender("s", ["e"])
            sender.trigger("e", 1)
            heard.wait(1)
            begin.set()
            assert begun.wait(LIMIT_S)
            client.flush()  # by then the next has come for the member
            proxy.cut_off()
            told.wait("away")
            sender.remove()
            proxy.accept()
            told.wait("connected")
            server.add_sender("s", ["e"]).trigger("e", 2)
            comes, goes = ("#connect", "s"), ("#disconnect", "s")
            assert heard.wait(2) == [comes, goes, comes, 1, goes, comes, 2]
            go_on.set()
    finally:
        begin.set()
        go_on.set()
        loop.stop(LIMIT_S)


def test_a_name_that_was_taken_is_told_and_asked_for_again(server: sig.ServerRouter, proxy: Proxy) -> None:
    with sig.connect(proxy.url, **QUICK) as client:
        told, lost = states(client), Heard()
        client.on_name_lost = lambda sender: lost.add(sender.name)
        sender = client.add_sender("s", "e")
        proxy.cut_off()
        told.wait("away")
        taken = _claimed(server, "s")
        sender.trigger("e", 1)
        proxy.accept()
        lost.wait("s")
        assert client.wait_connected(LIMIT_S)
        assert not sender.connected
        with pytest.raises(sig.SenderNotConnected):
            sender.trigger("e", 2)
        heard = Heard()
        server.listen(heard, "s", "e", on_gap=heard.gap)
        taken.remove()
        becomes(lambda: sender.connected, True)
        sender.trigger("e", 3)
        assert heard.wait(3) == [sig.Gap(1, "lost_link"), 3]


def test_a_server_that_is_killed_and_started_again_finds_its_clients_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"tcp://127.0.0.1:{port}"
    first = _process(url)
    client = sig.connect(url, **QUICK)
    other = sig.connect(url, **QUICK)
    try:
        heard, back = Heard(), Heard()
        client.listen(heard, "s", "e", on_gap=heard.gap)
        sender = other.add_sender("s", "e")
        other.on_connected = lambda: back.add("other")
        client.on_connected = lambda: back.add("client")
        sender.trigger("e", 1)
        heard.wait(1)
        other.flush()
        first.send_signal(signal.SIGKILL)
        first.wait(LIMIT_S)
        second = _process(url)
        try:
            back.wait("client")
            back.wait("other")
            sender.trigger("e", 2)
            first_heard, gap, *told, last = heard.wait(2)
            assert (first_heard, gap, last) == (1, sig.Gap(None, "server_restart"), 2)
            # Whether the first server had passed on all that it routed, the sender does not know either.
            assert told in ([], [sig.Gap(None, "lost_link")])
        finally:
            client.close()
            other.close()
            second.kill()
            second.wait(LIMIT_S)
    finally:
        client.close()
        other.close()
        first.kill()


def test_several_addresses_are_tried_in_turn() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    first, second = sig.serve("tcp://127.0.0.1:0"), sig.serve("tcp://127.0.0.1:0")
    with sig.connect([nobody, first.urls[0], second.urls[0]], retry_after_s=1, **QUICK) as client:
        told, heard = states(client), Heard()
        client.listen(heard, "s", "e")
        client.senders()
        where = first if len(first.stats().links) > 1 else second
        assert where is first
        first.close()
        told.wait("connected")
        second.add_sender("s", "e").trigger("e", 1)
        heard.wait(1)
    second.close()


def test_who_does_not_want_to_come_back_stays_away(server: sig.ServerRouter, proxy: Proxy) -> None:
    with sig.connect(proxy.url, reconnect=False) as client:
        told = states(client)
        proxy.cut()
        told.wait("away")
        with pytest.raises(sig.ConnectionLost):
            client.wait(LIMIT_S)


def test_closing_while_away_wakes_everybody(server: sig.ServerRouter, proxy: Proxy) -> None:
    client = sig.connect(proxy.url, reconnect_first_s=1000, reconnect_longest_s=1000)
    told = states(client)
    sender = client.add_sender("s", "e")
    proxy.cut_off()
    told.wait("away")
    client.close()
    assert client.state == "closed"
    assert told.story == ["away", "closed"]
    with pytest.raises((sig.Closed, sig.SenderNotConnected)):
        sender.trigger("e", 1)


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls", "ws", "wss", "local"])
@pytest.mark.parametrize("face", ["blocking", "asyncio"])
def test_every_carrier_and_both_faces(kind: str, face: str) -> None:
    if kind == "local":
        _round("local://reconnecting", {}, {}, face)
        return
    with place(kind) as where:
        _round(where.url, where.server, where.client, face)


def _round(url: str, serve: dict[str, Any], connect: dict[str, Any], face: str) -> None:
    first = sig.serve(url, **serve)
    url = first.urls[0]
    if face == "blocking":
        heard = Heard()
        with sig.connect(url, **QUICK, **connect) as client:
            told = states(client)
            client.listen(heard, "s", "e")
            sender = client.add_sender("c", "e", {"m": lambda params: params})
            first.close()
            told.wait("away")
            with sig.serve(url, **serve) as second:
                told.wait("connected")
                second.add_sender("s", "e").trigger("e", 1)
                heard.wait(1)
                assert sender.connected
                assert second.request("c", "m", 7) == 7
        return

    async def main() -> None:
        heard: asyncio.Queue[object] = asyncio.Queue()
        async with sig.aio.connect(url, **QUICK, **connect) as client:
            told: asyncio.Queue[str] = asyncio.Queue()
            client.on_state = told.put_nowait
            await client.listen(lambda info, data: heard.put_nowait(data), "s", "e")
            sender = await client.add_sender("c", "e", {"m": lambda params: params})
            await asyncio.to_thread(first.close)
            assert await asyncio.wait_for(told.get(), LIMIT_S) == "away"
            sender.trigger("e", "kept")
            second = await asyncio.to_thread(lambda: sig.serve(url, **serve))
            try:
                assert await asyncio.wait_for(told.get(), LIMIT_S) == "connected"
                await asyncio.to_thread(lambda: second.add_sender("s", "e").trigger("e", 1))
                assert await asyncio.wait_for(heard.get(), LIMIT_S) == 1
                assert sender.connected
                assert await asyncio.to_thread(lambda: second.request("c", "m", 7)) == 7
                await client.flush()
            finally:
                await asyncio.to_thread(second.close)

    asyncio.run(main())


def test_standard_input_and_output_cannot_be_opened_twice() -> None:
    with pytest.raises(sig.InvalidArgument, match="cannot be opened a second time"):
        sig.connect("stdio:", command=[sys.executable, "-c", ""], reconnect=True)


def test_what_offline_may_be() -> None:
    with pytest.raises(sig.InvalidArgument, match="offline='later' is unknown: choose one of buffer, drop, raise"):
        sig.connect("tcp://127.0.0.1:1", offline="later")
    with pytest.raises(sig.InvalidArgument, match="at least one address"):
        sig.connect([])
    with pytest.raises(sig.InvalidArgument, match="3000 is not a URL"):
        sig.connect(3000)  # type: ignore[call-overload]


def _triggered(sender: sig.Sender, number: int) -> list[int]:
    """The number, if it was accepted."""
    try:
        sender.trigger("e", number)
    except sig.ConnectionLost:
        return []
    return [number]


def _process(url: str) -> subprocess.Popen[str]:
    text = "import sig, sys\nwith sig.serve(sys.argv[1]) as server:\n    print('up', flush=True)\n    server.wait()\n"
    process = subprocess.Popen([sys.executable, "-c", text, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
    return process


def _claimed(server: sig.ServerRouter, name: str) -> sig.Sender:
    """The name, once whoever held it has left."""
    made: list[sig.Sender] = []

    def claimed() -> bool:
        try:
            made.append(server.add_sender(name, "e"))
        except sig.SenderAlreadyConnected:
            return False
        return True

    becomes(claimed, True)
    return made[0]


# -- what else is registered ---------------------------------------------------------------------


def test_a_listener_that_is_busy_keeps_nobody_from_knowing_that_the_link_is_back(
    server: sig.ServerRouter, proxy: Proxy
) -> None:
    sender = server.add_sender("s", "e")
    begun, go_on = threading.Event(), threading.Event()

    def work(info: sig.Info, data: object) -> None:
        begun.set()
        assert go_on.wait(LIMIT_S)

    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(work, "s", "e")
        sender.trigger("e")
        assert begun.wait(LIMIT_S)
        proxy.cut_off()
        becomes(lambda: client.state != "connected", True)
        assert not client.wait_connected(0)
        proxy.accept()
        assert client.wait_connected(LIMIT_S)
        assert told.story == []  # where listeners are called, in order
        go_on.set()
        assert told.wait("connected") == ["away", "connected"]


def test_a_member_of_a_group_is_given_more_than_its_window_on_the_next_link(
    server: sig.ServerRouter, proxy: Proxy
) -> None:
    """What it had not begun when the link was lost has been given to others, or is told as missed."""
    sender = server.add_sender("s", ["e"])
    begun, go_on = threading.Event(), threading.Event()
    seen: list[object] = []
    last = threading.Event()
    missed: list[sig.Gap] = []

    def work(info: sig.Info, data: object) -> None:
        if data == 0:
            begun.set()
            assert go_on.wait(LIMIT_S)
        seen.append(data)
        if data == 99:
            last.set()

    with sig.connect(proxy.url, group_prefetch=4, **QUICK) as client:
        told = states(client)
        client.listen(work, "s", "e", group="g", on_gap=lambda info, gap: missed.append(gap))
        for number in range(10):
            sender.trigger("e", number)
        assert begun.wait(LIMIT_S)
        proxy.cut()
        assert client.wait_connected(LIMIT_S)
        go_on.set()
        told.wait("connected")
        for number in range(10, 100):
            sender.trigger("e", number)
        assert last.wait(LIMIT_S)
    assert len(seen) == len(set(seen)), "an event was given twice"
    assert len(seen) + sum(gap.missed or 0 for gap in missed) >= 100
    assert set(range(10, 100)) <= set(seen)


def test_what_came_of_a_sender_that_is_new_is_missed_too(server: sig.ServerRouter, proxy: Proxy) -> None:
    """The client was not told of its route before the link was lost."""
    heard = Heard()
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(heard, "s", "e", on_gap=heard.gap)
        proxy.cut_off()
        told.wait("away")
        sender = server.add_sender("s", ["e"])
        for number in (1, 2, 3):
            sender.trigger("e", number)
        server.flush()
        proxy.accept()
        told.wait("connected")
        sender.trigger("e", 4)
        assert heard.wait(4) == [sig.Gap(3, "lost_link"), 4]


@pytest.mark.parametrize("event", [None, "#connect", "#disconnect"])
def test_who_begins_to_listen_while_the_link_is_away_is_told_nothing_of_the_past(
    server: sig.ServerRouter, proxy: Proxy, event: str | None
) -> None:
    sender = server.add_sender("s", ["e"], retain=True)
    sender.trigger("e", 1)
    server.flush()
    heard, watching = Heard(), Heard()
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        proxy.cut_off()
        told.wait("away")
        client.listen(heard, "s", event)
        client.listen(watching, "s")
        proxy.accept()
        told.wait("connected")
        sender.trigger("e", 2)
        assert watching.wait(2) == [2]
        sender.remove()
        watching.wait(("#disconnect", "s"))
        assert heard.story == [data for data in watching.story if event is None or data == (event, "s")]


def test_who_hears_everything_is_not_told_what_a_member_of_a_group_beside_it_missed(
    server: sig.ServerRouter, proxy: Proxy
) -> None:
    """The member is busy and has been given a few of the events; the other listener of this client has had them all."""
    sender = server.add_sender("s", ["e"])
    heard, begun, go_on = Heard(), threading.Event(), threading.Event()

    async def work(info: sig.Info, data: object) -> None:
        begun.set()
        await asyncio.to_thread(go_on.wait, LIMIT_S)

    loop = LoopThread("test-loop")
    try:
        with sig.connect(proxy.url, group_prefetch=2, **QUICK) as client:
            told = states(client)
            client.listen(heard, "s", "e", on_gap=heard.gap)
            client.listen(work, "s", "e", group="g", loop=loop.loop)
            for number in range(10):
                sender.trigger("e", number)
            heard.wait(9)
            assert begun.wait(LIMIT_S)
            proxy.cut()
            told.wait("connected")
            sender.trigger("e", 10)
            assert heard.wait(10) == list(range(11))
            go_on.set()
    finally:
        go_on.set()
        loop.stop(LIMIT_S)


def test_a_listener_that_others_wait_for_goes_on_at_its_pace(server: sig.ServerRouter, proxy: Proxy) -> None:
    heard = Heard()
    sender = server.add_sender("s", ["e"])
    with sig.connect(proxy.url, group_prefetch=4, **QUICK) as client:
        told = states(client)
        client.listen(heard, "s", "e", when_full="block")
        for round in range(3):
            for number in range(20):
                sender.trigger("e", (round, number))
            assert heard.wait([round, 19])[-20:] == [[round, number] for number in range(20)]
            told.story.clear()
            proxy.cut()
            told.wait("connected")


def test_a_listener_that_others_wait_for_is_told_exactly_what_it_missed(server: sig.ServerRouter, proxy: Proxy) -> None:
    """Also if nothing came for it on the link between two losses."""
    heard = Heard()
    sender = server.add_sender("s", ["e"])
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.listen(heard, "s", "e", when_full="block", on_gap=heard.gap)
        sender.trigger("e", 1)
        heard.wait(1)
        proxy.cut_off()
        told.wait("away")
        sender.trigger("e", 2)
        server.flush()
        proxy.accept()
        told.wait("connected")
        told.story.clear()
        proxy.cut()
        told.wait("connected")
        sender.trigger("e", 3)
        assert heard.wait(3) == [1, sig.Gap(1, "lost_link"), 3]


def test_one_of_those_who_share_a_name_is_one_of_them_again(server: sig.ServerRouter, proxy: Proxy) -> None:
    server.add_sender("s", requests={"who": lambda params: "server"}, shared=True)
    with sig.connect(proxy.url, **QUICK) as client:
        told = states(client)
        client.add_sender("s", requests={"who": lambda params: "client"}, shared=True)
        assert {reply.value for reply in server.request_all("s", "who")} == {"server", "client"}
        proxy.cut()
        told.wait("connected")
        assert {reply.value for reply in server.request_all("s", "who")} == {"server", "client"}


def test_a_name_that_is_asked_for_again_is_let_go_if_its_sender_leaves_before_the_answer(
    server: sig.ServerRouter,
) -> None:
    with sig.connect(server.urls[0]) as client:
        left = client.add_sender("s", ["e"])
        left.remove()
        driver, returning = client._driver, client._returning
        assert driver is not None
        assert returning is not None
        steps = returning._claim_one(driver, left, driver.core.links)
        asking = threading.Thread(target=walk, args=(steps,), daemon=True)
        asking.start()
        asking.join(LIMIT_S)
        assert not asking.is_alive()
        client.flush()
        assert client.senders() == []
        assert not left.connected


def test_a_last_value_that_came_as_an_event_is_not_told_again() -> None:
    """A listener that is back hears what comes from its route on, before the answer with the last values is there."""
    heard = Heard()
    with (
        sig.serve("tcp://127.0.0.1:0", presence_grace_s=0.05, interest_timeout_s=LIMIT_S) as server,
        Proxy(server.urls[0]) as proxy,
    ):
        sender = server.add_sender("s", ["e"], retain=True)
        with Raw.client(server.urls[0]) as mute, sig.connect(proxy.url, **QUICK) as client:
            route = mute.hold("mute", "e")["e"]
            told = states(client)
            client.listen(heard, event="e", initial=True, on_gap=heard.gap)
            proxy.cut_off()
            told.wait("away")
            becomes(lambda: [row.receivers for row in server.stats().senders if row.sender == "mute"], [0])
            mute.send(pack_batch(route, [b"0"], lens=False, lines=True))
            assert mute.read(Kind.INTEREST).body == encode_control(Interest("none"))
            proxy.accept()
            some = mute.read(Kind.INTEREST)
            assert some.body == encode_control(Interest("some"))
            sender.trigger("e", 1)
            heard.wait(1)
            mute.send(pack(Kind.INTEREST, some.body, route=route))
            told.wait("connected")
            sender.trigger("e", 2)
            assert [value for value in heard.wait(2) if not isinstance(value, sig.Gap)] == [1, 2]
