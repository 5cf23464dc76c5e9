"""Ctrl-C, SIGTERM and SIGHUP, as something to wait for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, while the block runs. On the main thread."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    with _handling((signal.SIGINT, signal.SIGTERM), stop):
        yield stopped


@contextmanager
def service_signals(*, reload: bool) -> Iterator[SimpleQueue[bool]]:
    """What a service is told while the block runs: true is to go on with new settings, false to end.

    On the main thread. Told to end once more, it is interrupted: `KeyboardInterrupt`.

    Args:
        reload: take SIGHUP so. Else it ends the process, as usual: its terminal has gone.
    """
    told: SimpleQueue[bool] = SimpleQueue()  # the one queue that a handler may put into at any moment
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        if ending:
            raise KeyboardInterrupt
        ending = True
        told.put(False)

    def again(number: int, frame: FrameType | None) -> None:
        told.put(True)

    numbers = (signal.SIGHUP,) if reload and hasattr(signal, "SIGHUP") else ()
    with _handling((signal.SIGINT, signal.SIGTERM), end), _handling(numbers, again):
        yield told


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM is `KeyboardInterrupt` too, while the block runs, so that `with` and `finally` put things away."""
    with _handling((signal.SIGTERM,), signal.default_int_handler):
        yield


@contextmanager
def _handling(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
