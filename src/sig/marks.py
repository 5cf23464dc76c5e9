"""Listeners that are marked where they are written, and registered later, all of an object's together.

A mark says to what a function will listen. It is a note on the function and changes nothing about it: no router is
known yet, and perhaps there will be several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import getattr_static
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from .callables import describe
from .errors import InvalidArgument
from .info import Info
from .names import check_selector
from .sender import View
from .subscription import DEFAULTS, Callback, Options, Subscription

if TYPE_CHECKING:
    from .hub import Hub

F = TypeVar("F")

_MARKS: Final = "__sig_marks__"


class Mark(NamedTuple):
    """To what a function will listen, and how."""

    sender: str | None
    event: str | None
    options: Mapping[str, Any]
    """Those that the mark names; what it leaves out, whoever registers it may say."""


def on(sender: str | View | None = None, event: str | None = None, **options: Any) -> Callable[[F], F]:
    """Decorator: mark a function or method as a listener, for `Router.listen_all`; it is returned as it is.

    Sender, event and options are those of `Router.listen`. Several marks on one function are several registrations.

    Raises:
        InvalidName: sender or event is neither a name nor a pattern.
        InvalidArgument: what is marked is a class, or something that can bear no mark.
        TypeError: an option that does not exist.
    """
    if callable(sender):
        raise InvalidArgument(f"write @sig.on(...) with parentheses above {describe(sender)}")
    name = sender.name if isinstance(sender, View) else sender
    check_selector(name, event)
    mark = Mark(name, event, _checked(options, "on"))

    def note(function: F) -> F:
        bearer: Any = function.__func__ if isinstance(function, staticmethod | classmethod) else function
        try:
            if isinstance(bearer, type):
                raise InvalidArgument(f"{describe(bearer)} is a class: put @sig.on(...) above its methods")
            # A new tuple: a function that wraps this one may have been given the old one with all its attributes.
            setattr(bearer, _MARKS, (mark, *_marks_of(bearer)))  # decorators are applied from below
        except AttributeError:
            raise InvalidArgument(
                f"{describe(bearer)} can bear no mark: mark a function or method where it is defined"
            ) from None
        return function

    return note


def marked(thing: object, defaults: Mapping[str, Any]) -> list[tuple[Callback, str | None, str | None, Options]]:
    """What is marked in an object, module or class, or of one function, as arguments for `Router.listen`.

    In the order of definition, what a class inherits first; what a subclass overrides counts as it is there.

    Raises `InvalidArgument` when there is none, `TypeError` for an option that does not exist.
    """
    _checked(defaults, "listen_all")
    found = []
    for callback, marks in _bearers(thing):
        for mark in marks:
            options = Options(**{**defaults, **mark.options})
            found.append((callback, mark.sender, mark.event, DEFAULTS if options == DEFAULTS else options))
    if not found:
        raise InvalidArgument(
            f"nothing in {_shown(thing)} is marked as a listener: "
            "put @sig.on(sender, event) above its functions or methods"
        )
    return found


class Several(Subscription):
    """What `Router.listen_all` returns: one handle for all that it registered. Its numbers are sums."""

    __slots__ = ("parts",)

    def __init__(self, router: Hub, parts: Iterable[Subscription]) -> None:
        self.parts: tuple[Subscription, ...] = ()  # the base asks already
        super().__init__(router, _never, None, None, DEFAULTS, 0)
        self.parts = tuple(parts)
        """The registrations, one for each mark."""

    # Of the base it is a note; here it follows from the parts.
    @property
    def closed(self) -> bool:
        """Whether all of them have ended."""
        return all(part.closed for part in self.parts)

    @closed.setter
    def closed(self, closed: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # can be read and set as there
        """The base notes it; there is nothing to note."""

    @property
    def received(self) -> int | None:
        """Events given to the callbacks; `None` where some are called directly by a plain `Router`."""
        counts = [part.received for part in self.parts]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def missed(self) -> int:
        """Events that matched and were lost, as far as they can be counted."""
        return sum(part.missed for part in self.parts)

    @property
    def pending(self) -> int:
        """Events that wait in the listeners' own queues."""
        return sum(part.pending for part in self.parts)

    def close(self) -> None:
        """End all of them. No call of any begins after this has returned."""
        for part in self.parts:
            part.close()

    def __repr__(self) -> str:
        return f"<{len(self.parts)} listeners: {'closed' if self.closed else 'open'}>"


def _never(info: Info, data: object) -> None:
    """Stands where a subscription has its callback."""


def _checked(options: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for name in options:
        if name not in Options._fields:
            raise TypeError(f"{where}() has no option {name!r}: choose among {', '.join(Options._fields)}")
    return options


def _bearers(thing: object) -> Iterator[tuple[Callback, tuple[Mark, ...]]]:
    """What bears marks, and can be called as it is."""
    if isinstance(thing, FunctionType | MethodType | partial):
        yield thing, _marks_of(thing.__func__ if isinstance(thing, MethodType) else thing)
        return
    seen: list[object] = []  # one function under two names is one
    for name, raw in _attributes(thing).items():
        bearer = raw.__func__ if issubclass(type(raw), staticmethod | classmethod) else raw
        marks = _marks_of(bearer)
        if not marks or any(bearer is other for other in seen):
            continue
        if isinstance(thing, ModuleType) and isinstance(bearer, FunctionType) and bearer.__module__ != thing.__name__:
            continue  # imported: whoever registers the module that it is from would register it twice
        seen.append(bearer)
        yield getattr(thing, name), marks


def _attributes(thing: object) -> dict[str, Any]:
    """What an object has by its names, without asking it: properties are not run."""
    found: dict[str, Any] = {}
    for cls in reversed(thing.__mro__ if isinstance(thing, type) else type(thing).__mro__):
        found.update(vars(cls))
    found.update(getattr(thing, "__dict__", {}))
    return found


def _marks_of(bearer: object) -> tuple[Mark, ...]:
    # Static: what lies about in a module may be a proxy that runs who knows what when it is asked for an attribute.
    marks: tuple[Mark, ...] = getattr_static(bearer, _MARKS, ())
    return marks


def _shown(thing: object) -> str:
    if isinstance(thing, ModuleType):
        return f"module {thing.__name__!r}"
    return describe(thing) if callable(thing) else f"this {type(thing).__qualname__}"
