"""Differences between what is offered and what is wanted: those that are certain, and none that are not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import reduce
from operator import itemgetter, or_
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, get_args, get_origin
from zlib import crc32

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.kinds import schema_of
from sig.schema import difference


class Reading(msgspec.Struct):
    celsius: float
    unit: str = "C"


class Whole(msgspec.Struct):
    celsius: int


class Placed(msgspec.Struct):
    celsius: float
    place: str


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    celsius: float


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    name: str


class Node(msgspec.Struct):
    value: int
    next: Node | None = None


class Other(msgspec.Struct):
    value: str
    next: Other | None = None


class Pair(NamedTuple):
    first: int
    second: str = "x"


class Partial(TypedDict, total=False):
    celsius: float


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Model(pydantic.BaseModel):
    celsius: float
    inner: Model | None = None


def between(offered: Any, wanted: Any) -> str | None:
    return difference(schema_of(offered), schema_of(wanted))


@pytest.mark.parametrize(
    ("offered", "wanted", "sentence"),
    [
        (int, str, "$ is an integer, not a string"),
        (float, int, "$ is a number, not an integer"),
        (bool, int, "$ is a boolean, not an integer"),
        (int | None, int, "$ is null, not an integer"),
        (float, str | None, "$ is a number, not a string or null"),
        (Reading, str, "$ is an object (Reading), not a string"),
        (Reading, Whole, "$.celsius is a number, not an integer"),
        (Reading, Placed, "$.place is missing"),
        (Reading, Strict, "$.unit is not wanted"),
        (Reading, dict[str, float], "$.unit is a string, not a number"),
        (dict[str, int], dict[str, str], "$[...] is an integer, not a string"),
        (list[Reading], list[Whole], "$[...].celsius is a number, not an integer"),
        (Cat | Dog, Cat, "$ is an object (Dog), not an object (Cat)"),
        (Node, Other, "$.value is an integer, not a string"),
        (Colour, Literal["red"], "$ is 'blue' or 'red', not 'red'"),
        (str, Colour, "$ is a string, not 'blue' or 'red'"),
        (Literal["green"], Colour, "$ is 'green', not 'blue' or 'red'"),
        (Literal[1, 2, 3, 4, 5, 6], Literal[1], "$ is 1 or 2 or 3 or 4 or 5 or others, not 1"),
        (Literal[1], str, "$ is 1, not a string"),
        (str, date, "$ is a string, not a string (date)"),
        (str, bytes, "$ is a string, not a string (base64)"),
        (list[int], tuple[int, int], "$ has any number of items, not 2 items"),
        (Annotated[list[int], msgspec.Meta(min_length=1)], Pair, "$ has 1 item or more, not 1 to 2 items"),
        (tuple[int], tuple[int, int], "$ has 1 item, not 2 items"),
        (Pair, tuple[int, int], "$[1] is a string, not an integer"),
        (tuple[int, str], list[int], "$[1] is a string, not an integer"),
        (Model, Whole, "$.celsius is a number, not an integer"),
    ],
)
def test_what_differs_is_told_with_its_place(offered: Any, wanted: Any, sentence: str) -> None:
    assert between(offered, wanted) == sentence


@pytest.mark.parametrize(
    ("offered", "wanted"),
    [
        (int, float),
        (int, int | None),
        (float, int | float),
        (int, Decimal),
        (Cat, Cat | Dog),
        (Node, Node),
        (Literal["red"], Colour),
        (Literal[1], int),
        (date, str),
        (bytes, str),
        (datetime, str),
        (Pair, tuple[int, str]),
        (tuple[int, int], list[int]),
        (Reading, dict[str, float | str]),
        (set[int], list[int]),
        (bool, bool),
        (None, None),
        # What cannot be known.
        (dict, Reading),
        (dict[str, int], Reading),
        (Any, int),
        (int, Any),
        (list, list[int]),
        (Partial, Reading),
        (Literal[1] | None, int | None),
    ],
)
def test_what_does_not_differ_for_certain_does_not_differ(offered: Any, wanted: Any) -> None:
    assert between(offered, wanted) is None


@pytest.mark.parametrize(
    ("offered", "wanted", "sentence"),
    [
        ({"type": ["integer", "null"]}, {"type": "integer"}, "$ is null, not an integer"),
        ({"const": 1}, {"const": 2}, "$ is 1, not 2"),
        ({"const": 1.0}, {"type": "integer"}, None),
        ({"enum": [[]]}, {"type": "string"}, None),
        ({"type": "integer"}, {"enum": [[]]}, None),
        ({"oneOf": [{"type": "integer"}, {"not": {}}]}, {"type": "string"}, "$ is an integer, not a string"),
        ({"type": "integer"}, {"anyOf": [{"type": "string"}, {"if": {}}]}, None),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"type": "integer"}, None),
        ({"$ref": "elsewhere"}, {"type": "integer"}, None),
        ({"type": "what"}, {"type": "integer"}, None),
        (
            {"type": "string", "format": "email"},
            {"type": "string", "format": "uuid"},
            "$ is a string, not a string (uuid)",
        ),
        ({"type": "string", "format": []}, {"type": "string", "format": "email"}, None),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True},
            {"type": "object", "required": ["b"], "properties": {"a": {"type": "integer"}}},
            None,
        ),
        (
            {"type": "array", "minItems": "x"},
            {"type": "array", "prefixItems": [{}], "minItems": 1},
            "$ has any number of items, not 1 item or more",
        ),
        (5, {"type": "integer"}, None),
        ({"type": "integer"}, None, None),
    ],
)
def test_schemas_that_others_have_written(offered: Any, wanted: Any, sentence: str | None) -> None:
    assert difference(offered, wanted) == sentence


def test_what_would_take_too_long_is_left_undecided() -> None:
    many = [{"type": "array", "items": {"const": number}} for number in range(100)]
    assert difference({"anyOf": many}, {"anyOf": many}) is None
    deep: Any = {"type": "integer"}
    for _ in range(2000):
        deep = {"type": "array", "items": deep}
    assert difference(deep, deep.copy()) is None


# -- properties ----------------------------------------------------------------------------------

SCALARS: dict[Any, list[Any]] = {int: [3], float: [0.5], str: ["text"], bool: [True], type(None): [None]}


def union(kinds: list[Any]) -> Any:
    return reduce(or_, kinds)


# Two of one name within a type are too many for msgspec.
structs: dict[str, Any] = {}


def struct(fields: dict[str, tuple[Any, bool]]) -> Any:
    """With these fields; some have a default."""
    name = f"Made{crc32(repr(sorted(fields.items(), key=itemgetter(0))).encode())}"
    if name not in structs:
        told = [
            (field, kind, msgspec.field(default=None) if default else msgspec.NODEFAULT)
            for field, (kind, default) in sorted(fields.items(), key=itemgetter(0))
        ]
        structs[name] = msgspec.defstruct(name, told, kw_only=True)
    return structs[name]


types = st.recursive(
    st.lists(st.sampled_from(list(SCALARS)), min_size=1, max_size=2, unique=True).map(union),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),
        st.lists(inner, min_size=1, max_size=2).map(lambda kinds: tuple[*kinds]),
        st.dictionaries(st.sampled_from("abc"), st.tuples(inner, st.booleans()), max_size=2).map(struct),
    ),
    max_leaves=4,
)


def examples(kind: Any) -> Iterator[Any]:
    """Values that show all there is to a type; of a struct all fields are written, as they are by senders."""
    if kind in SCALARS:
        yield from SCALARS[kind]
    elif get_origin(kind) is list:
        yield []
        yield from ([value] for value in examples(get_args(kind)[0]))
    elif get_origin(kind) is tuple:
        yield from several(list(get_args(kind)))
    elif isinstance(kind, type):
        fields = msgspec.structs.fields(kind)
        for values in several([field.type for field in fields]):
            yield dict(zip((field.name for field in fields), values, strict=True))
    else:
        for one in get_args(kind):
            yield from examples(one)


def several(kinds: list[Any]) -> Iterator[list[Any]]:
    """Each value of each, beside the first of the others."""
    found = [list(examples(kind)) for kind in kinds]
    yield [values[0] for values in found]
    for position, values in enumerate(found):
        for value in values[1:]:
            yield [value if place == position else other[0] for place, other in enumerate(found)]


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError:
        return False
    return True


@given(types)
def test_nothing_differs_from_itself(kind: Any) -> None:
    assert between(kind, kind) is None


@given(types, types)
def test_what_differs_is_refused_and_what_does_not_is_taken(offered: Any, wanted: Any) -> None:
    taken = [fits(value, wanted) for value in examples(offered)]
    assert (between(offered, wanted) is None) == all(taken)


def anything() -> st.SearchStrategy[Any]:
    words = ["type", "anyOf", "enum", "const", "properties", "required", "items", "prefixItems", "$ref", "$defs"]
    words += ["additionalProperties", "minItems", "maxItems", "format", "title", "#/$defs/a", "a"]
    kinds = ["string", "number", "integer", "object", "array", "null", "#/$defs/a", "a"]
    return st.recursive(
        st.one_of(st.sampled_from(kinds), st.integers(), st.none(), st.booleans()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.sampled_from(words), inner)),
    )


@given(anything(), anything())
def test_whatever_a_peer_says_is_taken_calmly(offered: Any, wanted: Any) -> None:
    found = difference(offered, wanted)
    assert found is None or found.startswith("$")
