"""Forms: what is written of data that was made a Struct is what would have been written of it all the same."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Generic, Literal, NotRequired, Required, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.forms import written_as
from sig.kinds import fit

T = TypeVar("T")


class Struct(msgspec.Struct):
    celsius: float


class Place(TypedDict, total=False):
    room: int
    floor: Required[int]


class Reading(TypedDict):
    celsius: float
    at: NotRequired[date]
    place: Place | None


class Tree(TypedDict):
    leaves: list[Tree]


class Model(pydantic.BaseModel):
    room: int


class OfModel(TypedDict):
    model: Model


class Box(TypedDict, Generic[T]):
    value: T


def written(data: object) -> object:
    """What is in the bytes, without regard to the order of keys; ints and floats are told apart."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return sorted((key, ordered(value[key])) for key in value)
        return [ordered(one) for one in value] if isinstance(value, list) else (type(value), value)

    return ordered(msgspec.json.decode(msgspec.json.encode(data)))


def test_a_struct_is_its_own_form() -> None:
    assert written_as(Struct) is Struct


@pytest.mark.parametrize("kind", [int, list[float], dict[str, int], Model, Box[int], Literal["a"]])
def test_other_types_have_none(kind: Any) -> None:
    assert written_as(kind) is None


def test_a_type_has_one_form() -> None:
    assert written_as(Reading) is written_as(Reading) is not None


def test_what_msgspec_cannot_make_by_itself_has_none() -> None:
    assert written_as(OfModel) is None


def test_names_that_no_struct_takes_have_none() -> None:
    assert written_as(TypedDict("Quoted", {'"': int})) is None  # type: ignore[misc]


def test_keys_may_be_any_words() -> None:
    kind = TypedDict("Odd", {"class": int, "a-b": NotRequired[int], "é": int})  # type: ignore[misc]
    form = written_as(kind)
    assert form is not None
    for value in ({"class": 1, "é": 2}, {"class": 1, "a-b": 3, "é": 2}):
        assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(value, form))) == value


def test_a_form_may_contain_its_type() -> None:
    form = written_as(Tree)
    assert form is not None
    value = {"leaves": [{"leaves": []}]}
    assert written(msgspec.convert(value, form)) == written(value)


def test_what_is_not_there_is_not_written_and_cannot_be_said() -> None:
    form = written_as(Place)
    assert form is not None
    assert msgspec.json.encode(msgspec.convert({"floor": 1}, form)) == b'{"floor":1}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"floor": 1, "room": msgspec.UNSET}, form)


# -- any type, any data --------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "class", "a-b"])
SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [int, float, str, bool, None, bytes, date, Any, Literal["a", 1], Annotated[int, msgspec.Meta(ge=0)], Place]
)
KINDS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: kind if kind is Any else kind | None if kind is not None else None),
        inner.map(lambda kind: tuple[kind, ...]),  # type: ignore[valid-type]
    ),
    max_leaves=2,
)
FIELDS = st.dictionaries(KEYS, st.tuples(KINDS, st.booleans()), max_size=4)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-2, 2, width=16),
    st.sampled_from(["a", "2026-01-02", "AAAA"]),
    st.binary(max_size=2),
    st.dates(),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(st.sampled_from(["a", "floor", "room", 1]), inner, max_size=2),
    ),
    max_leaves=3,
)
DATA = st.one_of(st.dictionaries(st.one_of(KEYS, st.just(1)), VALUES, max_size=4), VALUES)


def declared(fields: dict[str, tuple[Any, bool]]) -> Any:
    return TypedDict("Any", {key: kind if required else NotRequired[kind] for key, (kind, required) in fields.items()})  # type: ignore[misc]


@given(fields=FIELDS, data=DATA)
def test_a_form_takes_what_its_type_takes_and_is_written_alike(fields: dict[str, tuple[Any, bool]], data: Any) -> None:
    kind = declared(fields)
    form = written_as(kind)
    assert form is not None
    try:
        expected = msgspec.convert(data, kind)
    except msgspec.ValidationError:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(data, form)
        return
    assert expected == fit(data, kind)
    assert written(msgspec.convert(data, form)) == written(expected)


@given(
    data=st.fixed_dictionaries(
        {
            "celsius": st.floats(-2, 2) | st.integers(-2, 2),
            "place": st.none() | st.fixed_dictionaries({"floor": st.integers()}, optional={"room": st.integers()}),
        },
        optional={"at": st.dates() | st.just("2026-01-02")},
    )
)
def test_data_that_fits_is_taken(data: dict[str, Any]) -> None:
    """The one above finds little that does."""
    form = written_as(Reading)
    assert form is not None
    assert written(msgspec.convert(data, form)) == written(fit(data, Reading))
