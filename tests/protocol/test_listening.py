"""Who hears what, and in which order. Real clients at the other end."""

from __future__ import annotations

from typing import Any

import pytest
from protocol.pairs import Answer, World
from protocol.serving import Silent, govern, owner_of, send, trigger

from sig.codecs import JSON
from sig.constants import Limits
from sig.errors import (
    InvalidName,
    Overloaded,
)
from sig.messages import (
    AddSender,
    Close,
    Interest,
    Listen,
    Result,
    decode_control,
    encode_control,
)
from sig.messages import Route as RouteMessage
from sig.protocol.bodies import (
    Lost,
)
from sig.protocol.client import EventsArrived, ListenerReady, RouteOpened
from sig.protocol.events import unpack_events
from sig.protocol.frames import Kind, pack
from sig.protocol.offline import Offline
from sig.protocol.past import Told
from sig.security.policy import allow


def test_events_reach_all_who_listen_in_order(world: World) -> None:
    owner, a, b, deaf = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", None)
    deaf.listen(1, "other", None)
    for number in range(5):
        trigger(owner, "s", "e", str(number).encode())
        trigger(owner, "s", "f", str(number + 10).encode())
    world.settle()
    assert [value for _, value in a.heard()] == [0, 1, 2, 3, 4]
    assert [value for _, value in b.heard()] == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14]
    assert deaf.heard() == []
    assert owner.heard() == []


def test_a_mixed_batch_is_split_among_different_receivers() -> None:
    world = World()
    owner, a, b, both = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", "f")
    both.listen(1, "**", None)
    for number in range(4):
        trigger(owner, "s", "ef"[number % 2], str(number).encode())
    world.settle()
    assert [value for _, value in a.heard()] == [0, 2]
    assert [value for _, value in b.heard()] == [1, 3]
    assert [value for _, value in both.heard()] == [0, 1, 2, 3]


def test_receivers_of_the_same_part_share_it() -> None:
    world = World()
    owner, a, b, c = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", "e")
    c.listen(1, "s", "f")
    for _ in range(2):
        trigger(owner, "s", "e", b"1")
        trigger(owner, "s", "f", b"2")
        world.settle()
    assert [[value for _, value in end.heard()] for end in (a, b, c)] == [[1, 1], [1, 1], [2, 2]]


def test_one_copy_however_many_listeners_of_a_client_match() -> None:
    world, owner, a = owner_of("e")
    a.listen(1, "s", "e")
    a.listen(2, "s", None)
    a.listen(3, None, None)
    trigger(owner, "s", "e", b"1")
    world.settle()
    assert len(a.heard()) == 1


def test_a_route_is_told_before_its_first_event_and_once() -> None:
    world, owner, a = owner_of("e")
    trigger(owner, "s", "e", b"0")
    world.settle()
    a.listen(1, "s", "e")
    trigger(owner, "s", "e", b"1")
    world.settle()
    a.listen(2, "s", None)
    trigger(owner, "s", "e", b"2")
    world.settle()
    routes = [news for news in a.news if isinstance(news, RouteOpened)]
    assert len(routes) == 1
    assert (routes[0].route.next_seq, routes[0].route.owner) == (2, False)
    assert [number for number, _ in a.heard()] == [routes[0].number] * 2
    kinds = [type(news) for news in a.news]
    assert kinds.index(ListenerReady) < kinds.index(RouteOpened)


def test_an_owner_is_told_once_that_there_is_a_group() -> None:
    world = World()
    end, one, two = world.client(), world.client(), world.client()
    end.add("s", "e")
    states: list[str] = []
    end.core.owning.outlet("s", "e", lambda route: None)
    for member in (one, two):
        before = end.core.frames_in
        member.ask(Listen(1, "s", "e", group="g"))
        states.append(f"{end.core.frames_in - before} told")
    assert states == ["1 told", "0 told"]


def test_a_closed_listener_hears_no_more() -> None:
    world, owner, a = owner_of("e")
    a.listen(1, "s", "e")
    assert a.close_listener(1) is True
    assert a.close_listener(1) is False
    trigger(owner, "s", "e", b"1")
    world.settle()
    assert a.heard() == []


