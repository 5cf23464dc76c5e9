"""What a client says again on a new link: many calls, a few of them under way at a time.

Sans-I/O: no socket, no thread, no clock. A server bounds what waits for one client, and thousands may come back at
once: whoever has ten thousand subscriptions must not ask for all of them in one breath.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from sig.errors import SigError
from sig.protocol.calls import Done

# So many calls are under way: enough that the way there and back does not count, little beside what may wait.
AT_ONCE: Final = 64

# Begins a call; its answer, or why there is none, goes to the function given.
Begin: TypeAlias = Callable[[Done], object]
Answers: TypeAlias = list[tuple[object, BaseException | None]]


class Restoring:
    """Makes calls in their order; `done` gets all their answers, in the same order, and is called once.

    An answer may come while its call is begun.
    """

    def __init__(self, calls: Sequence[Begin], done: Done) -> None:
        self._calls = calls
        self._done = done
        self._answers: Answers = [(None, None)] * len(calls)
        self._begun = 0
        self._answered = 0
        self._beginning = False

    def go_on(self) -> None:
        """Begin what may be begun."""
        if self._beginning:
            return
        self._beginning = True
        while self._begun < len(self._calls) and self._begun - self._answered < AT_ONCE:
            number = self._begun
            self._begun += 1
            answered = self._taker(number)
            try:
                self._calls[number](answered)
            except SigError as error:
                answered(None, error)
        self._beginning = False
        if self._answered == len(self._calls):
            self._done(self._answers, None)

    def _taker(self, number: int) -> Done:
        def answered(value: object, error: BaseException | None) -> None:
            self._answers[number] = value, error
            self._answered += 1
            self.go_on()

        return answered
