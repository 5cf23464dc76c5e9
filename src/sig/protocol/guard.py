"""Guard: a layer for lines that lose, break and double bytes (serial lines); over it nothing is lost, nor comes twice.

Sans-I/O. What the peer sends goes in packets (`packets`) that have numbers; what the other end does not acknowledge is
sent again (`flight`). Two ends first agree on a session, so that one that has begun anew is not taken for the one
before it: each has a name, and every packet carries in its tag the name of the end that it is for.
"""

from __future__ import annotations

import math
import struct
from math import inf
from typing import Final

from sig.errors import ConnectFailed, ConnectionLost, HandshakeRefused, SigError
from sig.protocol.flight import NUMBERS, PATIENCE_S, WINDOW, Flight
from sig.protocol.packets import ACK, DATA, FIN, RST, SYN, Packet, PacketReader

VERSION: Final = 1
_OPENING: Final = struct.Struct("<IBBH")
# The longest pause between two SYN: a board may take seconds to start.
_SYN_S: Final = 1.0


class GuardLayer:
    """One end of a line. Implements `Layer`.

    Args:
        name: this end's in this session, from 1 to 2**32 - 1; by chance, so that no two sessions have the same.
        now: the time.
        active: whether to begin, or to be silent until the other end does. Both may begin.
        rate: how many bytes a second the line carries, where that is known.
        open_s: how long the other end may take to answer at first.
        give_up_s: how long it may acknowledge nothing. When nothing has come for half of it, it is asked to.
    """

    def __init__(
        self,
        name: int,
        now: float,
        *,
        active: bool = True,
        rate: float = math.inf,
        open_s: float = 10.0,
        give_up_s: float = 10.0,
    ) -> None:
        self._name = name
        self._now = now  # `data_to_send` is not told
        self._open_s = open_s
        self._give_up_s = give_up_s
        self._flight = Flight(rate, give_up_s)
        self._reader = PacketReader(self._flight.size)
        self._size = self._flight.size  # what we take
        # The session
        self._peer = 0  # the other end's name; 0 while it is not known
        self._opened = False
        self._over = False  # nothing is sent and nothing is taken any more
        self._error: SigError | None = None
        self._trying = active
        self._say_syn = active
        self._syn_pause = PATIENCE_S
        self._syn_again = now + PATIENCE_S
        self._open_until = now + open_s
        self._deny = 0  # a name with which the other end is mistaken
        self._heard = now
        self._ending = False
        self._ended = False  # FIN has its number
        # What has come
        self._next = 0
        self._early: dict[int, tuple[int, bytes]] = {}
        self._say_ack = False
        self._closed = False

    @property
    def called(self) -> bool:
        """Whether there is another end; no bytes of its peer can have come before."""
        return self._peer != 0

    @property
    def finished(self) -> bool:
        """Whether both ends know that nothing more will come; or it does not matter any more."""
        return self._over or (self._closed and self._ended and not self._flight.sent)

    @property
    def denial(self) -> bytes:
        """Tells the other end, at any time, that this session is no more; may be asked by any thread."""
        return b"\0" + Packet(RST, 0, 0, 0, self._name).encode()

    @property
    def broken(self) -> int:
        """Pieces that came and were no packets."""
        return self._reader.broken

    @property
    def resent(self) -> int:
        """Packets that were sent again."""
        return self._flight.resent

    # Layer

    @property
    def held(self) -> int:
        return len(self._flight.queue)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def identity(self) -> str | None:
        return None

    @property
    def expires(self) -> float:
        return inf

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        """As in `Layer`. What came before the fault is returned first: then `next_deadline` is due, and raises."""
        self._now = now
        self._raise()
        out: list[bytes] = []
        for packet in self._reader.feed(data):
            if not self._over:
                self._take(packet, out)
        if not out:
            self._raise()
        return b"".join(out)

    def send(self, data: bytes, now: float) -> None:
        """As in `Layer`. What comes after all before `close` has been acknowledged goes nowhere."""
        self._now = now
        if not self._ended and not self._over:
            self._flight.put(data)

    def close(self, now: float) -> None:
        self._now = now
        self._ending = True
        if not self._opened and not self._over:
            self._end(self._name)

    def data_to_send(self) -> bytes:
        packets: list[Packet] = []
        if self._deny:
            packets.append(Packet(RST, 0, 0, 0, self._deny))
            self._deny = 0
        if self._say_syn:
            opening = _OPENING.pack(self._name, VERSION, WINDOW, self._size)
            packets.append(Packet(SYN, 0, 0, 0, self._peer, opening))
            self._say_syn = False
        if self._opened and not self._over:
            # Not before all else has been acknowledged: until then the peer may have a last word.
            if self._ending and not self._ended and not self._flight.sent and not self.held:
                self._flight.add(FIN)
                self._ended = True
            have = sum(1 << (number - self._next) % NUMBERS - 1 for number in self._early)
            state = self._next, have, self._peer
            leaving = self._flight.leaving(self._now)
            packets += [Packet(sent.kind, sent.number, *state, sent.payload) for sent in leaving]
            if self._say_ack and not leaving:
                packets.append(Packet(ACK, 0, *state))
            self._say_ack = False
        # The first zero ends what noise may have left on the line.
        return b"".join((b"\0", *(packet.encode() for packet in packets))) if packets else b""

    def next_deadline(self) -> float | None:
        if self._error is not None:
            return 0.0
        if self.finished:
            return None
        if not self._opened:
            return min(self._syn_again, self._open_until) if self._trying else None
        if self._flight.sent:
            return self._flight.next_deadline()
        return self._flight.since + self._give_up_s if self._ended else self._heard + self._give_up_s / 2

    def handle_timeout(self, now: float) -> None:
        self._now = now
        self._raise()
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if not self._opened:
            if now >= self._open_until:
                self._fail(ConnectFailed(self._why_silent()))
            self._say_syn = True
            self._syn_pause = min(2 * self._syn_pause, _SYN_S)
            self._syn_again = now + self._syn_pause
        elif not self._flight.sent and not self._ended:
            self._flight.add(DATA)  # empty: somebody who is there acknowledges it
        elif not self._flight.sent or not self._flight.handle_timeout(now):
            self._fail(
                ConnectionLost(f"the other end of the line has acknowledged nothing for {self._give_up_s:g} s"),
                self._name,
            )
        self._raise()

    # Within

    def _take(self, packet: Packet, out: list[bytes]) -> None:
        if packet.kind == SYN:
            if len(packet.payload) >= _OPENING.size:
                self._meet(packet.tag, *_OPENING.unpack_from(packet.payload))
        elif packet.kind == RST:
            if self._peer and packet.tag == self._peer:
                self._fail(ConnectionLost("the other end of the line has ended the session"))
        elif packet.tag != self._name:
            self._deny = packet.tag
        elif self._peer:
            self._opened = True  # it knows our name
            self._heard = self._now
            self._flight.acknowledged(packet.next, packet.have, self._now)
            if packet.kind in (DATA, FIN):
                self._accept(packet, out)

    def _meet(self, tag: int, name: int, version: int, window: int, size: int) -> None:
        """The other end has said who it is, and who it takes us for."""
        if version != VERSION:
            self._fail(
                HandshakeRefused(
                    f"the other end of the line speaks version {version} of the guard, and we speak {VERSION}: "
                    f"update the {'other end' if version < VERSION else 'program on this side'}"
                )
            )
            self._say_syn = True  # so that it can say the same
        elif name == self._name:
            self._fail(
                ConnectFailed("the line brings back what was sent into it: connect its other end, or turn echo off")
            )
        elif self._opened and name != self._peer:
            self._fail(ConnectionLost("the other end of the line has begun anew"))
        elif name:
            if not self._trying:
                self._trying = True
                self._open_until = self._now + self._open_s
            self._peer = name
            self._flight.window = max(1, min(WINDOW, window))
            self._flight.size = max(1, min(self._size, size))
            if tag == self._name:
                self._opened = self._say_ack = True
                self._heard = self._now
            else:
                self._say_syn = True

    def _accept(self, packet: Packet, out: list[bytes]) -> None:
        self._say_ack = True  # also for what had come before: then the acknowledgement was lost
        if (packet.number - self._next) % NUMBERS >= WINDOW:
            return
        self._early[packet.number] = packet.kind, packet.payload
        while self._next in self._early:
            kind, payload = self._early.pop(self._next)
            self._next = (self._next + 1) % NUMBERS
            if kind == FIN:
                self._closed = True
            elif not self._closed and payload:
                out.append(payload)

    def _fail(self, error: SigError, deny: int = 0) -> None:
        self._error = error
        self._end(deny)

    def _end(self, deny: int) -> None:
        self._over = True
        self._say_syn = False
        self._deny = deny
        self._early.clear()
        self._flight.queue.clear()
        self._flight.sent.clear()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _why_silent(self) -> str:
        if not self._reader.noise:
            return f"nobody answered at the other end of the line within {self._open_s:g} s: start it, check the wires"
        return (
            f"nothing that sig understands came from the line within {self._open_s:g} s (it began with "
            f"{self._reader.noise!r}): check that both ends have the same baud rate and parity, and speak sig"
        )