def test_selectors_and_numbers_are_checked() -> None:
    world = World(max_subscriptions=2, max_subscriptions_total=3)
    a, b = world.client(), world.client()
    with pytest.raises(InvalidName):
        a.listen(1, "x**")
    a.listen(1)
    a.listen(2)
    with pytest.raises(Overloaded, match="use a pattern"):
        a.listen(3)
    b.listen(1)
    with pytest.raises(Overloaded, match="this server"):
        b.listen(2)
    send(world, a.connection, pack(Kind.CALL, encode_control(Listen(1)), route=9))
    assert "exists already" in str(a.connection.error)


def test_events_carry_the_servers_time() -> None:
    world, owner, a = owner_of("e")
    a.listen(1)
    world.now = 2000.5
    trigger(owner, "s", "e", b"1")
    world.settle()
    (arrived,) = [news for news in a.news if isinstance(news, EventsArrived)]
    assert unpack_events(arrived.frame).time_us == 1_700_002_000_500_000


def test_what_is_too_big_for_a_receiver_is_told_as_lost_and_the_rest_is_parted() -> None:
    world = World()
    owner, small, large = world.client(), world.client(limits=Limits.of(max_frame_bytes=1000)), world.client()
    owner.add("s", "e", "f")
    small.listen(1)
    large.listen(1)
    trigger(owner, "s", "e", b"1")
    trigger(owner, "s", "f", b'"' + b"x" * 2000 + b'"')
    for number in range(1000):
        trigger(owner, "s", "e", str(number).encode())
    world.settle()
    assert [(news.missed, news.reason) for news in small.news if isinstance(news, Lost)] == [(1, "too_big")]
    heard = large.heard()
    assert small.heard() == [heard[0], *heard[2:]]
    assert len(heard) == 1002


def test_flush_answers_behind_what_was_triggered_before() -> None:
    _, owner, a = owner_of("e")
    a.listen(1)
    trigger(owner, "s", "e", b"1")
    owner.flush()
    assert len(a.heard()) == 1


# -- numbers -------------------------------------------------------------------------------------


def counted(end: Any) -> list[tuple[int, object]]:
    """The events with their numbers, counted from what ROUTE says, as any client must."""
    found: list[tuple[int, object]] = []
    count: dict[int, int] = {}
    for news in end.news:
        if isinstance(news, RouteOpened):
            count[news.number] = news.route.next_seq
        elif isinstance(news, Lost):
            count[news.route] += news.missed or 0
        elif isinstance(news, EventsArrived):
            batch = unpack_events(news.frame)
            values = JSON.decode_many(batch.payloads, batch.lens, news.frame.count)
            for number, value in zip(batch.routes or [news.frame.route] * news.frame.count, values, strict=True):
                found.append((count[number], value))
                count[number] += 1
    return found


