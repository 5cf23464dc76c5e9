"""What a linked router does with the news from its server: events and presence to listeners, requests to handlers.

Listeners are called here, on the dispatch thread, in the order in which the server told. Requests are answered in the
router's pool.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from sig.codecs import Codec, batch_decode
from sig.errors import Closed, InvalidData, Overloaded, RequestTimeout, SenderNotConnected, SigError
from sig.info import Gap, info_of
from sig.log import logger
from sig.messages import Presence
from sig.protocol.bodies import Lost
from sig.protocol.client import (
    EventsArrived,
    ListenerReady,
    News,
    RequestArrived,
    RequestDropped,
    RouteClosed,
    RouteOpened,
)
from sig.protocol.events import unpack_events
from sig.requests import Trail
from sig.signal import Plan
from sig.subscription import Subscription

if TYPE_CHECKING:
    from sig.linked import LinkedRouter


class RoutePlan(Plan):
    """Who is called here for one route of the server's. On the dispatch thread only."""

    def __init__(self, router: LinkedRouter, sender: str, event: str, event_info: dict[str, object] | None) -> None:
        super().__init__(router, sender, event, event_info)
        self.time: float = 0.0
        self.next_seq: int = 1
        self._listeners: list[Subscription] | None = None  # None: stale

    def mark_stale(self) -> None:
        super().mark_stale()
        self._listeners = None

    def rebuild(self, subscriptions: list[Subscription]) -> None:
        super().rebuild(subscriptions)
        self._listeners = subscriptions

    def listeners(self) -> list[Subscription]:
        """Who is called now; rebuilds a stale plan."""
        if self._listeners is None:
            self._router._refresh(self, None)
        return self._listeners or []

    def deliver(self, values: list[object], wall: float) -> None:
        """Call everybody with each of these events."""
        self.time = wall
        done = 0
        while done < len(values):
            listeners, calls, start = self.listeners(), self._calls, done
            while done < len(values) and self._calls is calls:
                self._seq = self.next_seq - 1
                self.next_seq += 1
                self.walk(values[done])
                done += 1
            for listener in listeners:
                listener.count(done - start)

    def miss(self, gap: Gap) -> None:
        """Tell everybody that events are missing here."""
        self.next_seq += gap.missed or 0
        for listener in self.listeners():
            if not listener.closed:
                listener.gap(self.info, gap)

    def _wall(self) -> float:
        return self.time


class Arrivals:
    """Takes the news in, for one link of one router."""

    def __init__(self, router: LinkedRouter, codec: Codec) -> None:
        self._router = router
        self._codec = codec
        self._plans: dict[int, RoutePlan] = {}
        self._answering = 0  # guarded by the router's lock

    # On the dispatch thread

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
        for number, value in zip(batch.routes, values, strict=True):
            if (plan := self._plans.get(number)) is not None:
                plan.deliver([value], wall)

    # On the reading thread, and in the pool

    def asked(self, news: RequestArrived | RequestDropped) -> None:
        """On the reading thread: hand it to the pool."""
        if isinstance(news, RequestDropped):
            return  # a handler that runs is not interrupted in this version; its answer finds nobody
        with self._router._lock:
            full = self._answering >= self._router.limits.requests_in
            if not full:
                self._answering += 1
        driver = self._router._driver
        if full and driver is not None:
            driver.reply(
                news,
                None,
                Overloaded(f"{self._router.limits.requests_in} requests to {news.sender!r}'s router are under way"),
            )
        elif not full:
            try:
                self._router._runtime.submit(lambda: self._answer(news))
            except Closed:
                pass  # the link goes down next, which tells whoever asked

    def _answer(self, news: RequestArrived) -> None:
        payload: bytes | None = None
        failure: BaseException | None = None
        request = news.request
        try:
            held = self._router._senders.get(news.sender)
            if held is None:
                raise SenderNotConnected(news.sender)
            if time.monotonic() >= news.deadline:
                raise RequestTimeout(news.sender, request.method, 0)
            params = self._codec.decode(request.payload)
            trail = Trail(request.hops, news.deadline)
            payload = self._codec.encode(held._handlers.answer(news.sender, request.method, params, trail))
        except Exception as error:
            failure = error
            if not isinstance(error, SigError):
                place = traceback.extract_tb(error.__traceback__)[-1]
                logger.error(
                    f"handler {request.method!r} of {news.sender!r} failed: {type(error).__name__} "
                    f"at {place.filename}, line {place.lineno}"
                )
        finally:
            with self._router._lock:
                self._answering -= 1
        if self._router._driver is not None:
            self._router._driver.reply(news, payload, failure)
