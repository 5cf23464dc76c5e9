"""What routers with a link have in common: the verbs of `Router`, answered by a server.

Every event goes through the server, this router's own to its own listeners included: one order for all. Listeners are
called on one dispatch thread, see `arrivals`; requests are answered in a bounded pool, see `answers`.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Final

import msgspec

from sig.answers import Answers
from sig.arrivals import Arrivals, RoutePlan
from sig.callables import is_async
from sig.codecs import Codec
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT, Limits
from sig.drivers.fork import tell_child
from sig.drivers.links import Link
from sig.drivers.threads import ClientDriver, interrupt_main
from sig.errors import (
    Closed,
    ConnectionLost,
    InvalidArgument,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
    WouldDeadlock,
)
from sig.info import Info, Received, SenderInfo
from sig.log import logger
from sig.messages import AddSender, Close, Flush, RemoveSender, Senders
from sig.names import check_selector, check_sender, matches
from sig.protocol.client import ClientCore
from sig.requests import Requests, next_hop
from sig.router import Name, Router
from sig.sender import Sender
from sig.signal import Plan, Signal, raises_to_trigger
from sig.subscription import Subscription


class LinkedRouter(Router):
    """Base of `ServerRouter` and `ClientRouter`."""

    _counts = True

    def __init__(self, limits: Limits, *, executor: Any = None, **options: Any) -> None:
        self.limits = limits
        super().__init__(executor=executor, **options)
        self._post = getattr(executor, "submit", executor)
        self._codec: Codec
        self._driver: ClientDriver | None = None
        self._answers: Answers | None = None
        self._subscriptions: dict[int, Subscription] = {}  # all that are open, by serial; the index has who is called
        self._lost: str | None = None  # why the link has gone, if the world did it
        self._stopped = self._runtime.flag()  # what `wait` waits for: closed, or lost
        self._finished = self._runtime.flag()  # `close` has come to its end
        self._forked = False
        tell_child(self)

    # The link

    def _connect(self, link: Link, codec: Codec, timeout: float, name: str) -> None:
        """Become linked; raises what went wrong, and may be tried again then."""
        self._codec = codec
        answers = Answers(self, codec, self._post)
        driver = ClientDriver(
            ClientCore(self.limits, codec, name=name),
            self.limits,
            handle=Arrivals(self, codec).handle,
            asked=answers.asked,
            ended=self._ended,
            over=self._over,
            fatal=self._fatal,
        )
        try:
            with self._lock:
                self._check_open(self._closing)
                if self._driver is not None:
                    raise InvalidArgument(f"this {type(self).__name__} is connected already")
                self._driver, self._answers = driver, answers
        except BaseException:
            link.join(0)
            raise
        try:
            driver.open(link, timeout)
        except BaseException:
            with self._lock:
                self._driver = self._answers = None
            raise
        _open_routers.add(self)

    def _linked(self) -> ClientDriver:
        self._check_open()
        driver = self._driver
        if driver is None or not driver.core.opened:
            raise ConnectionLost(f"this {type(self).__name__} is not connected yet: connect it first")
        return driver

    def _ended(self) -> None:
        """The link is down. On the thread that noticed, so nothing of the user's is called."""
        with self._lock:
            driver = self._driver
            if driver is None or not driver.core.opened or self._closing:
                return
            self._lost = str(driver.core.error)
            for sender in self._senders.values():
                sender._held = False
            subscriptions = list(self._subscriptions.values())
        logger.warning(f"{type(self).__name__}: {self._lost}")
        self._stopped.set()
        for subscription in subscriptions:
            if subscription.on_close is not None:
                subscription.on_close()

    def _over(self) -> None:
        """The listeners have been given all that came before the link went down. On the dispatch thread."""

    def _fatal(self, error: BaseException) -> None:
        """A listener or handler raised KeyboardInterrupt or SystemExit: that is meant for the program."""
        logger.warning(f"{type(error).__name__} was raised on a thread of this {type(self).__name__}: it is closing")
        threading.Thread(target=self.close, name="sig-close", daemon=True).start()
        interrupt_main()

    # Listening

    def _attach(self, subscription: Subscription) -> None:
        options = subscription.options
        if options.group is not None or options.initial:
            which = "group=" if options.group is not None else "initial=True"
            raise InvalidArgument(f"{which} does not reach over a link yet: use it with a Router in one process")
        driver = self._linked()
        with self._lock:
            self._subscriptions[subscription.serial] = subscription
        try:
            driver.listen(
                subscription.serial & 0xFFFFFFFF,
                subscription.sender,
                subscription.event,
                subscription,
                self.limits.request_timeout_s,
            )
        except BaseException:
            with self._lock:
                del self._subscriptions[subscription.serial]
            raise

    def _detach(self, subscription: Subscription) -> bool:
        if not super()._detach(subscription):
            return False
        with self._lock:
            self._subscriptions.pop(subscription.serial, None)
        if self._driver is not None:
            self._driver.tell(Close(subscription.serial & 0xFFFFFFFF))
        return True

    # Sending

    def add_sender(
        self,
        sender: str,
        events: str | Iterable[str] | Mapping[str, object] = (),
        requests: Requests | None = None,
        *,
        retain: bool | Iterable[str] = (),
        loop: Any = None,
    ) -> Sender:
        """Register a sender at the server; see `Router.add_sender`.

        Raises also `ConnectionLost` when the server cannot be reached, `Overloaded` beyond its limits, and
        `InvalidArgument` for `retain`, which does not reach over a link yet.
        """
        if retain:
            raise InvalidArgument("retain= does not reach over a link yet: use it with a Router in one process")
        return super().add_sender(sender, events, requests, loop=loop)

    def remove_sender(self, sender: Name) -> bool:
        """Let a sender of this router leave; see `Router.remove_sender`.

        Raises `Denied` for a name that somebody else holds.
        """
        if isinstance(sender, Sender):
            return super().remove_sender(sender)
        name = sender if isinstance(sender, str) else sender.name
        if name in self._senders:
            return super().remove_sender(name)
        return self._linked().call(RemoveSender(check_sender(name)), self.limits.request_timeout_s) is True

    def _claim(self, sender: Sender) -> None:
        driver = self._linked()
        with self._lock:
            self._check_open(self._closing)
            if sender.name in self._senders:
                raise SenderAlreadyConnected(sender.name)
            self._senders[sender.name] = sender  # before the server knows: requests may come with its answer
        for signal in sender._signals.values():
            self._open_outlet(driver, signal)
        call = AddSender(sender.name, list(sender._signals), sender._handlers.names)
        try:
            incarnation = driver.call(call, self.limits.request_timeout_s)
        except BaseException as error:
            with self._lock:
                self._senders.pop(sender.name, None)
            driver.close_outlets(sender.name, sender._signals)
            if not isinstance(error, SenderAlreadyConnected):
                driver.tell(RemoveSender(sender.name))  # the server may have it, though we shall never know
            raise
        with self._lock:
            sender._incarnation = incarnation if isinstance(incarnation, int) else 0
            sender._since = self._runtime.wall()
            sender._held = self._senders.get(sender.name) is sender and self._lost is None

    def _release(self, sender: Sender, reason: str) -> bool:
        held = self._forget(sender)
        if held and self._driver is not None:
            try:
                self._driver.call(RemoveSender(sender.name), self.limits.request_timeout_s)
            except (ConnectionLost, Closed):
                pass  # the server has noticed by itself, or will
        return held

    def _forget(self, sender: Sender) -> bool:
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
        trigger = driver.outlet(signal.sender, signal.event, self._codec)

        @raises_to_trigger
        def send(info: Info, data: object) -> None:
            trigger(data)

        signal.bind(trigger, send)

    # Asking

    def senders(self, pattern: str | None = None) -> list[SenderInfo]:
        """The senders connected to the server, in order of their arrival; see `Router.senders`."""
        check_selector(pattern, None)
        rows = self._linked().call(Senders(pattern), self.limits.request_timeout_s)
        return [SenderInfo(**row) for row in msgspec.convert(rows, list[dict[str, Any]])]

    def last(self, sender: Name, event: str) -> Received | None:
        """Always `None` yet: retained values do not reach over a link."""
        self._linked()
        return super().last(sender, event)

    def _ask(self, sender: str, method: str, params: object, timeout: float) -> object:
        driver = self._linked()
        trail = next_hop(time.monotonic(), timeout, sender, method, self.limits)
        held = self._senders.get(sender)
        if held is not None:
            self._check_wait(held, method)
        payload = self._codec.encode(params)
        answer = driver.request(sender, method, payload, deadline=trail.deadline, hops=trail.hops)
        return self._codec.decode(answer)

    def _check_wait(self, held: Sender, method: str) -> None:
        """Refuse to wait on the loop that would have to answer."""
        loop = held._handlers.loop
        if loop is None or self._runtime.running_loop() is not loop:
            return
        table = held._handlers.table or {}
        handler = table.get(method, table.get(None))
        if handler is not None and is_async(handler):
            raise WouldDeadlock(
                f"request {method!r} of sender {held.name!r} would wait on the loop that has to answer it: "
                "make it from another thread"
            )

    def _knows(self, sender: str) -> bool:
        held = self._senders.get(sender)
        if held is not None and held._held:
            return True
        return self._driver is not None and self._driver.core.knows(sender)

    def _offers(self, sender: str | None, event: str | None) -> bool:
        if sender is None or event is None:
            return True
        found = [row for row in self.senders(sender) if row.name == sender]
        offered = (*found[0].events, EVENT_CONNECT, EVENT_DISCONNECT) if found else ()
        return not found or any(matches(event, name) for name in offered)

    def _refresh(self, plan: Plan, data: object) -> bool:
        with self._lock:
            if not isinstance(plan, RoutePlan):  # a signal of a sender that has left
                self._check_open()
                raise SenderNotConnected(plan.sender)
            plan.rebuild(self._index.matching(plan.sender, plan.event))
            return True

    # Life

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the router is closed: true, or false after `timeout` seconds. The loop of a service.

        Raises `ConnectionLost` when the link to the server is lost.
        """
        self._check_process()
        ended = self._stopped.wait(timeout)
        if self._lost is not None and not self._closing:
            raise ConnectionLost(self._lost)
        return ended

    def flush(self, timeout: float | None = None) -> None:
        """Return when the server has routed everything triggered so far.

        Raises `ConnectionLost` when that cannot be known any more: within `timeout` seconds (30), or ever.
        """
        driver = self._driver
        if driver is None or not driver.triggered or self._closed.is_set():
            driver = self._linked()
        upto = driver.triggered
        try:
            driver.call(Flush(), self.limits.flush_timeout_s if timeout is None else timeout)
        except ConnectionLost as error:
            missing = upto - driver.flushed
            if missing:
                events = "1 event" if missing == 1 else f"{missing} events"
                raise ConnectionLost(f"{events} not delivered: {error}") from error
            raise
        driver.flushed = max(driver.flushed, upto)

    def close(self, timeout: float | None = None) -> None:
        """Let all senders leave and listeners finish what has arrived (for `timeout` seconds, 5), and end all threads.

        Idempotent; from any thread, from inside a listener or handler too: then listeners are given no more. Does not
        flush: `flush` and `with` do. Afterwards every verb raises `Closed`.
        """
        limit = self.limits.close_timeout_s if timeout is None else timeout
        with self._lock:
            first, self._closing = not self._closing, True
            held = list(self._senders.values())
        if not first:
            if not threading.current_thread().name.startswith("sig-"):  # else it may be we whom the other waits for
                self._finished.wait(limit)
            return
        deadline = time.monotonic() + limit
        try:
            self._leave(held, deadline)
        finally:
            self._closed.set()
            with self._lock:
                subscriptions = list(self._subscriptions.values())
            for subscription in subscriptions:
                subscription.close()
            self._runtime.close(left(deadline))
            self._stopped.set()
            self._finished.set()

    def _leave(self, held: list[Sender], deadline: float) -> None:
        """Everything that has an order: names, clients, listeners, the link, threads."""
        _open_routers.discard(self)
        driver = self._driver
        for sender in held:
            if self._forget(sender) and driver is not None:
                driver.tell(RemoveSender(sender.name))
        self._dismiss_clients(deadline)
        if driver is not None:
            if driver.core.opened:
                driver.drain(left(deadline))
                with self._lock:
                    subscriptions = list(self._subscriptions.values())
                self._runtime.settle(lambda: any(s.pending for s in subscriptions), left(deadline))
            self._closed.set()
            driver.close(left(deadline))
        if self._answers is not None:
            self._answers.close(left(deadline))
        self._end_server(deadline)

    def _dismiss_clients(self, deadline: float) -> None:
        """What a server does before its own link ends."""

    def _end_server(self, deadline: float) -> None:
        """What a server does after it."""

    def __exit__(self, *error: object) -> None:
        failure: SigError | None = None
        driver = self._driver
        try:
            if driver is not None and not self._closing and driver.triggered > driver.flushed:
                self.flush(self.limits.close_timeout_s if error[0] is not None else None)
        except SigError as lost:
            failure = lost
        finally:
            self.close()
        if failure is not None:
            if error[0] is None:
                raise failure
            logger.error(str(failure))

    def _at_exit(self, deadline: float) -> None:
        """The program ends without having closed this."""
        driver = self._driver
        if driver is None or driver.core.closed or driver.triggered == driver.flushed:
            return
        try:
            self.flush(max(0.01, left(deadline)))
        except SigError as error:
            logger.warning(f"the program ends without having closed its {type(self).__name__}: {error}")

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


_EXIT_FLUSH_S: Final = 1.0

_open_routers: Final[weakref.WeakSet[LinkedRouter]] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """A script that forgot `with` loses nothing, if a second is enough."""
    deadline = time.monotonic() + _EXIT_FLUSH_S
    for router in list(_open_routers):
        router._at_exit(deadline)
