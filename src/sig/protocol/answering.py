"""Requests of others to a client: they come, are answered, whole or in parts, or are not waited for any more.

Sans-I/O: no socket, no thread, no clock. The other half, what this client asks, is `asking`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from sig.errors import MessageTooBig, ProtocolError, RemoteProtocolError, SigError, to_wire
from sig.messages import encode_control
from sig.protocol.bodies import (
    NO_DEADLINE,
    Credit,
    Request,
    find_request,
    reply_frame,
    unpack_cancel,
    unpack_peer_gone,
)
from sig.protocol.frames import FRAMING_ROOM_BYTES, REPLY_END, REPLY_ERR, REQUEST_PARTS, Found, Frame
from sig.protocol.parts import Abandoned, PartsOut

if TYPE_CHECKING:
    from sig.protocol.client import ClientCore

# Of a sentence that does not fit, so much is told.
_LONGEST_TEXT: Final = 4000


# A struct, which costs a third of a tuple with names: there can be a hundred thousand in a second.
class RequestArrived(msgspec.Struct, frozen=True):
    """Somebody asks a sender of this client."""

    sender: str
    route: int
    request: Request
    deadline: float
    parts: PartsOut | None = None
    """Where parts of the answer may be given; `None`: whoever asks takes none."""
    link: int = 1
    """On which of the client's links it came: the number of a route is another's on the next."""


class RequestDropped(NamedTuple):
    """Whoever asked does not wait any more; `corr` is `None` for all that this peer asked."""

    peer: int
    corr: int | None


# What others want of this client. It never waits behind events, nor behind listeners.
Asked: TypeAlias = RequestArrived | RequestDropped


class Answering:
    """What others ask of one client."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._asked: list[Asked] = []
        self.written: list[PartsOut | Abandoned] = []
        """What there is to be said of streams. May be appended to from any thread without a lock."""
        self._giving: dict[tuple[int, int], PartsOut] = {}  # by who asks, and under which number

    def request(self, core: ClientCore, data: bytes, run: Sequence[Found]) -> None:
        """Some REQUESTs have come, one behind the other."""
        routes, asked, now, links = core.routes, self._asked, core.now, core.links
        for _, flags, _, number, start, end in run:
            request = find_request(data, start, end)
            route = routes.get(number)
            if route is None or not route.owner or route.event is not None:
                raise RemoteProtocolError(f"the server sent a request on route {number}, which is not ours")
            deadline = now + request.remaining_ms / 1000
            parts: PartsOut | None = None
            if flags & REQUEST_PARTS:
                parts = PartsOut(number, request.peer, request.corr, core.codec.lines, self.written)
                self._giving[request.peer, request.corr] = parts
                if request.remaining_ms == NO_DEADLINE:
                    deadline = math.inf
            asked.append(RequestArrived(route.sender, number, request, deadline, parts, links))

    def cancel(self, frame: Frame) -> None:
        """CANCEL has come."""
        cancel = unpack_cancel(frame)
        self._asked.append(RequestDropped(cancel.peer, cancel.corr))

    def peer_gone(self, frame: Frame) -> None:
        """PEER_GONE has come."""
        self._asked.append(RequestDropped(unpack_peer_gone(frame), None))

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request, with a payload or an error; nobody waits for it any more if its link is another."""
        core = self._core
        if arrived.link != core.links:
            return
        limit = core.max_frame_bytes - FRAMING_ROOM_BYTES
        flags = 0
        if error is None and payload is not None and len(payload) > limit:
            error = MessageTooBig(
                f"the answer takes {len(payload)} bytes, and the limit is {limit}: ask for less, "
                "or raise max_frame_bytes on both sides"
            )
        if error is not None or payload is None:
            payload, flags = _error_payload(error, min(limit, self._core.limits.max_control_frame_bytes)), REPLY_ERR
        request = arrived.request
        if (parts := arrived.parts) is not None:
            self._giving.pop((request.peer, request.corr), None)
            self._hasten_parts(parts)
            flags = flags or REPLY_END
        self._core._hasten(reply_frame(arrived.route, flags, request.peer, request.corr, payload))

    def _hasten_parts(self, parts: PartsOut) -> None:
        for frame in parts.pack():
            self._core._hasten(frame)

    def write_out(self) -> None:
        """Parts written, and streams left, since this was last called."""
        written = self.written
        count = len(written)
        taken = written[:count]
        del written[:count]  # not all: another thread may have appended meanwhile
        for one in taken:
            if not isinstance(one, PartsOut):
                self._core.asking.give_up(one.number)
            elif self._giving.get((one.peer, one.corr)) is one:  # else its end has been said, or its link was another
                self._hasten_parts(one)

    def take_asked(self) -> list[Asked]:
        """Which requests have come since, and which are not waited for any more, in order."""
        asked, self._asked = self._asked, []
        return asked

    # The link

    def granted(self, credit: Credit) -> None:
        """A requester takes more parts."""
        if (parts := self._giving.get((credit.peer, credit.corr))) is not None:
            parts.grant(credit.amount)

    def gone(self, number: int) -> None:
        """A route is no more: whoever gives parts on it need not go on."""
        self._asked += [RequestDropped(*asker) for asker, parts in self._giving.items() if parts.route == number]

    def lost(self) -> None:
        """The link is lost: whoever gives parts need not go on."""
        self._asked += [RequestDropped(*asker) for asker in self._giving]

    def forget_link(self) -> None:
        """What was given on the last link is over."""
        self._giving.clear()


def _error_payload(error: BaseException | None, limit: int) -> bytes:
    told = to_wire(error if error is not None else ProtocolError("no answer was given"))
    try:
        payload = encode_control(told)
        if len(payload) <= limit:
            return payload
    except SigError:  # the `data` of a RequestFailed is the user's, and may be anything
        pass
    # A letter takes up to six bytes.
    longest = min(_LONGEST_TEXT, limit // 8)
    texts = {key: told[key] for key in ("code", "message", "type") if key in told}
    return encode_control({key: str(text)[:longest] for key, text in texts.items()})
