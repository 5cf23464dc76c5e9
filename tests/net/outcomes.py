"""What requests come to, as a table: it holds in one process and over every carrier, in both faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import sig

LIMIT_S = 20


def fail(params: object) -> None:
    raise KeyError("oven")


def refuse(params: object) -> None:
    raise sig.RequestFailed("door open", code="interlock", data={"door": 2})


def deny(params: object) -> None:
    raise sig.Denied("not you")


def ask_in_vain(params: object) -> None:
    raise sig.SenderNotConnected("other")


def give_up(params: object) -> None:
    raise sig.RequestCancelled("by its handler")


def count(params: int) -> int:
    return params


def lie(params: object) -> int:
    return "text"  # type: ignore[return-value]


def echo(params: object) -> object:
    return params


HANDLERS: list[Callable[[Any], object]] = [fail, refuse, deny, ask_in_vain, give_up, count, lie, echo]


class Outcome(NamedTuple):
    """Of one verb: the very class of what is raised, its sentence, and its fields."""

    verb: Callable[[Any], Any]
    error: type[Exception]
    text: str
    fields: dict[str, object] = {}


def asked(method: str, params: object = 1, **options: Any) -> Callable[[Any], Any]:
    return lambda router: router.request("s", method, params, **options)


# Both ends being one process, a bug of a handler is itself; `RemoteError` tells of it over a link.
BUGS = {
    "a handler's bug": (asked("fail"), KeyError("oven"), "KeyError: 'oven'"),
    "an answer of another type than its handler says": (
        asked("lie"),
        TypeError("handler net.outcomes.lie of request 'lie' says that it answers with int: Expected `int`, got `str`"),
        "TypeError: handler net.outcomes.lie of request 'lie' says that it answers with int: Expected `int`, got `str`",
    ),
}

OUTCOMES: dict[str, Outcome] = {
    "refused on purpose": Outcome(
        asked("refuse"), sig.RequestFailed, "door open", {"code": "interlock", "data": {"door": 2}}
    ),
    "denied by the handler": Outcome(asked("deny"), sig.Denied, "not you"),
    "an error of ours in the handler": Outcome(
        asked("ask_in_vain"), sig.SenderNotConnected, "sender 'other' is not connected", {"sender": "other"}
    ),
    "cancelled by the handler": Outcome(asked("give_up"), sig.RequestCancelled, "by its handler"),
    "parameters of another type": Outcome(
        asked("count", "text"),
        sig.RequestFailed,
        "request 'count' takes int: Expected `int`, got `str`",
        {"code": "invalid_params"},
    ),
    "an answer of another type than was wanted": Outcome(
        asked("echo", "text", type=int),
        sig.InvalidData,
        "'s' answered 'echo' with other data: Expected `int`, got `str`",
    ),
    "what is no type": Outcome(
        asked("echo", type=5), sig.InvalidArgument, "5 cannot be a type of data: Type '5' is not supported"
    ),
    "no such method": Outcome(
        asked("absent"), sig.MethodNotFound, "sender 's' has no request 'absent'", {"sender": "s", "method": "absent"}
    ),
    "no requests at all": Outcome(
        lambda router: router.request("silent", "m"),
        sig.RequestsNotSupported,
        "sender 'silent' answers no requests",
        {"sender": "silent"},
    ),
    "nobody there": Outcome(
        lambda router: router.sender("nobody").request("m"),
        sig.SenderNotConnected,
        "sender 'nobody' is not connected",
        {"sender": "nobody"},
    ),
    "no name of a sender": Outcome(
        lambda router: router.request("a*", "m"),
        sig.InvalidName,
        "'a*' is not a sender name: '*' belongs into patterns, for listening",
    ),
    "no name of a method": Outcome(asked("#m"), sig.InvalidName, "a method name cannot begin with '#': write 'm'"),
    "no time": Outcome(
        asked("echo", timeout=0),
        sig.InvalidArgument,
        "timeout=0 of request 'echo' is out of bounds: above 0 and at most 600 seconds",
    ),
    "too much time": Outcome(
        asked("echo", timeout=601),
        sig.InvalidArgument,
        "timeout=601 of request 'echo' is out of bounds: above 0 and at most 600 seconds",
    ),
    "begun with no name of a sender": Outcome(
        lambda router: router.start_request("a*", "m"),
        sig.InvalidName,
        "'a*' is not a sender name: '*' belongs into patterns, for listening",
    ),
    "begun with too much time": Outcome(
        lambda router: router.start_request("s", "echo", timeout=601),
        sig.InvalidArgument,
        "timeout=601 of request 'echo' is out of bounds: above 0 and at most 600 seconds",
    ),
    "in a circle": Outcome(
        lambda router: router.request("circle", "round", timeout=LIMIT_S),
        sig.LoopDetected,
        "request 'round' of sender 'circle' was passed on 16 times: it goes in circles",
    ),
    "a name that is taken": Outcome(
        lambda router: router.add_sender("s", "e"),
        sig.SenderAlreadyConnected,
        "sender 's' is already connected",
        {"sender": "s"},
    ),
    "a sender of nothing": Outcome(
        lambda router: router.add_sender("new"),
        sig.InvalidArgument,
        "sender 'new' has neither events nor requests: give it at least one",
    ),
}


def wrong(outcome: Outcome, error: BaseException | None) -> Iterator[str]:
    """What is not as it should be."""
    if type(error) is not outcome.error:
        yield f"{error!r} is no {outcome.error.__name__}"
    elif str(error) != outcome.text:
        yield f"{error!r} does not say {outcome.text!r}"
    else:
        yield from (
            f"{error!r}.{name} is {getattr(error, name)!r}"
            for name, value in outcome.fields.items()
            if getattr(error, name) != value
        )


def wrong_bug(error: BaseException | None, own: Exception, text: str, linked: bool) -> Iterator[str]:
    if not linked:
        if type(error) is not type(own) or error.args != own.args:
            yield f"{error!r} is not {own!r}"
    elif type(error) is not sig.RemoteError or str(error) != text or error.type != type(own).__name__:
        yield f"{error!r} is no RemoteError that says {text!r}"
