"""Waiting so that Ctrl-C ends it.

Python looks for signals before a system call and behind it. One that comes in the moment between the two is seen when
the call returns, and a thread that waits for something that does not come would never return: so it waits in turns.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import Final

TURN_S: Final = 1.0


def wait_in_turns(wait: Callable[[float], bool], timeout: float | None) -> bool:
    """What `wait(seconds)` says, called again until that is true or `timeout` seconds have passed; None is for ever."""
    until = inf if timeout is None else monotonic() + timeout
    left = until if timeout is None else timeout
    while not wait(min(max(0.0, left), TURN_S)):
        left = until - monotonic()
        if left <= 0:
            return False
    return True


class Flag(threading.Event):
    """An event that the main thread may wait for: Ctrl-C is seen within a second, whenever it comes."""

    def wait(self, timeout: float | None = None) -> bool:
        return wait_in_turns(super().wait, timeout)


class Answer:
    """Something one thread waits for and another gives, once."""

    __slots__ = ("_error", "_lock", "_value", "given")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held until the answer is there: nothing is cheaper to wait for
        self._lock.acquire()
        self._value: object = None
        self._error: BaseException | None = None
        self.given: bool = False

    def give(self, value: object, error: BaseException | None = None) -> None:
        """The answer; what is said later is ignored. Of several threads, the driver's lock lets in one."""
        if not self.given:
            self.given = True
            self._value, self._error = value, error
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Whether it is there, within `timeout` seconds. Once, by one thread."""
        return wait_in_turns(partial(self._lock.acquire, True), timeout)

    def result(self) -> object:
        """The value, or raises the error; after `wait` has said that it is there."""
        if self._error is not None:
            raise copy.copy(self._error)  # others may be given the same, and each raises it somewhere else
        return self._value
