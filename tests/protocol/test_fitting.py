"""Events for who takes smaller frames: every event in its order, either in a part or told as lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.codecs import as_codec, batch_decode
from sig.protocol.events import count_events, pack_batch, unpack_events
from sig.protocol.fitting import fit_events
from sig.protocol.frames import HEADER, Frame

TIME_US = 1_700_000_000_000_000


def batch(items: list[tuple[int, bytes]], *, lens: bool, lines: bool = True) -> Frame:
    routes = [route for route, _ in items]
    payloads = [payload for _, payload in items]
    if len(set(routes)) == 1:
        return Frame.of(pack_batch(routes[0], payloads, lens=lens, lines=lines, time_us=TIME_US))
    return Frame.of(pack_batch(0, payloads, lens=lens, lines=lines, routes=routes, time_us=TIME_US))


def parts(frame: Frame, limit: int) -> list[tuple[str, list[tuple[int, object]]]]:
    """What comes of it, in order: ("whole", [(route, value)]) or ("lost", [(route, how many)])."""
    found: list[tuple[str, list[tuple[int, object]]]] = []
    for part, counts in fit_events(frame, limit, lines=True):
        if part is None:
            found.append(("lost", list(counts)))
            continue
        made = Frame.of(part)
        assert len(part) - HEADER.size <= limit
        assert count_events(made) == counts
        body = unpack_events(made)
        assert body.time_us == TIME_US
        values = batch_decode(as_codec("json"), body.payloads, body.lens, made.count)
        found.append(("whole", list(zip(body.routes or [made.route] * made.count, values, strict=True))))
    return found


def test_what_fits_is_one_part() -> None:
    assert parts(batch([(7, b"1"), (7, b"2")], lens=False), 1000) == [("whole", [(7, 1), (7, 2)])]


def test_an_event_that_is_too_large_is_lost_alone() -> None:
    large = b'"' + b"x" * 200 + b'"'
    frame = batch([(1, b"1"), (1, b"2"), (2, large), (1, b"3")], lens=True)
    assert parts(frame, 100) == [("whole", [(1, 1), (1, 2)]), ("lost", [(2, 1)]), ("whole", [(1, 3)])]


@pytest.mark.parametrize("lens", [True, False])
def test_one_event_alone_is_lost_if_it_is_too_large(lens: bool) -> None:
    frame = batch([(1, b'"' + b"x" * 200 + b'"')], lens=lens)
    assert parts(frame, 100) == [("lost", [(1, 1)])]


def test_a_batch_that_nobody_can_take_apart_is_lost_as_a_whole() -> None:
    good = batch([(1, b"1"), (1, b"2")], lens=False)
    frame = Frame(good.kind, 0, 3, good.route, good.data)  # it says three, and there are two lines
    assert parts(frame, 10) == [("lost", [(1, 3)])]


def test_payloads_of_a_codec_without_lines_are_parted_by_their_lengths() -> None:
    frame = batch([(1, b"\n\n"), (1, b""), (2, b"\xff\n")], lens=True, lines=False)
    found = [(Frame.of(part), counts) for part, counts in fit_events(frame, 26, lines=False) if part is not None]
    assert [unpack_events(part).payloads for part, _ in found] == [b"\n\n", b"\xff\n"]
    assert [counts for _, counts in found] == [((1, 2),), ((2, 1),)]


def test_a_batch_of_such_a_codec_without_lengths_is_lost_as_a_whole_whatever_newlines_are_in_it() -> None:
    good = batch([(1, b"a"), (1, b"b")], lens=False)
    assert list(fit_events(good, 10, lines=False)) == [(None, ((1, 2),))]


JSON = st.one_of(st.integers(-9, 9), st.text(max_size=40)).map(as_codec("json").encode)


@given(st.lists(st.tuples(st.integers(1, 3), JSON), min_size=1, max_size=30), st.booleans(), st.integers(1, 200))
def test_nothing_is_missed_untold(items: list[tuple[int, bytes]], lens: bool, limit: int) -> None:
    frame = batch(items, lens=lens)
    decode = as_codec("json").decode
    expected = [(route, decode(payload)) for route, payload in items]
    place = 0
    for what, found in parts(frame, limit):
        if what == "whole":
            assert found == expected[place : place + len(found)]
            place += len(found)
        else:
            [(route, count)] = found
            assert route == items[place][0]
            # Not lost for nothing: it would not fit alone either, newline and tables included.
            assert len(items[place][1]) + 1 + 8 + 8 > limit
            assert count == 1
            place += 1
    assert place == len(items)
