"""A second name for a method, following overrides in both directions.

    class Router(OldNames):
        def add_sender(self, sender): ...

        addSender = alias(add_sender)

A subclass may override either name: both then call the override, and `super()` works with both.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

F = TypeVar("F")


def alias(primary: F) -> F:
    """A second name for `primary`, a method or property defined above in the same class or in a base.

    Type checkers see the full signature. The primary name pays nothing for it.
    """
    function = primary.fget if isinstance(primary, property) else primary
    return cast(F, _Alias(cast(Any, function).__name__))


class OldNames:
    """Base of classes with aliases: a subclass that overrides one of the two names overrides the other too."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        follow_overrides(cls)


def follow_overrides(cls: type) -> None:
    """Let both names of each alias mean, in `cls`, what the first class in its resolution order says of either."""
    for base in cls.__mro__:
        for old, value in list(vars(base).items()):
            if isinstance(value, _Alias):
                _agree(cls, old, value.primary)


def _agree(cls: type, old: str, new: str) -> None:
    first = next(vars(base) for base in cls.__mro__ if old in vars(base) or new in vars(base))
    if old not in first:
        setattr(cls, old, first[new])
    elif new not in first and not isinstance(first[old], _Alias):
        setattr(cls, new, first[old])


class _Alias:
    """Looks the primary name up on the instance, each time, as CPython's `threading` does for its old names."""

    __slots__ = ("home", "name", "primary")

    def __init__(self, primary: str) -> None:
        self.primary = primary

    def __set_name__(self, owner: type, name: str) -> None:
        self.home, self.name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        obj = owner if instance is None else instance
        if owner is not self.home:
            order = owner.__mro__
            before = order[: order.index(self.home)]
            for base in before:
                if self.name in base.__dict__:
                    # This class hides us, so only its `super()` can have got here. Asking the instance would
                    # find it again, for ever; what is meant is what follows from our own class on.
                    return getattr(super(before[-1], obj), self.primary)
        return getattr(obj, self.primary)
