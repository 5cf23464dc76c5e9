"""One end of one link: preface, life and death, and what leaves in which order.

Sans-I/O: no socket, no thread, no clock. After every call the driver asks `data_to_send`; once `closed` is set and
nothing is left to send, it closes the link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar, Final, TypeAlias

from sig.constants import Limits
from sig.errors import ConnectionLost, Overloaded, ProtocolError, RemoteProtocolError, SigError
from sig.messages import Bye, Error, decode_control, encode_control, in_a_line
from sig.protocol import reliable
from sig.protocol.bodies import pack_ping, unpack_ack, unpack_ping
from sig.protocol.frames import HEADER, PREFACE, Buffer, Found, Frame, FrameReader, FramingError, Kind, pack
from sig.protocol.heartbeat import Rhythm, own_rhythm
from sig.protocol.session import Session

_EVENT: Final = Kind.EVENT.value
_KIND_OF: Final = itemgetter(0)  # of what is found
# Whose answer it is matters to nobody.
_PING: Final = pack_ping(bytes(8))

# Of what the other end says, so much stands in errors and logs.
_LONGEST_WORDS: Final = 500


# Called with the peer, and with frames of one kind that follow one another: in which bytes they are, and where.
Lane: TypeAlias = Callable[[Any, bytes, Sequence[Found]], None]
_NO_LANES: Final[dict[int, Lane]] = {}


class Peer:
    """What both ends have in common. `Connection` (a server's) and `ClientCore` extend it."""

    # A server has many, and what leaves touches each: a class with more attributes than Python keeps together for all
    # its instances is slower by a third.
    __slots__ = (
        "_first",
        "_heard",
        "_lanes",
        "_quiet",
        "_reader",
        "_replies",
        "_reply_bytes",
        "_said",
        "bytes_in",
        "bytes_out",
        "closed",
        "error",
        "farewell",
        "frames_in",
        "frames_out",
        "last_words",
        "limits",
        "max_frame_bytes",
        "opened",
        "resumes",
        "rhythm",
    )
    other: ClassVar[str] = "the other end"
    """What it is called in a sentence."""

    def __init__(self, limits: Limits, number: int = 0, lanes: Mapping[int, Lane] = _NO_LANES) -> None:
        """Begin.

        Args:
            limits: what it allows.
            number: of the other end, written into what it asks of others, so that they know whom to answer.
            lanes: what takes the frames of some kinds, once the handshake is complete, where they lie in what was read,
                many at a time: those of which there can be so many that it pays. All others are for `_receive`.
        """
        self._lanes = lanes
        self.limits: Limits = limits
        self.bytes_in: int = 0
        self.bytes_out: int = 0
        self.frames_in: int = 0
        self.frames_out: int = 0
        """Frames handed out, but for PING, PONG, CREDIT and a last word."""
        self.resumes: Session | None = None
        """What is kept of this link, and goes on with the next; `None`: it is not reliable."""
        self._heard = self._said = 0  # `bytes_in` and `bytes_out` when the last period of the heartbeat began
        self._begin(number)

    def _begin(self, number: int = 0) -> None:
        """A new link: what is of one alone."""
        limits = self.limits
        self.opened: bool = False
        """Whether the handshake is complete."""
        self.closed: bool = False
        """Whether nothing more will be read; what is left to send may still leave."""
        self.error: SigError | None = None
        """Why it closed; `None` for an orderly end."""
        self.farewell: Bye | None = None
        """The other end's BYE."""
        self.last_words: str = ""
        """What the other end said when it ended the link, fit for a line of a log."""
        self.max_frame_bytes: int = limits.max_frame_bytes
        """The largest body the other end takes."""
        self.rhythm: Rhythm | None = own_rhythm(limits)
        """Of the heartbeat; `None`: there is none."""
        self._quiet = 0  # how many of its periods have gone by since anything has come
        self._reader = FrameReader(limits.max_frame_before_login_bytes, preface=True, peer=number)
        # What leaves before all that waits in order: the preface, PONGs and the last word; then REPLYs.
        self._first: bytearray = bytearray(PREFACE)
        self._replies: deque[bytes] = deque()
        self._reply_bytes = 0

    def receive_data(self, data: bytes | memoryview, time_us: int | None = None) -> None:
        """Take bytes from the link. Never raises: what is wrong with them ends the link, with an ERROR to the peer."""
        if self.closed:
            return
        self.bytes_in += len(data)
        reader = self._reader
        whole, found = reader.find(data, time_us)
        self.frames_in += len(found)
        self._take(whole, found)
        if self.resumes is not None:
            self._arrived(self.resumes, found)
        while reader.more:
            whole, found = reader.find(time_us=time_us)
            self.frames_in += len(found)
            self._take(whole, found)
            if self.resumes is not None:
                self._arrived(self.resumes, found)
        if reader.error is not None:
            self.fail(reader.error)

    def lone(self, data: bytes | memoryview) -> tuple[int, int] | None:
        """How many events of which route, if what has come is one frame of these, and may be taken without the rest.

        A look only: either `took` is called then, or `receive_data`. A link with a session counts what comes.
        """
        if self.closed or not self.opened or self.resumes is not None:
            return None
        return self._reader.lone(data)

    def took(self, size: int) -> None:
        """That frame, of so many bytes, has been taken."""
        self.bytes_in += size
        self.frames_in += 1

    def receive_eof(self) -> None:
        """The other end, or the medium, has closed the link."""
        self._first.clear()
        self._discard()
        self._close()

    def cut(self, error: SigError) -> None:
        """End the link at once, over what the other end does not do; nothing more is sent."""
        if self.error is None:
            self.error = error
        self._first.clear()
        self._discard()
        self._close()

    def fail(self, error: SigError) -> None:
        """End the link over a mistake of the other end's; all that it is still told is which."""
        if self.closed:
            return
        self.error = error
        code = error.code if isinstance(error, FramingError) else error.wire_code
        self._discard()
        self._first += pack(Kind.ERROR, encode_control(Error(code, str(error)[:_LONGEST_WORDS], fatal=True)))
        self._close()

    def say_bye(self, code: str, message: str = "", retry_after_s: float | None = None) -> None:
        """End the link in order, behind all that waits."""
        if not self.closed:
            self._put(pack(Kind.BYE, encode_control(Bye(code, message, retry_after_s))))
            self._close()

    @property
    def vanished(self) -> bool:
        """Whether it closed since nothing came any more."""
        return self.rhythm is not None and self._quiet >= self.rhythm.patience

    def beat(self) -> None:
        """A period of the heartbeat is over. Call it on a link that is open and has one.

        Each end speaks by itself, not only when it is asked. Else where much leaves slowly, and the PING behind it,
        whoever reads all that would be taken for dead.
        """
        silent = self.bytes_out == self._said
        self._said = self.bytes_out
        if self.bytes_in != self._heard:
            self._heard = self.bytes_in
            self._quiet = 0
        else:
            self._quiet += 1
        rhythm = self.rhythm
        if rhythm is not None and self._quiet >= rhythm.patience:
            self.cut(
                ConnectionLost(
                    f"nothing has come from {self.other} for {rhythm.patience * rhythm.period_s:g} s: it hangs, or the "
                    f"way to it is broken (heartbeat_timeout_s={rhythm.timeout_s:g})"
                )
            )
        elif (silent and not self._first) or (self._quiet > 1 and not silent):
            # While a link takes nothing, one PING is enough.
            self._first += _PING
            self._touch()

    def data_to_send(self, limit: int) -> bytes:
        """What leaves now: at least one frame if there is any, and not much more than `limit` bytes.

        If it is less than that, nothing more can leave now.
        """
        if self.resumes is not None:
            return reliable.take(self, self.resumes, limit)
        first, replies = self._first, self._replies
        if not first and not replies:
            ordered = self._ordered(limit)
            if not ordered:
                return b""
            self.frames_out += len(ordered)
            data = b"".join(ordered)  # of one frame that is no copy
            self.bytes_out += len(data)
            return data
        frames = self._next(limit - len(first))
        self.frames_out += len(frames)
        data = b"".join((first, *frames))
        first.clear()
        self.bytes_out += len(data)
        return data

    def _next(self, limit: int) -> list[bytes]:
        """What leaves behind `_first`: replies, then what stands in order."""
        frames: list[bytes] = []
        replies, size = self._replies, 0
        if self._reply_bytes <= limit:  # as nearly always, all of them leave
            frames += replies
            replies.clear()
            size += self._reply_bytes
            self._reply_bytes = 0
        while replies and size < limit:
            frames.append(replies.popleft())
            size += len(frames[-1])
            self._reply_bytes -= len(frames[-1])
        # At least one, whatever overtakes: what stands in order moves on.
        frames.extend(self._ordered(max(1, limit - size)))
        return frames

    def _count_out(self, frames: int) -> None:
        """More frames have left than pieces: some hold several."""
        self.frames_out += frames

    def _leaves(self, size: int) -> None:
        """A frame leaves past all that stands in order."""
        self.frames_out += 1
        self.bytes_out += size

    def _take(self, whole: Buffer, found: list[Found]) -> None:
        """Frames in their order, up to one that ends the link. What is kept of them is copied, if it is not `bytes`."""
        lanes = self._lanes
        if len(found) > 1 and found[0][0] in lanes:
            self._take_runs(bytes(whole), found)
            return
        try:
            for kind, flags, count, route, start, end in found:
                if self.closed:
                    return
                if kind in lanes and self.opened:
                    whole = bytes(whole)  # once: of `bytes` that is no copy
                    lanes[kind](self, whole, ((kind, flags, count, route, start, end),))
                    continue
                frame = Frame(kind, flags, count, route, bytes(whole[start:end]))
                if kind < _EVENT:
                    self._check_control(frame)
                self._receive(frame)
        except RemoteProtocolError as error:
            self.fail(error)

    def _take_runs(self, whole: bytes, found: list[Found]) -> None:
        """The same of many that have a lane, as a rule all of them: each run of one kind at once."""
        for kind, frames in groupby(found, _KIND_OF):
            run = list(frames)
            if kind not in self._lanes or not self.opened:
                for frame in run:
                    self._take(whole, [frame])
            elif not self.closed:
                try:
                    self._lanes[kind](self, whole, run)
                except RemoteProtocolError as error:
                    self.fail(error)

    def _check_control(self, frame: Frame) -> None:
        """Control is judged and decoded as a whole: sixteen megabytes of brackets would take seconds."""
        size = len(frame.data) - HEADER.size
        if size > self.limits.max_control_frame_bytes:
            raise RemoteProtocolError(
                f"the peer sent {size} bytes of control in one frame: "
                f"the limit is {self.limits.max_control_frame_bytes} (max_control_frame_bytes)"
            )

    def _receive(self, frame: Frame) -> None:
        """One frame; those that both ends treat alike."""
        kind = frame.kind
        if kind == Kind.BYE:
            self.farewell = decode_control(Bye, frame.body)
            self.last_words = in_a_line(self.farewell.message or self.farewell.code, _LONGEST_WORDS)
            self._close()
        elif kind == Kind.ERROR:
            told = decode_control(Error, frame.body)
            if told.fatal:
                self.last_words = in_a_line(told.message or told.code, _LONGEST_WORDS)
                self.cut(ProtocolError(f"the other end closed the link: {self.last_words}"))
        elif not self.opened:
            raise RemoteProtocolError(f"the peer sent {Kind(kind).name} before the handshake is complete")
        elif kind == Kind.PING:
            self._first += pack_ping(unpack_ping(frame), pong=True)
            self._touch()
            if len(self._first) > self.limits.link_control_bytes:
                self.cut(Overloaded(f"the other end does not read: {len(self._first)} bytes of PONGs wait for it"))
        elif kind == Kind.ACK and self.resumes is not None:
            self._acknowledged(self.resumes, unpack_ack(frame))
        elif kind not in _LATER:
            raise RemoteProtocolError(f"the peer sent {Kind(kind).name}, which has no business in this direction")

    def _hasten(self, reply: bytes) -> None:
        """Send a REPLY, which may overtake."""
        if self.closed:
            return
        self._replies.append(reply)
        self._reply_bytes += len(reply)
        self._touch()
        if self._reply_bytes > self.limits.link_cut_bytes:
            self.cut(Overloaded(f"the other end does not read: {self._reply_bytes} bytes of answers wait for it"))

    def _hasten_all(self, replies: Sequence[bytes]) -> None:
        """Send many, one behind the other."""
        if self.closed:
            return
        self._replies += replies[:-1]
        self._reply_bytes += sum(map(len, replies)) - len(replies[-1])
        self._hasten(replies[-1])

    def _urge(self, frame: bytes) -> None:
        """Send what may overtake everything, and must not be lost."""
        if self.resumes is None:
            self._first += frame
        else:
            self._hasten(frame)

    @property
    def _clock(self) -> float:
        """Now."""
        raise NotImplementedError

    def _arrived(self, session: Session, found: list[Found]) -> None:
        """These frames have been taken."""
        reliable.arrived(self, session, found, self._clock)

    def _acknowledged(self, session: Session, received: int) -> None:
        """So many frames have arrived at the other end."""
        reliable.acknowledged(self, session, received)

    def _keeps(self) -> None:
        """What is kept has changed."""

    def _hold_up(self) -> None:
        """Nothing more leaves until some of that has been acknowledged."""

    def _close(self) -> None:
        """Read nothing more. Whatever ends a link comes by here."""
        self.closed = True
        self._touch()

    def _discard(self) -> None:
        """Forget what waits to be sent in order, and the answers."""
        self._replies.clear()
        self._reply_bytes = 0
        if self.resumes is not None:
            self.resumes.again.clear()

    def _put(self, frame: bytes) -> None:
        """Append to what must stay in order."""
        raise NotImplementedError

    def _ordered(self, limit: int) -> Sequence[bytes]:
        """Frames that stay in order, oldest first, up to about `limit` bytes."""
        raise NotImplementedError

    def _touch(self) -> None:
        """Something waits to be sent."""


# Understood as frames, without an effect in this version.
_LATER: Final = (Kind.PONG, Kind.CREDIT, Kind.ACK, Kind.STORED)
