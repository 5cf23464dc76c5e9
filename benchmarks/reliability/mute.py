"""Listeners that read nothing: do others wait for them, and does the server keep to its memory?

Three servers take turns in each round: one with nobody but those who read, one with one beside them that does not, one
with a thousand. Each event of the measurement is for all of them, so what lies between the last two is the work of
handing it out. Those who read nothing get large events before, some these and others those, until there is no room.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Child, Outcome, as_many, mib, mute, server, table
from sig.constants import Limits

MUTE = 1_000
BUDGET = Limits().memory_bytes
_HEALTHY = 5
_RATE = 100.0
_TEXT = "x" * 200
# What is sent to those that read nothing: rather more than may wait, each of it for one in so many of them.
_KINDS = 16
_LARGE = "x" * 60_000
_LARGES = round(1.2 * BUDGET / len(_LARGE))
# They are to stay, although they are silent and take nothing.
_PATIENCE = {"write_stall_s": 600.0, "heartbeat_timeout_s": 600.0}


class Stage:
    """A server, who reads, and who does not."""

    def __init__(self, stack: ExitStack, mutes: int, larges: int) -> None:
        self.child: Child = stack.enter_context(server(max_pending_handshakes=mutes + 50, **_PATIENCE))
        self.rounds: list[list[float]] = []
        """How old the events were when they were heard, for each round."""
        self.triggered = 0
        self._heard = threading.Semaphore(0)
        self._owner = stack.enter_context(sig.connect(self.child.url))
        self._sender = self._owner.add_sender("s", ["e", *map(_large, range(_KINDS))])
        for _ in range(_HEALTHY):
            stack.enter_context(sig.connect(self.child.url)).listen(self._hear, "s", "e")
        self._mutes: list[socket.socket] = []
        stack.callback(self._leave)
        for number in range(mutes):
            self._mutes.append(mute(self.child, "s", "e", _large(number % _KINDS)))
            if number % 100 == 99:
                say(f"mute: {number + 1:,} of {mutes:,} are there")
        self._empty = self.child.memory
        if mutes:
            self._fill(larges)

    @property
    def grown(self) -> int:
        """Bytes that the server has taken since all were there."""
        return self.child.memory - self._empty

    @property
    def cut(self) -> int:
        """Links that are not there any more."""
        return self.child.stats().totals.cut

    @property
    def p99_s(self) -> float:
        """The median of the rounds: whatever else the machine does for a moment is in one or two of them."""
        return median(sorted(ages)[int(len(ages) * 0.99)] for ages in self.rounds)

    @property
    def lost(self) -> int:
        return self.triggered * _HEALTHY - sum(map(len, self.rounds))

    def keep_pace(self, seconds: float) -> None:
        """Events at an even pace, until all who read have heard them."""
        self.rounds.append([])
        begun = time.monotonic()
        for number in range(round(_RATE * seconds)):
            pause = begun + number / _RATE - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self._sender.trigger("e", [time.monotonic(), _TEXT])
            self.triggered += 1
        self._hear_out()

    def _fill(self, larges: int) -> None:
        for number in range(larges):
            self._sender.trigger(_large(number % _KINDS), _LARGE)
            if number % 100 == 99:
                self._owner.flush()
                say(f"mute: {number + 1:,} of {larges:,} large events")
        self._owner.flush()

    def _hear(self, info: sig.Info, data: Any) -> None:
        self.rounds[-1].append(time.monotonic() - data[0])
        self._heard.release()

    def _hear_out(self) -> None:
        while self.lost and self._heard.acquire(timeout=LIMIT_S):
            pass

    def _leave(self) -> None:
        for sock in self._mutes:
            sock.close()


def _large(kind: int) -> str:
    return f"large-{kind}"


def run(quick: bool, seed: int) -> Outcome:
    count, rounds, seconds = (20, 1, 0.3) if quick else (as_many(MUTE), 10, 1.0)
    with ExitStack() as stack:
        stages = [Stage(stack, mutes, 50 if quick else _LARGES) for mutes in (0, 1, count)]
        for turn in range(rounds):
            say(f"mute: round {turn + 1} of {rounds}")
            for place in range(len(stages)):
                stages[(turn + place) % len(stages)].keep_pace(seconds)
        return _told(count, stages)


def _told(count: int, stages: Sequence[Stage]) -> Outcome:
    alone, one, many = stages
    lost = sum(stage.lost for stage in stages)
    grown, cut = many.grown, sum(stage.cut for stage in stages)
    change, change_beside = (stage.p99_s / alone.p99_s - 1 for stage in (one, many))
    told = {
        "mute": count,
        "healthy": _HEALTHY,
        "p99_s_alone": round(alone.p99_s, 6),
        "p99_s_beside_one": round(one.p99_s, 6),
        "p99_s_beside": round(many.p99_s, 6),
        "change_beside_one": round(change, 3),
        "change_beside": round(change_beside, 3),
        "events": alone.triggered,
        "lost_by_healthy": lost,
        "cut": cut,
        "bytes_grown": grown,
        "bytes_budget": BUDGET,
    }
    events = sum(stage.triggered for stage in stages) * _HEALTHY
    rows = [
        ["events lost by those who read", f"{lost} of {events:,}", "0"],
        ["their p99 with nobody else", f"{1e3 * alone.p99_s:.2f} ms"],
        ["beside one that reads nothing", f"{1e3 * one.p99_s:.2f} ms, {change:+.0%}", "", "+10%"],
        [f"beside {count:,} that read nothing", f"{1e3 * many.p99_s:.2f} ms, {change_beside:+.0%}", "", "+10%"],
        ["memory of the server, more", mib(grown), mib(1.2 * BUDGET), mib(BUDGET)],
    ]
    failures = []
    if lost:
        failures.append(f"listeners that read lost {lost} events")
    if cut:
        failures.append(f"{cut} links were cut, which should be there for the measurement")
    if grown > 1.2 * BUDGET:
        failures.append(f"the server took {mib(grown)}, and {mib(BUDGET)} may wait")
    return Outcome(told, table("listeners that read nothing", rows), failures)
