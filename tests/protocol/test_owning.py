"""The senders that a client holds: where their events leave, and what becomes of these without a link."""

from __future__ import annotations

from typing import Literal

import pytest
from protocol.alone import (
    outlet,
    outlets,
    owned,
    restore,
    returning,
    said,
    welcomed,
)
from protocol.pairs import World
from protocol.recorded import FRAMES

from sig.errors import (
    ConnectionLost,
    Denied,
    MessageTooBig,
    SenderNotConnected,
)
from sig.messages import (
    AddSender,
    Interest,
    Route,
    RouteGone,
    encode_control,
)
from sig.protocol.bodies import Lost
from sig.protocol.client import LinkBack, LinkLost, Restored
from sig.protocol.frames import Kind, pack
from sig.protocol.offline import Offline
from sig.protocol.owning import CLOSED, UNHEARD
from sig.security.identity import ANONYMOUS
from sig.security.policy import Policy, allow


def test_an_event_that_is_too_big_is_refused_and_nothing_is_sent() -> None:
    world = World(max_frame_bytes=2000)
    end = world.client()
    end.add("s", "e")
    with pytest.raises(MessageTooBig, match="2000"):
        end.core.owning.trigger("s", "e", b"1" * 2000)
    with pytest.raises(MessageTooBig):
        end.request("s", "m", b"1" * 2000)
    assert said(end.core) == []


def test_an_event_of_a_sender_that_is_not_ours_any_more_is_refused() -> None:
    world = World()
    end = world.client()
    end.add("s", "e")
    assert end.core.owning.owns("s", "e")
    assert end.core.knows("s")
    end.remove("s")
    assert not end.core.owning.owns("s", "e")
    assert not end.core.knows("s")
    with pytest.raises(SenderNotConnected, match="'s'"):
        end.core.owning.trigger("s", "e", b"1")


def interest(state: Literal["none", "some", "grouped"], route: int = 5) -> bytes:
    return pack(Kind.INTEREST, encode_control(Interest(state)), route=route)


def test_an_outlet_is_told_its_route_whether_anybody_listens_and_when_it_is_over() -> None:
    core = welcomed()
    told, other = outlet(core), outlet(core, "f")
    for frame in (owned(5), owned(6, None), owned(7, "g"), interest("none"), interest("some"), interest("grouped")):
        core.receive_at(frame, 0.0)
    # Between, whoever triggers waits: what it triggers follows the confirmation.
    assert told == [5, UNHEARD, CLOSED, 5, CLOSED, 5]
    told.clear()
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0)
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=7), 0.0)
    core.disconnected(ConnectionLost("x"))
    assert told == [CLOSED]
    assert other == [CLOSED]


def test_a_route_that_is_told_again_says_nothing_of_who_listens() -> None:
    """An owner that listens to itself is told of its route as a listener: what it held back is not forgotten."""
    core = welcomed()
    told = outlet(core)
    for frame in (owned(5), interest("none"), owned(5), interest("some")):
        core.receive_at(frame, 0.0)
    assert told == [5, UNHEARD, CLOSED, 5]


def test_what_is_told_of_an_earlier_life_is_nothing_to_an_outlet() -> None:
    core = welcomed()
    before = outlet(core)
    core.receive_at(owned(5), 0.0)
    core.owning.close_outlets("s", ["e"])
    told = outlet(core)
    for frame in (interest("none"), interest("some"), owned(6), interest("none", 5), interest("none", 6)):
        core.receive_at(frame, 0.0)
    assert before == [5, CLOSED]
    assert told == [6, UNHEARD]


def test_a_closed_outlet_hears_no_more_whatever_the_server_says() -> None:
    core = welcomed()
    told = outlet(core)
    core.receive_at(owned(5), 0.0)
    core.owning.close_outlets("s", ["e", "unknown"])
    assert told == [5, CLOSED]
    with pytest.raises(SenderNotConnected):
        core.owning.trigger("s", "e", b"1")
    core.receive_at(
        interest("none") + interest("some") + pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0
    )
    assert told == [5, CLOSED]
    assert [frame.kind for frame in said(core)] == [Kind.INTEREST]  # others may wait for it all the same


