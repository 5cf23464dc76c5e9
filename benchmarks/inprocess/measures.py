"""What is measured of one library. Every figure is of calls that have been counted."""

from __future__ import annotations

import gc
import logging
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import perf_counter
from types import CodeType, FrameType
from typing import NamedTuple

from benchmarks.timing import fastest, undisturbed

from .libraries import Library, Listener

CHECKED = 3  # triggers for which calls are counted


class Effort(NamedTuple):
    """How much work goes into one round."""

    # Triggers without a look at the clock. Less than the turn of a busy neighbour, so that some batches are spared.
    batch_s: float = 0.001
    batches: int = 25  # of which the fastest tells: the others were disturbed
    listeners: int = 10_000  # that are registered, here and in the scale case
    senders: int = 1_000


QUICK = Effort(batch_s=0.0002, batches=1, listeners=200, senders=20)


class WrongCount(AssertionError):
    """A listener was not called as often as it should have been: the figures would be worth nothing."""


# -- listeners -----------------------------------------------------------------------------------


@lru_cache
def listeners(parameters: str, count: int) -> tuple[Listener, ...]:
    """Functions that do nothing, each with code of its own: as different as those of a program."""
    space: dict[str, Listener] = {}
    exec("\n".join(f"def listener_{number}({parameters}): pass" for number in range(count)), space)
    return tuple(space[f"listener_{number}"] for number in range(count))


class Failure(Exception):
    """What a failing listener raises."""


def failing(parameters: str, calls: list[None], count: int) -> list[Listener]:
    """Listeners that raise, and note that they were called."""
    space = {"Failure": Failure, "calls": calls}
    source = "def listener({}):\n calls.append(None)\n raise Failure"
    made: list[Listener] = []
    for _ in range(count):
        exec(source.format(parameters), space)
        made.append(space["listener"])  # type: ignore[arg-type]  # what the source has just defined
    return made


def check_called(drive: Callable[[int], None], expected: Sequence[Listener], what: str) -> None:
    """Raise `WrongCount` unless each trigger calls just these listeners, once each.

    The interpreter itself counts, so those that are timed can be those that are counted, and do nothing else.
    """
    counted: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name.startswith("listener_"):
            counted[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        drive(CHECKED)
    finally:
        sys.setprofile(before)
    if counted != {listener.__code__: CHECKED for listener in expected}:
        raise WrongCount(
            f"{what}: {CHECKED} triggers with {len(expected)} listeners made {counted.total()} calls of {len(counted)}"
        )


# -- the measures --------------------------------------------------------------------------------


def trigger(library: type[Library], count: int, effort: Effort) -> tuple[float, float]:
    """Seconds for a trigger with `count` listeners, and for the bare loop over them."""
    made = listeners(library.parameters, count)
    under_test = library()
    try:
        for listener in made:
            under_test.add(listener)
        bare = under_test.bare(made)
        check_called(under_test.drive, made, f"{library.name} {library.way}")
        check_called(bare, made, "bare loop")
        mine, loop = fastest((under_test.drive, bare), effort.batch_s, effort.batches)
        check_called(under_test.drive, made, f"{library.name} {library.way}, afterwards")
        return mine, loop
    finally:
        under_test.close()


def registration(library: type[Library], effort: Effort) -> tuple[float, float]:
    """Seconds for registering a listener, and for taking it out again in random order, with many for one event."""
    made = listeners(library.parameters, effort.listeners)
    under_test = library()
    try:
        with undisturbed():
            started = perf_counter()
            handles = [under_test.add(listener) for listener in made]
            added = (perf_counter() - started) / len(made)
        check_called(under_test.drive, made, f"{library.name}, all registered")
        random.Random(len(made)).shuffle(handles)
        with undisturbed():
            started = perf_counter()
            for handle in handles:
                under_test.remove(handle)
            removed = (perf_counter() - started) / len(made)
        check_called(under_test.drive, (), f"{library.name}, all taken out")
        return added, removed
    finally:
        under_test.close()


def memory(library: type[Library], effort: Effort) -> float:
    """Bytes for one registered listener, beside the listener itself."""
    made = listeners(library.parameters, effort.listeners)
    under_test = library()
    try:
        handles = [under_test.add(made[0])]
        under_test.drive(1)  # what is made once is there
        gc.collect()
        tracemalloc.start()
        try:
            handles += [under_test.add(listener) for listener in made[1:]]
            under_test.drive(1)  # what is made late is there too
            gc.collect()
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return used / (len(made) - 1)
    finally:
        under_test.close()


def isolates(library: type[Library], count: int) -> bool:
    """Whether all listeners are called though each of them raises; with one, whether the caller is spared."""
    calls: list[None] = []
    under_test = library()
    logging.disable()  # their complaints are in order, but not wanted here
    try:
        kept = failing(library.parameters, calls, count)
        for listener in kept:
            under_test.add(listener)
        try:
            under_test.drive(1)
        except Exception:  # of ours, or a library's own around it
            return False
        return len(calls) == count
    finally:
        logging.disable(logging.NOTSET)
        under_test.close()
