"""What is the same in every WebSocket."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.protocol.frames import Kind, pack
from sig.protocol.subprotocol import (
    MESSAGE_BYTES,
    check_hosts,
    check_origins,
    frames_in,
    host_of,
    message_limit,
    messages_of,
    misdirected,
)


def test_the_limit_is_at_least_what_is_sent_at_once() -> None:
    assert message_limit(Limits.of(max_frame_bytes=100)) == MESSAGE_BYTES
    assert message_limit(Limits.of(max_frame_bytes=2 * MESSAGE_BYTES)) == 2 * MESSAGE_BYTES + 12


def test_frames_are_found() -> None:
    assert list(frames_in(b"")) == []
    assert list(frames_in(pack(Kind.LOST, b"abc") + pack(Kind.PING) + pack(Kind.LOST, b"x"))) == [
        (0, 15),
        (15, 27),
        (27, 40),
    ]


def test_what_fits_is_one_message_and_the_same_bytes() -> None:
    data = pack(Kind.LOST, bytes(MESSAGE_BYTES // 2 - 12)) * 2
    (message,) = messages_of(data)
    assert message is data


@given(
    st.lists(
        st.sampled_from([0, 5, 400_000, MESSAGE_BYTES - 12, MESSAGE_BYTES, 3 * MESSAGE_BYTES]), min_size=1, max_size=12
    )
)
def test_messages_hold_whole_frames_and_no_more_than_they_must(sizes: list[int]) -> None:
    frames = [pack(Kind.LOST, bytes(size)) for size in sizes]
    data = b"".join(frames)
    messages = [bytes(message) for message in messages_of(data)]
    assert b"".join(messages) == data
    counts = [len(list(frames_in(message))) for message in messages]
    assert sum(counts) == len(frames)
    for message, count in zip(messages, counts, strict=True):
        assert message
        assert count == 1 or len(message) <= MESSAGE_BYTES
        assert max(end for _, end in frames_in(message)) == len(message)
    for one, following in pairwise(messages):
        assert len(one) + next(frames_in(following))[1] > MESSAGE_BYTES


def test_origins_are_checked() -> None:
    check_origins([])
    check_origins(["https://lab.example", "http://localhost:8000", "chrome-extension://abc"])
    with pytest.raises(InvalidArgument, match="is one text: give a list"):
        check_origins("https://lab.example")


@pytest.mark.parametrize(
    "origin", ["lab.example", "https://lab.example/", "https://Lab.example", "*", "null", "https://", "://x"]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidArgument, match="no page has the origin"):
        check_origins([origin])


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("lab.example", "lab.example"),
        (" LAB.example:3000 ", "lab.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:3000", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
        ("http://lab.example", "http"),
        ("a/b", ""),
    ],
)
def test_a_host_is_what_stands_before_the_port(header: str, host: str) -> None:
    assert host_of(header) == host


def test_hosts_are_checked() -> None:
    check_hosts(["lab.example", "[::1]", "127.0.0.1"])
    with pytest.raises(InvalidArgument, match="is one text"):
        check_hosts("lab.example")
    for host in ("lab.example:3000", "http://lab.example", "Lab.example", "", "a/b"):
        with pytest.raises(InvalidArgument, match="is no host: write it like 'lab.example'"):
            check_hosts([host])


def test_a_request_is_for_a_server_of_the_names_that_it_has_or_of_any() -> None:
    assert misdirected(["anywhere.example"], []) is None
    assert misdirected(["LAB.example:80"], ["lab.example"]) is None
    for asked in ([], ["there.example"], ["lab.example", "there.example"]):
        told = misdirected(asked, ["lab.example"])
        assert told == f"this server is not {asked[-1] if asked else ''!r}: its `hosts` do not list that"
