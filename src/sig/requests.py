"""Request handlers, and what a request carries from hop to hop: its deadline and how often it was passed on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import partial
from inspect import isasyncgenfunction
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from .callables import check_callable, describe, is_async, is_generator
from .constants import Limits
from .errors import (
    InvalidArgument,
    LoopDetected,
    MethodNotFound,
    RequestCancelled,
    RequestsNotSupported,
    RequestTimeout,
    SigError,
    WouldDeadlock,
)
from .names import check_method
from .promises import UNTYPED, Failed, Kinds, kept, kinds_said
from .runtime import FOREVER, Dropping, Expired, Runtime
from .slots import End, Slots
from .steps import Steps

_DEFAULTS: Final = Limits()

# The first two differ for type checkers: a `dict[str, ...]` is no `Mapping[str | None, ...]` to them.
Requests: TypeAlias = (
    Mapping[str, Callable[..., object]] | Mapping[str | None, Callable[..., object]] | Iterable[Callable[..., object]]
)


class Trail(msgspec.Struct, frozen=True):
    """Where a request under way stands."""

    hops: int
    """How many requests led here; 0 for what only may become one."""
    deadline: float
    dropping: Dropping | None = None
    requester: int | None = None
    """The number of the client that asks; `None` for this process."""


# The request under way here, and the clock of its deadline.
_under_way: ContextVar[tuple[Trail, Callable[[], float]] | None] = ContextVar("sig_request", default=None)


class Request:
    """The request that a handler is answering: what `sig.current_request()` returns. Any thread may hold it."""

    __slots__ = ("_now", "_trail")

    def __init__(self, trail: Trail, now: Callable[[], float]) -> None:
        self._trail = trail
        self._now = now

    @property
    def requester(self) -> int | None:
        """Who asks: the number of a client at the server, as in its `stats()`; `None` for this very process."""
        return self._trail.requester

    @property
    def remaining(self) -> float:
        """For how many seconds the answer is still waited for."""
        return max(0.0, self._trail.deadline - self._now())

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more: given up, the requester gone, or the time over."""
        dropping = self._trail.dropping
        return (dropping is not None and dropping.dropped) or self._now() >= self._trail.deadline

    def check(self) -> None:
        """Raise `RequestCancelled` if nobody waits any more: what a long handler calls now and then."""
        if self.cancelled:
            raise RequestCancelled("nobody waits for the answer to this request any more")

    def __repr__(self) -> str:
        who = "this process" if self.requester is None else f"client {self.requester}"
        return f"<Request of {who}, {'cancelled' if self.cancelled else f'{self.remaining:.3g} s left'}>"


def current_request() -> Request:
    """The request that is being answered here: in its handler, and in whatever that calls on the same thread or task.

    Raises `InvalidArgument` where there is none.
    """
    found = _under_way.get()
    if found is None or not found[0].hops:
        raise InvalidArgument(
            "no request is being answered here: call sig.current_request() in its handler, and hand it to other threads"
        )
    return Request(*found)


def under_way() -> bool:
    """Whether what is asked here is asked on behalf of a request that is under way."""
    return _under_way.get() is not None


@contextmanager
def answering(trail: Trail, now: Callable[[], float]) -> Iterator[None]:
    """While the block runs, that request is under way here."""
    token = _under_way.set((trail, now))
    try:
        yield
    finally:
        _under_way.reset(token)


def inside(trail: Trail, now: Callable[[], float]) -> Context:
    """A context in which that request is under way."""
    context = copy_context()
    context.run(_under_way.set, (trail, now))
    return context


def aside(dropping: Dropping, now: Callable[[], float]) -> Context:
    """The context of a request made here and walked on another thread: part of that under way here, if there is one.

    It is given up with `dropping`, and with what it is part of.
    """
    outer, clock = _under_way.get() or (Trail(0, math.inf), now)
    if outer.dropping is not None:
        outer.dropping.then(dropping.drop)
    context = copy_context()
    context.run(_under_way.set, (Trail(outer.hops, outer.deadline, dropping), clock))
    return context


def next_hop(
    now: float, timeout: float, sender: str, method: str, limits: Limits = _DEFAULTS, *, endless: bool = False
) -> Trail:
    """The trail of a request made now: inside a handler it inherits what is left of that handler's time.

    Raises `LoopDetected` after too many hops, `RequestTimeout` when no time is left, `InvalidArgument` for a timeout
    out of bounds; `endless`: it may be as long as one likes.
    """
    try:
        fits = 0 < timeout <= (math.inf if endless else limits.request_timeout_max_s)
    except TypeError:
        raise InvalidArgument(f"timeout={timeout!r} of request {method!r} is no number of seconds") from None
    if not fits:
        most = "" if endless else f" and at most {limits.request_timeout_max_s:g} seconds"
        raise InvalidArgument(f"timeout={timeout!r} of request {method!r} is out of bounds: above 0{most}")
    found = _under_way.get()
    if found is None:
        return Trail(1, now + timeout)
    outer = found[0]
    if outer.hops >= limits.request_hops:
        raise LoopDetected(
            f"request {method!r} of sender {sender!r} was passed on {outer.hops} times: it goes in circles"
        )
    deadline = min(outer.deadline, now + timeout)
    if deadline <= now:
        raise RequestTimeout(sender, method, timeout)
    return Trail(outer.hops + 1, deadline, outer.dropping)


