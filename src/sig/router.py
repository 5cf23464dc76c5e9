"""The router of the blocking face, complete by itself in one process: every verb returns when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Self, TypeVar, overload

from .alias import alias
from .call import Call
from .callables import describe
from .contract import Contract
from .errors import InvalidArgument
from .gather import gathering
from .hub import Hub, Name, name_of
from .info import Received, Reply, SenderInfo
from .iterators import Events
from .requests import Requests, aside, under_way
from .runtime import Dropping
from .sender import Sender, SenderView
from .stats import Stats
from .steps import walk
from .streams import Stream, streaming
from .subscription import DEFAULTS, Callback, Options, Subscription

F = TypeVar("F", bound=Callback)
C = TypeVar("C", bound=Contract)


class Router(Hub):
    """Ties senders and listeners of this process together; every method may be called from any thread.

    A trigger calls the listeners on the triggering thread, before it returns. What a listener does in turn (trigger,
    register, remove, close) happens at once, before the listeners behind it are called. One thing waits: what concerns
    a sender whose `#connect` or `#disconnect` is being told follows behind it, on the thread that tells.

    `executor` runs listeners with a `queue=` (default: eight threads, made when needed); `clock` is an object with
    `now() -> float` and `wall() -> float`, for tests. The three classes are the extension points of pysig 0.7.
    """

    _sender_class = Sender

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
    ) -> Subscription:
        """Register `callback(info, data)`; it may be `async def`. Works before, while and after the sender is there.

        Args:
            callback: called with an `Info` and the data. One registration is called once for each event.
            sender: a name, a pattern (`*` is one level, `**` the rest), or `None` for any.
            event: the same.
            type: convert the data into this type first (a msgspec Struct, dataclass, TypedDict, ...); what does not
                fit goes to `on_error` as `InvalidData`. Default: what the second parameter is annotated with.
            group: name of a group; each event goes to exactly one live member of it.
            initial: first tell a `#connect` for each matching sender that is there, and its retained values.
            once: close after the first event.
            weak: do not keep the object of a bound method alive; it is closed when the object goes.
            meta: an `info` of its own for each event, with `seq`, `time` and `incarnation`.
            queue: give the listener a queue of that many events, and run it serially in the router's executor.
            when_full: what a full queue does: `drop_oldest`, `drop_newest`, `latest` (keep one for each sender and
                event), `block` (the trigger waits up to `max_wait` seconds), `disconnect` (close the subscription).
            executor: run the listener serially there: anything with `submit`, or a function that posts a function.
            loop: the event loop of an `async def` callback; default: the one running here.
            on_gap: called as `on_gap(info, gap)` where events were lost; otherwise a warning is logged.

        Raises:
            TypeError: the callback cannot be called with (info, data).
            InvalidName: sender or event is neither a name nor a pattern.
            InvalidArgument: an option that makes no sense.
            Closed: the router has been closed.
        """
        options = Options(
            type, group, initial, once, weak, meta, queue, when_full, max_wait, executor, loop, on_gap
        )  # fmt: skip
        return walk(self._listening(callback, sender, event, DEFAULTS if options == DEFAULTS else options))

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
    ) -> Events:
        """Take events one by one: `for info, data in router.events("lab/*"): ...`.

        Arguments as `listen`; with `gaps=True` lost events are told in their place, as a `Received` with a `Gap`.
        The queue holds 65,536 events, or `queue`.
        """
        options = Options(type, group, initial, once, False, meta, queue, when_full, max_wait, None, None, on_gap)
        steps = self._entering(partial(Events, self, gaps), sender, event, options)
        events: Events = walk(steps)
        return events

    def on(self, sender: Name | None = None, event: str | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator: register the function as a listener and return it unchanged; options as in `listen`."""
        if callable(sender):
            raise InvalidArgument(f"write @router.on(...) with parentheses above {describe(sender)}")

        def register(callback: F) -> F:
            self.listen(callback, sender, event, **options)
            return callback

        return register

    def listen_all(self, thing: object, **options: Any) -> Subscription:
        """Register every method of an object that is marked with `sig.on`, or every function of a module or class.

        All of them or none: if one cannot be registered, those before it are closed, and its error is raised.

        Args:
            thing: an object, a module or a class; or a single function. Of a module, the functions defined in it.
            options: as in `listen`, for marks that do not name them themselves.

        Returns:
            One handle for all: `close()` ends them together, `received`, `missed` and `pending` are sums.

        Raises:
            InvalidArgument: nothing in there is marked; or as `listen`, whose other errors are raised too.
        """
        return walk(self._listening_all(thing, options))

    def add_listener(self, listener: Callback, sender: Name | None = None, event: str | None = None) -> bool:
        """Register a listener as pysig 0.7 did: false for an event that a connected sender does not offer.

        The listener is registered all the same and hears it once some sender of that name offers it.
        """
        walk(self._listening(listener, sender, event, DEFAULTS))
        return walk(self._offers(name_of(sender), event))

    def remove_listener(self, listener: Callback, sender: Name | None = None, event: str | None = None) -> bool:
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
    ) -> C: ...

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
    ) -> Sender: ...

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
    ) -> Sender | Contract:
        """Register a sender, tell its presence, and return it: trigger on it, and leave with `remove()` or `with`.

        Args:
            sender: its name; one sender holds it at a time.
            events: what it will trigger: one name or several, or a mapping of names to types of data. Data of an event
                with a type is made to fit when it is triggered; `InvalidData` where it cannot be. Or a contract,
                which says all of it, and is returned.
            requests: what it answers: `{method: handler(params)}`, where the key `None` is a default
                `handler(method, params)`; or functions, named by their `__name__`. Handlers may be `async def`.
                Annotations of the parameters and of the answer are types, and checked.
            retain: the events whose last value is kept for `initial=True` listeners and `last`, or true for all.
            loop: the event loop of `async def` handlers; default: the one running here.
            max_concurrent: so many requests to it are answered at a time; default: any number. The others wait, by
                turns of those who ask, up to `requests_in` of the limits; beyond that they are told `Overloaded`. One
                whose requester has given up counts until its handler has ended.
            shared: others may register the name too, if they say so as well. `#connect` is told of the first of them,
                `#disconnect` of the last; a request goes to the one who is answering least.

        Raises:
            SenderAlreadyConnected: somebody holds the name, and one of the two does not share it.
            InvalidName: a name that cannot be one.
            InvalidArgument: neither events nor requests; or a `max_concurrent` that is no number above zero.
            TypeError: a handler that cannot be called with (params).
            Closed: the router has been closed.
        """
        made: Sender | Contract = walk(self._adding(sender, events, requests, retain, loop, max_concurrent, shared))
        return made

    def remove_sender(self, sender: Name) -> bool:
        """Let a sender of this router leave; false if it is not connected. Its listeners stay registered.

        A `Sender` that has left does not take another of its name with it.
        """
        return walk(self._removing(sender))

    def sender(self, name: str) -> SenderView:
        """A view of a sender by its name, whether or not it is there. No I/O."""
        return SenderView(self, name)

    def get_sender(self, sender: str, create: bool = False) -> Sender | None:
        """The sender of that name in this router; an unconnected one for a name that has only listeners, else `None`.

        `create=True` makes an unconnected one. No I/O.
        """
        found: Sender | None = self._get_sender(sender, create)
        return found

    def senders(self, pattern: str | None = None) -> list[SenderInfo]:
        """The senders that are connected, in order of their arrival; only those that match, with a pattern or name."""
        return walk(self._listing(pattern))

    def stats(self, limit: int = 100) -> Stats:
        """What goes on: links, events of senders, this router's listeners, and sums; of each at most `limit` rows.

        A client asks its server. Counts are of reads, frames and batches: nothing is counted event by event for this.
        """
        return walk(self._measuring(limit))

    def last(self, sender: Name, event: str) -> Received | None:
        """The last value of a retained event; `None` if there is none (yet, or because nobody retains it)."""
        return walk(self._recalling(sender, event))

    # Requests

    def request(
        self, sender: Name, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Any:
        """Ask a sender and wait for its answer, which may be `None`. The handler runs here, on this thread.

        Args:
            sender: its name, or a view.
            method: the request's name.
            params: what the handler is given.
            type: convert the answer into this type.
            timeout: seconds, 30 by default. Nested requests share what is left of it. A plain `def` handler in the
                same process cannot be interrupted: the timeout acts on `async def` handlers and nested requests.

        Raises:
            SenderNotConnected, MethodNotFound, RequestsNotSupported: there is nobody to answer.
            RequestTimeout, RequestCancelled, LoopDetected: there will be no answer.
            InvalidData: the answer does not fit `type`.
            WouldDeadlock: the answer would have to come from the loop that waits here.
            Exception: whatever the handler raised.
        """
        return walk(self._requesting(sender, method, params, type, timeout))

    def request_all(
        self, pattern: str | None, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> list[Reply]:
        """Ask every sender that matches now, all at once, and wait until all have answered or the time is over.

        Args:
            pattern: a pattern, a name, or `None` for every sender.
            method, params, type: as in `request`, the same for all.
            timeout: seconds for all of them together, 30 by default.

        Returns:
            A `Reply` of each of them, in the order of their names: its `value`, or as its `error` what `request` would
            have raised. One that does not answer that method is among them; nobody at all is an empty list.

        Raises as `request` does for bad arguments, and for a link that is down when it begins.
        """
        return walk(gathering(self, pattern, method, params, type, timeout))

    def start_request(
        self, sender: Name, method: str, params: object = None, *, type: Any = None, timeout: float | None = None
    ) -> Call:
        """Ask a sender without waiting: returns a `Call`, a future of the answer. Arguments as `request`.

        Raises at once what is known at once: bad arguments, no link, too many requests under way (`Overloaded`). In a
        plain `Router` the handler runs in the executor.
        """
        call = Call(self._runtime.submit)
        call.begun(self._start_request(sender, method, params, type, timeout, call.answered))
        return call

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
        """Ask a sender whose handler is a generator: `with router.stream(...) as parts: for part in parts: ...`.

        What the handler returns behind its last part is `parts.result`. It is ahead of whoever takes its parts by
        256 KiB of them at most (each counts 64 bytes more than its data); in a plain `Router` it runs here, and is not.
        Leaving the block early closes it. A handler that is no generator gives no parts, and its answer is the result.

        Args:
            sender, method, params: as in `request`.
            type: convert each part into this type.
            timeout: seconds for all of it; by default there is no limit.
            idle: seconds for each part, 30 by default, while somebody waits for it; `RequestTimeout` is raised then. A
                `def` handler in the same process cannot be interrupted.

        Raises as `request`: what is known at once at once, everything else where the next part is asked for.
        """
        return streaming(Stream, self, sender, method, params, type, timeout, idle)

    # Life

    def flush(self, timeout: float | None = None) -> None:
        """Return when everything triggered so far has been routed: at once in one process, else when the server has.

        What was lost with a link is gone once the client is back: its listeners are told, and not who flushes then.

        Raises `ConnectionLost` when that cannot be known any more: within `timeout` seconds (30 by default), or ever.
        """
        walk(self._flushing(timeout))

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the router is closed: true, or false after `timeout` seconds. The loop of a service.

        Raises `ConnectionLost` when the link to the server is lost.
        """
        return walk(self._waiting(timeout))

    def close(self, timeout: float | None = None) -> None:
        """Let all senders leave and listeners finish what is queued (for `timeout` seconds, 5 by default), and end.

        Idempotent; may be called from any thread, from inside a listener or handler too: then listeners are given no
        more. Does not flush: `flush` and `with` do. Afterwards every verb raises `Closed`.
        """
        walk(self._closing_down(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        walk(self._exiting(error[0] is None))

    # Within

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
        dropping = Dropping()
        context = aside(dropping, self._runtime.now)

        def work() -> None:
            try:
                if not dropping.dropped:
                    done(context.run(walk, steps), None)
            except BaseException as error:
                done(None, error)

        self._runtime.submit(work, beyond=under_way())
        return dropping.drop

    # The names of pysig 0.7. Kept for good; see docs/reference/names.
    addSender: Final = alias(add_sender)
    getSender: Final = alias(get_sender)
    removeSender: Final = alias(remove_sender)
    addListener: Final = alias(add_listener)
    removeListener: Final = alias(remove_listener)
