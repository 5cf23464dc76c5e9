"""Answering requests in the asyncio face: `def` handlers are called where bytes are read, behind the listeners of the
events that came with them; `async def` ones run in a task for each request.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from sig.answers import Answers
from sig.linked import Linked
from sig.log import logger
from sig.protocol.client import RequestArrived
from sig.runtime import Dropping
from sig.steps import walk_awaiting


class LoopAnswers(Answers):
    """`Answers` of the asyncio face. Everything happens on the loop's thread."""

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

    def _start(self, accepted: list[tuple[RequestArrived, Dropping]]) -> None:
        for news, dropping in accepted:
            # Each in a context of its own: what a request made in there inherits is a variable of that.
            context = copy_context()
            steps = context.run(self._answer, news, dropping)
            if steps is not None:
                task = self._loop.create_task(walk_awaiting(steps), context=context)
                self._tasks[task] = dropping
                task.add_done_callback(self._tasks.pop)

    def _fatal(self, error: BaseException) -> None:
        # Not where bytes are read: what else came must be answered, and for uvloop the link would be lost.
        self._loop.call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error
