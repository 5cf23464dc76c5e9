"""Names and patterns: the rules, what is said to those who break them, and the tree against brute force."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sig.constants import NAME_MAX_BYTES, NAME_MAX_LEVELS, RESERVED_EVENTS
from sig.errors import InvalidName
from sig.names import (
    NameTree,
    check_event,
    check_method,
    check_own_event,
    check_request,
    check_selector,
    check_sender,
    is_builtin_event,
    is_channel_name,
    is_pattern,
    matches,
)

CHECKS: list[Callable[[object], str]] = [check_sender, check_event, check_own_event, check_method]
every_check = pytest.mark.parametrize("check", CHECKS)


def selects(check: str) -> Callable[[object], None]:
    """`check_selector` with a literal, which obeys the rules of the name it selects."""
    if check == "sender":
        return lambda name: check_selector(name, None)
    return lambda name: check_selector(None, name)


# -- what is a name ------------------------------------------------------------------------------


@every_check
@pytest.mark.parametrize(
    "name",
    [
        "x",
        "plant/pump-3",
        "/dev/ttyUSB0",  # empty levels are levels
        "//",
        "grün 5 ✓ 👍",
        " ",
        "a#b",
        "é" * 127 + "e",  # 255 bytes
        "/".join("x" * NAME_MAX_LEVELS),
    ],
)
def test_good_names_are_returned_as_they_are(check: Callable[[object], str], name: str) -> None:
    assert check(name) is name
    check_selector(name, name)


@every_check
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (None, "name must be a str, not NoneType"),
        (b"bytes", "name must be a str, not bytes"),
        (5, "name must be a str, not int"),
        ("", "name cannot be empty"),
        ("é" * 128, "has 256 bytes: the longest allowed has 255"),
        ("a\nb", "holds a control character"),
        ("\x85", "holds a control character"),
        ("half \ud800", "is not UTF-8"),
        ("/".join("x" * (NAME_MAX_LEVELS + 1)), "has more than 16 levels"),
    ],
)
def test_bad_names_are_refused_with_the_reason(check: Callable[[object], str], name: object, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        check(name)
    if name is not None:
        for select in selects("sender"), selects("event"):
            with pytest.raises(InvalidName, match=reason):
                select(name)


@every_check
@pytest.mark.parametrize("name", ["*", "**", "a/*", "a*b"])
def test_a_pattern_is_no_name(check: Callable[[object], str], name: str) -> None:
    with pytest.raises(InvalidName, match=r"'\*' belongs into patterns, for listening"):
        check(name)


def test_control_characters_are_the_unicode_category() -> None:
    for code in range(0x3000):
        if unicodedata.category(chr(code)) == "Cc":
            with pytest.raises(InvalidName, match="control character"):
                check_event(f"a{chr(code)}")
        elif chr(code) != "*":
            check_event(f"a{chr(code)}")


def test_an_enumeration_names_by_its_value() -> None:
    class Names(enum.StrEnum):
        CHANGED = "changed"

    assert type(check_event(Names.CHANGED)) is str
    assert check_event(Names.CHANGED) == "changed"


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidName) as caught:
        check_sender("x" * 1_000_000)
    assert str(caught.value) == f"the sender name '{'x' * 57}...' has 1000000 bytes: the longest allowed has 255"


def test_a_sender_does_not_begin_with_the_decorator() -> None:
    for refused in lambda: check_sender("#alarm"), lambda: check_selector("#alarm", None):
        with pytest.raises(InvalidName, match=r"to hear that channel, write on\(event='#alarm'\)$"):
            refused()
    with pytest.raises(InvalidName, match=r"write on\(event='#alarm"):
        check_selector("#alarm/*", None)


def test_a_method_does_not_begin_with_the_decorator() -> None:
    with pytest.raises(InvalidName, match="a method name cannot begin with '#': write 'read'$"):
        check_method("##read")


def test_sender_and_method_of_a_request_are_checked_together_as_each_by_itself() -> None:
    class Names(enum.StrEnum):
        READ = "read"

    name = "lab/oven"
    for _ in range(2):  # what was found good is remembered
        assert check_request(name, "read")[0] is name
        found = check_request(name, Names.READ)
        assert (found, type(found[1])) == ((name, "read"), str)
        for sender, method in (("", "read"), (name, "#read"), (name, ""), (None, "read"), (name, 5)):
            with pytest.raises(InvalidName):
                check_request(sender, method)


def test_an_event_may_begin_with_the_decorator() -> None:
    assert check_event("#alarm") == check_own_event("#alarm") == "#alarm"


@pytest.mark.parametrize("event", RESERVED_EVENTS)
def test_the_routers_events_are_heard_but_not_owned(event: str) -> None:
    assert check_event(event) == event
    check_selector(None, event)
    with pytest.raises(InvalidName, match=f"the event '{event}' is triggered by routers only"):
        check_own_event(event)


def test_asking_about_a_name() -> None:
    assert is_channel_name("#x")
    assert not is_channel_name("x#")
    assert is_pattern("a/*")
    assert not is_pattern("a/b")
    assert all(map(is_builtin_event, RESERVED_EVENTS))
    assert not is_builtin_event("#x")


# -- patterns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["*", "**", "a/*", "*/b", "a/**", "*/*/**", "/*", "*/"])
def test_good_patterns(pattern: str) -> None:
    check_selector(pattern, None)
    check_selector(None, pattern)
    check_selector(pattern, pattern)


def test_an_event_pattern_may_begin_with_the_decorator() -> None:
    check_selector(None, "#alarm/*")


@pytest.mark.parametrize("kind", ["sender", "event"])
@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("**/a", r"'\*\*' is not the last level"),
        ("a/**/**", r"'\*\*' is not the last level"),
        ("a*", r"a '\*' stands within a level"),
        ("***", r"a '\*' stands within a level"),
        ("a/b*c/d", r"a '\*' stands within a level"),
        ("#*", r"a '\*' stands within a level"),
        ("a\n/*", "control character"),
        ("*/" * 16 + "*", "more than 16 levels"),
        ("x" * 254 + "/*", "has 256 bytes"),
    ],
)
def test_bad_patterns_are_refused_with_the_reason(kind: str, pattern: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=f"the {kind} .*{reason}|{kind} name .*{reason}"):
        selects(kind)(pattern)


def test_none_selects_any() -> None:
    check_selector(None, None)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a", "a", True),
        ("a", "#a", False),
        ("a", "b", False),
        ("a", "a/b", False),
        ("*", "a", True),
        ("*", "a/b", False),
        ("*", "#a", True),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("a/*", "a/b", True),
        ("a/*", "a", False),
        ("a/*", "b/b", False),
        ("a/*", "a/", True),  # an empty level is a level
        ("*/b", "a/b", True),
        ("*/b", "/b", True),
        ("a/**", "a/b", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("*/**", "a", False),
        ("*/**", "a/b/c", True),
        ("a/*/c", "a/b/c", True),
        ("a/*/c", "a/b/d", False),
        (None, "a/b", True),
        (None, "#connect", True),
        (None, "#disconnect", True),
        (None, "#audit", False),
        (None, "#alarm", True),
        ("*", "#connect", False),
        ("**", "#disconnect", False),
        ("#connect", "#connect", True),
        ("#audit", "#audit", True),
    ],
)
def test_what_matches(pattern: str | None, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


# -- the tree ------------------------------------------------------------------------------------

# Few letters, so that names and patterns meet.
level = st.sampled_from(["a", "b", ""])
names = st.lists(level, min_size=1, max_size=4).map("/".join) | st.sampled_from([*RESERVED_EVENTS, "#x"])
patterns = st.builds(
    lambda levels, last: "/".join([*levels, last]),
    st.lists(level | st.just("*"), max_size=3),
    level | st.sampled_from(["*", "**"]),
)
paths = names | patterns


class TreeAgainstADictionary(RuleBasedStateMachine):
    """Whatever is set and discarded, the tree answers as a dictionary asked with `matches` would."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: NameTree[int] = NameTree()
        self.table: dict[str, int] = {}

    @rule(path=paths, value=st.integers())
    def set(self, path: str, value: int) -> None:
        self.tree.set(path, value)
        self.table[path] = value

    @rule(path=paths)
    def discard(self, path: str) -> None:
        self.tree.discard(path)
        self.table.pop(path, None)

    @rule(path=paths)
    def get(self, path: str) -> None:
        assert self.tree.get(path) == self.table.get(path)

    @rule(pattern=paths)
    def matching(self, pattern: str) -> None:
        expected = [value for path, value in self.table.items() if not is_pattern(path) and matches(pattern, path)]
        if is_pattern(pattern):
            assert sorted(self.tree.matching(pattern)) == sorted(expected)

    @rule(name=names)
    def matching_a_name(self, name: str) -> None:
        assert self.tree.matching(name) == [value for path, value in self.table.items() if path == name]

    @rule(name=names)
    def covering(self, name: str) -> None:
        expected = [value for path, value in self.table.items() if matches(path, name)]
        assert sorted(self.tree.covering(name)) == sorted(expected)

    @invariant()
    def it_is_walked_in_the_order_of_setting(self) -> None:
        assert list(self.tree) == list(self.table)
        assert len(self.tree) == len(self.table)

    @invariant()
    def no_branch_is_left_over(self) -> None:
        wanted = {tuple(path.split("/")[:depth]) for path in self.table for depth in range(path.count("/") + 2)} | {()}
        found, todo = {()}, [((), self.tree._root)]
        for place, node in todo:
            below = [((*place, name), child) for name, child in node.children.items()]
            found.update(where for where, _ in below)
            todo.extend(below)
        assert found == wanted


