"""A policy as a file: TOML, and where in it something is wrong.

    [groups]
    operators = ["alice", "cert:panel.lab"]

    [[allow]]
    who = "group:operators"
    actions = ["listen", "request"]
    senders = "lab/**"

    [[deny]]
    who = "*"
    actions = "request"
    senders = "lab/laser"
    methods = "fire"

    [end]

The last line tells a whole file from one that was cut off, which might allow more than it should.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from sig.security.policy import GROUP, Policy, PolicyError, Rule, complaints, nearest, shadowed

_TABLES: Final = ("groups", "allow", "deny", "end")
_LISTS: Final = ("who", "actions", "senders", "events", "methods")
_KEYS: Final = (*_LISTS, "name")
_AT: Final = re.compile(
    r"(?P<what>.*?)\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z", re.S
)
_HEADER: Final = re.compile(r"^[ \t]*\[{1,2}[ \t]*([\w-]+)[ \t]*\]{1,2}")


def parse_policy(text: str, source: str = "the policy") -> Policy:
    """The policy that a text says.

    Args:
        text: TOML.
        source: what it is called in errors: its file.

    Raises:
        PolicyError: with line and column, what is wrong there, and the nearest spelling that would be right.
    """
    return _Reader(text, source).read()


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._source = source
        # The lines where tables begin, by name, and where each of them ends.
        self._heads: dict[str, list[int]] = {}
        self._ends: dict[int, int] = {}
        before: int | None = None
        for number, line in enumerate(self._lines):
            if (found := _HEADER.match(line)) is not None:
                self._heads.setdefault(found[1], []).append(number)
                if before is not None:
                    self._ends[before] = number
                before = number
        if before is not None:
            self._ends[before] = len(self._lines)

    def read(self) -> Policy:
        try:
            document = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(str(error)) from None
        for key in document:
            if key not in _TABLES:
                raise self._error(f"there is no table {key!r}{nearest(key, _TABLES)}", self._find(_word(key)) or (1, 1))
        if document.get("end") != {} or not re.search(r"^[ \t]*\[end\][ \t]*(#.*)?\s*\Z", self._text, re.M):
            raise self._error(
                "it does not end with a line [end], so it may have been cut off: write [end] as the last line",
                (len(self._lines), 1),
            )
        groups = self._groups(document.get("groups", {}))
        rules: list[Rule] = []
        places: list[tuple[str, int]] = []
        for kind in ("allow", "deny"):
            tables = document.get(kind, [])
            if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
                raise self._error(f"rules are written [[{kind}]], with two brackets", self._find(_word(kind)) or (1, 1))
            for number, table in enumerate(tables):
                rules.append(self._rule(kind, number, table, groups))
                places.append((kind, number))
        # Rules compare by what they say: those that say the same are told apart by the name that each has got.
        for rule, other in shadowed(rules):
            place = places[next(i for i, each in enumerate(rules) if each is rule)]
            raise self._error(f"it has no effect, since rule {str(other)!r} covers it: remove one", self._place(place))
        return Policy(rules, groups)

    def _groups(self, table: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(table, dict):
            raise self._error(
                "groups is a table: write [groups], then operators = [...]", self._find("groups") or (1, 1)
            )
        groups: dict[str, tuple[str, ...]] = {}
        for name, members in table.items():
            place = "groups", 0
            found = self._texts(members, place, name)
            for member in found:
                if member.startswith(GROUP) or "*" in member or not member:
                    what = "a group holds names of identities, no groups and no patterns"
                    raise self._error(
                        f"{member!r} cannot be in group {name!r}: {what}", self._place(place, name, member)
                    )
            groups[name] = found
        return groups

    def _rule(self, kind: str, number: int, table: Mapping[str, Any], groups: Mapping[str, object]) -> Rule:
        place = kind, number
        for key in table:
            if key not in _KEYS:
                raise self._error(f"a rule has no key {key!r}{nearest(key, _KEYS)}", self._place(place, key))
        name = table.get("name", "")
        if not isinstance(name, str):
            raise self._error("name must be a text", self._place(place, "name"))
        line, _ = self._place(place)
        fields = {key: self._texts(table[key], place, key) if key in table else () for key in _LISTS}
        rule = Rule(kind == "allow", **fields, name=name or f"{kind} {number + 1}, line {line}")
        for complaint, (field, value) in complaints(rule, groups):
            raise self._error(complaint, self._place(place, field, value))
        return rule

    def _texts(self, value: object, place: tuple[str, int], key: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._error(f"{key} must be a text, or a list of texts", self._place(place, key))
        if not value and place[0] != "groups":
            what = f"{key} is an empty list, which is nobody or nothing: leave it out, or say what"
            raise self._error(what, self._place(place, key))
        return tuple(value)

    # Where things are

    def _error(self, what: str, place: tuple[int, int]) -> PolicyError:
        line, column = place
        error = PolicyError(f"{self._source}, line {line}, column {column}: {what}")
        error.line, error.column = line, column
        return error

    def _syntax(self, message: str) -> PolicyError:
        found = _AT.match(message)
        if found is None or found["line"] is None:
            place = len(self._lines), len(self._lines[-1]) + 1
        else:
            place = int(found["line"]), int(found["column"])
        what = message if found is None else found["what"]
        return self._error(f"this is no TOML: {what[:1].lower()}{what[1:]}", place)

    def _find(self, pattern: str, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
        """Where something stands first, from one line to another."""
        for number, line in enumerate(self._lines[start:end], start):
            found = re.search(pattern, _without_comment(line))
            if found is not None:
                return number + 1, found.end() - len(found[0].lstrip(" \t[\"'")) + 1
        return None

    def _place(self, table: tuple[str, int], key: str = "", value: str = "") -> tuple[int, int]:
        """Where a table is, or a key in it, or a value of that key."""
        mine = self._heads.get(table[0], [])
        if table[1] >= len(mine):  # written inline, in another table
            return self._find(_word(value or key or table[0])) or (1, 1)
        start = mine[table[1]]
        end = self._ends[start]
        place = start + 1, 1
        if key:
            place = self._find(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?(?=[ \t]*=)", start + 1, end) or place
        return (self._find(_word(value), place[0] - 1, end) or place) if value else place


def _word(word: str) -> str:
    return rf"(?<![\w-]){re.escape(word)}(?![\w-])"


def _without_comment(line: str) -> str:
    """The line as long as it is, and what stands behind a `#` that is outside of quotes left out."""
    quote = ""
    for position, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            return line[:position]
    return line
