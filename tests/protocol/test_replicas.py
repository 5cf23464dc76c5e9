"""Senders that share a name, at a server: who is asked, and whose answer it is."""

from __future__ import annotations

from typing import Any, cast

import pytest
from protocol.pairs import Answer, End, World, byte_by_byte, whole

from sig.codecs import MSGPACK
from sig.constants import Limits
from sig.errors import (
    ConnectionLost,
    Denied,
    InvalidData,
    MessageTooBig,
    MethodNotFound,
    SenderAlreadyConnected,
    SenderNotConnected,
)
from sig.messages import AddSender, Last, OpenRequests, Presence, RemoveSender, Senders, Stats
from sig.protocol.answering import RequestArrived, RequestDropped
from sig.protocol.asking import Coded
from sig.protocol.bodies import Cancel, pack_cancel
from sig.protocol.held import Held
from sig.protocol.replicas import Pool, on_route


@pytest.fixture(params=[whole, byte_by_byte], ids=["whole", "byte by byte"])
def world(request: pytest.FixtureRequest) -> World:
    return World(cut=request.param)


def share(end: End, *events: str, **more: Any) -> object:
    return end.ask(AddSender("s", list(events), ["m"], shared=True, **more))


def answer(end: End, payload: bytes | None, error: Exception | None = None) -> RequestArrived:
    """To the oldest that this one has been asked and not answered."""
    (asked, *_) = [news for news in end.news if isinstance(news, RequestArrived)]
    end.news.remove(asked)
    end.core.answering.reply(asked, payload, error)
    end.world.settle()
    return asked


def presence(end: End) -> list[str]:
    return [news.event for news in end.news if isinstance(news, Presence)]


def test_the_frame_goes_on_another_route() -> None:
    assert on_route(bytes(12) + b"body", 0x01020304) == bytes(8) + b"\4\3\2\1body"


def test_a_pool_knows_who_answers_what() -> None:
    pool = Pool(1)
    world = World()
    owner, asker, other = (world.client().connection for _ in range(3))
    first, second = (Held("s", owner, AddSender("s"), number, 0) for number in range(2))
    pool.members = {first: 0, second: 0}
    assert pool.choose() is first
    pool.begin(asker, 1, first)
    pool.begin(asker, 2, second)
    pool.begin(other, 1, second)
    assert (pool.choose(), pool.find(asker, 1), pool.find(other, 2)) == (first, first, None)
    pool.end(asker, 9)
    pool.end(asker, 1)
    pool.end(asker, 1)
    assert list(pool.members.values()) == [0, 2]
    assert pool.leave(second) == [(asker, 2), (other, 1)]
    pool.begin(asker, 3, first)
    pool.known_by[asker] = None
    pool.forget(asker)
    pool.forget(other)
    assert (pool.members, pool._asked, pool.known_by) == ({first: 0}, {}, {})


def test_who_is_answering_least_is_asked_and_the_answer_comes_back(world: World) -> None:
    first, second, asker = world.client(), world.client(), world.client()
    share(first)
    share(second)
    calls = [asker.request("s", "m", b"%d" % number)[0] for number in range(3)]
    world.settle()
    assert [len(end.asked()) for end in (first, second)] == [2, 1]
    answer(second, b'"second"')
    answer(first, b'"first"')
    late, _ = asker.request("s", "m")
    world.settle()
    assert len(second.asked()) == 1
    answer(second, None, MethodNotFound("s", "m"))
    answer(first, b"3")
    assert [call.ok for call in calls] == [b'"first"', b'"second"', b"3"]
    assert isinstance(late.error, MethodNotFound)
    assert next(iter(world.server.replicas.pools.values()))._asked == {}


def test_parameters_and_answers_are_put_into_the_codecs_of_those_who_meet() -> None:
    class Reprs:
        name = "reprs"

        def encode(self, obj: object) -> bytes:
            if obj == "unfit":
                raise ValueError(obj)
            return repr(obj).encode()

        def decode(self, data: bytes) -> object:
            return data.decode()

    world = World(codec=["json", Reprs()])
    packed, mine = world.client(codec="msgpack"), world.client(codec=Reprs())
    for end in (packed, mine):
        share(end)
    plain = world.client()
    calls = [plain.request("s", "m", b'{"a":1}')[0] for _ in range(2)]
    world.settle()
    assert MSGPACK.decode(packed.asked()[0].request.payload) == {"a": 1}
    assert mine.asked()[0].request.payload == b"{'a': 1}"
    answer(packed, MSGPACK.encode([1]))
    answer(mine, b"said")
    assert [call.ok for call in calls] == [b"[1]", b'"said"']
    odd, unfit = mine.request("s", "m", b"[]")[0], mine.request("s", "m", b"[]")[0]
    world.settle()
    answer(packed, MSGPACK.encode("unfit"))
    assert isinstance(odd.error, InvalidData)
    answer(mine, b"2")
    assert unfit.ok in (b"2", Coded(mine.core.codec, b"2"))


def test_who_goes_takes_along_what_it_was_asked_and_no_more(world: World) -> None:
    first, second, asker = world.client(), world.client(), world.client()
    share(first)
    share(second)
    lost, _ = asker.request("s", "m")
    kept, _ = asker.request("s", "m")
    world.settle()
    world.lose(first)
    assert isinstance(lost.error, ConnectionLost)
    assert kept.times == 0
    answer(second, b"1")
    assert kept.ok == b"1"
    gone, _ = asker.request("s", "m")
    world.settle()
    second.remove("s")
    assert isinstance(gone.error, ConnectionLost)
    answer(second, b"late")
    after, _ = asker.request("s", "m")
    world.settle()
    assert isinstance(after.error, SenderNotConnected)
    assert not world.server.replicas.pools


