"""Requests and their answers on their way through a server. Real clients at the other end."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf

import pytest
from msgspec.structs import replace
from protocol.pairs import Answer, End, World
from protocol.serving import govern, greet, owner_of, presence, routes, send
from protocol.test_absences import away

from sig.constants import Limits
from sig.errors import (
    ConnectionLost,
    Denied,
    MessageTooBig,
    Overloaded,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
)
from sig.messages import (
    RETURNS,
    AddSender,
    OpenRequests,
    RemoveSender,
    Senders,
    decode_error,
    encode_control,
)
from sig.protocol import requests
from sig.protocol.answering import RequestDropped
from sig.protocol.bodies import (
    Cancel,
    Credit,
    Reply,
    Request,
    Unit,
    pack_cancel,
    pack_credit,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from sig.protocol.client import RouteOpened
from sig.protocol.frames import REPLY_ERR, REPLY_MORE, REQUEST_PARTS, FrameReader, Kind, pack
from sig.protocol.parts import PartsIn
from sig.protocol.requests import TIMES
from sig.security.policy import Policy, Rule, allow, deny

OWNER_MAY = allow("uid:1", ["own", "trigger"])
GUEST_MAY = allow("uid:2", "request", "s")
NO_SET = deny("uid:2", "request", methods="set", name="no set")


def test_a_request_reaches_the_owner_and_its_answer_comes_back(world: World) -> None:
    owner, a = world.client(), world.client()
    owner.add("s", requests=["read"])
    answer, _ = a.request("s", "read", b'{"x":1}', timeout=5, hops=3)
    world.settle()
    (asked,) = owner.asked()
    assert (asked.sender, asked.request.method, asked.request.payload, asked.request.hops) == (
        "s",
        "read",
        b'{"x":1}',
        3,
    )
    assert asked.request.peer == a.connection.number
    assert asked.deadline == pytest.approx(world.now + 5)
    owner.core.answering.reply(asked, b"21.5", None)
    world.settle()
    assert answer.ok == b"21.5"
    # The second time the route is known.
    again, _ = a.request("s", "read")
    world.settle()
    owner.core.answering.reply(owner.asked()[1], None, SenderNotConnected("t"))
    world.settle()
    with pytest.raises(SenderNotConnected, match="'t'"):
        _ = again.ok


def test_a_sender_that_is_not_there_is_told_at_once() -> None:
    world = World()
    end = world.client()
    answer, _ = end.request("nobody", "m")
    world.settle()
    with pytest.raises(SenderNotConnected, match="'nobody'"):
        _ = answer.ok


def test_a_sender_that_leaves_fails_what_it_was_asked() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    world.lose(owner)
    with pytest.raises(ConnectionLost, match="unknown"):
        _ = answer.ok


def test_a_request_for_a_route_that_has_gone_is_answered() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    event = next(news.number for news in owner.news if isinstance(news, RouteOpened))
    for route in (event, 999):
        send(world, a.connection, pack_request(Request(0, 5, 1000, 1, "m", b""), route=route))
    reader = FrameReader(1 << 20)
    replies = reader.feed(a.connection.data_to_send(1 << 20))
    assert [(frame.kind, frame.flags) for frame in replies] == [(Kind.REPLY, 1)] * 2


def test_a_requester_that_goes_is_told_to_the_owner() -> None:
    world, owner, a = owner_of(requests=["m"])
    a.request("s", "m")
    world.settle()
    world.lose(a)
    dropped = [news for news in owner.news if isinstance(news, RequestDropped)]
    assert dropped == [RequestDropped(a.connection.number, None)]
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert not owner.core.closed


def test_giving_up_reaches_the_owner_and_a_late_answer_is_dropped() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    corr = owner.asked()[0].request.corr
    assert RequestDropped(a.connection.number, corr) in owner.news
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert (answer.times, a.core.asking.calls.late) == (0, 0)  # it got no further than the server


def test_an_answer_after_the_requester_has_gone_finds_nobody() -> None:
    world, owner, a = owner_of(requests=["m"])
    a.request("s", "m")
    world.settle()
    world.lose(a)
    newcomer = world.client()
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert not owner.core.closed
    assert (newcomer.connection.known, owner.connection.asked_by) == ({}, {})


def test_an_owner_answers_as_often_as_it_was_asked() -> None:
    world = World()
    owner, a = world.raw(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    [first, second] = [a.request("s", "m")[0] for _ in range(2)]
    world.settle()
    asked = [(frame.route, unpack_request(frame)) for frame in owner.read() if frame.kind == Kind.REQUEST]
    [(route, one), (_, two)] = asked
    part = pack_reply(Reply(one.peer, 12345, b"0"), route=route, flags=REPLY_MORE)
    answers = [pack_reply(Reply(one.peer, request.corr, b"0"), route=route) for request in (one, two)]
    owner.send(part * 1000)
    world.settle()
    assert a.core.asking.calls.late == 0, "parts that nobody has asked for go nowhere"
    owner.send(*answers)
    owner.send(*answers * 1000)
    world.settle()
    assert (first.ok, second.ok) == (b"0", b"0")
    assert a.core.asking.calls.late == 0, "the rest went nowhere"
    assert (a.connection.called, owner.connection.asked_by) == ({}, {})
    # And whoever has been answered has nothing to cancel.
    world.lose(a)
    assert owner.read() == []


@pytest.mark.parametrize("given_up", [False, True])
def test_an_owner_that_answers_one_twice_answers_the_others_still(given_up: bool) -> None:
    """Of one that was given up, too, the first answer alone is counted."""
    world, owner, a = owner_of(requests=["m"])
    asking = [a.request("s", "m") for _ in range(3)]
    world.settle()
    first, second, third = owner.asked()
    if given_up:
        asking[0][1]()
        world.settle()
    for _ in range(3):
        owner.core.answering.reply(first, b"1", None)
    # What was never asked is no answer either.
    owner.core.answering.reply(replace(first, request=replace(first.request, corr=12345)), b"0", None)
    world.settle()
    assert a.connection.called == {owner.connection: 2}
    owner.core.answering.reply(second, b"2", None)
    owner.core.answering.reply(third, b"3", None)
    world.settle()
    assert [answer.ok for answer, _ in asking[1:]] == [b"2", b"3"]
    assert asking[0][0].times == (0 if given_up else 1)
    assert a.core.asking.calls.late == 0, "the rest went nowhere"
    assert (a.connection.called, owner.connection.asked_by, a.connection.given_up) == ({}, {}, {})


def test_answers_that_never_come_are_not_waited_for_without_end() -> None:
    world = World(requests_out=1)
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    for _ in range(TIMES + 5):
        a.request("s", "m")[1]()
        world.settle()
    assert len(a.connection.given_up) == TIMES
    for asked in owner.asked():
        owner.core.answering.reply(asked, b"1", None)
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[-1], b"2", None)
    world.settle()
    assert answer.ok == b"2"


def test_an_owner_that_does_not_read_keeps_its_link_and_who_asks_is_told() -> None:
    world = World(link_drop_bytes=10_000, link_control_bytes=10_000)
    owner, a, b = world.raw(), world.client(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    owner.read()
    flood = [a.request("s", "m", b"x" * 1000) for _ in range(30)]
    world.settle()
    told = [answer.error for answer, _ in flood if answer.times]
    assert 15 < len(told) < 25
    assert {type(error) for error in told} == {Overloaded}
    for _, give_up in flood:
        give_up()
    world.settle()
    assert not owner.connection.closed
    frames = owner.read()
    assert {frame.kind for frame in frames} <= {Kind.REQUEST, Kind.CANCEL}
    answer, _ = b.request("s", "m")
    world.settle()
    request = unpack_request(owner.read()[0])
    owner.send(pack_reply(Reply(request.peer, request.corr, b"1"), route=frames[0].route))
    world.settle()
    assert answer.ok == b"1"


def test_a_request_that_its_owner_cannot_take_is_refused_to_the_requester() -> None:
    world = World()
    owner, a = world.client(limits=Limits.of(max_frame_bytes=2000)), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", b"x" * 5000)
    world.settle()
    with pytest.raises(MessageTooBig, match="5015 bytes, and sender 's' accepts 2000"):
        _ = answer.ok
    assert not owner.core.closed
    assert owner.asked() == []


def test_an_answer_that_the_requester_cannot_take_becomes_an_error() -> None:
    world = World()
    owner, a = world.client(), world.client(limits=Limits.of(max_frame_bytes=2000))
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], b"x" * 5000, None)
    world.settle()
    with pytest.raises(MessageTooBig, match="5008 bytes, and this client accepts 2000"):
        _ = answer.ok
    assert not a.core.closed


def test_between_ends_of_different_codecs_a_request_and_its_answer_are_put_into_the_other_or_refused() -> None:
    """More of that is in `test_bridge`."""
    world = World()
    owner = world.client()
    a = world.raw(["msgpack"])
    owner.add("s", requests=["m"])
    a.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in a.read() if frame.kind == Kind.ROUTE)
    for corr, payload in ((1, b"\x92\x01\xc0"), (2, b"\xc1"), (3, b"\xc0")):
        a.send(pack_request(Request(0, corr, 1000, 1, "m", payload), route=route))
    world.settle()
    asked = owner.asked()
    assert [(news.request.corr, news.request.payload) for news in asked] == [(1, b"[1,null]"), (3, b"null")]
    owner.core.answering.reply(asked[0], b"[2]", None)
    owner.core.answering.reply(asked[1], b"%d" % 2**70, None)
    world.settle()
    told = {reply.corr: reply.payload for reply in map(unpack_reply, a.read())}
    assert told.pop(1) == b"\x91\x02"
    assert [(corr, decode_error(payload).wire_code) for corr, payload in told.items()] == [
        (2, "invalid_data"),
        (3, "invalid_data"),
    ]


def test_a_sender_that_left_meanwhile_is_named() -> None:
    """The server does not know any more whose route it was; the client does."""
    world, owner, a = owner_of(requests=["m"])
    a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    owner.call(RemoveSender("s"))
    answer, _ = a.request("s", "m")
    world.carry_up(owner)
    world.carry_up(a)
    world.settle()
    with pytest.raises(SenderNotConnected, match="sender 's' is not connected"):
        _ = answer.ok


def test_one_may_ask_oneself(world: World) -> None:
    end = world.client()
    end.add("s", requests=["m"])
    answer, _ = end.request("s", "m")
    world.settle()
    end.core.answering.reply(end.asked()[0], b"1", None)
    world.settle()
    assert answer.ok == b"1"
    end.request("s", "m")
    world.settle()
    world.lose(end)
    assert (world.server.connections, world.server.dirty) == ({}, {})


def test_cancelling_what_was_never_asked_is_nothing() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    for route in range(20):
        send(world, a.connection, pack_cancel(Cancel(0, 1), route=route))
    world.settle()
    assert not a.connection.closed
    assert [news for news in owner.news if isinstance(news, RequestDropped)] == []


def test_a_server_that_drains_finishes_what_is_under_way(world: World) -> None:
    owner, asker = world.client(), world.client()
    owner.add("s", requests=["m"])
    first, _ = asker.request("s", "m")
    world.settle()
    assert world.server.requests.asked == 1
    world.server.drain()
    assert "closing" in str(world.client().core.error)
    refused, _ = asker.request("s", "m")
    within, _ = asker.request("s", "m", hops=2)  # a handler's, which needs it for its own answer
    world.settle()
    assert isinstance(refused.error, Overloaded)
    assert "ask again when it is back" in str(refused.error)
    assert (first.times, within.times, world.server.requests.asked) == (0, 0, 2)
    for asked in owner.asked():
        owner.core.answering.reply(asked, b"7", None)
    world.settle()
    assert (first.ok, within.ok, world.server.requests.asked) == (b"7", b"7", 0)


def test_nobody_answers_for_another() -> None:
    world = World()
    owner, thief, a = (world.client() for _ in range(3))
    owner.add("s", "e", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    number, corr = routes(owner)[None], owner.asked()[0].request.corr
    send(world, thief.connection, pack_reply(Reply(a.connection.number, corr, b"0"), route=number or 0))
    assert "not its own" in str(thief.connection.error)
    assert answer.times == 0
    # The owner itself answers nobody who did not ask, and nothing on a route that has gone.
    for peer, route in ((thief.connection.number, number), (12345, number), (1, 9999)):
        send(world, owner.connection, pack_reply(Reply(peer, 1, b"0"), route=route or 0))
    assert not owner.connection.closed


def test_what_may_not_be_asked_is_denied_and_what_may_not_be_triggered_is_not_passed_on() -> None:
    world = World()
    govern(world, allow("uid:1", ["own", "trigger"]), allow("*", "listen"), allow("*", "request", methods="get"))
    owner, guest = world.client(known_as="uid:1"), world.client()
    owner.add("s", "e", requests=["get"])
    guest.listen(1)
    answer, _ = guest.request("s", "get")
    world.settle()
    assert not answer.times
    answer, _ = guest.request("s", "set")
    world.settle()
    assert isinstance(answer.error, Denied)
    owner.core.owning.trigger("s", "e", b"1")
    govern(world, allow("uid:1", "own"), allow("*", "listen"))
    owner.core.owning._denied.clear()
    owner.core.owning.trigger("s", "e", b"2")
    world.settle()
    assert [value for _, value in guest.heard()] == []
    for name in ("s", "nobody"):
        with pytest.raises(Denied, match="you may not remove"):
            guest.remove(name)


def test_parts_pass_and_whoever_cancels_gets_no_more() -> None:
    world, owner, requester = owner_of(requests=["m"])
    streams = []
    for _ in range(3):
        taken = PartsIn(lambda: None)
        done = taken.finish
        number = requester.core.asking.request(
            "s", "m", b"0", now=0, deadline=world.now + 9, hops=1, done=done, parts=taken
        )
        streams.append((number, taken))
    world.settle()
    requester.core.asking.give_up(streams[0][0])
    world.settle()
    for arrived in owner.asked():
        assert arrived.parts is not None
        arrived.parts.write(b"1")
    world.settle()
    assert [taken.take() for _, taken in streams] == [None, [1], [1]]
    raw = world.raw()
    raw.send(pack_credit(Credit(1, Unit.PARTS, 0, 5), route=1), pack_credit(Credit(1, Unit.EVENTS), route=1))
    assert not raw.connection.closed
    assert len(requester.connection.streams) == 2
    owner.core.answering.reply(owner.asked()[1], b"2", None)
    world.settle()
    assert streams[1][1].result == b"2"
    assert len(requester.connection.streams) == 1


def test_a_number_of_a_stream_that_is_in_use_ends_the_link() -> None:
    world = World(requests_out=1)
    owner, requester = world.client(), world.raw()
    owner.add("s", requests=["m"])
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)
    one, two = (pack_request(Request(0, n, 9, 1, "m", b"0"), route=route, flags=REQUEST_PARTS) for n in (1, 2))
    requester.send(one, two)
    (refused,) = requester.read()
    assert b"a client may take 1 streams at a time" in refused.body
    world.server.limits = Limits()
    requester.send(one)
    assert "which is in use" in requester.last_words()


def test_senders_that_share_a_name_are_told_of_listed_and_asked_as_one(world: World) -> None:
    owners, asker = [world.client() for _ in range(3)], world.client()
    asker.listen(1, "s", None)
    shared = AddSender("s", ["e"], ["m"], shared=True)
    instances = [owner.ask(shared) for owner in owners[:2]]
    for sender in (shared, AddSender("s", ["e"])):
        with pytest.raises(SenderAlreadyConnected):
            owners[0].ask(sender)
    with pytest.raises(SenderAlreadyConnected):
        owners[2].add("s", "e")
    with pytest.raises(Denied):
        owners[2].remove("s")
    assert [row["instance"] for row in asker.ask(Senders())] == instances  # type: ignore[attr-defined]
    calls = [asker.request("s", "m") for _ in range(2)]
    world.settle()
    for owner in owners[:2]:
        owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert [call.ok for call, _ in calls] == [b"1", b"1"]
    for instance in (instances[1], 99):
        call = Answer()
        asker.core.asking.request("s", "m", b"1", now=0, deadline=1e9, hops=1, done=call, instance=instance)  # type: ignore[arg-type]
        world.settle()
        assert isinstance(call.error, SenderNotConnected) is (instance == 99)
    _, give_up = asker.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    assert isinstance(owners[0].news[-1], RequestDropped)
    give_up_again = Cancel(0, 99)
    asker.core.outgoing.put(pack_cancel(give_up_again, route=asker.core.asking._numbers["s"]))
    world.settle()
    owners[0].remove("s")
    assert presence(asker) == [("s", "#connect")]
    owners[1].remove("s")
    assert presence(asker) == [("s", "#connect"), ("s", "#disconnect")]


def test_requests_for_who_is_away_wait_until_it_is_back_or_nobody_waits() -> None:
    world = World(presence_grace_s=4)
    old, asks = world.accept(), world.client()
    greet(world, old, features=[RETURNS])
    world.server.receive_data(old, pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1), world.now)
    world.settle()
    world.server.disconnected(old, world.now)
    waits, _ = asks.request("s", "m")
    given_up, give_up = asks.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    assert (waits.times, given_up.times) == (0, 0)  # whoever gives up waits for nothing
    world.advance(4)
    assert isinstance(waits.error, SigError)


def test_who_is_back_and_answers_what_it_was_not_asked_for_want_of_time_is_believed_for_nothing() -> None:
    world = World()
    owner, asks = world.client(offline=away()), world.client()
    call = AddSender("s", [], ["m"])
    owner.ask(call)
    asks.request("s", "m", timeout=9)
    world.settle()
    world.lose(owner)
    late, _ = asks.request("s", "m", timeout=1)
    world.settle()
    world.now += 2  # and nobody has been told yet
    world.come_back(owner)
    owner.ask(call)
    world.settle()
    (asked,) = owner.asked()
    ((corr, (number, *_)),) = list(asks.connection.unanswered.items())[-1:]
    forged = replace(asked, route=number, request=replace(asked.request, corr=corr), link=owner.core.links)
    owner.core.answering.reply(forged, b"1", None)
    world.settle()
    assert (asks.connection.called, owner.connection.asked_by) == ({}, {})
    assert late.times == 1
    assert not owner.core.closed


# -- a right that is lost ------------------------------------------------------------------------


def a_guest_and_an_owner(*rules: Rule, shared: bool = False) -> tuple[World, End, End]:
    world = World()
    govern(world, *(rules or (OWNER_MAY, GUEST_MAY)))
    owner, guest = world.client(known_as="uid:1", offline=away()), world.client(known_as="uid:2")
    owner.ask(AddSender("s", ["e"], ["get", "set"], shared=shared))
    return world, owner, guest


def dropped(end: End) -> int:
    """How often it has been told that nobody waits any more."""
    return sum(isinstance(each, RequestDropped) for each in end.news)


def test_what_one_may_ask_is_remembered_until_another_policy_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    world, owner, guest = a_guest_and_an_owner()

    def ask(*methods: str) -> list[Answer]:
        answers = [guest.request("s", method)[0] for method in methods]
        world.settle()
        return answers

    ask("get", "set")
    with monkeypatch.context() as patch:
        patch.setattr(world.server.access, "decide", nobody_asks)
        ask("get", "set", "get")
    assert len(owner.asked()) == 5
    govern(world, OWNER_MAY, GUEST_MAY, NO_SET)
    _, refused = ask("get", "set")
    assert isinstance(refused.error, Denied)
    assert len(owner.asked()) == 6
    # Of a few alone: who makes up methods fills no memory.
    monkeypatch.setattr(requests, "_REMEMBERED", 2)
    ask("get", "a", "b", "get")
    assert len(owner.asked()) == 10
    assert {name for _, name in guest.connection.may_ask} == {b"b", b"get"}


def nobody_asks(*_: object) -> None:
    raise AssertionError("a right was looked up that is known")


@pytest.mark.parametrize("shared", [False, True])
def test_who_may_not_ask_any_more_is_told_so_and_is_told_no_answer(shared: bool) -> None:
    world, owner, guest = a_guest_and_an_owner(shared=shared)
    (allowed, _), (denied, _) = guest.request("s", "get"), guest.request("s", "set")
    world.settle()
    first, second = owner.asked()
    govern(world, OWNER_MAY, GUEST_MAY, NO_SET)
    assert str(denied.error) == "you may not ask for 'set' of sender 's': rule 'no set' denies it"
    assert isinstance(denied.error, Denied)
    assert not allowed.times
    assert dropped(owner) == 1
    owner.core.answering.reply(second, b"2", None)
    owner.core.answering.reply(first, b"1", None)
    world.settle()
    assert allowed.ok == b"1"
    assert denied.times == 1
    assert guest.connection.unanswered == {}
    assert not guest.connection.called


def test_an_answer_that_comes_too_late_does_not_even_reach_the_link() -> None:
    world, owner, guest = a_guest_and_an_owner()
    guest.request("s", "set")
    world.settle()
    (asked,) = owner.asked()
    govern(world, OWNER_MAY)
    owner.core.answering.reply(asked, b'"S3CR3T"', None)
    world.carry_up(owner)
    assert b"S3CR3T" not in guest.connection.data_to_send(1 << 20)


def test_a_stream_ends_between_two_parts() -> None:
    world, owner, guest = a_guest_and_an_owner()
    taken = PartsIn(lambda: None)
    guest.core.asking.request("s", "get", b"null", now=0.0, deadline=inf, hops=1, done=taken.finish, parts=taken)
    world.settle()
    (asked,) = owner.asked()
    assert asked.parts is not None
    asked.parts.write(b"1")
    world.settle()
    assert taken.take() == [1]
    govern(world, OWNER_MAY)
    asked.parts.write(b"2")
    world.settle()
    assert isinstance(taken.error, Denied)
    assert not taken.take()
    assert dropped(owner) == 1
    assert not guest.connection.streams


def test_what_waits_for_an_owner_that_is_away_waits_no_more() -> None:
    world, owner, guest = a_guest_and_an_owner()
    world.lose(owner)
    waiting, _ = guest.request("s", "get")
    world.settle()
    assert not waiting.times
    govern(world, OWNER_MAY)
    assert isinstance(waiting.error, Denied)
    world.come_back(owner)
    owner.ask(AddSender("s", ["e"], ["get", "set"]))
    assert not owner.asked()
    assert guest.request("s", "get")[0].times == 0
    world.settle()


def test_who_keeps_to_no_limit_is_refused_until_there_is_room() -> None:
    world = World(requests_out=1)
    world.server.govern(Policy([allow("*", ["own", "request"])]), None, world.now)
    owner, stranger = world.client(), world.raw()
    for name in ("s", "t"):
        owner.add(name, requests=["get"])
    first, second = (held.requests_route.id for held in owner.connection.held.values())
    most = world.server.requests._most

    def ask(number: int, *numbers: int) -> list[SigError]:
        """Asks on that route; returns what is refused."""
        for corr in numbers:
            stranger.send(pack_request(Request(0, corr, 1000, 1, "get", b"null"), route=number))
        world.settle()
        replies = (unpack_reply(frame) for frame in stranger.read() if frame.kind == Kind.REPLY)
        return [decode_error(reply.payload) for reply in replies]

    for corr, name in enumerate(("s", "t")):
        stranger.send(pack(Kind.CALL, encode_control(OpenRequests(name)), route=corr))
    assert ask(first, *range(most)) == []
    (error,) = ask(second, most)
    assert isinstance(error, Overloaded)
    assert str(error) == f"{most} requests of this client wait for their answers: wait for some of them"
    assert len(owner.asked()) == most
    # Of who has left nothing is waited for, and no right to it can be lost.
    owner.remove("s")
    stranger.read()
    assert ask(second, most) == []
    assert list(stranger.connection.unanswered) == [most]


def test_giving_up_what_nobody_can_answer_any_more_is_no_mistake() -> None:
    world, owner, _ = a_guest_and_an_owner()
    stranger = world.raw()
    world.server.govern(None, None, world.now)
    number = next(iter(owner.connection.held.values())).requests_route.id
    stranger.send(pack_request(Request(0, 1, 1000, 1, "get", b"null"), route=number))
    owner.remove("s")
    assert len(stranger.connection.unanswered) == 1
    stranger.send(pack_cancel(Cancel(0, 1), route=number))
    assert stranger.connection.unanswered == {}
    assert stranger.connection.error is None


def test_who_has_left_is_not_looked_for() -> None:
    world, owner, guest = a_guest_and_an_owner()
    answer, _ = guest.request("s", "get")
    world.settle()
    owner.remove("s")
    assert isinstance(answer.error, ConnectionLost)
    govern(world, OWNER_MAY)
    assert answer.times == 1
    answer, give_up = guest.request("s", "get")
    world.settle()
    assert isinstance(answer.error, Denied)
    give_up()
    world.settle()


def test_who_has_left_does_not_answer_for_those_who_share_its_name() -> None:
    world = World()
    first, second, asker = world.client(), world.client(), world.client()
    for end in (first, second):
        end.ask(AddSender("s", [], ["m"], shared=True))
    asked, _ = asker.request("s", "m")
    world.settle()
    (request,) = first.asked()
    first.core.answering.reply(request, None, SenderNotConnected("s"))
    world.settle()
    assert isinstance(asked.error, ConnectionLost)


@pytest.mark.parametrize("shared", [False, True])
def test_who_gives_up_is_waited_for_by_nobody(shared: bool) -> None:
    world, owner, guest = a_guest_and_an_owner(shared=shared)
    answer, give_up = guest.request("s", "get")
    world.settle()
    (number, _, shown) = next(iter(guest.connection.unanswered.values()))
    assert (number != shown) is shared
    give_up()
    world.settle()
    assert dropped(owner) == 1
    assert guest.connection.unanswered == {}
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert answer.times == 0


def test_nobody_answers_what_another_was_asked() -> None:
    world = World()
    owner, other, guest = world.client(), world.client(), world.client()
    owner.add("s", requests=["get"])
    other.add("t", requests=["get"])
    answer, second = guest.request("s", "get")[0], guest.request("t", "get")[0]
    world.settle()
    (asked,), (theirs,) = owner.asked(), other.asked()
    forged = replace(theirs, request=replace(theirs.request, corr=asked.request.corr))
    other.core.answering.reply(forged, b'"forged"', None)
    world.settle()
    owner.core.answering.reply(asked, b'"right"', None)
    world.settle()
    assert answer.ok == b'"right"'
    assert not second.times


def test_who_waits_for_more_answers_than_any_honest_client_is_refused() -> None:
    world = World(requests_out=1)
    owner, stranger = world.client(), world.raw()
    owner.add("s", requests=["m"])
    number = next(iter(owner.connection.held.values())).requests_route.id
    for corr in range(17):
        stranger.send(pack_request(Request(0, corr, 1000, 1, "m", b"null"), route=number))
    world.settle()
    (reply,) = stranger.read()
    assert "16 requests of this client wait for their answers" in str(decode_error(unpack_reply(reply).payload))
    assert len(owner.asked()) == 16


def test_who_does_not_read_why_it_is_refused_is_cut_and_the_rest_is_not_asked() -> None:
    world = World(link_cut_bytes=3000, link_drop_bytes=2000)
    owner, raw = world.client(), world.raw()
    owner.add("s", requests=["m"])
    raw.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in raw.read() if frame.kind == Kind.ROUTE)
    nobody = [pack_request(Request(0, number, 1000, 1, "m", b"1"), route=9999) for number in range(1, 101)]
    raw.send(*nobody, pack_request(Request(0, 200, 1000, 1, "m", b"1"), route=route))
    world.settle()
    assert "does not read" in str(raw.connection.error)
    assert owner.asked() == []


def test_an_owner_that_asks_itself_and_does_not_read_is_cut_in_the_midst_of_its_answers() -> None:
    world = World(link_cut_bytes=3000, link_drop_bytes=2000)
    raw, other = world.raw(), world.client()
    raw.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    raw.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=2))
    route = next(frame.route for frame in raw.read() if frame.kind == Kind.ROUTE)
    raw.send(*(pack_request(Request(0, number, 1000, 1, "m", b""), route=route) for number in range(1, 31)))
    answer, _ = other.request("s", "m")
    world.settle()
    asked = [unpack_request(frame) for frame in raw.read() if frame.kind == Kind.REQUEST]
    assert len(asked) == 31
    raw.send(*(pack_reply(Reply(one.peer, one.corr, bytes(200)), route=route) for one in asked))
    assert "does not read" in str(raw.connection.error)
    raw.hang_up()
    world.settle()
    with pytest.raises(ConnectionLost):
        _ = answer.ok


def test_who_is_cut_over_what_is_refused_to_it_asks_nothing_more() -> None:
    world = World(link_cut_bytes=3000, link_drop_bytes=2000)
    owner, raw, other = world.raw(), world.raw(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    other.add("t", requests=["m"])
    for name in ("s", "t"):
        raw.send(pack(Kind.CALL, encode_control(OpenRequests(name)), route=1))
    known = {frame.route for frame in raw.read() if frame.kind == Kind.ROUTE}
    first, second = sorted(known)
    raw.send(*(pack_request(Request(0, number, 1000, 1, "m", b"1"), route=number) for number in (first, second)))
    world.settle()
    before = len(other.asked())
    too_much = [pack_request(Request(0, number, 1000, 1, "m", bytes(500)), route=first) for number in range(100, 150)]
    raw.send(*too_much, pack_request(Request(0, 200, 1000, 1, "m", b"1"), route=second))
    world.settle()
    assert "does not read" in str(raw.connection.error)
    assert len(other.asked()) == before


def test_who_is_cut_over_its_own_answers_one_by_one_gives_no_more_of_them() -> None:
    world = World(link_cut_bytes=3000, link_drop_bytes=20_000)
    raw = world.raw()
    raw.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    raw.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=2))
    route = next(frame.route for frame in raw.read() if frame.kind == Kind.ROUTE)
    raw.send(pack_request(Request(0, 99, 1000, 1, "m", b""), route=route, flags=REQUEST_PARTS))
    raw.send(*(pack_request(Request(0, number, 1000, 1, "m", b""), route=route) for number in range(1, 31)))
    asked = [unpack_request(frame) for frame in raw.read() if frame.kind == Kind.REQUEST]
    raw.send(*(pack_reply(Reply(one.peer, one.corr, bytes(200)), route=route) for one in asked if one.corr < 99))
    assert "does not read" in str(raw.connection.error)


@pytest.mark.parametrize("seed", range(20))
def test_however_many_come_together_each_is_handed_on_as_if_it_came_alone(seed: int) -> None:
    together, alone = _Traffic(seed), _Traffic(seed)
    for _ in range(6):
        assert together.ask(together.raw.send) == alone.ask(alone.each)
        assert together.answer(at_once=True) == alone.answer(at_once=False)
    assert together.books() == alone.books()


class _Traffic:
    """One who asks three owners, one of whom takes small frames and reads seldom, and nobody: by the dice."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._world = world = World(link_drop_bytes=2500, requests_out=3)
        self._owners = [world.raw() for _ in range(3)]
        self._owners[2].connection.max_frame_bytes = 1024
        for number, owner in enumerate(self._owners):
            owner.send(pack(Kind.CALL, encode_control(AddSender(f"s{number}", [], [None])), route=1))
            owner.read()
        self.raw = world.raw()
        self._routes = [9999]
        for number in range(3):
            self.raw.send(pack(Kind.CALL, encode_control(OpenRequests(f"s{number}")), route=1))
            self._routes += [frame.route for frame in self.raw.read() if frame.kind == Kind.ROUTE]
        self._corr = 0

    def ask(self, send: Callable[..., object]) -> list[list[bytes]]:
        dice, frames = self._dice, []
        for _ in range(dice.randint(1, 30)):
            self._corr += dice.choice([1, 1, 1, 0])  # now and then the same number again
            body = Request(0, self._corr, 1000, 1, dice.choice("ab"), b"x" * dice.choice([1, 1, 100, 1100]))
            flags = REQUEST_PARTS if dice.random() < 0.05 else 0
            route = dice.choices(self._routes, [1, 10, 10, 10])[0]
            frames += [pack_request(body, route=route, flags=flags)] * dice.choice([1, 1, 3])
        send(*frames)
        return self._read()

    def each(self, *frames: bytes) -> None:
        for frame in frames:
            self.raw.send(frame)

    def answer(self, *, at_once: bool) -> list[list[bytes]]:
        dice = self._dice
        for owner, asked in zip(self._owners, self._asked, strict=True):
            frames = []
            for frame in asked:
                request = unpack_request(frame)
                flags = dice.choices([0, REPLY_ERR, REPLY_MORE], [20, 2, 1])[0]
                payload = encode_control({"code": "failed"}) if flags else b"1"
                reply = pack_reply(Reply(request.peer, request.corr, payload), route=frame.route, flags=flags)
                frames += [reply] * dice.choice([0, 1, 1, 1, 2])
            for part in [frames] if at_once else [[frame] for frame in frames]:
                owner.send(*part)
        return self._read()

    def _read(self) -> list[list[bytes]]:
        """What all ends have been sent."""
        self._world.settle()
        told = [[frame for frame in end.read() if frame.kind != Kind.PING] for end in (self.raw, *self._owners)]
        self._asked = [[frame for frame in frames if frame.kind == Kind.REQUEST] for frames in told[1:]]
        return [[frame.data for frame in frames] for frames in told]

    def books(self) -> list[object]:
        """What the server knows of what is under way."""
        asker = self.raw.connection
        owed = {owner.number: answers for owner, answers in asker.called.items()}
        return [asker.unanswered, owed, asker.given_up, asker.may_ask, list(asker.streams), asker.closed]
