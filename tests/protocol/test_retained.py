"""What senders retain reaches who comes later: the last value once, and from there on every event, whatever happens in
between, and however little there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, End, World, byte_by_byte
from reprs import Reprs

from sig.codecs import Codec, batch_decode
from sig.constants import Limits
from sig.errors import Denied, InvalidArgument, InvalidName, Overloaded
from sig.messages import AddSender, Close, Listen, Presence, RemoveSender
from sig.names import matches
from sig.protocol.bodies import Lost
from sig.protocol.client import EventsArrived, ListenerReady, RouteClosed, RouteOpened
from sig.protocol.events import unpack_events
from sig.protocol.offline import Offline
from sig.protocol.owning import CLOSED, UNHEARD
from sig.protocol.past import Past, Told
from sig.security.policy import Policy, allow

MUCH = 1 << 20


REPRS = Reprs()


def value(end: End, told: Told) -> object:
    assert told.frame is not None
    batch = unpack_events(told.frame)
    (found,) = batch_decode(end.core.codecs[told.route.codec], batch.payloads, batch.lens, 1)
    return found


def seen(end: End, past: Past) -> list[object]:
    """What is told: of presence the sender; of an event what it is of, its number, its value or why it is missing."""
    return [
        part.sender
        if isinstance(part, Presence)
        else (part.route.sender, part.route.event, part.route.next_seq, part.reason or value(end, part))
        for part in past
    ]


def ask_listen(end: End, number: int, sender: str | None = None, event: str | None = None) -> Answer:
    answer = Answer()
    end.core.listen(Listen(number, sender, event, True), number, end.world.now, 30, answer)
    return answer


def listen(end: End, number: int, sender: str | None = None, event: str | None = None) -> list[object]:
    """What a listener is told of the past."""
    answer = ask_listen(end, number, sender, event)
    end.world.settle()
    assert answer.ok is None
    (ready,) = [news for news in end.news if isinstance(news, ListenerReady) and news.listener == number]
    return seen(end, ready.past)


def last(end: End, sender: str, event: str) -> object:
    answer = Answer()
    end.core.last(sender, event, end.world.now, 30, answer)
    end.world.settle()
    told = answer.ok
    return None if told is None else seen(end, [told])[0]  # type: ignore[list-item]  # else seen fails


def add(end: End, name: str, *events: str, retain: Sequence[str]) -> None:
    end.ask(AddSender(name, list(events), retain=list(retain)))


def trigger(end: End, sender: str, event: str, *payloads: bytes) -> None:
    for payload in payloads:
        end.core.owning.trigger(sender, event, payload)
    end.world.settle()


@pytest.fixture
def world() -> World:
    return World(cut=byte_by_byte)


def test_who_comes_late_is_told_the_last_value_and_who_is_there(world: World) -> None:
    owner, late = world.client(), world.client()
    add(owner, "a", "e", "f", "g", retain=["e", "g"])
    add(owner, "b", "e", retain=[])
    trigger(owner, "a", "e", b"1", b"2", b"3")
    trigger(owner, "a", "f", b"1")
    trigger(owner, "b", "e", b"1")
    assert listen(late, 1) == ["a", ("a", "e", 3, 3), "b"]
    assert listen(late, 2, "*", "e") == [("a", "e", 3, 3)]
    assert listen(late, 3, "b") == ["b"]
    assert listen(late, 4, "nobody", "#connect") == []
    assert listen(owner, 1, "a", "#connect") == ["a"]
    assert not late.heard()  # all of it was for one listener alone
    trigger(owner, "a", "e", b"4")
    assert listen(late, 5, "a", "e") == [("a", "e", 4, 4)]
    assert [number for _, number in late.heard()] == [4]


def test_a_value_is_kept_out_of_every_kind_of_frame(world: World) -> None:
    owner, other, late = world.client(), world.client(), world.client()
    add(owner, "a", "e", "f", "g", retain=["e", "f"])
    other.listen(1, "a", "f")  # e and f are heard by different clients: frames are taken apart
    for event, payload in [("e", b"1"), ("g", b"1"), ("f", b"1"), ("e", b"2"), ("f", b"2")]:
        owner.core.owning.trigger("a", event, payload)
    world.settle()
    assert listen(late, 1, "a", "**") == [("a", "e", 2, 2), ("a", "f", 2, 2)]


def test_who_is_back_behind_another_that_retains_has_its_values() -> None:
    world = World()
    owner, late = world.client(offline=Offline("buffer", 1000, 30)), world.client()
    add(owner, "a", "e", "f", retain=["e", "f"])
    trigger(owner, "a", "e", b"1")
    world.lose(owner)
    world.come_back(owner)
    add(owner, "b", "e", retain=["e"])
    add(owner, "a", "e", "f", retain=["e", "f"])
    owner.core.restored(world.now)
    world.settle()
    assert listen(late, 1, "*", "e") == [("a", "e", 1, 1)]
    for name in ("a", "b"):
        owner.ask(RemoveSender(name))
    world.settle()
    assert world.server.budget.used == 0


def test_the_last_value_can_be_asked_for(world: World) -> None:
    owner, late = world.client(), world.client()
    assert last(late, "a", "e") is None
    add(owner, "a", "e", "f", retain=["e"])
    assert last(late, "a", "e") is None
    trigger(owner, "a", "e", b"1", b"2")
    trigger(owner, "a", "f", b"1")
    assert last(late, "a", "e") == ("a", "e", 2, 2)
    assert last(owner, "a", "e") == ("a", "e", 2, 2)
    assert last(late, "a", "f") is None
    with pytest.raises(InvalidName):
        last(late, "", "e")
    with pytest.raises(InvalidName):
        last(late, "a", "*")


def test_the_time_is_that_of_the_event(world: World) -> None:
    owner, late = world.client(), world.client()
    add(owner, "a", "e", retain=["e"])
    trigger(owner, "a", "e", b"1")
    world.advance(7)
    answer = Answer()
    late.core.last("a", "e", world.now, 30, answer)
    world.settle()
    assert isinstance(answer.ok, Told)
    assert answer.ok.frame is not None
    assert unpack_events(answer.ok.frame).time_us == 1_700_001_000_000_000
    assert answer.ok.route.incarnation


def test_a_sender_takes_its_values_along(world: World) -> None:
    owner, late = world.client(), world.client()
    before = world.server.budget.used
    for leave in (lambda: owner.remove("a"), lambda: world.lose(owner)):
        add(owner, "a", "e", "f", retain=["e"])
        trigger(owner, "a", "e", b"1")
        assert world.server.budget.used > before
        assert last(late, "a", "e")
        leave()
        assert last(late, "a", "e") is None
        assert world.server.budget.used == before


def test_only_own_events_can_be_retained(world: World) -> None:
    owner = world.client()
    with pytest.raises(InvalidArgument, match="'a' cannot retain 'f': it is not among its events"):
        add(owner, "a", "e", retain=["e", "f"])
    assert last(owner, "a", "e") is None


def test_an_owner_of_what_is_retained_is_never_told_to_hold_back(world: World) -> None:
    owner, late = world.client(), world.client()
    told: dict[str, list[int]] = {"e": [], "f": []}
    for event, routes in told.items():
        owner.core.owning.outlet("a", event, routes.append)
    add(owner, "a", "e", "f", retain=["e"])
    for payload in (b"1", b"2"):
        trigger(owner, "a", "e", payload)
        trigger(owner, "a", "f", payload)
    assert UNHEARD not in told["e"]
    assert UNHEARD in told["f"]
    assert listen(late, 1, "a", "e") == [("a", "e", 2, 2)]


# -- what there is no room for ----------------------------------------------------------------------


def test_of_too_much_those_lose_their_oldest_who_retain_most() -> None:
    world = World(memory_bytes=80_000)  # of which values take a quarter
    greedy, modest, late = world.client(), world.client(), world.client()
    add(modest, "m", "e", retain=["e"])
    trigger(modest, "m", "e", b"1")
    events = [f"e{number}" for number in range(40)]
    add(greedy, "g", *events, retain=events)
    for event in events:
        trigger(greedy, "g", event, b'"%s"' % (b"x" * 800))
    assert last(late, "m", "e") == ("m", "e", 1, 1)
    told = listen(late, 1, "g", "**")
    assert told[0] == ("g", "e0", 1, "too_big")
    assert told[-1] == ("g", "e39", 1, "x" * 800)
    missing = sum(row[3] == "too_big" for row in told if isinstance(row, tuple))
    assert 10 < missing < 30
    assert 0 < world.server.budget.used <= 20_000
    # A new value of the first is kept, for which the next oldest goes.
    trigger(greedy, "g", "e0", b"2")
    assert last(late, "g", "e0") == ("g", "e0", 2, 2)


def test_a_value_larger_than_a_receiver_takes_is_told_as_missing() -> None:
    world = World()
    owner, small = world.client(), world.client(limits=Limits.of(max_frame_bytes=600))
    add(owner, "a", "e", "f", retain=["e", "f"])
    trigger(owner, "a", "e", b'"%s"' % (b"x" * 1000))
    trigger(owner, "a", "f", b"1")
    assert listen(small, 1, "a", "**") == [("a", "e", 1, "too_big"), ("a", "f", 1, 1)]
    assert last(small, "a", "e") == ("a", "e", 1, "too_big")
    assert not small.core.closed


def test_names_too_long_for_a_receiver_cost_the_list_and_not_the_link() -> None:
    world = World()
    owner, small = world.client(), world.client(limits=Limits.of(max_frame_bytes=600))
    add(owner, "a", *[f"event/{number}" for number in range(100)], retain=[])
    assert listen(small, 1, "a", "#connect") == ["a"]


def test_each_codec_gets_the_value_or_learns_that_it_cannot_have_it() -> None:
    world = World(codec=["json", REPRS])
    owner, late = world.client(codec=REPRS), world.client(codec="json")
    add(owner, "a", "e", "f", "g", retain=["e", "f", "g"])
    trigger(owner, "a", "e", b"[1, None, 'x']")
    trigger(owner, "a", "f", b"1j")  # which JSON has not
    trigger(owner, "a", "g", b"?")
    assert listen(late, 1, "a", "**") == [("a", "e", 1, [1, None, "x"]), ("a", "f", 1, "codec"), ("a", "g", 1, "codec")]
    assert last(late, "a", "e") == ("a", "e", 1, [1, None, "x"])
    assert listen(world.client(codec=REPRS), 1, "a", "f") == [("a", "f", 1, 1j)]


def test_more_than_can_be_said_at_once_is_refused_and_nothing_is_left() -> None:
    world = World(link_control_bytes=8000)
    owner, late = world.client(), world.client()
    for number in range(30):
        add(owner, f"s{number}", "e", retain=["e"])
        trigger(owner, f"s{number}", "e", b"1")
    answer = ask_listen(late, 1)
    world.settle()
    with pytest.raises(Overloaded, match="narrower patterns"):
        assert answer.ok
    assert not late.core.closed
    assert not [news for news in late.news if isinstance(news, ListenerReady)]
    trigger(owner, "s0", "e", b"2")
    assert not late.heard()
    assert listen(late, 1, "s0") == ["s0", ("s0", "e", 2, 2)]  # the number is free again


def test_so_it_is_where_the_answer_had_to_wait() -> None:
    world = World(link_control_bytes=8000)
    owner, late = world.client(), world.client()
    add(owner, "held/back", "e", retain=[])
    trigger(owner, "held/back", "e", b"1")
    for number in range(30):
        add(owner, f"s{number}", "e", retain=["e"])
        trigger(owner, f"s{number}", "e", b"1")
    answer = ask_listen(late, 1)
    world.settle()
    with pytest.raises(Overloaded, match="narrower patterns"):
        assert answer.ok


def test_a_listener_that_was_closed_before_its_answer_is_told_nothing() -> None:
    world = World()
    owner, late = world.client(), world.client()
    add(owner, "a", "e", "f", retain=["f"])
    trigger(owner, "a", "f", b"1")
    trigger(owner, "a", "e", b"1")  # which nobody hears: the owner is told to hold back
    world.ends.remove(owner)
    answer = ask_listen(late, 1, "a")
    late.call(Close(1))
    world.settle()
    assert not answer.times
    world.ends.append(owner)
    world.settle()
    assert answer.ok is None
    (ready,) = [news for news in late.news if isinstance(news, ListenerReady)]
    assert ready.past == []


def test_nobody_is_told_what_he_may_not_hear() -> None:
    world = World()
    owner, late = world.client(), world.client()
    add(owner, "a", "e", "f", retain=["e", "f"])
    trigger(owner, "a", "e", b"1")
    trigger(owner, "a", "f", b"1")
    world.server.govern(
        Policy([allow("*", ["own", "trigger"]), allow("*", "listen", "a", events="f")]), None, world.now
    )
    assert listen(late, 1) == [("a", "f", 1, 1)]
    for sender in ("a", "nobody"):
        with pytest.raises(Denied, match=f"you may not ask for event 'e' of sender '{sender}': no rule allows it"):
            last(late, sender, "e")


def test_what_may_not_be_triggered_is_not_retained() -> None:
    world = World()
    owner, late = world.client(), world.client()
    add(owner, "a", "e", retain=["e"])
    trigger(owner, "a", "e", b"1")
    owner.core.owning.trigger("a", "e", b"2")  # under way when the right is taken away
    world.server.govern(Policy([allow("*", ["own", "listen"])]), None, world.now)
    world.settle()
    assert last(late, "a", "e") == ("a", "e", 1, 1)


# -- all of it, in any order -------------------------------------------------------------------------

NAMES = ("a", "lab/1")
RETAINED = ("e", "x/y")
EVENTS = (*RETAINED, "f")
Life = tuple[str, str, int]


class Listener:
    """What one listener was told: of each life of each event the numbers, from and to; and who came and went."""

    def __init__(self, selector: tuple[str | None, str | None]) -> None:
        self.selector = selector
        self.ready = self.open = False
        self.first: dict[Life, int] = {}
        self.got: dict[Life, list[tuple[int, int]]] = {}
        self.presence: dict[str, list[str]] = {}

    def hears(self, sender: str, event: str) -> bool:
        return self.ready and self.open and matches(self.selector[0], sender) and matches(self.selector[1], event)

    def come(self, event: str, sender: str) -> None:
        self.presence.setdefault(sender, []).append(event)

    def check(self, accepted: dict[Life, int], here: dict[str, int]) -> None:
        """`accepted` counts the events of each life; `here` has the incarnations of the senders that are there."""
        for life, got in self.got.items():
            first = self.first.get(life, 0) if life[1] in RETAINED else got[0][0] - 1
            place = first
            for begin, end in got:
                assert begin == place + 1, f"{life}: {first}, then {got}"
                place = end
            if self.open:
                assert place == accepted[life], f"{life}: {first}, then {got}"
        for life, first in self.first.items():
            assert life[1] in RETAINED
            if self.open and life not in self.got:
                assert first == accepted[life]
        for sender, seen in self.presence.items():
            assert seen == ["#connect", "#disconnect"] * (len(seen) // 2) + ["#connect"] * (len(seen) % 2)
            if self.open:
                assert len(seen) % 2 == (sender in here)


class Reader:
    """A client whose bytes arrive in pieces, when the test says so."""

    def __init__(self, chaos: Chaos, codec: object, limits: Limits) -> None:
        self.chaos = chaos
        self.end = chaos.world.client(codec=codec, limits=limits)
        chaos.world.ends.remove(self.end)
        self.listeners: list[Listener] = []
        self.routes: dict[int, tuple[Life, int]] = {}  # with the number of the next event
        self.codecs: dict[int, Codec] = {}

    def listen(self, selector: tuple[str | None, str | None], initial: bool) -> None:
        listener = Listener(selector)
        listener.open = initial
        self.listeners.append(listener)
        now = self.chaos.world.now
        self.end.core.listen(Listen(len(self.listeners), *selector, initial), listener, now, 30, Answer())

    def close(self, place: int) -> None:
        if place < len(self.listeners) and self.listeners[place].open:
            self.listeners[place].open = False
            self.end.call(Close(place + 1))

    def take(self) -> None:
        for news in self.end.core.take_news():
            if isinstance(news, ListenerReady):
                assert isinstance(news.listener, Listener)
                news.listener.ready = True
                self.begin(news.listener, news.past)
            elif isinstance(news, Presence):
                for listener in self.listeners:
                    if listener.hears(news.sender, news.event):
                        listener.come(news.event, news.sender)
            elif isinstance(news, RouteOpened):
                route = news.route
                self.routes[news.number] = (route.sender, route.event or "", route.incarnation), route.next_seq
                self.codecs[news.number] = self.end.core.codecs[route.codec]
            elif isinstance(news, RouteClosed):
                del self.routes[news.number]
            elif isinstance(news, Lost):
                assert news.missed
                self.count(news.route, news.missed)
            elif isinstance(news, EventsArrived):
                batch, count = unpack_events(news.frame), news.frame.count
                routes = batch.routes or (news.frame.route,) * count
                values = batch_decode(self.codecs[routes[0]], batch.payloads, batch.lens, count)
                for number, found in zip(routes, values, strict=True):
                    assert isinstance(found, list)
                    assert found[0] == self.routes[number][1]
                    self.count(number, 1)

    def begin(self, listener: Listener, past: Past) -> None:
        for part in past:
            if isinstance(part, Presence):
                listener.come(part.event, part.sender)
                continue
            route = part.route
            life = route.sender, route.event or "", route.incarnation
            assert life not in listener.first
            listener.first[life] = route.next_seq
            if part.frame is None:
                assert self.chaos.tight
                continue
            found = value(self.end, part)
            assert isinstance(found, list)
            assert found[0] == route.next_seq

    def count(self, number: int, events: int) -> None:
        life, expected = self.routes[number]
        self.routes[number] = life, expected + events
        for listener in self.listeners:
            if listener.hears(life[0], life[1]):
                listener.got.setdefault(life, []).append((expected, expected + events - 1))


class Chaos:
    """An owner that holds back what nobody hears, and readers; each step is one of a program's."""

    def __init__(self, codecs: Sequence[object], limits: Sequence[dict[str, int]], **server: float) -> None:
        self.tight = any(limits) or min(server.values()) < MUCH  # there is not room for everything
        self.world = World(codec=["json", REPRS], **server)
        self.owner = self.world.client(codec=codecs[-1])
        self.world.ends.remove(self.owner)
        self.pipes: dict[tuple[End, bool], bytes] = {}
        self.numbers: dict[tuple[str, str], list[int]] = {}  # route, events
        self.answers: dict[str, Answer] = {}
        self.left: dict[str, Answer] = {}
        self.accepted: dict[Life, int] = {}
        self.readers = [Reader(self, codec, Limits.of(**more)) for codec, more in zip(codecs, limits, strict=False)]

    def ends(self) -> list[End]:
        return [self.owner, *(reader.end for reader in self.readers)]

    def carry(self, which: int, up: bool, size: int) -> bool:
        """So many bytes over one link, in one direction; whether there were any."""
        end = self.ends()[which % len(self.ends())]
        source = end.core if up else end.connection
        data = self.pipes.get((end, up), b"") + source.data_to_send(1 if size < MUCH else MUCH)
        part, self.pipes[end, up] = data[:size], data[size:]
        if up:
            self.world.server.receive_data(end.connection, part, self.world.now)
        else:
            end.core.receive_at(part, self.world.now)
        assert not end.core.closed, end.core.error
        assert not end.connection.closed, end.connection.error
        for reader in self.readers:
            reader.take()
        return bool(part)

    def come(self, name: str) -> None:
        if name in self.answers or (self.left.get(name) is not None and not self.left[name].times):
            return
        for event in EVENTS:
            counted = self.numbers[name, event] = [CLOSED, 0]
            self.owner.core.owning.outlet(name, event, lambda route, counted=counted: counted.__setitem__(0, route))
        self.answers[name] = self.owner.call(AddSender(name, list(EVENTS), retain=list(RETAINED)))

    def leave(self, name: str) -> None:
        answer = self.answers.get(name)
        if answer is None or not answer.times:
            return  # not there yet
        self.note(name)
        del self.answers[name]
        self.owner.core.owning.close_outlets(name, EVENTS)
        self.left[name] = self.owner.call(RemoveSender(name))

    def note(self, name: str) -> None:
        incarnation = self.answers[name].ok
        assert isinstance(incarnation, int)
        for event in EVENTS:
            self.accepted[name, event, incarnation] = self.numbers[name, event][1]

    def trigger(self, name: str, event: str, longer: int, times: int) -> None:
        counted = self.numbers.get((name, event), [CLOSED, 0])
        for _ in range(times if name in self.answers and counted[0] not in (CLOSED, UNHEARD) else 0):
            counted[1] += 1
            self.owner.core.owning.trigger(name, event, self.owner.core.codec.encode([counted[1], "x" * longer]))

    def listen(self, reader: int, selector: tuple[str | None, str | None], initial: bool) -> None:
        self.readers[reader % len(self.readers)].listen(selector, initial)

    def close(self, reader: int, place: int) -> None:
        self.readers[reader % len(self.readers)].close(place)

    def settle(self) -> None:
        ways = [(which, up) for which in range(len(self.ends())) for up in (True, False)]
        while sum(self.carry(which, up, MUCH) for which, up in ways):
            pass

    def finish(self) -> None:
        self.settle()
        here: dict[str, int] = {}
        for name, answer in self.answers.items():
            here[name] = answer.ok  # type: ignore[assignment]  # an int, as `note` finds out
            self.note(name)
        for reader in self.readers:
            assert not reader.end.core._pasts.lanes
            assert not reader.end.core._pasts._parts
            for listener in reader.listeners:
                listener.check(self.accepted, here)


