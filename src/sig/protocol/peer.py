"""One end of one link: preface, life and death, and what leaves in which order.

Sans-I/O: no socket, no thread, no clock. After every call the driver asks `data_to_send`; once `closed` is set and
nothing is left to send, it closes the link.
"""

from __future__ import annotations

from collections.abc import Sequence

from sig.constants import Limits
from sig.errors import Overloaded, ProtocolError, RemoteProtocolError, SigError
from sig.messages import Bye, Error, decode_control, encode_control
from sig.protocol.bodies import pack_ping, unpack_ping
from sig.protocol.frames import PREFACE, Frame, FrameReader, FramingError, Kind, pack


class Peer:
    """What both ends have in common. `Connection` (a server's) and `ClientCore` extend it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.opened = False
        """Whether the handshake is complete."""
        self.closed: bool = False
        """Whether nothing more will be read; what is left to send may still leave."""
        self.error: SigError | None = None
        """Why it closed; `None` for an orderly end."""
        self.farewell: Bye | None = None
        """The other end's BYE."""
        self.max_frame_bytes: int = limits.max_frame_bytes
        """The largest body the other end takes."""
        self._reader = FrameReader(limits.max_frame_before_login_bytes, preface=True)
        # What may overtake: PONG, REPLY, and the last words.
        self._urgent: list[bytes] = [PREFACE]
        self._urgent_bytes = 0

    def receive_data(self, data: bytes | memoryview, time_us: int | None = None) -> None:
        """Take bytes from the link. Never raises: what is wrong with them ends the link, with an ERROR to the peer."""
        if self.closed:
            return
        frames = self._reader.feed(data, time_us)
        while frames:
            for frame in frames:
                self._take(frame)
            frames = self._reader.feed(time_us=time_us)
        if self._reader.error is not None:
            self.fail(self._reader.error)

    def receive_eof(self) -> None:
        """The other end, or the medium, has closed the link."""
        self.closed = True
        self._urgent.clear()

    def cut(self, error: SigError) -> None:
        """End the link at once, over what the other end does not do; nothing more is sent."""
        if self.error is None:
            self.error = error
        self.closed = True
        self._urgent.clear()
        self._touch()

    def data_to_send(self, limit: int) -> bytes:
        """What leaves now: at least one frame if there is any, and not much more than `limit` bytes."""
        urgent, self._urgent = self._urgent, []
        self._urgent_bytes = 0
        size = sum(map(len, urgent))
        if not (self.closed and self.error is not None):
            urgent.extend(self._ordered(max(1, limit - size)))
        return b"".join(urgent)

    def fail(self, error: SigError) -> None:
        """End the link over a mistake of the other end's, and tell it which."""
        if self.closed:
            return
        code = error.code if isinstance(error, FramingError) else error.wire_code
        self.error = error
        self._urgent.append(pack(Kind.ERROR, encode_control(Error(code, _shown(error), fatal=True))))
        self.closed = True
        self._touch()

    def say_bye(self, code: str, message: str = "") -> None:
        """End the link in order, behind all that waits."""
        if not self.closed:
            self._put(pack(Kind.BYE, encode_control(Bye(code, message))))
            self.closed = True

    def _take(self, frame: Frame) -> None:
        if self.closed:
            return
        try:
            self._receive(frame)
        except RemoteProtocolError as error:
            self.fail(error)

    def _receive(self, frame: Frame) -> None:
        """One frame; those that both ends treat alike."""
        kind = frame.kind
        if kind == Kind.PING:
            self._hasten(pack_ping(unpack_ping(frame), pong=True))
        elif kind == Kind.BYE:
            self.farewell = decode_control(Bye, frame.body)
            self.closed = True
        elif kind == Kind.ERROR:
            told = decode_control(Error, frame.body)
            if told.fatal:
                self.error = ProtocolError(f"the other end closed the link: {told.message}")
                self.closed = True
        elif kind in _LATER:
            pass
        elif not self.opened:
            raise RemoteProtocolError(f"{Kind(kind).name} before the handshake is complete")
        else:
            raise RemoteProtocolError(f"{Kind(kind).name} has no business in this direction")

    def _hasten(self, frame: bytes) -> None:
        self._urgent.append(frame)
        self._urgent_bytes += len(frame)
        self._touch()
        if self._urgent_bytes > self.limits.link_cut_bytes:
            self.cut(Overloaded(f"the other end does not read: {self._urgent_bytes} bytes of answers wait for it"))

    def _put(self, frame: bytes) -> None:
        """Append to what must stay in order."""
        raise NotImplementedError

    def _ordered(self, limit: int) -> Sequence[bytes]:
        """Frames that stay in order, oldest first, up to about `limit` bytes."""
        raise NotImplementedError

    def _touch(self) -> None:
        """Something waits to be sent."""


# Understood as frames, without an effect in this version.
_LATER = (Kind.PONG, Kind.CREDIT, Kind.ACK, Kind.STORED)


def _shown(error: SigError) -> str:
    return str(error)[:500]
