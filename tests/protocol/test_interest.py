"""Owners hold back what nobody hears; and whoever listens hears all that is triggered once `listen` has returned.

Two real ends and pipes between them, which carry in any order: what a client of either face does with an outlet is
done here by `Owner`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, End, Raw, World
from protocol.recorded import FRAMES

from sig.errors import ConnectionLost, SenderNotConnected
from sig.messages import AddSender, Close, Interest, Listen, RemoveSender, Result, decode_control, encode_control
from sig.names import matches
from sig.protocol.bodies import Lost
from sig.protocol.client import EventsArrived, ListenerReady, RouteOpened
from sig.protocol.events import pack_batch, unpack_events
from sig.protocol.frames import Frame, Kind, pack
from sig.protocol.offline import Offline
from sig.protocol.owning import CLOSED, UNHEARD

EVENTS = ("e", "f")


class Owner:
    """A client with a sender, who sends as drivers do: not what nobody hears."""

    def __init__(self, world: World, name: str, **more: Any) -> None:
        self.world = world
        self.name = name
        self.end = world.client(**more)
        self.added: Answer | None = None
        self.routes: dict[str, int] = {}
        self.held: dict[str, bool] = {}

    @property
    def there(self) -> bool:
        return self.added is not None and self.added.times > 0

    def come(self) -> None:
        if self.added is None:
            for event in EVENTS:
                self.end.core.owning.outlet(self.name, event, partial(self._changed, event))
            self.added = self.end.call(AddSender(self.name, [*EVENTS]))

    def _changed(self, event: str, route: int) -> bool:
        self.routes[event] = route
        return self.held.pop(event, False)

    def leave(self) -> None:
        if self.there:
            self.end.core.owning.close_outlets(self.name, EVENTS)
            self.end.call(RemoveSender(self.name))
            self.added = None

    def lose(self) -> None:
        """The link goes down, with all that it still held; another comes up."""
        self.world.ends.remove(self.end)
        self.world.server.disconnected(self.end.connection, self.world.now)
        self.end.core.disconnected(ConnectionLost("the cable was pulled"))
        assert all(route == CLOSED for route in self.routes.values())
        self.added = None
        self.end = self.world.client(settle=False)
        self.world.carry_up(self.end)
        self.world.carry_down(self.end)
        assert self.end.core.opened

    def trigger(self, event: str, value: int) -> bool:
        """Whether the event was accepted, sent or not."""
        if not self.there:
            return False
        if self.routes[event] == UNHEARD:
            self.held[event] = True
        else:
            self.end.core.owning.trigger(self.name, event, b"%d" % value)
        return True


class Listener:
    """One `listen` of a client's: from its answer on it is owed everything."""

    def __init__(self, end: End, number: int, sender: str | None, event: str | None) -> None:
        self.end = end
        self.number = number
        self.sender = sender
        self.event = event
        self.answer = Answer()
        self.owed: list[int] = []
        self.closed = False
        end.core.listen(Listen(number, sender, event), self, end.world.now, 30, self.answer)

    @property
    def listening(self) -> bool:
        return self.answer.times > 0 and not self.closed

    def close(self) -> None:
        self.closed = True
        self.end.call(Close(self.number))

    def heard(self) -> Iterator[int]:
        """What it has been given: from the place where it was ready."""
        routes: dict[int, tuple[str, str | None]] = {}
        ready = False
        for news in self.end.news:
            if isinstance(news, RouteOpened):
                routes[news.number] = news.route.sender, news.route.event
            elif isinstance(news, ListenerReady) and news.listener is self:
                ready = True
            elif isinstance(news, EventsArrived) and ready:
                batch = unpack_events(news.frame)
                values = self.end.core.codec.decode_many(batch.payloads, batch.lens, news.frame.count)
                for route, value in zip(batch.routes or (news.frame.route,) * len(values), values, strict=True):
                    sender, event = routes[route]
                    if matches(self.sender, sender) and matches(self.event, event or ""):
                        assert isinstance(value, int)
                        yield value


# -- whatever happens ----------------------------------------------------------------------------

