"""Request handlers, and what a request carries from hop to hop: its deadline and how often it was passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from .callables import check_callable, describe, is_async, is_generator
from .constants import Limits
from .errors import (
    InvalidArgument,
    LoopDetected,
    MethodNotFound,
    RequestFailed,
    RequestsNotSupported,
    RequestTimeout,
    WouldDeadlock,
)
from .kinds import exact, fit, kind_said, shown
from .names import check_method
from .runtime import Dropping, Expired, Runtime
from .steps import Steps

_DEFAULTS: Final = Limits()

# The first two differ for type checkers: a `dict[str, ...]` is no `Mapping[str | None, ...]` to them.
Requests: TypeAlias = (
    Mapping[str, Callable[..., object]] | Mapping[str | None, Callable[..., object]] | Iterable[Callable[..., object]]
)


class Kinds(NamedTuple):
    """The types that a handler's annotations ask for; `None` for any."""

    params: Any = None
    result: Any = None


_UNTYPED: Final = Kinds()

Failed: TypeAlias = Callable[[Callable[..., object], str, Exception], object]


class Trail(NamedTuple):
    """Where a request under way stands."""

    hops: int
    deadline: float
    dropping: Dropping | None = None


_trail: ContextVar[Trail | None] = ContextVar("sig_request", default=None)


def next_hop(now: float, timeout: float, sender: str, method: str, limits: Limits = _DEFAULTS) -> Trail:
    """The trail of a request made now: inside a handler it inherits what is left of that handler's time.

    Raises `LoopDetected` after too many hops, `RequestTimeout` when no time is left, `InvalidArgument` for a timeout
    out of bounds.
    """
    if not 0 < timeout <= limits.request_timeout_max_s:
        raise InvalidArgument(
            f"timeout={timeout!r} of request {method!r} is out of bounds: "
            f"above 0 and at most {limits.request_timeout_max_s:g} seconds"
        )
    outer = _trail.get()
    if outer is None:
        return Trail(1, now + timeout)
    if outer.hops >= limits.request_hops:
        raise LoopDetected(
            f"request {method!r} of sender {sender!r} was passed on {outer.hops} times: it goes in circles"
        )
    deadline = min(outer.deadline, now + timeout)
    if deadline <= now:
        raise RequestTimeout(sender, method, timeout)
    return Trail(outer.hops + 1, deadline, outer.dropping)


@contextmanager
def on_trail(trail: Trail) -> Iterator[None]:
    """What runs inside is part of that request."""
    token = _trail.set(trail)
    try:
        yield
    finally:
        _trail.reset(token)


class Handlers:
    """The request handlers of one sender.

    `failed` is called with a handler, the method, and why its answer is not what the handler says it is.
    """

    def __init__(
        self, requests: Requests | None, runtime: Runtime, loop: object = None, failed: Failed | None = None
    ) -> None:
        self._runtime = runtime
        self._failed = failed
        self.loop: object = loop
        """Where `async def` handlers run; `None` as long as nobody asked for one."""
        self.table: dict[str | None, Callable[..., object]] | None = None
        """The handlers by method, `None` for the default handler; `None` instead of it for no requests at all."""
        self.kinds: dict[str | None, Kinds] = {}
        """What their annotations say of parameters and answers, where they say something."""
        self._called: dict[str | None, Callable[..., Any]] = {}  # the handlers, behind what their annotations ask for
        self._awaited: dict[str | None, bool] = {}
        if requests is None:
            return
        if callable(requests):
            raise InvalidArgument(f"requests={describe(requests)} is one function: give a list, or a dict of names")
        self.table = {}
        for method, function in requests.items() if isinstance(requests, Mapping) else map(_named, requests):
            self._enter(method, function)

    def _enter(self, method: object, function: Callable[..., object]) -> None:
        assert self.table is not None  # made by the constructor
        name = None if method is None else check_method(method)
        if name in self.table:
            raise InvalidArgument(f"two handlers are named {name!r}: give requests as a dict of names")
        check_callable(function, *(("method", "params") if name is None else ("params",)))
        self._awaited[name] = is_async(function)
        if self._awaited[name] and self.loop is None:
            self.loop = self._runtime.running_loop()
            if self.loop is None:
                raise InvalidArgument(
                    f"handler {describe(function)} is `async def` and no loop runs here: "
                    "register it inside one, or give loop="
                )
        self.table[name] = function
        kinds = Kinds(kind_said(function, 1 if name is None else 0), kind_said(function, None))
        if kinds == _UNTYPED or is_generator(function):
            self._called[name] = function
        else:
            self.kinds[name] = kinds
            self._called[name] = self._typed(name, function, kinds)

    def _typed(self, name: str | None, function: Callable[..., Any], kinds: Kinds) -> Callable[..., Any]:
        """The handler between what makes its parameters fit, and what looks at its answer."""
        wanted, promised = exact(kinds.params), exact(kinds.result)

        def taken(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            *before, params = arguments
            if kinds.params is None or type(params) is wanted:
                return arguments
            try:
                return (*before, fit(params, kinds.params))
            except msgspec.ValidationError as error:
                method = name or before[0]
                sentence = f"request {method!r} takes {shown(kinds.params)}: {error}"
                raise RequestFailed(sentence, code="invalid_params") from None

        def given(answer: Any, arguments: tuple[Any, ...]) -> Any:
            if kinds.result is None or type(answer) is promised:
                return answer
            try:
                return fit(answer, kinds.result)
            except msgspec.ValidationError as error:
                method = name or arguments[0]
                wrong = TypeError(
                    f"handler {describe(function)} of request {method!r} says that it answers with "
                    f"{shown(kinds.result)}: {error}"
                )
                if self._failed is not None:
                    self._failed(function, method, wrong)
                raise wrong from None

        async def answer_later(*arguments: Any) -> Any:
            return given(await function(*taken(arguments)), arguments)

        def answer(*arguments: Any) -> Any:
            return given(function(*taken(arguments)), arguments)

        return answer_later if self._awaited[name] else answer

    def __bool__(self) -> bool:
        return bool(self.table)

    @property
    def names(self) -> list[str | None] | None:
        """The methods, `None` for a default handler among them; `None` instead of a list when there are no requests."""
        return None if self.table is None else list(self.table)

    def answer(self, sender: str, method: str, params: object, trail: Trail) -> Steps[object]:
        """Call the handler and return what it returns; raises what it raises, and the errors of `Router.request`."""
        if not self.table:
            raise RequestsNotSupported(sender)
        entry, arguments = (method, (params,)) if method in self.table else (None, (method, params))
        handler = self._called.get(entry)
        if handler is None:
            raise MethodNotFound(sender, method)
        with on_trail(trail):
            if not self._awaited[entry]:
                if self._runtime.elsewhere:
                    return (yield partial(self._runtime.call, handler, arguments))
                return handler(*arguments)
            if self._runtime.would_block(self.loop):
                raise WouldDeadlock(
                    f"request {method!r} of sender {sender!r} would wait on the loop that has to answer it: "
                    "make it from another thread, or await it"
                )
            timeout = trail.deadline - self._runtime.now()
            coroutine: Any = handler(*arguments)
            try:
                return (yield partial(self._runtime.run, self.loop, coroutine, timeout, trail.dropping))
            except Expired:
                raise RequestTimeout(sender, method, round(timeout, 3)) from None


def _named(function: Callable[..., object]) -> tuple[str, Callable[..., object]]:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise InvalidArgument(f"{describe(function)} has no name of its own: give requests as a dict of names")
    return name, function
