"""Subscriptions made and dropped: does the memory come back?

What objects use comes back at once. What the allocator has of the system does not all: a page with one object is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import Child, Outcome, mib, table
from benchmarks.reliability.program import Program

SUBSCRIPTIONS = 100_000
CLIENTS = 10
# What the allocator keeps for the next time is no leak: with one, each round would reach higher than the one before. So
# much higher may the last be, of what a round takes; below the second it is no figure.
_MORE = 0.2
_NOTHING = 8 * 2**20
_NO_BLOCKS = 5_000
_ROUNDS = 3


def run(quick: bool, seed: int) -> Outcome:
    each = (500 if quick else SUBSCRIPTIONS) // CLIENTS
    with Program("host", "tcp://127.0.0.1:0") as host, ExitStack() as stack:
        child = Child(host.process, host.line())
        clients = [stack.enter_context(sig.connect(child.url)) for _ in range(CLIENTS)]
        # What is kept for good is made by the first.
        _drop(clients, _listen(clients, each // 10))
        blocks_before = host.ask()["blocks"]
        before = child.memory
        most, there, blocks_most = 0, 0, 0
        peaks: list[int] = []
        for turn in range(_ROUNDS):
            say(f"subscriptions: round {turn + 1} of {_ROUNDS}")
            held = _listen(clients, each)
            there, most = child.stats().totals.subscriptions, child.memory
            blocks_most = host.ask()["blocks"]
            peaks.append(most)
            _drop(clients, held)
        left = child.stats().totals.subscriptions
        blocks_left = host.ask()["blocks"] - blocks_before
        after = child.memory
    grown, kept, more = most - before, after - before, peaks[-1] - peaks[0]
    taken = blocks_most - blocks_before
    may_stay = max(_MORE * taken, _NO_BLOCKS)
    told = {
        "subscriptions": there,
        "left": left,
        "blocks": taken,
        "blocks_left": blocks_left,
        "bytes_before": before,
        "bytes_with": most,
        "bytes_after": after,
        "bytes_more_each_round": round(more / (_ROUNDS - 1)),
        "bytes_each": round(grown / max(1, there)),
    }
    rows = [
        ["subscriptions at once", f"{there:,} on {CLIENTS} connections", f"{each * CLIENTS:,}"],
        ["subscriptions left", f"{left}", "0"],
        ["blocks of memory in use for them, and then", f"{taken:,}, {blocks_left:,}", f"{may_stay:,.0f}"],
        ["memory before, with all, after", f"{mib(before)}, {mib(most)}, {mib(after)}"],
        ["kept by the allocator, of what was taken", f"{kept / grown:.0%}" if grown > 0 else "nothing", "", "20%"],
        [f"more with all in round {_ROUNDS} than in the first", mib(more), mib(max(_MORE * grown, _NOTHING))],
    ]
    failures = []
    if there != each * CLIENTS or left:
        failures.append(f"{there} of {each * CLIENTS} subscriptions were there, and {left} at the end")
    if blocks_left > may_stay:
        failures.append(f"{blocks_left:,} of {taken:,} blocks of memory are in use yet")
    if more > max(_MORE * grown, _NOTHING):
        failures.append(f"each round leaves some: {mib(more)} more in round {_ROUNDS} than in the first")
    return Outcome(told, table("subscriptions made and dropped", rows), failures)


def _listen(clients: Sequence[sig.ClientRouter], each: int) -> list[sig.Subscription]:
    held = []
    for number, client in enumerate(clients):
        held += [client.listen(_hear, f"s{number}/{i}", "e") for i in range(each)]
        say(f"subscriptions: {len(held):,}")
    return held


def _drop(clients: Sequence[sig.ClientRouter], held: list[sig.Subscription]) -> None:
    while held:
        held.pop().close()
    for client in clients:
        client.flush()


def _hear(info: sig.Info, data: object) -> None:
    pass
