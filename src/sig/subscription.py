"""One listener, registered: what it asked for, how an event gets to it, what it got and missed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

import msgspec

from .callables import check_callable, describe, is_async, is_generator
from .consumer import REFUSED, Consumer
from .errors import InvalidArgument, InvalidData
from .info import Gap, Info
from .kinds import exact, fitter, kind_of, kind_said
from .log import logger
from .mailbox import POLICIES, Mailbox
from .pace import Pace

if TYPE_CHECKING:
    from .hub import Hub


Callback: TypeAlias = Callable[..., object]


class Options(NamedTuple):
    """The options of `Router.listen`, which documents them."""

    type: Any = None
    group: str | None = None
    initial: bool = False
    once: bool = False
    weak: bool = False
    meta: bool = False
    queue: int | None = None
    when_full: str = "drop_oldest"
    max_wait: float = 5
    executor: object = None
    loop: object = None
    on_gap: Callable[[Info, Gap], object] | None = None


DEFAULTS: Final = Options()


class Subscription:
    """A registered listener. `close()` ends it, forgetting it does not; as a context manager it ends with the block.

    Made by `Router.listen`. Every method may be called from any thread, from inside the callback too.
    """

    __slots__ = (
        "__weakref__",
        "_callback",
        "_consumer",
        "_mailbox",
        "_missed",
        "_owner",
        "_router",
        "arrived",
        "call",
        "closed",
        "detached",
        "event",
        "fitted",
        "kind",
        "on_close",
        "options",
        "pace",
        "sender",
        "serial",
        "since_us",
    )

    def __init__(
        self, router: Hub, callback: Callback, sender: str | None, event: str | None, options: Options, serial: int
    ) -> None:
        check_callable(callback, "info", "data")
        if is_generator(callback):
            raise TypeError(f"{describe(callback)} is a generator: as a listener, nothing of it would ever run")
        self._router = router
        self._callback: Callback = callback
        self._owner: weakref.ref[object] | None = None  # of a weak one: whose method it is
        self._mailbox: Mailbox | None = None
        self._consumer: Consumer | None = None  # whose the mailbox is
        self._missed = 0
        self.arrived: int = 0  # events that a router with links gave to `call`; counted on its dispatch thread
        self.sender: str | None = sender
        self.event: str | None = event
        self.options: Options = options
        self.serial: int = serial
        self.closed: bool = False
        self.detached: bool = False  # out of every plan; of a weak one a moment later than `closed`
        self.since_us: int = 0  # when a server first had it, by that one's clock
        self.on_close: Callable[[], object] | None = None  # for our own use; may be called more than once
        # Over a link, of one that is given events by itself: in a group, or because senders wait for it.
        self.pace: Pace | None = router._pace_of(self)
        self.kind: Any = kind_said(callback, 1) if options.type is None else kind_of(options.type)
        """The type that the data becomes; `None` for as it comes."""
        self.call: Callback = callback  # what plans call: the callback itself where nothing stands between
        self.fitted: Callback | None = None  # what may be called with data of that type, if that is something else
        if options is not DEFAULTS or self.kind is not None or is_async(callback):
            self.call = self._chain(callback)

    @property
    def callback(self) -> Callback:
        """The callback as it was registered (of a weak one whose object has gone: its function)."""
        owner = None if self._owner is None else self._owner()
        return self._callback if owner is None else MethodType(self._callback, owner)

    @property
    def received(self) -> int | None:
        """Events given to the callback. `None` for one that a plain `Router` calls directly: counting would cost
        as much as the call."""
        if self.pace is not None:
            return self.pace.begun
        if self._mailbox is not None:
            return self._mailbox.received
        return self.arrived if self._router._counts else None

    @property
    def missed(self) -> int:
        """Events that matched and were lost, as far as they can be counted."""
        return self._missed + (self._mailbox.missed if self._mailbox is not None else 0)

    @property
    def pending(self) -> int:
        """Events that wait in this listener's own queue."""
        return len(self._consumer) if self._consumer is not None else 0

    @property
    def owed(self) -> bool:
        """Whether a router that closes here waits for this listener, which has a queue: it may be asking, too."""
        here = getattr(self.options.executor, "here", None)
        # Waiting on the one thread that could take them would be in vain.
        return self._consumer is not None and self._consumer.busy and not (here is not None and here())

    @property
    def load(self) -> float:
        """How full its queue is, from 0 to 1; without one it is always ready."""
        return self._mailbox.load if self._mailbox is not None else 0.0

    def close(self) -> None:
        """End it. No call begins after this has returned (from another thread, at most the one already chosen)."""
        self._router._detach(self)
        if self._consumer is not None:
            for entry in self._consumer.close():
                self._router._give_back(self, entry.info, entry.data)
        if self.on_close is not None:
            self.on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Subscription of {describe(self._callback)} to {self.sender!r}, {self.event!r}: {state}>"

    # What plans and links call

    def gap(self, info: Info, gap: Gap) -> None:
        """Events were lost on their way here; told in order, on the thread that dispatches."""
        if self._mailbox is not None:
            self._mailbox.put_gap(info, gap)
        else:
            self._missed += gap.missed or 0
            self._tell_gap(info, gap)

    @property
    def many(self) -> Callable[[Info, Sequence[object]], object] | None:
        """What takes a whole batch of one signal at once; `None` where `call` has to be called with each event."""
        o = self.options
        if self._consumer is None or o.group is not None or o.once or o.meta or o.when_full == "block":
            return None
        return self._consumer.enter_many

    # How an event gets to the callback

    def _chain(self, callback: Callback) -> Callback:
        """The callback behind all that its options put before it, innermost first."""
        o = self.options
        if o.when_full not in POLICIES:
            raise InvalidArgument(f"when_full={o.when_full!r} is unknown: choose one of {', '.join(POLICIES)}")
        if o.on_gap is not None:
            check_callable(o.on_gap, "info", "gap")
        call = plain = self._weak(callback) if o.weak else callback
        typed = None
        if self.kind is not None:
            call = typed = self._typed(call)
        if o.once:
            call = self._closing(call)
        if self.pace is not None:
            call = self._paced(call, self.pace)
        consumer = self._consumer = self._consumer_of(call, self._loop(callback) if is_async(callback) else None)
        if consumer is not None:
            self._mailbox = consumer.mailbox
            call = consumer.entrance()
        call = self._first(call) if o.once else call
        if call is typed:
            self.fitted = plain
        return call

    def _loop(self, callback: Callback) -> object:
        loop = self.options.loop if self.options.loop is not None else self._router._runtime.running_loop()
        if loop is None:
            raise InvalidArgument(
                f"{describe(callback)} is `async def` and no loop runs here: register it inside one, or give loop="
            )
        return loop

    def _consumer_of(self, call: Callback, loop: object) -> Consumer | None:
        """Who takes from this listener's queue; `None` for one that needs no queue."""
        if loop is None and self.options.executor is None and self.options.queue is None:
            return None
        return Consumer(self, call, loop)

    def _weak(self, callback: Callback) -> Callback:
        if not isinstance(callback, MethodType):
            raise InvalidArgument(f"weak=True takes a bound method, not {describe(callback)}")
        function: Callback = callback.__func__

        def gone(reference: object) -> None:
            # The garbage collector may be here at any time, while this very thread holds a lock of ours and walks what
            # `close` changes: so the rest is left to the next event, or the next who registers.
            self.closed = True
            self._router._gone.append(self)

        try:
            owner = self._owner = weakref.ref(callback.__self__, gone)
        except TypeError:
            raise InvalidArgument(
                f"weak=True cannot watch the {type(callback.__self__).__qualname__} of {describe(callback)}: "
                "add '__weakref__' to its __slots__, or leave weak= out"
            ) from None
        # The subscription itself must not keep the object.
        self._callback = function
        on_gap = self.options.on_gap
        if isinstance(on_gap, MethodType) and on_gap.__self__ is callback.__self__:
            self.options = self.options._replace(on_gap=_weak_method(on_gap))

        def alive(info: Info, data: object) -> object:
            target = owner()
            if target is None:
                self.close()
                return REFUSED
            return function(target, info, data)

        return alive

    def forget(self) -> None:
        """Of a weak one whose object has gone: do now what could not be done then."""
        if not self.detached:
            self.close()

    def _typed(self, call: Callback) -> Callback:
        wanted, fits = exact(self.kind), fitter(self.kind)

        def typed(info: Info, data: object) -> object:
            if type(data) is not wanted:
                try:
                    data = fits(data)
                except msgspec.ValidationError as error:
                    raise InvalidData(f"{info.sender!r} triggered {info.event!r} with other data: {error}") from None
            return call(info, data)

        return typed

    def _closing(self, call: Callback) -> Callback:
        """`once`: out of every plan when the event comes to its call, and not before, so that `Router.close` waits."""

        def last(info: Info, data: object) -> object:
            self._router._detach(self)
            return call(info, data)

        return last

    def _paced(self, call: Callback, pace: Pace) -> Callback:
        """Over a link: let begin what has not been given back, and say so."""

        def begin(info: Info, data: object) -> object:
            owner = None if self._owner is None else self._owner()
            if self._owner is not None and owner is None:
                self.close()
                return REFUSED
            if info.initial:  # it has no part in this
                return REFUSED if self.closed else call(info, data)
            return call(info, data) if pace.begin() else REFUSED

        return begin

    def _first(self, call: Callback) -> Callback:
        """`once`: let a single event through."""
        token = [None]

        def first(info: Info, data: object) -> object:
            try:
                token.pop()  # of several threads, one gets it
            except IndexError:
                return REFUSED
            return call(info, data)

        return first

    def _end(self, reason: str) -> None:
        if not self.closed:
            logger.warning(f"{self!r} is closed: {reason}")
        self.close()

    def _tell_gap(self, info: Info, gap: Gap) -> None:
        if self.options.on_gap is not None:
            self._router._complaints.guarded(self.options.on_gap, info, gap, self)
        else:
            missed = "an unknown number of" if gap.missed is None else gap.missed
            logger.warning(f"{self!r} missed {missed} events ({gap.reason}) of {info.sender!r}, {info.event!r}")


def _weak_method(method: MethodType) -> Callback:
    """The same, without keeping its object."""
    reference = weakref.WeakMethod(method)

    def call(info: Info, gap: Gap) -> object:
        found = reference()
        return None if found is None else found(info, gap)

    return call
