"""What a linked router does with the news from its server: events and presence go to listeners.

Everything here runs on the dispatch thread, in the order in which the server told. For requests see `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING

import msgspec

from sig.codecs import Codec, batch_decode
from sig.decoding import Decoding
from sig.errors import InvalidData
from sig.info import Gap, Info, Received, info_of
from sig.log import logger
from sig.messages import NO_SCHEMA, Presence, Route
from sig.names import matches
from sig.plans import Entries, Fitted, LanePlan, RoutePlan
from sig.protocol.bodies import Lost
from sig.protocol.client import (
    EventsArrived,
    LinkBack,
    LinkLost,
    ListenerReady,
    News,
    Notice,
    Restored,
    RouteClosed,
    RouteOpened,
)
from sig.protocol.events import unpack_events
from sig.protocol.past import Past, Told
from sig.returned import Absence, Left, Presences, hears_presence
from sig.signal import Plan, Signal
from sig.subscription import Callback, Subscription

if TYPE_CHECKING:
    from sig.linked import Linked


def _asked_for(listener: Subscription, past: Past) -> Past:
    """Of the past, what a new listener wants. One that is registered as a link comes back is told of all presences."""
    if not listener.options.initial:
        return []
    return [part for part in past if isinstance(part, Told) or matches(listener.event, part.event)]


def _left(plan: RoutePlan) -> Left:
    return Left(plan.info, plan.incarnation, plan.next_seq, plan.owed(), lane=isinstance(plan, LanePlan))


def _own_signal(router: Linked, route: Route) -> Signal | None:
    """Whose events come on that route, if it is one of this router's own."""
    own = router._senders.get(route.sender) if route.owner else None
    return own.get_signal(route.event or "") if own is not None else None


def past_info(router: Linked, route: Route, *, time: float | None = None, initial: bool = False) -> Info:
    """The `Info` of an event of the past, on its lane."""
    signal = _own_signal(router, route)
    event_info = {"sender": route.sender, "event": route.event or ""} if signal is None else signal.event_info
    return Info(event_info, seq=route.next_seq, time=time, incarnation=route.incarnation, initial=initial)


def past_value(router: Linked, told: Told, codecs: Mapping[str, Codec], *, initial: bool = False) -> Received:
    """An event of the past. Raises `InvalidData` where it cannot be decoded."""
    assert told.frame is not None  # whoever asks has looked
    batch = unpack_events(told.frame)
    (value,) = batch_decode(codecs[told.route.codec], batch.payloads, batch.lens, 1)
    return Received(past_info(router, told.route, time=batch.time_us / 1e6, initial=initial), value)


