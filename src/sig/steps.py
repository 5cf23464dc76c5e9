"""Verbs that may have to wait, written once for both faces.

Such a verb is a generator. Whatever it has to wait for it yields as a function without arguments, and is sent back what
came of it. In the blocking face the function waits and returns the answer; in the awaited face it returns something to
await. Which of the two, the runtime and the driver of the router decide; the verb is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Generator[Callable[[], Any], Any, T]


def walk(steps: Steps[T]) -> T:
    """Carry a verb out on this thread, waiting wherever it has to."""
    try:
        wait = next(steps)
        while True:
            try:
                answer = wait()
            except BaseException as error:
                wait = steps.throw(error)
            else:
                wait = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


async def walk_awaiting(steps: Steps[T], wait: Callable[[], Any] | None = None) -> T:
    """Carry a verb out in this task, awaiting wherever it has to; of one that has begun, what it waits for is given."""
    try:
        if wait is None:
            wait = next(steps)
        while True:
            try:
                answer = await wait()
            except BaseException as error:
                wait = steps.throw(error)
            else:
                wait = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


def at_once(value: T) -> Steps[T]:
    """A verb that need not wait."""
    yield from ()
    return value


def one(wait: Callable[[], Any]) -> Steps[Any]:
    """A verb that waits once."""
    return (yield wait)
