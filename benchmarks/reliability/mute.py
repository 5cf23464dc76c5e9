"""Listeners that read nothing: do others wait for them, and does the server keep to its memory?"""

from __future__ import annotations

import threading
import time

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Child, Outcome, as_many, mib, mute, server
from benchmarks.tables import Table

MUTE = 1_000
BUDGET = 64 * 2**20
_HEALTHY = 5
_RATE = 100.0
_TEXT = "x" * 200
# What is sent to those that read nothing until no link takes more, and events are dropped for all of them.
_LARGE = "x" * 60_000
_MOST = 2_000


def run(quick: bool, seed: int) -> Outcome:
    count, seconds = (20, 0.5) if quick else (as_many(MUTE), 5.0)
    room = {"memory_bytes": BUDGET, "max_pending_handshakes": count + 50, "max_accepts_per_s": 1_000_000}
    with server(**room) as child:
        say("mute: without them")
        alone = _ages(child, seconds)
        before = child.memory
        socks = []
        try:
            for number in range(count):
                socks.append(mute(child, "s", "e"))
                if number % 100 == 99:
                    say(f"mute: {number + 1:,} of {count:,} are there")
            _fill(child, 50 if quick else _MOST)
            beside = _ages(child, seconds)
            grown = child.memory - before
        finally:
            for sock in socks:
                sock.close()
        child.settled(0)
    told = {
        "mute": count,
        "healthy": _HEALTHY,
        "p99_s_alone": alone["p99_s"],
        "p99_s_beside": beside["p99_s"],
        "events": beside["events"],
        "lost_by_healthy": alone["lost"] + beside["lost"],
        "missed_in_all": beside["missed"],
        "bytes_grown": grown,
        "bytes_budget": BUDGET,
    }
    rows = [
        ["listeners that read nothing", f"{count:,}, beside {_HEALTHY} that do"],
        ["p99 of the others, without and with", f"{1e3 * alone['p99_s']:.2f} ms, {1e3 * beside['p99_s']:.2f} ms"],
        ["events lost by the others", f"{told['lost_by_healthy']} of {2 * beside['events'] * _HEALTHY:,}"],
        ["memory of the server, more", f"{mib(grown)}, of {mib(BUDGET)} that may wait"],
    ]
    failures = []
    if told["lost_by_healthy"]:
        failures.append(f"listeners that read lost {told['lost_by_healthy']} events")
    # Beside what waits, each link costs something.
    if grown > 1.2 * BUDGET + count * 64 * 1024:
        failures.append(f"the server took {mib(grown)}, and {mib(BUDGET)} may wait")
    return Outcome(told, Table("mute listeners", ["", ""], rows), failures)


def _fill(child: Child, most: int) -> None:
    with sig.connect(child.url) as owner:
        sender = owner.add_sender("s", "e")
        for number in range(most):
            sender.trigger("e", [number, 0, _LARGE])
            if number % 10 == 9:
                owner.flush()
                say(f"mute: {number + 1:,} large events")
                if owner.stats().totals.memory_bytes > 0.9 * BUDGET:
                    break


def _ages(child: Child, seconds: float) -> dict[str, float]:
    """How old events are when they are heard, from a sender that keeps its pace."""
    ages: list[float] = []
    count = round(_RATE * seconds)
    done = [threading.Event() for _ in range(_HEALTHY)]
    with sig.connect(child.url) as owner:
        clients = [sig.connect(child.url) for _ in range(_HEALTHY)]
        try:
            for client, event in zip(clients, done, strict=True):

                def hear(info: sig.Info, data: object, event: threading.Event = event) -> None:
                    number, sent, _ = data  # type: ignore[misc]
                    ages.append(time.monotonic() - sent)
                    if number == count - 1:
                        event.set()

                client.listen(hear, "s", "e")
            sender = owner.add_sender("s", "e")
            begun = time.monotonic()
            for number in range(count):
                pause = begun + number / _RATE - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
                sender.trigger("e", [number, time.monotonic(), _TEXT])
            heard_all = [event.wait(LIMIT_S) for event in done]
            missed = owner.stats().totals.missed
        finally:
            for client in clients:
                client.close()
    ages.sort()
    lost = count * _HEALTHY - len(ages) + heard_all.count(False)
    return {"p99_s": round(ages[int(len(ages) * 0.99)], 6), "lost": lost, "events": count, "missed": missed}
