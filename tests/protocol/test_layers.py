"""Two layers as one: what the inner says goes through the outer, whatever made it speak."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import ConnectionLost, SigError
from sig.protocol.layers import Layer, Stacked


class Rung:
    """A small layer: both ends greet with their letter, then each byte travels one higher.

    A zero byte ends it, 255 is a mistake. It asks for attention at `due`, if there is one, and ends itself then.
    """

    def __init__(self, letter: bytes, *, due: float | None = None, identity: str | None = None) -> None:
        self.closed = False
        self.identity = identity
        self.expires = inf
        self._letter = letter
        self._due = due
        self._out = letter
        self._waiting = b""
        self._open = False
        self._closing = False

    @property
    def held(self) -> int:
        return len(self._waiting)

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        data = bytes(data)
        if data and not self._open:
            if data[:1] != self._letter:
                self._out += b"?"
                raise ConnectionLost(f"{self._letter!r} was expected")
            data, self._open = data[1:], True
            waiting, self._waiting = self._waiting, b""
            self.send(waiting, now)
        if 255 in data:
            self._out += b"!"
            raise ConnectionLost("a mistake")
        data, end, _ = data.partition(b"\0")
        self.closed |= bool(end)
        return bytes(byte - 1 for byte in data)

    def send(self, data: bytes, now: float) -> None:
        if self._open:
            self._out += bytes(byte + 1 for byte in data)
        else:
            self._waiting += data

    def close(self, now: float) -> None:
        if not self._closing:
            self._closing = True
            self._out += b"\0"

    def data_to_send(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_deadline(self) -> float | None:
        return self._due

    def handle_timeout(self, now: float) -> None:
        self._due = None
        self.close(now)


def stacked() -> Stacked:
    return Stacked(Rung(b"o"), Rung(b"i"))


def carry(left: Layer, right: Layer) -> tuple[bytes, bytes]:
    """Bring what both have to say to the other, byte by byte, until they are silent; what they gave their peers."""
    given_left = given_right = b""
    while True:
        to_right, to_left = left.data_to_send(), right.data_to_send()
        if not to_right and not to_left:
            return given_left, given_right
        for byte in to_right:
            given_right += right.receive(bytes([byte]), 0)
        for byte in to_left:
            given_left += left.receive(bytes([byte]), 0)


def opened() -> tuple[Stacked, Stacked]:
    left, right = stacked(), stacked()
    left.receive(b"", 0)  # what the inner one says unasked is carried with the next call of any kind
    right.receive(b"", 0)
    assert carry(left, right) == (b"", b"")
    return left, right


def test_a_layer_of_the_tests_is_one() -> None:
    layer: Layer = Rung(b"a")
    assert layer.data_to_send() == b"a"


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=20).map(lambda b: bytes(x % 200 for x in b)))))
def test_bytes_pass_both_ways(program: Iterable[tuple[bool, bytes]]) -> None:
    left, right = opened()
    to_left = to_right = b""
    for rightward, data in program:
        if rightward:
            left.send(data, 0)
            to_right += data
        else:
            right.send(data, 0)
            to_left += data
    assert carry(left, right) == (to_left, to_right)


def test_each_byte_goes_through_both() -> None:
    left, _ = opened()
    left.send(b"abc", 0)
    assert left.data_to_send() == b"cde"


def test_what_is_held_anywhere_is_held() -> None:
    left, right = stacked(), stacked()
    assert left.held == 0
    left.send(b"abc", 0)
    assert left.held == 4  # three by the inner one, and its greeting by the outer
    right.receive(b"", 0)
    assert carry(left, right) == (b"", b"abc")
    assert (left.held, right.held) == (0, 0)


def test_the_inner_speaks_first_through_the_outer() -> None:
    left, right = stacked(), stacked()
    assert carry(left, right) == (b"", b"")
    left.send(b"x", 0)
    right.send(b"y", 0)
    assert carry(left, right) == (b"y", b"x")


def test_closing_goes_from_within_outwards() -> None:
    left, right = opened()
    left.send(b"last", 0)
    left.close(0)
    left.close(0)
    data = left.data_to_send()
    assert data == b"ncuv\1\0"
    assert right.receive(data[:-1], 0) == b"last"
    assert right._inner.closed
    assert not right._outer.closed
    assert right.closed
    assert right.receive(data[-1:], 0) == b""
    assert right._outer.closed


def test_the_outer_end_alone_is_an_end() -> None:
    left, _ = opened()
    assert not left.closed
    left.receive(b"\0", 0)
    assert left.closed
    assert not left._inner.closed


@pytest.mark.parametrize(
    ("outer", "inner", "known"), [(None, None, None), ("cert", None, "cert"), (None, "b", "b"), ("cert", "b", "cert")]
)
def test_who_is_there_is_said_by_the_outer_first(outer: str | None, inner: str | None, known: str | None) -> None:
    assert Stacked(Rung(b"o", identity=outer), Rung(b"i", identity=inner)).identity == known


@pytest.mark.parametrize("until", [[inf, inf], [5.0, inf], [inf, 5.0], [5.0, 7.0]])
def test_who_is_there_is_known_until_the_first_of_both_ends(until: list[float]) -> None:
    outer, inner = Rung(b"o", identity="cert"), Rung(b"i", identity="b")
    outer.expires, inner.expires = until
    assert Stacked(outer, inner).expires == min(until)


def test_what_the_inner_has_to_say_of_a_mistake_still_leaves() -> None:
    left, _ = opened()
    with pytest.raises(SigError, match="a mistake"):
        left._inner.receive(b"\xff", 0)
    left.receive(b"", 0)
    assert left.data_to_send() == b'"'  # a "!" one higher


def test_a_mistake_within_is_raised_and_answered() -> None:
    left = stacked()
    with pytest.raises(SigError, match="b'i' was expected"):
        left.receive(b"oX", 0)
    assert left.data_to_send() == b"o" + b"j" + b"@"


def test_a_mistake_of_the_outer_is_raised() -> None:
    left = stacked()
    with pytest.raises(SigError, match="b'o' was expected"):
        left.receive(b"X", 0)
    assert left.data_to_send() == b"o?"


@pytest.mark.parametrize(
    ("outer", "inner", "first"),
    [(None, None, None), (1.0, None, 1.0), (None, 2.0, 2.0), (1.0, 2.0, 1.0), (3.0, 2.0, 2.0)],
)
def test_the_sooner_deadline_is_the_deadline(outer: float | None, inner: float | None, first: float | None) -> None:
    assert Stacked(Rung(b"o", due=outer), Rung(b"i", due=inner)).next_deadline() == first


def test_time_passes_for_whom_it_is_due() -> None:
    layer = Stacked(Rung(b"o", due=2.0), Rung(b"i", due=1.0))
    layer.receive(b"o", 0)
    layer.data_to_send()
    layer.handle_timeout(0.5)
    assert (layer.next_deadline(), layer.data_to_send()) == (1.0, b"")
    layer.handle_timeout(1.5)
    assert (layer.next_deadline(), layer.data_to_send()) == (2.0, b"\1")
    layer.handle_timeout(2.0)
    assert (layer.next_deadline(), layer.data_to_send()) == (None, b"\0")
    layer.handle_timeout(9.0)
    assert layer.data_to_send() == b""
