"""A policy in force: who is refused what, in which words, and what ends when a right does; real clients ask."""

from __future__ import annotations

import pytest
from protocol.pairs import Answer, End, World
from protocol.serving import govern, owner_of, presence
from protocol.who import credential, make_access, token

from sig.errors import Denied, SenderNotConnected
from sig.messages import AddSender, Listen, Presence, Senders, Stats, decode_error
from sig.protocol.bodies import Request, pack_request, unpack_reply
from sig.protocol.client import RouteOpened
from sig.protocol.login import TokenProver
from sig.protocol.owning import UNHEARD
from sig.security.policy import Policy, Rule, allow, deny

OWNER_MAY = allow("uid:1", ["own", "trigger"])


def a_guest_and_an_owner(*rules: Rule) -> tuple[World, End, End]:
    world = World()
    govern(world, OWNER_MAY, *rules)
    owner, guest = world.client(known_as="uid:1"), world.client(known_as="uid:2")
    owner.add("s", "e", "f", requests=["get", "set"])
    return world, owner, guest


def said(end: End, sender: str, event: str, payload: bytes) -> None:
    end.core.owning.trigger(sender, event, payload)
    end.world.settle()


def test_listening_is_refused_only_where_nothing_at_all_could_be_heard() -> None:
    _, owner, guest = a_guest_and_an_owner(allow("uid:2", "listen", "s", events="e"))
    with pytest.raises(Denied, match="you may not listen to event 'f' of sender 's': no rule allows it"):
        guest.listen(1, "s", "f")
    with pytest.raises(Denied, match="you may not listen to sender 'other'"):
        guest.listen(2, "other")
    with pytest.raises(Denied, match="you may not listen to event 'z': no rule"):
        guest.listen(3, None, "z")
    guest.listen(4)
    for event, payload in (("e", b"1"), ("f", b"2"), ("e", b"3")):
        said(owner, "s", event, payload)
    assert [value for _, value in guest.heard()] == [1, 3]
    assert presence(guest) == []


def test_an_owner_is_told_to_go_on_only_by_who_may_hear_it() -> None:
    _, owner, guest = a_guest_and_an_owner(allow("uid:2", "listen", "s", events="e"))
    for event in ("e", "f"):
        said(owner, "s", event, b"1")
    route = {r.event: r for held in owner.connection.held.values() for r in held.routes}
    assert route["e"].unheard
    assert route["f"].unheard
    guest.listen(1)
    assert not route["e"].unheard
    assert route["f"].unheard


def test_what_may_not_be_triggered_is_refused_at_the_trigger_with_the_rule() -> None:
    world, owner, guest = a_guest_and_an_owner(
        allow("uid:2", "listen"), deny("uid:1", "trigger", "s", events="f", name="no f")
    )
    told: list[int] = []
    owner.core.owning.outlet("s", "f", told.append)
    guest.listen(1)
    with pytest.raises(Denied, match="you may not trigger event 'f' of sender 's': rule 'no f' denies it"):
        owner.core.owning.trigger("s", "f", b"1")
    said(owner, "s", "e", b"2")
    # What was under way, or is sent nevertheless, reaches nobody and is not counted.
    owner.core.owning._denied.clear()
    said(owner, "s", "f", b"3")
    assert [value for _, value in guest.heard()] == [2]
    govern(world, OWNER_MAY, allow("uid:2", "listen"))
    assert told[-1] > 0
    said(owner, "s", "f", b"4")
    assert [value for _, value in guest.heard()] == [2, 4]
    govern(world, allow("uid:1", "own"), allow("uid:2", "listen"))
    assert told[-1] == 0
    with pytest.raises(Denied, match="no rule allows it"):
        owner.core.owning.trigger("s", "e", b"5")
    owner.remove("s")
    govern(world, OWNER_MAY)
    owner.add("s", "e", "f")
    said(owner, "s", "e", b"6")


def test_an_outlet_that_closes_forgets_that_it_was_denied() -> None:
    _, owner, _ = a_guest_and_an_owner(deny("uid:1", "trigger", "s", events="f"))
    owner.core.owning.close_outlets("s", ["f"])
    with pytest.raises(SenderNotConnected):
        owner.core.owning.trigger("s", "f", b"1")


def test_asking_is_allowed_by_method_and_who_may_not_ask_is_not_told_who_is_there() -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "request", "s", methods="get"))
    answer, _ = guest.request("s", "get")
    world.settle()
    assert not answer.times
    assert [arrived.request.method for arrived in owner.asked()] == ["get"]
    answer, _ = guest.request("s", "set")
    world.settle()
    with pytest.raises(Denied, match="you may not ask for 'set' of sender 's': no rule allows it"):
        _ = answer.ok
    # A number that somebody made up says nothing about whose it is.
    stranger = world.raw()
    number = next(iter(owner.connection.held.values())).requests_route.id
    stranger.send(pack_request(Request(0, 1, 1000, 1, "get", b"null"), route=number))
    (frame,) = stranger.read()
    error = decode_error(unpack_reply(frame).payload)
    assert isinstance(error, SenderNotConnected)
    assert "'s'" not in str(error)


