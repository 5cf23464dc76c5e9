"""Who may do what: denial wins, nothing is allowed unasked, and what is possible is what some name makes so."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sig.constants import EVENT_AUDIT, EVENT_CONNECT, EVENT_DISCONNECT
from sig.names import matches
from sig.security import policy as module
from sig.security.identity import ANONYMOUS, Identity
from sig.security.policy import Policy, PolicyError, Rule, allow, deny, shadowed

ALICE = Identity("alice", ("staff",))
BOB = Identity("bob")


def test_without_rules_nothing_is_allowed() -> None:
    assert not any(Policy().allowed(ALICE, action, "lab/oven", "done") for action in module.ACTIONS)
    assert Policy().decide(ALICE, "list").reason == "no rule allows it"


def test_a_denial_wins_whatever_the_order() -> None:
    rules = [allow("*", "listen", "lab/**"), deny("alice", "listen", "lab/oven", name="not the oven")]
    for order in (rules, rules[::-1]):
        policy = Policy(order)
        assert policy.allowed(BOB, "listen", "lab/oven", "done")
        assert policy.allowed(ALICE, "listen", "lab/laser", "done")
        decision = policy.decide(ALICE, "listen", "lab/oven", "done")
        assert decision == (False, rules[1])
        assert decision.reason == "rule 'not the oven' denies it"
    assert policy.decide(BOB, "listen", "lab/oven").reason == "rule 'allow *: listen' allows it"


def test_rules_are_about_names_groups_those_who_are_known_and_everybody() -> None:
    groups = {"crew": ["bob"], "staff": []}
    for who, expected in (
        ("alice", [ALICE]),
        ("group:crew", [BOB]),
        ("group:staff", [ALICE]),
        ("authenticated", [ALICE, BOB]),
        ("anonymous", [ANONYMOUS]),
        ("*", [ALICE, BOB, ANONYMOUS]),
    ):
        policy = Policy([allow(who, "list")], groups)
        assert [one for one in (ALICE, BOB, ANONYMOUS) if policy.allowed(one, "list", "x")] == expected


def test_events_are_asked_of_events_and_methods_of_methods() -> None:
    policy = Policy([allow("*", ["own", "listen", "request"], "a", events="e/*", methods="get")])
    assert policy.allowed(BOB, "listen", "a", "e/f")
    assert not policy.allowed(BOB, "listen", "a", "get")
    assert policy.allowed(BOB, "request", "a", "get")
    assert not policy.allowed(BOB, "request", "a", "e/f")
    assert policy.allowed(BOB, "own", "a")
    assert not policy.allowed(BOB, "own", "b")
    assert not policy.allowed(BOB, "trigger", "a", "e/f")


def test_presence_goes_with_all_events_and_the_audit_only_if_it_is_named() -> None:
    policy = Policy([allow("*", "listen"), allow("alice", "listen", events=EVENT_AUDIT)])
    assert policy.allowed(BOB, "listen", "a", EVENT_CONNECT)
    assert not policy.allowed(BOB, "listen", "a", EVENT_AUDIT)
    assert policy.allowed(ALICE, "listen", "a", EVENT_AUDIT)
    denied = Policy([allow("*", "listen", events=EVENT_AUDIT), deny("bob", "listen")])
    assert not denied.allowed(BOB, "listen", "a", EVENT_AUDIT)
    assert not Policy([allow("*", "listen", events="**")]).allowed(BOB, "listen", "a", EVENT_CONNECT)


def test_admin_is_about_no_sender() -> None:
    assert Policy([allow("alice", "admin")]).allowed(ALICE, "admin")
    assert not Policy([allow("alice", "admin")]).allowed(BOB, "admin")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (allow((), "list"), "who is missing"),
        (allow("a", ()), "actions is missing"),
        (allow("", "list"), "a name is empty"),
        (allow("a*", "list"), "'\\*' alone is everybody"),
        (allow("group:x", "list"), "there is no group 'x': list it"),
        (allow("ui:0", "list"), "did you mean 'uid:'"),
        (allow("a", "lists"), "did you mean 'list'"),
        (allow("a", "zzz"), "there are own, trigger"),
        (allow("a", "list", "**/a"), "'\\*\\*' is not the last level"),
        (allow("a", "request", methods="#x"), "cannot begin with '#'"),
        (allow("a", "list", events="x"), "events is for trigger and listen and block"),
        (allow("a", "listen", methods="x"), "methods is for request"),
        (allow("a", "admin", "x"), "leave senders out"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused(rule: Rule, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        Policy([rule])


A = allow("a", ["listen", "request"], "lab/*", events="e", methods="m")


@pytest.mark.parametrize(
    ("rule", "other", "without_effect"),
    [
        (A, A, True),
        (A, allow("*", ["listen", "request"]), True),
        (A, deny("*", ["listen", "request"]), True),
        (deny("a", "listen"), allow("*", "listen"), False),
        (A, allow("b", ["listen", "request"]), False),
        (A, allow("*", ["listen"]), False),
        (allow("a", ["own", "list"]), allow("*", ["own", "list"]), True),
        (A, allow("*", ["listen", "request"], "lab/**"), True),
        (A, allow("*", ["listen", "request"], "lab/oven"), False),
        (A, allow("*", ["listen", "request"], events="f"), False),
        (A, allow("*", ["listen", "request"], methods="n"), False),
        (allow("a", "listen", "lab/**"), allow("a", "listen", "lab/*"), False),
        (allow("a", "listen", "lab/*"), allow("a", "listen", "lab/*/x"), False),
        (allow("a", "listen", "lab/**"), allow("a", "listen", "lab/x/**"), False),
        (allow("a", "listen", "lab/x/**"), allow("a", "listen", "lab/**"), True),
        (allow("a", "listen", "lab/*"), allow("a", "listen", "*/*"), True),
        (allow("a", "listen"), allow("a", "listen", "**"), False),
        (allow("a", "listen", events=EVENT_AUDIT), allow("*", "listen"), False),
        (allow("a", "listen", events=EVENT_AUDIT), deny("*", "listen"), True),
        (allow((), "listen"), allow("*", "listen"), True),
    ],
)
def test_a_rule_without_effect_is_found(rule: Rule, other: Rule, without_effect: bool) -> None:
    found = [one for one, _ in shadowed([rule, other])]
    assert (rule in found) is without_effect


def test_a_policy_with_a_rule_without_effect_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"rule 'allow a: listen' has no effect, since rule 'everything' covers it"):
        Policy([allow("a", "listen"), deny("*", "listen", name="everything")])


def test_of_two_rules_that_say_the_same_one_is_too_much() -> None:
    assert [second for second, _ in shadowed([A, A])] == [A]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_DECISIONS", 3)
    monkeypatch.setattr(module, "_MOST_RIGHTS", 3)
    policy = Policy([allow("alice", "listen")])
    for number in range(10):
        assert not policy.allowed(Identity(f"i{number}"), "listen", "s", "e")
    assert len(policy._rights) <= 3
    rights = policy.rights(ALICE)
    for number in range(10):
        assert rights.decide("listen", f"s{number}", "e").allowed
        assert rights.possible("listen", f"s{number}", "e").allowed
        # The same answer, not found out again.
        assert rights.decide("listen", f"s{number}", "e") is rights.decide("listen", f"s{number}", "e")
        assert rights.possible("listen", f"s{number}", "e") is rights.possible("listen", f"s{number}", "e")
    assert len(rights._decided) <= 3
    assert len(rights._possible) <= 3


# -- what is possible ----------------------------------------------------------------------------

LEVELS = ["a", "b"]
NAMES = ["/".join(levels) for size in (1, 2, 3) for levels in product([*LEVELS, "new"], repeat=size)]
EVENTS = [*NAMES, EVENT_CONNECT, EVENT_DISCONNECT, EVENT_AUDIT]


def patterns() -> st.SearchStrategy[str]:
    level = st.sampled_from([*LEVELS, "*"])
    body = st.lists(level, min_size=1, max_size=2)
    return st.builds(lambda levels, deep: "/".join([*levels, *["**"] * deep]), body, st.booleans()) | st.just("**")


def rules(action: str) -> st.SearchStrategy[Rule]:
    events = st.lists(patterns() | st.sampled_from([EVENT_CONNECT, EVENT_AUDIT]), max_size=2).map(tuple)
    senders = st.lists(patterns(), max_size=2).map(tuple)
    return st.builds(
        lambda allows, senders, names: Rule(
            allows,
            ("*",),
            (action,),
            senders,
            names if action == "listen" else (),
            names if action == "request" else (),
        ),
        st.sampled_from([True, True, False]),
        senders,
        events if action == "listen" else st.lists(patterns(), max_size=2).map(tuple),
    )


def check_possible(action: str, given_rules: list[Rule], sender: str | None, name: str | None) -> None:
    rights = module.Rights(["*"], given_rules)
    some = any(
        rights.decide(action, one, other).allowed
        for one in NAMES
        if matches(sender, one)
        for other in (EVENTS if action == "listen" else NAMES if action == "request" else [""])
        if action == "own" or matches(name, other)
    )
    assert rights.possible(action, sender, name).allowed is some


@settings(max_examples=100)  # fewer leave lines untried
@given(st.lists(rules("listen"), max_size=4), st.none() | patterns(), st.none() | patterns() | st.sampled_from(EVENTS))
def test_listening_is_possible_iff_some_name_may_be_heard(
    given_rules: list[Rule], sender: str | None, name: str | None
) -> None:
    check_possible("listen", given_rules, sender, name)


@given(st.lists(rules("request"), max_size=4), st.sampled_from(NAMES), st.none() | patterns())
def test_asking_is_possible_iff_some_method_may_be_asked(
    given_rules: list[Rule], sender: str, name: str | None
) -> None:
    check_possible("request", given_rules, sender, name)


@given(st.lists(rules("own"), max_size=4), st.none() | patterns())
def test_owning_is_possible_iff_some_name_may_be_owned(given_rules: list[Rule], sender: str | None) -> None:
    check_possible("own", given_rules, sender, None)


@settings(max_examples=100)  # fewer leave lines untried
@given(st.lists(rules("listen"), max_size=5))
def test_a_rule_without_effect_can_go(given_rules: list[Rule]) -> None:
    gone = [id(rule) for rule, _ in shadowed(given_rules)]
    fewer = module.Rights(["*"], [rule for rule in given_rules if id(rule) not in gone])
    all_of_them = module.Rights(["*"], given_rules)
    for sender, event in product(NAMES, EVENTS):
        assert fewer.decide("listen", sender, event).allowed is all_of_them.decide("listen", sender, event).allowed


def test_a_denial_for_one_name_says_which_rule() -> None:
    policy = Policy([deny("*", "listen", "a", events="b", name="no b"), allow("*", "list")])
    assert policy.rights(BOB).possible("listen", "a", "b").reason == "rule 'no b' denies it"
    assert policy.rights(BOB).possible("listen", "a/*", "b").reason == "no rule allows it"
    some = Policy([deny("*", "listen", "a", name="no a"), allow(["*"], "listen", "*", events="b")])
    assert some.rights(BOB).possible("listen", "a").reason == "rule 'no a' denies it"
