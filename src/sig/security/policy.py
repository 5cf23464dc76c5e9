"""Who may do what: rules, and what follows from them.

A rule allows or denies some actions of some identities with some names. What no rule allows is denied, and a rule that
denies wins over all that allow. Pure: the same question has the same answer, and nothing here knows a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from typing import Final, NamedTuple, TypeAlias

from sig.constants import EVENT_AUDIT, EVENT_CONNECT, EVENT_DISCONNECT, NAME_MAX_LEVELS
from sig.errors import InvalidArgument
from sig.names import NameTree, check_method, check_selector, matches
from sig.security.identity import ANONYMOUS_NAME, Identity
from sig.spelling import meant

ACTIONS: Final = ("own", "trigger", "listen", "block", "request", "list", "admin")
# Which of them are about a sender, and which about one of its events.
_ABOUT_EVENTS: Final = ("trigger", "listen", "block")
_ABOUT_NOBODY: Final = ("admin",)

EVERYBODY: Final = "*"
AUTHENTICATED: Final = "authenticated"
GROUP: Final = "group:"

Names: TypeAlias = tuple[str, ...]


class PolicyError(InvalidArgument):
    """A policy that cannot be right; nothing of it holds.

    `line` and `column` count from 1, where it came from a file.
    """

    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `Policy` checks it.

    Args:
        allow: whether it allows, or denies.
        who: names of identities, `group:` and the name of a group, `authenticated`, or `*` for everybody.
        actions: some of `own`, `trigger`, `listen`, `block`, `request`, `list`, `admin`.
        senders: names or patterns; all without.
        events: for `trigger`, `listen` and `block`: names or patterns; all without, but for `#audit` where it allows.
        methods: for `request`: names or patterns; all without.
        name: what it is called in denials.
    """

    allow: bool
    who: Names
    actions: Names
    senders: Names = ()
    events: Names = ()
    methods: Names = ()
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{'allow' if self.allow else 'deny'} {', '.join(self.who)}: {', '.join(self.actions)}"

    def fits(self, action: str, name: str) -> bool:
        """Whether it is about that event or method; the action is one of its own, and the sender one of its senders."""
        if action in _ABOUT_EVENTS:
            if not self.events:
                return name != EVENT_AUDIT or not self.allow
            return any(matches(pattern, name) for pattern in self.events)
        return action != "request" or not self.methods or any(matches(pattern, name) for pattern in self.methods)

    def covers(self, other: Rule) -> bool:
        """Whether the other one changes nothing beside this one, which has the same effect or denies."""
        if not (EVERYBODY in self.who or set(other.who) <= set(self.who)):
            return False
        if not set(other.actions) <= set(self.actions) or not _all_within(other.senders, self.senders):
            return False
        if any(action in _ABOUT_EVENTS for action in other.actions):
            if not _all_within(other.events, self.events):
                return False
            if self.allow and not self.events and EVENT_AUDIT in other.events:
                return False
        return "request" not in other.actions or _all_within(other.methods, self.methods)


def allow(
    who: str | Iterable[str],
    actions: str | Iterable[str],
    senders: str | Iterable[str] = (),
    *,
    events: str | Iterable[str] = (),
    methods: str | Iterable[str] = (),
    name: str = "",
) -> Rule:
    """A rule that allows; arguments as `Rule`, each may be a single text."""
    return Rule(True, _names(who), _names(actions), _names(senders), _names(events), _names(methods), name)


def deny(
    who: str | Iterable[str],
    actions: str | Iterable[str],
    senders: str | Iterable[str] = (),
    *,
    events: str | Iterable[str] = (),
    methods: str | Iterable[str] = (),
    name: str = "",
) -> Rule:
    """A rule that denies, and wins over all that allow; arguments as `Rule`, each may be a single text."""
    return Rule(False, _names(who), _names(actions), _names(senders), _names(events), _names(methods), name)


