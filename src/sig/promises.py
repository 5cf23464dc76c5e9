"""What annotations of request handlers say of parameters, answers and parts of answers; and holding them to that."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from inspect import isasyncgen, isgenerator
from typing import Any, Final, NamedTuple, TypeAlias, get_args, get_origin

import msgspec

from .callables import annotation, describe, is_generator
from .errors import RequestFailed
from .kinds import exact, fitter, is_kind, kind_said, shown

Failed: TypeAlias = Callable[[Callable[..., object], str, Exception], object]

# What a function is said to return that gives parts, and which of them are awaited.
_AWAITED: Final = (AsyncIterator, AsyncGenerator)
_GIVERS: Final = (Iterator, Generator, *_AWAITED)
# A list is one of these too: only of a generator do they mean parts.
_GIVERS_PERHAPS: Final = (Iterable, AsyncIterable)


class Kinds(NamedTuple):
    """The types that a handler's annotations ask for; `None` for any."""

    params: Any = None
    result: Any = None
    """Of the answer; of what stands behind the parts, where there are some."""
    parts: Any = None


class InParts(NamedTuple):
    """What an annotation says of an answer in parts; `Any` where it says nothing."""

    part: Any
    result: Any
    awaited: bool


UNTYPED: Final = Kinds()


def in_parts(said: object, *, generator: bool) -> InParts | None:
    """What the annotation of a return value says of parts; `None` where it speaks of one answer.

    Args:
        generator: whether the function is known to be one, whatever it says.
    """
    origin = get_origin(said) or said
    if origin in _GIVERS or (generator and origin in _GIVERS_PERHAPS):
        part, *more = get_args(said) or (Any,)
        # Only what is awaited has no result; and an iterator says nothing of it.
        result = more[1] if len(more) == 2 else Any
        awaited = origin in _AWAITED or origin is AsyncIterable
        return InParts(part, type(None) if result is None else result, awaited)
    return None


def kinds_said(function: object, position: int) -> Kinds:
    """What a handler says that takes its parameters there, by position."""
    params, generator = kind_said(function, position), is_generator(function)
    parts = _said_in_parts(function)
    if parts is not None:
        return Kinds(params, _kind(parts.result), _kind(parts.part))
    # Of a generator that says anything else, nothing is known.
    return Kinds(params, None if generator else kind_said(function, None))


def _said_in_parts(function: object) -> InParts | None:
    return in_parts(annotation(function, None), generator=is_generator(function))


def _kind(said: Any) -> Any:
    said = type(None) if said is None else said
    return said if said is not Any and said is not object and is_kind(said) else None


def kept(
    function: Callable[..., Any], name: str | None, kinds: Kinds, waits: bool, failed: Failed | None
) -> Callable[..., Any]:
    """The handler between what makes its parameters fit, and what looks at its answer, or each part of that.

    Args:
        name: of the request; `None` for the default handler, which is given that first.
        waits: whether its answer has to be awaited.
        failed: called with the handler, the method, and why an answer is not what the handler says.
    """
    taken = _taking(name, kinds.params)
    parts = _promise(function, name, "gives parts of", kinds.parts, failed)
    answers = _promise(function, name, "answers with", kinds.result, failed)

    def given(answer: Any, arguments: tuple[Any, ...]) -> Any:
        if isgenerator(answer):
            return _each(answer, parts, answers, arguments)
        # One that is awaited has no result. Whoever says parts, and gives something else, has not said what.
        return _each_awaited(answer, parts, arguments) if isasyncgen(answer) else answer

    async def answer_later(*arguments: Any) -> Any:
        return look(await function(*taken(arguments)), arguments)

    def answer(*arguments: Any) -> Any:
        return look(function(*taken(arguments)), arguments)

    look: _Promise = given if is_generator(function) or _said_in_parts(function) is not None else answers
    return answer_later if waits else answer


_Promise: TypeAlias = Callable[[Any, tuple[Any, ...]], Any]


def _taking(name: str | None, kind: Any) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if kind is None:
        return lambda arguments: arguments
    wanted, fits = exact(kind), fitter(kind)

    def taken(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        *before, params = arguments
        if type(params) is wanted:
            return arguments
        try:
            return (*before, fits(params))
        except msgspec.ValidationError as error:
            sentence = f"request {name or before[0]!r} takes {shown(kind)}: {error}"
            raise RequestFailed(sentence, code="invalid_params") from None

    return taken


def _promise(function: Callable[..., Any], name: str | None, verb: str, kind: Any, failed: Failed | None) -> _Promise:
    """What makes of each value that a handler gives what it says that it gives."""
    if kind is None:
        return lambda value, arguments: value
    promised, fits = exact(kind), fitter(kind)

    def checked(value: Any, arguments: tuple[Any, ...]) -> Any:
        if type(value) is promised:
            return value
        try:
            return fits(value)
        except msgspec.ValidationError as error:
            method = name or arguments[0]
            wrong = TypeError(
                f"handler {describe(function)} of request {method!r} says that it {verb} {shown(kind)}: {error}"
            )
            if failed is not None:
                failed(function, method, wrong)
            raise wrong from None

    return checked


def _each(
    generator: Generator[Any, Any, Any], part: _Promise, result: _Promise, arguments: tuple[Any, ...]
) -> Generator[Any, None, Any]:
    try:
        while True:
            try:
                given = next(generator)
            except StopIteration as stop:
                return result(stop.value, arguments)
            yield part(given, arguments)
    finally:
        generator.close()


async def _each_awaited(
    generator: AsyncGenerator[Any, Any], part: _Promise, arguments: tuple[Any, ...]
) -> AsyncGenerator[Any, None]:
    try:
        async for given in generator:
            yield part(given, arguments)
    finally:
        await generator.aclose()
