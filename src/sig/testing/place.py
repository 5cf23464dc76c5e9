"""One router of either face, for a check that is written once: its verbs return when they are done.

A router of the asyncio face stays what it is, on a real loop; that loop runs in a thread, and whoever calls waits.
Functions that a check gives to it may wait in turn, so they do not run on the loop: see `Hands`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from sig.callables import is_generator
from sig.drivers.loops import LoopThread
from sig.info import ListenerError, SenderInfo
from sig.runtime import Flag
from sig.stats import Stats
from sig.steps import Steps, walk, walk_awaiting
from sig.streams import END
from sig.subscription import Subscription

from .captured import Captured

LIMIT_S: Final = 20.0
"""No check waits longer, for anything; of many events, for none of them."""

_HANDS: Final = 16


class Hands:
    """What routers of one check have in common: a loop in a thread, and threads for functions that wait."""

    def __init__(self) -> None:
        self.thread: LoopThread = LoopThread("check-loop")
        self._pool = ThreadPoolExecutor(_HANDS, "check-hands")

    def run(self, call: Callable[[], Any]) -> Any:
        """Call on the loop, and await what comes of it there if need be."""

        async def run() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return self.thread.run(run(), 2 * LIMIT_S)

    def waiting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same as an `async def`, which may wait: in a thread."""

        async def call(*arguments: Any) -> Any:
            work = partial(copy_context().run, function, *arguments)
            return await self.thread.loop.run_in_executor(self._pool, work)

        return call

    def close(self) -> None:
        self._pool.shutdown()
        self.thread.stop(LIMIT_S)


class Heard(Captured):
    """A capture that is waited for with a blocking `wait`, whatever the face of its router."""

    def wait(self, count: int = 1) -> Heard:
        """Until there are so many. A medium may be slow, but not silent: the next of them comes within `LIMIT_S`."""
        while len(self) < count:
            walk(self._waiting(len(self) + 1, LIMIT_S))
        return self

    def _flag(self) -> Flag:
        return threading.Event()


class Held:
    """A sender of a place."""

    def __init__(self, place: Place, sender: Any) -> None:
        self._place = place
        self._sender = sender

    @property
    def connected(self) -> bool:
        return bool(self._sender.connected)

    def trigger(self, event: str, *values: object) -> None:
        """Trigger the event once for each value, and let a loop breathe in between where it is one."""
        self._place.do(partial(self._place._trigger, self._sender.signal(event), values))

    def remove(self) -> bool:
        return bool(self._place.do(self._sender.remove))


class Taken:
    """A stream of a place: the parts of one answer, taken when they are asked for."""

    def __init__(self, place: Place, stream: Any) -> None:
        self._place = place
        self._stream = stream

    def __iter__(self) -> Taken:
        return self

    def __next__(self) -> Any:
        part = self._place.do(partial(self._place._next_part, self._stream))
        if part is END:
            raise StopIteration
        return part

    @property
    def result(self) -> Any:
        return self._stream.result

    def close(self) -> None:
        self._place.do(self._stream.close)