class Decision(NamedTuple):
    """Whether something is allowed, and the rule that says so; `None`: no rule allows it."""

    allowed: bool
    rule: Rule | None

    @property
    def reason(self) -> str:
        """The rule, in words for a sentence."""
        if self.rule is None:
            return "no rule allows it"
        return f"rule {str(self.rule)!r} {'allows' if self.allowed else 'denies'} it"


class Policy:
    """Rules, and the groups they speak of. Immutable; without any rule it denies everything.

    Args:
        rules: their order does not matter.
        groups: the identities in each; more may be in it by what is known of them at login.

    Raises:
        PolicyError: a rule that cannot be right, or has no effect; the message names it.
    """

    def __init__(self, rules: Iterable[Rule] = (), groups: Mapping[str, Iterable[str]] | None = None) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.groups: dict[str, Names] = {name: _names(members) for name, members in (groups or {}).items()}
        for rule in self.rules:
            check_rule(rule, self.groups)
        for rule, other in shadowed(self.rules):
            raise PolicyError(f"rule {str(rule)!r} has no effect, since rule {str(other)!r} covers it: remove one")
        self._rights: dict[tuple[str, Names], Rights] = {}

    def rights(self, identity: Identity) -> Rights:
        """What that one may do."""
        who = identity.name, identity.groups
        found = self._rights.get(who)
        if found is None:
            if len(self._rights) >= _MOST_RIGHTS:
                self._rights.clear()  # identities are many where they are not asked for again
            found = self._rights[who] = Rights(self.subjects(identity), self.rules)
        return found

    def subjects(self, identity: Identity) -> tuple[str, ...]:
        """All that a rule may call that one."""
        found = [identity.name, EVERYBODY]
        if identity.name != ANONYMOUS_NAME:
            found.append(AUTHENTICATED)
        found += [GROUP + group for group in identity.groups]
        found += [GROUP + group for group, members in self.groups.items() if identity.name in members]
        return tuple(dict.fromkeys(found))

    def decide(self, identity: Identity, action: str, sender: str = "", name: str = "") -> Decision:
        """Whether that one may do that with this sender and event or method, and why."""
        return self.rights(identity).decide(action, sender, name)

    def allowed(self, identity: Identity, action: str, sender: str = "", name: str = "") -> bool:
        """Whether that one may do that."""
        return self.rights(identity).decide(action, sender, name).allowed


# Decisions that one identity's rights remember, and identities that a policy does: to be asked again costs little.
_MOST_DECISIONS: Final = 16_384
_MOST_RIGHTS: Final = 4_096


class Rights:
    """What one identity may do: the rules that are about it, by action and by sender."""

    __slots__ = ("_decided", "_denying", "_granting", "_possible")

    def __init__(self, subjects: Sequence[str], rules: Iterable[Rule]) -> None:
        self._granting: dict[str, NameTree[list[Rule]]] = {}
        self._denying: dict[str, NameTree[list[Rule]]] = {}
        self._decided: dict[tuple[str, str, str], Decision] = {}
        self._possible: dict[tuple[str, str | None, str | None], Decision] = {}
        for rule in rules:
            if not any(who in subjects for who in rule.who):
                continue
            trees = self._granting if rule.allow else self._denying
            for action in rule.actions:
                tree = trees.setdefault(action, NameTree())
                for pattern in rule.senders or ("**",):
                    there = tree.get(pattern)
                    if there is None:
                        tree.set(pattern, [rule])
                    else:
                        there.append(rule)

    def decide(self, action: str, sender: str, name: str) -> Decision:
        """Whether it may do that with a sender, and an event or method of it. Remembered: asked for each request."""
        asked = action, sender, name
        found = self._decided.get(asked)
        if found is None:
            if len(self._decided) >= _MOST_DECISIONS:
                self._decided.clear()
            found = self._decided[asked] = self._decide(action, sender, name)
        return found

    def _decide(self, action: str, sender: str, name: str) -> Decision:
        denying = _first(self._denying.get(action), action, sender, name)
        if denying is not None:
            return Decision(False, denying)
        granting = _first(self._granting.get(action), action, sender, name)
        return Decision(granting is not None, granting)

    def possible(self, action: str, sender: str | None = None, name: str | None = None) -> Decision:
        """Whether there is any name that these patterns match, of a sender and an event or method, with which it may.

        `None` is any, as for who listens.
        """
        asked = action, sender, name
        found = self._possible.get(asked)
        if found is None:
            if len(self._possible) >= _MOST_DECISIONS:
                self._possible.clear()
            found = self._possible[asked] = self._search(action, sender, name)
        return found

    def _search(self, action: str, sender: str | None, name: str | None) -> Decision:
        # Only names that are as new as can be are tried: whatever denies one of them denies all others of its shape.
        refused: Decision | None = None
        tree = self._granting.get(action)
        if tree is None:
            return self._refusal(action, sender, name)
        most = 1 if action not in self._denying else NAME_MAX_LEVELS
        for pattern in tree:
            senders = list(islice(_witnesses(sender, pattern), most))
            for rule in tree.get(pattern) or ():
                for one, other in product(senders, _names_for(rule, action, name, most)):
                    decision = self._decide(action, one, other)
                    if decision.allowed:
                        return decision
                    refused = refused or decision
        return refused or self._refusal(action, sender, name)

    def _refusal(self, action: str, sender: str | None, name: str | None) -> Decision:
        """Nothing allows it; where it was for one name, a rule may deny it beside."""
        if sender is not None and "*" not in sender and (name is None or "*" not in name):
            return Decision(False, _first(self._denying.get(action), action, sender, name or ""))
        return Decision(False, None)