class Arrivals:
    """Takes the news in, for one link of one router."""

    def __init__(self, router: Linked, codecs: Mapping[str, Codec]) -> None:
        self.router = router
        self.entries: Entries = Entries()
        self.fitted: Fitted = Fitted(self.entries)
        self.wall: float = 0.0
        """When the server accepted the batch under way: seconds since the epoch."""
        self._codecs = codecs
        self._decodings = {name: Decoding(codec) for name, codec in codecs.items()}
        self._decoding = next(iter(self._decodings.values()))  # of what nobody knows
        self._plans: dict[int, RoutePlan] = {}
        self._presences = Presences()
        self._absence: Absence | None = None  # while the link is away, and until all is registered again
        # The batch under way: whose each event is (`None`: all of one route's), and what is left of them.
        self._routes: Sequence[int] | None = None
        self._values: Sequence[object] = ()
        self._left: Iterator[object] = iter(())

    def before(self, number: int) -> int:
        """How many events of that route the batch under way had before the present one."""
        present = len(self._values) - length_hint(self._left) - 1
        return present if self._routes is None else self._routes[:present].count(number)

    def handle(self, news: News) -> None:
        if isinstance(news, EventsArrived):
            self._deliver(news)
        elif isinstance(news, ListenerReady):
            self._activate(news)
        elif isinstance(news, RouteOpened):
            self._open_route(news)
        elif isinstance(news, RouteClosed):
            plan = self._close_route(news.number)
            if plan is not None and self._absence is not None:
                self._absence.gone(_left(plan))
        elif isinstance(news, Presence):
            info = info_of(news.sender, news.event, incarnation=news.incarnation, time=news.time_us / 1e6)
            with self.router._lock:
                listeners = self._told(news)
            self.router._call_each(listeners, info, news.data)
            for listener in listeners:
                listener.arrived += 1
        elif isinstance(news, Lost):
            plan = self._plans.get(news.route)
            if plan is not None:
                plan.miss(Gap(news.missed, news.reason))
        elif isinstance(news, LinkLost):
            self._part()
        elif isinstance(news, LinkBack):
            assert self._absence is not None  # the link was lost before
            self._absence.back(news.same, news.kept)
        elif isinstance(news, Restored):
            absence, self._absence = self._absence, None
            if absence is not None:  # else it is the first link, of who did not wait for it
                absence.end()
            self._presences.settle()
            self.router._rejoined()
        elif isinstance(news, Notice):
            news.tell()

    def _told(self, news: Presence) -> list[Subscription]:
        """Who is told of a presence: all but those in groups, or one of those."""
        router = self.router
        if news.listener is None:
            self._presences.take(news)
            # One who is still to be registered, for the first time or again, is told then of all that is there.
            matching = router._index.matching(news.sender, news.event)
            return [s for s in matching if s.pace is None and s.since_us and not self._presences.waits(s)]
        listener = self._listener(news.listener)
        if listener is None or listener.pace is None:
            return []
        self._presences.take(news, listener)
        listener.pace.come(1)
        return [listener]

    def _listener(self, number: int) -> Subscription | None:
        return self.router._subscriptions.get(number)

    def _close_route(self, number: int) -> RoutePlan | None:
        plan = self._plans.pop(number, None)
        if plan is not None:
            with self.router._lock:
                self.router._index.remove_target(plan)
                self.entries.pop(number, None)
                self.fitted.pop(number, None)
                plan.decoding.unheard(number)
        return plan

    def _part(self) -> None:
        """No more comes of these routes. Who has heard them is to be told what they missed, once that is known."""
        self._absence = absence = self._absence or Absence()
        plans = map(self._close_route, list(self._plans))
        absence.leave([_left(plan) for plan in plans if plan is not None])
        with self.router._lock:
            listeners = [s for s in self.router._subscriptions.values() if s.since_us]
        absence.begin(listeners)
        self._presences.part(filter(hears_presence, listeners))
        self.router._parted()

    def _activate(self, news: ListenerReady) -> None:
        listener = news.listener
        assert isinstance(listener, Subscription)  # what _attach handed in
        returning = bool(listener.since_us) and self._absence is not None
        before, listener.since_us = listener.since_us, news.since_us
        with self.router._lock:
            known = self.router._index.bucket(listener.sender, listener.event)
            entered = known is not None and listener.serial in known.subscriptions
            plans = [] if listener.closed or entered else self.router._index.add(listener)
            for plan in plans:
                plan.mark_stale()
        if listener.kind is not None:
            for plan in plans:
                self._compare(listener, plan)
        for part in self._news_of(listener, before, news.past) if returning else _asked_for(listener, news.past):
            if listener.closed:
                break
            if entered and listener.pace is None and isinstance(part, Told) and self._heard(part.route):
                continue  # it has heard what came on this link before it was registered again
            self._tell(listener, part, initial=not returning or isinstance(part, Told))
        for part in news.past:
            if isinstance(part, Presence):
                self._presences.found(part, listener)

    def _news_of(self, listener: Subscription, since_us: int, past: Past) -> Past:
        """Of what is there now, what this listener does not know; and who has gone."""
        assert self._absence is not None  # it is returning
        told: Past = []
        if hears_presence(listener):
            since_us = since_us if self._absence.same else 0
            there = [part for part in past if isinstance(part, Presence)]
            told += self._presences.changes(listener, since_us, there)
        if listener.options.initial:
            values = [part for part in past if isinstance(part, Told)]
            told += [part for part in values if not self._absence.knew(part.route)]
        return told

    def _heard(self, route: Route) -> bool:
        """Whether the event on this lane has come on this link already: routes are known before all is registered."""
        plan = self._plans.get(route.base or 0)
        return plan is not None and plan.first_seq <= route.next_seq < plan.next_seq

    def _compare(self, listener: Subscription, plan: Plan) -> None:
        assert isinstance(plan, RoutePlan)  # no others are in the index of a router with a link
        schema = None if plan.schema is NO_SCHEMA else msgspec.json.decode(plan.schema)
        self.router._complaints.compare(listener, plan, plan.kind, schema)

    def _tell(self, listener: Subscription, part: Told | Presence, *, initial: bool) -> None:
        """Tell a new listener, and nobody else, something of the past; or one who was away."""
        if isinstance(part, Presence):
            time, incarnation = part.time_us / 1e6, part.incarnation
            info = info_of(part.sender, part.event, incarnation=incarnation, time=time, initial=initial)
            self._give(listener, info, part.data)
            return
        reason = part.reason
        if part.frame is not None:
            try:
                self._give(listener, *past_value(self.router, part, self._codecs, initial=True))
            except InvalidData as error:
                logger.warning(f"a value of {part.route.sender!r}, {part.route.event!r} could not be decoded: {error}")
                reason = "undecodable"
        if reason:
            listener.gap(past_info(self.router, part.route, initial=True), Gap(1, reason))

    def _give(self, listener: Subscription, info: Info, data: object) -> None:
        self.router._complaints.guarded(listener.call, info, data, listener)
        listener.arrived += 1

    def _open_route(self, news: RouteOpened) -> None:
        route = news.route
        event = route.event or ""
        signal = _own_signal(self.router, route)
        event_info = signal.event_info if signal is not None else None
        decoding = self._decodings[route.codec]
        described = news.number, route.sender, event, event_info, route.next_seq, decoding
        if route.listener is not None:
            listener = self._listener(route.listener)
            if listener is not None:  # else it has been closed meanwhile
                lane = self._plans[news.number] = LanePlan(self, listener, *described)
                lane.incarnation = route.incarnation
                if self._absence is not None:
                    self._absence.found(route, lane.info, listener)
            return
        plan = RoutePlan(self, *described)
        plan.incarnation = route.incarnation
        plan.kind = signal.kind if signal is not None else None
        plan.schema = route.schema
        before = self._plans.get(news.number)
        self._plans[news.number] = plan
        if self._absence is not None:
            if before is None:
                self._absence.found(route, plan.info)
            else:
                self._absence.found_again(route, plan.info, before.next_seq)
        with self.router._lock:
            if before is not None:
                self.router._index.remove_target(before)
            self.router._index.add_target(plan, beside=True)  # of senders that share a name, each has its own
            typed = plan.kind is not None or plan.schema is not NO_SCHEMA
            listeners = self.router._index.matching(plan.sender, plan.event) if typed else ()
        for listener in listeners:
            if listener.kind is not None:
                self._compare(listener, plan)

    def _deliver(self, news: EventsArrived) -> None:
        batch = unpack_events(news.frame)
        try:
            frame = news.frame
            plan = self._plans.get(frame.route if batch.routes is None else batch.routes[0])
            decoding = self._decoding if plan is None else plan.decoding  # a frame is of one codec
            values = decoding.batch(batch.payloads, batch.lens, frame.count, frame.route, batch.routes)
        except InvalidData as error:
            logger.warning(f"{news.frame.count} events could not be decoded: {error}")
            for number, count in news.counts:
                if (plan := self._plans.get(number)) is not None:
                    plan.miss(Gap(count, "undecodable"))
            return
        self.wall = batch.time_us / 1e6
        self._routes, self._values = batch.routes, values
        self._left = left = iter(values)
        if batch.first_seq is not None and isinstance(plan, LanePlan):
            plan.come(batch.first_seq, frame.count)
        if batch.routes is None and frame.count > 1 and (queue := self._queue_of(frame.route)) is not None:
            # Only one listens, and has a queue: it takes the whole batch at once.
            queue(self._plans[news.frame.route].info, values)
            left = iter(())
        routes = repeat(news.frame.route) if batch.routes is None else batch.routes
        # Looked up event by event: one listener may close another, or register one.
        entries = self.fitted if decoding.typed else self.entries
        for (call, info), value in zip(map(entries.__getitem__, routes), left, strict=False):
            try:
                call(info, value)
            except Exception as error:
                self._failed(call, info, error)
        for number, count in news.counts:
            if (plan := self._plans.get(number)) is not None:
                # Not a method of the plan: this is paid by each route of each batch.
                plan.next_seq += count
                count -= plan.told
                plan.told = 0
                for listener in plan.counted:
                    listener.arrived += count

    def _queue_of(self, number: int) -> Callable[[Info, Sequence[object]], object] | None:
        plan = self._plans.get(number)
        listeners = plan.listeners if plan is not None else None
        return listeners[0].many if listeners is not None and len(listeners) == 1 else None

    def _failed(self, call: Callback, info: Info, error: Exception) -> None:
        for plan in self._plans.values():  # an error costs more than this walk
            if plan.info is info:
                plan.fail(call, error)
