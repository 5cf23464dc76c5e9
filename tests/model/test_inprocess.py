"""The router in one process against its reference model: every program of acts, nested ones too, has the same log."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model.reference import Act, AddSender, Close, Drain, Driven, Heard, Listen, Model, RemoveSender, Request, Trigger

import sig
from sig.mailbox import POLICIES

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
TestInProcess.settings = settings(max_examples=200, stateful_step_count=50)


@settings(max_examples=800)
@given(
    st.lists(LISTENS, min_size=3, max_size=8),
    st.lists(st.one_of(TRIGGERS, TRIGGERS, PLAIN_ACTS, LISTENS, st.just(Drain())), min_size=10, max_size=40),
)
def test_a_whole_program_has_the_same_log(listens: list[Listen], acts: list[Act]) -> None:
    """The machine above, all at once: many more acts in the same time, for failures that are harder to read."""
    machine = InProcess()
    machine.somebody_is_there((*listens, AddSender("a", ("e", "deep/f", "#x"), ("e",)), AddSender("lab/b", ("e",))))
    for act in acts:
        machine.act(act)
        machine.the_same_is_heard()
    machine.teardown()
