"""Values to bytes and back: what becomes of the odd ones, and what is asked of a codec of the user's."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
import enum
import math
import pickle
import uuid

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.codecs import (
    JSON,
    MSGPACK,
    Codec,
    JSONCodec,
    MessagePackCodec,
    UserCodec,
    as_codec,
    as_codecs,
    batch_decode,
)
from sig.errors import InvalidArgument, InvalidData


class Reversed:
    """A codec of the user's: texts, written backwards."""

    name = "reversed"

    def encode(self, obj: object) -> bytes:
        assert isinstance(obj, str)
        return obj[::-1].encode()

    def decode(self, data: bytes) -> object:
        return data.decode()[::-1]


class Nameless:
    def encode(self, obj: object) -> object:
        return obj

    def decode(self, data: bytes) -> object:
        return data


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this works")


class Broken:
    name = "broken"

    def encode(self, obj: object) -> bytes:
        raise Unprintable

    def decode(self, data: bytes) -> object:
        raise KeyError("x" * 10_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# -- JSON ----------------------------------------------------------------------------------------


@given(json_values)
def test_json_gives_back_what_it_was_given_on_one_line(value: object) -> None:
    payload = JSON.encode(value)
    assert b"\n" not in payload
    assert JSON.decode(payload) == value


@given(st.lists(json_values, min_size=1, max_size=8))
def test_a_batch_of_json_lines_is_decoded_in_one_call(values: list[object]) -> None:
    payloads = [JSON.encode(value) for value in values]
    body = b"\n".join(payloads)
    lens = [len(payload) + 1 for payload in payloads]
    assert batch_decode(JSON, body, None, len(values)) == values
    assert batch_decode(JSON, body + b"\n", lens, len(values)) == values


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Reading(msgspec.Struct):
    celsius: float


@pytest.mark.parametrize(
    ("given_value", "arrives"),
    [
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Reading(21.5), {"celsius": 21.5}),
        (datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC), "2024-05-06T07:08:09Z"),
        ({1: "one"}, {"1": "one"}),
        (b"\x00\xff", "AP8="),
        (math.nan, None),
        ([math.inf, -math.inf], [None, None]),
        (2**64, 2**64),
        (-(10**40), -(10**40)),
        ("two\nlines \u2028", "two\nlines \u2028"),
        (None, None),
    ],
)
def test_what_json_makes_of_other_values(given_value: object, arrives: object) -> None:
    assert JSON.decode(JSON.encode(given_value)) == arrives


def test_json_refuses_what_it_cannot_carry_and_says_what_to_do() -> None:
    with pytest.raises(InvalidData, match=r"cannot carry this Nameless.*give plain values"):
        JSON.encode(Nameless())
    with pytest.raises(InvalidData, match=r"this dict \(TypeError"):
        JSON.encode({(1, 2): 3})
    with pytest.raises(InvalidData, match=r"this str \(UnicodeEncodeError"):
        JSON.encode("\ud800")
    with pytest.raises(InvalidData, match=r"this int \(ValueError"):
        JSON.encode(10**5000)


def test_an_exception_of_the_users_own_while_encoding_is_invalid_data_too() -> None:
    class Nowhere(datetime.tzinfo):
        def utcoffset(self, when: datetime.datetime | None, /) -> datetime.timedelta:
            raise Unprintable

        dst = tzname = None  # type: ignore[assignment]  # never asked

    with pytest.raises(InvalidData, match=r"this datetime .*Unprintable") as caught:
        JSON.encode(datetime.datetime(2024, 5, 6, tzinfo=Nowhere()))
    assert isinstance(caught.value.__cause__, Unprintable)


