"""What a sender is declared with, checked, and made into its signals and handlers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import InvalidArgument
from .kinds import is_kind, kind_of, shown
from .names import check_own_event
from .requests import Requests
from .sender import Owned
from .signal import Signal, typed_class


def declare(
    made: Owned,
    events: str | Iterable[str] | Mapping[str, object],
    requests: Requests | None,
    retain: bool | Iterable[str],
    loop: object,
    class_signal: type[Signal],
) -> None:
    """Give a sender that nobody knows yet what it triggers and answers; arguments as of `Router.add_sender`.

    Raises:
        InvalidArgument: it would have nothing, would retain what it does not trigger, or a type is none.
        InvalidName: an event or a request cannot be called so.
        TypeError: a handler cannot be called as one.
    """
    names = [check_own_event(event) for event in ([events] if isinstance(events, str) else events)]
    kinds: dict[str, Any] = {}
    if isinstance(events, Mapping):
        kinds = {name: _kind(made, name, kind) for name, kind in zip(names, events.values(), strict=True)}
    made._handlers = handlers = made._handled(requests, loop)
    if not names and not handlers:
        raise InvalidArgument(f"sender {made.name!r} has neither events nor requests: give it at least one")
    kept = _kept(made, names, retain)
    plain = made.class_signal or class_signal
    for event in dict.fromkeys(names):
        kind = kinds.get(event)
        signal: Signal
        if kind is None:
            signal = plain(made._router, made.name, event)
        else:
            signal = typed = typed_class(plain)(made._router, made.name, event)
            typed.take(kind)
        signal.retains = event in kept
        made._signals[event] = signal
    made._describe()


def _kept(made: Owned, names: list[str], retain: bool | Iterable[str]) -> list[str]:
    """The events whose last value is kept."""
    if isinstance(retain, bool):
        return names if retain else []
    kept = [retain] if isinstance(retain, str) else list(retain or ())
    for event in kept:
        if event not in names:
            raise InvalidArgument(f"sender {made.name!r} cannot retain {event!r}: it is not among its events {names}")
    return kept


def _kind(made: Owned, event: str, kind: object) -> Any:
    """The type of an event's data as it was declared, or `None`."""
    wanted = kind_of(kind)
    if wanted is not None and not is_kind(wanted):
        raise InvalidArgument(
            f"event {event!r} of sender {made.name!r} cannot have the type {shown(wanted)}: it has no form in JSON; "
            "name a dataclass, a msgspec.Struct, a TypedDict, or a builtin type"
        )
    return wanted
