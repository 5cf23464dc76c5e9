"""What becomes of links, loops and routers in a forked child: they are the parent's, and must be let go.

The child has one thread, the one that forked. The others are gone, wherever they were, with every lock that they held.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from typing import Final, Protocol


class Forked(Protocol):
    """What has to be told in the child."""

    def forked(self) -> None:
        """This is the child: let go. Must not wait for anything, and not take a lock that existed before."""
        ...


_told: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()


def tell_child(thing: Forked) -> None:
    """Call `thing.forked()` in every child that is forked while it exists."""
    _told.add(thing)


def let_go(numbers: Iterable[int]) -> None:
    """In the child: these descriptors stand for nothing from here on.

    They are not closed. Whatever has them may close them once more when it is collected, and the numbers may stand for
    something else by then.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


def _in_child() -> None:
    for thing in list(_told):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