def test_json_that_contains_itself_is_an_error_not_a_crash() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidData, match="nested too deeply for JSON, or contains itself"):
        JSON.encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[1",
        b"1 2",
        b"nul",
        b"NaN",
        b"1e400",
        b'"\xff"',
        b'"\\ud800"',
        b'"a\nb"',
        b"1" * 5000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_malformed_json_is_invalid_data_alone_and_in_a_batch(payload: bytes) -> None:
    with pytest.raises(InvalidData, match="not JSON that can be read"):
        JSON.decode(payload)
    with pytest.raises(InvalidData):
        batch_decode(JSON, b"1\n" + payload, None, 2)


@given(st.binary())
def test_garbage_raises_nothing_but_invalid_data(data: bytes) -> None:
    for decode in (JSON.decode, lambda data: batch_decode(JSON, data, None, 2)):
        with contextlib.suppress(InvalidData):
            decode(data)


# -- MessagePack ---------------------------------------------------------------------------------

LEAST, MOST = -(2**63), 2**64 - 1
msgpack_keys = st.none() | st.booleans() | st.integers(LEAST, MOST) | st.text() | st.binary()
msgpack_values = st.recursive(
    msgpack_keys | st.floats(allow_nan=False) | st.datetimes(timezones=st.just(datetime.UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(msgpack_keys, inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"


@given(msgpack_values)
def test_messagepack_gives_back_what_it_was_given(value: object) -> None:
    assert MSGPACK.decode(MSGPACK.encode(value)) == value


@given(st.lists(msgpack_values, min_size=1, max_size=8))
def test_a_batch_of_messagepack_is_what_it_is_one_by_one(values: list[object]) -> None:
    payloads = [MSGPACK.encode(value) for value in values]
    lens = [len(payload) for payload in payloads]
    assert batch_decode(MSGPACK, b"".join(payloads), lens, len(values)) == values
    assert [MSGPACK.decode(payload) for payload in payloads] == values


@pytest.mark.parametrize("count", [2, 15, 16, 65_535])
def test_a_batch_of_messagepack_may_be_of_any_size(count: int) -> None:
    assert batch_decode(MSGPACK, bytes(count), [1] * count, count) == [0] * count


@pytest.mark.parametrize(
    ("given_value", "arrives"),
    [
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Reading(21.5), {"celsius": 21.5}),
        ({1: "one", None: 2, (3, 4): 5}, {1: "one", None: 2, (3, 4): 5}),
        ({frozenset({3}): 5}, {(3,): 5}),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"\x00\xff"), b"\x00\xff"),
        (memoryview(b"\x00\xff"), b"\x00\xff"),
        ([math.inf, -math.inf], [math.inf, -math.inf]),
        ([LEAST, MOST], [LEAST, MOST]),
        (datetime.datetime(2024, 5, 6, 7, 8, 9), "2024-05-06T07:08:09"),
        (datetime.date(2024, 5, 6), "2024-05-06"),
        (datetime.time(7, 8), "07:08:00"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (decimal.Decimal("1.50"), "1.50"),
        (Colour.RED, "red"),
        (msgspec.Raw(b"\x93\x01\x02\x03"), [1, 2, 3]),
        ("two\nlines", "two\nlines"),
        (None, None),
    ],
)
def test_what_messagepack_makes_of_other_values(given_value: object, arrives: object) -> None:
    decoded = MSGPACK.decode(MSGPACK.encode(given_value))
    assert decoded == arrives
    assert type(decoded) is type(arrives)


def test_messagepack_has_a_word_for_nan() -> None:
    decoded = MSGPACK.decode(MSGPACK.encode(math.nan))
    assert isinstance(decoded, float)
    assert math.isnan(decoded)


def test_a_moment_arrives_in_utc_over_messagepack() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    decoded = MSGPACK.decode(MSGPACK.encode(datetime.datetime(2024, 5, 6, 7, 8, 9, 12, tzinfo=east)))
    assert isinstance(decoded, datetime.datetime)
    assert decoded == datetime.datetime(2024, 5, 6, 5, 8, 9, 12, tzinfo=datetime.UTC)
    assert decoded.tzinfo is datetime.UTC


@pytest.mark.parametrize("value", [MOST + 1, LEAST - 1, [10**5000], {"n": 2**64}], ids=["most", "least", "huge", "in"])
def test_messagepack_refuses_integers_beyond_64_bits_and_says_what_to_do(value: object) -> None:
    with pytest.raises(InvalidData, match=r"this \w+ \(OverflowError: .*send larger ones as text, or choose"):
        MSGPACK.encode(value)


def test_messagepack_refuses_what_it_cannot_carry_and_says_what_to_do() -> None:
    with pytest.raises(InvalidData, match=r"MessagePack cannot carry this Nameless.*give plain values"):
        MSGPACK.encode(Nameless())
    with pytest.raises(InvalidData, match=r"this str \(UnicodeEncodeError"):
        MSGPACK.encode("\ud800")
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidData, match="nested too deeply for MessagePack, or contains itself"):
        MSGPACK.encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\x92\x01",
        b"\xa2\xc3\x28",
        b"\x81\x80\x01",
        b"\xd4\xff\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000 + b"\x01",
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_malformed_messagepack_is_invalid_data_alone_and_in_a_batch(payload: bytes) -> None:
    with pytest.raises(InvalidData, match="not MessagePack that can be read"):
        MSGPACK.decode(payload)
    with pytest.raises(InvalidData, match="not 2 values of MessagePack that can be read"):
        batch_decode(MSGPACK, b"\x01" + payload, [1, len(payload)], 2)


@given(st.binary(), st.integers(1, 5))
def test_garbage_costs_messagepack_nothing_but_invalid_data(data: bytes, count: int) -> None:
    with contextlib.suppress(InvalidData):
        MSGPACK.decode(data)
    with contextlib.suppress(InvalidData):
        assert len(batch_decode(MSGPACK, data, [len(data)] + [0] * (count - 1), count)) == count


@given(st.lists(msgpack_values, min_size=2, max_size=5), st.data())
def test_a_batch_of_messagepack_must_hold_exactly_what_it_says(values: list[object], data: st.DataObject) -> None:
    body = b"".join(map(MSGPACK.encode, values))
    end = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:end], body + b"\x01", body + b"\xc1"):
        with pytest.raises(InvalidData, match=f"is not {len(values)} values of MessagePack"):
            batch_decode(MSGPACK, wrong, [len(wrong)] + [0] * (len(values) - 1), len(values))