def test_that_somebody_listens_is_confirmed_before_all_that_waits_and_that_nobody_does_is_not() -> None:
    core = welcomed()
    core.receive_at(owned(5), 0.0)
    core.owning.trigger("s", "e", b"1")
    core.receive_at(FRAMES["interest: none"] + FRAMES["interest: some"] + FRAMES["interest"], 0.0)
    first, second, event = said(core)
    assert (first.data, second.data) == (FRAMES["interest: some"], FRAMES["interest"])
    assert event.kind == Kind.EVENT


def test_what_was_held_back_is_told_behind_all_that_waits_and_before_what_is_triggered_from_then_on() -> None:
    core = welcomed()
    core.owning.outlet("s", "e", lambda route: core.owning.trigger("s", "e", b"2") if route == 5 else True)
    core.receive_at(owned(5), 0.0)
    core.receive_at(FRAMES["interest: none"] + FRAMES["interest: some"], 0.0)
    first, second, third = said(core)
    assert (first.kind, second.data, third.kind) == (Kind.EVENT, FRAMES["interest: held"], Kind.EVENT)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        owned(5, None),
        pack(Kind.ROUTE, encode_control(Route("s", "e")), route=5),
        owned(5) + pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5),
    ],
    ids=["unknown", "requests", "another's", "gone"],
)
@pytest.mark.parametrize("state", ["none", "some"])
def test_interest_in_what_is_no_event_of_ours_is_the_servers_mistake(
    before: bytes, state: Literal["none", "some"]
) -> None:
    core = welcomed()
    core.receive_at(before, 0.0)
    assert core.error is None
    core.receive_at(interest(state), 0.0)
    assert "INTEREST in route 5, which is no event of ours" in str(core.error)


def test_what_may_not_be_triggered_says_so_until_it_may() -> None:
    world = World()
    end = world.client()
    told: list[int] = []
    end.core.owning.outlet("s", "e", told.append)
    end.core.owning.outlet("s", "f", told.append)
    end.add("s", "e", "f")
    for policy in (Policy([allow("*", "own")]), Policy([allow("*", ["own", "trigger"])])):
        world.server.govern(policy, None, world.now)
        world.settle()
        if policy.allowed(ANONYMOUS, "trigger", "s", "e"):
            end.core.owning.trigger("s", "e", b"1")
        else:
            assert told[-1] == CLOSED
            with pytest.raises(Denied, match="you may not trigger event 'e' of sender 's': no rule allows it"):
                end.core.owning.trigger("s", "e", b"1")
    assert told[-1] > 0
    world.server.govern(Policy([allow("*", "own")]), None, world.now)
    world.settle()
    end.core.owning.close_outlets("s", ["e"])
    with pytest.raises(SenderNotConnected):
        end.core.owning.trigger("s", "e", b"1")
    with pytest.raises(Denied):
        end.core.owning.trigger("s", "f", b"1")
    end.remove("s")
    with pytest.raises(SenderNotConnected):
        end.core.owning.trigger("s", "f", b"1")


def test_an_owner_that_has_held_something_back_confirms_so_once() -> None:
    core = welcomed()
    core.receive_at(owned(5), 0.0)
    held = [True, False]
    core.owning.outlet("s", "e", lambda route: route == CLOSED and held.pop(0))
    for confirmed in ("interest: held", "interest: some"):
        core.receive_at(FRAMES["interest: none"] + FRAMES["interest: some"], 0.0)
        assert [frame.data for frame in said(core)] == [FRAMES[confirmed]]


