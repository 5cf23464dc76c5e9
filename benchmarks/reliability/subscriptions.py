"""Subscriptions made and dropped: does the memory come back?"""

from __future__ import annotations

from contextlib import ExitStack

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import Outcome, mib, server
from benchmarks.tables import Table

SUBSCRIPTIONS = 100_000
CLIENTS = 10
# What the allocator keeps for the next time is no leak: with one, each round would reach higher than the one before. So
# much higher may the last be, of what a round takes; below the second it is no figure.
_MORE = 0.2
_NOTHING = 8 * 2**20
_ROUNDS = 3


def run(quick: bool, seed: int) -> Outcome:
    each = (500 if quick else SUBSCRIPTIONS) // CLIENTS
    with server() as child, ExitStack() as stack:
        clients = [stack.enter_context(sig.connect(child.url)) for _ in range(CLIENTS)]
        # What is kept for good is made by the first.
        _round(clients, each // 10)
        before = child.memory
        most, there = 0, 0
        peaks: list[int] = []
        for turn in range(_ROUNDS):
            say(f"subscriptions: round {turn + 1} of {_ROUNDS}")
            there, most = _round(clients, each, child.stats, lambda: child.memory)
            peaks.append(most)
        left = child.stats().totals.subscriptions
        after = child.memory
    grown, kept, more = most - before, after - before, peaks[-1] - peaks[0]
    told = {
        "subscriptions": there,
        "left": left,
        "bytes_before": before,
        "bytes_with": most,
        "bytes_after": after,
        "bytes_more_each_round": round(more / (_ROUNDS - 1)),
        "bytes_each": round(grown / max(1, there)),
    }
    rows = [
        ["subscriptions at once", f"{there:,} on {CLIENTS} connections"],
        ["memory before, with all, after", f"{mib(before)}, {mib(most)}, {mib(after)}"],
        ["kept by the allocator, of what was taken", f"{kept / grown:.0%}" if grown > 0 else "nothing"],
        [f"more with all in round {_ROUNDS} than in the first", mib(more)],
    ]
    failures = []
    if there != each * CLIENTS or left:
        failures.append(f"{there} of {each * CLIENTS} subscriptions were there, and {left} at the end")
    if more > max(_MORE * grown, _NOTHING):
        failures.append(f"each round leaves some: {mib(more)} more in round {_ROUNDS} than in the first")
    return Outcome(told, Table("subscriptions made and dropped", ["", ""], rows), failures)


def _round(clients, each, stats=None, memory=lambda: 0):  # type: ignore[no-untyped-def]
    held = []
    for number, client in enumerate(clients):
        held += [client.listen(_hear, f"s{number}/{i}", "e") for i in range(each)]
        say(f"subscriptions: {len(held):,}")
    there = stats().totals.subscriptions if stats is not None else 0
    most = memory()
    for subscription in held:
        subscription.close()
    for client in clients:
        client.flush()
    return there, most


def _hear(info: sig.Info, data: object) -> None:
    pass
