"""What a contestant offers. Each role is one child process; the constructor connects it, `hello` says what it has.

`awaited.py` has the same roles for contestants that live on an asyncio loop.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from time import sleep
from typing import Any

from benchmarks.peers.payload import Event, clock, sample
from benchmarks.peers.tally import Tally, percentiles

# What a server tells of where it can be found; made of what JSON has.
Address = dict[str, Any]

# The route on which publisher and subscribers find out that they are connected.
MEETING = "meeting"

# An answer that takes longer than this does not come.
ANSWER_S = 30

# A publisher that computes looks at the clock after so many steps: a few microseconds.
STEPS = 50


class Role(ABC):  # noqa: B024  # which verbs a role has is its own business
    """One child process of a contestant."""

    def hello(self) -> dict[str, Any]:
        """What the others must know."""
        return {}

    def burden(self) -> None:
        """From here on another thread of this process computes in pure Python, and never waits."""
        threading.Thread(target=compute_until, args=(math.inf,), name="burden", daemon=True).start()

    def close(self) -> None:  # noqa: B027  # most have nothing to put away
        """The run is over. What is not closed in a second is killed."""


class Server(Role):
    """The process in the middle. The constructor starts it, `folder` is its own to write into."""

    def __init__(self, folder: Path) -> None:
        self.address: Address = {}
        self.pids: list[int] = []
        """Whose processor time and memory count; this child itself if empty."""

    def hello(self) -> dict[str, Any]:
        return {"address": self.address, "pids": self.pids}


class Publisher(Role):
    """Triggers events.

    Args:
        address: the server's.
        routes: what will be triggered.
        large: the events will be of 64 KiB or more; for those who have another way for these.
    """

    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        self._routes = routes

    @abstractmethod
    def trigger(self, route: str) -> Callable[[Event], object]:
        """What sends one event on its way, now."""

    def stream_trigger(self, route: str) -> Callable[[Event], object]:
        """The same where many events follow one another; may hold some back until `finish`."""
        return self.trigger(route)

    def finish(self) -> None:  # most hold nothing back
        """Send what is held back."""

    def meet(self, seq: int) -> None:
        """Trigger one event on the route of the meeting."""
        self.trigger(MEETING)(sample() | {"seq": seq})
        self.finish()

    def publish(self, count: int, size: int = 0) -> dict[str, float]:
        """Trigger `count` events as fast as that goes, the routes taking turns."""
        triggers = [self.stream_trigger(route) for route in self._routes]
        event = sample(size)
        started = clock()
        for seq, trigger in zip(range(count), cycle(triggers), strict=False):
            event["seq"] = seq
            trigger(event)
        self.finish()
        return {"started": started}

    def pace(self, count: int, rate: float, computing: bool, size: int = 0) -> dict[str, float]:
        """Trigger `count` events, `rate` in a second. In between this thread sleeps, or computes in pure Python."""
        trigger = self.trigger(self._routes[0])
        wait = compute_until if computing else sleep_until
        event = sample(size)
        started = clock()
        for seq in range(count):
            wait(started + seq / rate)
            event["seq"] = seq
            event["ts"] = clock()
            trigger(event)
        if computing:  # until the last one is through, too
            compute_until(clock() + 0.05)
        return {"started": started}


def sleep_until(due: float) -> None:
    left = due - clock()
    if left > 0:
        sleep(left)


def compute_until(due: float) -> int:
    number = 1
    while clock() < due:
        for _ in range(STEPS):
            number = number * 1103515245 + 12345 & 0x7FFFFFFF
    return number


class Subscriber(Role):
    """Decodes what arrives and gives it to `tally.take`, and what arrives on `MEETING` to `tally.meet`.

    This one waits while threads of the contestant do so. One whose program fetches events itself overrides `fetch`.
    """

    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        self._tally = tally
        self._ended = threading.Event()
        tally.ended = self._ended.set

    def expect(self, count: int) -> None:
        self._ended.clear()
        self._tally.expect(count)

    def expect_meeting(self, seq: int) -> None:
        self._ended.clear()
        self._tally.expect_meeting(seq)

    def receive_meeting(self, limit: float) -> None:
        """Return when the event has come; `TimeoutError` after `limit` seconds."""
        self.fetch(self._tally.meet, limit)

    def receive(self, limit: float) -> dict[str, float]:
        """Return when everything has come, or nothing more does: see `Tally.result`."""
        try:
            self.fetch(self._tally.take, limit)
        except TimeoutError:
            pass  # result() counts what is missing
        return self._tally.result()

    def fetch(self, take: Callable[[object, Event], bool], limit: float) -> None:
        """Until `take` has said that it was the last, or raise `TimeoutError`."""
        if not self._ended.wait(limit):
            raise TimeoutError("the last event did not come")


class Replier(Role):
    """Answers each request with the event that came in it, decoded and encoded again. The constructor starts it."""

    @abstractmethod
    def __init__(self, address: Address) -> None: ...


class Requester(Role):
    """Asks a replier."""

    @abstractmethod
    def __init__(self, address: Address) -> None: ...

    @abstractmethod
    def request(self, event: Event) -> Event:
        """Ask, and wait for the answer."""

    def ask(self, count: int) -> dict[str, float]:
        """So many requests, one after the other."""
        event = sample()
        delays = []
        for seq in range(count):
            event["seq"] = seq
            before = clock()
            answer = self.request(event)
            delays.append(clock() - before)
            check_answer(answer, seq)
        return percentiles(delays)

    def ask_many(self, count: int, flight: int) -> dict[str, float]:
        """So many requests, `flight` of them under way at a time: how long all of that takes.

        This one does it with threads; whoever has a better way overrides it.
        """
        todo = iter(range(count))
        lock = threading.Lock()

        def work() -> None:
            event = sample()
            while True:
                with lock:
                    seq = next(todo, None)
                if seq is None:
                    return
                event["seq"] = seq
                check_answer(self.request(event), seq)

        with ThreadPoolExecutor(flight) as pool:
            started = clock()
            for done in [pool.submit(work) for _ in range(flight)]:
                done.result()
        return {"took": clock() - started}


def windowed(start: Callable[[Event], Callable[[], Event]], count: int, flight: int) -> dict[str, float]:
    """`ask_many` for those whose requests can be started and waited for: wait for the oldest, start another.

    `start` returns what waits for the answer, and gives up by itself.
    """
    event = sample()
    flying: deque[Callable[[], Event]] = deque()
    answered = 0
    started = clock()
    for seq in range(count):
        if len(flying) == flight:
            check_answer(flying.popleft()(), answered)
            answered += 1
        event["seq"] = seq
        flying.append(start(event))
    while flying:
        check_answer(flying.popleft()(), answered)
        answered += 1
    return {"took": clock() - started}


def check_answer(answer: Event, seq: int) -> None:
    if answer["seq"] != seq:
        raise ValueError(f"request {seq} got the answer to {answer['seq']}")


class Idle(Role):
    """Connections on which nothing happens."""

    @abstractmethod
    def __init__(self, address: Address) -> None: ...

    @abstractmethod
    def open(self, count: int) -> None:
        """Open so many more, and return when the server knows all of them."""
