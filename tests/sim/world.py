"""A world of processes without threads, sockets or clocks: who runs next, and when, is decided by a seed.

Each process has an event loop of its own. What is ready in one of them runs as asyncio would run it, a batch at a time;
whose batch is next is up to chance, and when nothing is ready the clock moves to the next moment at which something is.
Times are multiples of 2**-20 s, so that they are exact on every clock of the world.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from hashlib import blake2b
from itertools import count
from typing import Any

TICKS = 1 << 20
# What a batch of callbacks takes, in ticks: so many and up to so many more, from 20 microseconds to half a millisecond.
WORK = (20, 500)
# When the world begins, for those who ask for the date.
EPOCH = 1_700_000_000
# Whoever still runs after so many rounds has been told to end does not end.
ROUNDS = 50


def exact(seconds: float) -> float:
    """That moment, or the first after it that the clocks can show."""
    return math.ceil(seconds * TICKS) / TICKS


class Violation(AssertionError):
    """A promise has not been kept."""


def check(kept: object, promise: str) -> None:
    if not kept:
        raise Violation(promise)


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process. Only what `asyncio` needs for tasks, futures and timers.

    Args:
        began: what its monotonic clock showed when the world began.
    """

    def __init__(self, world: World, name: str, began: int) -> None:
        self.world = world
        world.loops[self] = None
        self.name = name
        self.began = began
        self.ready: deque[asyncio.Handle] = deque()
        self.until = 0.0  # stopped until then, as by a debugger or a busy machine
        self.stood_s = 0.0  # for how long it was, in all
        self.dying = False
        self.dead = False
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def time(self) -> float:
        return self.world.now + self.began

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self.ready.append(handle)
            self.world.awake[self] = None
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.world.at(when - self.began, self._ring, handle)
        return handle

    def _ring(self, handle: asyncio.TimerHandle) -> None:
        if not handle.cancelled() and not self.dead:
            self.ready.append(handle)
            self.world.awake[self] = None

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]

    def run_batch(self) -> None:
        """What is ready now, as one turn of asyncio's loop."""
        for _ in range(len(self.ready)):
            handle = self.ready.popleft()
            if not handle.cancelled():
                handle._run()

    def stop(self, seconds: float) -> None:
        """Let the process stand still."""
        until = exact(self.world.now + seconds)
        if until > self.until:
            self.stood_s += until - max(self.until, self.world.now)
            self.until = until

    def kill(self) -> None:
        """End the process: nothing of it is seen from here on."""
        self.dying = True
        with self.world.running(self):
            for _ in range(ROUNDS):
                for task in list(self._tasks):
                    task.cancel()
                if not self.ready:
                    break
                self.run_batch()
        if self._tasks:
            self.world.fail(Violation(f"{len(self._tasks)} tasks of {self.name} do not end when they are cancelled"))
        self.dead = True
        self.ready.clear()
        self.world.awake.pop(self, None)
        self.world.loops.pop(self, None)

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self.dead

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.dead:
            return
        error = context.get("exception")
        if not isinstance(error, Violation):
            violation = Violation(f"{self.name}: {context.get('message')}: {error!r}")
            violation.__cause__ = error
            error = violation
        self.world.fail(error)


class World:
    """Everything, and the time that passes in it."""

    def __init__(self, seed: int | str) -> None:
        self.chance = random.Random(f"{seed}: weather")
        self.entropy = random.Random(f"{seed}: entropy")
        self.now = 0.0
        self.steps = 0
        self.loops: dict[Loop, None] = {}  # of processes that live
        self.awake: dict[Loop, None] = {}
        self.trace = blake2b(digest_size=16)
        self.failure: BaseException | None = None  # the first
        self._current: Loop | None = None
        self._agenda: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()

    def note(self, *what: object) -> None:
        """Part of the history: the same seed must give the same again."""
        self.trace.update(repr((self.now, what)).encode())

    def fail(self, failure: BaseException) -> None:
        """A promise has not been kept. Not raised here: whoever calls may catch it.

        What is said by a process that is being killed, nobody hears.
        """
        if self._current is None or not self._current.dying:
            self.failure = self.failure or failure

    def at(self, when: float, function: Callable[..., object], *args: Any) -> None:
        """Call it then, or at once if that has been."""
        heapq.heappush(self._agenda, (max(exact(when), self.now), next(self._numbers), function, args))

    def after(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self.at(self.now + seconds, function, *args)

    @contextmanager
    def running(self, loop: Loop) -> Iterator[None]:
        """What happens in here happens in that process."""
        before, self._current = self._current, loop
        asyncio._set_running_loop(loop)
        try:
            yield
        finally:
            self._current = before
            asyncio._set_running_loop(before)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until that moment, or until `done`, which is asked whenever nobody has anything to do."""
        chance, agenda, awake = self.chance, self._agenda, self.awake
        while True:
            while agenda and agenda[0][0] <= self.now:
                _, _, function, args = heapq.heappop(agenda)
                function(*args)
            able = [loop for loop in awake if loop.until <= self.now]
            if able:
                loop = able[int(chance.random() * len(able))] if len(able) > 1 else able[0]
                self._current = loop
                asyncio._set_running_loop(loop)
                try:
                    loop.run_batch()
                finally:
                    self._current = None
                    asyncio._set_running_loop(None)
                if not loop.ready:
                    awake.pop(loop, None)
                if self.failure is not None:
                    raise self.failure
                self.steps += 1
                self.now += int(WORK[0] + chance.random() * WORK[1]) / TICKS
                continue
            if done():
                return
            moment = min((loop.until for loop in awake), default=math.inf)
            if agenda:
                moment = min(moment, agenda[0][0])
            if moment > until:
                self.now = max(self.now, exact(until))
                return
            self.now = max(self.now, exact(moment))

    def end(self) -> None:
        """Of nobody anything is left."""
        for loop in list(self.loops):
            loop.kill()

    # What stands for the modules of the same names

    def monotonic(self) -> float:
        return self.now if self._current is None else self._current.time()

    def time(self) -> float:
        return EPOCH + self.now

    def randbits(self, bits: int) -> int:
        return self.entropy.getrandbits(bits)

    def token_bytes(self, size: int) -> bytes:
        return self.entropy.randbytes(size)

    def gethostname(self) -> str:
        return "simulation"

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Whoever asks for the time, or for chance, in a module of `sig`, asks this world."""
        stands: dict[int, Any] = {
            id(time): self,
            id(secrets): self,
            id(socket): self,
            id(time.monotonic): self.monotonic,
            id(time.time): self.time,
        }
        places: list[tuple[Any, str, Any, Any]] = []
        for holder in _holders():
            for name, value in list(vars(holder).items()):
                wrapped = isinstance(value, staticmethod)
                stand = stands.get(id(value.__func__ if wrapped else value))
                if stand is not None:
                    places.append((holder, name, value, staticmethod(stand) if wrapped else stand))
        try:
            for holder, name, _, stand in places:
                setattr(holder, name, stand)
            yield
        finally:
            for holder, name, value, _ in places:
                setattr(holder, name, value)


def _holders() -> list[Any]:
    """Where `sig` keeps what it knows of the world: its modules, and the clock that routers have by default."""
    modules: list[Any] = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "sig"]
    return [*modules, sys.modules["sig.drivers.local"]._SystemClock]
