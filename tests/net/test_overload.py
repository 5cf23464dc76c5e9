"""Those who cannot keep up, over real links: whatever is dropped and wherever, each subscription has had, or has been
told that it missed, exactly what was accepted; and the others notice nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from net.aside import aside
from net.raw import LIMIT_S, Raw

import sig
from sig.carriers.tcp import TCPServer
from sig.protocol.bodies import unpack_lost
from sig.protocol.frames import Kind
from sig.testing.stage import becomes

URL = "tcp://127.0.0.1:0"


class Heard:
    """A listener that keeps numbers, and gaps as `-missed`, by event; it can be held up, and waited for."""

    def __init__(self) -> None:
        self.log: dict[tuple[str, str], list[int]] = {}
        self.count = 0
        self._moved = threading.Condition()
        self._allowed: int | None = None

    def __call__(self, info: sig.Info, data: Any) -> None:
        with self._moved:
            self.count += 1
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: self._allowed is None or self.count <= self._allowed, LIMIT_S)
            self.log.setdefault((info.sender, info.event), []).append(data[0] if isinstance(data, list) else data)

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        assert gap.missed is not None
        self.log.setdefault((info.sender, info.event), []).append(-gap.missed)

    def allow(self, calls: int | None) -> None:
        """Let so many calls end in all, and the next one only begin; `None`: all."""
        with self._moved:
            self._allowed = calls
            self._moved.notify_all()

    def wait(self, count: int) -> None:
        """Until so many calls have begun."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.count >= count, LIMIT_S), f"{self.count} of {count}"

    def check(self, subscription: sig.Subscription, accepted: dict[tuple[str, str], list[int]]) -> None:
        """All that was accepted was delivered, or told missing in its place."""
        assert self.log.keys() == accepted.keys()
        for event, log in self.log.items():
            place = 0
            for item in log:
                if item < 0:
                    place -= item
                else:
                    assert accepted[event][place] == item, (event, log)
                    place += 1
            assert place == len(accepted[event]), (event, log)
        items = [item for log in self.log.values() for item in log]
        assert subscription.received == sum(item >= 0 for item in items)
        assert subscription.missed == -sum(item for item in items if item < 0)


def listen(router: sig.Router, heard: Heard, *selector: str | None, **options: Any) -> sig.Subscription:
    return router.listen(heard, *selector, on_gap=heard.gap, **options)


@contextmanager
def reading_nothing(client: sig.ClientRouter) -> Iterator[None]:
    """The client's reading thread is stopped, as by a machine that has other things to do."""
    begun, go_on = threading.Event(), threading.Event()

    def stop() -> bool:
        begun.set()
        return go_on.wait(LIMIT_S)

    driver = client._driver
    assert driver is not None
    stopped = aside(lambda: driver.locked(stop))
    assert begun.wait(LIMIT_S)
    try:
        yield
    finally:
        go_on.set()
        assert stopped.result(LIMIT_S)


def dropped_at(server: sig.ServerRouter) -> int:
    """Events that the server has dropped so far for those who did not read."""
    driver = server._server
    assert driver is not None

    async def count() -> int:  # on its loop, where the backlogs that they follow do not change meanwhile
        return sum(connection.missed for connection in driver.core.connections.values())

    return server._on_loop(count(), LIMIT_S)


# In pieces that a server may have waiting for a healthy peer. How much a system keeps for one that does not read is its
# own affair, and may be more from one day to the next: some keep 32 MiB.
ROUNDS, ROUND = 100, 50
PAYLOAD = "x" * 20_000
DROP_BYTES = 3 * ROUND * len(PAYLOAD)


