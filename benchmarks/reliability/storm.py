"""A server that is killed, and all its clients come back to the next one at once.

Nothing is spread but by the clients themselves: a server that is killed asks nobody to wait.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import sig
from benchmarks.progress import say
from benchmarks.reliability.place import LIMIT_S, Outcome, as_many, table
from benchmarks.reliability.program import Program

CLIENTS = 2_000
HERDS = 4
MUST_S = 30.0
GOAL_S = 10.0
_MOST_STRANGERS = 1_000  # the limit `max_pending_handshakes`, as it is by default


def run(quick: bool, seed: int) -> Outcome:
    count = as_many(40 if quick else CLIENTS)
    with ExitStack() as stack:

        def start(module: str, *words: object) -> Program:
            return stack.enter_context(Program(module, *words))

        server = start("host", "tcp://127.0.0.1:0")
        url = server.line()
        say(f"storm: {count:,} clients come")
        each = count // (1 if quick else HERDS)
        herds = [start("herd", url, each, number * each) for number in range(count // each)]
        there = sum(herd.told()["there"] for herd in herds)
        bell = stack.enter_context(sig.connect(url, name="bell"))
        rung = bell.add_sender("bell", "rung")
        rung.trigger("rung", 0)
        for herd in herds:
            herd.line()
        say("storm: the server is killed")
        killed = time.monotonic()
        server.kill()
        server = start("host", url)
        server.line()
        down = time.monotonic() - killed
        back = [herd.told() for herd in herds]
        seconds = max(each["at"] for each in back) - killed
        most = server.ask()["strangers_at_once"]
        say("storm: who hears the bell?")
        bell.wait_connected(LIMIT_S)
        senders = len(bell.senders("herd/*"))
        refused = bell.stats().totals.refused
        rung.trigger("rung", 1)
        heard = [herd.told() for herd in herds]
        for herd in herds:
            herd.process.wait(LIMIT_S)
        bell.close()  # before its server goes
    told: dict[str, Any] = {
        "clients": there,
        "back": sum(each["back"] for each in back),
        "senders_back": senders,
        "heard": sum(each["heard"] for each in heard),
        "told_restart": sum(each["restart"] for each in heard),
        "told_other": sum(each["other"] for each in heard),
        "seconds_down": round(down, 3),
        "seconds": round(seconds, 3),
        "strangers_at_once": most,
        "refused": refused,
    }
    took = f"{seconds:.1f}, {down:.1f} of them without a server"
    rows = [
        ["clients back after kill -9, with their senders", f"{told['back']:,}, {senders:,}", f"{there:,}"],
        ["who then heard an event, and had been told of the restart", f"{told['heard']:,}, {told['told_restart']:,}"],
        ["seconds until all were back", took, f"{MUST_S:g}", f"{GOAL_S:g}"],
        ["handshakes under way at once, at most", f"{most:,}", f"{_MOST_STRANGERS:,}"],
        ["clients turned away meanwhile", f"{refused:,}"],
    ]
    failures = []
    for what in ("back", "senders_back", "heard", "told_restart"):
        if told[what] != there:
            failures.append(f"{what}: {told[what]} of {there} clients")
    if seconds > MUST_S:
        failures.append(f"all were back after {seconds:.1f} s only")
    if most > _MOST_STRANGERS:
        failures.append(f"{most} handshakes were under way at once")
    return Outcome(told, table("a server that is killed, and all come back", rows), failures)
