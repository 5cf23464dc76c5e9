"""Replies finding their calls.

Sans-I/O: no socket, no thread, no clock. Whoever asks passes a function that is called once, with the answer or with
the error; the driver passes `now` in and wakes whoever waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

import msgspec

from sig.errors import Overloaded, SigError
from sig.protocol.parts import PartsIn

T = TypeVar("T")

Done: TypeAlias = Callable[[object, BaseException | None], object]

_LARGEST_NUMBER = 0xFFFFFFFF


class Waiting(msgspec.Struct, Generic[T]):
    """One call that waits for its answer."""

    done: Done
    deadline: float
    what: T
    """What the call is, for `expired`."""
    about: Hashable
    """What groups calls for `fail_about`; may be set later."""
    parts: PartsIn | None = None
    """Where parts of the answer go, if it may come in parts."""


class Calls(Generic[T]):
    """The calls of one end that wait for their answers, by a number of 32 bits.

    `expired(number, call)` makes the error of a call whose time is over.
    """

    def __init__(self, limit: int, expired: Callable[[int, Waiting[T]], SigError]) -> None:
        self._limit = limit
        self._expired = expired
        self._waiting: dict[int, Waiting[T]] = {}
        # No call ends before this. A call that is answered leaves it as it is: most are, long before their deadline,
        # and it costs less to look at all of them now and then than to keep them sorted.
        self._soonest = math.inf
        self._last = 0
        self.late: int = 0
        """Answers to calls that nobody waited for any more."""

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, done: Done, deadline: float, what: T, about: Hashable = None, parts: PartsIn | None = None) -> int:
        """Number a new call. Raises `Overloaded` above the limit: nothing has been sent then."""
        waiting = self._waiting
        if len(waiting) >= self._limit:
            raise Overloaded(f"{self._limit} requests of this client wait for their answers: take those in first")
        number = self._last % _LARGEST_NUMBER + 1
        while number in waiting:
            number = number % _LARGEST_NUMBER + 1
        self._last = number
        waiting[number] = Waiting(done, deadline, what, about, parts)
        if deadline < self._soonest:
            self._soonest = deadline
        return number

    def find(self, number: int) -> Waiting[T] | None:
        """The call of that number, while it waits."""
        return self._waiting.get(number)

    def take(self, number: int, about: Hashable) -> Waiting[T] | None:
        """The call of that number, if it waits and is about that: it is over then, and whoever takes it calls `done`.

        Else the answer is late, and counted.
        """
        waiting = self._waiting.get(number)
        if waiting is None or waiting.about != about:
            self.late += 1
            return None
        del self._waiting[number]
        return waiting

    def succeed(self, number: int, value: object) -> bool:
        """The answer came; false if nobody waits for it."""
        return self._finish(number, value, None)

    def fail(self, number: int, error: BaseException) -> bool:
        """There will be no answer; false if nobody waits for it."""
        return self._finish(number, None, error)

    def forget(self, number: int) -> Waiting[T] | None:
        """Nobody waits any more: the function is not called. The call, if it did wait."""
        return self._waiting.pop(number, None)

    def fail_about(self, about: Hashable, error: BaseException) -> None:
        """Fail every call about that."""
        for number in [number for number, waiting in self._waiting.items() if waiting.about == about]:
            self._finish(number, None, error)

    def fail_all(self, error: BaseException) -> None:
        """Fail every call there is."""
        for number in list(self._waiting):
            self._finish(number, None, error)

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`; no call ends before that, perhaps none does then. `None`: none ever does."""
        if not self._waiting:
            self._soonest = math.inf
        return None if self._soonest == math.inf else self._soonest

    def handle_timeout(self, now: float) -> list[int]:
        """Fail the calls whose time is over, in the order of their deadlines; returns their numbers."""
        if now < self._soonest:
            return []
        over = [(waiting.deadline, number) for number, waiting in self._waiting.items() if waiting.deadline <= now]
        numbers = [number for _, number in sorted(over)]
        for number in numbers:
            if (waiting := self._waiting.get(number)) is not None:  # else one of those before it has given it up
                self._finish(number, None, self._expired(number, waiting))
        self._soonest = min((waiting.deadline for waiting in self._waiting.values()), default=math.inf)
        return numbers

    def _finish(self, number: int, value: object, error: BaseException | None) -> bool:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            self.late += 1
            return False
        waiting.done(value, error)
        return True
