"""The blocking face."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import sig
from benchmarks.costs.faces import Used
from benchmarks.peers.contestants import sig_blocking
from benchmarks.peers.payload import Event, sample
from benchmarks.peers.roles import Address, Role


class Server(Used, sig_blocking.Server):
    pass


class Replier(Used, sig_blocking.Replier):
    pass


class Requester(Used, sig_blocking.Requester):
    pass


class Publisher(sig_blocking.Publisher):
    pass


class Subscriber(sig_blocking.Subscriber):
    pass


def give(params: int) -> Iterator[Event]:
    event = sample()
    for seq in range(params):
        event["seq"] = seq
        yield event


class Giver(Role):
    """Answers in parts."""

    def __init__(self, address: Address) -> None:
        self._router = sig.connect(address["url"])
        self._router.add_sender("giver", requests=[give])

    def close(self) -> None:
        self._router.close()


class Taker(Role):
    """Takes them, and sees that they are all there."""

    def __init__(self, address: Address) -> None:
        self._router = sig.connect(address["url"])

    def take(self, count: int) -> dict[str, float]:
        started = monotonic()
        seq = 0
        with self._router.stream("giver", "give", count) as parts:
            for part in parts:
                assert part["seq"] == seq
                seq += 1
        assert seq == count
        return {"took": monotonic() - started}

    def close(self) -> None:
        self._router.close()