def test_ten_events_and_both_queues_overflow() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(sig.serve(URL, link_drop_bytes=DROP_BYTES))
        source = stack.enter_context(sig.connect(server.urls[0]))
        names = [f"e{number}" for number in range(5)]
        # Half of them of a client's, half of the server's own.
        senders = [source.add_sender("a", names), server.add_sender("b", names)]
        signals = [sender.signal(name) for sender in senders for name in names]
        slow_client = stack.enter_context(sig.connect(server.urls[0], listener_queue_events=ROUND))
        healthy_clients = [stack.enter_context(sig.connect(server.urls[0])) for _ in range(2)]
        slow, one, some, twice = (Heard() for _ in range(4))
        healthy = [Heard() for _ in healthy_clients]
        slow.allow(0)
        subscriptions = {
            slow: listen(slow_client, slow),
            one: listen(slow_client, one, "a", "e1"),
            some: listen(slow_client, some, "*", "e2"),
            twice: listen(slow_client, twice, None, "e1", queue=20),
        }
        for client, heard in zip(healthy_clients, healthy, strict=True):
            subscriptions[heard] = listen(client, heard)
        accepted: dict[tuple[str, str], list[int]] = {}
        number = 0

        def trigger(rounds: int) -> None:
            nonlocal number
            for _ in range(rounds):
                for _ in range(ROUND):
                    signal = signals[number % len(signals)]
                    signal.trigger([number, PAYLOAD])
                    accepted.setdefault((signal.sender, signal.event), []).append(number)
                    number += 1
                for heard in healthy:
                    heard.wait(number)

        trigger(1)
        slow.wait(1)
        with reading_nothing(slow_client):
            for _ in range(ROUNDS):
                trigger(1)
                if dropped_at(server):
                    break
            trigger(3)
        assert dropped_at(server) > 0
        slow_client.senders()  # the answer comes behind the events
        # It goes on for a while, and is held up again.
        slow.allow(30)
        slow.wait(31)
        trigger(3)
        slow_client.senders()
        at_server = dropped_at(server)
        slow.allow(None)
        slow_client.close()  # with what is queued
        assert subscriptions[slow].missed > at_server
        for heard, subscription in subscriptions.items():
            heard.check(
                subscription,
                {
                    event: numbers
                    for event, numbers in accepted.items()
                    if subscription.sender in (None, "*", event[0]) and subscription.event in (None, event[1])
                },
            )
        assert [subscriptions[heard].missed for heard in healthy] == [0, 0]


@pytest.mark.parametrize(
    ("when_full", "expected"),
    [
        ("drop_oldest", {("s", "e"): [0, -7, 16, 18, 20, 22], ("s", "f"): [-8, 17, 19, 21]}),
        ("drop_newest", {("s", "e"): [0, 2, 4, -8, 22], ("s", "f"): [1, 3, 5, -7, 21]}),
        ("latest", {("s", "e"): [0, -9, 20, 22], ("s", "f"): [-9, 19, 21]}),
    ],
)
def test_what_a_full_queue_keeps_tells_and_counts(when_full: str, expected: dict[tuple[str, str], list[int]]) -> None:
    with sig.serve(URL) as server, sig.connect(server.urls[0]) as client:
        sender = server.add_sender("s", ["e", "f"])
        slow, quick = Heard(), Heard()
        slow.allow(0)
        subscription = listen(client, slow, "s", queue=5, when_full=when_full)
        listen(client, quick, "s")  # called behind the other
        sender.trigger("e", 0)
        slow.wait(1)
        for number in range(1, 21):
            sender.trigger("ef"[number % 2], number)
        quick.wait(21)
        waiting = 2 if when_full == "latest" else 5
        assert subscription.pending == waiting
        slow.allow(None)
        slow.wait(1 + waiting)
        for number in (21, 22):
            sender.trigger("ef"[number % 2], number)
        quick.wait(23)
        client.close()  # with what is queued
        assert slow.log == expected
        accepted = {("s", "e"): [*range(0, 23, 2)], ("s", "f"): [*range(1, 23, 2)]}
        slow.check(subscription, accepted)
        assert quick.log == accepted


def test_who_would_rather_go_than_miss_something_goes() -> None:
    with sig.serve(URL) as server, sig.connect(server.urls[0]) as client:
        slow, quick = Heard(), Heard()
        slow.allow(0)
        subscription = listen(client, slow, "s", "e", queue=5, when_full="disconnect")
        listen(client, quick, "s", "e")
        sender = server.add_sender("s", "e")
        sender.trigger("e", 0)
        slow.wait(1)
        for number in range(1, 6):
            sender.trigger("e", number)
        quick.wait(6)
        assert (subscription.closed, subscription.pending, subscription.missed) == (False, 5, 0)
        sender.trigger("e", 6)
        quick.wait(7)
        assert subscription.closed
        slow.allow(None)
        sender.trigger("e", 7)
        quick.wait(8)
        client.close()
        assert slow.log == {("s", "e"): [0]}, "no call begins once it is closed"
        assert quick.log == {("s", "e"): [*range(8)]}


def test_who_blocks_keeps_its_senders_waiting_and_loses_nothing() -> None:
    with (
        sig.serve(URL, send_window_bytes=5000) as server,
        sig.connect(server.urls[0]) as client,
        sig.connect(server.urls[0], send_timeout_s=0.1) as owner,
    ):
        beside, slow = Heard(), Heard()
        slow.allow(0)
        subscription = listen(client, slow, "s", "e", queue=2, when_full="block", max_wait=LIMIT_S)
        listen(server, beside, "s", "e")
        sender = owner.add_sender("s", "e")
        triggered: list[int] = []

        def flood() -> None:
            for number in range(1000):
                sender.trigger("e", [number, "x" * 1000])
                triggered.append(number)

        with pytest.raises(sig.Overloaded):
            flood()
        accepted = len(triggered)
        assert 3 <= accepted < 100
        slow.allow(None)
        slow.wait(accepted)
        sender.trigger("e", [accepted, "there is room again"])
        for heard in (slow, beside):
            heard.wait(accepted + 1)
        client.close()
        assert slow.log == {("s", "e"): [*range(accepted + 1)]}
        assert (subscription.received, subscription.missed) == (accepted + 1, 0)


