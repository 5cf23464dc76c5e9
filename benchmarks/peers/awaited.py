"""The roles of those who live on an asyncio loop.

The loop has a thread of its own and runs all the time, for what a library does by itself; the main thread waits for
orders. A contestant overrides the `async` methods, and `new_loop` if it has a faster one.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import cycle
from typing import Any, TypeVar

from benchmarks.peers import roles
from benchmarks.peers.payload import Event, clock, sample
from benchmarks.peers.roles import MEETING, Address, check_answer, compute_until, sleep_until
from benchmarks.peers.tally import Tally, percentiles

T = TypeVar("T")


class OnLoop:
    """What has a loop."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def start_loop(self) -> None:
        self._loop = self.new_loop()
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the loop; the limit of the order at hand is the limit here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Publisher(OnLoop, roles.Publisher):
    """Triggers events: `await trigger(event)`."""

    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self.start_loop()
        self.run(self.connect(address))

    @abstractmethod
    async def connect(self, address: Address) -> None: ...

    @abstractmethod
    def trigger(self, route: str) -> Callable[[Event], Awaitable[object]]: ...

    def stream_trigger(self, route: str) -> Callable[[Event], Awaitable[object]]:
        return self.trigger(route)

    async def drain(self) -> None:
        """Return when everything has been sent."""

    def meet(self, seq: int) -> None:
        async def meet() -> None:
            await self.trigger(MEETING)(sample() | {"seq": seq})
            await self.drain()

        self.run(meet())

    def publish(self, count: int, size: int = 0) -> dict[str, float]:
        return self.run(self._publish(count, size))

    async def _publish(self, count: int, size: int) -> dict[str, float]:
        triggers = [self.stream_trigger(route) for route in self._routes]
        event = sample(size)
        started = clock()
        for seq, trigger in zip(range(count), cycle(triggers), strict=False):
            event["seq"] = seq
            await trigger(event)
        await self.drain()
        return {"started": started}

    def pace(self, count: int, rate: float, computing: bool, size: int = 0) -> dict[str, float]:
        return self.run(self._pace(count, rate, computing, size))

    async def _pace(self, count: int, rate: float, computing: bool, size: int) -> dict[str, float]:
        trigger = self.trigger(self._routes[0])
        # Not asyncio.sleep: its milliseconds are too coarse for this rate. Here, as for the others, a program is woken,
        # triggers, and lets its loop go round.
        wait = compute_until if computing else sleep_until
        event = sample(size)
        started = clock()
        for seq in range(count):
            due = started + seq / rate
            wait(due)
            event["seq"] = seq
            event["ts"] = clock()
            await trigger(event)
            await asyncio.sleep(0)  # what the library left for the loop goes out here, not after the computing
        await self.drain()
        return {"started": started}


class Subscriber(OnLoop, roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self.start_loop()
        self._come = asyncio.Event()
        tally.ended = self._come.set
        self.run(self.subscribe(address, routes, tally))

    @abstractmethod
    async def subscribe(self, address: Address, routes: Sequence[str], tally: Tally) -> None: ...

    def expect(self, count: int) -> None:
        self._come.clear()
        super().expect(count)

    def expect_meeting(self, seq: int) -> None:
        self._come.clear()
        super().expect_meeting(seq)

    def fetch(self, take: Callable[[object, Event], bool], limit: float) -> None:
        self.run(asyncio.wait_for(self._come.wait(), limit))


class Replier(OnLoop, roles.Replier):
    def __init__(self, address: Address) -> None:
        self.start_loop()
        self.run(self.serve(address))

    @abstractmethod
    async def serve(self, address: Address) -> None:
        """Begin to answer."""


class Requester(OnLoop, roles.Requester):
    def __init__(self, address: Address) -> None:
        self.start_loop()
        self.run(self.connect(address))

    @abstractmethod
    async def connect(self, address: Address) -> None: ...

    @abstractmethod
    async def request_soon(self, event: Event) -> Event:
        """Ask, and return the answer. The event is encoded before the first wait."""

    def request(self, event: Event) -> Event:
        return self.run(self.request_soon(event))

    def ask(self, count: int) -> dict[str, float]:
        return self.run(self._ask(count))

    async def _ask(self, count: int) -> dict[str, float]:
        event = sample()
        delays = []
        for seq in range(count):
            event["seq"] = seq
            before = clock()
            answer = await self.request_soon(event)
            delays.append(clock() - before)
            check_answer(answer, seq)
        return percentiles(delays)

    def ask_many(self, count: int, flight: int) -> dict[str, float]:
        return self.run(self._ask_many(count, flight))

    async def _ask_many(self, count: int, flight: int) -> dict[str, float]:
        todo = iter(range(count))

        async def work() -> None:
            event = sample()
            for seq in todo:
                event["seq"] = seq
                check_answer(await self.request_soon(event), seq)

        started = clock()
        await asyncio.gather(*(work() for _ in range(flight)))
        return {"took": clock() - started}


async def windowed(start: Callable[[Event], asyncio.Future[Event]], count: int, flight: int) -> dict[str, float]:
    """As `roles.windowed`, for those whose requests are futures: they need no task for each."""
    event = sample()
    flying: deque[asyncio.Future[Event]] = deque()
    answered = 0
    started = clock()
    for seq in range(count):
        event["seq"] = seq
        flying.append(start(event))
        if len(flying) >= flight:
            check_answer(await flying.popleft(), answered)
            answered += 1
    for seq in range(answered, count):
        check_answer(await flying.popleft(), seq)
    return {"took": clock() - started}


class Idle(OnLoop, roles.Idle):
    def __init__(self, address: Address) -> None:
        self.address = address
        self.start_loop()
        self._open: list[object] = []

    @abstractmethod
    async def connect(self) -> object:
        """One more connection."""

    def open(self, count: int) -> None:
        async def connect() -> None:
            for _ in range(count):
                self._open.append(await self.connect())

        self.run(connect())
