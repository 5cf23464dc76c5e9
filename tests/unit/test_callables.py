"""Looking at callables: will the call fit, is there something to await, what is its name."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.callables import annotation, check_callable, describe, is_async, is_generator

if TYPE_CHECKING:
    from decimal import Decimal


class Widget:
    def two(self, info: object, data: object) -> None: ...

    def one(self, info: object) -> None: ...

    def three(self, info: object, data: object, more: object) -> None: ...

    def with_default(self, info: object, data: object, more: object = None) -> None: ...

    async def later(self, info: object, data: object) -> None: ...

    @staticmethod
    def static(info: object, data: object) -> None: ...

    @classmethod
    def of_class(cls, info: object, data: object) -> None: ...

    def __call__(self, info: object, data: object) -> None: ...


class Later:
    async def __call__(self, info: object, data: object) -> None: ...


def two(info: object, data: object) -> None: ...


def positional(info: object, data: object, /) -> None: ...


def any_number(*args: object, **keywords: object) -> None: ...


def keyword_with_default(info: object, data: object, *, more: object = None) -> None: ...


@functools.wraps(two)
def wrapping(*args: object) -> None: ...


FIT: list[Callable[..., object]] = [
    two,
    positional,
    any_number,
    keyword_with_default,
    wrapping,
    lambda info, data=None, *more: None,
    Widget().two,
    Widget().with_default,
    Widget().later,
    Widget.static,
    Widget.of_class,
    Widget(),
    functools.partial(Widget.two, None),
    [].insert,
    dict.fromkeys,
    mock.Mock(),
    mock.Mock(spec=two),
]


@pytest.mark.parametrize("function", FIT, ids=describe)
def test_what_accepts_the_call_is_taken(function: Callable[..., object]) -> None:
    check_callable(function, "info", "data")


def one(info: object) -> None: ...


def keyword(info: object, data: object, *, more: object) -> None: ...


@functools.wraps(one)
def wrapping_one(*args: object) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        one,
        keyword,
        wrapping_one,
        Widget.two,
        Widget().one,
        Widget().three,
        lambda: None,
        [].append,
        functools.partial(two, 1),
    ],
    ids=describe,
)
def test_what_does_not_accept_the_call_is_refused_by_name(function: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"cannot be called with \(info, data\)") as caught:
        check_callable(function, "info", "data")
    assert describe(function) in str(caught.value)


def test_what_is_not_callable_is_told_what_to_give() -> None:
    with pytest.raises(TypeError, match=r"5 cannot be called; give a function of \(params\)"):
        check_callable(5, "params")


def test_a_builtin_that_does_not_tell_is_taken() -> None:
    with pytest.raises(ValueError, match="no signature"):
        __import__("inspect").signature(min)
    check_callable(min, "info", "data")


@given(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
def test_the_shortcut_agrees_with_calling(
    plain: int, defaults: int, variable: bool, keywords: int, optional: int, given_: int
) -> None:
    """Every shape of a signature: checked, and then really called."""
    parameters = [f"p{n}" for n in range(plain)] + [f"d{n}=0" for n in range(defaults)]
    parameters += ["*rest"] if variable else ["*"] if keywords + optional else []
    parameters += [f"k{n}" for n in range(keywords)] + [f"o{n}=0" for n in range(optional)]
    names: dict[str, Any] = {}
    exec(f"def shape({', '.join(parameters)}): pass", names)
    arguments = [f"a{n}" for n in range(given_)]
    try:
        names["shape"](*arguments)
    except TypeError:
        with pytest.raises(TypeError):
            check_callable(names["shape"], *arguments)
    else:
        check_callable(names["shape"], *arguments)


async def later(info: object, data: object) -> None: ...


@pytest.mark.parametrize("function", [later, Widget().later, Later(), functools.partial(later, None)], ids=describe)
def test_what_has_to_be_awaited_is_known(function: Callable[..., object]) -> None:
    assert is_async(function)


@pytest.mark.parametrize("function", [two, Widget().two, Widget(), Later, print], ids=describe)
def test_what_need_not_be_awaited_is_known(function: Callable[..., object]) -> None:
    assert not is_async(function)


def test_a_generator_is_known_for_what_it_is() -> None:
    def some() -> Iterator[int]:
        yield 1

    async def more() -> AsyncIterator[int]:
        yield 1

    assert is_generator(some)
    assert is_generator(more)
    assert not is_generator(later)
    assert not is_generator(two)


def test_a_description_is_the_place_in_the_source() -> None:
    assert describe(two) == f"{__name__}.two"
    assert describe(Widget().two) == f"{__name__}.Widget.two"
    assert describe(functools.partial(two, 1)) == f"{__name__}.two"
    assert describe(Widget()) == f"{__name__}.Widget"
    assert describe(print) == "builtins.print"
    assert describe(5) == "int"


def test_a_description_never_raises() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> object:
            raise OSError(name)

    assert describe(Hostile()).endswith("Hostile")


# -- annotations ---------------------------------------------------------------------------------


def says(info: Decimal, data: dict[str, int], *more: int, option: str = "") -> Annotated[float, "metres"]: ...


def says_nothing(info, data): ...  # type: ignore[no-untyped-def]  # on purpose


def says_little(info: object, data: Any) -> Decimal: ...


@functools.wraps(says)
def wrapped(*given: Any) -> Any: ...


class Saying:
    def method(self, info: object, data: list[int]) -> None: ...

    def __call__(self, info: object, data: bytes) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (says, dict[str, int]),
        (wrapped, dict[str, int]),
        (Saying().method, list[int]),
        (Saying(), bytes),
        (functools.partial(Saying.method, None), list[int]),
        (says_nothing, Any),
        (says_little, Any),
        (lambda info, data: None, Any),
        (lambda *both: None, Any),
        (Widget, Any),
        (print, Any),
        (5, Any),
        (mock.Mock(), Any),
    ],
    ids=lambda value: describe(value),
)
def test_what_is_said_of_a_parameter(function: Any, said: object) -> None:
    assert annotation(function, 1) == said


def test_what_is_said_of_the_return_value() -> None:
    assert annotation(says, None) == Annotated[float, "metres"]
    assert annotation(Saying.method, None) is type(None)
    assert annotation(says_nothing, None) is Any


def test_what_cannot_be_found_at_run_time_says_nothing() -> None:
    """And does not hide what the others say."""
    assert annotation(says, 0) is Any
    assert annotation(says_little, None) is Any
    assert annotation(SimpleNamespace(__call__=None), 0) is Any
