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
    for base in cls.__mro__:
        has_old, has_new = old in vars(base), new in vars(base)
        if has_old and not has_new and not isinstance(vars(base)[old], _Alias):
            setattr(cls, new, vars(base)[old])
        elif has_new and not has_old:
            setattr(cls, old, vars(base)[new])
        if has_old or has_new:
            return


class _Alias:
    """Looks the primary name up on the instance, each time, as CPython's `threading` does for its old names."""

    __slots__ = ("home", "name", "primary")

    def __init__(self, primary: str) -> None:
        self.primary = primary

    def __set_name__(self, owner: type, name: str) -> None:
        self.home, self.name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        if owner is not self.home:
            for base in owner.__mro__:
                if base is self.home:
                    break
                if self.name in vars(base):
                    return self._next(instance, owner)
        return getattr(owner if instance is None else instance, self.primary)

    def _next(self, instance: object, owner: type) -> Any:
        """What `super()` means: a class before ours has this name, so only through `super()` can one get here.

        Asking the instance would find that class again, and again.
        """
        order = owner.__mro__
        for base in order[order.index(self.home) :]:
            if self.primary in vars(base):
                value = vars(base)[self.primary]
                return value.__get__(instance, owner) if hasattr(value, "__get__") else value
        raise AttributeError(f"{owner.__name__!r} has no attribute {self.primary!r}")
