"""Names of senders, events and methods: what is one, and which patterns match it.

A name is divided into levels by `/`. In a pattern `*` stands for exactly one level and `**`, as the last level,
for one level or more. Patterns are resolved here when senders and listeners register, never when an event is
triggered. Nothing in this file recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Generic, TypeVar

from sig.constants import (
    CHANNEL_DECORATOR,
    EVENT_CONNECT,
    EVENT_DISCONNECT,
    NAME_MAX_BYTES,
    NAME_MAX_LEVELS,
    RESERVED_EVENTS,
)
from sig.errors import InvalidName

T = TypeVar("T")

# Unicode category Cc, which is fixed for good.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

# -- checking ------------------------------------------------------------------------------------


def check_sender(name: object) -> str:
    """`name`, if a sender may be called so; else `InvalidName`."""
    text = _check("sender", name)
    if text[0] == CHANNEL_DECORATOR:
        raise InvalidName(f"a sender name cannot begin with '#': to hear that channel, write on(event={_show(text)})")
    return text


def check_event(name: object) -> str:
    """`name`, if it can be an event, the routers' own included; else `InvalidName`."""
    return _check("event", name)


def check_own_event(name: object) -> str:
    """`name`, if a sender may declare and trigger it; else `InvalidName`."""
    text = _check("event", name)
    if text in RESERVED_EVENTS:
        raise InvalidName(f"the event {text!r} is triggered by routers only: choose another name for yours")
    return text


def check_method(name: object) -> str:
    """`name`, if a request may be called so; else `InvalidName`."""
    text = _check("method", name)
    if text[0] == CHANNEL_DECORATOR:
        raise InvalidName(f"a method name cannot begin with '#': write {_show(text.lstrip(CHANNEL_DECORATOR))}")
    return text


def check_request(sender: object, method: object) -> tuple[str, str]:
    """`check_sender` and `check_method`, for those who name the same few again and again."""
    if type(sender) is str and type(method) is str:
        _check_request(sender, method)
        return sender, method
    return check_sender(sender), check_method(method)


@lru_cache(maxsize=1024)
def _check_request(sender: str, method: str) -> None:
    check_sender(sender)
    check_method(method)


def check_selector(sender: object, event: object) -> None:
    """Return if one can listen so: each of the two is `None`, a name or a pattern; else `InvalidName`."""
    if sender is not None:
        if isinstance(sender, str) and "*" in sender:
            check_sender(_check_stars("sender", sender))
        else:
            check_sender(sender)
    if event is not None:
        _check("event", _check_stars("event", event) if isinstance(event, str) and "*" in event else event)


def _check(what: str, name: object) -> str:
    if not isinstance(name, str):
        raise InvalidName(f"{_a(what)} name must be a str, not {type(name).__name__}")
    if not name:
        raise InvalidName(f"{_a(what)} name cannot be empty")
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidName(f"the {what} name {_show(name)} is not UTF-8: it holds half of a surrogate pair") from None
    if size > NAME_MAX_BYTES:
        raise InvalidName(f"the {what} name {_show(name)} has {size} bytes: the longest allowed has {NAME_MAX_BYTES}")
    if _CONTROL.search(name):
        raise InvalidName(f"the {what} name {_show(name)} holds a control character: leave it out")
    if "*" in name:
        raise InvalidName(f"{_show(name)} is not {_a(what)} name: '*' belongs into patterns, for listening")
    if name.count("/") >= NAME_MAX_LEVELS:
        raise InvalidName(f"the {what} name {_show(name)} has more than {NAME_MAX_LEVELS} levels")
    # A subclass (an enumeration, say) may compare and print as it likes; we keep the text itself.
    return name if type(name) is str else str.__str__(name)


def _check_stars(what: str, pattern: str) -> str:
    """A name of the same shape, if the stars of `pattern` stand where they may."""
    levels = pattern.split("/")
    for position, level in enumerate(levels):
        if level == "**" and position != len(levels) - 1:
            raise InvalidName(f"in the {what} pattern {_show(pattern)} '**' is not the last level: it must be")
        if "*" in level and level not in ("*", "**"):
            raise InvalidName(
                f"in the {what} pattern {_show(pattern)} a '*' stands within a level: it can only be a whole one"
            )
    # Stars become letters, byte for byte, so that every other rule is asked of the rest.
    return pattern.replace("*", "x")


def _a(what: str) -> str:
    return f"an {what}" if what == "event" else f"a {what}"


def _show(name: str) -> str:
    """The name as Python would write it, cut if somebody has sent us a book."""
    return repr(name if len(name) <= 60 else name[:57] + "...")


