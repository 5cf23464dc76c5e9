"""An event loop on a thread of its own, for those who live outside of it."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Coroutine
from concurrent import futures
from typing import Any, TypeVar

from sig.drivers.fork import let_go, tell_child

T = TypeVar("T")


class LoopThread:
    """Starts at once. Its methods are for other threads."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self.loop.close()
            raise
        tell_child(self)

    def _run(self) -> None:
        loop = self.loop
        try:
            loop.run_forever()
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine there and wait for it. Raises `TimeoutError` when it takes longer: then it is cancelled."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:  # the loop has ended
            coroutine.close()
            raise
        try:
            return future.result(timeout)
        except futures.TimeoutError:
            future.cancel()  # of no effect on one that has ended with a TimeoutError of its own
            raise

    def stop(self, timeout: float) -> None:
        """End the loop and its thread."""
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            return  # ended before
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def forked(self) -> None:
        # The parent's sockets must not live on in the child. Nor may the loop be closed: it would take them out of a
        # selector that is the parent's too, where the system keeps one (epoll).
        if self.loop.is_closed():
            return
        numbers = [key.fd for key in self._selector.get_map().values()]
        ends: tuple[Any, ...] = (self._selector, getattr(self.loop, "_csock", None))
        numbers += [end.fileno() for end in ends if hasattr(end, "fileno")]
        let_go(numbers)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
