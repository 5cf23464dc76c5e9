"""Threads that run one at a time, and take turns where a seed says so: whatever goes wrong goes wrong again.

Left alone, a thread is rarely stopped in the middle of what takes a few microseconds. Here it may be on any line of the
modules below, also while it holds a lock: their locks are of a kind that lets others run meanwhile.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

LIMIT_S = 60
MODULES = ("sig.hub", "sig.index", "sig.mailbox", "sig.router", "sig.signal", "sig.subscription")
# How likely a thread is stopped at a line: rarely, and it gets far ahead; often, and several are in the same place.
OFTEN = (0.02, 0.1, 0.3)
# Whoever is let run so often without getting any further never will.
PATIENCE = 10_000


class Turns:
    """One thread for each work; `run` ends with the last of them, or raises what the first to fail raised."""

    def __init__(self) -> None:
        self._chance = random.Random(0)
        self._often = 0.0
        self._gates: list[threading.Lock] = []
        self._alive: list[int] = []
        self._mine = threading.local()
        self._errors: list[BaseException] = []
        self._over = threading.Event()

    def run(self, seed: int, *works: Callable[[], object]) -> None:
        self._chance.seed(seed)
        self._often = OFTEN[seed % len(OFTEN)]
        self._gates = [threading.Lock() for _ in works]
        for gate in self._gates:
            gate.acquire()
        self._alive = [*range(len(works))]
        self._over.clear()
        threads = [threading.Thread(target=self._live, args=item, daemon=True) for item in enumerate(works)]
        for thread in threads:
            thread.start()
        self._gates[self._chance.choice(self._alive)].release()
        assert self._over.wait(LIMIT_S), "somebody waits for what never comes"
        for thread in threads:
            thread.join()
        if self._errors:
            error = self._errors[0]
            error.add_note(f"seed {seed}")
            raise error

    def switch(self) -> None:
        """Let another go on, or this one."""
        mine, other = self._mine.number, self._chance.choice(self._alive)
        if other != mine:
            self._gates[other].release()
            self._gates[mine].acquire()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Let others go on until it holds."""
        for _ in range(PATIENCE):
            if condition():
                return
            self.switch()
        raise AssertionError("what is waited for does not come")

    def _live(self, number: int, work: Callable[[], object]) -> None:
        self._gates[number].acquire()
        self._mine.number = number
        sys.settrace(self._trace)
        try:
            work()
        except BaseException as error:  # raised by `run`
            self._errors.append(error)
        finally:
            sys.settrace(None)
            self._alive.remove(number)
            if self._alive:
                self._gates[self._chance.choice(self._alive)].release()
            else:
                self._over.set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "call":
            return self._trace if frame.f_globals.get("__name__") in MODULES else None
        if event == "line" and self._chance.random() < self._often:
            self.switch()
        return self._trace


class TurnLock:
    """Stands for `threading.RLock`: who has to wait lets others run."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._owner = 0
        self._depth = 0

    def __enter__(self) -> Self:
        me = threading.get_ident()
        if self._owner != me:
            if self._owner:
                self._turns.wait_for(lambda: not self._owner)
            self._owner = me
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        assert self._owner == threading.get_ident()
        self._depth -= 1
        if not self._depth:
            self._owner = 0