def test_who_may_not_ask_those_who_share_a_name_is_told_so_by_its_method() -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "request", "many", methods="get"))
    owner.ask(AddSender("many", ["e"], ["get", "set"], shared=True))
    answer, _ = guest.request("many", "set")
    world.settle()
    with pytest.raises(Denied, match="you may not ask for 'set' of sender 'many': no rule allows it"):
        _ = answer.ok


def test_removing_tells_only_who_may_own_the_name_that_somebody_does() -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "own", "t"))
    for name in ("s", "nobody"):
        with pytest.raises(Denied, match=f"you may not remove sender '{name}': no rule allows it"):
            guest.remove(name)
    assert guest.remove("t") is False
    govern(world, OWNER_MAY, allow("uid:2", "own"))
    with pytest.raises(Denied, match="held by another client"):
        guest.remove("s")
    assert owner.remove("s") is True


def test_listing_shows_what_may_be_listed() -> None:
    _, owner, guest = a_guest_and_an_owner(allow("uid:2", "list", "t"))
    owner.add("t", "e")
    assert [row["name"] for row in guest.ask(Senders())] == ["t"]  # type: ignore[attr-defined]
    assert owner.ask(Senders()) == []


def test_a_right_that_is_lost_ends_what_came_of_it_at_once() -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "listen"))
    guest.listen(1)
    said(owner, "s", "e", b"1")
    world.prompt = False
    owner.core.owning.trigger("s", "e", b"2")
    world.carry_up(owner)  # accepted, and not sent yet
    govern(world, OWNER_MAY)
    said(owner, "s", "e", b"3")
    assert [value for _, value in guest.heard()] == [1]
    # Given back, the same listener hears again, and knows how many it has missed.
    govern(world, OWNER_MAY, allow("uid:2", "listen"))
    said(owner, "s", "e", b"4")
    assert [value for _, value in guest.heard()] == [1, 4]
    assert [news.route.next_seq for news in guest.news if isinstance(news, RouteOpened)][-1] == 4
    # Who may not own a name any more loses it.
    govern(world, allow("uid:2", "listen"))
    assert owner.connection.held == {}
    assert [news.data["reason"] for news in guest.news if isinstance(news, Presence)] == ["kicked"]
    with pytest.raises(SenderNotConnected):
        owner.core.owning.trigger("s", "e", b"5")


@pytest.mark.parametrize("group", [None, "g"])
def test_a_right_that_is_given_wakes_an_owner_that_nobody_heard(group: str | None) -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "listen", "s", events="f"))
    answer = Answer()
    guest.core.listen(Listen(1, "s", None, group=group), "listener", world.now, 30, answer)
    world.settle()
    assert answer.ok is None
    told: list[int] = []
    owner.core.owning.outlet("s", "e", told.append)
    said(owner, "s", "e", b"1")
    assert told[-1] == UNHEARD
    govern(world, OWNER_MAY, allow("uid:2", "listen", "s", events="f"), allow("uid:3", "listen"))
    assert told[-1] == UNHEARD
    govern(world, OWNER_MAY, allow("uid:2", "listen"))
    assert told[-1] > 0
    said(owner, "s", "e", b"2")
    assert [value for _, value in guest.heard()] == [2]


def test_rights_are_found_out_for_a_route_and_not_for_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    world, owner, guest = a_guest_and_an_owner(allow("uid:2", "listen"))
    guest.listen(1)
    said(owner, "s", "e", b"1")

    def asked(*_: object) -> None:
        raise AssertionError("a right was looked up for an event")

    monkeypatch.setattr(world.server.access, "decide", asked)
    for number in range(100):
        said(owner, "s", "e", str(number).encode())
    assert len(guest.heard()) == 101


def test_nobody_is_asked_again_what_does_not_change() -> None:
    world, owner, _ = a_guest_and_an_owner(allow("uid:2", "listen"))
    news = len(owner.news)
    govern(world, OWNER_MAY, allow("uid:2", "listen"))
    assert len(owner.news) == news


def test_a_listener_of_everything_is_told_so_where_there_is_nothing() -> None:
    _, _, guest = a_guest_and_an_owner()
    with pytest.raises(Denied, match="you may not see the statistics of this server: no rule"):
        guest.ask(Stats())
    with pytest.raises(Denied, match="you may not listen to anything: no rule allows it"):
        guest.listen(1)


def test_who_has_logged_in_with_what_holds_no_more_is_sent_away_with_a_new_policy_too() -> None:
    access, _ = make_access(credential(7, "alice"), policy=Policy([allow("*", "own")]))
    world = World(access=access)
    alice, other = world.client(prover=TokenProver(token(7))), world.client(known_as="uid:1")
    inside = world.client(settle=False)
    inside.connection.trusted = True
    world.settle()
    world.accept()  # in the middle of its handshake
    for end, name in ((alice, "a"), (other, "o"), (inside, "i")):
        end.add(name, "e")
    world.server.govern(Policy(), {}, world.now)
    world.settle()
    assert "holds no more" in str(alice.core.error)
    assert not other.connection.closed
    assert list(world.server.registry._senders) == ["i"]


def test_without_a_policy_everybody_may_everything() -> None:
    _, _owner, guest = owner_of("e")
    assert guest.listen(1) is None
    assert guest.remove("nobody") is False
