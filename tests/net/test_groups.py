"""Groups over links: each event for one live member, wherever it is, and none for who is busy, leaves or is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from net.places import place

import sig
import sig.aio

LIMIT_S = 30


class Worker:
    """A member: notes what it is given; while it is held, each call waits."""

    changed = threading.Condition()  # of any of them

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.begun: list[Any] = []
        self.gaps: list[tuple[str, sig.Gap]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, info: sig.Info, data: Any) -> None:
        with self.changed:
            self.begun.append(data)
            self.changed.notify_all()
        assert self.go_on.wait(LIMIT_S)
        with self.changed:
            self.done.append(data)
            self.changed.notify_all()

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        with self.changed:
            self.gaps.append((info.event, gap))
            self.changed.notify_all()

    @property
    def missed(self) -> int:
        return sum(gap.missed or 0 for _, gap in self.gaps)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, LIMIT_S)


def all_done(workers: list[Worker], events: int) -> None:
    """Wait until all has been done, by all of them together."""
    workers[0].wait(lambda: sum(len(worker.done) + worker.missed for worker in workers) >= events)


class Together(Worker):
    """Several members that are watched as one."""

    def member(self) -> Callable[[sig.Info, Any], None]:
        mine: list[Any] = []
        self.parts = [*getattr(self, "parts", []), mine]

        def work(info: sig.Info, data: Any) -> None:
            mine.append(data)
            self(info, data)

        return work


def test_members_on_all_carriers_in_all_codecs_and_faces_share_the_events() -> None:
    workers = Together()
    events = 600

    async def awaited(url: str, joined: threading.Event, over: threading.Event) -> None:
        work = workers.member()

        async def member(info: sig.Info, data: Any) -> None:
            await asyncio.sleep(0)
            work(info, data)

        async with sig.aio.connect(url, codec="msgpack") as client:
            await client.listen(member, "shop", "order", group="packers")
            await client.listen(workers.member(), "shop", "order", group="packers")
            joined.set()
            await asyncio.to_thread(over.wait, LIMIT_S)

    with ExitStack() as stack:
        places = [stack.enter_context(place(kind)) for kind in ("tcp", "unix", "ws")]
        server = stack.enter_context(sig.serve(*(each.url for each in places)))
        for url, codec in zip(server.urls, ("json", "msgpack", "json"), strict=True):
            client = stack.enter_context(sig.connect(url, codec=codec))
            client.listen(workers.member(), "shop", "order", group="packers")
            client.listen(workers.member(), "*", "order", group="packers", queue=5)
        server.listen(workers.member(), "shop", None, group="packers")
        joined, over = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(awaited(server.urls[0], joined, over)))
        thread.start()
        stack.callback(thread.join, LIMIT_S)
        stack.callback(over.set)
        assert joined.wait(LIMIT_S)
        for codec in ("json", "msgpack"):
            owner = stack.enter_context(sig.connect(server.urls[0], codec=codec))
            shop = owner.add_sender("shop", "order")
            for number in range(events // 2):
                shop.trigger("order", number)
            shop.remove()
        # One who listens to all events is told of the presence, too.
        workers.wait(lambda: len(workers.done) == events + 4)
        over.set()
    orders = [data for data in workers.done if isinstance(data, int)]
    assert sorted(orders) == sorted([*range(events // 2)] * 2)
    # Bursts are shared out; each had nothing to do at the beginning.
    assert all(workers.parts)


def test_who_is_busy_has_no_more_than_its_window_and_the_rest_is_for_others(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    busy, other = Worker(), Worker()
    busy.go_on.clear()
    connect().listen(busy, "s", "e", group="g")
    connect(codec="msgpack").listen(other, "s", "e", group="g")
    signal = server.add_sender("s", "e").signal("e")
    for number in range(100):
        signal.trigger(number)
    other.wait(lambda: len(other.done) >= 83)  # the busy one has begun one, and 16 wait for it
    busy.go_on.set()
    all_done([busy, other], 100)
    assert sorted(busy.done + other.done) == list(range(100))
    assert busy.done == sorted(busy.done)
    assert 1 <= len(busy.done) <= 17


def test_a_queue_of_one_has_each_event_go_to_who_is_idle(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    workers = [Worker(), Worker(), Worker()]
    workers[0].go_on.clear()
    for worker in workers:
        connect().listen(worker, "s", "e", group="g", queue=1)
    signal = server.add_sender("s", "e").signal("e")
    for number in range(50):
        signal.trigger(number)
    workers[1].wait(lambda: len(workers[1].done) + len(workers[2].done) >= 48)
    # What the busy one has is what it has begun, and one that waits in its queue.
    assert len(workers[0].begun) == 1
    workers[0].go_on.set()
    all_done(workers, 50)


@pytest.mark.parametrize("queue", [None, 100])
def test_who_leaves_gives_back_what_it_has_not_begun(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter], queue: int | None
) -> None:
    leaving, staying = Worker(), Worker()
    leaving.go_on.clear()
    subscription = connect().listen(leaving, "s", "e", group="g", queue=queue)
    signal = connect().add_sender("s", "e").signal("e")
    for number in range(16):
        signal.trigger(number)
    leaving.wait(lambda: bool(leaving.begun))
    connect().listen(staying, "s", "e", group="g")
    subscription.close()
    staying.wait(lambda: len(staying.done) >= 15)
    leaving.go_on.set()
    all_done([leaving, staying], 16)
    assert sorted(leaving.done + staying.done) == list(range(16))
    assert (subscription.received, subscription.missed, staying.gaps) == (1, 0, [])


def test_a_router_that_closes_gives_back_what_its_members_have_not_begun(server: sig.ServerRouter) -> None:
    leaving, staying = Worker(), Worker()
    leaving.go_on.clear()
    with sig.connect(server.urls[0]) as other:
        with sig.connect(server.urls[0]) as client:
            client.listen(leaving, "s", "e", group="g")
            signal = server.add_sender("s", "e").signal("e")
            for number in range(60):
                signal.trigger(number)
            leaving.wait(lambda: bool(leaving.begun))
            other.listen(staying, "s", "e", group="g")
            leaving.go_on.set()
            leaving.wait(lambda: len(leaving.done) >= 5)
        all_done([leaving, staying], 60)
    assert sorted(leaving.done + staying.done) == list(range(60))
    assert staying.gaps == []


def test_what_a_lost_member_had_is_told_as_a_gap(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    lost, staying = Worker(), Worker()
    lost.go_on.clear()
    client = connect(reconnect=False)
    client.listen(lost, "s", "e", group="g")
    signal = server.add_sender("s", "e").signal("e")
    for number in range(10):
        signal.trigger(number)
    lost.wait(lambda: bool(lost.begun))
    connect().listen(staying, "s", "e", group="g", on_gap=staying.gap)
    assert client._driver is not None
    client._driver.core.cut(sig.ConnectionLost("the test cuts it"))
    client._driver._link.finish(0)  # type: ignore[union-attr]
    lost.go_on.set()
    staying.wait(lambda: bool(staying.gaps))
    # The first had been begun, which may have been known to the server, or not.
    ((event, gap),) = staying.gaps
    assert (event, gap.reason) == ("e", "lost_link")
    assert gap.missed in (9, 10)
    signal.trigger("after")
    staying.wait(lambda: staying.done == ["after"])


def test_plain_listeners_beside_a_member_hear_everything_once(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    client, other = connect(), connect()
    plain, workers = Worker(), Together()
    client.listen(plain, "s", None)
    client.listen(workers.member(), "s", None, group="g")
    client.listen(workers.member(), "s", None, group="g")
    other.listen(workers.member(), "s", None, group="g")
    everybody = Together()
    other.listen(everybody.member(), "s", "e", group="another")
    sender = server.add_sender("s", "e")
    for number in range(40):
        sender.trigger("e", number)
    sender.remove()
    plain.wait(lambda: len(plain.done) == 42)
    workers.wait(lambda: len(workers.done) == 42)
    everybody.wait(lambda: len(everybody.done) == 40)
    offered = {"events": ["e"], "requests": None}
    assert plain.done == [offered, *range(40), {**offered, "reason": "closed"}]
    assert sorted(data for data in workers.done if isinstance(data, int)) == list(range(40))
    assert everybody.done == list(range(40))


def test_numbers_times_and_types_are_those_of_the_event(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    heard: list[tuple[Any, Any]] = []
    known: list[tuple[bool, int | None]] = []
    worker = Worker()

    def member(info: sig.Info, data: int) -> None:
        heard.append((info.seq, data))
        known.append((info.time is not None, info.incarnation))
        worker(info, data)

    for _ in range(3):
        connect().listen(member, "s", "e", group="g", meta=True, type=int)
    sender = server.add_sender("s", "e")
    for number in range(1, 31):
        sender.trigger("e", number)
    worker.wait(lambda: len(worker.done) == 30)
    assert sorted(heard) == [(number, number) for number in range(1, 31)]
    assert known == [(True, server.senders("s")[0].instance)] * 30


def test_once_takes_one_and_leaves_the_rest_to_others(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    once, other = Worker(), Worker()
    connect().listen(once, "s", "e", group="g", once=True)
    connect().listen(other, "s", "e", group="g")
    signal = server.add_sender("s", "e").signal("e")
    for number in range(20):
        signal.trigger(number)
    all_done([once, other], 20)
    assert sorted(once.done + other.done) == list(range(20))
    assert len(once.done) == 1


def test_the_past_is_for_each_member(server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]) -> None:
    sender = server.add_sender("s", "e", retain=True)
    sender.trigger("e", "past")
    first, second = Worker(), Worker()
    connect().listen(first, "s", "e", group="g", initial=True)
    connect().listen(second, "s", "e", group="g", initial=True)
    sender.trigger("e", "news")
    all_done([first, second], 3)
    assert sorted(first.done + second.done) == ["news", "past", "past"]


def test_who_iterates_is_a_member_too(server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]) -> None:
    with (
        connect().events("s", "e", group="g") as some,
        connect().events("s", "e", group="g") as others,
    ):
        signal = server.add_sender("s", "e").signal("e")
        for number in range(20):
            signal.trigger(number)
        found = [some.get(LIMIT_S).data for _ in range(3)]
        some.close()
        found += [others.get(LIMIT_S).data for _ in range(17)]
    assert sorted(found) == list(range(20))


def test_a_member_whose_object_is_gone_leaves_what_it_had(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    class Weak(Worker):
        def listen(self, info: sig.Info, data: Any) -> None:
            self(info, data)

    weak, other = Weak(), Worker()
    done = weak.done
    connect().listen(weak.listen, "s", "e", group="g", weak=True)
    connect().listen(other, "s", "e", group="g")
    signal = server.add_sender("s", "e").signal("e")
    signal.trigger(0)
    other.wait(lambda: True)
    server.flush()
    del weak
    for number in range(1, 20):
        signal.trigger(number)
    other.wait(lambda: len(other.done) + len(done) == 20)
    assert sorted(other.done + done) == list(range(20))


def test_the_owner_is_told_that_its_events_are_shared_out(connect: Callable[..., sig.ClientRouter]) -> None:
    owner, worker = connect(), Worker()
    sender = owner.add_sender("s", "e")
    assert owner._driver is not None
    connect().listen(print, "s", "other")
    assert not owner._driver.core.outgoing.lens
    connect().listen(worker, "s", "e", group="g")
    assert owner._driver.core.outgoing.lens
    sender.trigger("e", 1)
    worker.wait(lambda: worker.done == [1])


def test_the_name_of_a_group_is_a_name(connect: Callable[..., sig.ClientRouter]) -> None:
    for name in ("", "x" * 256):
        with pytest.raises(sig.InvalidArgument, match="the name of a group has 1 to 255 bytes"):
            connect().listen(print, "s", "e", group=name)
