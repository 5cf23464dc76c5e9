"""What `reliable=True` costs: two clients and a server over TCP, with it and without, in the same rounds.

The server is a process of its own, the clients are in this one. All the way, with sockets: what is kept and
acknowledged costs memory and system calls, and not only steps of the core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import sig
from benchmarks.costs.rows import Outcome, WrongCount
from benchmarks.peers.payload import sample
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, server
from benchmarks.rounds import ratios, rotated, spread
from benchmarks.tables import Table, cell, whole

ROUNDS = 9
# What must be left of the throughput without, and what we should like.
MUST, GOAL = 0.7, 0.9
EVENTS = 20_000
ALONE = 1_000

# Does something so many times, and returns how many seconds that took.
Job: TypeAlias = Callable[[int], float]


class Count:
    """Counts what a listener hears, and knows when it has all."""

    def __init__(self, arrived: Callable[[], object]) -> None:
        self.heard = self.wanted = 0
        self._arrived = arrived

    def __call__(self, info: sig.Info, data: object) -> None:
        self.heard += 1
        if self.heard >= self.wanted:
            self._arrived()


@contextmanager
def clients(url: str, reliable: bool) -> Iterator[dict[str, tuple[Job, int]]]:
    """What two clients do by way of the server."""
    arrived = threading.Event()
    count = Count(arrived.set)
    with sig.connect(url, reliable=reliable) as owner, sig.connect(url, reliable=reliable) as listener:
        name = f"s/{reliable}"
        sender = owner.add_sender(name, "e", {"echo": lambda params: params})
        trigger = sender.signal("e").trigger
        listener.listen(count, name, "e")
        data = sample()

        def heard(events: int) -> None:
            if not arrived.wait(LIMIT_S) or count.heard != count.wanted:
                raise WrongCount(f"{count.heard} of {count.wanted} events were heard")

        def expect(events: int) -> None:
            arrived.clear()
            count.wanted = count.heard + events

        def stream(events: int) -> float:
            expect(events)
            begun = time.perf_counter()
            for _ in range(events):
                trigger(data)
            owner.flush()
            heard(events)
            return time.perf_counter() - begun

        def alone(events: int) -> float:
            begun = time.perf_counter()
            for _ in range(events):
                expect(1)
                trigger(data)
                heard(1)
            return time.perf_counter() - begun

        def ask(requests: int) -> float:
            begun = time.perf_counter()
            for _ in range(requests):
                listener.request(name, "echo", data)
            return time.perf_counter() - begun

        yield {
            "events, as fast as they go": (stream, EVENTS),
            "events, each when the last was heard": (alone, ALONE),
            "requests, one after the other": (ask, ALONE),
        }


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """Measure: everything in each round, with and without."""
    figures: dict[str, dict[bool, list[float]]] = {}
    with server() as child, ExitStack() as ends:
        jobs = {
            (name, reliable): job
            for reliable in (False, True)
            for name, job in ends.enter_context(clients(child.url, reliable)).items()
        }
        for number, (name, reliable) in rotated(list(jobs), rounds):
            say(f"reliable, round {number + 1} of {rounds}: {name}, {'with' if reliable else 'without'}")
            job, times = jobs[name, reliable]
            times = times // 50 if quick else times
            found = figures.setdefault(name, {False: [], True: []})
            found[reliable].append(job(times) / times)
    told = [
        {"way": name, "us": [f * 1e6 for f in found[False]], "us_reliable": [f * 1e6 for f in found[True]]}
        for name, found in figures.items()
    ]
    return Outcome({"rows": told}, [_table(figures)])


def _table(figures: dict[str, dict[bool, list[float]]]) -> Table:
    rows = []
    for name, found in figures.items():
        shares = spread(ratios(found[False], found[True]))  # seconds: fewer are more events
        without, held = (spread([1 / figure for figure in found[which]]) for which in (False, True))
        verdict = "goal" if shares.median >= GOAL else "must" if shares.median >= MUST else "missed"
        rows.append([name, cell(without, whole), cell(held, whole), cell(shares, "{:.3f}".format), verdict])
    head = ["", "without, a second", "reliable, a second", "of the throughput", f"must {MUST}, goal {GOAL}"]
    return Table("what reliable=True costs, over TCP by way of a server", head, rows)
