"""The clock: many short batches, in turn, and of each contestant the fastest.

The garbage collector is off while the clock runs, for everybody alike: when it strikes is chance, and whom it strikes
too.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

# Does something so often.
Drive = Callable[[int], object]

# So many that the interpreter has specialised its code.
LEAST = 10


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collector within."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timed(drive: Drive, times: int) -> float:
    """Seconds for one of so many."""
    started = perf_counter()
    drive(times)
    return (perf_counter() - started) / times


def fastest(
    drives: Sequence[Drive],
    batch_s: float,
    batches: int,
    between: Callable[[], object] | None = None,
    least: int = LEAST,
) -> list[float]:
    """Seconds for one of each: batches of about `batch_s`, but at least so many, in turn, and of each the fastest.

    `between` is called before each batch, without the clock.
    """
    sizes = [calibrated(drive, batch_s, between, least) for drive in drives]
    best = [float("inf")] * len(drives)
    with undisturbed():
        for _ in range(batches):
            for position, (drive, size) in enumerate(zip(drives, sizes, strict=True)):
                if between is not None:
                    between()
                best[position] = min(best[position], timed(drive, size))
    return best


def calibrated(drive: Drive, seconds: float, between: Callable[[], object] | None = None, least: int = LEAST) -> int:
    """How many take about that long."""

    def once(times: int) -> float:
        if between is not None:
            between()
        return timed(drive, times)

    times = least
    # One reading alone may have been disturbed, and the batches would then be tiny.
    while (each := min(once(times) for _ in range(3))) * times < seconds / 4:
        times *= 2
    return max(least, round(seconds / each))
