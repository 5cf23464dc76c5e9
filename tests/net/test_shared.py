"""Senders that share a name over links: all are heard, one is asked, and who is lost is asked by nobody again."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import sig
import sig.aio

LIMIT_S = 30


class Replica:
    """Answers with its name; while it is held, each answer waits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.go_on = threading.Event()
        self.inside = threading.Semaphore(0)

    def work(self, params: Any) -> list[Any]:
        self.inside.release()
        assert self.go_on.wait(LIMIT_S)
        return [self.name, params]

    def who(self, params: Any) -> list[Any]:
        return [self.name, params]

    def share(self, router: sig.Router, **more: Any) -> sig.Sender:
        return router.add_sender("s", ["e"], [self.work, self.who], shared=True, **more)


class Heard:
    """What a listener is told, and can be waited for."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.moved = threading.Condition()

    def __call__(self, info: sig.Info, data: Any) -> None:
        with self.moved:
            self.told.append((info.event, data.get("reason", "") if isinstance(data, dict) else data))
            self.moved.notify_all()

    def wait(self, count: int) -> list[tuple[str, Any]]:
        with self.moved:
            assert self.moved.wait_for(lambda: len(self.told) >= count, LIMIT_S), self.told
            return self.told


def test_presence_is_told_of_the_first_and_the_last_and_all_are_heard(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    heard, late = Heard(), Heard()
    listener = connect()
    listener.listen(heard, "s")
    first = Replica("a").share(connect(), retain=True)
    second = Replica("b").share(connect(codec="msgpack"), retain=True)
    third = Replica("c").share(server)
    first.trigger("e", 1)
    heard.wait(2)
    second.trigger("e", 2)
    heard.wait(3)
    third.trigger("e", 3)
    heard.wait(4)
    # Who comes later hears them all as well.
    listener.listen(late, "s", initial=True)
    last = listener.last("s", "e")
    assert last is not None
    assert last.data == 2
    assert first.remove()
    with pytest.raises(sig.SenderNotConnected):
        first.trigger("e", 4)
    second.trigger("e", 5)
    heard.wait(5)
    late.wait(4)
    assert second.remove()
    assert third.remove()
    assert heard.wait(6) == [("#connect", ""), *[("e", n) for n in (1, 2, 3, 5)], ("#disconnect", "closed")]
    assert late.wait(5) == [("#connect", ""), ("e", 1), ("e", 2), ("e", 5), ("#disconnect", "closed")]


def test_a_name_is_shared_by_those_who_all_say_so(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    Replica("a").share(server)
    server.add_sender("alone", "e")
    client = connect()
    with pytest.raises(sig.SenderAlreadyConnected):
        client.add_sender("s", "e")
    with pytest.raises(sig.SenderAlreadyConnected):
        client.add_sender("alone", "e", shared=True)
    with pytest.raises(sig.Denied):
        client.remove_sender("s")
    mine = Replica("b").share(client)
    rows = server.senders("s")
    assert len({row.instance for row in rows}) == len(rows) == 2
    assert client.remove_sender("s")
    assert not mine.connected
    assert len(server.senders("s")) == 1


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_requests_go_to_who_is_answering_least_in_any_codec(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter], codec: str
) -> None:
    replicas = [Replica("a"), Replica("b"), Replica("c")]
    replicas[0].share(connect())
    replicas[1].share(connect(codec="msgpack"))
    replicas[2].share(server)
    asker = connect(codec=codec)
    calls = []
    for turn in range(6):
        calls.append(asker.start_request("s", "work", {"turn": turn}))
        assert replicas[turn % 3].inside.acquire(timeout=LIMIT_S)
    for replica in replicas:
        replica.go_on.set()
    answers = [call.result(LIMIT_S) for call in calls]
    assert answers == [["abc"[turn % 3], {"turn": turn}] for turn in range(6)]
    # Who has finished is asked again, also by those who hold the name themselves.
    assert server.request("s", "who", 1)[1] == 1  # type: ignore[index]
    with pytest.raises(sig.MethodNotFound):
        asker.request("s", "absent")


def test_who_leaves_or_is_lost_fails_what_it_was_asked_and_is_asked_no_more(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    lost, leaving, staying = Replica("lost"), Replica("leaving"), Replica("staying")
    client = connect(reconnect=False)
    lost.share(client)
    sender = leaving.share(connect())
    asker = connect()
    calls = [asker.start_request("s", "work") for _ in range(2)]
    for replica in (lost, leaving):
        assert replica.inside.acquire(timeout=LIMIT_S)
    staying.go_on.set()
    staying.share(connect())
    assert client._driver is not None
    client._driver.core.cut(sig.ConnectionLost("the test cuts it"))
    client._driver._link.finish(0)  # type: ignore[union-attr]
    with pytest.raises(sig.ConnectionLost, match="unknown"):
        calls[0].result(LIMIT_S)
    sender.remove()
    with pytest.raises(sig.ConnectionLost, match="unknown"):
        calls[1].result(LIMIT_S)
    assert [asker.request("s", "work", number) for number in range(3)] == [["staying", number] for number in range(3)]
    for replica in (lost, leaving):
        replica.go_on.set()
    server.remove_sender("nobody")


def test_a_request_that_is_given_up_makes_room_at_once(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    first, second = Replica("a"), Replica("b")
    first.share(connect())
    second.share(connect())
    asker = connect()
    given_up = asker.start_request("s", "work")
    assert first.inside.acquire(timeout=LIMIT_S)
    call = asker.start_request("s", "work")
    assert second.inside.acquire(timeout=LIMIT_S)
    given_up.cancel()
    asker.flush()
    other = connect()
    late = other.start_request("s", "work")
    assert first.inside.acquire(timeout=LIMIT_S)
    other.close(0)
    for replica in (first, second):
        replica.go_on.set()
    assert call.result(LIMIT_S) == ["b", None]
    with pytest.raises(sig.SigError):
        late.result(LIMIT_S)


def test_where_the_last_has_gone_nobody_is_asked(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    sender = Replica("a").share(connect())
    asker = connect()
    assert asker.request("s", "who") == ["a", None]
    sender.remove()
    asker.flush()  # it knows that, then
    with pytest.raises(sig.SenderNotConnected):
        asker.request("s", "who")
    # The name is free for one who shares it, and for one who does not.
    server.add_sender("s", requests={"who": lambda params: "alone"})
    assert asker.request("s", "who") == "alone"


def test_request_all_asks_each_of_them(server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]) -> None:
    for name, codec in (("a", "json"), ("b", "msgpack"), ("c", "json")):
        Replica(name).share(connect(codec=codec))
    Replica("own").share(server)
    for router in (connect(), connect(codec="msgpack"), server):
        replies = router.request_all("s", "who", 7, timeout=LIMIT_S)
        assert sorted(reply.value for reply in replies) == [[name, 7] for name in ("a", "b", "c", "own")]  # type: ignore[type-var]
        assert sorted(reply.instance for reply in replies) == sorted(row.instance for row in server.senders("s"))


def test_in_asyncio_it_is_the_same() -> None:
    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server:
            url = server.urls[0]
            async with sig.aio.connect(url) as one, sig.aio.connect(url) as two:
                for name, router in (("a", one), ("b", two), ("c", server)):

                    async def who(params: Any, name: str = name) -> str:
                        await asyncio.sleep(0)
                        return name

                    await router.add_sender("s", requests=[who], shared=True)
                answers = await asyncio.gather(*(one.request("s", "who") for _ in range(9)))
                assert sum(Counter(answers)[name] for name in "abc") == 9
                assert sorted(r.value for r in await two.request_all("s", "who")) == ["a", "b", "c"]  # type: ignore[type-var]

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))


def test_a_dispatcher_of_its_own_listens_to_each_replica_with_its_numbers(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter]
) -> None:
    """Each has its own numbers and incarnation; a group shares the events of all of them out."""
    numbers: list[tuple[int | None, int | None]] = []
    heard = Heard()

    def member(info: sig.Info, data: Any) -> None:
        numbers.append((info.incarnation, info.seq))
        heard(info, data)

    for _ in range(2):
        connect().listen(member, "s", "e", group="g", meta=True)
    senders = [Replica(name).share(connect()) for name in "ab"]
    for number in range(10):
        for sender in senders:
            sender.trigger("e", number)
    heard.wait(20)
    instances = [row.instance for row in server.senders("s")]
    assert sorted(numbers) == sorted((instance, seq) for instance in instances for seq in range(1, 11))  # type: ignore[type-var]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_streams_come_from_one_of_them(
    server: sig.ServerRouter, connect: Callable[..., sig.ClientRouter], codec: str
) -> None:
    def count(upto: Any) -> Any:
        yield from range(upto)
        return "counted"

    for theirs in ("json", "msgpack"):
        connect(codec=theirs).add_sender("s", requests=[count], shared=True)
    asker = connect(codec=codec)
    upto = 20_000  # more than may be under way
    with asker.stream("s", "count", upto) as first, asker.stream("s", "count", upto) as second:
        for parts in (first, second):
            assert list(parts) == list(range(upto))
            assert parts.result == "counted"
    with asker.stream("s", "count", 10**9) as parts:
        assert next(iter(parts)) == 0
    assert list(asker.stream("s", "count", 3)) == [0, 1, 2]
