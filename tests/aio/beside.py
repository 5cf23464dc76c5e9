"""A router of the asyncio face with blocking verbs, so that a program written for the other face runs on it.

Its loop runs in a thread of its own. Called from there (by a listener, or a handler), a verb that has to wait begins as
a task: a handler returns that, and it is awaited for it.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import sig.aio

LIMIT_S = 20

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Beside:
    """A loop in a thread."""

    def __init__(self, new_loop: NewLoop) -> None:
        self.loop = new_loop()
        self.wrapped: dict[int, Blocking] = {}
        self._thread = threading.Thread(target=self.loop.run_forever, name="beside")
        self._thread.start()

    def here(self) -> bool:
        return threading.current_thread() is self._thread

    def run(self, make: Callable[[], Any]) -> Any:
        """Call `make` on the loop, await what it returns if need be, and return what comes of it."""
        if self.here():
            made = make()
            return asyncio.ensure_future(_of(made)) if inspect.isawaitable(made) else made

        async def run() -> Any:
            made = make()
            return await made if inspect.isawaitable(made) else made

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT_S)

    def end(self) -> set[str]:
        """End the loop; returns the tasks that nobody has ended."""

        async def left() -> set[str]:
            return {repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()}

        tasks: set[str] = self.run(left)
        self.run(self.loop.shutdown_asyncgens)
        self.run(self.loop.shutdown_default_executor)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_S)
        self.loop.close()
        return tasks


async def _of(awaitable: Any) -> Any:
    return await awaitable


@contextmanager
def beside(new_loop: NewLoop) -> Iterator[Beside]:
    loop = Beside(new_loop)
    try:
        yield loop
    finally:
        assert loop.end() == set()


class Blocking:
    """Something of the asyncio face; what its methods return is wrapped in turn."""

    def __init__(self, loop: Beside, thing: Any) -> None:
        self.__dict__.update(_loop=loop, _thing=thing)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found) or name == "_class_signal":
            return found

        @wraps(found)
        def call(*arguments: Any, **options: Any) -> Any:
            positional = [handed(argument) for argument in arguments]
            named = {key: handed(option) for key, option in options.items()}
            return wrapped(self._loop, self._loop.run(lambda: found(*positional, **named)))

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._thing, name, value)

    def __enter__(self) -> Any:
        return wrapped(self._loop, self._loop.run(self._thing.__aenter__))

    def __exit__(self, *error: object) -> None:
        self._loop.run(lambda: self._thing.__aexit__(*error))


def wrapped(loop: Beside, result: Any) -> Any:
    kinds = (sig.aio.Router, sig.aio.SenderView, sig.aio.Signal)
    if not isinstance(result, kinds):
        return result
    return loop.wrapped.setdefault(id(result), Blocking(loop, result))  # one thing, one wrapping


def handed(argument: Any) -> Any:
    """What is wrapped is unwrapped; handlers are awaited where they return what waits."""
    if isinstance(argument, Blocking):
        return argument._thing
    if isinstance(argument, dict) and argument and all(map(callable, argument.values())):
        return {method: _handler(function) for method, function in argument.items()}
    return argument


def _handler(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def handle(*arguments: Any) -> Any:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result

    return function if function is len else handle
