"""What a linked router does with the news from its server: events and presence go to listeners.

Everything here runs on the dispatch thread, in the order in which the server told. For requests see `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from sig.codecs import Codec, batch_decode
from sig.decoding import Decoding
from sig.errors import InvalidData
from sig.info import Gap, Info, Received, info_of
from sig.log import logger
from sig.messages import NO_SCHEMA, Presence, Route
from sig.names import matches
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
from sig.signal import Calls, Plan, Signal, raises_to_trigger
from sig.subscription import Callback, Subscription

if TYPE_CHECKING:
    from sig.linked import Linked


Entry: TypeAlias = tuple[Callback, Info]


class RoutePlan(Plan):
    """Who is called here for one route of the server's.

    All but `mark_stale` runs on the dispatch thread.
    """

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


def _asked_for(listener: Subscription, past: Past) -> Past:
    """Of the past, what a new listener wants. One that is registered as a link comes back is told of all presences."""
    if not listener.options.initial:
        return []
    return [part for part in past if isinstance(part, Told) or matches(listener.event, part.event)]


def _left(plan: RoutePlan) -> Left:
    return Left(plan.info, plan.incarnation, plan.next_seq, plan.owed(), lane=isinstance(plan, LanePlan))


def _walk(plan: RoutePlan, calls: Calls, info: Info, data: object) -> None:
    plan.walk(data, calls)


def _nobody(info: Info, data: object) -> None:
    """For a route that has gone."""


class _Fitted(dict[int, Entry]):
    """The same for data that has the type it should have, where that is something else."""

    def __init__(self, entries: _Entries) -> None:
        super().__init__()
        self._entries = entries

    def __missing__(self, number: int) -> Entry:
        return self._entries[number]


class _Entries(dict[int, Entry]):
    """What is called with which info, by route."""

    def __missing__(self, number: int) -> Entry:
        return _nobody, _NOTHING


_NOTHING: Final = info_of("", "")


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
        self.entries: _Entries = _Entries()
        self.fitted: _Fitted = _Fitted(self.entries)
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
