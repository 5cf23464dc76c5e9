"""Batches become what their listeners want, where those agree; what does not fit becomes plain data for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec
import pytest

from sig.codecs import JSON, MSGPACK, Codec, as_codec
from sig.decoding import Decoding
from sig.errors import InvalidData


class Reading(msgspec.Struct):
    celsius: float


class Level(msgspec.Struct):
    metres: int


class Picky(msgspec.Struct):
    metres: int

    def __post_init__(self) -> None:
        raise KeyError(self.metres)


class Plain(TypedDict):
    metres: int


class Own:
    def encode(self, value: object) -> bytes:
        return json.dumps(value).encode()

    def decode(self, data: bytes) -> object:
        return json.loads(data)


CODECS: list[Codec] = [JSON, MSGPACK, as_codec(Own())]
COLD, DEEP = {"celsius": 1.5}, {"metres": 3}


@pytest.fixture(params=CODECS, ids=lambda codec: codec.name)
def codec(request: pytest.FixtureRequest) -> Codec:
    found: Codec = request.param
    return found


def decoded(decoding: Decoding, *values: object, routes: Sequence[int] | None = None, lens: bool = True) -> list[Any]:
    """One batch: of route 1, or of these."""
    codec = decoding.codec
    payloads = [codec.encode(value) for value in values]
    newline = b"\n" if codec.lines else b""
    sizes = [len(payload) + len(newline) for payload in payloads]
    sizes[-1] -= len(newline)
    return decoding.batch(newline.join(payloads), sizes if lens else None, len(values), 1, routes)


def test_without_types_data_is_plain(codec: Codec) -> None:
    decoding = Decoding(codec)
    assert decoded(decoding, COLD, DEEP) == [COLD, DEEP]
    decoding.heard(2, [Level])
    assert decoded(decoding, COLD, DEEP) == [COLD, DEEP]


def test_a_type_that_all_want_is_decoded_into(codec: Codec) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [Reading, Reading])
    expected = [COLD, COLD] if codec.name == "custom" else [Reading(1.5), Reading(1.5)]
    assert decoded(decoding, COLD, COLD) == expected
    assert decoded(decoding, COLD) == expected[:1]


@pytest.mark.parametrize("kinds", [[], [Reading, None], [None, Reading], [Reading, Level], [list[int]], [Plain]])
def test_otherwise_each_listener_sees_to_it(kinds: Sequence[Any]) -> None:
    decoding = Decoding(JSON)
    decoding.heard(1, [Reading])
    decoding.heard(1, kinds)
    assert decoded(decoding, COLD) == [COLD]


def test_who_listens_may_become_unknown(codec: Codec) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [Reading])
    decoding.unheard(1)
    decoding.unheard(1)
    assert decoded(decoding, COLD, COLD) == [COLD, COLD]


@pytest.mark.parametrize("lens", [False, True])
def test_lines_need_no_lengths(lens: bool) -> None:
    decoding = Decoding(JSON)
    decoding.heard(1, [Reading])
    assert decoded(decoding, COLD, COLD, lens=lens) == [Reading(1.5), Reading(1.5)]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_many_routes_are_decoded_at_once_or_each_into_its_own(codec: Codec) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [Reading])
    decoding.heard(2, [Reading])
    decoding.heard(3, [Level])
    assert decoded(decoding, COLD, COLD, COLD, routes=(1, 2, 1)) == [Reading(1.5)] * 3
    assert decoded(decoding, DEEP, COLD, DEEP, 5, routes=(3, 2, 3, 4)) == [Level(3), Reading(1.5), Level(3), 5]
    assert decoded(decoding, DEEP, COLD, routes=(5, 4)) == [DEEP, COLD]
    assert decoded(Decoding(codec), DEEP, COLD, routes=(3, 2)) == [DEEP, COLD]
    if codec.lines:
        assert decoded(decoding, DEEP, COLD, routes=(3, 2), lens=False) == [DEEP, COLD]


def test_a_batch_is_typed_if_all_of_it_is() -> None:
    """Else somebody whose type is found out amid the batch would be given plain data for it."""
    decoding = Decoding(JSON)
    decoding.heard(1, [Reading])
    decoding.heard(3, [Level])
    for routes, typed in (((1, 3), True), ((1, 1), True), ((1, 2), False), ((2, 3), False)):
        decoded(decoding, *({1: COLD, 2: COLD, 3: DEEP}[route] for route in routes), routes=routes)
        assert decoding.typed is typed


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("kind", [Level, Picky])
def test_what_does_not_fit_is_plain_data_for_all(codec: Codec, kind: type) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [kind])
    decoding.heard(2, [Reading])
    assert decoded(decoding, DEEP, COLD) == [DEEP, COLD]
    assert decoded(decoding, COLD, COLD, routes=(1, 2)) == [COLD, COLD]


def test_what_cannot_be_read_at_all_is_invalid(codec: Codec) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [Reading])
    with pytest.raises(InvalidData):
        decoding.batch(b"\xc1", (1,), 1, 1, None)


def test_any_type_is_decoded_into_where_nobody_looks_again(codec: Codec) -> None:
    decoding = Decoding(codec)
    decoding.heard(1, [dict[str, int]], unlooked=True)
    assert decoded(decoding, DEEP, DEEP) == [DEEP, DEEP]
    assert decoding.typed is (codec in (JSON, MSGPACK))
    assert decoded(decoding, COLD) == [COLD]  # does not fit
    assert not decoding.typed
    decoding.heard(1, [dict[str, int]])
    decoded(decoding, DEEP)
    assert not decoding.typed


def test_lines_that_are_not_as_many_as_was_said_are_not_paired_with_the_wrong_types() -> None:
    decoding = Decoding(JSON)
    decoding.heard(1, [Reading])
    decoding.heard(3, [Level])
    with pytest.raises(InvalidData, match="said to hold 3"):
        decoding.batch(b'{"celsius":1.5}\n{"metres":3}', (10, 10, 8), 3, 1, (1, 3, 1))
