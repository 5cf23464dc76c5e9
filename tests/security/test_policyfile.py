"""Policies as files: what is wrong is refused, with the place and what was meant; what was cut off allows nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.security.identity import Identity
from sig.security.policy import PolicyError
from sig.security.policyfile import parse_policy

TEXT = """\
# "who" is in here, and [[deny]] too
[groups]
operators = ["alice", "cert:panel.lab"]
guests = []

[[allow]]
name = "operators hear the lab"
who = "group:operators"
actions = ["listen", "request"]
senders = "lab/**"

[[deny]]
who = "*"  # everybody
actions = "request"
senders = ["lab/laser"]
methods = "fire"

[end]
"""
ALICE = Identity("alice")


def test_a_policy_is_read() -> None:
    policy = parse_policy(TEXT)
    assert policy.groups == {"operators": ("alice", "cert:panel.lab"), "guests": ()}
    assert [str(rule) for rule in policy.rules] == ["operators hear the lab", "deny 1, line 12"]
    assert policy.allowed(ALICE, "request", "lab/laser", "status")
    assert policy.decide(ALICE, "request", "lab/laser", "fire").reason == "rule 'deny 1, line 12' denies it"


def test_a_policy_of_inline_tables_is_one_too() -> None:
    policy = parse_policy('allow = [{who = "*", actions = "list"}]\n[end]')
    assert policy.allowed(ALICE, "list", "x")


def test_an_empty_policy_denies_everything() -> None:
    assert not parse_policy("[end]").allowed(ALICE, "list", "x")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"listen"', '"lisen"', "line 9, column 13: there is no action 'lisen': did you mean 'listen'?"),
        ("senders =", "sender =", "line 10, column 1: a rule has no key 'sender': did you mean 'senders'?"),
        ("lab/**", "lab/**/x", "line 10, column 12: in the sender pattern 'lab/**/x' '**' is not the last level"),
        (
            "group:operators",
            "group:operator",
            "line 8, column 8: there is no group 'operator': did you mean 'operators'?",
        ),
        ('"lab/laser"', '"lab/las*r"', "line 15, column 13: in the sender pattern"),
        ('"fire"', '"#fire"', "line 16, column 12: a method name cannot begin with '#'"),
        ('"*"', '"alice*"', "line 13, column 8: 'alice*' is no name"),
        ('who = "*"', "", "line 12, column 1: who is missing: say whom it is about"),
        ('who = "*"', "who = []", "line 13, column 1: who is an empty list"),
        ('who = "*"', "who = 3", "line 13, column 1: who must be a text, or a list of texts"),
        ('methods = "fire"', 'events = "fire"', "line 16, column 1: events is for trigger and listen and block"),
        ("[[deny]]\nwho", "[[deni]]\nwho", "line 12, column 3: there is no table 'deni': did you mean 'deny'?"),
        ("[[deny]]\nwho", "[deny]\nwho", "line 12, column 2: rules are written [[deny]], with two brackets"),
        ("[groups]", "groups = 3\n[x]", "there is no table 'x'"),
        ("[groups]\noperators", 'groups = ["a"]\noperators', "there is no table 'operators'"),
        ('"cert:panel.lab"', '"group:guests"', "line 3, column 24: 'group:guests' cannot be in group 'operators'"),
        ('name = "operators hear the lab"', "name = 3", "line 7, column 1: name must be a text"),
        ("guests = []", "guests = [", "is no TOML"),
        ('"*"  #', '"*  #', "line 13, column"),
        ("[end]", "", "line 19, column 1: it does not end with a line [end]"),
        ("[end]", "[end]\nx = 1", "does not end with a line [end]"),
        (
            "[[deny]]",
            '[[deny]]\nwho = "*"\nactions = "request"\n[[deny]]',
            "line 15, column 1: it has no effect, since",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, told: str) -> None:
    text = TEXT.replace(old, new, 1) if old != "[[deny]]" else TEXT.replace("\n[[deny]]", "\n" + new, 1)
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "policy.toml")
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"policy.toml, line {caught.value.line}, column {caught.value.column}: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groups = 3\n[end]", "groups is a table"),
        ('allow = [{who = "*", actions = "lst"}]\n[end]', "line 1, column 33: there is no action 'lst'"),
        ('allow = [{who = "*", actions = "\\u006cst"}]\n[end]', "line 1, column 1: there is no action 'lst'"),
        ('x = "', "line 1, column 6: this is no TOML"),
        ("x = ", "line 1, column 5: this is no TOML"),
        ('[[allow]]\nwho = "grup:a"\nactions = "list"\n[end]', "did you mean 'group:'?"),
        ('[[allow]]\nwho = "group:a"\nactions = "list"\n[end]', "list it in [groups]"),
    ],
)
def test_other_ways_to_be_wrong(text: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert told in str(caught.value)


def test_a_policy_that_was_cut_off_anywhere_is_refused() -> None:
    for size in range(TEXT.rindex("]")):
        with pytest.raises(PolicyError):
            parse_policy(TEXT[:size])


@given(st.text())
def test_whatever_a_file_says_there_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert caught.value.line is not None