def test_who_blocks_for_too_long_misses_what_waited_and_nobody_else_does() -> None:
    with sig.serve(URL) as server, sig.connect(server.urls[0]) as client:
        before, slow, behind = Heard(), Heard(), Heard()
        slow.allow(0)
        subscriptions = {
            before: listen(client, before, "s", "e"),
            slow: listen(client, slow, "s", "e", queue=2, when_full="block", max_wait=0.1),
            behind: listen(client, behind, "s", "e"),
        }
        sender = server.add_sender("s", "e")
        for number in range(100):
            sender.trigger("e", number)
        for heard in (before, behind):
            heard.wait(100)  # they come first, or after: in any case they do not wait
        while subscriptions[slow].missed < 97:
            client.flush()
        slow.allow(None)
        slow.wait(2)
        client.close()
        for heard, subscription in subscriptions.items():
            heard.check(subscription, {("s", "e"): [*range(100)]})
        # It has begun one, and two wait in its queue; if the server knew in time that the first had begun.
        assert slow.log[("s", "e")][-1] in (-97, -98)


def test_what_is_there_already_is_told_to_who_blocks_however_small_its_queue() -> None:
    with sig.serve(URL) as server, sig.connect(server.urls[0]) as client:
        events = [f"e{number}" for number in range(10)]
        sender = server.add_sender("s", events, retain=True)
        for event in events:
            sender.trigger(event, 1)
        slow = Heard()
        slow.allow(0)
        subscription = listen(client, slow, "s", queue=2, when_full="block", max_wait=LIMIT_S, initial=True)
        # It has begun one, and the others wait in its queue: presence as well.
        becomes(lambda: subscription.pending + subscription.missed, len(events))
        slow.allow(None)
        assert subscription.missed == 0
        slow.wait(1 + len(events))


class SmallBuffers(TCPServer):
    """What the system keeps for one who does not read is little, and known."""

    def bind(self, *, public: bool) -> str:
        url = super().bind(public=public)
        for sock in self._sockets:  # those that it accepts inherit it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return url


def read_all(raw: Raw, events: int) -> tuple[int, int]:
    """Read until so many events have come or are told lost, each in its place; how many came, and were told."""
    came = lost = 0
    while came + lost < events:
        frame = raw.read(Kind.EVENT, Kind.LOST)
        if frame.kind == Kind.LOST:
            told = unpack_lost(frame)
            assert told.missed is not None
            assert told.reason == "slow"
            lost += told.missed
        else:
            first = int(frame.body[8:].partition(b",")[0].lstrip(b"["))
            assert first == came + lost, "an event out of its place"
            came += frame.count
    assert came + lost == events
    return came, lost


def test_two_hundred_that_never_read() -> None:
    drop_bytes, payload = 200_000, "x" * 8000
    with ExitStack() as stack:
        server = sig.ServerRouter(SmallBuffers(URL), link_drop_bytes=drop_bytes, write_stall_s=10 * LIMIT_S)
        server.start()
        stack.enter_context(server)
        signal = server.add_sender("s", "e").signal("e")
        mute = [stack.enter_context(Raw.client(server.urls[0], receive_buffer=4096)) for _ in range(200)]
        for raw in mute:
            raw.listen("s", "e")
        clients = [stack.enter_context(sig.connect(server.urls[0])) for _ in range(3)]
        healthy = {
            heard: listen(client, heard, "s", "e")
            for client, heard in zip(clients, (Heard(), Heard(), Heard()), strict=True)
        }
        events = 0
        while events < 150:
            for _ in range(10):
                signal.trigger([events, payload])
                events += 1
            for heard in healthy:
                heard.wait(events)
        server.flush()
        assert server._server is not None
        connections = list(server._server.core.connections.values())
        full = [connection for connection in connections if connection.missed]
        assert len(full) == len(mute)
        # They share what they have in common: for all together it is little more than for one.
        for connection in full:
            connection.catch_up()
            assert connection.outbox.bytes <= drop_bytes + 1000
        entries = [entry for connection in full for entry in connection.outbox._entries]
        shared = {id(entry.item): len(entry.item) for entry in entries if entry.item}
        assert sum(shared.values()) <= 3 * drop_bytes
        for heard, subscription in healthy.items():
            assert heard.log == {("s", "e"): [*range(events)]}
            assert subscription.missed == 0
        for raw, connection in zip(mute, full, strict=True):
            came, lost = read_all(raw, events)
            assert 0 < lost == connection.missed
            assert came > 0
