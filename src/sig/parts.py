"""Where the parts of an answer come from; in one process, from the handler itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import partial
from inspect import isasyncgen, isgenerator
from threading import Lock
from typing import Any, Protocol

from .errors import Closed
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
    """Parts from a handler of this process: it runs up to its next part when that is asked for.

    It may be closed by another thread than that which takes its parts: then the handler ends with what it is doing, and
    holds its slot until then.

    Args:
        over: called when the handler has ended, or nobody takes its parts any more; perhaps more than once, and where
            no lock may be taken.
    """

    def __init__(
        self,
        runtime: Runtime,
        handlers: Handlers,
        sender: str,
        method: str,
        params: object,
        trail: Trail,
        over: Callable[[], object] | None = None,
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
        self._slots: list[Slots] = []  # of which it has one; a list, from which one thread alone can take it
        self._begun = False
        self._over = over
        # Whoever makes the handler go on, or ends it, has this. It is tried, and never waited for.
        self._turn = Lock()
        self._closed = False
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
            self._unhook()
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
                slots = yield from self._handlers.slot(*self._asked, self._trail, timeout)
                if slots is not None:
                    self._slots.append(slots)
        given, runtime = self._given, self._runtime
        if isgenerator(given):
            if not runtime.elsewhere:
                return self._advance(given)
            step = yield partial(runtime.call, self._advance, (given,))
        elif isasyncgen(given):
            with answering(self._trail, runtime.now):
                step = yield partial(runtime.run, self._handlers.loop, self._advance_awaiting(given), timeout)
        else:
            return True, given
        done: tuple[bool, object] = step
        return done

    def _advance(self, generator: Generator[Any, Any, Any]) -> tuple[bool, object]:
        turn = self._turn
        if not turn.acquire(False):
            raise self._taken()
        try:
            return False, self._context.run(next, generator)
        except StopIteration as stop:
            return True, stop.value
        except BaseException:
            self._leave()  # it has ended
            raise
        finally:
            turn.release()
            if self._closed and turn.acquire(False):
                self._end(generator)

    async def _advance_awaiting(self, generator: AsyncGenerator[Any, Any]) -> tuple[bool, object]:
        if not self._turn.acquire(False):
            raise self._taken()
        try:
            return await advance_awaiting(generator)
        except BaseException:
            self._leave()
            raise
        finally:
            self._turn.release()
            if self._closed and self._turn.acquire(False):
                await self._end_awaiting(generator)

    def _taken(self) -> Closed:
        if self._closed:
            self._leave()  # it may have got its slot after that
        sender, method = self._asked
        return Closed(f"the answer of {sender!r} to {method!r} has been closed, or another thread takes its next part")

    def _end(self, generator: Generator[Any, Any, Any]) -> None:
        try:
            self._context.run(generator.close)
        finally:
            self._leave()

    async def _end_awaiting(self, generator: AsyncGenerator[Any, Any]) -> None:
        try:
            await generator.aclose()
        finally:
            self._leave()

    def close(self, timeout: float) -> Steps[None]:
        self._dropping.drop()
        self._unhook()
        self._closed = True
        if not self._turn.acquire(False):
            return  # whoever is at work ends it
        given, runtime, loop = self._given, self._runtime, self._handlers.loop
        try:
            if isgenerator(given):
                if runtime.elsewhere:
                    yield partial(runtime.call, self._end, (given,))
                else:
                    self._end(given)
            elif isasyncgen(given) and not runtime.would_block(loop):
                yield from closing(runtime, loop, given, timeout)
        finally:
            self._leave()

    def abandon(self) -> None:
        self._dropping.drop()  # and the generator goes with us, which ends it
        self._tell_over()
        for slots in self._slots:
            slots.abandon()

    def _leave(self) -> None:
        """The handler has ended."""
        self._unhook()
        self._tell_over()
        try:
            slots = self._slots.pop()
        except IndexError:
            return
        slots.leave()

    def _tell_over(self) -> None:
        if self._over is not None:
            self._over()

    def _unhook(self) -> None:
        if self._outer is not None:
            self._outer.forget(self._drop)


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