TestTree = TreeAgainstADictionary.TestCase


def test_answers_follow_the_order_of_setting() -> None:
    tree: NameTree[str] = NameTree()
    for path in ["b", "a", "c", "*", "**"]:
        tree.set(path, path)
    assert tree.matching("*") == ["b", "a", "c"]
    assert tree.covering("a") == ["**", "*", "a"]


def test_the_longest_names_and_patterns_take_no_recursion() -> None:
    tree: NameTree[int] = NameTree()
    deep = "/".join("x" * 5_000)  # longer than names may be: the tree does not mind
    tree.set(deep, 1)
    assert tree.matching("**") == tree.matching(deep) == [1]
    tree.set("**", 2)
    assert tree.covering(deep) == [2, 1]
    tree.discard(deep)
    tree.discard("**")
    assert tree._root.children == {}


def test_patterns_of_stars_cost_no_more_than_there_are() -> None:
    # Every mixture of 'x' and '*' over eight levels covers this name; over sixteen it would still be only these.
    tree: NameTree[int] = NameTree()
    for mixture in range(2**8):
        tree.set("/".join("*" if mixture >> place & 1 else "x" for place in range(8)), mixture)
    assert sorted(tree.covering("/".join("x" * 8))) == list(range(2**8))


def test_the_longest_name_is_the_longest_pattern() -> None:
    check_selector("x" * (NAME_MAX_BYTES - 2) + "/*", None)