def test_what_was_held_back_when_the_link_was_lost_is_told_on_the_next_unless_its_sender_has_left() -> None:
    world = World()
    end = returning(world)
    for event in ("e", "f"):
        end.core.owning.outlet("s", event, lambda route: route == CLOSED)
    world.lose(end)
    end.core.owning.close_outlets("s", ["f"])
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {"s": {"e": None}}
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    end.core.restored(world.now)
    assert end.core.owning.losses(world.now) == {}


def test_what_has_not_left_waits_for_the_next_link_and_its_outlets_open_when_all_is_registered() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    told = outlets(end, "e")
    route = end.core.owning._owned["s", "e"]
    gathered = end.core.outgoing.events
    gathered.append((route, b"1"))
    world.lose(end)
    assert end.core.away
    assert told == {"e": [CLOSED]}
    assert isinstance(end.news[-1], LinkLost)
    end.core.owning.keep("s", "e", b"2", world.now)
    with pytest.raises(SenderNotConnected):
        end.core.owning.keep("s", "f", b"3", world.now)
    gathered.append((route, b"3"))  # by a thread that had begun to send before
    assert end.core.owning.triggered == 3
    restore(world, end)
    assert told == {"e": [CLOSED, route]}
    assert [value for _, value in other.heard()] == [1, 2, 3]
    assert (end.core.owning.triggered, end.core.links, end.core.linked) == (3, 2, True)
    assert LinkBack(same=True, kept=True) in end.news
    assert isinstance(end.news[-1], Restored)


def test_what_a_thread_was_about_to_send_when_the_link_was_lost_comes_before_what_it_triggers_next() -> None:
    """Whatever the numbers of routes mean by then; but not if its sender has left, nor if it is unknown by then."""
    world = World()
    end, other = returning(world), world.client()
    other.listen(1)
    outlets(end, "e", "f")
    numbers = [end.core.owning._owned["s", event] for event in ("e", "f")]
    late = end.core.outgoing.events.append
    world.restart()
    late((numbers[0], b"1"))
    late((numbers[1], b"9"))
    late((999, b"9"))
    end.core.owning.close_outlets("s", ["f"])
    end.core.owning.keep("s", "e", b"2", world.now)
    other = world.client()
    other.add("other", "x")
    other.listen(1)
    restore(world, end)
    assert [value for _, value in other.heard()] == [1, 2]
    assert end.core.owning.triggered == 4


def test_nothing_opens_before_all_is_registered() -> None:
    world = World()
    end = returning(world)
    told = outlets(end, "e")
    world.lose(end)
    world.come_back(end)
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    assert told == {"e": [CLOSED]}
    assert not end.core.linked


@pytest.mark.parametrize(("away_s", "heard"), [(0.5, [1, 2]), (2, [2])], ids=["the same at the server", "another"])
def test_what_was_kept_of_a_sender_that_left_is_not_the_next_ones_of_that_name(away_s: float, heard: list[int]) -> None:
    """Within the grace the server takes the two for one, and so it is sent."""
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    world.lose(end)
    end.core.owning.keep("s", "e", b"1", world.now)
    end.core.owning.close_outlets("s", ["e"])
    outlets(end, "e")
    end.core.owning.keep("s", "e", b"2", world.now)
    world.advance(away_s)
    restore(world, end)
    assert [value for _, value in other.heard()] == heard
    assert end.core.owning.triggered == 2


def test_what_had_not_left_of_a_sender_that_was_removed_is_not_the_next_ones_of_that_name() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.owning.trigger("s", "e", b"1")
    end.core.owning.close_outlets("s", ["e"])
    world.lose(end)
    outlets(end, "e")
    end.core.owning.keep("s", "e", b"2", world.now)
    world.advance(2)
    restore(world, end)
    assert [value for _, value in other.heard()] == [2]


