"""Replies finding their calls.

Sans-I/O: no socket, no thread, no clock. Whoever asks passes a function that is called once, with the answer or with
the error; the driver passes `now` in and wakes whoever waits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush

from sig.errors import Overloaded, SigError

Done = Callable[[object, BaseException | None], object]


class Calls:
    """The calls of one end that wait for their answers, by a number of 32 bits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[int, _Waiting] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._last = 0
        self.late: int = 0
        """Answers to calls that nobody waited for any more."""

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, done: Done, deadline: float, expired: Callable[[int], SigError], about: Hashable = None) -> int:
        """Number a new call. `expired(number)` makes the error at its deadline; `about` groups calls for `fail_about`.

        Raises `Overloaded` above the limit: nothing has been sent then.
        """
        if len(self._waiting) >= self._limit:
            raise Overloaded(f"{self._limit} requests of this client wait for their answers: take those in first")
        number = self._last
        while True:
            number = (number + 1) & 0xFFFFFFFF
            if number and number not in self._waiting:
                break
        self._last = number
        self._waiting[number] = _Waiting(done, deadline, expired, about)
        if len(self._deadlines) > 64 + 2 * len(self._waiting):
            # Most calls end long before their deadline: their places in the heap must not outlive them.
            self._deadlines = [(waiting.deadline, number) for number, waiting in self._waiting.items()]
            heapify(self._deadlines)
        else:
            heappush(self._deadlines, (deadline, number))
        return number

    def set_about(self, number: int, about: Hashable) -> bool:
        """Say later what a call is about; false if nobody waits for it any more."""
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.about = about
        return waiting is not None

    def about(self, number: int) -> Hashable:
        """What the call is about; `None` for a number nobody waits for."""
        waiting = self._waiting.get(number)
        return waiting.about if waiting is not None else None

    def succeed(self, number: int, value: object) -> bool:
        """The answer came; false if nobody waits for it."""
        return self._finish(number, value, None)

    def fail(self, number: int, error: BaseException) -> bool:
        """There will be no answer; false if nobody waits for it."""
        return self._finish(number, None, error)

    def forget(self, number: int) -> bool:
        """Nobody waits any more; the function is not called."""
        return self._waiting.pop(number, None) is not None

    def fail_about(self, about: Hashable, error: BaseException) -> None:
        """Fail every call about that."""
        for number in [number for number, waiting in self._waiting.items() if waiting.about == about]:
            self._finish(number, None, error)

    def fail_all(self, error: BaseException) -> None:
        """Fail every call there is."""
        for number in list(self._waiting):
            self._finish(number, None, error)

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        while self._deadlines:
            deadline, number = self._deadlines[0]
            waiting = self._waiting.get(number)
            if waiting is not None and waiting.deadline == deadline:
                return deadline
            heappop(self._deadlines)
        return None

    def handle_timeout(self, now: float) -> list[int]:
        """Fail the calls whose time is over; returns their numbers."""
        over = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, number = heappop(self._deadlines)
            over.append(number)
            self._finish(number, None, self._waiting[number].expired(number))
        return over

    def _finish(self, number: int, value: object, error: BaseException | None) -> bool:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            self.late += 1
            return False
        waiting.done(value, error)
        return True


class _Waiting:
    __slots__ = ("about", "deadline", "done", "expired")

    def __init__(self, done: Done, deadline: float, expired: Callable[[int], SigError], about: Hashable) -> None:
        self.done = done
        self.deadline = deadline
        self.expired = expired
        self.about = about
