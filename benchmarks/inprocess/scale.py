"""A full router: does it still register quickly, and does a trigger cost only what its receivers cost?

The senders are `plant/line/unit`, ten by ten by ten at full size, each with two events. Nine listeners in ten name one
sender and one event (every tenth of them any event of that sender). The others are patterns: seven in ten of them for
one event of the units of one line (10 senders), two for one event of a unit on all lines of a plant (10), one for
everything of a plant (100 senders, 200 events).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import NamedTuple

import sig
from benchmarks.timing import fastest, timed, undisturbed

from .libraries import driven
from .measures import Effort, check_called, listeners

# The parts of `Figures` that are of one thing each, and their units.
PARTS = {"listen": "us", "listen_name": "us", "listen_pattern": "us", "join": "us", "close": "us"}
EVENTS = ("reading", "status")
RECEIVERS = (1, 10)


class Asked(NamedTuple):
    """What one listener listens to."""

    sender: str
    event: str | None

    @property
    def is_pattern(self) -> bool:
        return "*" in self.sender


class Figures(NamedTuple):
    """Seconds."""

    listen: float  # a listener, on average, while all senders are there
    listen_name: float
    listen_pattern: float
    join: float  # a sender, on average, while all listeners are there
    close: float  # a listener, on average, in random order
    full: dict[int, float]  # a trigger, by number of receivers
    empty: dict[int, float]  # the same in a router with nobody else in it


def senders(count: int) -> list[str]:
    return [f"plant-{n // 100}/line-{n // 10 % 10}/unit-{n % 10}" for n in range(count)]


def patterns(count: int) -> Iterator[Asked]:
    for n in range(count):
        event = EVENTS[n % 2]
        match n % 10:
            case 0:
                yield Asked(f"plant-{n // 10 % 10}/**", None)
            case 1 | 2:
                yield Asked(f"plant-{n // 10 % 10}/*/unit-{n // 100 % 10}", event)
            case _:
                yield Asked(f"plant-{n // 10 % 10}/line-{n // 100 % 10}/*", event)


def wishes(effort: Effort) -> list[Asked]:
    """What the listeners ask for, patterns and names mixed, always in the same order."""
    names = senders(effort.senders)
    asked = list(patterns(effort.listeners // 10))
    for n in range(effort.listeners - len(asked)):
        asked.append(Asked(names[n % len(names)], None if n % 10 == 0 else EVENTS[n // len(names) % 2]))
    random.Random(1).shuffle(asked)
    return asked


def join(router: sig.Router, names: list[str]) -> None:
    for name in names:
        router.add_sender(name, events=EVENTS)


def close(subscriptions: list[sig.Subscription]) -> None:
    for subscription in subscriptions:
        subscription.close()


def probe(router: sig.Router, receivers: int) -> Callable[[int], None]:
    """Triggers an event that has just these receivers; with ten, half of them ask by patterns."""
    name = f"probe/{receivers}"
    signal = router.add_sender(name, events="reading").signal("reading")
    made = listeners("info, data", receivers)
    for number, listener in enumerate(made):
        router.listen(listener, f"*/{receivers}" if number % 2 else name, "reading")
    drive = driven(signal.trigger)
    check_called(drive, made, f"a probe with {receivers} receivers")
    return drive


def measure(effort: Effort) -> Figures:
    """One round."""
    asked = wishes(effort)
    names = senders(effort.senders)
    made = listeners("info, data", len(asked))
    took = {True: 0.0, False: 0.0}
    with sig.Router() as full, sig.Router() as empty, sig.Router() as late:
        join(full, names)
        subscriptions = []
        with undisturbed():
            for listener, wish in zip(made, asked, strict=True):
                started = perf_counter()
                subscription = full.listen(listener, wish.sender, wish.event)
                took[wish.is_pattern] += perf_counter() - started
                subscriptions.append(subscription)
        full_drives = [probe(full, receivers) for receivers in RECEIVERS]
        empty_drives = [probe(empty, receivers) for receivers in RECEIVERS]
        best = fastest([*full_drives, *empty_drives], effort.batch_s, effort.batches)
        random.Random(2).shuffle(subscriptions)
        with undisturbed():
            closed = timed(lambda times: close(subscriptions), len(subscriptions))
        for listener, wish in zip(made, asked, strict=True):
            late.listen(listener, wish.sender, wish.event)
        with undisturbed():
            joined = timed(lambda times: join(late, names), len(names))
    in_patterns = sum(wish.is_pattern for wish in asked)
    return Figures(
        listen=sum(took.values()) / len(asked),
        listen_name=took[False] / (len(asked) - in_patterns),
        listen_pattern=took[True] / in_patterns,
        join=joined,
        close=closed,
        full=dict(zip(RECEIVERS, best[: len(RECEIVERS)], strict=True)),
        empty=dict(zip(RECEIVERS, best[len(RECEIVERS) :], strict=True)),
    )
