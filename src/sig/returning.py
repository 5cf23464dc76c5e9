"""Bringing a lost link back: when it is tried, and what is registered again on the new one.

Written once for both faces, as steps: in the blocking face a thread of its own walks them, in the awaited one a task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sig.carriers.base import ClientCarrier
from sig.drivers.client import ClientDriver
from sig.drivers.links import Link
from sig.errors import ConnectionLost, InvalidArgument, Overloaded, SenderAlreadyConnected, SigError
from sig.info import info_of
from sig.log import logger
from sig.messages import RemoveSender
from sig.protocol.calls import Done
from sig.protocol.retry import Retry
from sig.returned import hears_presence
from sig.sender import Owned
from sig.steps import Steps
from sig.subscription import Subscription
from sig.wishes import introduction, wish

if TYPE_CHECKING:
    from sig.connecting import Connecting

# A link that lived so long was a good one: after it the next attempt comes as soon as after the first.
SETTLED_S: Final = 10.0
# How long to wait for the answer to a name being asked for once more: longer than a link lives on which none comes. Who
# gave up before would not know that the name has become its own, and would be refused it for ever.
_CLAIM_S: Final = 86_400.0


class Returning:
    """What one client does while its link is away. `lock` of the router guards what may change.

    Args:
        carriers: where to try, the preferred first.
        random: evenly from 0 up to 1.
    """

    def __init__(self, router: Connecting, carriers: list[ClientCarrier], random: Callable[[], float]) -> None:
        limits = router.limits
        self.away: bool = False
        """Whether the link is lost, and not everything is registered again."""
        self.told: str = ""
        """Why, and what is done about it."""
        self._router = router
        self._name = type(router).__name__
        self._retry = Retry(
            carriers,
            random,
            first_s=limits.reconnect_first_s,
            longest_s=limits.reconnect_longest_s,
            settled_s=SETTLED_S,
        )
        self._running = False
        self._stop = router._runtime.flag()
        self._bell = router._runtime.flag()  # whoever waits for the next attempt is to look up
        self._taken: dict[Owned, None] = {}  # whose names were another's when they were to be registered again
        self._claiming: Done | None = None  # ends the wait for an answer to a name; with the router's lock held

    @property
    def carrier(self) -> ClientCarrier:
        """Where the next attempt goes, or the last one went."""
        return self._retry.address

    def opened(self) -> None:
        """The link is up."""
        self._retry.opened(time.monotonic())

    def missed(self, error: BaseException, retry_after_s: float | None = None) -> float:
        """An attempt has failed, or its link is lost; returns how many seconds to wait. For logs, says so."""
        pause = self._retry.failed(time.monotonic(), retry_after_s)
        self.told = f"{error}; it is tried again"
        logger.warning(f"{self._name}: {error}; {self.carrier} is tried in {pause:.2g} s")
        return pause

    def begin(self, driver: ClientDriver) -> None:
        """The link is lost. On any thread, with the router's lock held; may be called again."""
        self.away = not driver.core.parted
        self._router._up.clear()
        self._bell.set()
        # In a session that goes on the answer comes on the next link, and who waits for it is to bring that.
        self._claim_no_more()
        if not (self._running or self._stop.is_set()):
            self._running = True
            self._router._aside(self._bring_back(driver))

    def _claim_no_more(self) -> None:
        if self._claiming is not None:
            self._claiming(None, ConnectionLost("the link was lost again"))

    def lapsed(self) -> None:
        """The server has not kept the session that was to go on: all is to be registered again. On any thread."""
        self.away = True

    def give_up(self) -> None:
        """The server wants none of this client any more. With the router's lock held."""
        self.away = False
        self._stop.set()
        self._bell.set()
        self._router._up.set()  # whoever waits for it to be connected need not

    def stop(self, timeout: float) -> Steps[None]:
        """Try no more."""
        with self._router._lock:
            self._stop.set()
            self._claim_no_more()
        self._bell.set()
        yield partial(self._router._end_aside, timeout)

    # Within

    def _bring_back(self, driver: ClientDriver) -> Steps[None]:
        while not self._stop.is_set():
            yield from self._reconnect(driver)
            yield from self._claim_again(driver)
            with self._router._lock:
                if not (driver.core.away or driver.core.parted) or self._stop.is_set():
                    self._running = False  # from here on the next loss begins another
                    return

    def _reconnect(self, driver: ClientDriver) -> Steps[None]:
        """Until the link is up, and all is registered on it."""
        first = driver.core.welcome is None  # nobody has waited for it
        if first:
            self.told, pause = f"{self.carrier} has not been reached yet; it is being tried", 0.0
        else:
            pause = self.missed(driver.core.error or ConnectionLost("the link was lost"), _asked(driver))
        while not self._stop.is_set():
            self._bell.clear()
            if not self._stop.is_set():
                yield partial(self._bell.wait, pause)
            if self._stop.is_set():
                return
            try:
                link: Link = yield partial(self._router._open_link, self.carrier)
                if self._stop.is_set():
                    yield partial(link.join, 0)
                    return
                yield partial(driver.reopen, link, self._router.limits.handshake_timeout_s)
                if driver.core.resumed:
                    self._resumed(driver)
                else:
                    yield from self._register(driver)
            except Exception as error:  # carriers may be the user's
                if self._stop.is_set():
                    return
                if first and isinstance(error, InvalidArgument):  # it cannot be had, however often it is tried
                    driver.despair(error)
                    return
                pause = self.missed(error, _asked(driver))
            else:
                self.opened()
                if first:
                    logger.info(f"{self._name}: connected to {self.carrier}")
                else:
                    logger.warning(f"{self._name}: connected to {self.carrier} again")
                return

    def _resumed(self, driver: ClientDriver) -> None:
        """The session goes on: the server has all that was registered."""
        driver.tell_listeners(self._router._rejoined)
        with self._router._lock:
            if not driver.core.parted:  # it may be lost again already
                self._router._up.set()

    def _register(self, driver: ClientDriver) -> Steps[None]:
        """Tell the new link of all listeners and senders, those included that come meanwhile."""
        router = self._router
        listening: dict[int, bool] = {}
        claimed: dict[str, Owned] = {}
        with router._lock:
            for sender in router._senders.values():
                sender._held = False
        while True:
            with router._lock:
                subscriptions = [s for s in router._subscriptions.values() if s.serial not in listening]
                senders = [s for s in router._senders.values() if claimed.get(s.name) is not s]
                if not subscriptions and not senders:
                    self.away = False  # whoever registers from here on asks the server himself
                    break
            listening |= dict.fromkeys((s.serial for s in subscriptions), True)
            claimed |= {sender.name: sender for sender in senders}
            losses = driver.core.owning.losses(time.monotonic())
            calls = [partial(self._listen, driver, s, _asks_for_presence(s)) for s in subscriptions]
            calls += [partial(self._claim, driver, s, losses.get(s.name)) for s in senders]
            answers = yield partial(driver.restore, calls)
            again: list[Subscription] = []
            for subscription, (_, error) in zip(subscriptions, answers[: len(subscriptions)], strict=True):
                if isinstance(error, Overloaded) and _asks_for_presence(subscription):
                    again.append(subscription)  # there is too much to be told at once
                elif error is not None:
                    self._refused(subscription, error)
            if again:
                answered = yield partial(driver.restore, [partial(self._listen, driver, s, False) for s in again])
                for subscription, (_, error) in zip(again, answered, strict=True):
                    if error is not None:
                        self._refused(subscription, error)
            for sender, (incarnation, error) in zip(senders, answers[len(subscriptions) :], strict=True):
                self._answered(driver, sender, incarnation, error)
        if not driver.restored():
            with router._lock:
                self.away = True
            raise driver.core.error or ConnectionLost("the link was lost again")
        with router._lock:
            if not self.away:  # it may be lost again already
                router._up.set()

    def _listen(self, driver: ClientDriver, subscription: Subscription, initial: bool, done: Done) -> None:
        if subscription.closed:
            done(None, None)
            return
        message = replace(wish(subscription), initial=initial, again=True)
        timeout = self._router.limits.request_timeout_s
        driver.core.listen(message, subscription, time.monotonic(), timeout, done)

    def _claim(self, driver: ClientDriver, sender: Owned, lost: dict[str, int | None] | None, done: Done) -> None:
        call = introduction(sender, lost or {}, driver.core.owning.absence)
        driver.core.call(call, time.monotonic(), self._router.limits.request_timeout_s, done)

    def _answered(self, driver: ClientDriver, sender: Owned, incarnation: object, error: BaseException | None) -> None:
        router = self._router
        if error is None:
            if router._senders.get(sender.name) is sender:
                router._claimed(sender, incarnation)
            else:
                driver.tell(RemoveSender(sender.name))  # it left meanwhile
        elif isinstance(error, SenderAlreadyConnected):
            logger.warning(f"the name {sender.name!r} was taken while the link was away; it is tried again")
            self._taken[sender] = None
            driver.tell_listeners(partial(router._tell_name_lost, sender))
        elif isinstance(error, ConnectionLost):
            raise error
        else:
            router._forget(sender)
            sentence = f"sender {sender.name!r} could not be registered again: {error}"
            logger.error(sentence)
            router._complaints.tell(error, sender, info_of(sender.name, ""))

    def _refused(self, subscription: Subscription, error: BaseException) -> None:
        if isinstance(error, ConnectionLost):
            raise error
        logger.error(f"{subscription!r} could not be registered again: {error}")
        subscription.close()
        self._router._complaints.tell(error, subscription.callback, info_of(subscription.sender or "", ""))

    def _claim_again(self, driver: ClientDriver) -> Steps[None]:
        """As long as names are another's, ask for them now and then."""
        router = self._router
        pause = router.limits.reconnect_first_s
        while not (self._stop.is_set() or driver.core.away or driver.core.parted):
            with router._lock:
                lost = [s for s in self._taken if router._senders.get(s.name) is s and not s._held]
                link = driver.core.links
            self._taken = dict.fromkeys(lost)
            if not lost:
                return
            self._bell.clear()
            if not (self._stop.is_set() or driver.core.away or driver.core.parted):
                yield partial(self._bell.wait, pause)
            pause = min(2 * pause, router.limits.reconnect_longest_s)
            for sender in lost:
                if self._stop.is_set() or driver.core.away or router._senders.get(sender.name) is not sender:
                    continue
                yield from self._claim_one(driver, sender, link)

    def _claim_one(self, driver: ClientDriver, sender: Owned, link: int) -> Steps[None]:
        """Ask for that name on that link, and wait for the answer, or until the link is lost again."""

        def begin(done: Done) -> None:
            self._claiming = done
            if driver.core.links != link or driver.core.parted or self._stop.is_set():
                raise ConnectionLost("the link was lost again")

            def answered(incarnation: object, error: BaseException | None) -> None:
                # With the driver's lock held: nothing here may ask the driver for something.
                if error is None and self._router._senders.get(sender.name) is sender:
                    self._router._claimed(sender, incarnation)
                elif error is None and not driver.core.closed:
                    # It left meanwhile.
                    limit_s = self._router.limits.request_timeout_s
                    driver.core.call(RemoveSender(sender.name), time.monotonic(), limit_s, _nothing)
                with self._router._lock:  # so that it is not told in the same moment that the link is lost
                    done(incarnation, error)

            owning = driver.core.owning
            call = introduction(sender, owning.untold(sender.name), owning.absence)
            driver.core.call(call, time.monotonic(), _CLAIM_S, answered)

        try:
            yield partial(driver.ask, begin, _CLAIM_S)
        except SenderAlreadyConnected:
            pass
        except SigError as error:
            if not (driver.core.away or driver.core.parted or self._stop.is_set()):
                logger.warning(f"sender {sender.name!r} could not be registered again: {error}")
        finally:
            self._claiming = None


def _nothing(value: object, error: BaseException | None) -> None:
    """Nobody waits for that answer."""


def _asks_for_presence(subscription: Subscription) -> bool:
    """Whether it has to be told what is there: it asked for that, or hears of senders that come and go."""
    return subscription.options.initial or hears_presence(subscription)


def _asked(driver: ClientDriver) -> float | None:
    """When to come back, as the server has asked."""
    farewell = driver.core.farewell
    return None if farewell is None else farewell.retry_after_s
