"""Servers that are killed under their clients, and started again: is everything that is missing told as missing?

The books: a listener hears the numbers of a sender in order, each once, and where some are missing it has been told so
before the next; with how many, or that nobody knows.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import sig
from benchmarks.progress import say
from benchmarks.reliability.nursery import Raised
from benchmarks.reliability.place import LIMIT_S
from benchmarks.reliability.victim import serve

_LONGEST_S = 0.2  # that a server lives, once all are there
_LONGEST_AWAY_S = 0.2  # that there is none
_PAUSE_S = 0.0005


class Books:
    """What one listener hears, and is told."""

    def __init__(self) -> None:
        self.story: list[object] = []
        self._changed = threading.Condition()

    def hear(self, info: sig.Info, data: object) -> None:
        self._add(data)

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        self._add(gap)

    def _add(self, what: object) -> None:
        with self._changed:
            self.story.append(what)
            self._changed.notify_all()

    def wait(self, number: int) -> bool:
        """Whether that number or a later one comes in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(isinstance(each, int) and each >= number for each in self.story[-50:]), LIMIT_S
            )


class Beat(threading.Thread):
    """Triggers numbers, one after the other; what is refused is tried again with the same number."""

    def __init__(self, trigger: Callable[[object], object]) -> None:
        super().__init__(daemon=True)
        self.number = 0
        self._trigger = trigger
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_PAUSE_S):
            try:
                self._trigger(self.number)
            except (sig.ConnectionLost, sig.Overloaded):
                continue
            self.number += 1

    def end(self) -> None:
        self._over.set()
        self.join(LIMIT_S)


def kill(cycles: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Kill so many servers; returns what was counted, and what was wrong."""
    chance = random.Random(seed)
    failures: list[str] = []
    books = {"reliable": Books(), "not reliable": Books()}
    server = Raised(serve, "tcp://127.0.0.1:0")
    with ExitStack() as stack:
        url = server.next()
        stack.callback(lambda: server.kill())
        options = {"reconnect_first_s": 0.02, "reconnect_longest_s": 0.1}
        owner = stack.enter_context(sig.connect(url, reliable=True, name="owner", **options))
        for kind, book in books.items():
            client = stack.enter_context(sig.connect(url, reliable=kind == "reliable", name=kind, **options))
            client.listen(book.hear, "owner", "e", on_gap=book.gap)
        beat = Beat(owner.add_sender("owner", "e").signal("e").trigger)
        beat.start()
        stack.callback(beat.end)
        for cycle in range(cycles):
            say(f"kills: server {cycle + 1:,} of {cycles:,}")
            time.sleep(chance.random() * _LONGEST_S)
            server.kill()
            time.sleep(chance.random() * _LONGEST_AWAY_S)
            server = Raised(serve, url)
            server.next()
            number = beat.number
            late = [kind for kind, book in books.items() if not book.wait(number)]
            failures += [f"server {cycle}: a listener that is {kind} heard nothing any more" for kind in late]
        beat.end()
    heard = 0
    for kind, book in books.items():
        failures += [f"a listener that is {kind} {sentence}" for sentence in check(book.story)]
        heard += sum(isinstance(each, int) for each in book.story)
    gaps = sum(isinstance(each, sig.Gap) for book in books.values() for each in book.story)
    return {"servers": cycles, "heard_of_owner": heard, "gaps_told": gaps, "triggered": beat.number}, failures


def check(story: Sequence[object]) -> list[str]:
    """What is wrong with what one listener heard."""
    wrong: list[str] = []
    last = -1
    told: int | None = 0
    for each in story:
        if isinstance(each, sig.Gap):
            told = None if told is None or each.missed is None else told + each.missed
            continue
        assert isinstance(each, int)  # a number
        if each <= last:
            wrong.append(f"heard {each} behind {last}")
        elif last >= 0 and told is not None and each - last - 1 != told:
            wrong.append(f"heard {each} behind {last}, and was told that {told} were missing")
        last, told = each, 0
    return wrong
