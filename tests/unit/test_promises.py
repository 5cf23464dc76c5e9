"""What annotations of handlers say, and what becomes of values that are not as they say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any

import msgspec
import pytest

from sig.errors import RequestFailed
from sig.promises import UNTYPED, InParts, Kinds, in_parts, kept, kinds_said


class Level(msgspec.Struct):
    metres: float


class Own:
    """Has no form in JSON."""


def plain(params: Level) -> Level:
    return Level(params.metres + 1)


def untyped(params, other=None): ...  # type: ignore[no-untyped-def]  # on purpose


def iterates(params: int) -> Iterator[Level]:
    yield Level(params)


def iterates_any(params: object) -> Iterable[object]:
    yield params


def has_result(params: object) -> Generator[int, None, Level]:
    yield 1
    return Level(2)


def has_none(params: object) -> Generator[int, None, None]:
    yield 1


def bare(params: object) -> Iterator:  # type: ignore[type-arg]  # on purpose
    yield 1


def unsaid(params: object) -> object:
    yield 1


def passes_on(params: Any) -> Generator[int, None, int]:
    return params  # type: ignore[no-any-return]  # perhaps


def many(params: object) -> Iterable[int]:
    return [1]


def iterates_own(params: object) -> Iterator[Own]:
    yield Own()


async def awaited(params: Level) -> Level:
    return Level(params.metres + 1)


async def awaits(params: object) -> AsyncIterator[int]:
    yield 1


async def awaits_too(params: object) -> AsyncGenerator[int, None]:
    yield 1


async def awaits_any(params: object) -> AsyncIterable[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (plain, Kinds(Level, Level)),
        (untyped, UNTYPED),
        (iterates, Kinds(int, None, Level)),
        (iterates_any, UNTYPED),
        (has_result, Kinds(None, Level, int)),
        (has_none, Kinds(None, type(None), int)),
        (bare, UNTYPED),
        (unsaid, UNTYPED),
        (passes_on, Kinds(None, int, int)),
        (many, UNTYPED),
        (iterates_own, UNTYPED),
        (awaited, Kinds(Level, Level)),
        (awaits, Kinds(None, None, int)),
        (awaits_too, Kinds(None, None, int)),
        (awaits_any, Kinds(None, None, int)),
    ],
)
def test_annotations_say_what_is_taken_and_given(function: Callable[..., object], kinds: Kinds) -> None:
    assert kinds_said(function, 0) == kinds


def test_what_is_said_of_parts_tells_whether_they_are_awaited() -> None:
    assert in_parts(Iterator[int], generator=False) == InParts(int, Any, False)
    assert in_parts(AsyncIterator[int], generator=False) == InParts(int, Any, True)
    assert in_parts(Generator[int, None, None], generator=False) == InParts(int, type(None), False)
    assert in_parts(Iterator[None], generator=True) == InParts(None, Any, False)
    assert in_parts(AsyncIterable[int], generator=True) == InParts(int, Any, True)
    assert in_parts(Iterable[int], generator=False) is None
    assert in_parts(list[int], generator=True) is None


class Report(list[str]):
    """What is told to whoever answers for the handler."""

    def failed(self, function: Callable[..., object], method: str, error: Exception) -> None:
        self.append(f"{function.__name__} {method} {error}")


def handler(function: Callable[..., Any], name: str | None = "m", report: Report | None = None) -> Any:
    waits = asyncio.iscoroutinefunction(function)
    kinds = kinds_said(function, 0 if name is not None else 1)
    return kept(function, name, kinds, waits, None if report is None else report.failed)


def test_parameters_are_made_to_fit_or_refused() -> None:
    call = handler(plain)
    assert call(Level(1)) == call({"metres": 1}) == Level(2)
    with pytest.raises(RequestFailed, match=r"request 'm' takes Level: Expected `float`.*\$\.metres") as refused:
        call({"metres": "deep"})
    assert refused.value.code == "invalid_params"


def test_the_default_handler_is_given_the_method_too() -> None:
    def any_of(method: str, params: int) -> int:
        return method + str(params)  # type: ignore[return-value]  # the mistake in question

    report = Report()
    call = handler(any_of, None, report)
    with pytest.raises(RequestFailed, match="request 'other' takes int"):
        call("other", "x")
    with pytest.raises(TypeError, match="of request 'other' says that it answers with int: Expected `int`, got `str`"):
        call("other", 1)
    [told] = report
    assert told.startswith("any_of other handler ")


def test_an_answer_that_is_awaited_is_looked_at_too() -> None:
    assert asyncio.run(handler(awaited)({"metres": 1})) == Level(2)


def test_parts_are_made_to_fit_and_so_is_what_stands_behind_them() -> None:
    def rows(params: Any) -> Generator[Level, None, Level]:
        yield from params
        return params[0]  # type: ignore[no-any-return]  # perhaps

    given = handler(rows)([Level(1), {"metres": 2}])
    assert [next(given), next(given)] == [Level(1), Level(2)]
    with pytest.raises(StopIteration) as stop:
        next(given)
    assert stop.value.value == Level(1)


def test_a_part_of_another_type_ends_the_handler_and_is_its_mistake() -> None:
    ended: list[bool] = []

    def rows(params: Any) -> Iterator[int]:
        try:
            yield from params
        finally:
            ended.append(True)

    report = Report()
    given = handler(rows, report=report)([1, "two", 3])
    assert next(given) == 1
    assert not ended
    with pytest.raises(TypeError, match="of request 'm' says that it gives parts of int: Expected `int`, got `str`"):
        next(given)
    assert ended == [True]
    assert len(report) == 1


def test_a_result_of_another_type_is_its_mistake_too() -> None:
    def rows(params: object) -> Generator[int, None, int]:
        yield 1
        return "two"  # type: ignore[return-value]  # the mistake in question

    given = handler(rows)(None)
    next(given)
    with pytest.raises(TypeError, match="says that it answers with int: Expected `int`, got `str`"):
        next(given)


def test_who_leaves_ends_the_handler() -> None:
    ended: list[bool] = []

    def rows(params: object) -> Iterator[int]:
        try:
            yield 1
        finally:
            ended.append(True)

    given = handler(rows)(None)
    next(given)
    given.close()
    assert ended == [True]


def test_parts_that_are_awaited_are_looked_at_too() -> None:
    ended: list[bool] = []

    async def rows(params: Any) -> AsyncIterator[Level]:
        try:
            for part in params:
                yield part
        finally:
            ended.append(True)

    async def main() -> None:
        given = handler(rows)([{"metres": 1}, 2])
        assert await anext(given) == Level(1)
        with pytest.raises(TypeError, match="gives parts of Level: Expected `object`, got `int`"):
            await anext(given)
        assert ended == [True]
        left = handler(rows)([Level(1), Level(2)])
        await anext(left)
        await left.aclose()
        assert ended == [True, True]
        whole = handler(rows)([Level(3)])
        assert [part async for part in whole] == [Level(3)]

    asyncio.run(main())


def test_a_generator_that_is_passed_on_is_looked_at_and_nothing_else_is() -> None:
    call = handler(passes_on)
    with contextlib.closing(call(iterates_any("one"))) as given, pytest.raises(TypeError, match="parts of int"):
        next(given)
    assert call("no generator") == "no generator"
