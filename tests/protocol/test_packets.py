"""Packets: stuffed and checked, cut out of anything."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sig.protocol.packets import FRAMING_BYTES, Packet, PacketReader, stuff, unstuff

CONTENTS = st.binary(max_size=700) | st.builds(
    lambda runs: b"\0".join(b"x" * run for run in runs), st.lists(st.integers(0, 600), max_size=5)
)
PACKETS = st.builds(
    Packet, *[st.integers(0, 255)] * 4, st.integers(0, 2**32 - 1), CONTENTS.map(lambda content: content[:700])
)

ONE = Packet(2, 7, 3, 0b101, 0x11223344, b"\0data\0")


# -- stuffing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        (b"", b"\x01"),
        (b"\0", b"\x01\x01"),
        (b"\0\0", b"\x01\x01\x01"),
        (b"\0\x11\0", b"\x01\x02\x11\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (b"x" * 253, b"\xfe" + b"x" * 253),
        (b"x" * 255, b"\xff" + b"x" * 254 + b"\x02x"),
        (b"x" * 254 + b"\0y", b"\xff" + b"x" * 254 + b"\x01\x02y"),
    ],
)
def test_stuffing_is_that_of_cobs(plain: bytes, stuffed: bytes) -> None:
    assert stuff(plain) == stuffed
    assert unstuff(stuffed) == plain


def test_a_full_run_at_the_end_may_be_followed_by_an_empty_one_or_not() -> None:
    full = b"\xff" + b"x" * 254
    assert unstuff(full) == unstuff(full + b"\x01") == b"x" * 254


@given(CONTENTS)
@example(b"x" * 254)
@example(b"x" * 508 + b"\0")
def test_what_is_stuffed_has_no_zero_and_comes_out_again(content: bytes) -> None:
    stuffed = stuff(content)
    assert b"\0" not in stuffed
    assert len(stuffed) <= len(content) + len(content) // 254 + 1
    assert unstuff(stuffed) == content


def test_a_length_that_leads_too_far_is_none() -> None:
    assert unstuff(b"\x03a") is None


# -- packets -------------------------------------------------------------------------------------


def test_a_packet_byte_by_byte() -> None:
    content = bytes([2, 7, 3, 0b101]) + struct.pack("<I", 0x11223344) + b"\0data\0"
    checked = content + struct.pack("<I", zlib.crc32(content))
    assert ONE.encode() == stuff(checked) + b"\0"
    assert len(checked) - len(ONE.payload) == FRAMING_BYTES


@given(PACKETS)
def test_a_packet_comes_out_as_it_went_in(packet: Packet) -> None:
    assert Packet.decode(packet.encode()[:-1]) == packet


def test_a_packet_with_any_bit_flipped_is_none() -> None:
    wire = ONE.encode()
    for bit in range(len(wire) * 8):
        broken = bytearray(wire)
        broken[bit // 8] ^= 1 << bit % 8
        assert PacketReader(100).feed(bytes(broken)) == []


def test_what_is_shorter_than_any_packet_is_none() -> None:
    assert Packet.decode(stuff(b"x" * (FRAMING_BYTES - 1))) is None


# -- reading -------------------------------------------------------------------------------------


@given(st.lists(PACKETS, max_size=5), st.lists(st.integers(1, 40), min_size=1))
def test_packets_come_out_however_they_are_cut(packets: list[Packet], cuts: list[int]) -> None:
    wire = b"".join(packet.encode() for packet in packets)
    reader = PacketReader(700)
    found: list[Packet] = []
    at = 0
    while at < len(wire):
        size = cuts[at % len(cuts)]
        found += reader.feed(memoryview(wire)[at : at + size])
        at += size
    assert found == packets
    assert reader.broken == 0


@given(st.binary(max_size=2000))
def test_after_any_noise_and_a_zero_the_next_packet_is_found(noise: bytes) -> None:
    reader = PacketReader(100)
    reader.feed(noise)
    assert reader.feed(b"\0" + ONE.encode())[-1:] == [ONE]


def test_broken_pieces_are_counted_and_the_first_is_shown() -> None:
    reader = PacketReader(100)
    assert reader.noise == b""
    reader.feed(b"\0\0login: ")
    assert reader.broken == 0
    assert reader.noise == b"login: "
    reader.feed(b"\0more\0" + ONE.encode())
    assert reader.broken == 2
    assert reader.noise == b"login: "


def test_the_longest_payload_is_taken_and_a_longer_one_is_not() -> None:
    for payload in (b"x" * 508, b"\0" * 508):
        reader = PacketReader(508)
        longest = ONE._replace(payload=payload)
        assert reader.feed(longest.encode()) == [longest]
    assert PacketReader(508).feed(ONE._replace(payload=b"x" * 520).encode()) == []


def test_noise_without_end_is_not_kept() -> None:
    reader = PacketReader(100)
    for _ in range(1000):
        assert reader.feed(b"x" * 1000) == []
    assert len(reader._tail) < 200
    assert reader.feed(b"\0" + ONE.encode()) == [ONE]
    assert reader.broken == 1
