"""The questions, and how an answer is written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

# What is asked, in the order of the table.
QUESTIONS: dict[str, str] = {
    "absent": "a request to nobody",
    "unknown": "to somebody who has no such method",
    "fails": "the handler raises `ValueError('boom')`",
    "type": "parameters of another type than the handler says",
    "cancelled": "the caller gives up: does the handler hear?",
    "gone": "who answers is killed meanwhile",
    "presence": "hears that a peer came, and that it was killed",
    "late": "who listens later gets the last value",
    "group": "100 messages to a group of two",
}

# So long a request may take that will never be answered.
TIMEOUT_S = 2.0
LIMIT_S = 5.0

Found = dict[str, str]


class Boom(ValueError):
    """What handlers raise; a ValueError, as those of users."""


async def told(request: Awaitable[Any]) -> str:
    """What came of it: the answer, or the class and text of what was raised; and at once, or when the time was over."""
    begun = time.monotonic()
    try:
        outcome = f"answer {await asyncio.wait_for(request, LIMIT_S)!r}"
    except TimeoutError as error:
        outcome = f"`{type(error).__name__}`"
    except Exception as error:
        text = " ".join(str(error).split())
        outcome = f"`{type(error).__name__}`" + (f": {text[:100]}" if text else "")
    took = time.monotonic() - begun
    return outcome + (", at once" if took < TIMEOUT_S / 2 else f", after {took:.0f} s")


class Hearing:
    """A handler that works long, and whether it was told to stop."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()

    async def work(self, *params: Any) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(LIMIT_S * 2)
        except asyncio.CancelledError:
            self.stopped.set()
            raise

    async def heard(self) -> str:
        try:
            await asyncio.wait_for(self.stopped.wait(), LIMIT_S)
        except TimeoutError:
            return "no: it works on"
        return "yes, it is cancelled"


async def enough(got: list[list[Any]]) -> None:
    """Wait for the hundred messages of the group, and a little for more of them."""
    deadline = time.monotonic() + LIMIT_S
    while sum(map(len, got)) < 100 and time.monotonic() < deadline:  # noqa: ASYNC110  # nobody tells when all are there
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