# -- asking --------------------------------------------------------------------------------------


def is_pattern(text: str) -> bool:
    """Whether this selector is a pattern; if not, it is a name."""
    return "*" in text


def is_channel_name(name: str) -> bool:
    """Whether an event of this name is, by convention, shared by many senders."""
    return name.startswith(CHANNEL_DECORATOR)


def is_builtin_event(name: str) -> bool:
    """Whether only routers trigger this event."""
    return name in RESERVED_EVENTS


def matches(pattern: str | None, name: str) -> bool:
    """Whether who listens with `pattern` hears `name`. `None` means any.

    For senders and events alike. Reserved events are matched by their exact name only, except that `None`
    matches `#connect` and `#disconnect`; no sender bears such a name, so the rule does it no harm.
    """
    if pattern is None:
        return name not in RESERVED_EVENTS or name in (EVENT_CONNECT, EVENT_DISCONNECT)
    if pattern == name:
        return True
    if "*" not in pattern or name in RESERVED_EVENTS:
        return False
    wanted, levels = pattern.split("/"), name.split("/")
    if wanted[-1] == "**":
        if len(levels) < len(wanted):
            return False
        wanted.pop()
    elif len(levels) != len(wanted):
        return False
    return all(want in ("*", level) for want, level in zip(wanted, levels, strict=False))


# -- storing -------------------------------------------------------------------------------------


class _Node:
    __slots__ = ("children", "path")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        # Set where a path ends here; its value is in the tree's table.
        self.path: str | None = None


class NameTree(Generic[T]):
    """One value for each path, where a path is a name or a pattern; asked from both sides.

    A question costs as much as the levels and branches that it visits, never the number of paths. Reserved
    events are found by their exact name only, as in `matches`. Answers come in an order which follows from
    the order of `set` alone. No lock: whoever shares a tree between threads holds one.
    """

    __slots__ = ("_patterns", "_root", "_values")

    def __init__(self) -> None:
        self._values: dict[str, T] = {}
        self._root = _Node()
        self._patterns = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        """The paths, in the order in which they were first set."""
        return iter(self._values)

    def get(self, path: str) -> T | None:
        """The value at exactly this path."""
        return self._values.get(path)

    def set(self, path: str, value: T) -> None:
        """Put `value` at `path`, in the place of what was there."""
        if path not in self._values:
            node = self._root
            for level in path.split("/"):
                child = node.children.get(level)
                if child is None:
                    child = node.children[level] = _Node()
                node = child
            node.path = path
            self._patterns += "*" in path
        self._values[path] = value

    def discard(self, path: str) -> None:
        """Forget this path, if it is there, and the branches that led to it alone."""
        if path not in self._values:
            return
        del self._values[path]
        self._patterns -= "*" in path
        levels = path.split("/")
        trail = [self._root]
        for level in levels:
            trail.append(trail[-1].children[level])
        trail[-1].path = None
        while levels and not trail[-1].children and trail[-1].path is None:
            trail.pop()
            del trail[-1].children[levels.pop()]

    def matching(self, pattern: str) -> list[T]:
        """The values at those names which `pattern` matches; values at patterns are left out."""
        values = self._values
        if "*" not in pattern:
            return [values[pattern]] if pattern in values else []
        levels = pattern.split("/")
        deep = levels[-1] == "**"
        if deep:
            levels[-1] = "*"
        nodes = [self._root]
        for level in levels:
            if level == "*":
                nodes = [child for node in nodes for name, child in node.children.items() if name not in ("*", "**")]
            else:
                nodes = [node.children[level] for node in nodes if level in node.children]
        if deep:
            # The list grows while it is walked: whoever is found brings his children.
            for node in nodes:
                nodes.extend(child for name, child in node.children.items() if name not in ("*", "**"))
        return [values[node.path] for node in nodes if node.path is not None and node.path not in RESERVED_EVENTS]

    def covering(self, name: str) -> list[T]:
        """The values at those paths, patterns and names, which match `name`."""
        values = self._values
        if not self._patterns or name in RESERVED_EVENTS:
            return [values[name]] if name in values else []
        found: list[_Node] = []
        nodes = [self._root]
        for level in name.split("/"):
            below: list[_Node] = []
            for node in nodes:
                children = node.children
                # '**' is a last level: it takes this level and all that follow.
                if "**" in children:
                    found.append(children["**"])
                if "*" in children:
                    below.append(children["*"])
                if level in children:
                    below.append(children[level])
            nodes = below
        found += nodes
        return [values[node.path] for node in found if node.path is not None]