def test_what_was_kept_of_a_sender_that_came_and_left_meanwhile_goes_nowhere() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    for number in (b"1", b"2"):
        outlets(end, "f")
        end.core.owning.keep("s", "f", number, world.now)
        end.core.owning.close_outlets("s", ["f"])
    outlets(end, "f")
    end.core.owning.keep("s", "f", b"3", world.now)
    restore(world, end)
    assert [value for _, value in other.heard()] == [1, 3]


def test_events_of_a_name_that_was_lost_meanwhile_go_nowhere_and_are_counted() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    told = outlets(end, "e")
    world.lose(end)
    end.core.owning.keep("s", "e", b"1", world.now)
    world.advance(2)
    other.add("s", "e")
    world.come_back(end)
    end.core.restored(world.now)
    assert told == {"e": [CLOSED, CLOSED]}
    assert end.core.owning.triggered == 1


def test_what_the_next_of_a_name_triggers_while_the_link_is_away_is_not_lost_with_the_one_before() -> None:
    """That is registered again, is removed meanwhile, and is gone for the server when the next is registered."""
    world = World()
    end = returning(world)
    before = outlets(end, "e")
    world.lose(end)
    world.come_back(end)
    end.call(AddSender("s", ["e"]))
    end.core.owning.close_outlets("s", ["e"])
    after = outlets(end, "e")
    end.core.owning.keep("s", "e", b"1", world.now)
    world.settle()
    end.remove("s")
    end.ask(AddSender("s", ["e"]))
    end.core.restored(world.now)
    assert (before["e"][-1], after["e"][-1] > 0) == (CLOSED, True)
    assert [frame.kind for frame in said(end.core)] == [Kind.EVENT]


@pytest.mark.parametrize(("events", "count"), [(("e",), 2), (("e", "f"), None)])
def test_what_was_under_way_is_counted_where_it_can_be(events: tuple[str, ...], count: int | None) -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, *events)
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    end.core.owning.trigger("s", "e", b"2")
    end.core.owning.trigger("s", "e", b"3")
    end.core.data_to_send(1 << 20)  # and the link is lost
    world.lose(end)
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {"s": dict.fromkeys(events, count)}
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    end.core.restored(world.now)
    assert end.core.owning.losses(world.now) == {}


def test_what_was_under_way_of_a_sender_that_has_left_is_not_told_as_lost_by_another() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e", "f")
    end.core.owning.trigger("s", "e", b"1")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    end.core.owning.close_outlets("s", ["e"])
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {"s": {"f": None}}
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    end.core.restored(world.now)
    world.lose(end)
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {}


@pytest.mark.parametrize(("events", "untold"), [("e", {"e": 2}), ("ef", {"e": None, "f": None})])
def test_what_never_came_of_a_name_that_is_anothers_is_told_once_it_is_ours_again(
    events: str, untold: dict[str, int | None]
) -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, *events)
    end.core.owning.trigger("s", "e", b"1")
    end.core.data_to_send(1 << 20)  # and the link is lost
    world.lose(end)
    end.core.owning.keep("s", "e", b"2", world.now)
    for _ in range(2):  # nor does another link bring the name back
        world.come_back(end)
        end.core.restored(world.now)
        assert end.core.owning.untold("s") == untold
        world.lose(end)
    world.come_back(end)
    end.core.restored(world.now)
    end.ask(AddSender("s", ["e", "f"], ["m"], lost=end.core.owning.untold("s")))
    assert end.core.owning.untold("s") == end.core.owning.losses(world.now).get("s", {}) == {}
    assert {news.missed for news in other.news if isinstance(news, Lost)} == set(untold.values())


@pytest.mark.parametrize("when", ["away", "back"])
def test_what_never_came_of_a_name_that_is_anothers_is_nothing_to_the_next_that_has_it(when: str) -> None:
    world = World()
    end = returning(world)
    outlets(end, "e")
    world.lose(end)
    end.core.owning.keep("s", "e", b"1", world.now)
    if when == "away":
        end.core.owning.close_outlets("s", ["e"])
    world.come_back(end)
    end.core.restored(world.now)
    assert end.core.owning.untold("s") == ({} if when == "away" else {"e": 1})
    end.core.owning.close_outlets("s", ["e"])
    assert end.core.owning.untold("s") == {}


