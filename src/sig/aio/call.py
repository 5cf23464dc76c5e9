"""A request under way in the asyncio face: what `start_request` returns."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any


class Call(asyncio.Future[Any]):
    """A future of an answer; cancelling it gives the request up. Made by `Router.start_request`."""

    # Not a callback of the future: the loop would have to come round for each request that is answered.
    __slots__ = ("_give_up",)

    def cancel(self, msg: Any = None) -> bool:
        if not super().cancel(msg):
            return False
        self._give_up()
        return True

    # What the router does

    def begun(self, give_up: Callable[[], object]) -> None:
        """How to give it up."""
        self._give_up: Callable[[], object] = give_up

    def answered(self, value: object, error: BaseException | None) -> None:
        """It is over, unless it was given up before."""
        if self.done():
            return
        if error is None:
            self.set_result(value)
        else:
            self.set_exception(copy.copy(error))  # others may be given the same
