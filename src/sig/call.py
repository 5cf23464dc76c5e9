"""A request under way in the blocking face: `start_request` returns it at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any


class Call(Future[Any]):
    """A `concurrent.futures.Future` of an answer, so that one thread keeps hundreds of requests under way.

    `result(timeout)` waits for the answer, or raises what `Router.request` raises; `concurrent.futures.wait`,
    `as_completed` and `asyncio.wrap_future` work as with any future. Functions given to `add_done_callback` run in the
    router's executor, since where answers are read nothing may hold up the next. Made by `Router.start_request`.
    """

    def __init__(self, post: Callable[[Callable[[], object]], object]) -> None:
        super().__init__()
        self._post = post
        self._give_up: Callable[[], object] | None = None

    def cancel(self) -> bool:
        """Give the request up: an `async def` handler is cancelled, one that has not begun never will.

        False if the answer is there already.
        """
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()
        if self._give_up is not None:
            self._give_up()
        return True

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call `fn` with this call when it is done, in the router's executor."""
        super().add_done_callback(lambda call: self._post(lambda: fn(call)))

    # What the router does

    def begun(self, give_up: Callable[[], object]) -> None:
        """How to give it up."""
        self._give_up = give_up
        if self.cancelled():
            give_up()

    def answered(self, value: object, error: BaseException | None) -> None:
        """It is over, unless it was given up before."""
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except InvalidStateError:
            pass  # cancelled, in this very moment perhaps
