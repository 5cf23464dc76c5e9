"""Where the parts of an answer come from; in one process, from the handler itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from inspect import isasyncgen, isgenerator
from typing import Any, Protocol

from .requests import Handlers, Later, Trail, answering, inside
from .runtime import Dropping, Expired, Runtime
from .slots import Slots
from .steps import Steps


class Source(Protocol):
    """Where the parts of one answer come from."""

    result: object
    """What stands behind the last part."""

    def more(self, timeout: float) -> Steps[Sequence[object] | None]:
        """The next parts, `None` behind the last; raises what ended it, or `Expired` when none comes in time."""
        ...

    def close(self, timeout: float) -> Steps[None]:
        """Nobody takes any more; waits so long at most for a handler to end. Once, and not behind the end."""
        ...

    def abandon(self) -> None:
        """The same where nothing may wait, nor take a lock; at some time or other it has the same effect."""
        ...


class Inline:
    """Parts from a handler of this process: it runs up to its next part when that is asked for."""

    def __init__(
        self, runtime: Runtime, handlers: Handlers, sender: str, method: str, params: object, trail: Trail
    ) -> None:
        self.result: object = None
        self._runtime = runtime
        self._handlers = handlers
        self._asked = sender, method
        self._dropping = dropping = Dropping()
        self._outer = trail.dropping  # of the request that it is a part of
        self._drop = dropping.drop  # the very same each time
        if self._outer is not None:
            self._outer.then(self._drop)
        self._trail = Trail(trail.hops, trail.deadline, dropping, trail.requester)
        self._context = inside(self._trail, runtime.now)
        self._slots: Slots | None = None  # of which it has one
        self._begun = False
        handler = handlers.find(method)
        if handler is None:
            raise handlers.unknown(sender, method)
        self._given: Any = (
            handlers.open(sender, method, params, self._trail)
            if handler.parts
            else Later(handlers.answer(sender, method, params, self._trail))
        )

    def more(self, timeout: float) -> Steps[Sequence[object] | None]:
        try:
            over, value = yield from self._step(timeout)
        except BaseException:
            self._leave()
            raise
        if not over:
            return (value,)
        self.result = value
        self._leave()
        return None

    def _step(self, timeout: float) -> Steps[tuple[bool, object]]:
        """Whether that was all, and the next part, or the result."""
        if not self._begun:
            self._begun = True
            if isinstance(self._given, Later):
                self._given = yield from self._given.steps
            else:
                self._slots = yield from self._handlers.slot(*self._asked, self._trail, timeout)
        given, runtime = self._given, self._runtime
        if isgenerator(given):
            if not runtime.elsewhere:
                return self._context.run(advance, given)
            step = yield partial(runtime.call, partial(self._context.run, advance, given), ())
        elif isasyncgen(given):
            with answering(self._trail, runtime.now):
                step = yield partial(runtime.run, self._handlers.loop, advance_awaiting(given), timeout)
        else:
            return True, given
        done: tuple[bool, object] = step
        return done

    def close(self, timeout: float) -> Steps[None]:
        # One that is at work, for another thread, ends with that: its request is over.
        self._dropping.drop()
        given, runtime, loop = self._given, self._runtime, self._handlers.loop
        try:
            if isgenerator(given) and not given.gi_running:
                if runtime.elsewhere:
                    yield partial(runtime.call, partial(self._context.run, given.close), ())
                else:
                    self._context.run(given.close)
            elif isasyncgen(given) and not given.ag_running and not runtime.would_block(loop):
                yield from closing(runtime, loop, given, timeout)
        finally:
            self._leave()

    def abandon(self) -> None:
        self._dropping.drop()  # and the generator goes with us, which ends it
        if self._slots is not None:
            self._slots.abandon()

    def _leave(self) -> None:
        if self._outer is not None:
            self._outer.forget(self._drop)
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.leave()


def advance(generator: Generator[Any, Any, Any]) -> tuple[bool, object]:
    """Whether that was all, and the next part, or the result."""
    try:
        return False, next(generator)
    except StopIteration as stop:
        return True, stop.value


async def advance_awaiting(generator: AsyncGenerator[Any, Any]) -> tuple[bool, object]:
    """Whether that was all, and the next part."""
    try:
        return False, await anext(generator)
    except StopAsyncIteration:
        return True, None


def closing(runtime: Runtime, loop: object, generator: AsyncGenerator[Any, Any], timeout: float) -> Steps[None]:
    """Close a generator of that loop, unless the loop has closed, and it with that; waits so long at most."""
    if not runtime.ended(loop):
        try:
            yield partial(runtime.run, loop, _close_awaiting(generator), timeout)
        except Expired:
            pass  # it is left to itself


async def _close_awaiting(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
