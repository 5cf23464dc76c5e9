"""Requests under way when a right is lost: they end, and their answers go nowhere; real clients ask."""

from __future__ import annotations

from math import inf

import pytest
from msgspec.structs import replace
from protocol.pairs import End, World
from protocol.test_absences import away

from sig.errors import ConnectionLost, Denied, Overloaded, SigError
from sig.messages import AddSender, OpenRequests, decode_error, encode_control
from sig.protocol.bodies import Cancel, Request, pack_cancel, pack_request, unpack_reply
from sig.protocol.client import RequestDropped
from sig.protocol.frames import Kind, pack
from sig.protocol.parts import PartsIn
from sig.security.policy import Policy, Rule, allow, deny

OWNER_MAY = allow("uid:1", ["own", "trigger"])
GUEST_MAY = allow("uid:2", "request", "s")
NO_SET = deny("uid:2", "request", methods="set", name="no set")


def govern(world: World, *rules: Rule) -> None:
    world.server.govern(Policy(rules), None, world.now)
    world.settle()


def a_guest_and_an_owner(*rules: Rule, shared: bool = False) -> tuple[World, End, End]:
    world = World()
    govern(world, *(rules or (OWNER_MAY, GUEST_MAY)))
    owner, guest = world.client(known_as="uid:1", offline=away()), world.client(known_as="uid:2")
    owner.ask(AddSender("s", ["e"], ["get", "set"], shared=shared))
    return world, owner, guest


def dropped(end: End) -> int:
    """How often it has been told that nobody waits any more."""
    return sum(isinstance(each, RequestDropped) for each in end.news)


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
    owner.core.reply(second, b"2", None)
    owner.core.reply(first, b"1", None)
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
    owner.core.reply(asked, b'"S3CR3T"', None)
    world.carry_up(owner)
    assert b"S3CR3T" not in guest.connection.data_to_send(1 << 20)


def test_a_stream_ends_between_two_parts() -> None:
    world, owner, guest = a_guest_and_an_owner()
    taken = PartsIn(lambda: None)
    guest.core.request("s", "get", b"null", now=0.0, deadline=inf, hops=1, done=taken.finish, parts=taken)
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
    most = world.server.questions.most

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
    owner.core.reply(owner.asked()[0], b"1", None)
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
    other.core.reply(forged, b'"forged"', None)
    world.settle()
    owner.core.reply(asked, b'"right"', None)
    world.settle()
    assert answer.ok == b'"right"'
    assert not second.times
