"""What is under way on a line: packets with numbers, kept until the other end has acknowledged them.

Sans-I/O. A line does not let one packet overtake another. So when the other end has something, what was sent before it
and has not arrived is lost, and is sent again at once; a clock is needed only for the last of what is sent.
"""

from __future__ import annotations

from typing import Final

from sig.protocol.packets import DATA, FRAMING_BYTES

NUMBERS: Final = 256
# How many packets may be under way; with `_SIZE`, as much as the driver of a serial port usually keeps, 4 KiB.
WINDOW: Final = 8

# The largest payload: under much more of it a checksum is worth little, and one bit costs all of it. On a slow line
# less, so that what is urgent does not wait for longer than this.
_SIZE: Final = 512
_SMALLEST: Final = 64
_PACKET_S: Final = 0.25
# So much is given to the line before it has done with what it has: what is then sent again, or told of what has come,
# need not wait for longer. Who drives us may be late by half of it.
_AHEAD_S: Final = 0.1
# When to send something again that nobody has acknowledged: at first, and within what bounds that is learned. What a
# packet takes on the line is added to each.
PATIENCE_S: Final = 0.25
_LEAST_S: Final = 0.1
_MOST_S: Final = 4.0


class Sent:
    """A packet of ours that has not been acknowledged."""

    __slots__ = ("due", "gone", "kind", "number", "order", "payload", "times")

    def __init__(self, kind: int, number: int, payload: bytes) -> None:
        self.kind: int = kind
        self.number: int = number
        self.payload: bytes = payload
        self.due: bool = True  # to be sent, or to be sent again
        self.times: int = 0  # that it was sent; what follows is of the last
        self.order: int = 0  # the how manieth of all
        self.gone: float = 0.0  # when the line had done with it, as far as we know


class Flight:
    """The packets of one end that have not been acknowledged, and what waits to become packets.

    Args:
        rate: what the line carries, in bytes a second; infinite where that is not known.
        give_up_s: how long the other end may acknowledge nothing.
    """

    def __init__(self, rate: float, give_up_s: float) -> None:
        self.queue: bytearray = bytearray()
        self.sent: list[Sent] = []
        """Oldest first."""
        self.window: int = WINDOW
        self.size: int = int(max(_SMALLEST, min(_SIZE, rate * _PACKET_S)))
        """The largest payload."""
        self.resent: int = 0
        self.since: float = 0.0
        """When something was acknowledged, or there began to be something to acknowledge."""
        self._rate = rate
        self._give_up_s = give_up_s
        self._number = 0
        self._order = 0
        self._free = 0.0  # when the line has done with what it was given
        self._packet_s = self._seconds(self.size)
        self._patience = PATIENCE_S + 2 * self._packet_s
        self._usual: float | None = None  # how long an acknowledgement takes
        self._spread = 0.0
        self._again = 0.0  # when the oldest is sent again

    def put(self, data: bytes) -> None:
        """Have this leave in packets, behind all before."""
        self.queue += data

    def add(self, kind: int, payload: bytes = b"") -> None:
        """Have a packet of its own leave."""
        self.sent.append(Sent(kind, self._number, payload))
        self._number = (self._number + 1) % NUMBERS

    def leaving(self, now: float) -> list[Sent]:
        """The packets that are to be sent now; small pieces that wait go together."""
        leaving = []
        while self._ready_at <= now and (packet := self._first_due()):
            if not any(other.times for other in self.sent):
                self.since = now
            packet.due = False
            self.resent += packet.times > 0
            packet.times += 1
            packet.order = self._order = self._order + 1
            packet.gone = self._free = max(self._free, now) + self._seconds(len(packet.payload))
            if packet is self.sent[0]:
                self._again = packet.gone + self._patience
            leaving.append(packet)
        return leaving

    def acknowledged(self, following: int, have: int, now: float) -> None:
        """The other end says what has arrived."""
        sent = self.sent
        if not sent or (following - sent[0].number) % NUMBERS > (self._number - sent[0].number) % NUMBERS:
            return  # nothing is under way, or this is none of our numbers
        left, newest = [], None
        for packet in sent:
            behind = (packet.number - following) % NUMBERS
            # Before `following` means far behind it: there are more numbers than twice the window.
            arrived = behind >= NUMBERS - WINDOW or (0 < behind <= 8 and have >> (behind - 1) & 1)
            if not arrived:
                left.append(packet)
            elif newest is None or packet.order > newest.order:
                newest = packet
        if newest is None:
            return
        self.sent = left
        self.since = now
        if newest.times == 1:  # else nobody knows which of them has been acknowledged
            self._learn(max(0.0, now - newest.gone))
        for packet in left:
            packet.due = packet.due or packet.order < newest.order
        # It may be faster than it said.
        on_the_line = sum(self._seconds(len(packet.payload)) for packet in left if not packet.due)
        self._free = min(self._free, now + on_the_line)
        self._again = self._free + self._patience

    def next_deadline(self) -> float:
        """When to call `handle_timeout`; only while something is under way."""
        deadline = min(self._again, self.since + self._give_up_s)
        return min(deadline, self._ready_at) if self._waiting() else deadline

    def handle_timeout(self, now: float) -> bool:
        """Time has passed; false if it is time to give up."""
        if now >= self.since + self._give_up_s:
            return False
        if now >= self._again:
            # The oldest is enough: what comes of it tells which others are lost.
            self.sent[0].due = True
            self._patience = min(2 * self._patience, _MOST_S + self._packet_s)
            self._again = now + self._patience  # it may have to wait
        return True

    @property
    def _ready_at(self) -> float:
        """When the line may be given more."""
        return self._free - _AHEAD_S

    def _waiting(self) -> bool:
        return any(packet.due for packet in self.sent) or (bool(self.queue) and self._room())

    def _first_due(self) -> Sent | None:
        for packet in self.sent:
            if packet.due:
                return packet
        if not self.queue or not self._room():
            return None
        self.add(DATA, bytes(self.queue[: self.size]))
        del self.queue[: self.size]
        return self.sent[-1]

    def _room(self) -> bool:
        return not self.sent or (self._number - self.sent[0].number) % NUMBERS < self.window

    def _learn(self, took: float) -> None:
        if self._usual is None:
            self._usual, self._spread = took, took / 2
        else:
            self._spread += (abs(took - self._usual) - self._spread) / 4
            self._usual += (took - self._usual) / 8
        self._patience = min(max(_LEAST_S, self._usual + 4 * self._spread), _MOST_S) + self._packet_s

    def _seconds(self, payload: int) -> float:
        """How long a packet takes on the line."""
        return (payload + FRAMING_BYTES) / self._rate
