"""Contracts: what a sender offers, written as a class. Its owner fills it in, and callers get a proxy of the same type.

A class that names `Contract` among its bases is a contract, and so are those above it that do: their annotations with
`EventOf` are events, their public methods are requests. What a class derived from one adds is its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import aclosing
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Self, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from .callables import found_at_run_time, is_async, is_generator
from .errors import Denied, InvalidArgument
from .info import Info, info_of
from .kinds import is_kind, schema_of
from .promises import in_parts
from .schema import difference
from .signal import Signal

if TYPE_CHECKING:
    from .iterators import Events
    from .sender import Owned, SenderView, View
    from .subscription import Subscription

T = TypeVar("T")
C = TypeVar("C", bound="Contract")


class EventOf(Generic[T]):
    """An event of a contract: `changed: sig.EventOf[Reading]`. Its owner triggers it, and everybody may listen."""

    def __init__(self, view: View, name: str, kind: Any, signal: Signal | None) -> None:
        self._view: Any = view  # of either face
        self._signal = signal
        self.name: str = name
        self.kind: Any = kind
        """The type of the data; `None` for any."""

    @property
    def trigger(self) -> Callable[[T], None]:
        """The owner's `trigger` of this event, see `Signal.trigger`; may be kept. `Denied` for everybody else."""
        if self._signal is None:
            raise Denied(f"only the owner of sender {self._view.name!r} may trigger {self.name!r}")
        return self._signal.trigger

    def listen(self, callback: Callable[[Info, T], object], **options: Any) -> Subscription:
        """Register a listener, which gets data of that type; options as in `Router.listen`."""
        subscription: Subscription = self._view.listen(callback, self.name, **self._typed(options))
        return subscription

    def on(self, **options: Any) -> Callable[[Callable[[Info, T], object]], Callable[[Info, T], object]]:
        """Decorator: register a listener; see `listen`."""
        register: Callable[[Any], Any] = self._view.on(self.name, **self._typed(options))
        return register

    def events(self, **options: Any) -> Events:
        """Take the events one by one; options as in `Router.events`."""
        events: Events = self._view.events(self.name, **self._typed(options))
        return events

    def _typed(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"type": self.kind, **options}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self._view.name!r}>"


