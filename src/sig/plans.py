"""Who is called here for each route of a server's, and what they have been given.

All but `mark_stale` runs on the dispatch thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from sig.decoding import Decoding
from sig.info import Gap, Info, Received, info_of
from sig.messages import NO_SCHEMA
from sig.signal import Calls, Plan, raises_to_trigger
from sig.subscription import Callback, Subscription

if TYPE_CHECKING:
    from sig.arrivals import Arrivals


Entry: TypeAlias = tuple[Callback, Info]


class RoutePlan(Plan):
    """Who is called here for one route of the server's."""

    def __init__(
        self,
        arrivals: Arrivals,
        number: int,
        sender: str,
        event: str,
        event_info: dict[str, object] | None,
        next_seq: int,
        decoding: Decoding,
    ) -> None:
        self._arrivals = arrivals
        self._number = number
        self.decoding: Decoding = decoding
        """How its events are decoded."""
        super().__init__(arrivals.router, sender, event, event_info)
        self.schema: msgspec.Raw = NO_SCHEMA  # of its data, where the server told that
        self.first_seq: int = next_seq
        self.next_seq: int = next_seq
        self.told: int = 0  # of the batch under way, so many events have been counted by the listeners
        # Who is called; `None` when somebody has come or gone since.
        self.listeners: list[Subscription] | None = None
        # The same until the next event, or the end of the batch: whoever has been called can still be found.
        self.counted: list[Subscription] = []
        self.mark_stale()

    def mark_stale(self) -> None:
        super().mark_stale()
        self.listeners = None
        self.decoding.unheard(self._number)
        self._arrivals.fitted.pop(self._number, None)
        self._arrivals.entries[self._number] = self._late, self.info

    def rebuild(self, subscriptions: list[Subscription]) -> Received | None:
        retained = super().rebuild(subscriptions)
        self.listeners = self.counted = subscriptions
        calls = self._calls
        # One who listens alone is given what was decoded into the type as it is.
        alone = subscriptions[0].fitted if len(subscriptions) == len(calls) == 1 else None
        if alone is not None and calls[0] is subscriptions[0].call:
            self._arrivals.fitted[self._number] = alone, self.info
        else:
            alone = None
        kinds = [subscription.kind for subscription in subscriptions]
        self.decoding.heard(self._number, kinds, unlooked=alone is not None)
        self._arrivals.entries[self._number] = calls[0] if len(calls) == 1 else partial(_walk, self, calls), self.info
        return retained

    def miss(self, gap: Gap) -> None:
        """Tell everybody that events are missing here."""
        self.next_seq += gap.missed or 0
        self._seq = self.next_seq - 1
        for listener in self._current():
            if not listener.closed:
                listener.gap(self.info, gap)

    def owed(self) -> Sequence[Subscription]:
        """Who has been given all that came here, and is to be told of what did not."""
        with self._router._lock:
            matching = self._router._index.matching(self.sender, self.event)
        return [listener for listener in matching if listener.pace is None]

    def fail(self, call: Callback, error: Exception) -> None:
        """A listener raised."""
        self._failed(next((s.call for s in self.counted if s.fitted is call), call), error)

    @raises_to_trigger
    def _late(self, info: Info, data: object) -> None:
        """Stands for whoever is called as long as that is not known: finds out, and goes on."""
        before = self._arrivals.before(self._number)
        self._count(before)
        self._current()
        self._seq = self.next_seq + before - 1
        self.walk(data)

    def _count(self, events: int) -> None:
        """Of the batch under way, the listeners so far have been given so many."""
        for listener in self.counted:
            listener.arrived += events - self.told
        self.told = events

    def _current(self) -> list[Subscription]:
        while (listeners := self.listeners) is None:
            self._router._refresh(self, None)
        return listeners

    def _wall(self) -> float:
        return self._arrivals.wall


class LanePlan(RoutePlan):
    """The one listener who is called here for a lane: in a group, or because senders wait for it."""

    def __init__(self, arrivals: Arrivals, listener: Subscription, *route: Any) -> None:
        self._listener = listener
        super().__init__(arrivals, *route)

    def come(self, first_seq: int, events: int) -> None:
        """A batch has come, with its numbers: not everything on the route comes here."""
        self.next_seq = first_seq
        self._seq = first_seq - 1
        if self._listener.pace is not None:
            self._listener.pace.come(events)

    def rebuild(self, subscriptions: list[Subscription]) -> Received | None:
        return super().rebuild([self._listener])

    def owed(self) -> Sequence[Subscription]:
        return [self._listener]

    def miss(self, gap: Gap) -> None:
        super().miss(gap)
        if self._listener.pace is not None:
            self._listener.pace.miss(gap.missed or 0)


def _walk(plan: RoutePlan, calls: Calls, info: Info, data: object) -> None:
    plan.walk(data, calls)


def _nobody(info: Info, data: object) -> None:
    """For a route that has gone."""


class Entries(dict[int, Entry]):
    """What is called with which info, by route."""

    def __missing__(self, number: int) -> Entry:
        return _nobody, _NOTHING


class Fitted(dict[int, Entry]):
    """The same for data that has the type it should have, where that is something else."""

    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self._entries = entries

    def __missing__(self, number: int) -> Entry:
        return self._entries[number]


_NOTHING: Final = info_of("", "")
