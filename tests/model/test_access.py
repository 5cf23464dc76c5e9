"""Whatever the policy and whatever happens: on no path is anything delivered or answered that `allowed()` denies, and
nothing is withheld that it allows.

The oracle knows the rules alone. Real clients at the other end of pipes: what they were told is what counts. So that
this test can be believed, it must find every bypass that is planted below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, World
from protocol.test_absences import away
from protocol.who import make_access

from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.errors import Denied, SenderAlreadyConnected, SenderNotConnected, SigError
from sig.messages import AddSender, Close, Last, Listen, Presence, RemoveSender, Senders, Stats
from sig.names import matches
from sig.protocol.answering import RequestArrived
from sig.protocol.client import ClientCore, EventsArrived, ListenerReady, RouteClosed, RouteOpened
from sig.protocol.events import unpack_events
from sig.protocol.listening import Listening
from sig.protocol.parts import PartsIn
from sig.protocol.past import Told
from sig.protocol.requests import Requests
from sig.protocol.rights import Rights
from sig.protocol.server import ServerCore
from sig.security.identity import Identity
from sig.security.policy import Policy, Rule

PEOPLE = ("uid:1", "uid:2", "uid:3")
NAMES = ("a", "a/b", "c")
EVENTS = ("x", "y/z", "#news")
METHODS = ("get", "set")
SELECTORS = (None, *NAMES, "*", "a/*", "**")
HEARD = (None, *EVENTS, "*", "**", EVENT_CONNECT, EVENT_DISCONNECT)

Heard: TypeAlias = tuple[str, str, object]  # sender, event, value


class Seen(NamedTuple):
    """What one client has been told in one step."""

    events: list[Heard]
    shared: list[Heard]
    presence: list[tuple[str, str]]
    routes: list[tuple[str, str]]
    past: list[tuple[str, str]]
    asked: list[tuple[str, str]]


class Subscribed(NamedTuple):
    number: int
    sender: str | None
    event: str | None
    group: bool


class Asked(NamedTuple):
    """A request under way; `taken` where its answer comes in parts."""

    person: int
    name: str
    method: str
    answer: Answer
    taken: PartsIn | None
    arrived: RequestArrived

    @property
    def denied(self) -> bool:
        error = self.answer.error if self.taken is None else self.taken.error
        return isinstance(error, Denied)

    @property
    def waits(self) -> bool:
        return not (self.answer.times if self.taken is None else self.taken.over)

    def so_far(self) -> list[object]:
        found: list[object] = []
        while self.taken is not None and (some := self.taken.take()) is not None:
            found += some
        return found


class Play:
    """Three people and a server, and what must follow."""

    def __init__(self, *, reliable: bool = False) -> None:
        self.reliable = reliable
        self.absent: int | None = None
        self.policy = Policy([])
        self.world = World(access=make_access(policy=self.policy)[0])
        self.ends = [self.world.client(known_as=name, reliable=reliable, offline=away()) for name in PEOPLE]
        self.who = [Identity(name, source="carrier") for name in PEOPLE]
        self.routes: list[dict[int, Any]] = [{} for _ in PEOPLE]
        self.listens: list[list[Subscribed]] = [[] for _ in PEOPLE]
        self.owners: dict[str, int] = {}
        self.past: dict[tuple[str, str], bool] = {}
        self.numbers = 0
        self.arrived: list[RequestArrived] = []  # of all, the last is what was asked last
        self.asked: list[Asked] = []
        self.revoked: list[tuple[Asked, ClientCore]] = []  # and who may answer nevertheless

    def may(self, person: int, action: str, sender: str = "", name: str = "") -> bool:
        return self.policy.allowed(self.who[person], action, sender, name)

    def told(self, person: int) -> Seen:
        """Since this was asked last."""
        found = Seen([], [], [], [], [], [])
        end, routes = self.ends[person], self.routes[person]
        news, end.news = end.news, []
        for each in news:
            if isinstance(each, RouteOpened):
                routes[each.number] = each.route
                if not each.route.owner:
                    found.routes.append((each.route.sender, each.route.event or ""))
            elif isinstance(each, RouteClosed):
                routes.pop(each.number, None)
            elif isinstance(each, EventsArrived):
                batch = unpack_events(each.frame)
                values = end.core.codec.decode_many(batch.payloads, batch.lens, each.frame.count)
                numbers = batch.routes or (each.frame.route,) * each.frame.count
                for number, value in zip(numbers, values, strict=True):
                    route = routes[number]
                    here = found.shared if route.listener is not None else found.events
                    here.append((route.sender, route.event, value))
            elif isinstance(each, Presence):
                found.presence.append((each.sender, each.event))
            elif isinstance(each, ListenerReady):
                for part in each.past:
                    if isinstance(part, Told):
                        found.past.append((part.route.sender, part.route.event or ""))
                    else:
                        found.past.append((part.sender, part.event))
            elif isinstance(each, RequestArrived):
                found.asked.append((each.sender, each.request.method))
                self.arrived.append(each)
        # Of a group a listener has room for all: it says at once that it has begun.
        for listen in self.listens[person]:
            if listen.group and found.shared:
                end.core.grant(listen.number, len(found.shared))
        return found

    def after(self) -> list[Seen]:
        """What all were told; nothing of it is forbidden."""
        self.world.settle()
        told = [self.told(person) for person in range(len(PEOPLE))]
        self.world.settle()
        for person, one in enumerate(told):
            for sender, event, _ in (*one.events, *one.shared):
                assert self.may(person, "listen", sender, event), ("an event", person, sender, event)
            for what in (one.presence, one.routes, one.past):
                for sender, event in what:
                    assert self.may(person, "listen", sender, event), ("told of", person, sender, event)
        return told

    def hearing(self, person: int, sender: str, event: str, *, group: bool) -> bool:
        """Whether that one listens, and may."""
        wanted = [
            s
            for s in self.listens[person]
            if s.group is group and matches(s.sender, sender) and matches(s.event, event)
        ]
        return bool(wanted) and self.may(person, "listen", sender, event)

    # What happens

    def govern(self, policy: Policy) -> None:
        self.policy = policy
        self.world.server.govern(policy, None, self.world.now)
        for name, person in list(self.owners.items()):
            if not self.may(person, "own", name):
                self.gone(name)
        self.after()
        assert sorted(self.world.server.registry._senders) == sorted(self.owners), "a name that may not be owned"
        lost = [each for each in self.asked if not self.may(each.person, "request", each.name, each.method)]
        for each in lost:
            if each.person != self.absent:  # who is told as soon as it is back
                assert each.denied, ("a request that may not be asked goes on", each)
            self.asked.remove(each)
            self.revoked.append((each, self.ends[self.owners[each.name]].core))

    def gone(self, name: str) -> None:
        del self.owners[name]
        for event in EVENTS:
            self.past.pop((name, event), None)
        self.asked = [each for each in self.asked if each.name != name]
        self.revoked = [(each, core) for each, core in self.revoked if each.name != name]

    def ask(self, person: int, message: Any) -> Answer:
        answer = self.ends[person].call(message)
        self.world.settle()
        assert answer.times == 1
        return answer

    def add(self, person: int, name: str) -> None:
        answer = self.ask(person, AddSender(name, list(EVENTS), list(METHODS), retain=["x"]))
        allowed = self.may(person, "own", name)
        assert isinstance(answer.error, Denied) is not allowed, answer.error
        told = self.after()
        if allowed and name in self.owners:
            assert isinstance(answer.error, SenderAlreadyConnected)
        elif allowed:
            assert answer.error is None
            self.owners[name] = person
            self.check_presence(told, name, EVENT_CONNECT)

    def remove(self, person: int, name: str) -> None:
        answer = self.ask(person, RemoveSender(name))
        told = self.after()
        if self.owners.get(name) == person:
            assert answer.ok is True
            self.gone(name)
            self.check_presence(told, name, EVENT_DISCONNECT)
        elif not self.may(person, "own", name):
            assert str(answer.error) == f"you may not remove sender {name!r}: {self.why(person, 'own', name)}"

    def why(self, person: int, action: str, sender: str, name: str = "") -> str:
        return self.policy.decide(self.who[person], action, sender, name).reason

    def check_presence(self, told: list[Seen], name: str, event: str) -> None:
        for person, one in enumerate(told):
            if self.hearing(person, name, event, group=False):
                assert (name, event) in one.presence, ("withheld presence", person, name)

    def listen(self, person: int, sender: str | None, event: str | None, how: str) -> None:
        self.numbers += 1
        answer = Answer()
        group = "g" if how == "group" else None
        call = Listen(self.numbers, sender, event, how == "initial", group, window=1000 if group else None)
        self.ends[person].core.listen(call, "listener", self.world.now, 30, answer)
        self.world.settle()
        told = self.after()
        possible = self.policy.rights(self.who[person]).possible("listen", sender, event).allowed
        assert isinstance(answer.error, Denied) is not possible
        if not possible:
            return
        self.listens[person].append(Subscribed(self.numbers, sender, event, group is not None))
        if how == "initial":
            wanted = [(name, EVENT_CONNECT) for name in self.owners if matches(event, EVENT_CONNECT)]
            wanted += [what for what in self.past if matches(event, what[1])]
            mine = [w for w in wanted if matches(sender, w[0]) and self.may(person, "listen", *w)]
            assert sorted(told[person].past) == sorted(mine)

    def trigger(self, person: int, name: str, event: str) -> None:
        self.numbers += 1
        core = self.ends[person].core
        owns, allowed = self.owners.get(name) == person, self.may(person, "trigger", name, event)
        try:
            core.owning.trigger(name, event, str(self.numbers).encode())
        except SenderNotConnected:
            assert not owns
            return
        except Denied:
            assert not allowed
            # As one would who does not keep to it.
            core.outgoing.events.append((core.owning._owned[name, event], str(self.numbers).encode()))
        else:
            assert owns
            assert allowed
        told = self.after()
        heard = (name, event, self.numbers)
        for other, one in enumerate(told):
            expected = allowed and self.hearing(other, name, event, group=False)
            assert one.events.count(heard) == expected, ("events", other, heard, expected)
        members = [other for other in range(len(PEOPLE)) if self.hearing(other, name, event, group=True)]
        assert sum(one.shared.count(heard) for one in told) == bool(members and allowed), ("shared", heard, members)
        if allowed and event == "x":
            self.past[name, event] = True

    def request(self, person: int, name: str, method: str, how: str = "whole") -> None:
        answer, taken = Answer(), PartsIn(lambda: None) if how == "parts" else None
        now = self.world.now
        done: Any = answer if taken is None else taken.finish
        self.ends[person].core.asking.request(
            name, method, b"null", now=now, deadline=inf, hops=1, done=done, parts=taken
        )
        told = self.after()
        error = answer.error if taken is None else taken.error
        allowed, owner = self.may(person, "request", name, method), self.owners.get(name)
        came = [method in [m for sender, m in one.asked if sender == name] for one in told]
        assert came == [allowed and other == owner for other in range(len(PEOPLE))], ("request", person, name, method)
        if not allowed and owner is not None:
            assert isinstance(error, Denied)
        if not self.policy.rights(self.who[person]).possible("request", name).allowed:
            assert isinstance(error, Denied)  # whether or not it is there
        if allowed and owner is not None:
            self.asked.append(Asked(person, name, method, answer, taken, self.arrived[-1]))

    def reply(self) -> None:
        """Everybody answers all that he was asked, and also what he was told that nobody waits for."""
        for each, core in [*((one, self.ends[self.owners[one.name]].core) for one in self.asked), *self.revoked]:
            if each.arrived.parts is not None:
                each.arrived.parts.write(b"1")
            core.answering.reply(each.arrived, b"2", None)
        self.after()
        for each in self.asked:
            assert not each.waits
            assert each.so_far() == ([] if each.taken is None else [1])
            assert each.answer.value == b"2" or each.taken is not None
        for each, _ in self.revoked:
            assert each.denied
            assert each.answer.times <= 1, ("an answer that may not be had", each)
            assert each.so_far() == [], ("a part that may not be had", each)
        self.asked, self.revoked = [], []

    def away(self, person: int, policy: Policy | None) -> None:
        """The link is lost, and another follows. Meanwhile another policy may come to hold."""
        end = self.ends[person]
        self.world.lose(end)
        if self.reliable:
            self.absent = person
            self.govern(policy or self.policy)
            self.absent = None
            self.world.come_back(end)
            assert end.core.resumed
            self.after()
            assert all(each.denied for each, _ in self.revoked)
            return
        mine = [name for name, owner in self.owners.items() if owner == person]
        self.asked = [each for each in self.asked if each.person != person and each.name not in mine]
        self.revoked = [one for one in self.revoked if one[0].person != person and one[0].name not in mine]
        if policy is not None:
            self.govern(policy)
        self.world.come_back(end)
        told = self.after()
        for name in mine:
            answer = self.ask(person, AddSender(name, list(EVENTS), list(METHODS), retain=["x"]))
            assert isinstance(answer.error, Denied) is not (name in self.owners)
        assert all(not each.presence for each in (*told, *self.after())), "it was not away for anybody else"
        end.core.restored(self.world.now)
        before, self.listens[person] = self.listens[person], []
        for listen in before:
            self.listen(person, listen.sender, listen.event, "group" if listen.group else "plain")

    def last(self, person: int, name: str, event: str) -> None:
        answer = self.ask(person, Last(name, event))
        allowed = self.may(person, "listen", name, event)
        assert isinstance(answer.error, Denied) is not allowed
        if allowed:
            assert answer.value is self.past.get((name, event), False)
        self.after()

    def list(self, person: int, pattern: str | None) -> None:
        rows: Any = self.ask(person, Senders(pattern)).ok
        mine = [name for name in self.owners if matches(pattern, name) and self.may(person, "list", name)]
        assert sorted(row["name"] for row in rows) == sorted(mine)
        answer = self.ask(person, Stats())
        if not self.policy.rights(self.who[person]).possible("list").allowed:
            assert isinstance(answer.error, Denied)
            return
        stats: Any = answer.ok
        assert {row["sender"] for row in stats["senders"]} == {n for n in self.owners if self.may(person, "list", n)}
        assert bool(stats["links"]) is self.may(person, "admin")

    def close(self, person: int) -> None:
        if self.listens[person]:
            gone = self.listens[person].pop()
            assert self.ask(person, Close(gone.number)).ok is True
        self.after()


def some(names: tuple[str, ...], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), min_size=least, max_size=2, unique=True).map(tuple)


PATTERNS = ("a", "a/b", "c", "*", "a/*", "**", "a/**")
RULES = st.builds(
    lambda allows, who, actions, senders, events, methods: Rule(
        allows,
        who,
        actions,
        senders if actions != ("admin",) else (),
        events if {"listen", "trigger"} & {*actions} else (),
        methods if "request" in actions else (),
    ),
    st.sampled_from([True, True, True, False]),
    some((*PEOPLE, "*", "group:g", "authenticated"), 1),
    some(("own", "trigger", "listen", "listen", "request", "list", "admin"), 1),
    some(PATTERNS),
    some((*EVENTS, "*", "**", EVENT_CONNECT)),
    some((*METHODS, "*")),
)


def as_policy(rules: list[Rule]) -> Policy:
    """What is left of these when each has an effect."""
    kept: list[Rule] = []
    for rule in rules:
        try:
            Policy([*kept, rule], {"g": ["uid:1"]})
        except SigError:
            continue
        kept.append(rule)
    return Policy(kept, {"g": ["uid:1"]})


# Else most histories are of people who may nothing.
OPEN = Rule(True, ("*",), ("own", "trigger", "listen", "request", "list"))
POLICIES = st.lists(RULES, max_size=6).map(as_policy) | st.lists(
    RULES.filter(lambda rule: not rule.allow), max_size=4
).map(lambda rules: as_policy([*rules, OPEN]))
PERSON, NAME = st.integers(0, 2), st.sampled_from(NAMES)
STEPS = st.one_of(
    st.tuples(st.just("add"), PERSON, NAME),
    st.tuples(st.just("remove"), PERSON, NAME),
    st.tuples(
        st.just("listen"),
        PERSON,
        st.sampled_from(SELECTORS),
        st.sampled_from(HEARD),
        st.sampled_from(["plain", "plain", "initial", "group"]),
    ),
    st.tuples(st.just("trigger"), PERSON, NAME, st.sampled_from(EVENTS)),
    st.tuples(st.just("trigger"), PERSON, NAME, st.sampled_from(EVENTS)),
    st.tuples(st.just("request"), PERSON, NAME, st.sampled_from(METHODS)),
    st.tuples(st.just("request"), PERSON, NAME, st.sampled_from(METHODS), st.just("parts")),
    st.tuples(st.just("reply")),
    st.tuples(st.just("away"), PERSON, st.none() | POLICIES),
    st.tuples(st.just("last"), PERSON, NAME, st.sampled_from(EVENTS)),
    st.tuples(st.just("list"), PERSON, st.sampled_from([None, "*", "a"])),
    st.tuples(st.just("close"), PERSON),
    st.tuples(st.just("govern"), POLICIES),
)


def play(policy: Policy, steps: list[tuple[Any, ...]], *, reliable: bool = False) -> None:
    it = Play(reliable=reliable)
    it.govern(policy)
    for name, *arguments in steps:
        getattr(it, name)(*arguments)


@given(POLICIES, st.lists(STEPS, max_size=25), st.booleans())
def test_what_is_denied_reaches_nobody_and_what_is_allowed_everybody(
    policy: Policy, steps: list[Any], reliable: bool
) -> None:
    play(policy, steps, reliable=reliable)


# -- bypasses that are planted, and must be found ------------------------------------------------

OWNER = [Rule(True, ("uid:1",), ("own", "trigger", "listen", "request", "list"))]
GUEST = Rule(True, ("uid:2",), ("listen", "request", "list"), ("a",), ("x",), ("get",))
# Everything that a guest might get, and may not.
HISTORY: list[tuple[Any, ...]] = [
    ("add", 0, "a"),
    ("add", 0, "c"),
    ("listen", 1, None, None, "plain"),
    ("listen", 1, None, None, "group"),
    ("listen", 1, "c", None, "plain"),
    ("request", 1, "a/b", "get"),  # which is not there, and must look like one that is
    *(("trigger", 0, name, event) for name in ("a", "c") for event in EVENTS),
    ("listen", 1, None, None, "initial"),
    *(("request", 1, name, method) for name in ("a", "c") for method in METHODS),
    ("reply",),
    ("away", 1, None),
    ("away", 0, None),
    ("trigger", 0, "c", "x"),
    ("request", 1, "a", "get", "parts"),
    *(("last", 1, name, "x") for name in ("a", "c")),
    ("list", 1, None),
    ("remove", 1, "c"),
    ("add", 1, "a/b"),
    ("add", 0, "a/b"),
    ("remove", 0, "c"),
    ("govern", as_policy([Rule(True, ("uid:1",), ("own",)), Rule(True, ("*",), ("listen",))])),
    ("trigger", 0, "a", "x"),
    ("request", 1, "a", "get"),  # which it might a moment ago
    ("reply",),
    ("govern", as_policy([Rule(True, ("*",), ("listen",))])),
]


@pytest.mark.parametrize("reliable", [False, True])
def test_the_history_is_right_without_a_bypass(reliable: bool) -> None:
    play(as_policy([*OWNER, GUEST]), HISTORY, reliable=reliable)


def nothing(*_: object, **__: object) -> None:
    return None


def _in(place: str, action: str) -> Callable[[pytest.MonkeyPatch], None]:
    """`allowed` answers yes for that action, wherever it is asked in a function of that name."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        asked = ServerCore.allowed

        def allowed(self: ServerCore, identity: Any, what: str, sender: str, name: str) -> bool:
            asker = sys._getframe(1).f_code.co_qualname.split(".")
            return (place in asker and what == action) or asked(self, identity, what, sender, name)

        patch.setattr(ServerCore, "allowed", allowed)

    return plant


def _without(owner: type, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, nothing)


@pytest.mark.parametrize(
    "plant",
    [
        _in("hearing", "listen"),
        _in("_tell_presence", "listen"),
        _in("lines", "listen"),
        _in("_of", "listen"),
        _in("Registry", "list"),
        _in("_tell_stats", "list"),
        _in("_tell_stats", "admin"),
        _in("_may_ask", "request"),
        _in("reconsider", "own"),
        _without(Rights, "check"),
        _without(Rights, "check_possible"),
        _without(Rights, "tell"),
        _without(Rights, "govern"),
        _without(Requests, "govern"),
    ],
    ids=[
        "live",
        "presence",
        "groups",
        "initial",
        "list",
        "statistics of senders",
        "statistics of links",
        "requests",
        "names that are lost",
        "own and last",
        "listen and ask",
        "trigger",
        "reload",
        "requests under way",
    ],
)
def test_every_planted_bypass_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        play(as_policy([*OWNER, GUEST]), HISTORY)


def test_a_withheld_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listening, "hearing", lambda self, route: {})
    with pytest.raises(AssertionError, match="events"):
        play(as_policy([*OWNER, GUEST]), HISTORY)
