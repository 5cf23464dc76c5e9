"""The router in one process against its reference model: every program of acts, nested ones too, has the same log."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model.reference import Act, AddSender, Close, Drain, Driven, Heard, Listen, Model, RemoveSender, Request, Trigger

import sig
from sig.mailbox import POLICIES

# Much happens in each; under a tracer, on a busy machine, it takes its time.
pytestmark = pytest.mark.timeout(300)

# Few names, so that what is done meets what is listened to.
SENDERS = st.sampled_from(["a", "a", "lab/b"])
EVENTS = st.sampled_from(["e", "e", "deep/f", "#x"])
RARELY = st.sampled_from([False, False, False, True])


@st.composite
def add_senders(draw: st.DrawFn) -> AddSender:
    events = draw(st.sampled_from([("e", "deep/f", "#x"), ("#x", "e"), ("deep/f",), ()]))
    return AddSender(draw(SENDERS), events, draw(st.sampled_from([(), events, events[:1]])), mute=draw(RARELY))


REMOVALS = st.builds(RemoveSender, SENDERS)
TRIGGERS = st.builds(Trigger, SENDERS, EVENTS, st.integers(0, 99))
CLOSES = st.builds(Close, st.integers(0, 9))
REQUESTS = st.one_of(
    st.builds(Request, SENDERS, st.sampled_from(["echo", "fail", "unknown"]), st.integers(0, 9)),
    st.builds(Request, SENDERS, st.just("relay"), st.lists(SENDERS, max_size=3)),
    st.builds(Request, SENDERS, st.just("tell"), st.tuples(EVENTS, st.integers(0, 99))),
)


def listens(acts: st.SearchStrategy[Act]) -> st.SearchStrategy[Listen]:
    return st.builds(
        Listen,
        sender=st.sampled_from([None, None, "a", "lab/b", "*", "lab/*", "**"]),
        event=st.sampled_from([None, None, "e", "#x", "*", "**", "deep/*", "#connect", "#disconnect"]),
        once=RARELY,
        group=st.sampled_from([None, None, None, "g", "h"]),
        meta=RARELY,
        initial=RARELY,
        queue=st.sampled_from([None, None, None, 1, 2, 3]),
        when_full=st.sampled_from(POLICIES),
        raises=RARELY,
        acts=st.lists(acts, max_size=4).map(tuple),
    )


PLAIN_ACTS = st.one_of(TRIGGERS, add_senders(), REMOVALS, CLOSES, REQUESTS)
LISTENS = listens(PLAIN_ACTS | listens(PLAIN_ACTS))


class InProcess(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.driven = Driven(sig.Router())

    @initialize(acts=st.tuples(LISTENS, LISTENS, LISTENS, add_senders(), add_senders()))
    def somebody_is_there(self, acts: tuple[Act, ...]) -> None:
        for act in acts:
            self.act(act)

    def act(self, act: Act) -> None:
        assert self.driven.perform(act) == self.model.perform(act)

    @rule(act=add_senders())
    def add_sender(self, act: AddSender) -> None:
        self.act(act)

    @rule(act=REMOVALS)
    def remove_sender(self, act: RemoveSender) -> None:
        self.act(act)

    @rule(act=LISTENS)
    def listen(self, act: Listen) -> None:
        self.act(act)

    @rule(act=CLOSES)
    def close(self, act: Close) -> None:
        self.act(act)

    @rule(acts=st.lists(TRIGGERS, min_size=1, max_size=8))
    def trigger(self, acts: list[Trigger]) -> None:
        for act in acts:
            self.act(act)

    @rule(acts=st.lists(TRIGGERS | REMOVALS | add_senders(), min_size=4, max_size=12))
    def come_and_go(self, acts: list[Act]) -> None:
        for act in acts:
            self.act(act)

    @rule(act=REQUESTS)
    def request(self, act: Request) -> None:
        self.act(act)

    @rule()
    def drain(self) -> None:
        self.act(Drain())

    @invariant()
    def the_same_is_heard(self) -> None:
        assert self.driven.log == self.model.log
        assert self.driven.counts() == self.model.counts()
        # Nothing is carried over from round to round.
        assert not self.driven.router._rounds

    def teardown(self) -> None:
        self.driven.end()
        self.model.end()
        self.the_same_is_heard()
        nothing_left(self.driven.router)
        for key, ear in enumerate(self.driven.ears):
            heard = [entry[2] for entry in self.driven.log if entry[:2] == ("heard", key)]
            if ear.listen.group is None and ear.listen.queue is None and not ear.listen.once:
                presence_alternates(heard)


def nothing_left(router: sig.Router) -> None:
    """When all have gone, no table remembers anybody."""
    index: Any = router._index
    assert index.count == 0
    for table in (index._plain, index._of_any.tree, index._of_senders, index._senders, index._events):
        assert len(table) == 0
    for left in (router._senders, router._turns, router._rounds, router._gone):
        assert not left
    assert not [plan for plan in router._departed if plan.under_way]


def presence_alternates(heard: list[Heard]) -> None:
    """`#connect` and `#disconnect` of one sender take turns, for who hears both."""
    for sender in dict.fromkeys(told.sender for told in heard):
        presence = [told.event for told in heard if told.sender == sender and sig.is_builtin_event(told.event)]
        if len(dict.fromkeys(presence)) == 2:
            assert all(first != second for first, second in pairwise(presence))


TestInProcess = InProcess.TestCase
TestInProcess.settings = settings(stateful_step_count=50)


# -- many more programs, of chance ----------------------------------------------------------------


class Author:
    """Writes programs in which much happens at once; the same ones each time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def program(self) -> list[Act]:
        some = [self.listen(2) for _ in range(self.random.randint(2, 7))]
        there = AddSender("a", ("e", "deep/f", "#x"), ("e",)), AddSender("lab/b", ("e",))
        return [*some[::2], *there, *some[1::2], *(self.act(2) for _ in range(self.random.randint(5, 25)))]

    def act(self, depth: int) -> Act:
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.5 or (kind < 0.65 and depth == 0):
            return Trigger(
                choose(["a", "a", "a", "lab/b"]), choose(["e", "e", "deep/f", "#x"]), self.random.randrange(99)
            )
        if kind < 0.65:
            return self.listen(depth - 1)
        if kind < 0.8:
            return Close(self.random.randrange(8))
        if kind < 0.87:
            return RemoveSender(choose(["a", "lab/b"]))
        if kind < 0.94:
            return AddSender(choose(["a", "lab/b"]), ("#x", "e"), choose([(), ("e",)]), mute=self.rarely())
        if kind < 0.97 and depth == 2:
            return Drain()
        return Request(choose(["a", "lab/b"]), "tell", ("e", 0))

    def listen(self, depth: int) -> Listen:
        choose = self.random.choice
        return Listen(
            sender=choose([None, "a", "a", "*", "lab/b"]),
            event=choose([None, None, "e", "e", "*", "#connect", "#disconnect"]),
            once=self.rarely(),
            group=choose([None, None, "g"]),
            meta=self.rarely(),
            initial=choose([False, True]),
            queue=choose([None, None, None, 1, 2]),
            when_full=choose(POLICIES),
            raises=self.rarely(),
            acts=tuple(self.act(depth - 1) for _ in range(self.random.randint(0, 5))) if depth else (),
        )

    def rarely(self) -> bool:
        return self.random.random() < 0.1


def failure(program: list[Act]) -> str:
    """How router and model differ; empty if they do not."""
    machine = InProcess()
    try:
        for act in program:
            machine.act(act)
            machine.the_same_is_heard()
        machine.teardown()
    except Exception as error:  # an assertion, or whatever the router did instead
        return f"{type(error).__name__}: {error}"
    return ""


def shortest(program: list[Act]) -> list[Act]:
    """What is left of a program that fails when every act is taken out without which it still does."""
    for position in reversed(range(len(program))):
        shorter = program[:position] + program[position + 1 :]
        if failure(shorter):
            program = shorter
    return program


@pytest.mark.parametrize("first", range(0, 4_000, 1_000))
def test_programs_of_chance_have_the_same_log(first: int) -> None:
    for seed in range(first, first + 1_000):
        program = Author(seed).program()
        if failure(program):
            program = shortest(program)
            pytest.fail(f"seed {seed}: {failure(program)}\n" + "\n".join(map(str, program)))
