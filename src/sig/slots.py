"""How many requests a sender answers at a time, and whose turn is next.

Who asks most does not keep the others waiting: there is a line for each who asks, and of each line one in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

from .errors import Overloaded, RequestCancelled

T = TypeVar("T")


def has_share(own: int, others: int, total: int, limit: int) -> bool:
    """Whether somebody who has `own` places gets one more, when `total` are taken and `others` beside it have some.

    Up to `limit` whoever comes first does. Beyond it, and up to as many again, those do who have less than their share:
    else the first who comes could have them all.
    """
    return total < limit or (total < 2 * limit and own < limit // (others + 1))


class Lines(Generic[T]):
    """What waits, in a line for each who asks. Needs a lock around it where several threads come."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[T]] = {}
        self._turns: deque[Hashable] = deque()  # whose line has somebody in it
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def allows(self, who: Hashable, limit: int) -> bool:
        """Whether there is room for one more of this one, see `has_share`."""
        own = len(self._lines.get(who, ()))
        return has_share(own, len(self._turns) - (own > 0), self._size, limit)

    def put(self, who: Hashable, item: T) -> None:
        """At the end of its own line."""
        line = self._lines.get(who)
        if line is None:
            line = self._lines[who] = deque()
            self._turns.append(who)
        line.append(item)
        self._size += 1

    def take(self) -> T:
        """The first of the line whose turn it is. Raises `IndexError` where nobody waits."""
        who = self._turns.popleft()
        line = self._lines[who]
        item = line.popleft()
        if line:
            self._turns.append(who)
        else:
            del self._lines[who]
        self._size -= 1
        return item

    def remove(self, who: Hashable, item: T) -> bool:
        """Out of its line; false if it is there no more."""
        line = self._lines.get(who, ())
        if item not in line:
            return False
        self._lines[who].remove(item)
        if not line:
            del self._lines[who]
            self._turns.remove(who)
        self._size -= 1
        return True


class Slots:
    """So many requests of one sender run at a time, and so many more wait. Every method from any thread.

    Args:
        sender: for the sentence that says that there is no room.
        most: how many run.
        waiting: how many wait, see `has_share`.
    """

    def __init__(self, sender: str, most: int, waiting: int) -> None:
        self._sender = sender
        self._most = most
        self._waiting = waiting
        self._lock = Lock()  # guards what follows
        self._taken = 0
        self._lines: Lines[Callable[[], object]] = Lines()
        self._left: list[None] = []  # one for each slot that is to be left

    @property
    def taken(self) -> int:
        """How many run now."""
        return self._taken

    def __len__(self) -> int:
        """How many wait."""
        return len(self._lines)

    def enter(self, who: Hashable, go: Callable[[], object]) -> bool:
        """Take a slot: true if there is one. Else `go` is called when there is, on the thread of who leaves it.

        Raises `Overloaded` when too many wait. Whoever has a slot has to `leave`.
        """
        if self._left:
            self._tidy()
        with self._lock:
            if self._taken < self._most:
                self._taken += 1
                return True
            if not self._lines.allows(who, self._waiting):
                raise Overloaded(
                    f"sender {self._sender!r} answers at most {self._most} at a time, and {len(self._lines)} requests "
                    "wait: try again later"
                )
            self._lines.put(who, go)
            return False

    def withdraw(self, who: Hashable, go: Callable[[], object]) -> bool:
        """Wait no more: true if it did wait. Else `go` has been called, or is about to be, and the slot is taken."""
        with self._lock:
            return self._lines.remove(who, go)

    def leave(self) -> None:
        """Give a slot back: to the next who waits, if there is one."""
        with self._lock:
            go = self._lines.take() if self._lines else None
            if go is None:
                self._taken -= 1
        if go is not None:
            go()

    def abandon(self) -> None:
        """As `leave`, where this thread may be inside of any of these: then the next who comes does it."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self.leave()
        else:
            self._left.append(None)

    def _tidy(self) -> None:
        while self._left:
            self._left.pop()
            self.leave()


class End:
    """Tells, once, that a handler has come to its end; it may go on when nobody waits for it any more."""

    __slots__ = ("_ended", "_open")

    def __init__(self, ended: Callable[[], object]) -> None:
        self._ended = ended
        self._open = [None]  # whoever takes this out is the one who tells

    def of(self, function: Callable[..., Any], waits: bool) -> Callable[..., Any]:
        """The function, or `async def` function, whose end it is."""

        def begin() -> None:
            if not self._taken():
                raise RequestCancelled("nobody waits for the answer to this request any more")

        def call(*arguments: Any) -> Any:
            begin()
            try:
                return function(*arguments)
            finally:
                self._ended()

        async def call_later(*arguments: Any) -> Any:
            begin()
            try:
                return await function(*arguments)
            finally:
                self._ended()

        return call_later if waits else call

    def here(self) -> None:
        """Nobody waits any more: that is the end if it has not begun, and it will not then."""
        if self._taken():
            self._ended()

    def _taken(self) -> bool:
        try:
            self._open.pop()
        except IndexError:
            return False
        return True
