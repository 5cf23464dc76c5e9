"""The router of the asyncio face, complete by itself in one process: the verbs of `sig.Router`, awaited where need be.

Everything happens on the loop that runs where the router is first used; only `Subscription` may be used from anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Self, TypeVar, overload

from sig.callables import describe
from sig.contract import Contract
from sig.drivers.running import LoopRuntime
from sig.errors import InvalidArgument
from sig.gather import gathering
from sig.hub import Hub, Name, name_of
from sig.info import Received, Reply, SenderInfo
from sig.log import logger
from sig.requests import Requests
from sig.runtime import Runtime
from sig.sender import Event
from sig.stats import Stats
from sig.steps import Steps, walk_awaiting
from sig.streams import streaming
from sig.subscription import DEFAULTS, Callback, Options, Subscription

from .call import Call
from .iterators import Events, PendingEvents
from .pending import Pending
from .sender import Sender, SenderView, Signal
from .streams import Stream

F = TypeVar("F", bound=Callback)
C = TypeVar("C", bound=Contract)
T = TypeVar("T")


class Router(Hub):
    """Ties senders and listeners together, in asyncio; see `sig.Router` for what each verb promises.

    `def` listeners are called on the loop, before a trigger returns; `async def` ones each in a task of its own, in
    order. `executor` runs `def` request handlers and listeners with a `queue=` elsewhere.
    """

    runtime_class: Callable[..., Runtime] = LoopRuntime
    _runtime: LoopRuntime
    _sender_class = Sender

    def __init__(
        self,
        *,
        executor: object = None,
        clock: object = None,
        class_sender: type[Sender] = Sender,
        class_event: type[Event] = Event,
        class_signal: type[Signal] = Signal,
    ) -> None:
        super().__init__(
            executor=executor,
            clock=clock,
            class_sender=class_sender,
            class_event=class_event,
            class_signal=class_signal,
        )

    # Listening

    def listen(
        self,
        callback: Callback,
        sender: Name | None = None,
        event: str | None = None,
        *,
        type: Any = None,
        group: str | None = None,
        initial: bool = False,
        once: bool = False,
        weak: bool = False,
        meta: bool = False,
        queue: int | None = None,
        when_full: str = "drop_oldest",
        max_wait: float = 5,
        executor: Any = None,
        loop: Any = None,
        on_gap: Callable[..., object] | None = None,
    ) -> Pending[Subscription]:
        """Register `callback(info, data)`, a `def` or an `async def`; arguments and errors as `sig.Router.listen`."""
        options = Options(
            type, group, initial, once, weak, meta, queue, when_full, max_wait, executor, loop, on_gap
        )  # fmt: skip
        return self._pending(self._listening(callback, sender, event, DEFAULTS if options == DEFAULTS else options))

    def events(
        self,
        sender: Name | None = None,
        event: str | None = None,
        *,
        type: Any = None,
        group: str | None = None,
        initial: bool = False,
        once: bool = False,
        meta: bool = False,
        queue: int | None = None,
        when_full: str = "drop_oldest",
        max_wait: float = 5,
        on_gap: Callable[..., object] | None = None,
        gaps: bool = False,
    ) -> PendingEvents:
        """Take events one by one: `async for info, data in router.events("lab/*"): ...`.

        Arguments as `listen`; with `gaps=True` lost events are told in their place, as a `Received` with a `Gap`.
        The queue holds 65,536 events, or `queue`.
        """
        options = Options(type, group, initial, once, False, meta, queue, when_full, max_wait, None, None, on_gap)
        steps = self._entering(partial(Events, self, gaps), sender, event, options)
        return PendingEvents(walk_awaiting(steps))

    def on(self, sender: Name | None = None, event: str | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator: register the function as a listener and return it unchanged; options as in `listen`.

        It does not wait: over a link the server may not know yet. What goes wrong later is logged.
        """
        if callable(sender):
            raise InvalidArgument(f"write @router.on(...) with parentheses above {describe(sender)}")

        def register(callback: F) -> F:
            chosen = Options(**options)
            self._soon(self._listening(callback, sender, event, DEFAULTS if chosen == DEFAULTS else chosen))
            return callback

        return register

    def listen_all(self, thing: object, **options: Any) -> Pending[Subscription]:
        """Register all that is marked with `sig.on` in an object, module or class; see `sig.Router.listen_all`."""
        return self._pending(self._listening_all(thing, options))

    async def add_listener(self, listener: Callback, sender: Name | None = None, event: str | None = None) -> bool:
        """Register a listener: false for an event that a connected sender does not offer."""
        subscription = await walk_awaiting(self._listening(listener, sender, event, DEFAULTS))
        try:
            return await walk_awaiting(self._offers(name_of(sender), event))
        except BaseException:  # whoever asked will never know that it was registered
            subscription.close()
            raise

    async def remove_listener(self, listener: Callback, sender: Name | None = None, event: str | None = None) -> bool:
        """Take out a listener registered for exactly this sender and event; false if there is none."""
        return self._unlisten(listener, sender, event)

    # Sending

    @overload
    def add_sender(
        self,
        sender: str,
        events: C,
        *,
        retain: bool | Iterable[str] = (),
        loop: Any = None,
        max_concurrent: int | None = None,
        shared: bool = False,
    ) -> Pending[C]: ...

    @overload
    def add_sender(
        self,
        sender: str,
        events: str | Iterable[str] | Mapping[str, object] = (),
        requests: Requests | None = None,
        *,
        retain: bool | Iterable[str] = (),
        loop: Any = None,
        max_concurrent: int | None = None,
        shared: bool = False,
    ) -> Pending[Sender]: ...

    def add_sender(
        self,
        sender: str,
        events: str | Iterable[str] | Mapping[str, object] | Contract = (),
        requests: Requests | None = None,
        *,
        retain: bool | Iterable[str] = (),
        loop: Any = None,
        max_concurrent: int | None = None,
        shared: bool = False,
    ) -> Pending[Any]:
        """Register a sender; arguments and errors as `sig.Router.add_sender`."""
        return self._pending(self._adding(sender, events, requests, retain, loop, max_concurrent, shared))

    async def remove_sender(self, sender: Name) -> bool:
        """Let a sender of this router leave; false if it is not connected. Its listeners stay registered."""
        return await walk_awaiting(self._removing(sender))

    def sender(self, name: str) -> SenderView:
        """A view of a sender by its name, whether or not it is there. No I/O."""
        return SenderView(self, name)

    def get_sender(self, sender: str, create: bool = False) -> Sender | None:
        """The sender of that name in this router; an unconnected one for a name that has only listeners, else `None`.

        `create=True` makes an unconnected one. No I/O.
        """
        found: Sender | None = self._get_sender(sender, create)
        return found

    async def senders(self, pattern: str | None = None) -> list[SenderInfo]:
        """The senders that are connected, in order of their arrival; only those that match, with a pattern or name."""
        return await walk_awaiting(self._listing(pattern))

    async def stats(self, limit: int = 100) -> Stats:
        """As `sig.Router.stats`."""
        return await walk_awaiting(self._measuring(limit))

    async def last(self, sender: Name, event: str) -> Received | None:
        """The last value of a retained event; `None` if there is none (yet, or because nobody retains it)."""
        return await walk_awaiting(self._recalling(sender, event))

    # Requests

    async def request(
        self, sender: Name, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Any:
        """Ask a sender and await its answer, which may be `None`; arguments and errors as `sig.Router.request`.

        Cancelling the task that awaits cancels the request: an `async def` handler is cancelled in turn.
        """
        return await walk_awaiting(self._requesting(sender, method, params, type, timeout))

    async def request_all(
        self, pattern: str | None, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> list[Reply]:
        """Ask every sender that matches now, all at once; arguments and answer as `sig.Router.request_all`.

        Cancelling the task that awaits cancels the requests that are still under way.
        """
        return await walk_awaiting(gathering(self, pattern, method, params, type, timeout))

    def start_request(
        self, sender: Name, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Ask a sender without waiting; the future gets the answer or the error, and cancelling it the request.

        Raises at once what is known at once: bad arguments, no link, too many requests under way.
        """
        return self._call(sender, method, params, type, timeout)

    def stream(
        self,
        sender: Name,
        method: str,
        params: object = None,
        *,
        type: Any = None,
        timeout: float | None = None,
        idle: float | None = None,
    ) -> Stream:
        """Ask a sender whose handler is a generator: `async with router.stream(...) as parts: async for part in parts`.

        Arguments, errors and what it promises as `sig.Router.stream`. Cancelling the task that waits for a part ends
        the stream.
        """
        return streaming(Stream, self, sender, method, params, type, timeout, idle)

    # Life

    async def flush(self, timeout: float | None = None) -> None:
        """Return when everything triggered so far has been routed; errors as `sig.Router.flush`."""
        await walk_awaiting(self._flushing(timeout))

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until the router is closed: true, or false after `timeout` seconds. The loop of a service."""
        return await walk_awaiting(self._waiting(timeout))

    async def close(self, timeout: float | None = None) -> None:
        """Let all senders leave and listeners finish what is queued (for `timeout` seconds, 5 by default), and end."""
        await walk_awaiting(self._closing_down(timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await walk_awaiting(self._exiting(error[0] is None))

    # Within

    def _call(self, sender: Name, method: str, params: object, type: Any, timeout: float | None) -> Call:
        call = Call(loop=self._runtime.loop)
        call.begun(self._start_request(sender, method, params, type, timeout, call.answered))
        return call

    def _pending(self, steps: Steps[T]) -> Pending[T]:
        return Pending(walk_awaiting(steps))

    async def _drain(self) -> None:
        """There is always room where nothing is sent."""

    def _soon(self, steps: Steps[Any]) -> None:
        """Carry a verb out without waiting: at once as far as that goes, the rest in a task."""
        try:
            wait = next(steps)
        except StopIteration:
            return

        async def rest() -> None:
            try:
                await walk_awaiting(steps, wait)
            except Exception as error:
                logger.error(f"a listener could not be registered: {error}")

        self._runtime.spawn(self._runtime.loop, rest)

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
        self._check_start(sender, method, type, timeout)
        steps = self._requesting(sender, method, params, type, timeout, instance)

        async def ask() -> None:
            try:
                done(await walk_awaiting(steps), None)
            except Exception as error:
                done(None, error)

        return _task(self._runtime.loop, ask()).cancel


def _task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = loop.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


_tasks: set[asyncio.Task[None]] = set()  # a loop keeps only weak references to its tasks
