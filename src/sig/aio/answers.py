"""Answering requests in the asyncio face: handlers run on the loop, `async def` ones in a task for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from sig.answers import Answers
from sig.codecs import Codec
from sig.linked import Linked
from sig.log import logger
from sig.protocol.client import RequestArrived
from sig.runtime import Dropping
from sig.steps import Steps, walk_awaiting


class LoopAnswers(Answers):
    """`Answers` of the asyncio face. Everything happens on the loop's thread."""

    def __init__(self, router: Linked, codec: Codec, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(router, codec)
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

    def _start(self, news: RequestArrived, dropping: Dropping) -> None:
        # Not where bytes are read, but at the next turn: what else has been read is not held up. The whole of it in one
        # context: what a request made in there inherits is a variable of that.
        context = copy_context()
        self._loop.call_soon(self._begin, news, dropping, context, context=context)

    def _begin(self, news: RequestArrived, dropping: Dropping, context: Context) -> None:
        steps = self._answering(news, dropping)
        try:
            wait = next(steps)
        except StopIteration:
            return  # most handlers are plain functions, and need no task
        task = self._loop.create_task(self._go_on(steps, wait), context=context)
        self._tasks[task] = dropping
        task.add_done_callback(self._tasks.pop)

    async def _go_on(self, steps: Steps[None], wait: Callable[[], Any]) -> None:
        await walk_awaiting(steps, wait)