def check_rule(rule: Rule, groups: Mapping[str, object]) -> None:
    """Raises `PolicyError` for a rule that cannot be right; the message does not say which one it is."""
    for complaint, _ in complaints(rule, groups):
        raise PolicyError(f"rule {str(rule)!r}: {complaint}")


def complaints(rule: Rule, groups: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, str]]]:
    """What is wrong with a rule, and where: the field, and what stands there."""
    for field in ("who", "actions"):
        if not getattr(rule, field):
            yield f"{field} is missing: say {'whom it is about' if field == 'who' else 'what they may do'}", (field, "")
    for who in rule.who:
        if complaint := _check_who(who, groups):
            yield complaint, ("who", who)
    for action in rule.actions:
        if action not in ACTIONS:
            yield f"there is no action {action!r}{nearest(action, ACTIONS)}", ("actions", action)
    for field, check in _PATTERNS:
        for pattern in getattr(rule, field):
            try:
                check(pattern)
            except InvalidArgument as error:
                yield str(error), (field, pattern)
    for field, needed in (("events", _ABOUT_EVENTS), ("methods", ("request",))):
        if getattr(rule, field) and not any(action in needed for action in rule.actions):
            yield f"{field} is for {' and '.join(needed)}, which are not among its actions", (field, "")
    if rule.senders and rule.actions and all(action in _ABOUT_NOBODY for action in rule.actions):
        yield "admin is about no sender: leave senders out", ("senders", "")


