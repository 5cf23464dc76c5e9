"""One listener, registered: what it asked for, how an event gets to it, what it got and missed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from .callables import check_callable, describe, is_async
from .errors import InvalidArgument, InvalidData
from .info import Gap, Info, Received
from .log import logger
from .mailbox import POLICIES, Mailbox

if TYPE_CHECKING:
    from .router import Router

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


DEFAULTS = Options()


class Subscription:
    """A registered listener. `close()` ends it, forgetting it does not; as a context manager it ends with the block.

    Made by `Router.listen`. Every method may be called from any thread, from inside the callback too.
    """

    __slots__ = (
        "__weakref__",
        "_callback",
        "_mailbox",
        "_missed",
        "_received",
        "_router",
        "call",
        "closed",
        "event",
        "options",
        "sender",
        "serial",
    )

    def __init__(
        self, router: Router, callback: Callback, sender: str | None, event: str | None, options: Options, serial: int
    ) -> None:
        check_callable(callback, "info", "data")
        self._router = router
        self._callback: object = callback
        self._mailbox: Mailbox | None = None
        self._missed = 0
        self._received: int | None = 0 if router._counts else None
        self.sender = sender
        self.event = event
        self.options = options
        self.serial = serial
        self.closed = False
        self.call: Callback = callback  # what plans call: the callback itself where nothing stands between
        if options is not DEFAULTS or is_async(callback):
            self.call = self._chain(callback)

    @property
    def callback(self) -> object:
        """The callback as it was registered (of a weak one: its function)."""
        return self._callback

    @property
    def received(self) -> int | None:
        """Events given to the callback. `None` for one that a plain `Router` calls directly: counting would cost
        as much as the call."""
        return self._mailbox.received if self._mailbox is not None else self._received

    @property
    def missed(self) -> int:
        """Events that matched and were lost, as far as they can be counted."""
        return self._missed + (self._mailbox.missed if self._mailbox is not None else 0)

    @property
    def pending(self) -> int:
        """Events that wait in this listener's own queue."""
        return len(self._mailbox) if self._mailbox is not None else 0

    def close(self) -> None:
        """End it. No call begins after this has returned (from another thread, at most the one already chosen)."""
        self._router._detach(self)
        if self._mailbox is not None:
            for entry in self._mailbox.close():
                self._router._give_back(self, Received(entry.info, entry.data))

    def __enter__(self) -> Subscription:
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

    def count(self, events: int) -> None:
        """Add events that a router with links gave to the callback. On its dispatch thread only."""
        if self._received is not None and self._mailbox is None:
            self._received += events

    # How an event gets to the callback

    def _chain(self, callback: Callback) -> Callback:
        """The callback behind all that its options put before it, innermost first."""
        o = self.options
        if o.when_full not in POLICIES:
            raise InvalidArgument(f"when_full={o.when_full!r} is unknown: choose one of {', '.join(POLICIES)}")
        call = self._weak(callback) if o.weak else callback
        if o.type is not None:
            call = self._typed(call)
        post = self._poster(callback, call)
        if post is not None:
            self._mailbox = Mailbox(
                lambda: self._wake(post), size=o.queue, policy=o.when_full, max_wait=o.max_wait, overflow=self._overflow
            )
            call = self._mailbox.put
        return self._once(call) if o.once else call

    def _poster(self, callback: Callback, call: Callback) -> Callable[[], object] | None:
        """What starts a consumer of this listener's queue; `None` for one that needs no queue."""
        o = self.options
        runtime = self._router._runtime
        if is_async(callback):
            loop = o.loop if o.loop is not None else runtime.running_loop()
            if loop is None:
                raise InvalidArgument(
                    f"{describe(callback)} is `async def` and no loop runs here: register it inside one, or give loop="
                )
            return lambda: runtime.spawn(loop, lambda: self._consume_async(call))
        if o.executor is not None:
            post: object = getattr(o.executor, "submit", o.executor)
            if not callable(post):
                raise InvalidArgument(f"executor={o.executor!r} is neither an executor nor a function that posts one")
            return lambda: post(lambda: self._consume(call))
        return (lambda: runtime.submit(lambda: self._consume(call))) if o.queue is not None else None

    def _weak(self, callback: Callback) -> Callback:
        if not isinstance(callback, MethodType):
            raise InvalidArgument(f"weak=True takes a bound method, not {describe(callback)}")
        function: Callback = callback.__func__
        owner = weakref.ref(callback.__self__, lambda _: self.close())
        self._callback = function  # the subscription itself must not keep the object

        def alive(info: Info, data: object) -> object:
            target = owner()
            return None if target is None else function(target, info, data)

        return alive

    def _typed(self, call: Callback) -> Callback:
        wanted = self.options.type

        def convert(info: Info, data: object) -> object:
            try:
                value = msgspec.convert(data, wanted)
            except msgspec.ValidationError as error:
                raise InvalidData(f"{info.sender!r} triggered {info.event!r} with other data: {error}") from None
            return call(info, value)

        return convert

    def _once(self, call: Callback) -> Callback:
        token = [None]

        def first(info: Info, data: object) -> None:
            try:
                token.pop()  # of several threads, one gets it
            except IndexError:
                return
            self._router._detach(self)
            call(info, data)

        return first

    def _wake(self, post: Callable[[], object]) -> None:
        try:
            post()
        except RuntimeError as error:  # the loop or the executor has closed: nobody will ever take
            logger.warning(f"{self!r} is closed, as what runs it has ended: {error}")
            self.close()

    def _overflow(self) -> None:
        logger.warning(f"{self!r} is closed: its queue was full (when_full='disconnect')")
        self.close()

    # Consumers of the queue: one runs at a time

    def _consume(self, call: Callback) -> None:
        assert self._mailbox is not None  # only a queue starts a consumer
        while (entry := self._mailbox.take()) is not None:
            if entry.gap is None:
                self._router._guarded(call, entry.info, entry.data, self)
            else:
                self._tell_gap(entry.info, entry.gap)

    async def _consume_async(self, call: Callback) -> None:
        assert self._mailbox is not None
        while (entry := self._mailbox.take()) is not None:
            if entry.gap is not None:
                self._tell_gap(entry.info, entry.gap)
                continue
            try:
                result: Any = call(entry.info, entry.data)
                if result is not None:  # None: a weak one whose object has gone
                    await result
            except Exception as error:
                self._router._listener_failed(self, error, entry.info)

    def _tell_gap(self, info: Info, gap: Gap) -> None:
        if self.options.on_gap is not None:
            self._router._guarded(self.options.on_gap, info, gap, self)
        else:
            missed = "an unknown number of" if gap.missed is None else gap.missed
            logger.warning(f"{self!r} missed {missed} events ({gap.reason}) of {info.sender!r}, {info.event!r}")


class Gate:
    """Stands before a listener with `initial=True`: holds back what comes until the past has been told."""

    __slots__ = ("_call", "_held", "_lock")

    def __init__(self, call: Callback) -> None:
        self._call = call
        self._lock = Lock()  # guards _held
        self._held: list[tuple[Info, object]] | None = []

    def __call__(self, info: Info, data: object) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append((info, data))
                return
        self._call(info, data)

    def open(self, past: list[tuple[Info, object]], guarded: Callable[[Callback, Info, object], object]) -> None:
        """Tell the past, then what came meanwhile, then let everything through."""
        told = past
        while True:
            for info, data in told:
                guarded(self._call, info, data)
            with self._lock:
                assert self._held is not None  # opened once
                told, self._held = self._held, []
                if not told:
                    self._held = None
                    return
