"""The ordinary world of a router: the monotonic clock, daemon threads, asyncio's loops."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Protocol

from sig.constants import Limits
from sig.drivers import waiting
from sig.errors import InvalidArgument, RequestCancelled
from sig.runtime import Dropping, Expired, Flag

from .pool import Pool


class Clock(Protocol):
    """What `Router(clock=...)` takes."""

    def now(self) -> float: ...

    def wall(self) -> float: ...


class _SystemClock:
    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class LocalRuntime:
    """Implements `sig.runtime.Runtime`; its pool is made when it is first needed."""

    SETTLE_STEP_S = 0.002
    WORKER = "sig-worker"

    def __init__(self, *, executor: Any = None, clock: Any = None, workers: int | None = None) -> None:
        if executor is not None and not callable(getattr(executor, "submit", executor)):
            raise InvalidArgument(f"executor={executor!r} is neither an executor nor a function that posts one")
        source: Clock = _SystemClock() if clock is None else clock
        self.now: Callable[[], float] = source.now
        self.wall: Callable[[], float] = source.wall
        self._post: Callable[[Callable[[], object]], object] | None = (
            None if executor is None else getattr(executor, "submit", executor)
        )
        self._workers = Limits().request_workers if workers is None else workers
        self._pool: Pool | None = None
        self._lock = threading.Lock()  # guards the making of the pool
        self._tasks: set[asyncio.Task[object]] = set()  # a loop keeps only weak references to its tasks

    def random64(self) -> int:
        return secrets.randbits(64) or 1

    def random(self) -> float:
        return secrets.randbits(53) / (1 << 53)

    def submit(self, function: Callable[[], object], beyond: bool = False) -> None:
        if self._post is not None:
            self._post(function)
            return
        self._workers_pool().submit(function, beyond)

    def _workers_pool(self) -> Pool:
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self._workers, self.WORKER)
            return self._pool

    def running_loop(self) -> object | None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None

    def spawn(self, loop: object, function: Callable[[], Coroutine[object, object, object]]) -> None:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        loop.call_soon_threadsafe(self._start, loop, function)

    def _start(self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, object]]) -> None:
        task = loop.create_task(function())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # SystemExit: the loop has raised it already, and need not complain once more

    def ended(self, loop: object) -> bool:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        return loop.is_closed()

    def cancelling(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    awaits = False
    elsewhere = False

    def call(self, function: Callable[..., object], arguments: tuple[object, ...]) -> Any:
        return function(*arguments)

    def would_block(self, loop: object) -> bool:
        return self.running_loop() is loop

    def ours(self) -> bool:
        return threading.current_thread().name.startswith("sig-")

    def run(
        self, loop: object, coroutine: Coroutine[Any, Any, object], timeout: float, dropping: Dropping | None = None
    ) -> object:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:
            coroutine.close()
            raise
        if dropping is not None:
            dropping.then(future.cancel)
        try:
            done, _ = futures.wait([future], timeout)
            if not done:
                raise Expired
            return future.result()
        except futures.CancelledError:
            raise RequestCancelled("the handler was cancelled") from None
        finally:
            future.cancel()  # no effect on one that is done

    def turn(self) -> Any:
        return None

    def flag(self) -> Flag:
        return waiting.Flag()

    def settle(self, busy: Callable[[], bool], timeout: float) -> Any:
        if self.running_loop() is not None or threading.current_thread().name == self.WORKER:
            return
        deadline = time.monotonic() + timeout
        while busy() and time.monotonic() < deadline:
            time.sleep(self.SETTLE_STEP_S)

    def close(self, timeout: float) -> Any:
        # Made for that, if need be: who submits later is told that it is closed.
        self._workers_pool().close(timeout)
