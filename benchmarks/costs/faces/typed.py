"""The blocking face, with events that have a type: checked when they are triggered, decoded when they arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import sig
from benchmarks.peers import roles
from benchmarks.peers.contestants.sig_blocking import OPTIONS, SENDER
from benchmarks.peers.payload import Event, clock, sample
from benchmarks.peers.roles import MEETING, Address
from benchmarks.peers.tally import Tally


class Publisher(roles.Publisher):
    kind: Any

    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._router = sig.connect(address["url"], **OPTIONS)
        self._sender = self._router.add_sender(SENDER, {**dict.fromkeys(routes, self.kind), MEETING: None})

    def trigger(self, route: str) -> Callable[[Event], object]:
        return self._sender.signal(route).trigger

    def publish(self, count: int, size: int = 0) -> dict[str, float]:
        triggers = [self._sender.signal(route).trigger for route in self._routes]
        event = self.kind(**sample(size))
        started = clock()
        for seq, trigger in zip(range(count), cycle(triggers), strict=False):
            event.seq = seq
            trigger(event)
        return {"started": started}

    def close(self) -> None:
        self._router.close()


class DictPublisher(Publisher):
    """Triggers dicts, whatever the type."""

    publish = roles.Publisher.publish


class Subscriber(roles.Subscriber):
    kind: Any

    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self._router = sig.connect(address["url"], **OPTIONS)
        take = self.taking(tally)
        self.subscriptions = [self._router.listen(take, SENDER, route, type=self.kind) for route in routes]
        self._router.listen(tally.meet, SENDER, MEETING)

    def close(self) -> None:
        self._router.close()

    def taking(self, tally: Tally) -> Callable[[object, Any], bool]:
        """What looks at an event as one of that type is looked at."""
        return tally.take_object
