"""Waiting so that Ctrl-C ends it.

Python looks for signals before a system call and behind it. One that comes in the moment between the two is seen when
the call returns, and a thread that waits for something that does not come would never return: so it waits in turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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
