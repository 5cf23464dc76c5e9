"""Over TCP a program sees what it would see in one process: the plain `Router` is the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sig

NAMES = ("a", "lab/1", "lab/2")
EVENTS = ("e", "#alarm", "x/y")
SELECTORS = st.tuples(
    st.sampled_from([None, None, "a", "lab/1", "lab/*", "**"]),
    st.sampled_from([None, None, "e", "#alarm", "x/*", "**", "#connect", "#disconnect"]),
)
PLACES = st.integers(0, 2)

# The second list says which of the first are retained.
SOME = st.lists(st.sampled_from(EVENTS), max_size=3, unique=True)
Add = st.tuples(st.just("add"), PLACES, st.sampled_from(NAMES), SOME, SOME)
Remove = st.tuples(st.just("remove"), st.sampled_from(NAMES))
RARELY = st.sampled_from([False, False, False, True])
Listen = st.tuples(
    st.just("listen"), PLACES, SELECTORS, st.fixed_dictionaries({"once": RARELY, "initial": st.booleans()})
)
Last = st.tuples(st.just("last"), PLACES, st.sampled_from((*NAMES, "nobody")), st.sampled_from(EVENTS))
Close = st.tuples(st.just("close"), st.integers(0, 5))
Trigger = st.tuples(
    st.just("trigger"),
    st.sampled_from(NAMES),
    st.sampled_from(EVENTS),
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
)
Request = st.tuples(
    st.just("request"), PLACES, st.sampled_from((*NAMES, "nobody")), st.sampled_from(["double", "fail", "absent"])
)
STEPS = st.lists(
    st.one_of(Add, Remove, Listen, Close, Trigger, Trigger, Trigger, Trigger, Request, Last), min_size=5, max_size=30
)
# First somebody is there and somebody listens: chance alone would have most programs trigger into the void.
PROGRAMS = st.tuples(
    st.tuples(*[st.tuples(st.just("add"), PLACES, st.just(name), st.just(list(EVENTS)), SOME) for name in NAMES]),
    st.tuples(Listen, Listen, Listen),
    STEPS,
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])


class Machine:
    """Runs a program on the routers it is given: one for each place, or the same for all."""

    def __init__(self, routers: list[Any], settle: Callable[[], None]) -> None:
        self.routers = routers
        self.settle = settle
        self.senders: dict[str, sig.Sender] = {}
        self.subscriptions: list[sig.Subscription] = []
        self.heard: list[list[tuple[object, ...]]] = []
        self.outcomes: list[str] = []

    def run(self, program: list[Any]) -> None:
        for what, *arguments in program:
            try:
                outcome = getattr(self, what)(*arguments)
            except sig.SigError as error:
                outcome = type(error).__name__
            self.outcomes.append(f"{what}: {outcome}")
            self.settle()

    def add(self, place: int, name: str, events: list[str], some: list[str]) -> str:
        requests = {"double": double, "fail": fail}
        retain = [event for event in some if event in events]
        self.senders[name] = self.routers[place].add_sender(name, events, requests, retain=retain)
        return "added"

    def remove(self, name: str) -> bool:
        held = self.senders.pop(name, None)
        return held is not None and held.remove()

    def listen(self, place: int, selector: tuple[str | None, str | None], options: dict[str, bool]) -> str:
        log: list[tuple[object, ...]] = []
        self.heard.append(log)

        def heard(info: sig.Info, data: object) -> None:
            # The number is told of retained values here: of other events it depends on the listener.
            log.append((info.sender, info.event, data, info.initial, info.seq))

        self.subscriptions.append(self.routers[place].listen(heard, *selector, **options))
        return "listening"

    def last(self, place: int, name: str, event: str) -> object:
        found = self.routers[place].last(name, event)
        return None if found is None else (found.data, found.info.seq, found.info.initial)

    def close(self, number: int) -> str:
        if number < len(self.subscriptions):
            self.subscriptions[number].close()
        return "closed"

    def trigger(self, name: str, event: str, values: list[int]) -> str:
        sender = self.senders.get(name)
        if sender is None:
            return "nobody"
        for value in values:
            sender.trigger(event, {"value": value})
        return "triggered"

    def request(self, place: int, name: str, method: str) -> object:
        try:
            return self.routers[place].request(name, method, 21, timeout=20)
        except (sig.RemoteError, ZeroDivisionError):
            return "failed"  # over a link a handler's bug is a RemoteError, in one process its own


def double(params: int) -> int:
    return params * 2


def fail(params: object) -> None:
    raise ZeroDivisionError


@contextmanager
def over_tcp() -> Iterator[Machine]:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as a, sig.connect(server.urls[0]) as b:
        routers = [a, b, server]

        def settle() -> None:
            """Everything has been routed, has arrived, and the listeners have been called."""
            for router in routers + routers:
                router.flush()
            for router in routers:
                assert router._driver is not None
                router._driver.drain(20)

        yield Machine(routers, settle)


def in_process(program: list[Any]) -> Machine:
    with sig.Router() as router:
        machine = Machine([router] * 3, lambda: None)
        machine.run(program)
        machine.heard = [list(log) for log in machine.heard]  # before the end is told
        return machine


@given(PROGRAMS)
@pytest.mark.timeout(120)
def test_the_same_program_sees_the_same(program: list[Any]) -> None:
    expected = in_process(program)
    with over_tcp() as machine:
        machine.run(program)
        found = [list(log) for log in machine.heard]
    assert machine.outcomes == expected.outcomes
    assert found == expected.heard


@given(PROGRAMS)
@pytest.mark.timeout(120)
def test_presence_alternates_around_events(program: list[Any]) -> None:
    """Not compared with anything: what model and router could both get wrong."""
    with over_tcp() as machine:
        machine.run([("listen", 0, (None, None), {}), *program])
        log = list(machine.heard[0])
    here: set[str] = set()
    for sender, event, *_ in log:
        if event == "#connect":
            assert sender not in here
            here.add(sender)
        else:
            assert sender in here
            if event == "#disconnect":
                here.remove(sender)
