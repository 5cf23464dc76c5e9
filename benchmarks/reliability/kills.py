"""Clients that are killed, listeners and senders by turns: what did the others see, and what is left of them?

Every other one has a link that is reliable. For servers that are killed see `servers`.

The books: a listener hears numbers without a gap until it dies. Of a sender the witness hears all that the server was
known to have routed, each once and in order, after its `#connect` and before its `#disconnect`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import sig
from benchmarks.progress import say
from benchmarks.reliability import servers
from benchmarks.reliability.nursery import Raised
from benchmarks.reliability.place import LIMIT_S, Child, Outcome, mib, server, table
from benchmarks.reliability.victim import listen, trigger

CYCLES = 300
_LONGEST_S = 0.1  # that a client lives, once it has begun
_PAUSE_S = 0.0005
# How long the server waits for those that do not come back: a cycle takes as long at least.
_SESSION_S = 0.2


class Witness:
    """Hears all of every victim that triggers."""

    def __init__(self, client: sig.ClientRouter) -> None:
        self.story: list[object] = []
        """`#connect`, `#disconnect`, and what was triggered, in order."""
        self.left = threading.Event()
        client.listen(self._hear, "victim", "e")
        client.listen(self._presence, "victim", "#connect")
        client.listen(self._presence, "victim", "#disconnect")

    def _hear(self, info: sig.Info, data: object) -> None:
        self.story.append(data)

    def _presence(self, info: sig.Info, data: object) -> None:
        self.story.append(info.event)
        if info.event == "#disconnect":
            self.left.set()


def run(quick: bool, seed: int) -> Outcome:
    cycles = 1 if quick else CYCLES
    chance = random.Random(seed)
    failures: list[str] = []
    counts = {"heard_by_victims": 0, "acknowledged": 0, "heard_of_victims": 0}
    begun = time.monotonic()
    with (
        server(session_s=_SESSION_S) as child,
        sig.connect(child.url, name="steady") as steady,
        sig.connect(child.url, reconnect=False) as client,
    ):
        witness = Witness(client)
        stop = threading.Event()
        sender = steady.add_sender("steady", "e")
        beat = threading.Thread(target=_beat, args=(sender, stop), daemon=True)
        beat.start()
        try:
            before = child.memory
            for cycle in range(cycles):
                say(f"kills: cycle {cycle + 1:,} of {cycles:,}")
                heard = _numbers(listen, child, cycle, chance)
                counts["heard_by_victims"] += len(heard)
                if heard != list(range(heard[0], heard[0] + len(heard))):
                    failures.append(f"cycle {cycle}: a listener missed events before it died")
                acknowledged = _numbers(trigger, child, cycle, chance)[-1]
                if not witness.left.wait(LIMIT_S):
                    failures.append(f"cycle {cycle}: nobody was told that the sender had died")
                witness.left.clear()
                story, witness.story = witness.story, []
                failures += [f"cycle {cycle}: {sentence}" for sentence in check(story, cycle, acknowledged)]
                counts["acknowledged"] += acknowledged + 1
                counts["heard_of_victims"] += len(story) - 2
            totals = child.settled(2).totals
            grown = child.memory - before
        finally:
            stop.set()
            beat.join(LIMIT_S)
    servers_told, wrong = servers.kill(cycles, seed)
    failures += wrong
    if totals.senders != 1:
        failures.append(f"{totals.senders} senders are there, and 1 should be")
    told: dict[str, Any] = {
        "cycles": cycles,
        **counts,
        **servers_told,
        "bytes_grown": grown,
        "seconds": round(time.monotonic() - begun, 1),
    }
    rows = [
        ["listeners killed, senders killed", f"{cycles:,}, {cycles:,}"],
        ["books that do not agree", f"{len(failures)}", "0"],
        ["events that killed listeners had heard, without a gap", f"{counts['heard_by_victims']:,}"],
        ["events that killed senders knew to be routed", f"{counts['acknowledged']:,}"],
        ["events heard of them, each once and in order", f"{counts['heard_of_victims']:,}"],
        ["memory of the server, more", mib(grown)],
        ["servers killed, and started again", f"{servers_told['servers']:,}"],
        ["events of which listeners heard on, and gaps told", _both(servers_told, "heard_of_owner", "gaps_told")],
    ]
    return Outcome(told, table("clients and servers that are killed with kill -9", rows), failures)


def _both(told: dict[str, int], one: str, other: str) -> str:
    return f"{told[one]:,}, {told[other]:,}"


def check(story: list[object], cycle: int, acknowledged: int) -> list[str]:
    """What is wrong with what was heard of one sender."""
    wrong = []
    if story[:1] != ["#connect"] or story[-1:] != ["#disconnect"]:
        wrong.append("its events are not between its #connect and its #disconnect")
    events = [each for each in story if isinstance(each, list)]
    if events != [[cycle, number] for number in range(len(events))]:
        wrong.append("its events were not heard once each and in order")
    if len(events) <= acknowledged:
        wrong.append(f"{acknowledged + 1 - len(events)} events were routed and not heard")
    return wrong


def _numbers(victim: Callable[..., None], child: Child, cycle: int, chance: random.Random) -> list[int]:
    """What a victim had told when it was killed; it has told something by then."""
    with Raised(victim, child.url, cycle) as raised:
        first = raised.next()
        time.sleep(chance.random() * _LONGEST_S)
        return [first, *raised.kill()]


def _beat(sender: Any, stop: threading.Event) -> None:
    number = 0
    while not stop.wait(_PAUSE_S):
        sender.trigger("e", number)
        number += 1