SELECTORS = st.tuples(
    st.sampled_from([None, None, "a", "lab/*", "**"]), st.sampled_from([None, None, None, "e", "x/*", "f", "**"])
)
TRIGGER = st.tuples(
    st.just("trigger"), st.sampled_from(NAMES), st.sampled_from(EVENTS), st.sampled_from([0, 9, 700]), st.integers(1, 5)
)
CARRY = st.tuples(st.just("carry"), st.integers(0, 2), st.booleans(), st.sampled_from([1, 10, 50, 300, MUCH]))
PUBLISH = st.tuples(st.just("carry"), st.just(0), st.just(True), st.sampled_from([10, 50, 300, MUCH]))
LISTEN = st.tuples(st.just("listen"), st.integers(0, 1), SELECTORS, st.just(True))
CHANGE = st.one_of(
    LISTEN,
    st.tuples(st.just("close"), st.integers(0, 1), st.integers(0, 4)),
    st.tuples(st.just("come"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), st.sampled_from(NAMES)),
)
# Something is triggered, and some of it leaves; somebody comes, or something changes; and some of that gets through.
ROUND = st.tuples(
    TRIGGER, TRIGGER, PUBLISH, st.one_of(TRIGGER, LISTEN), st.one_of(PUBLISH, CHANGE), CARRY, st.one_of(CARRY, PUBLISH)
)
PROGRAMS = st.lists(ROUND, min_size=3, max_size=12).map(lambda some: [step for steps in some for step in steps])


@given(
    st.tuples(*[st.sampled_from(["json", "json", REPRS])] * 3),
    st.tuples(*[st.sampled_from([{}, {}, {"max_frame_bytes": 500}])] * 2),
    st.sampled_from([300, 2000, MUCH, MUCH]),
    st.sampled_from([5000, 20_000, MUCH * 16, MUCH * 16]),
    PROGRAMS,
)
def test_nothing_is_missed_between_the_past_and_the_present_and_nothing_is_told_twice(
    codecs: tuple[object, ...],
    limits: tuple[dict[str, int], ...],
    link_drop_bytes: int,
    memory_bytes: int,
    program: list[tuple[Any, ...]],
) -> None:
    chaos = Chaos(codecs, limits, link_drop_bytes=link_drop_bytes, memory_bytes=memory_bytes)
    for name in NAMES:
        chaos.come(name)
    chaos.settle()
    for what, *arguments in program:
        getattr(chaos, what)(*arguments)
    chaos.finish()
