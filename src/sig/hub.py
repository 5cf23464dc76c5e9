"""Who sends, who listens, and how one finds the other: what the routers of both faces have in common.

Complete by itself, in one process. Verbs that may wait are written here as steps (see `steps`); `router.py` and the
package `aio` walk them. Routers with links (`linked.py`) override the methods under "Where a link would stand".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from threading import RLock
from typing import Any

import msgspec

from .alias import OldNames
from .complaints import Complaints
from .constants import EVENT_CONNECT, EVENT_DISCONNECT, Limits
from .consumer import REFUSED
from .contract import Contract, bind, offer, unbind
from .declaring import declare
from .errors import Closed, InvalidArgument, InvalidData, Overloaded, SenderNotConnected
from .holders import Holders
from .index import Index
from .info import Info, ListenerError, Received, SenderInfo, info_of
from .initial import PastFirst
from .kinds import check_kind, fit
from .marks import Several, marked
from .names import check_event, check_request, check_selector, check_sender, matches
from .pace import Pace
from .parts import Inline, Source
from .requests import Requests, Trail, next_hop
from .rounds import Rounds
from .runtime import Runtime
from .sender import Event, Owned, View
from .signal import Group, Plan, Signal, Turn
from .stats import MOST_ROWS, Stats, local_stats
from .steps import Steps, at_once
from .subscription import DEFAULTS, Callback, Options, Subscription

Name = str | View


class Hub(OldNames):
    """A router without the verbs that wait."""

    runtime_class: Callable[..., Runtime]  # set by the package: layer 1 knows no clock, thread or loop
    limits: Limits = Limits()
    """What this router allows, and how long it waits."""
    _sender_class: type[Owned] = Owned  # of this face
    _counts = False  # whether listeners that are called directly are counted

    def __init__(
        self,
        *,
        executor: object = None,
        clock: object = None,
        class_sender: type[Owned] | None = None,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
    ) -> None:
        self.on_error: Callable[[ListenerError], object] | None = None
        """Called with what a listener raised, on the thread that called the listener."""
        self._runtime = type(self).runtime_class(executor=executor, clock=clock, workers=self.limits.request_workers)
        self._class_sender = self._sender_class if class_sender is None else class_sender
        self._class_signal = class_signal
        self._lock = RLock()  # guards all below; never held while a listener or handler is called
        self._index: Index[Event, Subscription, Plan] = Index(lambda s, e: class_event(self, s, e))
        self._senders = Holders()
        self._serials = count(1)
        self._turns: dict[str, Turn] = {}  # by group, as long as it has members
        self._rounds = Rounds(self._lock)
        self._departed: list[Plan] = []  # plans that have left the index while a round was walking them
        self._complaints = Complaints(self)
        self._closing = False
        self._closed = self._runtime.flag()
        self._gone: deque[Subscription] = deque()  # weak ones whose object has gone, to be closed; needs no lock

    # The verbs

    def _get_sender(self, sender: str, create: bool) -> Any:
        held = self._senders.get(sender)
        if held is None and (create or self._events_of(sender)):
            return self._class_sender(self, sender)
        return held

    def _listening(
        self, callback: Callback, sender: Name | None, event: str | None, options: Options
    ) -> Steps[Subscription]:
        if not callable(callback):  # told before its sender and event are: most often they are in its place
            raise TypeError(f"{callback!r} cannot be called: listen takes the function first, then sender and event")
        return self._entering(partial(Subscription, self, callback), sender, event, options)

    def _entering(
        self, make: Callable[..., Subscription], sender: Name | None, event: str | None, options: Options
    ) -> Steps[Any]:
        """Register what `make(sender, event, options, serial)` makes."""
        self._bury()
        name = name_of(sender)
        check_selector(name, event)
        subscription = make(_plain(name), _plain(event), options, next(self._serials))
        try:
            yield from self._attach(subscription)
        except BaseException:
            subscription.closed = subscription.detached = True
            raise
        return subscription

    def _listening_all(self, thing: object, defaults: Mapping[str, Any]) -> Steps[Subscription]:
        """Register all that is marked in `thing`, or nothing."""
        parts: list[Subscription] = []
        try:
            for callback, sender, event, options in marked(thing, defaults):
                parts.append((yield from self._listening(callback, sender, event, options)))
        except BaseException:
            for part in parts:
                part.close()
            raise
        return Several(self, parts)

    def _unlisten(self, listener: Callback, sender: Name | None, event: str | None) -> bool:
        for subscription in self._registered(name_of(sender), event):
            if subscription.callback == listener:
                subscription.close()
                return True
        return False

    def _adding(
        self,
        sender: str,
        events: str | Iterable[str] | Mapping[str, object] | Contract,
        requests: Requests | None,
        retain: bool | Iterable[str],
        loop: Any,
        max_concurrent: int | None,
        shared: bool,
    ) -> Steps[Any]:
        name = check_sender(sender)
        contract: Contract | None = None
        if isinstance(events, Contract):
            if requests is not None:
                raise InvalidArgument(f"the contract of sender {name!r} says what it answers: leave requests= out")
            contract = events
            events, requests = offer(contract)
        made = self._class_sender(self, name)
        made._shared = shared
        if max_concurrent is not None:
            made._answer_at_most(max_concurrent)
        declare(made, events, requests, retain, loop, self._class_signal)
        if contract is None:
            yield from self._claim(made)
            return made
        bind(contract, made)  # before anybody can ask it something
        try:
            yield from self._claim(made)
        except BaseException:
            unbind(contract)
            raise
        return contract

    def _removing(self, sender: Name) -> Steps[bool]:
        if isinstance(sender, Owned):
            return self._release(sender, "closed")
        return self._releasing(self._senders.alike(name_of(sender)))

    def _releasing(self, senders: list[Owned]) -> Steps[bool]:
        gone = False
        for held in senders:
            gone |= yield from self._release(held, "closed")
        return gone

    def _listing(self, pattern: str | None) -> Steps[list[SenderInfo]]:
        check_selector(pattern, None)
        self._check_open()
        return self._list(pattern)

    def _measuring(self, limit: int) -> Steps[Stats]:
        if type(limit) is not int or not 0 <= limit <= MOST_ROWS:
            raise InvalidArgument(f"limit must be a whole number from 0 to {MOST_ROWS}, not {limit!r}")
        self._check_open()
        return self._stats(limit)

    def _recalling(self, sender: Name, event: str) -> Steps[Received | None]:
        name = check_sender(name_of(sender))
        check_event(event)
        self._check_open()
        return self._recall(name, event)

    def _requesting(
        self,
        sender: Name,
        method: str,
        params: object,
        type: Any,
        timeout: float | None,
        instance: int | None = None,
    ) -> Steps[Any]:
        name, check, limit = self._checked_request(sender, method, type, timeout)
        answer = yield from self._ask(name, check, params, limit, instance)
        return answer if type is None else converted(answer, type, name, check)

    def _checked_request(self, sender: Name, method: str, kind: Any, timeout: float | None) -> tuple[str, str, float]:
        name, check = check_request(sender if type(sender) is str else name_of(sender), method)
        if kind is not None:
            check_kind(kind)
        return name, check, self.limits.request_timeout_s if timeout is None else timeout

    def _check_start(self, sender: Name, method: str, kind: Any, timeout: float | None) -> None:
        """Raise at once what `_requesting`, begun elsewhere, would only come to."""
        name, check, limit = self._checked_request(sender, method, kind, timeout)
        next_hop(self._runtime.now(), limit, name, check, self.limits)
        self._check_open()

    def _start_request(
        self,
        sender: Name,
        method: str,
        params: object,
        type: Any,
        timeout: float | None,
        done: Callable[[object, BaseException | None], object],
        instance: int | None = None,
    ) -> Callable[[], object]:
        """Ask without waiting: `done` is called with the answer or the error. Returns what gives the request up."""
        raise NotImplementedError

    def _awaiting(self, sender: str, timeout: float | None) -> Steps[bool]:
        """Until somebody holds that name."""
        appeared = self._runtime.flag()
        awaited: Subscription = yield from self._listening(
            lambda info, data: appeared.set(), sender, EVENT_CONNECT, DEFAULTS
        )
        try:
            awaited.on_close = appeared.set
            found = bool((yield from self._listing(sender))) or (yield partial(appeared.wait, timeout))
        finally:
            awaited.close()
        self._check_open()
        return bool(found)

    def _flushing(self, timeout: float | None) -> Steps[None]:
        self._check_open()
        return at_once(None)

    def _waiting(self, timeout: float | None) -> Steps[bool]:
        return bool((yield partial(self._closed.wait, timeout)))

    def _exiting(self, clean: bool) -> Steps[None]:
        """The end of a `with` block."""
        return self._closing_down(None)

    def _closing_down(self, timeout: float | None) -> Steps[None]:
        limit = self.limits.close_timeout_s if timeout is None else timeout
        with self._lock:
            if self._closing:
                return
            self._closing = True  # from here on nobody comes
            held = self._senders.everybody()
        deadline = self._runtime.now() + limit
        try:
            for sender in held:
                yield from self._release(sender, "closed")
            with self._lock:
                subscriptions = self._index.all()
            yield partial(self._runtime.settle, lambda: any(s.owed for s in subscriptions), limit)
        finally:
            with self._lock:
                self._closed.set()
                subscriptions = self._index.all()
            for subscription in subscriptions:
                subscription.close()
            yield partial(self._runtime.close, max(0.0, deadline - self._runtime.now()))

    def _check_open(self, closing: bool = False) -> None:
        if closing or self._closed.is_set():
            raise Closed(f"this {type(self).__name__} has been closed: make another")

    # Where a link would stand

    def _pace_of(self, subscription: Subscription) -> Pace | None:
        """How a listener tells a server that it takes what is kept for it; `None` where nothing is."""
        return None

    def _claim(self, sender: Owned) -> Steps[None]:
        """Take the name for a sender and tell its presence."""
        with self._lock:
            self._check_open(self._closing)
            first = self._senders.join(sender)
            sender._incarnation = self._runtime.random64()
            sender._since = self._runtime.wall()
            sender._held = True
            for signal in sender._signals.values():
                signal.incarnation = sender._incarnation
                self._index.add_target(signal, beside=sender._shared)
            if first:
                self._tell_presence(sender, EVENT_CONNECT, presence(sender))
            typed = [signal for signal in sender._signals.values() if signal.kind is not None]
            heard = [(s, signal) for signal in typed for s in self._index.matching(signal.sender, signal.event)]
        for subscription, signal in heard:
            self._complaints.compare(subscription, signal, signal.kind)
        self._rounds.run(sender.name)
        return at_once(None)

    def _release(self, sender: Owned, reason: str) -> Steps[bool]:
        """Give the name up and tell its absence; false if it is another's, or nobody's."""
        with self._lock:
            if sender not in self._senders.alike(sender.name):
                return at_once(False)
            last = self._senders.leave(sender)
            sender._held = False
            for signal in sender._signals.values():
                self._index.remove_target(signal)
                signal.mark_stale()
                self._depart(signal)
            if last:
                self._tell_presence(sender, EVENT_DISCONNECT, {**presence(sender), "reason": reason})
        self._rounds.run(sender.name)
        return at_once(True)

    def _depart(self, plan: Plan) -> None:
        """A plan is out of the index; but a round may be walking it, and listeners may close meanwhile."""
        self._departed = [other for other in (*self._departed, plan) if other.under_way]

    def _list(self, pattern: str | None) -> Steps[list[SenderInfo]]:
        with self._lock:
            held = [s for s in self._senders.everybody() if matches(pattern, s.name)]
        return at_once(
            [
                SenderInfo(s.name, list(s._signals), s._handlers.names, s._since, "local", s._incarnation, s._schema)
                for s in held
            ]
        )

    def _stats(self, limit: int) -> Steps[Stats]:
        with self._lock:
            signals = [signal for sender in self._senders.everybody() for signal in sender._signals.values()]
            heard = [(signal, len(self._index.matching(signal.sender, signal.event))) for signal in signals]
            subscriptions = self._index.all()
        return at_once(local_stats(self._runtime.wall(), subscriptions, heard, limit))

    def _recall(self, sender: str, event: str) -> Steps[Received | None]:
        with self._lock:
            values = [plan.last for plan in self._index.alike(sender, event) if plan.last is not None]
            return at_once(max(values, key=_time, default=None))

    def _ask(
        self, sender: str, method: str, params: object, timeout: float, instance: int | None = None
    ) -> Steps[object]:
        trail = next_hop(self._runtime.now(), timeout, sender, method, self.limits)
        self._check_open()
        held = self._senders.get(sender)
        if held is None:
            raise SenderNotConnected(sender)
        if not held._shared:
            return (yield from held._handlers.answer(sender, method, params, trail))
        with self._lock:
            held = self._senders.least(sender, instance)
            held._asked += 1
        try:
            return (yield from held._handlers.answer(sender, method, params, trail))
        finally:
            with self._lock:
                held._asked -= 1

    def _open_stream(self, sender: str, method: str, params: object, trail: Trail) -> Source:
        """Where the parts of an answer come from. Raises as `_ask`."""
        self._check_open()
        held = self._senders.get(sender)
        if held is None:
            raise SenderNotConnected(sender)
        if not held._shared:
            return Inline(self._runtime, held._handlers, sender, method, params, trail)
        taker = object()
        with self._lock:
            held = self._senders.least(sender)
            held._streams[taker] = None
        over = partial(held._streams.pop, taker, None)
        try:
            return Inline(self._runtime, held._handlers, sender, method, params, trail, over)
        except BaseException:
            over()
            raise

    def _requests_told(self, sender: str) -> Mapping[str, Any] | None:
        """The schemas of a sender's requests, by method; `None` where they are not known yet."""
        held = self._senders.get(sender)
        if held is None:
            return None
        return held._schema["requests"] if held._schema is not None else {}

    def _knows(self, sender: str) -> bool:
        return sender in self._senders

    def _offers(self, sender: str | None, event: str | None) -> Steps[bool]:
        """False if a connected sender is known not to offer this event."""
        held = self._senders.get(sender) if sender is not None else None
        offered = (*held._signals, EVENT_CONNECT, EVENT_DISCONNECT) if held is not None else ()
        return at_once(held is None or any(matches(event, name) for name in offered))

    def _refresh(self, plan: Plan, data: object) -> bool:
        """Rebuild a stale plan; false if the event was taken here, to be told behind a presence under way."""
        with self._lock:
            self._check_open()
            if plan not in self._index.alike(plan.sender, plan.event):
                raise SenderNotConnected(plan.sender)
            rounds = self._rounds.of(plan.sender)
            if rounds is None:
                plan.rebuild(self._index.matching(plan.sender, plan.event))
                return True
            if len(rounds) >= self.limits.listener_queue_events:
                raise Overloaded(f"{len(rounds)} events of {plan.sender!r} wait behind a listener of its presence")
            rounds.append(lambda: self._walk_late(plan, data))
        self._rounds.run(plan.sender)
        return False

    # Registration

    def _attach(self, subscription: Subscription) -> Steps[None]:
        gate: PastFirst | None = None
        past: list[tuple[Info, object]] = []
        with self._lock:
            self._check_open()
            if subscription.options.group is not None:
                self._turns.setdefault(subscription.options.group, Turn()).members += 1
            if subscription.options.initial:
                subscription.call = gate = PastFirst(subscription)
            plans = self._index.add(subscription)
            for plan in plans:
                plan.mark_stale()
            if gate is not None:
                past = self._past(subscription)
        if subscription.kind is not None:
            for plan in plans:
                self._complaints.compare(subscription, plan, plan.kind)
        if gate is None:
            return at_once(None)
        try:
            gate.open(past)
        except BaseException:  # KeyboardInterrupt: nobody will ever have this subscription to close it
            subscription.close()
            raise
        with self._lock:
            subscription.call = gate.call
            for plan in self._index.targets(subscription.sender, subscription.event):
                plan.mark_stale()
        return at_once(None)

    def _past(self, subscription: Subscription) -> list[tuple[Info, object]]:
        """What an `initial=True` listener is told first. Plans that retain are rebuilt here, so that each event is
        either in a retained value or reaches the listener, never both."""
        told: list[tuple[Info, object]] = []
        for sender in self._senders.everybody():
            name = sender.name
            if not matches(subscription.sender, name):
                continue
            if matches(subscription.event, EVENT_CONNECT) and self._senders[name] is sender:
                info = info_of(name, EVENT_CONNECT, incarnation=sender._incarnation, time=sender._since, initial=True)
                told.append((info, presence(sender)))
            for plan in sender._signals.values():
                if not plan.retains or not matches(subscription.event, plan.event):
                    continue
                value = plan.rebuild(self._index.matching(name, plan.event))
                if self._rounds.of(name) is not None:
                    plan.mark_stale()  # what is triggered now has to wait behind the presence
                if value is not None:
                    seq, time, incarnation = value.info.seq, value.info.time, value.info.incarnation
                    info = Info(plan.event_info, seq=seq, time=time, incarnation=incarnation, initial=True)
                    told.append((info, value.data))
        return told

    def _detach(self, subscription: Subscription) -> bool:
        """Take a subscription out of every plan, those being walked included; false if it was out already."""
        with self._lock:
            if subscription.detached:
                return False
            subscription.detached = subscription.closed = True
            for plan in self._index.remove(subscription):
                plan.mark_stale()
                plan.blank(subscription)
            for plan in self._departed:
                plan.blank(subscription)
            group = subscription.options.group
            if group is not None and subscription.pace is None:
                self._turns[group].members -= 1
                if not self._turns[group].members:
                    del self._turns[group]
            return True

    def _bury(self) -> None:
        """Close the weak ones whose object has gone."""
        while True:
            try:
                subscription = self._gone.popleft()
            except IndexError:  # not asked before: another thread may be faster
                return
            subscription.close()

    def _registered(self, sender: str | None, event: str | None) -> list[Subscription]:
        """Who listens to exactly this, in order of registration."""
        self._bury()
        with self._lock:
            bucket = self._index.bucket(sender, event)
            return list(bucket.subscriptions.values()) if bucket is not None else []

    # Dispatch

    def _grouped(self, subscriptions: Iterable[Subscription]) -> list[Subscription | Group]:
        """Listeners in their order, each group in the place of its first member. The lock is held."""
        members: list[Subscription | Group] = []
        groups: dict[str, Group] = {}
        for subscription in subscriptions:
            name = subscription.options.group
            if name is None:
                members.append(subscription)
                continue
            if name not in groups:
                groups[name] = Group(self._turns.get(name) or Turn())  # none: the last member has just left
                members.append(groups[name])
            groups[name].members.append(subscription)
        return members

    def _give(self, member: Subscription | Group, info: Info, data: object, numbered: Info | None = None) -> None:
        """Give an event to one listener, or to one of a group: the first who takes it."""
        for listener in member.queue() if isinstance(member, Group) else (member,):
            own = numbered if numbered is not None and listener.options.meta else info
            if listener.closed:
                listener.forget()
            elif self._complaints.guarded(listener.call, own, data, listener) is not REFUSED:
                return

    def _give_back(self, subscription: Subscription, info: Info, data: object) -> None:
        """An event that a leaving member of a group has not begun goes to another member."""
        name = subscription.options.group
        if name is None:
            return
        with self._lock:
            matching = self._index.matching(info.sender, info.event)
            groups = self._grouped(s for s in matching if s.options.group == name)
        for group in groups:  # the one, or none when all have left
            self._give(group, info, data)

    def _call_each(self, listeners: list[Subscription], info: Info, data: object) -> None:
        with self._lock:
            members = self._grouped(listeners)
        for member in members:
            self._give(member, info, data)

    # Presence

    def _tell_presence(self, sender: Owned, event: str, data: dict[str, object]) -> None:
        """Queue the news for those who listen now; `_rounds.run` tells it. The lock is held."""
        info = info_of(sender.name, event, incarnation=sender._incarnation, time=self._runtime.wall())
        members = self._grouped(self._index.matching(sender.name, event))
        self._rounds.add(sender.name, [partial(self._give, member, info, data) for member in members])

    def _walk_late(self, plan: Plan, data: object) -> None:
        """Tell an event that had to wait behind a presence. Its sender may have left meanwhile, behind it."""
        with self._lock:
            plan.rebuild(self._index.matching(plan.sender, plan.event))
            calls = plan._calls
            plan.mark_stale()  # more may wait behind it, which the next must not overtake
            if plan not in self._index.alike(plan.sender, plan.event):
                self._depart(plan)
        plan.walk(data, calls)

    # Introspection of 0.7

    def _event(self, sender: str, event: str, create: bool) -> Event | None:
        check_selector(sender, event)
        self._bury()
        with self._lock:
            found = self._index.bucket(sender, event)
            return found if found is not None or not create else self._index.make(sender, event)

    def _events_of(self, sender: str) -> list[Event]:
        self._bury()
        with self._lock:
            return self._index.buckets(sender)


def _time(value: Received) -> float:
    return value.info.time or 0.0


def presence(sender: Owned) -> dict[str, object]:
    """What `#connect` and `#disconnect` say of a sender."""
    told: dict[str, object] = {"events": list(sender._signals), "requests": sender._handlers.names}
    return told if sender._schema is None else {**told, "schema": sender._schema}


def name_of(sender: Name | None) -> Any:
    """The name of a view."""
    return sender.name if isinstance(sender, View) else sender


def _plain(text: str | None) -> str | None:
    """A member of an enumeration may compare and print as it likes: we keep the text itself."""
    return text if text is None or type(text) is str else str.__str__(text)


def converted(answer: object, wanted: Any, sender: str, method: str) -> object:
    """The answer as what was wanted. Raises `InvalidData`."""
    try:
        return fit(answer, wanted)
    except msgspec.ValidationError as error:
        raise InvalidData(f"{sender!r} answered {method!r} with other data: {error}") from None
