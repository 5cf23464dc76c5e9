"""A client that is back within the grace was never away for others; one that is not has left."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace
from protocol.leaving import BLOCKING, away, closed, come_back, lose_unnoticed, send, told
from protocol.pairs import Answer, End, World
from protocol.serving import govern, owner_of

from sig.constants import Limits
from sig.errors import ConnectionLost, Overloaded, SenderAlreadyConnected, SenderNotConnected
from sig.messages import (
    RETURNS,
    AddSender,
    Hello,
    Listen,
    OpenRequests,
    Presence,
    RemoveSender,
    Schema,
    encode_control,
)
from sig.protocol.answering import RequestDropped
from sig.protocol.bodies import Cancel, Lost, pack_cancel
from sig.protocol.client import RouteOpened
from sig.protocol.frames import Kind, pack
from sig.protocol.parts import PartsIn
from sig.security.policy import allow, deny

GRACE_S = 5


def owner(world: World, **options: Any) -> End:
    end = world.client(offline=away(), **options)
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    end.core.owning.outlet("s", "e", lambda route: None)
    return end


def presence(end: End) -> list[str]:
    return [news.event for news in end.news if isinstance(news, Presence)]


def lost(end: End) -> list[Lost]:
    return [news for news in end.news if isinstance(news, Lost)]


def back(world: World, end: End, call: AddSender | None = None) -> object:
    world.come_back(end)
    return end.ask(call or AddSender("s", ["e", "f"], ["m"]))


def test_who_is_back_in_time_was_never_away() -> None:
    world = World()
    end, other = owner(world), world.client()
    before = other.ask(AddSender("t", ["e"]))
    other.listen(1, "s")
    world.lose(end)
    world.advance(GRACE_S - 1)
    assert list(world.server.registry._senders) == ["s", "t"]
    assert back(world, end) == world.server.registry._senders["s"].incarnation != before
    end.core.restored(world.now)
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    assert [value for _, value in other.heard()] == [1]
    world.advance(2 * GRACE_S)
    assert presence(other) == []


def test_who_listens_to_its_own_sender_can_trigger_when_it_is_back() -> None:
    """It is told of the route when it listens again, and once more when the sender is its own again."""
    world = World()
    end = owner(world)
    end.listen(1, "s")
    world.lose(end)
    world.come_back(end)
    end.ask(Listen(1, "s", None, again=True))
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    end.core.restored(world.now)
    for value in (b"1", b"2"):
        end.core.owning.trigger("s", "e", value)
    world.settle()
    assert [value for _, value in end.heard()] == [1, 2]


def routes(end: End) -> list[tuple[int, int, int]]:
    """What the routes that it was told of say: the next event, the first it was to hear, and where nobody knows."""
    found = [news.route for news in end.news if isinstance(news, RouteOpened)]
    return [(route.next_seq, route.first_seq, route.unsure_seq) for route in found]


def test_who_is_back_learns_from_which_event_on_it_was_to_hear_a_route() -> None:
    """Also of one that it was never told of, or by a link that was lost before it had that; and after a second loss."""
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s")
    world.lose(end)
    source.ask(AddSender("s", ["e"]))
    source.core.owning.trigger("s", "e", b"1")
    world.settle()
    for next_seq in (2, 3):
        end.news.clear()
        world.come_back(end)
        end.ask(Listen(1, "s", None, again=True))
        assert routes(end) == [(next_seq, 1, 0)]
        world.lose(end)
        source.core.owning.trigger("s", "e", b"1")
        world.settle()
    world.advance(2 * GRACE_S)
    end.news.clear()
    world.come_back(end)
    end.ask(Listen(1, "s", None, again=True))
    assert routes(end) == [(4, 0, 0)]


def test_who_was_away_learns_that_nobody_knows_how_much_was_lost() -> None:
    world = World()
    end, source = world.client(offline=away()), owner(world)
    end.listen(1, "s", "e")
    source.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    world.lose(source)
    back(world, source, AddSender("s", ["e", "f"], ["m"], lost={"e": None}))
    world.come_back(end)
    end.news.clear()
    end.ask(Listen(1, "s", "e", again=True))
    assert routes(end) == [(2, 1, 2)]


def test_a_stranger_learns_it_too_for_it_may_be_back_from_a_server_that_is_no_more() -> None:
    world = World()
    source, end = owner(world), world.client()
    world.lose(source)
    back(world, source, AddSender("s", ["e", "f"], ["m"], lost={"e": None}))
    source.core.restored(world.now)
    end.listen(1, "s", "e")
    source.core.owning.trigger("s", "e", b"1")
    world.settle()
    assert routes(end) == [(1, 0, 1)]


def test_what_is_given_to_one_of_several_does_not_wait_for_who_is_away() -> None:
    """Its place in a group, and its part of a shared name, are for the others meanwhile."""
    world = World()
    end, other = world.client(offline=away()), world.client()
    for each in (end, other):
        each.ask(AddSender("s", ["e"], ["m"], shared=True))
        each.ask(Listen(1, "t", "e", group="g", window=4))
    source = world.client()
    source.ask(AddSender("t", ["e"]))
    source.core.owning.outlet("t", "e", lambda route: None)
    world.lose(end)
    assert list(world.server.registry._senders) == ["s", "t"]
    for number in range(6):
        source.core.owning.trigger("t", "e", b"%d" % number)
    world.settle()
    assert [value for _, value in other.heard()] == [0, 1, 2, 3]  # all, as far as its window goes
    world.advance(2 * GRACE_S)
    assert presence(other) == []


def test_who_is_not_back_in_time_has_left() -> None:
    world = World(presence_grace_s=4)
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    assert world.due == world.now + 4
    world.advance(4)
    assert presence(other) == ["#disconnect"]
    assert len(world.server.absences) == 0
    world.come_back(end)
    assert end.core.welcome is not None
    assert end.core.welcome.fresh == "unknown"
    end.add("s", "e")
    assert presence(other) == ["#disconnect", "#connect"]


@pytest.mark.parametrize(
    "call",
    [
        AddSender("s", ["e"], ["m"]),
        AddSender("s", ["e", "f"], ["m", "n"]),
        AddSender("s", ["e", "f"]),
        AddSender("s", ["e", "f"], ["m"], retain=["e"]),
        AddSender("s", ["e", "f"], ["m"], schema=Schema()),
    ],
)
def test_who_is_back_with_another_sender_of_that_name_has_left_and_come(call: AddSender) -> None:
    world = World()
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    back(world, end, call)
    assert presence(other) == ["#disconnect", "#connect"]


def test_another_identity_is_not_given_what_waits_for_who_is_away() -> None:
    world = World()
    end, thief, asks = owner(world, known_as="uid:1"), world.client(known_as="uid:2", offline=away()), world.client()
    session = end.core.welcome
    assert session is not None
    world.lose(end)
    waiting, _ = asks.request("s", "m")
    world.settle()
    assert not waiting.times
    world.lose(thief)
    thief.core.welcome = session  # which it has overheard
    world.come_back(thief)
    assert thief.core.welcome is not session
    thief.ask(AddSender("s", ["e", "f"], ["m"]))
    assert isinstance(waiting.error, SenderNotConnected)
    assert thief.asked() == []


def test_whoever_comes_first_has_the_name() -> None:
    world = World()
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    other.add("s", "e")  # a program that was started again has no token
    assert presence(other) == ["#disconnect", "#connect"]
    world.come_back(end)
    with pytest.raises(SenderAlreadyConnected):
        end.add("s", "e", "f")


def test_who_left_in_order_has_left() -> None:
    world = World()
    end, other = owner(world), world.client(offline=away())
    world.lose(end)
    world.come_back(end)
    end.add("t", "e")
    end.core.leave()
    world.settle()
    assert len(world.server.absences) == 0
    other.add("s", "e")


def test_a_client_that_does_not_come_back_has_left_at_once() -> None:
    world, end, other = owner_of("e")
    other.listen(1, "s")
    world.lose(end)
    assert presence(other) == ["#disconnect"]


def test_requests_wait_for_who_is_away_and_those_under_way_are_lost() -> None:
    world = World()
    end, other, gone = owner(world), world.client(), world.client()
    under_way, _ = other.request("s", "m", b"1")
    world.settle()
    assert len(end.asked()) == 1
    world.lose(end)
    assert isinstance(under_way.error, ConnectionLost)
    end.news.clear()
    late, _ = other.request("s", "m", b"2")
    short, _ = other.request("s", "m", b"3", timeout=1)
    cancelled, give_up = other.request("s", "m", b"4")
    foreign, _ = gone.request("s", "m", b"5")
    world.settle()
    give_up()
    world.lose(gone)
    world.advance(2)
    assert short.error is not None
    back(world, end)
    (asked,) = end.asked()
    assert asked.request.payload == b"2"
    assert asked.request.remaining_ms <= 28_000
    end.core.answering.reply(asked, b"22", None)
    world.settle()
    assert late.ok == b"22"
    assert not cancelled.times
    assert isinstance(foreign.error, ConnectionLost)
    assert not any(isinstance(news, RequestDropped) and news.corr is None for news in end.news)


@pytest.mark.parametrize("deadline", [30, math.inf])
def test_who_takes_an_answer_in_parts_has_it_of_one_who_was_away(deadline: float) -> None:
    world = World()
    end, other = owner(world), world.client()
    world.lose(end)
    taken, answer = PartsIn(lambda: None), Answer()
    other.core.asking.request(
        "s", "m", b"1", now=world.now, deadline=world.now + deadline, hops=1, done=answer, parts=taken
    )
    world.settle()
    world.advance(2)
    back(world, end)
    (asked,) = end.asked()
    assert (asked.deadline == math.inf) is (deadline == math.inf)
    assert asked.parts is not None
    asked.parts.write(b"11")
    world.settle()
    assert taken.take() == [11]
    end.core.answering.reply(asked, b"null", None)
    world.settle()
    assert answer.times == 1


def test_requests_to_who_does_not_come_back_are_refused() -> None:
    world = World(requests_in=1)
    end, other = owner(world), world.client()
    world.lose(end)
    answer, _ = other.request("s", "m")
    second, _ = other.request("s", "m")
    world.settle()
    assert isinstance(second.error, Overloaded)
    world.advance(GRACE_S)
    assert isinstance(answer.error, SenderNotConnected)


def test_a_request_that_who_is_back_cannot_take_is_refused() -> None:
    world = World()
    end, other = owner(world), world.client()
    world.lose(end)
    answer, _ = other.request("s", "m", b'"%s"' % (b"x" * 5000))
    world.settle()
    end.core.limits = Limits(max_frame_bytes=4096)
    back(world, end)
    assert answer.error is not None
    assert "send it in parts" in str(answer.error)


def test_a_listener_that_is_away_is_still_a_listener_and_counts_what_it_missed() -> None:
    world = World()
    end, other = world.client(offline=away()), world.client()
    other.add("s", "e")
    heard: list[int] = []
    other.core.owning.outlet("s", "e", heard.append)
    end.listen(1, "s", "e")
    other.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    for _ in range(3):
        other.core.owning.trigger("s", "e", b"2")
        world.settle()
    assert heard == []  # nobody has told the owner that it speaks to nobody
    world.come_back(end)
    end.news.clear()
    end.core.listen(Listen(1, "s", "e", again=True), "listener", world.now, 30, Answer())
    world.settle()
    (route,) = [news.route for news in end.news if hasattr(news, "route") and hasattr(news.route, "next_seq")]
    assert route.next_seq == 5
    end.core.restored(world.now)
    world.advance(GRACE_S)
    other.core.owning.trigger("s", "e", b"3")
    world.settle()
    assert [value for _, value in end.heard()] == [3]


@pytest.mark.parametrize("heard", [0, 1], ids=["none before", "one before"])
def test_who_has_senders_wait_counts_what_it_missed_while_it_was_away_and_they_do_not_wait(heard: int) -> None:
    world = World()
    end, other = world.client(offline=away()), world.client()
    other.add("s", "e")
    listening = Listen(1, "s", "e", max_wait_s=20, window=1)
    end.core.listen(listening, "listener", world.now, 30, Answer())
    world.settle()
    for _ in range(heard):
        other.core.owning.trigger("s", "e", b"1")
        world.settle()
    world.lose(end)
    for _ in range(3):
        other.core.owning.trigger("s", "e", b"2")
        world.settle()
    assert world.server.budget.used == 0
    world.come_back(end)
    end.news.clear()
    end.core.listen(replace(listening, again=True), "listener", world.now, 30, Answer())
    world.settle()
    route, lane = [news.route for news in end.news if isinstance(news, RouteOpened)]
    assert (route.listener, lane.listener) == (None, 1)
    for opened in (route, lane):
        assert (opened.first_seq, opened.next_seq) == (1, 4 + heard)


def test_who_has_senders_wait_counts_also_what_comes_before_it_is_registered_again() -> None:
    """An owner who is slow to say that it knows of the listener holds up the answer."""
    world = World()
    end, other, slow = world.client(offline=away()), world.client(), world.client()
    other.add("s", "e")
    listening = Listen(1, None, "e", max_wait_s=20, window=1)
    end.core.listen(listening, "listener", world.now, 30, Answer())
    world.settle()
    world.lose(end)
    slow.add("t", "e")
    other.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.come_back(end)
    world.ends.remove(slow)
    answer = Answer()
    end.core.listen(replace(listening, again=True), "listener", world.now, 30, answer)
    world.settle()
    other.core.owning.trigger("s", "e", b"2")
    world.settle()
    assert (answer.times, end.heard()) == (0, [])
    end.news.clear()
    world.ends.append(slow)
    world.settle()
    opened = {news.route.sender: news.route for news in end.news if isinstance(news, RouteOpened)}
    assert answer.ok is None
    assert {name: (lane.listener, lane.first_seq, lane.next_seq) for name, lane in opened.items()} == {
        "s": (1, 1, 3),
        "t": (1, 0, 1),
    }


def test_who_has_senders_wait_has_a_lane_from_what_waits_for_it_on() -> None:
    """It is counted as missed from there, though it had been given nothing."""
    world = World()
    end, other = world.client(offline=away()), world.client()
    other.add("s", "e", "f")
    listening = Listen(1, "s", None, max_wait_s=20, window=1)
    end.core.listen(listening, "listener", world.now, 30, Answer())
    world.settle()
    for event in ("e", "f"):
        other.core.owning.trigger("s", event, b"1")
        world.settle()
    assert len(end.heard()) == 1  # there is no room for the other one
    lanes = [news.route for news in end.news if isinstance(news, RouteOpened)]
    assert [(lane.event, lane.listener, lane.next_seq) for lane in lanes] == [("e", 1, 1), ("f", 1, 1)]


@pytest.mark.parametrize("retain", [["e"], []])
def test_what_was_retained_is_that_of_another_link_if_another_that_retains_was_there_first(retain: list[str]) -> None:
    world = World()
    end = world.client(offline=away())
    call = AddSender("s", ["e"], retain=retain)
    end.ask(call)
    end.core.owning.outlet("s", "e", lambda route: None)
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    world.come_back(end)
    end.ask(AddSender("t", ["e"], retain=["e"]))
    end.ask(call)
    for name in ("s", "t"):
        end.ask(RemoveSender(name))
    assert world.server.budget.used == 0


def test_listening_does_not_wait_for_an_owner_that_is_away() -> None:
    world = World()
    end, other = owner(world), world.client()
    end.core.owning.trigger("s", "e", b"1")
    world.settle()  # nobody hears it: the owner is told to send nothing
    world.lose(end)
    other.listen(1, "s", "e")  # and is answered
    back(world, end)
    end.core.restored(world.now)
    end.core.owning.trigger("s", "e", b"2")
    world.settle()
    assert [value for _, value in other.heard()] == [2]


def test_what_never_came_is_told_to_whoever_listens() -> None:
    world = World()
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    back(world, end, AddSender("s", ["e", "f"], ["m"], lost={"e": 3, "f": None, "g": 1}))
    assert [(news.missed, news.reason) for news in lost(other)] == [(3, "lost_link"), (None, "lost_link")]
    end.core.owning.outlet("s", "e", lambda route: None)
    world.lose(end)
    back(world, end, AddSender("s", ["e", "f"], ["m"], lost={"e": 1 << 60}))
    assert lost(other)[-1].missed is None


def test_two_losses_in_a_row_are_one_absence() -> None:
    world = World()
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    world.come_back(end)  # and lost again before anything was said
    world.lose(end)
    back(world, end)
    world.advance(2 * GRACE_S)
    assert presence(other) == []


def test_what_is_not_wanted_any_more_can_be_given_up() -> None:
    world = World()
    end, other = owner(world), world.client()
    end.add("t", "e")
    other.listen(1, None, "#disconnect")
    world.lose(end)
    back(world, end)
    world.advance(GRACE_S)
    assert [news.sender for news in other.news if isinstance(news, Presence)] == ["t"]
    assert end.ask(RemoveSender("s"))


def test_a_server_that_closes_waits_for_nobody() -> None:
    world = World()
    end, other = owner(world), world.client()
    other.listen(1, "s")
    world.lose(end)
    world.server.close()
    world.settle()
    assert len(world.server.absences) == 0
    assert presence(other) == ["#disconnect"]


def test_no_more_are_kept_than_there_may_be_connections() -> None:
    world = World(max_connections=3)
    for number in range(4):
        end = world.client(offline=away())
        end.add(f"s{number}", "e")
        world.lose(end)
    assert len(world.server.absences) == 3
    assert list(world.server.registry._senders) == ["s1", "s2", "s3"]


def test_who_was_cut_for_a_mistake_is_not_waited_for() -> None:
    world = World()
    raw = world.raw()
    raw.connection.returns = True
    raw.send(b"\xff" * 12)
    assert raw.connection.closed
    assert len(world.server.absences) == 0
    assert Hello([1], ["json"], features=[RETURNS]).features == ["returns"]
    assert Answer().times == 0


def test_of_two_senders_each_is_found_by_itself() -> None:
    world = World()
    end = owner(world)
    end.add("t", "e")
    world.lose(end)
    back(world, end)
    end.add("t", "e")
    assert list(end.connection.held) == ["s", "t"]


def test_giving_up_what_was_asked_before_the_link_was_lost_is_no_matter() -> None:
    world = World()
    end, other = owner(world), world.client()
    raw = world.raw()
    raw.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    world.lose(end)
    number = world.server.registry._senders["s"].requests_route.id
    raw.send(pack_cancel(Cancel(0, 5), route=number))
    assert not raw.connection.closed
    other.request("s", "m")
    world.settle()
    raw.send(pack_cancel(Cancel(0, 5), route=number))
    back(world, end)
    assert len(end.asked()) == 1


# Senders that leave meanwhile


@pytest.mark.parametrize("noticed", [True, False])
def test_who_is_back_learns_what_it_was_to_hear_of_senders_that_have_come_and_left(noticed: bool) -> None:
    """First of all, and of each by itself: the next of that name counts anew."""
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s", "e")
    if noticed:
        world.lose(end)
    else:
        lose_unnoticed(world, end)
    for events in (2, 1, 1):
        source.ask(AddSender("s", ["e", "f"]))
        send(source, *["e"] * events)
        if events > 1 or not noticed:
            source.ask(RemoveSender("s"))
            continue
        break
    come_back(world, end)
    assert told(end) == ([(3, 1, None), (2, 1, None)] + ([] if noticed else [(2, 1, None)]))
    assert closed(end) == (1 if noticed else 3)


def test_of_what_has_come_nothing_is_told_again() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s", "e")
    for _ in range(2):
        source.ask(AddSender("s", ["e"], ["m"]))
        send(source, "e")
        source.ask(RemoveSender("s"))
    world.settle()
    lose_unnoticed(world, end)
    come_back(world, end)
    assert told(end) == []


@pytest.mark.parametrize("hears", [True, False])
def test_what_was_told_is_told_again_only_to_who_has_not_heard_it(hears: bool) -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s", "e")
    world.lose(end)
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    source.ask(RemoveSender("s"))
    if hears:
        world.come_back(end)
        world.lose(end)
    else:
        end.core.renew(0)
        link = world.accept("again")
        link.receive_data(end.core.data_to_send(1 << 20))
        assert link.opened
        assert not end.core.opened
        end.core.disconnected(ConnectionLost("the link was lost"))
        world.server.disconnected(link, world.now)
    come_back(world, end)
    assert told(end) == ([] if hears else [(2, 1, None)])


@pytest.mark.parametrize("when", ["restoring", "restored", "lost again"])
def test_a_sender_that_leaves_behind_the_loss_is_told_of_where_its_client_is_by_then(when: str) -> None:
    """At once, if its listeners are still to come; by its new link, if they are there."""
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s", "e")
    world.lose(end)
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    world.come_back(end)
    end.news.clear()
    if when == "restored":
        end.ask(Listen(1, "s", "e", again=True))
    elif when == "lost again":
        world.lose(end)
    source.ask(RemoveSender("s"))
    world.settle()
    if when == "lost again":
        world.come_back(end)
    assert (told(end), closed(end)) == ([(2, 1, None)], 1)
    world.advance(2 * GRACE_S)


def test_who_may_not_hear_it_any_more_is_not_told_what_it_missed() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(1, "s", "e")
    world.lose(end)
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    source.ask(RemoveSender("s"))
    govern(world, deny("*", "listen", "s", events="e"), allow("*", ["own", "trigger", "listen"]))
    come_back(world, end, Listen(1, None, None))
    assert told(end) == []


def test_of_one_that_does_not_come_back_nothing_is_kept() -> None:
    world = World()
    end, source = world.client(), world.client()
    end.listen(1, "s", "e")
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    source.ask(RemoveSender("s"))
    assert not end.connection.ended


def test_who_has_senders_wait_is_told_by_a_lane_of_a_sender_that_left_while_it_was_away() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.core.listen(BLOCKING, "listener", world.now, 30, Answer())
    end.listen(2, "t", "e")
    world.settle()
    world.lose(end)
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    source.ask(RemoveSender("s"))
    come_back(world, end, BLOCKING)
    assert (2, 1, 1) in told(end)
