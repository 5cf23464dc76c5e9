"""Senders, as their owner holds them and as others see them, and the events that hang on their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from .alias import OldNames, alias
from .call import Call
from .contract import Contract, proxy
from .errors import InvalidArgument, SenderNotConnected, UnknownEvent
from .index import Bucket
from .info import Received
from .kinds import schema_of
from .names import check_sender, is_channel_name
from .promises import UNTYPED
from .requests import Handlers, Requests
from .signal import Signal
from .slots import Slots
from .steps import walk
from .subscription import Callback, Subscription

if TYPE_CHECKING:
    from .hub import Hub
    from .iterators import Events
    from .router import Router
    from .streams import Stream

F = TypeVar("F", bound=Callback)
C = TypeVar("C", bound=Contract)


class Event(Bucket[Subscription], OldNames):
    """An event of a sender's, or a channel, or a pattern of both: holds the listeners registered for exactly that."""

    __slots__ = ("router",)

    def __init__(self, router: Hub, sender: str | None, event: str | None) -> None:
        super().__init__(sender, event)
        self.router: Hub = router

    @property
    def name(self) -> str | None:
        """The event's name or pattern; `None` for any event."""
        return self._event

    @property
    def sender(self) -> Owned | None:
        """The sender it belongs to; `None` for one that belongs to many."""
        found: Owned | None = None if self._sender is None else self.router._get_sender(self._sender, False)
        return found

    @property
    def listeners(self) -> tuple[object, ...]:
        """The callbacks, in order of registration."""
        return tuple(subscription.callback for subscription in self.router._registered(self._sender, self._event))

    @property
    def is_channel(self) -> bool:
        """Whether the name says that many senders share it: it begins with `#`."""
        return self._event is not None and is_channel_name(self._event)

    def __repr__(self) -> str:
        return f"<Event {self._event!r} of {self._sender!r}, {len(self.listeners)} listeners>"

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    def getName(self) -> str | None:
        return self.name

    def getSender(self) -> Owned | None:
        return self.sender

    def getListeners(self) -> tuple[object, ...]:
        return self.listeners

    def isChannel(self) -> bool:
        return self.is_channel


class View(OldNames):
    """A name at a router; what views of both faces have in common."""

    def __init__(self, router: Hub, name: str) -> None:
        self._router: Any = router  # the router of the face, whose verbs are its own
        self._name = check_sender(name)

    @property
    def name(self) -> str:
        """The sender's name."""
        return self._name

    @property
    def connected(self) -> bool:
        """Whether somebody holds the name now, as far as this router knows."""
        known: bool = self._router._knows(self._name)
        return known

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<{type(self).__name__} {self._name!r}, {state}>"

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    def getName(self) -> str:
        return self.name

    def isConnected(self) -> bool:
        return self.connected

    @property
    def connected_sender(self) -> bool:
        return self.connected


class Owned(View):
    """A sender held by this process; what senders of both faces have in common."""

    class_signal: type[Signal] | None = None
    """The class of this sender's signals; `None` for that of the router."""

    def __init__(self, router: Hub, name: str) -> None:
        super().__init__(router, name)
        self._signals: dict[str, Signal] = {}
        self._slots: Slots | None = None  # how many of its handlers run at a time
        self._handlers = self._handled(None)
        self._schema: dict[str, dict[str, Any]] | None = None  # of what can be told beforehand
        self._held = False
        self._since = 0.0
        self._incarnation = 0
        self._shared = False  # whether others may have its name too
        # Of one that is shared: requests that it is answering, and streams that it gives, which may end where no lock
        # may be taken.
        self._asked = 0
        self._streams: dict[object, None] = {}

    @property
    def connected(self) -> bool:
        """Whether this very object holds the name."""
        return self._held

    @property
    def requests(self) -> dict[str | None, Callable[..., object]] | None:
        """The request handlers by method; the key `None` is the default handler."""
        table = self._handlers.table
        return None if table is None else dict(table)

    def set_requests(self, requests: Requests | None) -> None:
        """Replace the request handlers; requests that are running end with the old ones.

        Raises as `Router.add_sender`; the loop of `async def` handlers stays the same.
        """
        self._handlers = self._handled(requests, self._handlers.loop)
        self._describe()

    def _handled(self, requests: Requests | None, loop: object = None) -> Handlers:
        router: Hub = self._router
        failed = partial(router._complaints.handler_failed, self._name)
        return Handlers(requests, router._runtime, loop, failed, self._slots)

    def _answer_at_most(self, most: object) -> None:
        """So many requests at a time, whatever their handlers will be."""
        if type(most) is not int or most < 1:
            raise InvalidArgument(
                f"max_concurrent={most!r} of sender {self._name!r} must be a whole number above zero, or None"
            )
        self._slots = Slots(self._name, most, self._router.limits.requests_in)

    def _describe(self) -> None:
        """Look at what has types, and what answers in parts."""
        events: dict[str, object] = {
            event: schema_of(signal.kind) for event, signal in self._signals.items() if signal.kind is not None
        }
        requests: dict[str, object] = {}
        for method, handler in self._handlers.by_name():
            kinds = self._handlers.kinds.get(method, UNTYPED)._asdict()
            said: dict[str, object] = {what: schema_of(kind) for what, kind in kinds.items() if kind is not None}
            if handler.parts:
                said.setdefault("parts", {})  # of whatever it gives, but whoever asks knows how
            if said:
                requests[method] = said
        self._schema = {"events": events, "requests": requests} if events or requests else None

    def signal(self, event: str) -> Signal:
        """The signal of an event: `trigger` on it is the fast way. Raises `UnknownEvent` for one not declared."""
        try:
            return self._signals[event]
        except KeyError:
            raise UnknownEvent(self._name, event) from None

    def get_signal(self, event: str) -> Signal | None:
        """The signal of an event, or `None` for one not declared."""
        return self._signals.get(event)

    def trigger(self, event: str, data: object = None) -> None:
        """Trigger an event; see `Signal.trigger`.

        Raises `UnknownEvent` for one not declared, `SenderNotConnected` after the sender has left.
        """
        signal = self._signals.get(event)
        if signal is None:
            if not self._held:
                raise SenderNotConnected(self._name)
            raise UnknownEvent(self._name, event)
        signal.trigger(data)

    def get_event(self, event: str, create: bool = False) -> Event | None:
        """The listeners registered for exactly this event of this sender; `None` without any, unless `create`."""
        found: Event | None = self._router._event(self._name, event, create)
        return found

    def get_events(self) -> list[Event]:
        """One `Event` for each event of this sender that somebody registered for by its name."""
        found: list[Event] = self._router._events_of(self._name)
        return found

    def count_listeners(self) -> int:
        """How many listeners are registered for this sender by its name."""
        return sum(len(event.listeners) for event in self.get_events())

    def has_listeners(self) -> bool:
        """Whether anybody is registered for this sender by its name."""
        return self.count_listeners() > 0

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    getSignal: Final = alias(get_signal)
    getEvent: Final = alias(get_event)
    getEvents: Final = alias(get_events)
    setRequests: Final = alias(set_requests)
    hasListeners: Final = alias(has_listeners)
    countListeners: Final = alias(count_listeners)


