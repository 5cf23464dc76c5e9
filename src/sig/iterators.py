"""Events taken one by one by whoever wants them, instead of a callback called with each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Self

from .consumer import Consumer
from .errors import Closed, InvalidArgument
from .info import Received
from .steps import Steps, walk
from .subscription import Callback, Options, Subscription

if TYPE_CHECKING:
    from .hub import Hub

_FOREVER: Final = 1e9


class Taken(Subscription):
    """A subscription whose queue is emptied by calls of its owner; what both faces have in common.

    Nothing wakes anybody but the first event after the queue was found empty.
    """

    __slots__ = ("_gaps", "_some", "_through")

    def __init__(
        self, router: Hub, gaps: bool, sender: str | None, event: str | None, options: Options, serial: int
    ) -> None:
        if options.executor is not None or options.loop is not None or options.weak:
            raise InvalidArgument("events() takes no executor=, loop= or weak=: whoever iterates runs")
        self._gaps = gaps
        self._some = router._runtime.flag()  # there may be something to take, or there never will be
        super().__init__(router, Received, sender, event, options._replace(queue=self._size(router, options)), serial)

    @staticmethod
    def _size(router: Hub, options: Options) -> int:
        return router.limits.listener_queue_events if options.queue is None else options.queue

    def take(self, limit: int = 100) -> list[Received]:
        """What has come since, at most `limit` events, oldest first; at once, perhaps nothing. Any thread."""
        found: list[Received] = []
        while len(found) < limit and (received := self._next()) is not None:
            found.append(received)
        return found

    def close(self) -> None:
        """Get nothing more. What has come can still be taken."""
        self._router._detach(self)
        self._some.set()

    @property
    def owed(self) -> bool:
        # Nobody may ever take it: a router that closes does not wait for that.
        return False

    def _consumer_of(self, call: Callback, loop: object) -> Consumer | None:
        self._through = call
        return Consumer(self, call, None, self._some.set)

    def _next(self) -> Received | None:
        """The next event, if there is one."""
        assert self._mailbox is not None  # made for the queue it was given
        while True:
            self._some.clear()
            entry = self._mailbox.take()
            if len(self._mailbox):
                self._some.set()  # for another who waits
            if entry is None:
                return None
            if entry.gap is not None:
                if self._gaps:
                    return Received(entry.info, entry.gap)
                self._tell_gap(entry.info, entry.gap)
                continue
            received = self._router._complaints.guarded(self._through, entry.info, entry.data, self)
            if isinstance(received, Received):  # else it does not fit the type, which on_error has been told
                return received

    def _getting(self, timeout: float | None) -> Steps[Received]:
        now = self._router._runtime.now
        deadline = now() + (_FOREVER if timeout is None else timeout)
        while (received := self._next()) is None:
            if self.closed:
                self._some.set()  # for another who waits
                raise Closed(f"no more events of {self.sender!r}, {self.event!r} will come: this has been closed")
            left = deadline - now()
            if left <= 0:
                raise TimeoutError(f"no event of {self.sender!r}, {self.event!r} came within {timeout:g} s")
            yield partial(self._some.wait, None if timeout is None else left)
        return received


class Events(Taken):
    """What `router.events(...)` returns: `for info, data in events` takes events one by one, and waits for each.

    The loop ends when it, or its router, is closed. Several threads may iterate: each event goes to one of them. As a
    context manager it is closed at the end of the block.
    """

    __slots__ = ()

    def get(self, timeout: float | None = None) -> Received:
        """The next event; waits for it, at most `timeout` seconds.

        Raises `TimeoutError` when none comes in time, `Closed` when none will come any more.
        """
        return walk(self._getting(timeout))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Received:
        try:
            return walk(self._getting(None))
        except Closed:
            raise StopIteration from None