def test_who_says_that_it_has_left_speaks_for_itself_and_not_for_those_who_share_its_name(world: World) -> None:
    first, second, asker = world.client(), world.client(), world.client()
    share(first)
    share(second)
    calls = [asker.request("s", "m")[0] for _ in range(3)]
    world.settle()
    # Its answers overtake what it says to the server of its leaving.
    answer(first, None, SenderNotConnected("s"))
    answer(first, None, SenderNotConnected("other"))  # whom its handler has asked
    assert isinstance(calls[0].error, ConnectionLost)
    assert "had left already: ask again" in str(calls[0].error)
    assert isinstance(calls[2].error, SenderNotConnected)
    assert calls[2].error.sender == "other"
    first.remove("s")
    answer(second, None, SenderNotConnected("s"))
    assert isinstance(calls[1].error, SenderNotConnected)


def test_who_gives_up_or_goes_is_not_answered(world: World) -> None:
    first, asker, other = world.client(), world.client(), world.client()
    share(first)
    call, give_up = asker.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    (dropped,) = [news for news in first.news if isinstance(news, RequestDropped)]
    assert dropped.corr is not None
    other.request("s", "m")
    world.settle()
    world.lose(other)
    (pool,) = world.server.replicas.pools.values()
    assert list(pool.members.values()) == [0]
    answer(first, b"1")
    answer(first, b"2")
    assert call.times == 0
    # Of what has been answered, or never was asked, nothing is passed on.
    before = len(first.news)
    give_up()
    asker.core.outgoing.put(pack_cancel(Cancel(0, 99), route=pool.number))
    world.settle()
    assert len(first.news) == before


def test_one_of_them_can_be_asked_by_its_incarnation(world: World) -> None:
    first, second, asker = world.client(), world.client(), world.client()
    share(first)
    instance = share(second)
    assert isinstance(instance, int)
    alone = world.client()
    only = alone.add("alone", requests=["m"])
    for _ in range(2):
        call = asker_call(asker, "s", instance)
        answer(second, b"1")
        assert call.ok == b"1"
    for sender, whom in (("s", 5), ("alone", cast(int, only))):  # only where there are several
        with pytest.raises(SenderNotConnected):
            asker.ask(OpenRequests(sender, whom))
    second.remove("s")
    call = asker_call(asker, "s", instance)
    assert isinstance(call.error, SenderNotConnected)
    assert first.asked() == []


def asker_call(asker: End, sender: str, instance: int) -> Any:
    call = Answer()
    now = asker.world.now
    asker.core.asking.request(sender, "m", b"null", now=now, deadline=now + 30, hops=1, done=call, instance=instance)
    asker.world.settle()
    return call


def test_what_is_too_large_for_one_is_refused_on_the_route_it_came() -> None:
    world = World()
    small, asker = world.client(limits=Limits.of(max_frame_bytes=1000)), world.client()
    share(small)
    call, _ = asker.request("s", "m", b'"' + b"x" * 2000 + b'"')
    world.settle()
    assert isinstance(call.error, MessageTooBig)
    (pool,) = world.server.replicas.pools.values()
    assert list(pool.members.values()) == [0]


def test_presence_lists_and_the_past_are_of_all_of_them(world: World) -> None:
    first, second, third, watcher = (world.client() for _ in range(4))
    watcher.listen(1, "s", None)
    share(first, "e", retain=["e"])
    share(second, "e", "f", retain=["e"])
    for end, value in ((second, b"2"), (first, b"1")):
        world.now += 1
        end.core.owning.trigger("s", "e", value)
        world.settle()
    with pytest.raises(SenderAlreadyConnected):
        third.add("s", "e")
    with pytest.raises(SenderAlreadyConnected):
        share(first, "e")
    with pytest.raises(Denied):
        third.ask(RemoveSender("s"))
    assert third.ask(RemoveSender("nobody")) is False
    rows = cast(list[dict[str, Any]], watcher.ask(Senders()))
    assert [row["events"] for row in rows] == [["e"], ["e", "f"]]
    assert len(cast(dict[str, Any], watcher.ask(Stats()))["senders"]) == 3
    assert watcher.ask(Last("s", "e")) is True
    assert presence(watcher) == ["#connect"]
    assert sorted(value for _, value in watcher.heard()) == [1, 2]  # type: ignore[type-var]
    first.remove("s")
    assert presence(watcher) == ["#connect"]
    world.lose(second)
    assert presence(watcher) == ["#connect", "#disconnect"]


def test_the_number_of_a_pool_is_not_given_to_others(world: World) -> None:
    share(world.client())
    (number,) = world.server.replicas.pools
    world.server._last_number = number - 1
    assert world.server.number() > number


def test_who_is_away_for_the_moment_is_not_asked_as_long_as_there_are_others(world: World) -> None:
    away, here, requester = world.client(reliable=True), world.client(), world.client()
    share(away)
    share(here)
    world.lose(away)
    for _ in range(3):
        requester.request("s", "m")
        world.settle()
    assert len(here.asked()) == 3
