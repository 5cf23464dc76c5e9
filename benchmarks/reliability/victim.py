"""A client that will be killed, or stopped: `python -m benchmarks.reliability.victim listen|trigger|stay URL CYCLE`.

It tells what it knows, a number a line, as soon as it knows it.
"""

from __future__ import annotations

import sys
import threading

import sig


def connect(url: str, cycle: int) -> sig.ClientRouter:
    """Every other one is reliable."""
    return sig.connect(url, reliable=True) if cycle % 2 else sig.connect(url, reconnect=False)


def listen(url: str, cycle: int) -> None:
    """Tell each number that is heard."""
    client = connect(url, cycle)
    client.listen(lambda info, data: print(data, flush=True), "steady", "e")
    threading.Event().wait()


def trigger(url: str, cycle: int) -> None:
    """Tell each number that the server has certainly routed."""
    client = connect(url, cycle)
    sender = client.add_sender("victim", "e")
    number = 0
    while True:
        for _ in range(50):
            sender.trigger("e", [cycle, number])
            number += 1
        client.flush()
        print(number - 1, flush=True)


def stay(url: str) -> None:
    """Be there, and say nothing."""
    client = sig.connect(url, reconnect=False)
    client.add_sender("victim", "e")
    threading.Event().wait()


if __name__ == "__main__":
    role, url, cycle = sys.argv[1:]
    if role == "stay":
        stay(url)
    else:
        {"listen": listen, "trigger": trigger}[role](url, int(cycle))
