"""What a linked router does with the news from its server: events and presence go to listeners.

Everything here runs on the dispatch thread, in the order in which the server told. For requests see `answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from sig.codecs import Codec, batch_decode
from sig.errors import InvalidData
from sig.info import Gap, Received, info_of
from sig.log import logger
from sig.messages import Presence
from sig.protocol.bodies import Lost
from sig.protocol.client import (
    EventsArrived,
    ListenerReady,
    News,
    RouteClosed,
    RouteOpened,
)
from sig.protocol.events import unpack_events
from sig.signal import Calls, Plan
from sig.subscription import Subscription

if TYPE_CHECKING:
    from sig.linked import LinkedRouter


class RoutePlan(Plan):
    """Who is called here for one route of the server's."""

    def __init__(self, router: LinkedRouter, sender: str, event: str, event_info: dict[str, object] | None) -> None:
        super().__init__(router, sender, event, event_info)
        self.time: float = 0.0
        self.next_seq: int = 1
        # Who is called, and what is called for that; `None` when somebody has come or gone since.
        self._built: tuple[list[Subscription], Calls] | None = None

    def mark_stale(self) -> None:
        super().mark_stale()
        self._built = None

    def rebuild(self, subscriptions: list[Subscription]) -> Received | None:
        retained = super().rebuild(subscriptions)
        self._built = subscriptions, self._calls
        return retained

    def deliver(self, values: Sequence[object], wall: float) -> None:
        """Call everybody with each of these events."""
        self.time = wall
        done = 0
        while done < len(values):
            listeners, calls = self._current()
            start = done
            while done < len(values) and self._calls is calls:
                self._seq = self.next_seq - 1
                self.next_seq += 1
                self.walk(values[done], calls)
                done += 1
            for listener in listeners:
                listener.count(done - start)

    def miss(self, gap: Gap) -> None:
        """Tell everybody that events are missing here."""
        self.next_seq += gap.missed or 0
        for listener in self._current()[0]:
            if not listener.closed:
                listener.gap(self.info, gap)

    def _current(self) -> tuple[list[Subscription], Calls]:
        while (built := self._built) is None:
            self._router._refresh(self, None)
        return built

    def _wall(self) -> float:
        return self.time


class Arrivals:
    """Takes the news in, for one link of one router."""

    def __init__(self, router: LinkedRouter, codec: Codec) -> None:
        self._router = router
        self._codec = codec
        self._plans: dict[int, RoutePlan] = {}

    def handle(self, news: News) -> None:
        if isinstance(news, EventsArrived):
            self._deliver(news)
        elif isinstance(news, ListenerReady):
            self._activate(news.listener)
        elif isinstance(news, RouteOpened):
            self._open_route(news)
        elif isinstance(news, RouteClosed):
            plan = self._plans.pop(news.number, None)
            if plan is not None:
                with self._router._lock:
                    self._router._index.remove_target(plan)
        elif isinstance(news, Presence):
            info = info_of(news.sender, news.event, incarnation=news.incarnation, time=news.time_us / 1e6)
            with self._router._lock:
                listeners = self._router._index.matching(news.sender, news.event)
            self._router._call_each(listeners, info, news.data)
            for listener in listeners:
                listener.count(1)
        elif isinstance(news, Lost):
            plan = self._plans.get(news.route)
            if plan is not None:
                plan.miss(Gap(news.missed, news.reason))

    def _activate(self, listener: object) -> None:
        assert isinstance(listener, Subscription)  # what _attach handed in
        with self._router._lock:
            if not listener.closed:
                for plan in self._router._index.add(listener):
                    plan.mark_stale()

    def _open_route(self, news: RouteOpened) -> None:
        route = news.route
        event = route.event or ""
        own = self._router._senders.get(route.sender) if route.owner else None
        signal = own.get_signal(event) if own is not None else None
        plan = RoutePlan(self._router, route.sender, event, signal.event_info if signal is not None else None)
        plan.next_seq = route.next_seq
        plan.incarnation = route.incarnation
        self._plans[news.number] = plan
        with self._router._lock:
            self._router._index.add_target(plan)

    def _deliver(self, news: EventsArrived) -> None:
        batch = unpack_events(news.frame)
        try:
            values = batch_decode(self._codec, batch.payloads, batch.lens, news.frame.count)
        except InvalidData as error:
            logger.warning(f"{news.frame.count} events could not be decoded: {error}")
            for number, count in news.counts:
                if (plan := self._plans.get(number)) is not None:
                    plan.miss(Gap(count, "undecodable"))
            return
        wall = batch.time_us / 1e6
        if batch.routes is None:
            if (plan := self._plans.get(news.frame.route)) is not None:
                plan.deliver(values, wall)
            return
        start = 0
        for number, run in groupby(batch.routes):
            end = start + sum(1 for _ in run)
            if (plan := self._plans.get(number)) is not None:
                plan.deliver(values[start:end], wall)
            start = end
