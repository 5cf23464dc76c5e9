"""Packets on a line that breaks bytes: cutting what arrives into those that are whole, and writing one down.

Sans-I/O. A packet is stuffed (COBS) so that no zero occurs in it, and ends with a zero: behind any noise a receiver
finds the next one. A checksum tells whether it is as it was sent. Little endian:

    u8 kind  u8 number  u8 next  u8 have  u32 tag  payload  u32 CRC-32 of all before     stuffed, then 0x00

    SYN    "my name is ..., and yours is tag" (0: not known yet); u32 name  u8 version  u8 window  u16 size
    DATA   the payload that has this number
    ACK    nothing but `next` and `have`
    FIN    the last that has a number: nothing more will come
    RST    "there is no tag here": tag is a name of the end that sends it

`next` is the number that is missed first, and bit i of `have` says that `next + 1 + i` is there already.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from zlib import crc32

SYN: Final = 1
DATA: Final = 2
ACK: Final = 3
FIN: Final = 4
RST: Final = 5

_HEADER: Final = struct.Struct("<BBBBI")
_CRC: Final = struct.Struct("<I")
_DELIMITER: Final = b"\0"
# Of what is no packet, so much can be shown.
_SHOWN: Final = 32
# The longest run without a zero that a length of one byte can tell of.
_RUN: Final = 254

FRAMING_BYTES: Final = _HEADER.size + _CRC.size


class Packet(NamedTuple):
    """One packet."""

    kind: int
    number: int
    next: int
    have: int
    tag: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the line, with the zero behind it."""
        kind, number, following, have, tag, payload = self
        content = _HEADER.pack(kind, number, following, have, tag) + payload
        return stuff(content + _CRC.pack(crc32(content))) + _DELIMITER

    @classmethod
    def decode(cls, stuffed: bytes) -> Packet | None:
        """What came between two zeros; `None` if that is no packet, or not as it was sent."""
        data = unstuff(stuffed)
        if data is None or len(data) < FRAMING_BYTES:
            return None
        content = data[: -_CRC.size]
        if _CRC.unpack_from(data, len(content))[0] != crc32(content):
            return None
        kind, number, following, have, tag = _HEADER.unpack_from(content)
        return cls(kind, number, following, have, tag, content[_HEADER.size :])


class PacketReader:
    """Finds packets in what arrives, however it is cut up, and whatever else is in it.

    Args:
        max_payload_bytes: a longer one is no packet; no more is kept.
    """

    def __init__(self, max_payload_bytes: int) -> None:
        self.broken: int = 0
        """Pieces that were no packets."""
        self._noise = b""
        content = FRAMING_BYTES + max_payload_bytes
        self._longest = content + content // _RUN + 1
        self._tail = b""

    @property
    def noise(self) -> bytes:
        """How the first piece that was no packet began, or what may become one."""
        return self._noise or self._tail[:_SHOWN]

    def feed(self, data: bytes | memoryview) -> list[Packet]:
        """Take the next bytes, and give the packets that are complete."""
        *pieces, tail = (self._tail + data).split(_DELIMITER)
        # What is too long stays so when it is cut off here, and does not grow.
        self._tail = tail[: self._longest + 1]
        packets = []
        for piece in pieces:
            packet = Packet.decode(piece) if len(piece) <= self._longest else None
            if packet is not None:
                packets.append(packet)
            elif piece:
                self._noise = self._noise or piece[:_SHOWN]
                self.broken += 1
        return packets


def stuff(data: bytes) -> bytes:
    """COBS: the same without zeros. Each zero, and the end, becomes the distance from the one before."""
    parts: list[bytes] = []
    for run in data.split(b"\0"):
        rest = run
        while len(rest) >= _RUN:  # a piece of this length has no zero behind it
            parts += (b"\xff", rest[:_RUN])
            rest = rest[_RUN:]
        parts += (_LENGTHS[len(rest)], rest)
    return b"".join(parts)


def unstuff(data: bytes) -> bytes | None:
    """What was stuffed; `None` if that cannot be. There is no zero in `data`."""
    parts: list[bytes] = []
    at, size = 0, len(data)
    while at < size:
        length = data[at]
        end = at + length
        if end > size:
            return None
        parts.append(data[at + 1 : end])
        if length <= _RUN and end < size:
            parts.append(b"\0")
        at = end
    return b"".join(parts)


_LENGTHS: Final = [bytes((length + 1,)) for length in range(_RUN)]