class Later(NamedTuple):
    """What a handler will answer, when it has been waited for."""

    steps: Steps[object]


class Handler(NamedTuple):
    """One function, and how it is called."""

    function: Callable[..., object]
    call: Callable[..., object]
    """The function, behind what its annotations ask for."""
    waits: bool
    """Whether it is `async def`."""
    whole: bool
    """Whether it is given the method too: the default handler."""
    parts: bool
    """Whether it answers in parts: it is a generator, or an async one."""


class Handlers:
    """The request handlers of one sender.

    `failed` is called with a handler, the method, and why its answer is not what the handler says it is. `slots` say
    how many run at a time; `None` for any number.
    """

    def __init__(
        self,
        requests: Requests | None,
        runtime: Runtime,
        loop: object = None,
        failed: Failed | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._runtime = runtime
        self._failed = failed
        self._slots = slots
        self.loop: object = loop
        """Where `async def` handlers run; `None` as long as nobody asked for one."""
        self.kinds: dict[str | None, Kinds] = {}
        """What their annotations say of parameters and answers, where they say something."""
        self._table: dict[str | None, Handler] | None = None
        if requests is None:
            return
        if callable(requests):
            raise InvalidArgument(f"requests={describe(requests)} is one function: give a list, or a dict of names")
        self._table = {}
        for method, function in requests.items() if isinstance(requests, Mapping) else map(_named, requests):
            self._enter(method, function)

    def _enter(self, method: object, function: Callable[..., object]) -> None:
        assert self._table is not None  # made by the constructor
        name = None if method is None else check_method(method)
        if name in self._table:
            raise InvalidArgument(f"two handlers are named {name!r}: give requests as a dict of names")
        check_callable(function, *(("method", "params") if name is None else ("params",)))
        parts = is_generator(function)
        waits = is_async(function) or isasyncgenfunction(function)
        if waits and self.loop is None:
            self.loop = self._runtime.running_loop()
            if self.loop is None:
                raise InvalidArgument(
                    f"handler {describe(function)} is `async def` and no loop runs here: "
                    "register it inside one, or give loop="
                )
        kinds = kinds_said(function, 1 if name is None else 0)
        if kinds == UNTYPED:
            call = function
        else:
            self.kinds[name] = kinds
            call = kept(function, name, kinds, waits and not parts, self._failed)
        self._table[name] = Handler(function, call, waits, name is None, parts)

    def __bool__(self) -> bool:
        return bool(self._table)

    @property
    def table(self) -> dict[str | None, Callable[..., object]] | None:
        """The handlers by method, `None` for the default handler; `None` instead of it for no requests at all."""
        return None if self._table is None else {name: handler.function for name, handler in self._table.items()}

    @property
    def names(self) -> list[str | None] | None:
        """The methods, `None` for a default handler among them; `None` instead of a list when there are no requests."""
        return None if self._table is None else list(self._table)

    def by_name(self) -> list[tuple[str, Handler]]:
        """All but the default handler."""
        return [(name, handler) for name, handler in (self._table or {}).items() if name is not None]

    def find(self, method: str) -> Handler | None:
        """What answers that method."""
        table = self._table or {}
        return table.get(method) or table.get(None)

    def unknown(self, sender: str, method: str) -> SigError:
        """What to tell who asks for what `find` does not find."""
        return MethodNotFound(sender, method) if self._table else RequestsNotSupported(sender)

    def answer(self, sender: str, method: str, params: object, trail: Trail) -> Steps[object]:
        """Call the handler and return what it returns; raises what it raises, and the errors of `Router.request`."""
        slots = self._slots
        if slots is None or self.find(method) is None:
            answer = self.begin(sender, method, params, trail)
            return (yield from answer.steps) if isinstance(answer, Later) else answer
        self.check_wait(sender, method)
        yield from self._wait_for(slots, sender, method, trail)
        try:
            answer = self.begin(sender, method, params, trail, slots.leave)
        except BaseException:
            slots.leave()
            raise
        if isinstance(answer, Later):
            return (yield from answer.steps)
        slots.leave()
        return answer

    def begin(
        self, sender: str, method: str, params: object, trail: Trail, ended: Callable[[], object] | None = None
    ) -> object:
        """The same up to where it has to be waited for: then `Later`. Takes no slot.

        Of what is `Later`, `ended` is called when the handler has really come to its end, on any thread: that may be
        long after nobody waits for it any more. Else it has when this returns or raises.
        """
        table = self._table
        handler = table.get(method) or table.get(None) if table else None  # as `find`, which is a call
        if handler is None:
            raise self.unknown(sender, method)
        _, call, waits, whole, parts = handler
        if parts:
            sentence = f"request {method!r} of sender {sender!r} answers in parts: take them with stream()"
            raise InvalidArgument(f"{sentence}, or sig request --stream")
        arguments = (method, params) if whole else (params,)
        if waits or self._runtime.elsewhere:
            return Later(self._waiting(sender, method, handler, arguments, trail, ended))
        token = _under_way.set((trail, self._runtime.now))
        try:
            return call(*arguments)
        finally:
            _under_way.reset(token)

    def _wait_for(self, slots: Slots, sender: str, method: str, trail: Trail) -> Steps[None]:
        """Until there is a slot, and it is taken."""
        runtime, who = self._runtime, trail.requester
        turn = runtime.flag()
        go = turn.set  # the very same each time
        if slots.enter(who, go):
            return
        try:
            if self.loop is not None and runtime.would_block(self.loop):  # where one who has a slot may be running
                raise self._deadlock(sender, method)
            if trail.dropping is not None:
                trail.dropping.then(go)
            timeout = trail.deadline - runtime.now()
            yield partial(turn.wait, min(timeout, FOREVER))
        except BaseException:
            if not slots.withdraw(who, go):
                slots.leave()
            raise
        if slots.withdraw(who, go):
            if trail.dropping is not None and trail.dropping.dropped:
                raise RequestCancelled("nobody waits for the answer to this request any more")
            raise RequestTimeout(sender, method, round(timeout, 3))

    def slot(self, sender: str, method: str, trail: Trail, timeout: float) -> Steps[Slots | None]:
        """Take a slot for what `open` returns, where slots are counted; wait so long at most. It has to be left."""
        if self._slots is not None:
            deadline = min(trail.deadline, self._runtime.now() + timeout)
            yield from self._wait_for(self._slots, sender, method, msgspec.structs.replace(trail, deadline=deadline))
        return self._slots

    def open(
        self, sender: str, method: str, params: object, trail: Trail, ended: Callable[[], object] | None = None
    ) -> object:
        """As `begin`, for whoever takes the answer in parts: a generator gives them.

        That has not begun, and takes no slot; `ended` is not called for it.
        """
        handler = self.find(method)
        if handler is None or not handler.parts:
            return self.begin(sender, method, params, trail, ended)
        self.check_wait(sender, method)
        return inside(trail, self._runtime.now).run(handler.call, *((method, params) if handler.whole else (params,)))

    def check_wait(self, sender: str, method: str) -> None:
        """Raise `WouldDeadlock` if who waits here for the answer keeps it from being given."""
        handler = self.find(method)
        if handler is not None and handler.waits and self._runtime.would_block(self.loop):
            raise self._deadlock(sender, method)

    def _deadlock(self, sender: str, method: str) -> WouldDeadlock:
        return WouldDeadlock(
            f"request {method!r} of sender {sender!r} would wait on the loop that has to answer it: "
            "make it from another thread, or await it"
        )

    def _waiting(
        self,
        sender: str,
        method: str,
        handler: Handler,
        arguments: tuple[object, ...],
        trail: Trail,
        ended: Callable[[], object] | None,
    ) -> Steps[object]:
        end = None if ended is None else End(ended)
        call = handler.call if end is None else end.of(handler.call, handler.waits)
        dropping: Dropping | None = None
        if not handler.waits:  # it cannot be cancelled, but told
            dropping = Dropping()
            if trail.dropping is not None:
                trail.dropping.then(dropping.drop)
            trail = msgspec.structs.replace(trail, dropping=dropping)
        token = _under_way.set((trail, self._runtime.now))
        try:
            if dropping is not None:
                try:
                    return (yield partial(self._runtime.call, call, arguments))
                except BaseException:
                    dropping.drop()  # whoever waited may have given up
                    raise
            self.check_wait(sender, method)
            timeout = trail.deadline - self._runtime.now()
            coroutine: Any = call(*arguments)
            try:
                return (yield partial(self._runtime.run, self.loop, coroutine, timeout, trail.dropping))
            except Expired:
                raise RequestTimeout(sender, method, round(timeout, 3)) from None
        finally:
            _under_way.reset(token)
            if end is not None:
                end.here()


def _named(function: Callable[..., object]) -> tuple[str, Callable[..., object]]:
    if isinstance(function, str):
        raise InvalidArgument(f"{function!r} is only a name: give the function, or a dict of names and functions")
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise InvalidArgument(f"{describe(function)} has no name of its own: give requests as a dict of names")
    return name, function
