"""Events caught for a test: what the `Capture`s of both faces have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from threading import RLock
from typing import Final, Self, overload

from sig.hub import Hub
from sig.info import Info, Received
from sig.runtime import Flag
from sig.steps import Steps
from sig.subscription import Subscription

TIMEOUT_S: Final = 5.0
"""How long tests wait unless they say otherwise: much longer than anything takes, much shorter than one waits for."""

# So many of the events that did come are shown when others did not.
_SHOWN: Final = 10


class Captured(Sequence[Received]):
    """The events a listener was given so far, oldest first: a list that grows. It is a copy of nothing: data is shared.

    As a context manager it stops listening at the end of the block; what it has stays.
    """

    def __init__(self, router: Hub) -> None:
        self._router = router
        self._lock = RLock()  # guards what follows; a garbage collector's `__del__` may trigger, hence an RLock
        self._received: list[Received] = []
        self._awaited: list[tuple[int, Flag]] = []  # how many events somebody waits for
        self._over = False  # no more will come
        self._subscription: Subscription

    @property
    def data(self) -> list[object]:
        """The data of each event."""
        return [received.data for received in self._now()]

    @property
    def names(self) -> list[tuple[str, str]]:
        """The sender and the event of each."""
        return [(received.info.sender, received.info.event) for received in self._now()]

    @property
    def missed(self) -> int:
        """Events that were lost on their way here, see `Subscription.missed`."""
        return self._subscription.missed

    def clear(self) -> None:
        """Forget what has come so far."""
        with self._lock:
            self._received.clear()

    def close(self) -> None:
        """Listen no more."""
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._received)

    @overload
    def __getitem__(self, index: int) -> Received: ...

    @overload
    def __getitem__(self, index: slice) -> list[Received]: ...

    def __getitem__(self, index: int | slice) -> Received | list[Received]:
        return self._received[index]

    def __iter__(self) -> Iterator[Received]:
        return iter(self._now())

    def __repr__(self) -> str:
        s = self._subscription
        return f"<{type(self).__name__} of {s.sender!r}, {s.event!r}: {_many(len(self))}>"

    # Within

    def _now(self) -> list[Received]:
        with self._lock:
            return self._received.copy()

    def _begun(self, subscription: Subscription) -> None:
        self._subscription = subscription
        subscription.on_close = self._end
        if subscription.closed:
            self._end()

    def _hear(self, info: Info, data: object) -> None:
        """The listener. On any thread, or the loop."""
        with self._lock:
            self._received.append(Received(info, data))
        self._tell()

    def _end(self) -> None:
        self._over = True
        self._tell()

    def _tell(self) -> None:
        """Wake those who have what they wait for, or never will."""
        with self._lock:
            ready = [flag for count, flag in self._awaited if self._over or len(self._received) >= count]
        for flag in ready:
            flag.set()

    def _flag(self) -> Flag:
        return self._router._runtime.flag()

    def _waiting(self, count: int, timeout: float) -> Steps[None]:
        """Until so many events are there."""
        flag = self._flag()
        entry = count, flag
        with self._lock:
            self._awaited.append(entry)
        try:
            self._tell()
            yield partial(flag.wait, timeout)
        finally:
            with self._lock:
                self._awaited.remove(entry)
        if len(self) < count:
            raise AssertionError(self._failure(count, timeout))

    def _failure(self, count: int, timeout: float) -> str:
        s, there = self._subscription, self._now()
        when = "before it was closed, or its link was lost" if self._over else f"within {timeout:g} s"
        shown = "".join(f"\n  {r.info.sender} {r.info.event} {r.data!r}" for r in there[-_SHOWN:])
        return f"{len(there)} of {_many(count)} of {s.sender!r}, {s.event!r} came {when}{':' if shown else ''}{shown}"


def _many(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