def test_a_batch_of_messagepack_must_carry_its_lengths_like_that_of_any_codec_without_lines() -> None:
    with pytest.raises(InvalidData, match="'msgpack' must carry their lengths"):
        batch_decode(MSGPACK, b"\x01\x02", None, 2)


def test_lengths_that_cut_elsewhere_than_between_values_do_not_move_the_values() -> None:
    # No peer of ours sends this: its first payload is two thirds of a value.
    assert batch_decode(MSGPACK, b"\x92\x01\x02\x03", [2, 2], 2) == [[1, 2], 3]


# -- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("payloads", "count"), [(b"1\n2\n3", 2), (b"1\n2", 3), (b"", 2), (b"1\n\n2", 3)])
def test_a_batch_must_hold_as_many_as_it_says(payloads: bytes, count: int) -> None:
    with pytest.raises(InvalidData, match=f"said to hold {count} payloads holds"):
        batch_decode(JSON, payloads, None, count)


def test_a_single_event_is_a_bare_payload_in_every_codec() -> None:
    assert batch_decode(JSON, b"[1]", None, 1) == [[1]]
    assert batch_decode(JSON, b"[1]\n", [4], 1) == [[1]]
    assert batch_decode(as_codec(Reversed()), b"a\nb", None, 1) == ["b\na"]
    with pytest.raises(InvalidData):
        batch_decode(JSON, b"1\n2", None, 1)


def test_a_batch_of_a_users_codec_is_cut_by_its_lengths() -> None:
    codec = as_codec(Reversed())
    assert batch_decode(codec, b"abc\n1", [2, 0, 3], 3) == ["ba", "", "1\nc"]
    with pytest.raises(InvalidData, match="'reversed' must carry their lengths"):
        batch_decode(codec, b"abc", None, 3)
    with pytest.raises(InvalidData, match="said to hold 3 payloads holds 2"):
        batch_decode(codec, b"abc", [1, 2], 3)


# -- codecs of the user's ------------------------------------------------------------------------


def test_built_in_codecs_are_asked_for_by_name() -> None:
    assert as_codec("json") is JSON
    assert (JSON.name, JSON.lines) == ("json", True)
    assert as_codec("msgpack") is MSGPACK
    assert (MSGPACK.name, MSGPACK.lines) == ("msgpack", False)


def test_an_object_with_both_functions_is_a_codec() -> None:
    codec = as_codec(Reversed())
    assert (codec.name, codec.lines) == ("reversed", False)
    assert codec.encode("abc") == b"cba"
    assert codec.decode(b"cba") == "abc"


def test_a_codec_without_a_name_is_custom() -> None:
    assert as_codec(Nameless()).name == "custom"


