"""`sig`, the blocking face: `sig.serve`, `sig.connect`, and the same calls as in any program.

A relative of this one (another carrier, another codec) is a file that imports these classes, changes `Server.url` or
`OPTIONS`, and is entered in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import sig
from benchmarks.peers import roles
from benchmarks.peers.payload import Event
from benchmarks.peers.roles import ANSWER_S, MEETING, Address
from benchmarks.peers.tally import Tally

SENDER = "bench"

# Nobody here may drop: all bounds on what waits for a slow subscriber are far away, as they are for the others.
FAR = 1 << 40
SERVER_OPTIONS: dict[str, Any] = {"link_drop_bytes": FAR, "link_cut_bytes": FAR}
OPTIONS: dict[str, Any] = {"listener_queue_events": FAR, "listener_queue_bytes": FAR}


class Server(roles.Server):
    url = "tcp://127.0.0.1:0"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = sig.serve(self.url.format(folder=folder), **SERVER_OPTIONS)
        self.address = {"url": self._server.urls[0]}

    def close(self) -> None:
        self._server.close()


class Publisher(roles.Publisher):
    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._router = sig.connect(address["url"], **OPTIONS)
        self._sender = self._router.add_sender(SENDER, [*routes, MEETING])

    def trigger(self, route: str) -> Callable[[Event], object]:
        return self._sender.signal(route).trigger

    def close(self) -> None:
        self._router.close()


class Subscriber(roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self._router = sig.connect(address["url"], **OPTIONS)
        self.subscriptions = [self._router.listen(tally.take, SENDER, route) for route in routes]
        self._router.listen(tally.meet, SENDER, MEETING)

    def close(self) -> None:
        self._router.close()


class Replier(roles.Replier):
    def __init__(self, address: Address) -> None:
        self._router = sig.connect(address["url"], **OPTIONS)
        self._router.add_sender(SENDER, requests={"echo": lambda params: params})

    def close(self) -> None:
        self._router.close()


class Requester(roles.Requester):
    def __init__(self, address: Address) -> None:
        self._router = sig.connect(address["url"], **OPTIONS)

    def request(self, event: Event) -> Event:
        answer: Event = self._router.request(SENDER, "echo", event)
        return answer

    def ask_many(self, count: int, flight: int) -> dict[str, float]:
        # Futures, where this version has them; else as many threads.
        start = getattr(self._router, "start_request", None)
        if start is None:
            return super().ask_many(count, flight)

        def begin(event: Event) -> Callable[[], Event]:
            call: Future[Event] = start(SENDER, "echo", event)
            return partial(call.result, ANSWER_S)

        return roles.windowed(begin, count, flight)

    def close(self) -> None:
        self._router.close()


class Idle(roles.Idle):
    def __init__(self, address: Address) -> None:
        self._url = address["url"]
        self._routers: list[sig.ClientRouter] = []

    def open(self, count: int) -> None:
        self._routers += [sig.connect(self._url, **OPTIONS) for _ in range(count)]

    def close(self) -> None:
        for router in self._routers:
            router.close(0)
