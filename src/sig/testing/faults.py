"""Links that break as you tell them: cut, stalled, bits flipped, frames doubled. Over any carrier."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Final, TypeVar

from sig.carriers.base import ClientCarrier
from sig.carriers.schemes import client_carrier
from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.links import LINGER_S, Link, LinkUser
from sig.errors import InvalidArgument, SigError
from sig.protocol.frames import HEADER, PREFACE

T = TypeVar("T")

# How long a half that was closed leaves the other open.
_HALF_OPEN_S: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the bytes of one direction. Places are counted from the beginning of the link.

    Frames are numbered from 0, the first being that of the handshake. Faults of frames come first, then the flipped
    bit, then the end, then the pieces.

    Raises:
        InvalidArgument: a place that is below zero, or pieces of nothing.
    """

    cut_at: int | None = None
    """So many bytes pass, then the link is down."""
    stall_at: int | None = None
    """So many bytes pass; those after them are taken and never delivered."""
    end_at: int | None = None
    """So many bytes pass, then this direction is closed, and the other goes on."""
    flip_bit: int | None = None
    """This bit is the other one: the lowest of the first byte is 0, of the second 8."""
    duplicate_frame: int | None = None
    """This frame comes twice."""
    swap_frame: int | None = None
    """This frame and the next change places."""
    drop_frame: int | None = None
    """This frame does not come."""
    piece_bytes: int | None = None
    """Bytes come in pieces of this size at most."""
    pieces_seed: int | None = None
    """Pieces are of random sizes, by this seed; up to `piece_bytes`, or 64."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name == "piece_bytes" else 0
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise InvalidArgument(f"{field.name} of a Fault must be a whole number from {least} on, not {value!r}")


class Faults:
    """What happens on the links of one client.

    Args:
        sent: to what the client sends.
        received: to what it is sent.
        links: how many links that happens to; those after them are sound.
    """

    def __init__(self, *, sent: Fault | None = None, received: Fault | None = None, links: int = 1) -> None:
        self.sent: Fault = sent or Fault()
        self.received: Fault = received or Fault()
        self.links: int = links
        """How many more links that happens to."""
        self.opened: int = 0
        """Links that there have been."""
        self.bytes_sent: int = 0
        """On the last link, before faults."""
        self.bytes_received: int = 0

    def upon(self, carrier_or_url: ClientCarrier | str, **options: Any) -> ClientCarrier:
        """A carrier with these faults, for `sig.connect`; `options` are those of the carrier, such as `tls`."""
        return _FaultyClient(carrier_or_url, options, self)

    def _take(self) -> tuple[Way, Way]:
        self.opened += 1
        self.bytes_sent = self.bytes_received = 0
        if self.links < self.opened:
            return Way(Fault()), Way(Fault())
        return Way(self.sent), Way(self.received)


def faulty(url: str, faults: Faults | None) -> ClientCarrier | str:
    """Where to connect, with faults if there are any."""
    return url if faults is None else faults.upon(url)


class Way:
    """One direction of one link: bytes in, pieces out."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._places = [at for at in (fault.cut_at, fault.stall_at, fault.end_at) if at is not None]
        self._passed = 0
        self._by_frames = any(at is not None for at in (fault.duplicate_frame, fault.swap_frame, fault.drop_frame))
        self._rest = b""  # of a frame that has not come as a whole
        self._frames = -1  # so many have come; the preface is none
        self._held = b""  # a frame that the next one overtakes
        self._chance = None if fault.pieces_seed is None else Random(fault.pieces_seed)

    @property
    def cut(self) -> bool:
        """Whether the link is to be down now."""
        return self._fault.cut_at is not None and self._passed >= self._fault.cut_at

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come this way, and the other end is to know."""
        return self._fault.end_at is not None and self._passed >= self._fault.end_at

    def pass_on(self, data: bytes | memoryview) -> list[bytes]:
        """What comes out of bytes that were put in."""
        found = b"".join(self._reordered(data)) if self._by_frames else bytes(data)
        found = self._flipped(found)
        if self._places:
            found = found[: max(0, min(self._places) - self._passed)]
        self._passed += len(found)
        return list(self._pieces(found))

    def _reordered(self, data: bytes | memoryview) -> Iterator[bytes]:
        fault = self._fault
        self._rest += data
        while (size := self._size()) is not None:
            frame, self._rest = self._rest[:size], self._rest[size:]
            number = self._frames
            self._frames += 1
            if number < 0:
                yield frame
            elif number == fault.swap_frame:
                self._held = frame
            elif number != fault.drop_frame:
                yield frame
                if number == fault.duplicate_frame:
                    yield frame
                if self._held:
                    yield self._held
                    self._held = b""

    def _size(self) -> int | None:
        """Of the frame, or preface, that the rest begins with; `None` while it is not all there."""
        if self._frames < 0:
            size = len(PREFACE)
        elif len(self._rest) < HEADER.size:
            return None
        else:
            size = HEADER.size + HEADER.unpack_from(self._rest)[0]
        return size if len(self._rest) >= size else None

    def _flipped(self, data: bytes) -> bytes:
        bit = self._fault.flip_bit
        if bit is None or not self._passed <= bit // 8 < self._passed + len(data):
            return data
        changed = bytearray(data)
        changed[bit // 8 - self._passed] ^= 1 << bit % 8
        return bytes(changed)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        most = self._fault.piece_bytes or (len(data) if self._chance is None else 64)
        while data:
            size = most if self._chance is None else self._chance.randint(1, most)
            yield data[:size]
            data = data[size:]


class _FaultyClient(ClientCarrier):
    """Leads to where another leads."""

    def __init__(self, carrier_or_url: ClientCarrier | str, options: dict[str, Any], faults: Faults) -> None:
        self._carrier = (
            carrier_or_url if isinstance(carrier_or_url, ClientCarrier) else client_carrier(carrier_or_url, options)
        )
        self._faults = faults

    def __str__(self) -> str:
        return str(self._carrier)

    def codecs(self, default: object = "json") -> dict[str, Codec]:
        return self._carrier.codecs(default)

    def link(self, limits: Limits, timeout: float) -> Link:
        return FaultyLink(self._carrier.link(limits, timeout), self._faults)

    async def link_awaited(self, limits: Limits, timeout: float) -> Link:
        return FaultyLink(await self._carrier.link_awaited(limits, timeout), self._faults)


class FaultyLink:
    """Implements `Link` over another, and `LinkUser` for that."""

    def __init__(self, link: Link, faults: Faults) -> None:
        self._link = link
        self._faults = faults
        self._sent, self._received = faults._take()
        self._user: LinkUser
        self._waiting: deque[bytes] = deque()  # pieces behind one that the link has not passed on
        self._over = False

    # Link

    @property
    def unsent(self) -> int:
        return self._link.unsent + sum(map(len, self._waiting))

    def start(self, user: LinkUser) -> None:
        self._user = user
        self._link.start(self)
        user.locked(self._look)  # it may be over before it begins

    def send(self, data: bytes) -> None:
        self._faults.bytes_sent += len(data)
        self._waiting += self._sent.pass_on(data)
        self._say()

    def finish(self, timeout: float) -> None:
        self._link.finish(timeout)

    def turn(self) -> bool:
        return self._link.turn()

    def poke(self) -> None:
        self._link.poke()

    def relieve(self) -> None:
        self._link.relieve()

    def expect(self) -> None:
        self._link.expect()

    def join(self, timeout: float) -> Any:
        return self._link.join(timeout)

    def abandon(self) -> None:
        self._link.abandon()

    # LinkUser

    def received(self, data: bytes | memoryview) -> None:
        self._faults.bytes_received += len(data)
        for piece in self._received.pass_on(data):
            self._user.received(piece)
        self._user.locked(self._look)

    def writable(self) -> None:
        self._user.locked(self._say)
        if not self._waiting:
            self._user.writable()

    def locked(self, function: Callable[[], T]) -> T:
        return self._user.locked(function)

    def lost(self, error: SigError) -> None:
        self._user.lost(error)

    def _say(self) -> None:
        """Send what the link takes. The lock is held."""
        while self._waiting and not self._link.unsent:
            self._link.send(self._waiting.popleft())
        if not self._waiting:
            self._look()

    def _look(self) -> None:
        """End the link, or one of its directions, when its time has come. The lock is held."""
        if self._over:
            return
        if self._sent.cut or self._received.cut:
            seconds = 0.0
        elif self._received.ended:
            seconds = LINGER_S  # as every link does that has been told the end
        elif self._sent.ended:
            seconds = _HALF_OPEN_S
        else:
            return
        self._over = True
        self._link.finish(seconds)