def test_as_codec_leaves_codecs_as_they_are() -> None:
    mine: Codec = UserCodec("mine", repr, bytes.decode)
    assert as_codec(mine) is mine
    for built_in in (JSONCodec(), MessagePackCodec()):
        assert as_codec(built_in) is built_in


def test_what_is_no_codec_is_refused_with_the_choice() -> None:
    for wrong in ("yaml", "JSON", None, 5, Reversed, pickle, object()):
        with pytest.raises(
            InvalidArgument, match=r"choose from 'json', 'msgpack', or give an object with encode\(obj\)"
        ):
            as_codec(wrong)


@pytest.mark.parametrize("name", ["", "x" * 256, "\ud800", "two\nlines", 5, None])
def test_a_codec_needs_a_name_that_peers_can_compare(name: object) -> None:
    codec = Reversed()
    codec.name = name  # type: ignore[assignment]  # that is the point
    with pytest.raises(InvalidArgument, match="name must be printable text of 1 to 255 bytes"):
        as_codec(codec)


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_a_codec_may_not_take_the_name_of_a_built_in_one(name: str) -> None:
    codec = Reversed()
    codec.name = name
    with pytest.raises(InvalidArgument, match=f"'{name}' is the name of a built-in codec"):
        as_codec(codec)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("json", ["json", "msgpack"]),
        ("msgpack", ["msgpack", "json"]),
        (["json"], ["json", "msgpack"]),
        (Reversed(), ["reversed"]),
        ([Reversed(), "msgpack"], ["reversed", "msgpack", "json"]),
        (("json", Reversed()), ["json", "reversed", "msgpack"]),
    ],
)
def test_who_has_one_of_the_built_in_codecs_has_both_and_the_preferred_one_stands_first(
    value: object, names: list[str]
) -> None:
    codecs = as_codecs(value)
    assert list(codecs) == names
    assert [codec.name for codec in codecs.values()] == names


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("yaml", "there is no codec 'yaml'; choose from"),
        (["json", 5], "5 is not a codec"),
        ([], "a list of codecs must name one; choose from"),
        (["json", "json"], "two codecs are named 'json': .* give each its own"),
        ([Nameless(), Nameless()], "two codecs are named 'custom'"),
    ],
)
def test_codecs_are_told_apart_by_their_names(value: object, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        as_codecs(value)


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_any_kind_of_bytes_will_do(data: object) -> None:
    payload = as_codec(Nameless()).encode(data)
    assert type(payload) is bytes
    assert payload == b"abc"


def test_a_codec_that_returns_no_bytes_is_told_so() -> None:
    with pytest.raises(InvalidData, match=r"encode\(\) of the codec 'custom' must return bytes, not str"):
        as_codec(Nameless()).encode("abc")


def test_what_a_users_codec_raises_becomes_invalid_data_and_is_chained() -> None:
    codec = as_codec(Broken())
    with pytest.raises(InvalidData, match=r"'broken' cannot carry this int .*Unprintable") as encoding:
        codec.encode(5)
    assert isinstance(encoding.value.__cause__, Unprintable)
    with pytest.raises(InvalidData, match=r"'broken' cannot read a payload .*KeyError") as decoding:
        codec.decode(b"")
    assert isinstance(decoding.value.__cause__, KeyError)
    assert len(str(decoding.value)) < 300


# -- types ---------------------------------------------------------------------------------------


class Place(pydantic.BaseModel):
    room: int


class Reading(msgspec.Struct):
    celsius: float
    place: Place | None = None


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_a_typed_codec_decodes_into_the_type(codec: Codec) -> None:
    typed = codec.typed(Reading)
    assert typed is not None
    assert typed.name == codec.name
    readings = [Reading(1.5), Reading(2.5, Place(room=7))]
    payloads = [codec.encode(reading) for reading in readings]
    assert [typed.decode(payload) for payload in payloads] == readings
    lens = [len(payload) for payload in payloads]
    assert typed.decode_many((b"\n" if codec.lines else b"").join(payloads), lens, 2) == readings
    with pytest.raises(InvalidData, match="Expected `float`"):
        typed.decode(codec.encode({"celsius": "warm"}))


def test_a_codec_of_the_users_has_no_types() -> None:
    assert as_codec(Reversed()).typed(Reading) is None


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_a_model_of_pydantics_is_carried_as_its_plain_data(codec: Codec) -> None:
    assert codec.decode(codec.encode([Place(room=7)])) == [{"room": 7}]