WHO = st.integers(0, 3)
ACTIONS = st.one_of(
    st.tuples(st.just("trigger"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("listen"), WHO, st.integers(0, 3)),
    st.tuples(st.just("close"), st.integers(0, 9)),
    st.tuples(st.just("up"), WHO),
    st.tuples(st.just("down"), WHO),
    st.tuples(st.sampled_from(["come", "leave", "lose"]), st.integers(0, 1)),
)
SELECTORS = ((None, None), ("a", "e"), ("b", None), ("*", "f"))


@given(st.lists(ACTIONS, max_size=80))
def test_whatever_is_triggered_after_listen_has_returned_arrives(actions: list[tuple[str, int, int]]) -> None:
    world = World()
    owners = [Owner(world, "a"), Owner(world, "b")]
    others = [world.client(), world.client()]
    for owner in owners:
        owner.come()
    world.settle()
    listeners: list[Listener] = []
    sent: dict[int, Owner] = {}

    def end(who: int) -> End:
        return owners[who].end if who < 2 else others[who - 2]

    for number, (what, who, *more) in enumerate(actions):
        if what == "trigger":
            owner, event = owners[who], EVENTS[more[0]]
            if owner.trigger(event, number):
                sent[number] = owner
                for listener in listeners:
                    if listener.listening and matches(listener.sender, owner.name) and matches(listener.event, event):
                        listener.owed.append(number)
        elif what == "listen":
            listeners.append(Listener(end(who), number, *SELECTORS[more[0]]))
        elif what == "close":
            for listener in [listener for listener in listeners if listener.listening][who : who + 1]:
                listener.close()
        elif what == "up":
            world.carry_up(end(who))
        elif what == "down":
            world.carry_down(end(who))
        elif what == "lose":
            # What is under way may be lost, both what it has triggered and what it was to hear.
            listeners = [listener for listener in listeners if listener.end is not owners[who].end]
            for listener in listeners:
                listener.owed = [value for value in listener.owed if sent[value] is not owners[who]]
            owners[who].lose()
        else:
            getattr(owners[who], what)()
    world.settle()
    for listener in listeners:
        assert listener.answer.ok is None
        heard = list(listener.heard())
        assert len(set(heard)) == len(heard)
        assert [value for value in heard if value in listener.owed] == listener.owed
        for owner in owners:
            of_one = [value for value in heard if sent[value] is owner]
            assert of_one == sorted(of_one)
    assert world.due is None
    assert [made.core.outgoing.size for made in world.ends] == [0] * len(world.ends)


# -- one after the other -------------------------------------------------------------------------


def losses(end: End) -> list[tuple[int | None, str]]:
    return [(news.missed, news.reason) for news in end.news if isinstance(news, Lost)]


def unheard(world: World, **more: Any) -> Owner:
    """A sender that has been told that nobody listens."""
    owner = Owner(world, "s", **more)
    owner.come()
    world.settle()
    owner.trigger("e", 0)
    world.settle()
    assert owner.routes["e"] == UNHEARD
    return owner


def interest(frame: Frame) -> str:
    return decode_control(Interest, frame.body).state


def owning(raw: Raw, *events: str) -> list[int]:
    """Let the test's own client hold "s"; returns the routes of the events."""
    raw.send(pack(Kind.CALL, encode_control(AddSender("s", list(events))), route=1))
    return [frame.route for frame in raw.read() if frame.kind == Kind.ROUTE][: len(events)]


def send(raw: Raw, route: int, value: int) -> None:
    raw.send(pack_batch(route, [b"%d" % value], lens=False, lines=True))


def confirm(raw: Raw, route: int, *, held: bool = False) -> None:
    raw.send(pack(Kind.INTEREST, encode_control(Interest("some", held=held)), route=route))


def asked(raw: Raw) -> list[tuple[int, str]]:
    return [(frame.route, interest(frame)) for frame in raw.read() if frame.kind == Kind.INTEREST]


def test_an_owner_is_told_once_that_nobody_listens_when_it_has_sent_something() -> None:
    world = World()
    raw = world.raw()
    e, f = owning(raw, "e", "f")
    assert asked(raw) == []
    for value in range(3):
        send(raw, e, value)
    raw.send(pack_batch(0, [b"1", b"2"], lens=True, lines=True, routes=[e, f]))
    assert asked(raw) == [(e, "none"), (f, "none")]


def test_what_owners_are_told_is_as_recorded() -> None:
    world = World(send_window_bytes=44)
    raw = world.raw()
    (e,) = owning(raw, "e")
    raw.read()

    def told() -> list[bytes]:
        """As if the route were the recorded one."""
        return [pack(frame.kind, frame.body, route=5 if frame.route == e else frame.route) for frame in raw.read()]

    send(raw, e, 10)  # 22 bytes with its header: half of what it may send
    assert told() == [FRAMES["credit: what a frame took"], FRAMES["interest: none"]]
    Listener(world.client(), 1, "s", "e")
    world.settle()
    assert told() == [FRAMES["interest: some"]]


def test_whoever_listens_then_is_answered_when_the_owner_has_confirmed() -> None:
    world = World()
    raw, a = world.raw(), world.client()
    e, f = owning(raw, "e", "f")
    send(raw, e, 0)
    send(raw, f, 0)
    raw.read()
    listener = Listener(a, 1, "s", None)
    world.settle()
    assert asked(raw) == [(e, "some"), (f, "some")]
    confirm(raw, e)
    send(raw, e, 1)
    world.settle()
    assert listener.answer.times == 0
    confirm(raw, f)
    world.settle()
    assert listener.answer.ok is None
    send(raw, f, 2)
    world.settle()
    assert list(listener.heard()) == [2]


def test_who_comes_while_others_wait_for_an_owner_waits_with_them() -> None:
    world = World()
    raw, a, b = world.raw(), world.client(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 0)
    listeners = [Listener(end, 1, "s", "e") for end in (a, b)]
    world.settle()
    assert asked(raw) == [(e, "none"), (e, "some")]
    assert [listener.answer.times for listener in listeners] == [0, 0]
    confirm(raw, e)
    world.settle()
    assert [listener.answer.times for listener in listeners] == [1, 1]


def test_each_time_that_it_is_asked_an_owner_has_to_confirm() -> None:
    """A confirmation of the first time must not be taken for one of the second: between them it held back again."""
    world = World()
    raw, a = world.raw(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 0)
    first = Listener(a, 1, "s", "e")
    world.settle()
    first.close()
    world.settle()
    send(raw, e, 1)  # under way before it knew
    second = Listener(a, 2, "s", "e")
    world.settle()
    assert asked(raw) == [(e, "none"), (e, "some"), (e, "none"), (e, "some")]
    confirm(raw, e)
    world.settle()
    assert second.answer.times == 0
    confirm(raw, e)
    world.settle()
    assert second.answer.ok is None


@pytest.mark.parametrize("how", ["leaves", "is lost"])
def test_nobody_waits_for_an_owner_that_has_gone(how: str) -> None:
    world = World()
    raw, a = world.raw(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 0)
    listener = Listener(a, 1, "s", "e")
    world.settle()
    assert listener.answer.times == 0
    if how == "leaves":
        raw.send(pack(Kind.CALL, encode_control(RemoveSender("s")), route=2))
    else:
        raw.hang_up()
    world.settle()
    assert listener.answer.ok is None
    assert world.due is None


def test_an_owner_that_never_confirms_holds_listeners_up_for_so_long_and_others_not_at_all() -> None:
    world = World(interest_timeout_s=4)
    mute, a = world.raw(), world.client()
    owner = Owner(world, "t")
    owner.come()
    world.settle()
    (e,) = owning(mute, "e")
    send(mute, e, 0)
    owner.trigger("e", 0)
    world.settle()
    assert owner.routes["e"] == UNHEARD
    listener, beside = Listener(a, 1, None, "e"), Listener(a, 2, "t", "e")
    world.settle()
    assert (listener.answer.times, beside.answer.times) == (0, 1)
    world.advance(3.5)
    assert listener.answer.times == 0
    assert world.due == 1004
    world.advance(0.5)
    assert listener.answer.ok is None
    assert world.due is None
    owner.trigger("e", 1)
    world.settle()
    send(mute, e, 2)  # it may send all the same
    world.settle()
    assert list(listener.heard()) == [1, 2]
    confirm(mute, e)  # too late, and of no effect
    world.settle()
    assert listener.answer.times == 1


def test_a_confirmation_that_nobody_waits_for_is_nothing_and_none_in_advance() -> None:
    world = World()
    raw, a = world.raw(), world.client()
    (e,) = owning(raw, "e")
    confirm(raw, e)
    confirm(raw, 9999)  # a sender that has left meanwhile
    assert not raw.connection.closed
    send(raw, e, 0)
    listener = Listener(a, 1, "s", "e")
    world.settle()
    assert listener.answer.times == 0


def test_a_confirmation_of_what_is_anothers_ends_the_link() -> None:
    world = World()
    raw, other = world.raw(), world.raw()
    (e,) = owning(raw, "e")
    confirm(other, e)
    assert "which is not its own" in other.last_words()


def test_who_left_while_it_waited_is_not_missed() -> None:
    world = World()
    raw, a, b = world.raw(), world.client(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 0)
    Listener(a, 1, "s", "e")
    stays = Listener(b, 1, "s", "e")
    world.settle()
    world.lose(a)
    confirm(raw, e)
    world.settle()
    assert stays.answer.ok is None


def test_what_a_listener_hears_before_it_is_answered_is_not_its_own_yet() -> None:
    """Its events may come before the answer; they belong to whoever listened before."""
    world = World()
    sending, mute, a = world.raw(), world.raw(), world.client()
    (e,) = owning(mute, "e")
    send(mute, e, 0)
    sending.send(pack(Kind.CALL, encode_control(AddSender("t", ["e"])), route=1))
    route = next(frame.route for frame in sending.read() if frame.kind == Kind.ROUTE)
    first = Listener(a, 1, "t", "e")
    world.settle()
    second = Listener(a, 2, None, "e")
    world.settle()
    send(sending, route, 1)
    world.settle()
    assert (list(first.heard()), list(second.heard()), second.answer.times) == ([1], [], 0)
    confirm(mute, e)
    send(sending, route, 2)
    world.settle()
    assert (list(first.heard()), list(second.heard()), second.answer.ok) == ([1, 2], [2], None)


def test_an_owner_that_never_confirms_does_not_fill_the_servers_memory() -> None:
    world = World()
    mute, raw = world.raw(), world.raw()
    (e,) = owning(mute, "e")
    send(mute, e, 0)
    for number in range(100):
        raw.send(
            pack(Kind.CALL, encode_control(Listen(1, "s", "e")), route=2 * number),
            pack(Kind.CALL, encode_control(Close(1)), route=2 * number + 1),
        )
        mute.send(pack(Kind.PING, b"12345678"))  # it lives
        world.advance(10)
    answers = [frame for frame in raw.read() if frame.kind == Kind.RESULT]
    assert len(answers) == 200
    assert decode_control(Result[object], answers[-1].body).ok in (None, True)
    route = world.server.routes[e]
    assert len(route.waiting) <= 1


def test_an_outlet_of_a_closed_sender_raises_and_holds_nothing_back() -> None:
    world = World()
    owner = Owner(world, "s")
    owner.come()
    world.settle()
    owner.trigger("e", 0)
    world.settle()
    owner.leave()
    assert owner.routes == {"e": CLOSED, "f": CLOSED}
    with pytest.raises(SenderNotConnected):
        owner.end.core.owning.trigger("s", "e", b"1")


# -- owners that are out of reach ----------------------------------------------------------------


def apart(world: World, end: End) -> None:
    """Nothing passes between the two, and neither knows."""
    world.ends.remove(end)


def together(world: World, end: End) -> None:
    world.ends.append(end)
    world.settle()


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_who_was_told_too_early_that_it_listens_is_told_that_it_missed_something(held: bool, grouped: bool) -> None:
    world = World(interest_timeout_s=5)
    owner, a = unheard(world), world.client()
    apart(world, owner.end)
    answer = Answer()
    listen = Listen(1, "s", "e", group="g" if grouped else None)
    a.core.listen(listen, "listener", world.now, 30, answer)
    world.settle()
    assert answer.times == 0
    world.advance(5)
    assert answer.ok is None
    for value in (1, 2) if held else ():
        owner.trigger("e", value)
    assert losses(a) == []
    together(world, owner.end)
    assert losses(a) == ([(None, "lost_link")] if held else [])
    owner.trigger("e", 3)
    world.settle()
    assert [value for _, value in a.heard()] == [3]
    assert world.due is None


def test_who_is_told_in_time_that_it_listens_missed_nothing() -> None:
    world = World(interest_timeout_s=5)
    owner, a = unheard(world), world.client()
    owner.trigger("e", 1)
    apart(world, owner.end)
    listener = Listener(a, 1, "s", "e")
    world.settle()
    world.advance(4)
    together(world, owner.end)
    assert listener.answer.ok is None
    assert losses(a) == []


def test_each_absence_is_told_of_by_itself() -> None:
    world = World(interest_timeout_s=5)
    owner, a, b = unheard(world), world.client(), world.client()
    for end, value in ((a, 1), (b, 2)):
        apart(world, owner.end)
        listener = Listener(end, value, "s", "e")
        world.settle()
        world.advance(5)
        owner.trigger("e", value)
        together(world, owner.end)
        assert losses(end) == [(None, "lost_link")]
        listener.close()
        owner.trigger("e", value)  # and is told that nobody listens
        world.settle()
        assert owner.routes["e"] == UNHEARD
    assert losses(a) == [(None, "lost_link")]


@pytest.mark.parametrize("held", [False, True])
def test_an_owner_that_comes_back_tells_what_it_held_back_before_it_knew_that_it_was_away(held: bool) -> None:
    world = World()
    owner, a = unheard(world, offline=Offline("buffer", 1000, 30)), world.client()
    apart(world, owner.end)
    world.server.disconnected(owner.end.connection, world.now)  # which the owner does not know
    listener = Listener(a, 1, "s", "e")
    world.settle()
    assert listener.answer.ok is None
    if held:
        owner.trigger("e", 1)
    owner.end.core.disconnected(ConnectionLost("the cable was pulled"))
    assert owner.routes["e"] == CLOSED
    owner.end.core.owning.keep("s", "e", b"2", world.now)
    world.come_back(owner.end)
    losses_told = owner.end.core.owning.losses(world.now)
    assert losses_told == ({"s": {"e": None}} if held else {})
    owner.end.ask(AddSender("s", [*EVENTS], lost=losses_told.get("s", {})))
    owner.end.core.restored(world.now)
    world.settle()
    assert losses(a) == ([(None, "lost_link")] if held else [])
    assert [value for _, value in a.heard()] == [2]
    assert owner.end.core.owning.losses(world.now) == {}


def test_a_sender_that_has_left_has_held_nothing_back() -> None:
    world = World()
    owner = unheard(world, offline=Offline("buffer", 1000, 30))
    owner.trigger("e", 1)
    world.lose(owner.end)
    world.come_back(owner.end)
    assert owner.end.core.owning.losses(world.now) == {"s": {"e": None}}
    owner.end.core.owning.close_outlets("s", EVENTS)
    assert owner.end.core.owning.losses(world.now) == {}


# -- listeners that come back --------------------------------------------------------------------


def back(end: End, group: str | None = None) -> Answer:
    """What it listened to is registered again: it is given all that comes from here on, before the answer, too."""
    answer = Answer()
    message = Listen(1, "s", "e", group=group, again=True)
    end.core.listen(message, "listener", end.world.now, 30, answer)
    end.world.settle()
    return answer


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("under_way", [False, True])
def test_who_is_back_hears_what_is_under_way_and_is_told_what_was_held_back_behind_that(
    under_way: bool, held: bool
) -> None:
    """The owner sends one more before it knows that nobody listens, and holds the next back before it knows better."""
    world = World()
    raw, a = world.raw(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 1)
    answer = back(a)
    assert asked(raw) == [(e, "none"), (e, "some")]
    if under_way:
        send(raw, e, 2)
    confirm(raw, e, held=held)
    send(raw, e, 4)
    world.settle()
    assert answer.ok is None
    assert [value for _, value in a.heard()] == ([2, 4] if under_way else [4])
    # Where nothing came in between, what it is told of the route tells of all before.
    assert losses(a) == ([(None, "lost_link")] if under_way and held else [])


def test_who_is_back_is_told_of_each_time_that_something_was_held_back_behind_what_it_heard() -> None:
    world = World()
    raw, a, b = world.raw(), world.client(), world.client()
    (e,) = owning(raw, "e")
    send(raw, e, 1)
    first = Listener(b, 1, "s", "e")
    world.settle()
    first.close()
    world.settle()
    send(raw, e, 2)
    back(a)
    send(raw, e, 3)
    assert asked(raw) == [(e, "none"), (e, "some"), (e, "none"), (e, "some")]
    confirm(raw, e, held=True)
    send(raw, e, 5)
    confirm(raw, e, held=True)
    send(raw, e, 7)
    world.settle()
    assert [value for _, value in a.heard()] == [3, 5, 7]
    assert losses(a) == [(None, "lost_link")] * 2


def test_an_owner_tells_what_it_held_back_behind_what_waits() -> None:
    """Else whoever hears what waits, and then what comes, would have been told too early of what was between them."""
    world = World()
    owner, a = Owner(world, "s"), world.client()
    owner.come()
    world.settle()
    owner.trigger("e", 1)
    world.settle()
    assert owner.routes["e"] == UNHEARD
    listener = Listener(world.client(), 1, "s", "e")
    world.settle()
    listener.close()
    world.settle()
    owner.trigger("e", 2)
    world.carry_up(owner.end)
    owner.end.core.outgoing.credit = 0  # the server takes no more for now
    owner.trigger("e", 3)
    world.carry_down(owner.end)
    assert owner.routes["e"] == UNHEARD
    owner.trigger("e", 4)
    back(a)
    assert owner.routes["e"] != UNHEARD
    owner.trigger("e", 5)
    owner.end.core.outgoing.credit = 1000
    world.settle()
    told = [
        news.missed if isinstance(news, Lost) else "heard" for news in a.news if isinstance(news, Lost | EventsArrived)
    ]
    assert [value for _, value in a.heard()] == [3, 5]
    assert told == ["heard", None, "heard"]