def shadowed(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Rules without effect, each with the one that covers it."""
    # By whom they are about and by sender: a policy may have thousands, and few of them can cover each other.
    places: dict[str, NameTree[list[int]]] = {}
    for position, rule in enumerate(rules):
        for who in rule.who:
            tree = places.setdefault(who, NameTree())
            for pattern in rule.senders or ("**",):
                there = tree.get(pattern)
                if there is None:
                    tree.set(pattern, [position])
                else:
                    there.append(position)
    for position, rule in enumerate(rules):
        # What covers a pattern matches it, too, taken for a name.
        pattern = rule.senders[0] if rule.senders else "**"
        trees = [places[who] for who in (*rule.who[:1], EVERYBODY) if who in places]
        for other in dict.fromkeys(other for tree in trees for found in tree.covering(pattern) for other in found):
            if other == position or (rules[other].allow and not rule.allow) or not rules[other].covers(rule):
                continue
            # Of two that say the same, the later one.
            if rules[other].allow is rule.allow and other > position and rule.covers(rules[other]):
                continue
            yield rule, rules[other]
            break


def nearest(word: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence."""
    words = list(known)
    hint = meant(word, words) or (f"there are {', '.join(words)}" if words else "")
    return f": {hint}" if hint else ""


def _check_method(pattern: str) -> None:
    check_selector(None, pattern)
    check_method(pattern.replace("*", "x"))


_PATTERNS: Final = (
    ("senders", lambda pattern: check_selector(pattern, None)),
    ("events", partial(check_selector, None)),
    ("methods", _check_method),
)
_PREFIXES: Final = (GROUP, "uid:", "cert:")


def _check_who(who: str, groups: Mapping[str, object]) -> str:
    if who.startswith(GROUP):
        group = who.removeprefix(GROUP)
        return (
            ""
            if group in groups
            else f"there is no group {group!r}{nearest(group, groups)}"
            + ("" if groups else ": list it in [groups], perhaps with no members")
        )
    if who != EVERYBODY and "*" in who:
        return f"{who!r} is no name: '*' alone is everybody, and a group may be made of several"
    prefix, colon, _ = who.partition(":")
    if colon and prefix + colon not in _PREFIXES and (hint := meant(prefix + colon, _PREFIXES)):
        return f"nobody is called {who!r}: {hint}"
    return "" if who else "a name is empty: leave it out"


def _names(given: str | Iterable[str]) -> Names:
    return (given,) if isinstance(given, str) else tuple(given)


def _first(tree: NameTree[list[Rule]] | None, action: str, sender: str, name: str) -> Rule | None:
    if tree is None:
        return None
    for rules in tree.covering(sender):
        for rule in rules:
            if rule.fits(action, name):
                return rule
    return None


def _names_for(rule: Rule, action: str, wanted: str | None, most: int) -> list[str]:
    """Events or methods that a rule may be about, of those that are wanted."""
    if action in _ABOUT_NOBODY or action in ("own", "list"):
        return [""]
    granted = rule.events if action in _ABOUT_EVENTS else rule.methods
    if not granted and wanted is not None and "*" not in wanted:
        return [wanted]
    found = [name for each in granted or ("**",) for name in islice(_witnesses(wanted, each), most)]
    if action in _ABOUT_EVENTS and wanted is None and not granted:
        found += [EVENT_CONNECT, EVENT_DISCONNECT]
    return found


# A level that no name has, and no pattern spells out.
_NEW: Final = "\0"


def _witnesses(wanted: str | None, granted: str) -> Iterator[str]:
    """Names that both match, the shortest first: one of each length, with levels that nobody has said."""
    if "*" not in granted:
        if matches(wanted, granted):
            yield granted
        return
    wanted = wanted or "**"
    if "*" not in wanted:
        if matches(granted, wanted):
            yield wanted
        return
    for length in range(1, NAME_MAX_LEVELS + 1):
        one, other = _levels(wanted, length), _levels(granted, length)
        if one is None or other is None:
            continue
        if all("*" in (a, b) or a == b for a, b in zip(one, other, strict=True)):
            yield "/".join((b if a == "*" else a).replace("*", _NEW) for a, b in zip(one, other, strict=True))


def _levels(pattern: str, length: int) -> list[str] | None:
    """The pattern with as many levels, none of them `**`; `None` if it has no names of that length."""
    levels = pattern.split("/")
    if levels[-1] != "**":
        return levels if len(levels) == length else None
    return [*levels[:-1], *["*"] * (length - len(levels) + 1)] if length >= len(levels) else None


def _all_within(inner: Names, outer: Names) -> bool:
    """Whether whatever one of the first matches one of the second does; no patterns are all."""
    if not outer:
        return True
    return bool(inner) and all(any(_within(one, other) for other in outer) for one in inner)


def _within(inner: str, outer: str) -> bool:
    if "*" not in inner:
        return matches(outer, inner)
    if inner == outer:
        return True
    levels, wanted = inner.split("/"), outer.split("/")
    if wanted[-1] == "**":
        wanted.pop()
        if len(levels) <= len(wanted):
            return False
    elif levels[-1] == "**" or len(levels) != len(wanted):
        return False
    return all(want == "*" or want == level for want, level in zip(wanted, levels, strict=False))
