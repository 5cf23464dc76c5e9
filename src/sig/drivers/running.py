"""The world of a router in the asyncio face: its loop runs what it needs done, and its steps are to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent import futures
from contextvars import copy_context
from typing import Any

from sig.drivers.local import LocalRuntime
from sig.errors import Closed, InvalidArgument, RequestCancelled
from sig.log import logger
from sig.runtime import Dropping, Expired


class LoopFlag:
    """What `threading.Event` is; `wait` is to be awaited, all else may be done from any thread."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[asyncio.Future[None]] = []

    def set(self) -> None:
        self._set = True
        for future in tuple(self._waiting):
            loop = future.get_loop()
            if asyncio._get_running_loop() is loop:
                _wake(future)
                continue
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:
                pass  # that loop has closed, and with it whoever waited

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self, timeout: float | None = None) -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            if not self._set:  # not before: another thread may be setting it
                async with asyncio.timeout(timeout):
                    await future
        except TimeoutError:
            pass
        finally:
            self._waiting.remove(future)
        return self._set or (future.done() and not future.cancelled())


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class LoopRuntime(LocalRuntime):
    """Implements `sig.runtime.Runtime`. The loop is the one that runs where it is first needed."""

    awaits = True

    def __init__(self, *, executor: Any = None, clock: Any = None, workers: int | None = None) -> None:
        super().__init__(executor=executor, clock=clock, workers=workers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self.elsewhere: bool = self._post is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The router's loop. Raises `InvalidArgument` where none runs and none is known."""
        if self._loop is None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                raise InvalidArgument("no event loop runs here: use routers of sig.aio inside a coroutine") from None
        return self._loop

    def submit(self, function: Callable[[], object], beyond: bool = False) -> None:
        if self._ended:
            raise Closed("this router has been closed")
        if self._post is not None:
            self._post(function)
        elif self.running_loop() is self.loop:
            self.loop.call_soon(function)
        else:
            self.loop.call_soon_threadsafe(function)

    def spawn(self, loop: object, function: Callable[[], Coroutine[object, object, object]]) -> None:
        if self.running_loop() is loop:
            assert isinstance(loop, asyncio.AbstractEventLoop)
            self._start(loop, function)
        else:
            super().spawn(loop, function)

    def would_block(self, loop: object) -> bool:
        return False

    def ours(self) -> bool:
        try:
            return asyncio.current_task() in self._tasks
        except RuntimeError:
            return False

    async def call(self, function: Callable[..., object], arguments: tuple[object, ...]) -> object:
        """Run a function in the executor."""
        assert self._post is not None  # `elsewhere`
        done: futures.Future[object] = futures.Future()
        context = copy_context()

        def work() -> None:
            try:
                answer = context.run(function, *arguments)
            except BaseException as error:
                tell(done.set_exception, error)
            else:
                tell(done.set_result, answer)

        def tell(how: Callable[[Any], object], outcome: object) -> None:
            try:
                how(outcome)
            except futures.InvalidStateError:
                pass  # whoever waited has been cancelled: the executor is the user's, and has no part in that

        self._post(work)
        return await asyncio.wrap_future(done)

    async def run(
        self, loop: object, coroutine: Coroutine[Any, Any, object], timeout: float, dropping: Dropping | None = None
    ) -> object:
        assert isinstance(loop, asyncio.AbstractEventLoop)
        awaited: Any = coroutine
        if loop is not asyncio.get_running_loop():
            awaited = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
        task = asyncio.current_task()
        assert task is not None
        own = task  # mypy keeps no narrowing inside functions
        if dropping is not None:
            dropping.then(lambda: own.cancel() if not own.done() else None)
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await awaited
        except TimeoutError:
            if limit.expired():
                raise Expired from None
            raise
        except asyncio.CancelledError:
            if dropping is not None and dropping.dropped:
                task.uncancel()
            elif task.cancelling():
                raise  # whoever awaits us has been told to end
            raise RequestCancelled("the handler was cancelled") from None

    async def turn(self) -> None:
        await asyncio.sleep(0)

    def flag(self) -> Any:
        return LoopFlag()

    async def settle(self, busy: Callable[[], bool], timeout: float) -> None:
        if self.ours():
            return
        deadline = self.loop.time() + timeout
        while busy() and self.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(self.SETTLE_STEP_S)  # nobody tells when a queue is empty

    async def close(self, timeout: float) -> None:
        self._ended = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task() and not task.done()]
        if not tasks or self.ours():
            return
        _, late = await asyncio.wait(tasks, timeout=max(timeout, 0.001))
        for task in late:
            logger.warning(f"a listener has not ended within {timeout:g} s; its task is cancelled")
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
