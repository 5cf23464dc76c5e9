"""Answering requests in the asyncio face: `def` handlers are called where bytes are read, behind the listeners of the
events that came with them; `async def` ones run in a task for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextvars import copy_context
from functools import partial
from typing import Any

from sig.answers import Answers, Case
from sig.giving import TURN_S, Giving, nobody
from sig.linked import Linked
from sig.log import logger
from sig.parts import advance_awaiting
from sig.requests import answering
from sig.runtime import FOREVER, Dropping
from sig.steps import Steps, walk_awaiting


class LoopGiving(Giving):
    """`Giving` of the asyncio face: a generator of this loop is awaited in the task that gives its parts."""

    def _awaited(self, generator: AsyncGenerator[Any, Any], loop: object) -> Steps[object]:
        if loop is not asyncio.get_running_loop():
            return (yield from super()._awaited(generator, loop))
        task = asyncio.current_task()
        assert task is not None  # whoever walks these steps
        here = task  # mypy keeps no narrowing inside functions
        waits = False
        self._dropping.then(lambda: here.cancel() if waits else None)
        now = self._runtime.now
        begun = now()
        try:
            with answering(self._trail, now):
                while True:
                    waits = True
                    part = yield generator.__anext__
                    waits = False
                    yield from self._take(part)
                    if now() - begun > TURN_S:
                        yield self._runtime.turn
                        begun = now()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if not self._dropping.dropped:
                raise  # the task has been told to end
            task.uncancel()
            raise nobody() from None
        finally:
            waits = False
            yield generator.aclose

    def _some(self, generator: AsyncGenerator[Any, Any], loop: object, inner: Dropping) -> Steps[bool]:
        # Parts are given on the loop of the link alone.
        over, part = yield partial(self._runtime.run, loop, advance_awaiting(generator), FOREVER, inner)
        if not over:
            self._give(part)
        done: bool = over
        return done


class LoopAnswers(Answers):
    """`Answers` of the asyncio face. Everything happens on the loop's thread."""

    _giving = LoopGiving

    def __init__(self, router: Linked, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(router)
        self._loop = loop
        self._tasks: dict[asyncio.Task[None], Dropping] = {}

    async def close(self, timeout: float) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if not tasks:
            return
        for task in tasks:  # the link is down: nobody will have their answers
            self._tasks[task].drop()
        _, late = await asyncio.wait(tasks, timeout=max(timeout, 0.001))
        if late:
            logger.warning(f"{len(late)} request handlers have not ended within {timeout:g} s; they are cancelled")
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)

    def _start(self, accepted: list[Case]) -> None:
        for case in accepted:
            # Each in a context of its own: what a request made in there inherits is a variable of that.
            context = copy_context()
            steps = context.run(self._answer, case)
            if steps is not None:
                task = self._loop.create_task(walk_awaiting(steps), context=context)
                self._tasks[task] = case.dropping
                task.add_done_callback(self._tasks.pop)

    def _go(self, case: Case) -> None:
        # Not within the end of another, which may be one of a long row; nor on another loop, where handlers may run.
        try:
            self._loop.call_soon_threadsafe(self._start, [case])
        except RuntimeError:
            pass  # the loop has closed, and the link with it

    def _fatal(self, error: BaseException) -> None:
        # Not where bytes are read: what else came must be answered, and for uvloop the link would be lost.
        self._loop.call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error
