"""Types of payloads: what can be one, what annotations ask for, and what data becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from sig.errors import InvalidArgument
from sig.kinds import check_kind, exact, fit, is_kind, kind_of, kind_said, made, plain, schema_of, shown


class Struct(msgspec.Struct):
    celsius: float
    unit: str = "C"


class Warmer(Struct):
    by: float = 1.0


@dataclasses.dataclass
class Data:
    celsius: float
    unit: str = "C"


@attrs.define
class Attrs:
    celsius: float
    unit: str = "C"


class Typed(TypedDict):
    celsius: float


class Named(NamedTuple):
    celsius: float
    unit: str = "C"


class Place(pydantic.BaseModel):
    room: int


class Model(pydantic.BaseModel):
    celsius: float
    place: Place | None = None


class Colour(Enum):
    RED = "red"


class Own:
    """Nothing that msgspec knows."""


def hear(info: object, data: Data) -> list[int]: ...


def hear_own(info: object, data: Own) -> Iterator[int]: ...


def hear_anything(info: object, data: object) -> Any: ...


# -- which there are -----------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, object, Any])
def test_these_say_nothing(nothing: object) -> None:
    assert kind_of(nothing) is None


@pytest.mark.parametrize("kind", [Struct, list[int], Own, Model, Literal["a"]])
def test_a_type_is_itself(kind: object) -> None:
    assert kind_of(kind) is kind


def test_what_nothing_can_be_made_of_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"Struct \| .*Data cannot be a type of data: .*more than one dict-like"):
        kind_of(Struct | Data)


def test_annotations_ask_for_types_that_have_a_form_in_json() -> None:
    assert kind_said(hear, 1) is Data
    assert kind_said(hear, None) == list[int]
    for function in (hear_own, hear_anything):
        assert kind_said(function, 1) is None
        assert kind_said(function, None) is None


def test_a_type_without_a_hash_can_be_one_too() -> None:
    unhashable = Annotated[float, []]
    with pytest.raises(TypeError, match="unhashable"):
        hash(unhashable)
    assert is_kind(unhashable)
    assert not is_kind(Annotated[Own, []])


# -- what JSON Schema says -----------------------------------------------------------------------


def test_a_schema_is_complete_in_itself() -> None:
    schema = schema_of(dict[str, Struct])
    assert schema["additionalProperties"] == {"$ref": "#/$defs/Struct"}
    assert schema["$defs"]["Struct"]["required"] == ["celsius"]  # type: ignore[index]
    assert schema_of(int) == {"type": "integer"}
    assert schema_of(dict[str, object]) == {"type": "object", "additionalProperties": {"title": "any"}}


def test_a_model_of_pydantics_brings_its_own() -> None:
    schema = schema_of(list[Model])
    assert schema["items"]["properties"]["celsius"]["type"] == "number"  # type: ignore[index]
    assert schema["$defs"]["Place"]["required"] == ["room"]  # type: ignore[index]


# -- data made to fit ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Struct, Data, Attrs, Named, Model])
def test_an_instance_is_taken_as_it_is(kind: Any) -> None:
    instance = kind(celsius=1.0)
    assert exact(kind) is type(instance)
    assert fit(instance, kind) is instance
    assert fit([instance], list[kind])[0] is instance


@pytest.mark.parametrize("kind", [Struct, Data, Attrs, Model])
def test_a_dict_becomes_an_instance(kind: Any) -> None:
    assert fit({"celsius": 1}, kind) == kind(celsius=1.0)


def test_a_subclass_is_taken_as_it_is() -> None:
    warmer = Warmer(2.0)
    assert fit(warmer, Struct) is warmer


def test_another_class_is_read_as_over_a_link() -> None:
    assert fit(Struct(2.0), Data) == Data(2.0)
    assert fit(Model(celsius=2.0, place=Place(room=1)), Struct) == Struct(2.0)
    assert fit(Data(2.0), Typed) == {"celsius": 2.0}
    assert fit([Data(2.0)], list[dict[str, Any]]) == [{"celsius": 2.0, "unit": "C"}]


def test_plain_data_becomes_what_it_stands_for() -> None:
    assert fit(21, float) == 21.0
    assert fit("red", Colour) is Colour.RED
    assert fit("2024-02-29", date) == date(2024, 2, 29)
    assert fit((1, 2), list[int]) == [1, 2]
    assert fit({"a": [1]}, dict[str, object]) == {"a": [1]}
    assert fit(5, Annotated[int, []]) == 5  # which cannot be hashed


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ({"celsius": "warm"}, Struct, r"Expected `float`, got `str` - at `\$\.celsius`"),
        ({}, Typed, "missing required field `celsius`"),
        (Data("warm"), Struct, r"Expected `float`, got `str`"),  # type: ignore[arg-type]  # the mistake in question
        (5, Struct, "Expected `object`, got `int`"),
        (Own(), Struct, "Expected `object`, got `Own`"),
        (True, int, "Expected `int`, got `bool`"),
        (-1, Annotated[float, msgspec.Meta(ge=0)], "Expected `float` >= 0"),
        ([{"celsius": 1, "place": {"room": "x"}}], list[Model], r"^place\.room: Input should be.* - at `\$\[0\]`"),
        (5, Model, "^Input should be a valid dictionary"),
        (5, Own, "Expected `Own`, got `int`"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(value: object, kind: Any, sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        fit(value, kind)


def test_an_instance_of_an_unknown_class_is_taken() -> None:
    own = Own()
    assert fit(own, Own) is own
    assert made(Own, own) is own


def test_an_instance_of_a_model_is_taken_too_and_what_else_there_is_becomes_one() -> None:
    class Further(Place):
        floor: int = 0

    for place in (Place(room=1), Further(room=1)):
        assert made(Place, place) is place
    assert made(Place, {"room": 1}) == Place(room=1)


def test_a_class_without_a_hash_is_like_any_other() -> None:
    class Unhashable(type):
        __hash__ = None  # type: ignore[assignment]

    class Odd(metaclass=Unhashable):
        pass

    odd = Odd()
    assert made(Odd, odd) is odd
    with pytest.raises(TypeError, match="Odd is unsupported"):
        plain(odd)


def test_a_model_that_is_not_pydantics_complains_in_its_own_words() -> None:
    class Like:
        @classmethod
        def model_validate(cls, value: object) -> object:
            raise ValueError("not today")

        def model_dump(self, **options: object) -> object: ...

        def model_json_schema(self) -> object: ...

    with pytest.raises(ValueError, match="not today"):
        made(Like, 5)


def test_models_become_plain_data_and_others_do_not() -> None:
    assert plain(Model(celsius=1)) == {"celsius": 1.0, "place": None}
    with pytest.raises(TypeError, match="type Own is unsupported"):
        plain(Own())


def test_only_a_class_has_instances_that_need_no_look() -> None:
    assert exact(int) is int
    for kind in (list[int], int | None, Literal["a"], Typed):
        assert not issubclass(exact(kind), int | list | str)


def test_types_are_called_as_they_are_written() -> None:
    assert shown(Data) == "Data"
    assert shown(list[int]) == "list[int]"
    assert shown(int | None) == "int | None"


@pytest.mark.parametrize("wanted", [None, int, list[int], Annotated[int, []], object])
def test_what_is_a_type_may_be_wanted(wanted: Any) -> None:
    check_kind(wanted)


class Unhashed(int):
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("wanted", [5, lambda: 0, Unhashed(5)])
def test_what_is_none_is_told_at_once(wanted: Any) -> None:
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="cannot be a type of data"):
            check_kind(wanted)