class SenderView(View):
    """A sender as seen by others: a name at a router, whether or not somebody holds it now. Making one does no I/O."""

    @property
    def router(self) -> Router:
        """The router it is seen from."""
        router: Router = self._router
        return router

    def on(self, event: str | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator: register a listener for one event of this sender, or for all; see `Router.on`."""
        register: Callable[[F], F] = self._router.on(self._name, event, **options)
        return register

    def listen(self, callback: Callback, event: str | None = None, **options: Any) -> Subscription:
        """Register a listener for one event of this sender, or for all; see `Router.listen`."""
        subscription: Subscription = self._router.listen(callback, self._name, event, **options)
        return subscription

    def events(self, event: str | None = None, **options: Any) -> Events:
        """Take events of this sender one by one; see `Router.events`."""
        events: Events = self._router.events(self._name, event, **options)
        return events

    def request(self, method: str, params: object = None, *, type: Any = None, timeout: float | None = None) -> Any:
        """Ask this sender and wait for its answer; see `Router.request`."""
        return self._router.request(self._name, method, params, type=type, timeout=timeout)

    def start_request(
        self, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Call:
        """Ask this sender without waiting; see `Router.start_request`."""
        call: Call = self._router.start_request(self._name, method, params, type=type, timeout=timeout)
        return call

    def stream(
        self,
        method: str,
        params: object = None,
        *,
        type: Any = None,
        timeout: float | None = None,
        idle: float | None = None,
    ) -> Stream:
        """Ask this sender for an answer in parts; see `Router.stream`."""
        stream: Stream = self._router.stream(self._name, method, params, type=type, timeout=timeout, idle=idle)
        return stream

    def typed(self, contract: type[C], *, timeout: float | None = None) -> C:
        """A proxy of this sender: its events are listened to, and its methods ask, as the contract says.

        `timeout` is that of each request. No I/O; raises `InvalidArgument` for what is no contract.
        """
        return proxy(self, contract, timeout)

    def last(self, event: str) -> Received | None:
        """The retained value of an event; see `Router.last`."""
        last: Received | None = self._router.last(self._name, event)
        return last

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the sender is connected: true, or false after `timeout` seconds.

        Raises `Closed` when the router is closed meanwhile.
        """
        found: bool = walk(self._router._awaiting(self._name, timeout))
        return found

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    def getRouter(self) -> Router:
        return self.router

    @property
    def objrouter(self) -> Router:
        return self.router


class Sender(Owned, SenderView):
    """A sender held by this process; as a context manager it leaves at the end of the block. Made by `add_sender`.

    Also what `get_sender` returns for a name that has only listeners: then it is not connected and has no signals.
    """

    def remove(self) -> bool:
        """Leave; true if the sender was connected. Listeners stay registered for the next one of this name."""
        removed: bool = self._router.remove_sender(self)
        return removed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def add_listener(self, listener: Callback, event: str | None = None) -> bool:
        """Register a listener; see `Router.add_listener`."""
        known: bool = self._router.add_listener(listener, self._name, event)
        return known

    def remove_listener(self, listener: Callback, event: str | None = None) -> bool:
        """Take a listener out; see `Router.remove_listener`."""
        removed: bool = self._router.remove_listener(listener, self._name, event)
        return removed

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    addListener: Final = alias(add_listener)
    removeListener: Final = alias(remove_listener)
