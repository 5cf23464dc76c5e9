"""What routers with a link have in common, in both faces: the verbs of a router, answered by a server.

Every event goes through the server, this router's own to its own listeners included: one order for all. Listeners are
called in one place, see `arrivals`; for how requests are answered see `answers`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

import msgspec

from sig import told
from sig.answers import Answers
from sig.arrivals import Arrivals, past_value
from sig.codecs import Codec
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT, Limits
from sig.drivers.client import ClientDriver
from sig.drivers.fork import tell_child
from sig.drivers.links import Link
from sig.errors import (
    Closed,
    ConnectionLost,
    InvalidArgument,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
)
from sig.hub import Hub, Name, converted, name_of
from sig.info import ClientInfo, Info, Received, SenderInfo
from sig.log import logger
from sig.messages import (
    Clients,
    Close,
    Flush,
    Kick,
    RemoveSender,
    Senders,
)
from sig.messages import Stats as StatsMessage
from sig.names import check_sender, matches
from sig.pace import Pace
from sig.parts import Source
from sig.plans import RoutePlan
from sig.protocol.asking import Coded
from sig.protocol.client import ClientCore
from sig.protocol.login import Prover
from sig.protocol.offline import Offline
from sig.questions import decoded, encoded
from sig.requests import Trail, next_hop
from sig.sender import Owned
from sig.signal import Plan, Signal, raises_to_trigger
from sig.stats import Stats, listener_stats
from sig.steps import Steps, at_once, one
from sig.subscription import Subscription
from sig.taking import FromAfar
from sig.wishes import introduction, number_of, wish

if TYPE_CHECKING:
    from sig.returning import Returning


class Linked(Hub):
    """Base of `ServerRouter` and `ClientRouter` of both faces."""

    _counts = True
    _not_yet = "is not connected yet: connect it first"
    _prover: Prover | None = None  # who this end is, if its server asks
    _reliable = False  # whether the link loses nothing when it is cut

    def __init__(self, limits: Limits, *, executor: Any = None, **options: Any) -> None:
        self.limits = limits
        super().__init__(executor=executor, **options)
        self._post = getattr(executor, "submit", executor)
        self._codec: Codec  # the link's, for all that this end says; known once the link has come up
        self._driver: ClientDriver | None = None
        self._answers: Answers | None = None
        self._subscriptions: dict[int, Subscription] = {}  # all that are open, by serial; the index has who is called
        self._lost: str | None = None  # why the link has gone, if the world did it
        self._stopped = self._runtime.flag()  # what `wait` waits for: closed, or lost
        self._finished = self._runtime.flag()  # `close` has come to its end
        self._forked = False
        self._joined = False  # the link has come up, and whoever opened it has been told
        self._returning: Returning | None = None  # brings a lost link back; `None`: a lost link is final
        tell_child(self)

    # The link

    def _make_driver(self, core: ClientCore, arrivals: Arrivals, answers: Answers) -> ClientDriver:
        """The driver of this face."""
        raise NotImplementedError

    def _make_answers(self) -> Answers:
        """How this face answers requests."""
        raise NotImplementedError

    def _connecting(self, link: Link, codecs: Mapping[str, Codec], timeout: float, name: str) -> Steps[None]:
        """Become linked; raises what went wrong, and may be tried again then."""
        try:
            driver = self._prepare(codecs, name)
        except BaseException:
            yield partial(link.join, 0)
            raise
        try:
            yield partial(driver.open, link, timeout)
        except BaseException:
            with self._lock:
                self._driver = self._answers = None
            raise
        self._codec = driver.core.codec
        self._joined = True
        if not driver.core.up:
            self._ended()  # it was lost in the same instant, when there was nobody to be told

    def _prepare(self, codecs: Mapping[str, Codec], name: str) -> ClientDriver:
        """What a link will be driven by."""
        answers = self._make_answers()
        core = ClientCore(
            self.limits, codecs, name=name, prover=self._prover, offline=self._offline(), reliable=self._reliable
        )
        if self._returning is not None:
            core.lapsed = self._returning.lapsed
        driver = self._make_driver(core, Arrivals(self, codecs), answers)
        with self._lock:
            self._check_open(self._closing)
            if self._driver is not None:
                raise InvalidArgument(f"this {type(self).__name__} is connected already")
            self._driver, self._answers = driver, answers
        return driver

    def _offline(self) -> Offline | None:
        """What takes events while the link is away; `None` where a lost link is final."""
        return None

    @property
    def _away(self) -> bool:
        """Whether the link was lost and will be back: what is registered now is registered then."""
        return self._returning is not None and self._returning.away

    @property
    def _link_number(self) -> int:
        return 0 if self._driver is None else self._driver.core.links

    def _check_here(self) -> None:
        """Raises `ConnectionLost` while the link is away, with what is done about it."""
        if self._returning is not None and self._returning.away:
            raise ConnectionLost(self._returning.told)

    def _linked(self) -> ClientDriver:
        driver = self._driver
        if driver is not None and not self._closed.is_set():
            core = driver.core
            # Neither lost nor left to a forked child, whose core would be closed; the first as nearly always, see `up`.
            if (core.opened and not core.closed and not core.away) or core.linked:
                return driver
        self._check_open()
        self._check_here()
        if driver is None or driver.core.welcome is None:
            raise ConnectionLost(f"this {type(self).__name__} {self._not_yet}")
        return driver

    def _ended(self) -> None:
        """The link is down. On the thread that noticed, so nothing of the user's is called."""
        with self._lock:
            driver = self._driver
            if driver is None or not self._joined or self._closing or driver.core.up:
                return
            returning = self._returning
            if returning is not None and driver.core.sent_away:
                returning.give_up()
                returning = None
            if returning is not None:
                returning.begin(driver)
            else:
                self._lost = str(driver.core.error)
            parted = driver.core.parted  # the server goes on to hold what it holds
            for sender in self._senders.values():
                sender._held = sender._held and parted
            subscriptions = list(self._subscriptions.values())
        if returning is not None:
            if parted:
                driver.tell_listeners(self._parted)
            return
        logger.warning(f"{type(self).__name__}: {self._lost}")
        self._stopped.set()
        for subscription in subscriptions:
            if subscription.on_close is not None:
                subscription.on_close()

    def _parted(self) -> None:
        """The listeners have been given all that came on a link that was lost, and will be back. Where they are."""

    def _rejoined(self) -> None:
        """They have been told what they missed: the link is back. Where they are."""

    # Listening

    def _attach(self, subscription: Subscription) -> Steps[None]:
        with self._lock:
            link = self._link_number  # first: should it lapse now, either of the two will tell
            away = self._away
            driver = self._driver if away and not self._closing else self._linked()
            assert driver is not None  # it has been, or will be, linked
            self._subscriptions[subscription.serial] = subscription
            if away:
                return
        call, timeout = wish(subscription), self.limits.request_timeout_s
        try:
            yield partial(driver.listen, call, subscription, timeout, link=link)
        except BaseException as error:
            if self._comes_back(error, driver, link):
                return  # and then it is registered
            self._detach(subscription)  # the server may have it, and so may we, though nobody will ever know
            raise

    def _comes_back(self, error: BaseException, driver: ClientDriver, link: int) -> bool:
        """Whether that is the loss of the link of that number, and another will follow, or has."""
        lost = driver.core.away or driver.core.links != link
        return lost and isinstance(error, ConnectionLost) and self._returning is not None and not self._closing

    def _detach(self, subscription: Subscription) -> bool:
        if not super()._detach(subscription):
            return False
        with self._lock:
            self._subscriptions.pop(subscription.serial, None)
        begun = subscription.pace.close() if subscription.pace is not None else None
        if self._driver is not None:
            self._driver.tell(Close(number_of(subscription), begun))
        return True

    def _pace_of(self, subscription: Subscription) -> Pace | None:
        options = subscription.options
        if options.group is None and options.when_full != "block":
            return None
        number, window = number_of(subscription), self.limits.group_prefetch
        if options.queue is not None:
            window = options.queue if options.group is None else min(window, options.queue)

        def grant(events: int) -> None:
            if self._driver is not None:
                self._driver.grant(number, events)

        return Pace(1 if options.once else max(1, window), grant)

    def _give_back(self, subscription: Subscription, info: Info, data: object) -> None:
        """The server knows what has not begun, and gives that to another member itself."""

    # Sending

    def _removing(self, sender: Name) -> Steps[bool]:
        if not isinstance(sender, Owned):
            name = name_of(sender)
            if name not in self._senders:
                call = RemoveSender(check_sender(name))
                return (yield partial(self._linked().call, call, self.limits.request_timeout_s)) is True
        return (yield from super()._removing(sender))

    def _claim(self, sender: Owned) -> Steps[None]:
        with self._lock:
            link = self._link_number  # first, as in `_attach`
            away = self._away
            driver = self._driver if away and not self._closing else self._linked()
            assert driver is not None  # it has been, or will be, linked
            self._check_open(self._closing)
            if sender.name in self._senders:
                raise SenderAlreadyConnected(sender.name)
            self._senders[sender.name] = sender  # before the server knows: requests may come with its answer
        for signal in sender._signals.values():
            self._open_outlet(driver, signal)
        if away:
            return
        call = introduction(sender)
        try:
            incarnation = yield partial(driver.call_on, link, call, self.limits.request_timeout_s)
        except BaseException as error:
            if self._comes_back(error, driver, link):
                return  # and then it is registered
            with self._lock:
                self._senders.pop(sender.name, None)
            driver.close_outlets(sender.name, sender._signals)
            if not isinstance(error, SenderAlreadyConnected):
                driver.tell(RemoveSender(sender.name))  # the server may have it, though we shall never know
            raise
        self._claimed(sender, incarnation)

    def _claimed(self, sender: Owned, incarnation: object) -> None:
        """The server has it."""
        with self._lock:
            sender._incarnation = incarnation if isinstance(incarnation, int) else 0
            sender._since = self._runtime.wall()
            there = self._driver is not None and not self._driver.core.closed and self._lost is None
            sender._held = self._senders.get(sender.name) is sender and there

    def _release(self, sender: Owned, reason: str) -> Steps[bool]:
        held = self._forget(sender)
        if held and self._driver is not None:
            try:
                yield partial(self._driver.call, RemoveSender(sender.name), self.limits.request_timeout_s)
            except (ConnectionLost, Closed):
                pass  # the server has noticed by itself, or will
        return held

    def _forget(self, sender: Owned) -> bool:
        """From here on it triggers nothing and answers nothing; true if the server has still to be told."""
        with self._lock:
            if self._senders.get(sender.name) is not sender:
                return False
            del self._senders[sender.name]
            held, sender._held = sender._held, False
            for signal in sender._signals.values():
                signal.unbind()
        if self._driver is not None:
            self._driver.close_outlets(sender.name, sender._signals)
        return held

    def _open_outlet(self, driver: ClientDriver, signal: Signal) -> None:
        """Triggering sends from here on."""
        check = signal.check(structs=self._codec.structs)
        trigger = driver.outlet(signal.sender, signal.event, self._codec, check)

        @raises_to_trigger
        def send(info: Info, data: object) -> None:
            trigger(data)

        signal.bind(trigger, send)

    # Asking

    def _list(self, pattern: str | None) -> Steps[list[SenderInfo]]:
        return told.senders((yield partial(self._linked().call, Senders(pattern), self.limits.request_timeout_s)))

    def _stats(self, limit: int) -> Steps[Stats]:
        answer = yield partial(self._linked().call, StatsMessage(limit), self.limits.request_timeout_s)
        with self._lock:
            subscriptions = self._index.all()
        return msgspec.structs.replace(told.stats(answer), listeners=listener_stats(subscriptions, limit))

    def _clients(self) -> Steps[list[ClientInfo]]:
        return told.clients((yield partial(self._linked().call, Clients(), self.limits.request_timeout_s)))

    def _kick(self, who: int | str, reason: str) -> Steps[int]:
        call = Kick(client=who, reason=reason) if isinstance(who, int) else Kick(identity=who, reason=reason)
        found = yield partial(self._linked().call, call, self.limits.request_timeout_s)
        return found if isinstance(found, int) else 0

    def _recall(self, sender: str, event: str) -> Steps[Received | None]:
        driver = self._linked()
        last = yield partial(driver.last, sender, event, self.limits.request_timeout_s)
        if last is None:
            return None
        if last.frame is None:
            raise told.missing(sender, event, last.reason)
        return past_value(self, last, driver.core.codecs)

    def _ask(
        self, sender: str, method: str, params: object, timeout: float, instance: int | None = None
    ) -> Steps[object]:
        driver = self._linked()
        trail = next_hop(time.monotonic(), timeout, sender, method, self.limits)
        held = self._senders.get(sender)
        if held is not None:
            held._handlers.check_wait(sender, method)
        payload = encoded(driver.core, sender, params)
        ask = partial(driver.request, sender, method, payload, dropping=trail.dropping)
        answer = yield partial(ask, deadline=trail.deadline, hops=trail.hops)
        return self._decoded(answer)

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
        name, check, limit = self._checked_request(sender, method, type, timeout)
        driver = self._linked()
        trail = next_hop(time.monotonic(), limit, name, check, self.limits)
        answered = partial(self._answered, done, type, name, check)
        payload = encoded(driver.core, name if instance is None else (name, instance), params)
        number = driver.start_request(name, check, payload, trail.deadline, trail.hops, answered, instance=instance)
        return partial(driver.give_up, number)

    def _open_stream(self, sender: str, method: str, params: object, trail: Trail) -> Source:
        driver = self._linked()
        held = self._senders.get(sender)
        if held is not None:
            held._handlers.check_wait(sender, method)
        payload = encoded(driver.core, sender, params)
        return FromAfar(driver, self._runtime.flag(), self._decoded, (sender, method), payload, trail)

    def _answered(
        self,
        done: Callable[[object, BaseException | None], object],
        type: Any,
        sender: str,
        method: str,
        value: Any,
        error: BaseException | None,
    ) -> None:
        if error is None:
            try:
                value = decoded(self._codec, value)
                if type is not None:
                    value = converted(value, type, sender, method)
            except Exception as trouble:
                error = trouble
        done(value, error)

    def _decoded(self, answer: bytes | Coded) -> object:
        return decoded(self._codec, answer)

    def _requests_told(self, sender: str) -> Mapping[str, Any] | None:
        known = super()._requests_told(sender)
        if known is not None or self._driver is None:
            return known
        schema = self._driver.core.asking.schema(sender)
        return None if schema is None else msgspec.json.decode(schema)

    def _knows(self, sender: str) -> bool:
        held = self._senders.get(sender)
        if held is not None and held._held:
            return True
        return self._driver is not None and self._driver.core.knows(sender)

    def _offers(self, sender: str | None, event: str | None) -> Steps[bool]:
        if sender is None or event is None:
            return True
        found = [row for row in (yield from self._listing(sender)) if row.name == sender]
        offered = (*found[0].events, EVENT_CONNECT, EVENT_DISCONNECT) if found else ()
        return not found or any(matches(event, name) for name in offered)

    def _refresh(self, plan: Plan, data: object) -> bool:
        with self._lock:
            if not isinstance(plan, RoutePlan):  # a signal of a sender that has left
                self._check_open()
                raise SenderNotConnected(plan.sender)
            matching = self._index.matching(plan.sender, plan.event)
            plan.rebuild([s for s in matching if s.pace is None])  # the others are called on lanes of their own
            return True

    # Life

    def _waiting(self, timeout: float | None) -> Steps[bool]:
        self._check_process()
        ended = yield partial(self._stopped.wait, timeout)
        if self._lost is not None and not self._closing:
            raise ConnectionLost(self._lost)
        return bool(ended)

    def _flushing(self, timeout: float | None) -> Steps[None]:
        driver = self._driver
        if driver is None or not driver.triggered or self._closed.is_set():
            driver = self._linked()
        upto = driver.triggered
        try:
            self._check_here()
            yield partial(driver.call, Flush(), self.limits.flush_timeout_s if timeout is None else timeout)
        except ConnectionLost as error:
            missing = upto - driver.flushed
            if missing:
                events = "1 event was" if missing == 1 else f"{missing} events were"
                raise ConnectionLost(f"{error}; whether {events} delivered is unknown") from error
            raise
        driver.flushed = max(driver.flushed, upto)

    @property
    def _unflushed(self) -> bool:
        """Whether there are events of which the server is not known to have routed them."""
        driver = self._driver
        return driver is not None and driver.triggered > driver.flushed

    def _closing_down(self, timeout: float | None) -> Steps[None]:
        limit = self.limits.close_timeout_s if timeout is None else timeout
        with self._lock:
            first, self._closing = not self._closing, True
            held = list(self._senders.values())
            if self._driver is not None:
                self._driver.core.finishing = True
        if not first:
            if not self._runtime.ours():  # else it may be we whom the other waits for
                yield partial(self._finished.wait, limit)
            return
        deadline = time.monotonic() + limit
        try:
            yield from self._leave(held, deadline)
        finally:
            self._closed.set()
            with self._lock:
                subscriptions = list(self._subscriptions.values())
            for subscription in subscriptions:
                subscription.close()
            yield partial(self._runtime.close, left(deadline))
            self._stopped.set()
            self._finished.set()

    def _leave(self, held: list[Owned], deadline: float) -> Steps[None]:
        """Everything that has an order: names, clients, listeners, the link, threads."""
        driver = self._driver
        for sender in held:
            if self._forget(sender) and driver is not None:
                driver.tell(RemoveSender(sender.name))
        try:
            yield from self._dismiss_clients(deadline)
            if driver is not None and driver.core.opened and not driver.core.parted:
                with self._lock:
                    subscriptions = list(self._subscriptions.values())
                paced = [(s, s.pace) for s in subscriptions if s.pace is not None]
                for _, pace in paced:
                    pace.rest()
                yield partial(driver.drain, left(deadline))
                yield partial(self._runtime.settle, lambda: any(s.owed for s in subscriptions), left(deadline))
                for subscription, _ in paced:
                    subscription.close()  # while it can still be told what they have not begun
        except BaseException:
            deadline = 0.0  # cancelled, or Ctrl-C: nobody is waited for any more, but everything is closed
            raise
        finally:
            self._closed.set()
            yield from self._end_each(deadline)

    def _end_each(self, deadline: float) -> Steps[None]:
        """All parts, one after the other; where the end of one is cancelled, nobody waits for the others."""
        driver, returning, answers = self._driver, self._returning, self._answers
        ends: list[Callable[[float], Steps[None]]] = []
        if returning is not None:
            ends.append(lambda until: returning.stop(left(until)))
        if driver is not None:
            ends.append(lambda until: one(partial(driver.close, left(until))))
        if answers is not None:
            ends.append(lambda until: one(partial(answers.close, left(until))))
        ends.append(self._end_server)
        failure: BaseException | None = None
        for end in ends:
            try:
                yield from end(deadline)
            except BaseException as error:
                deadline, failure = 0.0, failure or error
        if failure is not None:
            raise failure

    def _dismiss_clients(self, deadline: float) -> Steps[None]:
        """What a server does before its own link ends."""
        return at_once(None)

    def _end_server(self, deadline: float) -> Steps[None]:
        """What a server does after it."""
        return at_once(None)

    def _exiting(self, clean: bool) -> Steps[None]:
        """The end of a `with` block."""
        failure: SigError | None = None
        try:
            if not self._closing and self._unflushed:
                yield from self._flushing(None if clean else self.limits.close_timeout_s)
        except SigError as lost:
            failure = lost
        finally:
            yield from self._closing_down(None)
        if failure is not None:
            if clean:
                raise failure
            if not isinstance(sys.exception(), ConnectionLost):  # the block is left with the same story already
                logger.error(str(failure))

    # Checks

    def _check_open(self, closing: bool = False) -> None:
        self._check_process()
        super()._check_open(closing)
        if self._lost is not None:
            raise ConnectionLost(self._lost)

    def _check_process(self) -> None:
        if self._forked:
            raise Closed(f"this {type(self).__name__} belongs to the process that forked: make another here")

    def forked(self) -> None:
        """This is the child of a fork: the link is the parent's."""
        self._forked = self._closing = True
        self._lock = RLock()
        self._closed, self._finished = self._runtime.flag(), self._runtime.flag()
        self._closed.set()
        self._finished.set()


def left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