class Place:
    """A router of the blocking face."""

    has_queue = True
    """Whether a listener that does not return keeps what comes in a queue of the router's, and not on its link."""

    def __init__(self, router: Any, hands: Hands) -> None:
        self.router: Any = router
        self.errors: list[BaseException] = []
        """What listeners have raised."""
        self._hands = hands
        router.on_error = self._failed

    def _failed(self, failed: ListenerError) -> None:
        self.errors.append(failed.error)

    def do(self, call: Callable[[], Any]) -> Any:
        """Call something of the router's, where it may be called, and wait until it is done."""
        return call()

    def walk(self, steps: Steps[Any]) -> Any:
        return walk(steps)

    # The verbs

    def listen(self, callback: Callable[..., object], *selector: str | None, **options: Any) -> Subscription:
        """`callback` must not wait."""
        subscription: Subscription = self.do(lambda: self.router.listen(callback, *selector, **options))
        return subscription

    def listen_waiting(self, callback: Callable[..., object], *selector: str | None) -> Subscription:
        """`callback` may wait, and use places."""
        return self.listen(callback, *selector)

    def hear(self, *selector: str | None, **options: Any) -> Heard:
        """Catch what comes from now on."""
        heard = Heard(self.router)
        heard._begun(self.listen(heard._hear, *selector, **options))
        return heard

    def add_sender(
        self,
        name: str,
        events: str | Iterable[str] = (),
        requests: Mapping[str | None, Callable[..., Any]] | None = None,
    ) -> Held:
        """Handlers may wait, and use places."""
        loop = self._hands.thread.loop
        return Held(self, self.do(lambda: self.router.add_sender(name, events, self._handlers(requests), loop=loop)))

    def request(self, sender: str, method: str, params: object = None, timeout: float = LIMIT_S) -> Any:
        return self.do(lambda: self.router.request(sender, method, params, timeout=timeout))

    def start_request(self, sender: str, method: str, params: object = None, timeout: float = LIMIT_S) -> Future[Any]:
        [call] = self.start_requests(sender, method, [params], timeout)
        return call

    def start_requests(
        self, sender: str, method: str, many: Iterable[object], timeout: float = LIMIT_S
    ) -> list[Future[Any]]:
        """One for each of the parameters."""
        return [self.router.start_request(sender, method, params, timeout=timeout) for params in many]

    def stream(self, sender: str, method: str, params: object = None, **options: Any) -> Taken:
        return Taken(self, self.do(lambda: self.router.stream(sender, method, params, **options)))

    def senders(self) -> list[SenderInfo]:
        rows: list[SenderInfo] = self.do(self.router.senders)
        return rows

    def stats(self) -> Stats:
        stats: Stats = self.do(self.router.stats)
        return stats

    def flush(self) -> None:
        self.do(self.router.flush)

    def wait(self, timeout: float) -> bool:
        return bool(self.do(lambda: self.router.wait(timeout)))

    def close(self) -> None:
        self.do(self.router.close)

    def leave(self) -> None:
        """The clean end of a `with` block."""
        self.do(lambda: self.router.__exit__(None, None, None))

    def closing(self, then: Callable[[], object]) -> Callable[..., Any]:
        """A listener, or handler, that closes the router from inside."""

        def close(*arguments: object) -> None:
            self.router.close()
            then()

        return close

    # How they differ

    def _handlers(self, requests: Any) -> Any:
        return requests

    def _trigger(self, signal: Any, values: Iterable[object]) -> Any:
        for value in values:
            signal.trigger(value)

    def _next_part(self, stream: Any) -> Any:
        return next(stream, END)


class LoopPlace(Place):
    """A router of the asyncio face, which lives on the loop of `hands`."""

    has_queue = False

    def do(self, call: Callable[[], Any]) -> Any:
        return self._hands.run(call)

    def walk(self, steps: Steps[Any]) -> Any:
        return self.do(lambda: walk_awaiting(steps))

    def listen_waiting(self, callback: Callable[..., object], *selector: str | None) -> Subscription:
        return self.listen(self._hands.waiting(callback), *selector)

    def start_requests(
        self, sender: str, method: str, many: Iterable[object], timeout: float = LIMIT_S
    ) -> list[Future[Any]]:
        return self.do(  # type: ignore[no-any-return]  # a list, so that nobody awaits what is in it
            lambda: [
                _Call(self._hands.thread.loop, self.router.start_request(sender, method, params, timeout=timeout))
                for params in many
            ]
        )

    def leave(self) -> None:
        self.do(lambda: self.router.__aexit__(None, None, None))

    def closing(self, then: Callable[[], object]) -> Callable[..., Any]:
        async def close(*arguments: object) -> None:
            await self.router.close()
            then()

        return close

    def _handlers(self, requests: Any) -> Any:
        return requests and {
            name: self._hands.waiting(function) if _is_plain(function) else function
            for name, function in requests.items()
        }

    def _next_part(self, stream: Any) -> Any:
        return anext(stream, END)

    async def _trigger(self, signal: Any, values: Iterable[object]) -> None:
        for number, value in enumerate(values):
            signal.trigger(value)
            if not number % 100:
                await signal.drain()


def _is_plain(function: object) -> bool:
    """Whether it has run when it has been called."""
    return not (inspect.iscoroutinefunction(function) or is_generator(function))


class _Call(Future[Any]):
    """A future of the loop's, as one of threads. Made on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: asyncio.Future[Any]) -> None:
        super().__init__()
        self._loop = loop
        self._call = call
        call.add_done_callback(self._done)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self._loop.call_soon_threadsafe(self._call.cancel)
        return cancelled

    def _done(self, call: asyncio.Future[Any]) -> None:
        try:
            if call.cancelled():
                super().cancel()
            elif (error := call.exception()) is not None:
                self.set_exception(error)
            else:
                self.set_result(call.result())
        except futures.InvalidStateError:
            pass  # given up before
