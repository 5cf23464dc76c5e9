"""What routers with a link have in common: the verbs of `Router`, answered by a server.

Every event goes through the server, this router's own to its own listeners included: one order for all. Listeners are
called on one dispatch thread; requests are answered in a bounded pool.
"""

from __future__ import annotations

import _thread
import atexit
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sig.arrivals import Arrivals, RoutePlan
from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.threads import ClientDriver, Link
from sig.errors import ConnectionLost, InvalidArgument, SenderAlreadyConnected, SenderNotConnected, SigError
from sig.info import Info, Received, SenderInfo
from sig.log import logger
from sig.messages import AddSender, Close, Flush, RemoveSender, Senders
from sig.names import check_selector, check_sender
from sig.protocol.client import ClientCore
from sig.requests import Requests, next_hop
from sig.router import Name, Router
from sig.sender import Sender
from sig.signal import Calls, Plan, Signal, raises_to_trigger
from sig.subscription import Subscription


class LinkedRouter(Router):
    """Base of `ServerRouter` and `ClientRouter`."""

    _counts = True

    def __init__(self, limits: Limits, **options: Any) -> None:
        self.limits = limits
        super().__init__(**options)
        self._codec: Codec
        self._driver: ClientDriver | None = None
        self._lost: SigError | None = None
        self._ended_or_closed = self._runtime.flag()

    # The link

    def _connect(self, link: Link, codec: Codec, timeout: float, name: str) -> None:
        self._codec = codec
        arrivals = Arrivals(self, codec)
        driver = ClientDriver(
            ClientCore(self.limits, codec, name=name),
            self.limits,
            handle=arrivals.handle,
            asked=arrivals.asked,
            ended=self._ended,
            fatal=self._fatal,
        )
        self._driver = driver
        try:
            driver.open(link, timeout)
        except BaseException:
            self._driver = None
            raise
        _open_routers.add(self)

    def _linked(self) -> ClientDriver:
        self._check_open()
        if self._driver is None:
            raise ConnectionLost(f"this {type(self).__name__} is not connected yet: connect it first")
        return self._driver

    def _ended(self) -> None:
        """The link is down. On the reading thread."""
        driver = self._driver
        if driver is None or not driver.core.opened or self._closed.is_set():
            return  # a link that never came up is told to whoever opened it
        self._lost = driver.core.error
        with self._lock:
            held = list(self._senders.values())
            for sender in held:
                sender._held = False
        logger.warning(f"{type(self).__name__}: {self._lost}")
        self._ended_or_closed.set()

    def _fatal(self, error: BaseException) -> None:
        """A listener raised KeyboardInterrupt or SystemExit: that is meant for the program."""
        logger.warning(f"a listener raised {type(error).__name__}: the router is closing")
        _thread.interrupt_main()
        threading.Thread(target=self.close, name="sig-close", daemon=True).start()

    # Listening

    def _attach(self, subscription: Subscription) -> None:
        options = subscription.options
        if options.group is not None or options.initial:
            which = "group=" if options.group is not None else "initial=True"
            raise InvalidArgument(f"{which} does not reach over a link yet: use it with a Router in one process")
        self._linked().listen(
            subscription.serial & 0xFFFFFFFF,
            subscription.sender,
            subscription.event,
            subscription,
            self.limits.request_timeout_s,
        )

    def _detach(self, subscription: Subscription) -> bool:
        if not super()._detach(subscription):
            return False
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
        """Let a sender of this router leave; false if it is not connected.

        Raises `Denied` for one that another router holds.
        """
        name = sender if isinstance(sender, str) else sender.name
        if isinstance(sender, Sender) or name in self._senders:
            return super().remove_sender(sender)
        return bool(self._linked().call(RemoveSender(check_sender(name)), self.limits.request_timeout_s))

    def _claim(self, sender: Sender) -> None:
        driver = self._linked()
        for signal in sender._signals.values():
            signal._calls = Calls((self._sending(signal),))
        with self._lock:
            if sender.name in self._senders and self._senders[sender.name]._held:
                raise SenderAlreadyConnected(sender.name)
            # Before the server knows: requests may come with its answer.
            before = self._senders.get(sender.name)
            self._senders[sender.name] = sender
        try:
            call = AddSender(sender.name, list(sender._signals), sender._handlers.names)
            incarnation = driver.call(call, self.limits.request_timeout_s)
        except BaseException:
            with self._lock:
                if self._senders.get(sender.name) is sender:
                    del self._senders[sender.name]
                    if before is not None:
                        self._senders[sender.name] = before
            raise
        sender._incarnation = incarnation if isinstance(incarnation, int) else 0
        sender._since = self._runtime.wall()
        sender._held = True

    def _release(self, sender: Sender, reason: str) -> bool:
        with self._lock:
            if self._senders.get(sender.name) is not sender:
                return False
            del self._senders[sender.name]
            held, sender._held = sender._held, False
            for signal in sender._signals.values():
                signal.mark_stale()
        driver = self._driver
        if held and driver is not None:
            try:
                driver.call(RemoveSender(sender.name), self.limits.request_timeout_s)
            except ConnectionLost:
                pass  # the server has noticed by itself, or will
        return held

    def _sending(self, signal: Signal) -> Any:
        driver, encode, sender, event = self._linked(), self._codec.encode, signal.sender, signal.event

        @raises_to_trigger
        def send(info: Info, data: object) -> None:
            driver.trigger(sender, event, encode(data))

        return send

    # Asking

    def senders(self, pattern: str | None = None) -> list[SenderInfo]:
        """The senders connected to the server, in order of their arrival; see `Router.senders`."""
        check_selector(pattern, None)
        rows = self._linked().call(Senders(pattern), self.limits.request_timeout_s)
        return [SenderInfo(**row) for row in msgspec.convert(rows, list[dict[str, Any]])]

    def last(self, sender: Any, event: str) -> Received | None:
        """Always `None` yet: retained values do not reach over a link."""
        self._linked()
        return super().last(sender, event)

    def _ask(self, sender: str, method: str, params: object, timeout: float) -> object:
        driver = self._linked()
        trail = next_hop(time.monotonic(), timeout, sender, method, self.limits)
        payload = self._codec.encode(params)
        answer = driver.request(sender, method, payload, deadline=trail.deadline, hops=trail.hops)
        return self._codec.decode(answer)

    def _knows(self, sender: str) -> bool:
        held = self._senders.get(sender)
        if held is not None and held._held:
            return True
        return self._driver is not None and self._driver.core.knows(sender)

    def _offers(self, sender: str | None, event: str | None) -> bool:
        if sender is None or event is None or event.startswith("#"):
            return True
        found = [row for row in self.senders(sender) if row.name == sender]
        return not found or event in found[0].events

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
        ended = self._ended_or_closed.wait(timeout)
        if self._lost is not None and not self._closed.is_set():
            raise self._lost
        return ended

    def flush(self, timeout: float | None = None) -> None:
        """Return when the server has routed everything triggered so far.

        Raises `ConnectionLost` when that cannot be known any more: within `timeout` seconds (30), or ever.
        """
        driver = self._linked()
        upto = driver.triggered
        try:
            driver.call(Flush(), self.limits.flush_timeout_s if timeout is None else timeout)
        except ConnectionLost as error:
            missing = upto - driver.flushed
            if missing:
                raise ConnectionLost(f"{missing} events not delivered: {error}") from error
            raise
        driver.flushed = max(driver.flushed, upto)

    def close(self, timeout: float | None = None) -> None:
        """Leave the server, let listeners finish what has arrived (at most `timeout` seconds, 5), end all threads.

        Idempotent; from any thread, from inside a listener or handler too. Does not flush: `flush` and `with` do.
        """
        limit = self.limits.close_timeout_s if timeout is None else timeout
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            for sender in self._senders.values():
                sender._held = False
        _open_routers.discard(self)
        deadline = time.monotonic() + limit
        if self._driver is not None:
            self._driver.close(limit)
        self._close_server(max(0.0, deadline - time.monotonic()))
        subscriptions = self._index.all()
        self._runtime.settle(lambda: any(s.pending for s in subscriptions), max(0.0, deadline - time.monotonic()))
        for subscription in subscriptions:
            subscription.close()
        self._runtime.close(max(0.0, deadline - time.monotonic()))
        self._ended_or_closed.set()

    def _close_server(self, timeout: float) -> None:
        """What a server router has beyond its own link."""

    def __exit__(self, *error: object) -> None:
        failed: ConnectionLost | None = None
        if self._driver is not None and not self._closed.is_set() and self._driver.triggered > self._driver.flushed:
            try:
                self.flush()
            except ConnectionLost as lost:
                failed = lost
        self.close()
        if failed is not None:
            if error[0] is None:
                raise failed
            logger.error(str(failed))


_open_routers: weakref.WeakSet[LinkedRouter] = weakref.WeakSet()
_EXIT_FLUSH_S = 1.0


@atexit.register
def _at_exit() -> None:
    """A script that forgot `with` loses nothing, if a second is enough."""
    for router in list(_open_routers):
        driver = router._driver
        if driver is None or driver.core.closed or driver.triggered == driver.flushed:
            continue
        try:
            router.flush(_EXIT_FLUSH_S)
        except SigError as error:
            logger.warning(f"the program ends without having closed its router: {error}")