def test_events_have_the_same_number_for_everybody_who_hears_them(world: World) -> None:
    owner, always, sometimes = (world.client() for _ in range(3))
    owner.add("s", "e", "f")
    always.listen(1, "s", "e")
    place = 0
    for round_ in range(6):
        # Who listens now and then, the owner among them, has missed what came meanwhile.
        for end in (sometimes, owner):
            if round_ % 2:
                end.listen(1, "s", None)
                end.listen(2, "s", "e")
                end.close_listener(2)
        for _ in range(3):
            place += 1
            trigger(owner, "s", "e", str(place).encode())
            trigger(owner, "s", "f", b"0")
        world.settle()
        for end in (sometimes, owner):
            end.close_listener(1)
    numbers = [(number, number) for number in range(1, 19)]
    assert counted(always) == numbers
    for end in (sometimes, owner):
        events = [(number, value) for number, value in counted(end) if value]
        assert events == [pair for pair in numbers if (pair[0] - 1) // 3 % 2]
        # Told again only where something was missed.
        assert len([news for news in end.news if isinstance(news, RouteOpened) and news.route.event == "e"]) <= 4


def test_who_listens_on_without_having_missed_anything_is_not_told_again() -> None:
    world, owner, a = owner_of("e")
    for number in range(3):
        a.listen(1, "s", "e")
        trigger(owner, "s", "e", str(number + 1).encode())
        world.settle()
        a.close_listener(1)
    assert counted(a) == [(1, 1), (2, 2), (3, 3)]
    assert len([news for news in a.news if isinstance(news, RouteOpened)]) == 1


def test_numbers_go_round_without_meeting_one_that_is_in_use() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    a.listen(1)
    server = world.server
    used = [*server.connections, *server.routes]
    assert len(set(used)) == len(used) == 4
    server._last_number = 0xFFFF_FFFD
    owner.add("t", "e", "f", "g")
    made = [route.id for route in server.routes.values() if route.sender == "t"]
    assert made == [0xFFFF_FFFE, 0xFFFF_FFFF, 5, 6]
    assert world.client().connection.number == 7
    trigger(owner, "s", "e", b"1")
    trigger(owner, "t", "f", b"2")
    world.settle()
    assert [value for _, value in a.heard()] == [1, 2]


# -- owners that nobody listens to ---------------------------------------------------------------


def test_who_listens_waits_until_owners_that_held_back_know(world: World) -> None:
    owner, a = Silent(world, "e", "f"), world.client()
    owner.trigger()
    e, f = owner.routes
    assert owner.told() == [(e, "none"), (f, "none")]
    listening = a.call(Listen(1, "s", None))
    again = a.call(Listen(2, "s", "e"))
    world.settle()
    assert owner.told() == [(e, "some"), (f, "some")]
    assert again.times == listening.times == 0
    owner.say_it_knows(e)
    world.settle()
    assert (listening.times, again.ok) == (0, None)
    owner.say_it_knows(f, f, e, e + 1000)  # more than need be, and one that has gone
    world.settle()
    assert listening.ok is None
    assert not owner.raw.connection.closed


def test_who_listens_does_not_wait_for_an_owner_that_says_nothing(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    listening = a.call(Listen(1, "s", "e"))
    world.settle()
    assert world.server.next_deadline() == world.now + world.limits.interest_timeout_s
    world.advance(world.limits.interest_timeout_s)
    assert listening.ok is None
    owner.say_it_knows(*owner.routes)
    world.settle()
    assert listening.times == 1


@pytest.mark.parametrize("enough", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_of_the_past_one_is_told_with_the_answer_or_refused(enough: bool, waits: bool) -> None:
    world = World(link_control_bytes=8000 if enough else 1000)
    silent, owner, a = Silent(world, "e"), world.client(), world.client()
    for name in "abcdef":
        owner.ask(AddSender(name, ["e"], retain=["e"]))
        trigger(owner, name, "e", b"1")
    if waits:
        silent.trigger()
    answer = Answer()
    a.core.listen(Listen(1, None, "e", True), "listener", world.now, 30, answer)
    world.settle()
    assert answer.times == (not waits)
    world.advance(world.limits.interest_timeout_s)
    if enough:
        assert answer.ok is None
        (ready,) = [news for news in a.news if isinstance(news, ListenerReady)]
        assert [part.route.sender for part in ready.past if isinstance(part, Told)] == list("abcdef")
        owner.remove("a")
    else:
        assert isinstance(answer.error, Overloaded)
        assert not a.connection.subscriptions
        trigger(owner, "a", "e", b"2")
        assert not a.heard()


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_an_owner_that_knows_too_late_says_whether_it_has_held_something_back(late: bool, held: bool) -> None:
    world = World()
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    listening = a.call(Listen(1, "s", "e"))
    world.settle()
    if late:
        world.advance(world.limits.interest_timeout_s)
        assert listening.ok is None
    (route,) = owner.routes
    for _ in range(2):
        owner.raw.send(pack(Kind.INTEREST, encode_control(Interest("some", held=held)), route=route))
    world.settle()
    assert listening.ok is None
    told = [news for news in a.news if isinstance(news, Lost)]
    assert told == ([Lost(route, None, "lost_link")] if late and held else [])


@pytest.mark.parametrize("missed", [3, None])
def test_of_events_that_never_came_whoever_hears_them_is_told(missed: int | None) -> None:
    world = World()
    owner, a, deaf = Silent(world, "e"), world.client(), world.client()
    a.listen(1, "s", "e")
    deaf.listen(1, "other", "e")
    (route,) = owner.routes
    world.server.listening.miss(world.server.routes[route], missed)
    world.settle()
    assert [news for news in a.news if isinstance(news, Lost)] == [Lost(route, missed, "lost_link")]
    assert not [news for news in deaf.news if isinstance(news, Lost)]
    assert world.server.routes[route].next_seq == 1 + (missed or 0)
    assert world.server.routes[route].unsure_seq == (missed is None)


def test_a_listener_that_was_closed_while_it_waited_is_told_nothing(world: World) -> None:
    silent, a = Silent(world, "e"), world.client()
    silent.trigger()
    answer = Answer()
    a.core.listen(Listen(1, "s", None, True), "listener", world.now, 30, answer)
    a.close_listener(1)
    world.advance(world.limits.interest_timeout_s)
    assert answer.ok is None
    assert [news.past for news in a.news if isinstance(news, ListenerReady)] == [[]]


def test_who_listens_does_not_wait_for_an_owner_that_leaves(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    listening = a.call(Listen(1, "s", "e"))
    world.settle()
    owner.raw.hang_up()
    world.settle()
    assert listening.ok is None


def test_an_owner_is_told_again_when_the_last_has_left(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    a.call(Listen(1, "s", "e"))
    world.settle()
    a.call(Close(1))
    world.settle()
    owner.trigger()
    owner.trigger()
    listening = a.call(Listen(2, "s", "e"))
    world.settle()
    (route,) = owner.routes
    assert owner.told() == [(route, "none"), (route, "some"), (route, "none"), (route, "some")]
    owner.say_it_knows(route)
    world.settle()
    assert listening.times == 0, "what it knows is what it was told first"
    owner.say_it_knows(route)
    owner.trigger()
    world.settle()
    assert listening.ok is None
    assert len(a.heard()) == 1


def test_listeners_that_are_given_events_by_themselves_have_credit_and_deadlines(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    one.core.listen(Listen(1, "s", "e", max_wait_s=1.5, window=1), 1, world.now, 30, Answer())
    world.settle()
    for value in (b"1", b"2", b"3"):
        owner.core.owning.trigger("s", "e", value)
        world.settle()
    assert world.server.next_deadline() == world.now + 1.5
    one.core.grant(1, 1)
    world.settle()
    assert [value for _, value in one.heard()] == [1, 2]
    world.advance(1.5)
    assert [news.missed for news in one.news if isinstance(news, Lost)] == [1]
    # Its owner knows already that it is shared out.
    one.core.listen(Listen(2, "s", "e", group="g"), 2, world.now, 30, Answer())
    assert not world.server.listening._waiting


def test_whoever_listens_again_is_told_the_numbers_and_the_time() -> None:
    world = World()
    raw, owner = world.raw(), world.client()
    owner.add("s", "e")
    raw.send(pack(Kind.CALL, encode_control(Listen(1, "s", again=True, when=True)), route=1))
    route, result = raw.read()
    assert (route.kind, decode_control(RouteMessage, route.body).next_seq) == (Kind.ROUTE, 1)
    assert decode_control(Result[int], result.body).ok == int((world.now + 1_700_000_000) * 1e6)


def test_what_may_not_be_heard_or_triggered_is_nobodys() -> None:
    world = World()
    owner, guest = world.client(known_as="uid:1"), world.client()
    owner.add("s", "e", "f")
    govern(world, allow("uid:1", ["own", "trigger"]), allow("*", "listen", events="e"))
    guest.listen(1, "s")
    trigger(owner, "s", "e", b"1")
    trigger(owner, "s", "f", b"2")
    world.settle()
    assert [value for _, value in guest.heard()] == [1]
    govern(world, allow("uid:1", "own"), allow("*", "listen"))
    owner.core.owning._denied.clear()
    owner.core.owning.trigger("s", "e", b"3")
    world.settle()
    assert [value for _, value in guest.heard()] == [1]


def test_one_whose_link_is_lost_has_nobody_wait_and_counts_what_it_misses_as_others_do() -> None:
    world = World()
    owner, away = world.client(), world.client(offline=Offline("buffer", 1000, 30))
    owner.add("s", "e")
    away.core.listen(Listen(1, "s", "e", max_wait_s=20, window=1), "listener", world.now, 30, Answer())
    world.settle()
    connection = away.connection
    world.lose(away)
    trigger(owner, "s", "e", b"1")
    world.settle()
    (route,) = [route for route in world.server.routes.values() if route.event == "e"]
    assert (route.known_by[connection], connection.known[route]) == (True, 1)
    assert world.server.budget.used == 0
