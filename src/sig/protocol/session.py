"""What outlives a link: which frames have arrived at either end, and those that may have to be sent again.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. Both ends of a link are alike. Each numbers the frames
that leave in order, by counting: no number is carried. It keeps them until the other end says how many have arrived
(ACK). When a new link takes the place of one that was lost, each end tells the other how many it has (HELLO, WELCOME),
and what is missing is sent again, before anything else: nothing is lost, nothing comes twice, and the order stays.

What is of one link alone is no part of this: the handshake, PING and PONG, ACK, and a last word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from sig.errors import RemoteProtocolError
from sig.protocol.frames import HEADER, Found, Kind

# The other end is told what has arrived after so many frames or bytes, and after so long at the latest. The bytes are
# a part of what it may keep: else a few large frames would fill that, and stand still until it is time.
ACK_FRAMES: Final = 64
ACK_BYTES: Final = 256 * 1024
ACK_S: Final = 0.05

# Why a session cannot be resumed; the words of `Welcome.fresh`.
UNKNOWN: Final = "unknown"  # the server was started since, or it was too long ago
MEMORY: Final = "memory"  # the server had to give it up
COUNTS: Final = "counts"  # the two ends do not agree on what has arrived
NOT_KEPT: Final = "not_kept"  # nothing is kept on links of this kind

# What is of one link alone, and is not numbered.
_APART: Final = frozenset(
    kind.value
    for kind in (
        *(Kind.HELLO, Kind.CHALLENGE, Kind.AUTH, Kind.WELCOME),
        *(Kind.PING, Kind.PONG, Kind.ACK, Kind.BYE, Kind.ERROR),
    )
)


def numbered(found: Iterable[Found]) -> int:
    """How many of these frames count."""
    return sum(frame[0] not in _APART for frame in found)


class Session:
    """One end of it, over all its links, which come one after the other.

    Args:
        window_bytes: so much of what leaves is kept; then nothing more leaves until the other end has some of it.
    """

    __slots__ = (
        "_ack_due",
        "_before",
        "_kept",
        "_told",
        "_unsaid",
        "acknowledged",
        "again",
        "bytes",
        "parted",
        "received",
        "sent",
        "window",
    )

    def __init__(self, window_bytes: int) -> None:
        self.window: int = window_bytes
        self.sent: int = 0
        """Frames that have left, on whichever link."""
        self.acknowledged: int = 0
        """How many of them have arrived, as far as is known here."""
        self.received: int = 0
        """Frames that have arrived here."""
        self.bytes: int = 0
        """What is kept."""
        self.again: deque[bytes] = deque()
        """What is to be sent on a new link before anything else."""
        self.parted: bool = False
        """Whether there is no link, or none on which it goes on."""
        # Pieces, and how many frames each of them is. The first is kept until all of it has arrived.
        self._kept: deque[tuple[bytes, int]] = deque()
        self._before = 0  # frames that left before the first piece
        self._told = 0  # of `received`, the other end has been told so many
        self._unsaid = 0  # bytes that have arrived since
        self._ack_due: float | None = None

    # What leaves

    @property
    def room(self) -> int:
        """How many bytes may leave now; none if not above 0. The last piece may be larger than what is left."""
        return self.window - self.bytes

    def keep(self, piece: bytes, frames: int = 1) -> None:
        """That leaves, behind all that has."""
        self._kept.append((piece, frames))
        self.bytes += len(piece)
        self.sent += frames

    def acknowledge(self, received: int) -> None:
        """The other end says that so many frames have arrived.

        Raises:
            RemoteProtocolError: more than were sent, or fewer than it has said before.
        """
        if not self.acknowledged <= received <= self.sent:
            raise RemoteProtocolError(
                f"the peer says that {received} frames have arrived: "
                f"{self.sent} were sent, and it has said {self.acknowledged} before"
            )
        self.acknowledged = received
        kept = self._kept
        while kept and self._before + kept[0][1] <= received:
            piece, frames = kept.popleft()
            self._before += frames
            self.bytes -= len(piece)

    def part(self) -> None:
        """The link is lost."""
        self.parted = True
        self.again.clear()
        self._ack_due = None  # the next handshake will tell

    def go_on(self, received: int) -> None:
        """On a new link, whose other end has got so many frames in all: `again` is what it lacks.

        Raises as `resume`.
        """
        self.again = deque(self.resume(received))
        self.parted = False

    def send_again(self, limit: int) -> list[bytes]:
        """The next pieces of `again`, up to about `limit` bytes."""
        pieces: list[bytes] = []
        while self.again and limit > 0:
            pieces.append(self.again.popleft())
            limit -= len(pieces[-1])
        return pieces

    def resume(self, received: int) -> list[bytes]:
        """What is to be sent before anything else on a new link, whose other end has got so many frames in all.

        It has been told by then, in the handshake, how many have arrived here. Raises as `acknowledge`.
        """
        self.acknowledge(received)
        self._said()
        again = [piece for piece, _ in self._kept]
        if again:
            again[0] = _without(again[0], received - self._before)
        return again

    # What arrives

    def arrived(self, frames: int, size: int, now: float) -> None:
        """So many frames, of so many bytes, have been taken."""
        self.received += frames
        self._unsaid += size
        if self.received - self._told >= ACK_FRAMES or self._unsaid >= ACK_BYTES:
            self._ack_due = now
        elif self._ack_due is None:
            self._ack_due = now + ACK_S

    def next_deadline(self) -> float | None:
        """When there is something to acknowledge."""
        return self._ack_due

    def due(self, now: float) -> int | None:
        """What to say in an ACK now, if it is time for one."""
        if self._ack_due is None or now < self._ack_due:
            return None
        self._said()
        return self.received

    def _said(self) -> None:
        self._told, self._unsaid, self._ack_due = self.received, 0, None


def _without(piece: bytes, frames: int) -> bytes:
    """The piece, less so many frames at its beginning."""
    start = 0
    for _ in range(frames):
        start += HEADER.size + HEADER.unpack_from(piece, start)[0]
    return piece[start:] if start else piece