def test_what_is_known_to_have_been_routed_was_not_lost() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    world.advance(2)
    end.core.renew(1)
    assert end.core.owning.losses(world.now) == {}


def test_what_had_been_routed_by_a_server_that_is_no_more_may_be_lost_whatever_was_known() -> None:
    """Who never heard of the event before cannot tell by itself that there were some. It may take several servers."""
    world = World()
    end = returning(world)
    outlets(end, "e")
    end.core.owning.trigger("s", "e", b"1")
    end.flush()
    flushed = end.core.owning.triggered
    for _ in range(2):  # the second is lost before anything is registered there
        world.restart()
        world.come_back(end, flushed)
        assert end.core.owning.losses(world.now) == {"s": {"e": None}}
    end.add("s", "e")
    end.core.restored(world.now)
    assert end.core.owning.losses(world.now) == {}
    world.restart()
    world.come_back(end, flushed)
    assert end.core.owning.losses(world.now) == {}  # nothing has come to the one before


def test_what_was_dropped_once_does_not_count_as_routed_later() -> None:
    """A flush counts all that was accepted, also what was dropped while the link was away before."""
    world = World(presence_grace_s=1)
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    world.lose(end)
    end.core.owning.keep("s", "e", b"1", world.now)
    world.come_back(end)
    end.ask(AddSender("s", ["e"]))
    end.core.restored(world.now)
    end.flush()
    flushed = end.core.owning.triggered
    end.core.owning.trigger("s", "e", b"2")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    world.advance(2)
    world.come_back(end, flushed)
    assert end.core.owning.losses(world.now) == {"s": {"e": None}}


def test_after_too_long_nobody_knows_what_was_under_way() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e", "f")
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    end.core.owning.keep("s", "f", b"1", world.now)
    assert end.core.owning.losses(world.now) == {"s": {"e": None, "f": None}}
    world.advance(2)
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {"s": {"e": None, "f": None}}
    assert LinkBack(same=True, kept=False) in end.news


def test_dropped_and_lost_under_way_are_one_sum() -> None:
    world = World()
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.owning.trigger("s", "e", b"1")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    end.core.owning.keep("s", "e", b"2", world.now)
    world.come_back(end)
    assert end.core.owning.losses(world.now) == {"s": {"e": 2}}


def test_who_has_left_loses_what_no_frame_holds() -> None:
    world = World()
    end = returning(world)
    outlets(end, "e")
    end.core.outgoing.events.append((end.core.owning._owned["s", "e"], b"1"))
    end.core._left = True
    world.lose(end)
    assert (end.core.away, end.core.owning.triggered) == (False, 1)


def test_an_owner_that_is_away_opens_nothing_for_those_who_listen() -> None:
    world = World()
    end = returning(world)
    told = outlets(end, "e")
    route = end.core.owning._owned["s", "e"]
    end.core.away = True
    end.core.receive_at(pack(Kind.INTEREST, encode_control(Interest("some")), route=route), 0.0)
    assert told == {"e": []}


def test_without_a_place_for_events_a_client_does_not_keep_any() -> None:
    with pytest.raises(SenderNotConnected):
        welcomed().owning.keep("s", "e", b"1", 0.0)


def test_each_loss_of_a_link_with_everything_on_it_is_another_absence() -> None:
    """One that is lost before all is registered again belongs to the same: what it lost is told again."""
    world = World()
    end = world.client(offline=Offline("buffer", 1000, 30))
    absences: list[int] = []
    for restored in (False, True, True):
        world.lose(end)
        absences.append(end.core.owning.absence)
        world.come_back(end)
        if restored:
            end.core.restored(world.now)
    assert absences == [1, 1, 2]
