"""Clients and servers that will be killed, or stopped: what each of them does until then.

A client that is stopped is a program: `python -m benchmarks.reliability.victim URL`. The others are raised in a
nursery, and tell what they know as soon as they know it.
"""

from __future__ import annotations

import sys
import threading

import sig
from benchmarks.reliability.nursery import Tell


def connect(url: str, cycle: int) -> sig.ClientRouter:
    """Every other one is reliable."""
    return sig.connect(url, reliable=True) if cycle % 2 else sig.connect(url, reconnect=False)


def listen(tell: Tell, url: str, cycle: int) -> None:
    """Tell each number that is heard."""
    client = connect(url, cycle)
    client.listen(lambda info, data: tell(data), "steady", "e")
    threading.Event().wait()


def trigger(tell: Tell, url: str, cycle: int) -> None:
    """Tell each number that the server has certainly routed."""
    client = connect(url, cycle)
    sender = client.add_sender("victim", "e")
    number = 0
    while True:
        for _ in range(50):
            sender.trigger("e", [cycle, number])
            number += 1
        client.flush()
        tell(number - 1)


def serve(tell: Tell, url: str) -> None:
    """Tell where, and serve."""
    with sig.serve(url) as server:
        tell(server.urls[0])
        threading.Event().wait()


def stay(url: str) -> None:
    """Be there, and say nothing."""
    client = sig.connect(url, reconnect=False)
    client.add_sender("victim", "e")
    threading.Event().wait()


if __name__ == "__main__":
    stay(sys.argv[1])