class Contract:
    """Base of classes that say what a sender offers.

    `router.add_sender(name, Thermostat())` makes a sender of an object, and returns it: from then on it can trigger its
    events, and its methods answer requests, with their parameters by name. `view.typed(Thermostat)` is a proxy.
    """

    sender: SenderView
    """The sender by which it is known at its router; of a proxy, the view that it stands on."""
    _sig_root = True
    _sig_terms: Terms | None = None  # of this very class, once somebody has asked
    _sig_proxy: type[Contract] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave."""
        self.sender.router.remove_sender(self.sender)


def _missing(self: Contract, name: str) -> Any:
    mine = type(self).__name__
    if name == "sender" or (not name.startswith("_") and name in terms_of(type(self)).events):
        raise AttributeError(f"this {mine} is no sender yet: give it to add_sender first", name=name, obj=self)
    raise AttributeError(f"{mine!r} object has no attribute {name!r}", name=name, obj=self)


# Not in the class: for checkers, every name would be right there.
Contract.__getattr__ = _missing  # type: ignore[attr-defined]


class Asked(NamedTuple):
    """One request of a contract."""

    signature: inspect.Signature
    params: Any
    """The type as which its parameters travel: an object of them by name, or null."""
    result: Any
    parts: Any = None
    """The type of the parts, if the answer comes in parts; then the result is what stands behind them."""
    awaited: bool = False
    """Whether the parts are awaited."""


class Terms(NamedTuple):
    """What a contract says."""

    events: Mapping[str, tuple[type[EventOf[Any]], Any]]
    requests: Mapping[str, Asked]


def terms_of(contract: type[Contract]) -> Terms:
    """What a contract says. Raises `InvalidArgument` where that cannot be told to others."""
    found: Terms | None = vars(contract).get("_sig_terms")
    if found is None:
        found = contract._sig_terms = _terms(contract)
    return found


def _terms(contract: type[Contract]) -> Terms:
    events: dict[str, tuple[type[EventOf[Any]], Any]] = {}
    requests: dict[str, Asked] = {}
    for part in reversed(contract.__mro__):
        if not any("_sig_root" in vars(base) for base in part.__bases__):
            continue
        for name, said in inspect.get_annotations(part).items():
            event = _event(part, name, said)
            if event is not None:
                events[name] = event
        for name, member in vars(part).items():
            if isinstance(member, FunctionType) and not name.startswith("_"):
                requests[name] = _asked(part, name, member)
    if "sender" in events or "sender" in requests:
        raise InvalidArgument(f"{contract.__qualname__}.sender has a name that contracts have already: choose another")
    return Terms(events, requests)


def _event(part: type, name: str, said: object) -> tuple[type[EventOf[Any]], Any] | None:
    try:
        found = found_at_run_time(said, vars(sys.modules[part.__module__]))
    except Exception as error:  # annotations are code of the user's
        if "EventOf" not in str(said):
            return None
        raise _not_found(f"{part.__qualname__}.{name}", error) from error
    kind = get_origin(found) or found
    if not (isinstance(kind, type) and issubclass(kind, EventOf)):
        return None
    [data] = get_args(found) or [None]
    return kind, data


def _asked(part: type, name: str, function: FunctionType) -> Asked:
    where = f"{part.__qualname__}.{name}"
    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    fields: list[Any] = []
    try:
        for one in parameters:
            kind = Any if one.annotation is one.empty else found_at_run_time(one.annotation, function.__globals__)
            optional = one.default is not one.empty
            fields.append((one.name, Union[kind, UnsetType], UNSET) if optional else (one.name, kind))  # noqa: UP007
        said = signature.return_annotation
        result = Any if said is signature.empty else found_at_run_time(said, function.__globals__)
    except Exception as error:
        raise _not_found(where, error) from error
    for one in parameters:
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise InvalidArgument(f"parameter {one} of {where} has no name to travel by: make it an ordinary one")
    params: Any = type(None)
    if fields:
        params = msgspec.defstruct("Parameters", fields, kw_only=True, forbid_unknown_fields=True)
        params = params | None if all(len(field) == 3 for field in fields) else params
    parts, awaited = None, inspect.isasyncgenfunction(function)
    said_of_parts = in_parts(result, generator=is_generator(function))
    if said_of_parts is not None:
        if is_async(function):
            raise InvalidArgument(f"{where} is awaited for parts that are awaited: write it with def, or with a yield")
        parts, result, awaited = said_of_parts
    elif is_generator(function):
        parts, result = Any, Any
    for kind, what in ((params, "parameters"), (result, "answer"), (parts, "parts of the answer")):
        if kind is not Any and kind is not None and not is_kind(kind):
            raise InvalidArgument(f"the {what} of {where} have types without a form in JSON: name others")
    return Asked(signature, params, result, parts, awaited)


def _not_found(where: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(
        f"the types of {where} cannot be found at run time ({error}): define or import them where its module begins"
    )


# The owner's side


def offer(contract: Contract) -> tuple[dict[str, Any], dict[str, Callable[..., object]]]:
    """Its events with their types, and its handlers. Raises `InvalidArgument` if it is a sender already."""
    held = vars(contract).get("sender")
    if held is not None and held.connected:
        raise InvalidArgument(f"this {type(contract).__name__} is sender {held.name!r} already: make another")
    terms = terms_of(type(contract))
    handlers = {name: _handler(getattr(contract, name), asked) for name, asked in terms.requests.items()}
    return {name: kind for name, (_, kind) in terms.events.items()}, handlers


def _handler(method: Callable[..., Any], asked: Asked) -> Callable[..., object]:
    """What takes the parameters as they travel, and says what they are."""
    names = [name for name, _ in list(asked.signature.parameters.items())[1:]]

    def given(params: Any) -> dict[str, Any]:
        found = {} if params is None else {name: getattr(params, name) for name in names}
        return {name: value for name, value in found.items() if value is not UNSET}

    async def answer_later(params: Any) -> Any:
        return await method(**given(params))

    def answer(params: Any) -> Any:
        return method(**given(params))

    def give(params: Any) -> Generator[Any, None, Any]:
        return (yield from method(**given(params)))

    async def give_later(params: Any) -> AsyncIterator[Any]:
        async with aclosing(method(**given(params))) as parts:
            async for part in parts:
                yield part

    handler: Any = answer_later if is_async(method) else answer
    result: Any = asked.result
    if asked.parts is not None:
        # An owner may be of the other face than the contract.
        awaited = inspect.isasyncgenfunction(method) or (asked.awaited and not inspect.isgeneratorfunction(method))
        handler = give_later if awaited else give
        gives: Any = AsyncGenerator if awaited else Generator
        result = gives[asked.parts, None] if awaited else gives[asked.parts, None, result]
    handler.__annotations__ = {"params": asked.params, "return": result}
    handler.__module__, handler.__qualname__ = method.__module__, method.__qualname__
    return cast("Callable[..., object]", handler)


def bind(contract: Contract, sender: Owned) -> None:
    """Let it trigger the events of this sender."""
    for name, (event, kind) in terms_of(type(contract)).events.items():
        vars(contract)[name] = event(sender, name, kind, sender._signals[name])
    vars(contract)["sender"] = sender


def unbind(contract: Contract) -> None:
    """It is no sender after all."""
    for name in (*terms_of(type(contract)).events, "sender"):
        vars(contract).pop(name, None)


# The callers' side


def proxy(view: View, contract: type[C], timeout: float | None) -> C:
    """An object whose methods ask that sender, and whose events are listened to there."""
    if not (isinstance(contract, type) and issubclass(contract, Contract)):
        raise InvalidArgument(f"{contract!r} is not a contract: give a class derived from sig.Contract")
    if "_sig_proxy" not in vars(contract):
        contract._sig_proxy = _proxy_class(contract)
    made: Any = object.__new__(vars(contract)["_sig_proxy"])
    for name, (event, kind) in terms_of(contract).events.items():
        vars(made)[name] = event(view, name, kind, None)
    vars(made).update(sender=view, _sig_timeout=timeout, _sig_compared=_compare(view, contract))
    return cast("C", made)


_COMPARED: Final = (
    ("params", "takes other parameters than"),
    ("result", "answers with other data than"),
    ("parts", "answers with other parts than"),
)


def _compare(view: Any, contract: type[Contract]) -> bool:
    """Tell, once, which requests of the sender are other than the contract says; false if that is not known yet."""
    told: object = view._router._requests_told(view.name)
    for name, asked in terms_of(contract).requests.items():
        there = told.get(name) if isinstance(told, Mapping) else None  # as the peer says
        for what, verb in _COMPARED:
            kind = getattr(asked, what)
            if kind is None or kind is Any or not isinstance(there, Mapping):
                continue
            here, theirs = schema_of(kind), there.get(what)
            differs = difference(here, theirs) if what == "params" else difference(theirs, here)
            if differs is not None:
                says = f"{contract.__name__}.{name} says: {differs}"
                sentence = f"request {name!r} of sender {view.name!r} {verb} {says}"
                view._router._complaints.tell_difference(sentence, getattr(contract, name), info_of(view.name, name))
    return told is not None


def _proxy_class(contract: type[Contract]) -> type[Contract]:
    asking = {name: _asking(name, asked) for name, asked in terms_of(contract).requests.items()}
    return type(contract.__name__, (contract,), {**asking, "__module__": contract.__module__, "__repr__": _shown})


def _asking(name: str, asked: Asked) -> Callable[..., object]:
    def ask(self: Any, *arguments: Any, **named: Any) -> Any:
        if not self._sig_compared:
            vars(self)["_sig_compared"] = _compare(self.sender, type(self).__mro__[1])
        _, *given = asked.signature.bind(self, *arguments, **named).arguments.items()
        params = None if asked.params is type(None) else dict(given)
        wanted = None if asked.result is Any else asked.result
        if asked.parts is None:
            return self.sender.request(name, params, type=wanted, timeout=self._sig_timeout)
        part = None if asked.parts is Any else asked.parts
        stream = self.sender.stream(name, params, type=part, idle=self._sig_timeout)
        stream._result_type = wanted
        return stream

    ask.__name__ = ask.__qualname__ = name
    ask.__signature__ = asked.signature  # type: ignore[attr-defined]  # what `help` shows
    return ask


def _shown(self: Any) -> str:
    return f"<proxy of {self.sender.name!r}: {type(self).__name__}>"
