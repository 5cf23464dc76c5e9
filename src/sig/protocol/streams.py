"""Answers in parts on their way through a server: who gives whom how much.

Sans-I/O: no socket, no thread, no clock. Parts are passed on as they come, but for clients that lack their codec, or
take smaller frames. What an owner gives beyond the credit that it was given ends its link: nothing else bounds what
would wait here for a requester that reads slowly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sig.constants import STREAM_WINDOW_BYTES
from sig.errors import InvalidData, MessageTooBig, Overloaded, RemoteProtocolError, SigError
from sig.protocol.bodies import Unit, pack_credit, unpack_credit
from sig.protocol.connection import Connection
from sig.protocol.frames import HEADER, Frame
from sig.protocol.held import Held, Route
from sig.protocol.parts import cost_of, pack_parts, slices, unpack_parts
from sig.protocol.replicas import on_route

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


class Stream:
    """An answer in parts under way."""

    __slots__ = ("room", "route", "shown")

    def __init__(self, route: Route, shown: int) -> None:
        self.route: Route = route
        self.shown: int = shown
        """The number of the route on which the requester asked: another, where several share a name."""
        self.room: int = STREAM_WINDOW_BYTES
        """What the owner may still give; below zero by one frame at most."""


class Streams:
    """The streams of all connections: each is kept with who has asked for it."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server

    def check(self, requester: Connection, corr: int) -> None:
        """Raise what a client is to be told that may not have one more."""
        limits = self._server.limits
        # What all of them may be ahead by must not cost a link that is only slow.
        limit = max(1, min(limits.requests_out, limits.link_cut_bytes // (2 * STREAM_WINDOW_BYTES)))
        if len(requester.streams) >= limit:
            raise Overloaded(f"a client may take {limit} streams at a time: end one first")
        if corr in requester.streams:
            raise RemoteProtocolError(f"the client asked for a stream under number {corr}, which is in use")

    def open(self, requester: Connection, corr: int, route: Route, shown: int) -> None:
        """The owner of that route has been asked for parts, on the route of that number."""
        requester.streams[corr] = Stream(route, shown)

    def close(self, requester: Connection, corr: int) -> None:
        """It has ended, or nobody waits for it any more: what else comes of it goes nowhere."""
        requester.streams.pop(corr, None)

    def forget(self, held: Held) -> None:
        """A sender has left, and whoever waits for it has been told so."""
        for requester in held.owner.asked_by:
            for corr in [corr for corr, stream in requester.streams.items() if stream.route.held is held]:
                del requester.streams[corr]

    def credit(self, requester: Connection, frame: Frame) -> None:
        """A requester lets the owner give more."""
        credit = unpack_credit(frame)
        stream = requester.streams.get(credit.corr)
        if credit.unit is not Unit.PARTS or stream is None or stream.shown != frame.route:
            return  # it has ended meanwhile
        stream.room += credit.amount
        if not credit.amount or stream.room > STREAM_WINDOW_BYTES:
            raise RemoteProtocolError(f"the client gave a credit of {credit.amount}, which is not what it had taken")
        data = pack_credit(credit._replace(peer=requester.number), route=stream.route.id)
        if not stream.route.held.owner.put_asked(data):
            name = stream.route.sender
            self._fail(requester, credit.corr, stream, Overloaded(f"sender {name!r} is asked more than it reads"))

    def pass_on(self, requester: Connection, corr: int, route: Route, data: bytes) -> None:
        """Parts of an owner's, for whoever asked."""
        stream = requester.streams.get(corr)
        if stream is None or stream.route is not route:
            return  # nobody waits any more, or has asked for parts
        cost = cost_of(data)
        if cost < len(data):
            raise RemoteProtocolError(f"the client gave {len(data)} bytes of parts at a cost of {cost}")
        if stream.room <= 0:
            raise RemoteProtocolError(f"the client gives more parts on route {route.id} than it was asked for")
        stream.room -= cost
        try:
            frames = self._fitting(requester, route, stream.shown, data)
        except SigError as unfit:
            self._fail(requester, corr, stream, unfit)
            return
        for frame in frames:
            requester._hasten(frame)

    def _fitting(self, requester: Connection, route: Route, shown: int, data: bytes) -> list[bytes]:
        """The parts as that client takes them, on the route that it knows. Raises what it is to be told instead."""
        source, target = route.held.owner.codec, requester.codec_on(route)
        if shown != route.id:
            target = requester.codec  # who does not know which of several has been asked
        limit = requester.max_frame_bytes
        if source.name == target.name and len(data) - HEADER.size <= limit:
            return [data if shown == route.id else on_route(data, shown)]
        frame = Frame.of(data)
        try:
            parts = unpack_parts(frame)
            payloads = slices(parts, lines=source.lines)
        except (RemoteProtocolError, InvalidData) as error:
            raise InvalidData(f"what sender {route.sender!r} gives cannot be read: {error}") from error
        if source.name != target.name:
            what = f"a part of what sender {route.sender!r} gives"
            payloads = [self._server.bridge.payload(payload, source, target, what) for payload in payloads]
        frames: list[bytes] = []
        groups = list(_within(payloads, limit))
        for some in groups:
            # The last takes it all: what they cost where they were given is what counts.
            cost = parts.cost if some is groups[-1] else 0
            lines = target.lines
            frame_of_some = pack_parts(some, route=shown, peer=parts.peer, corr=parts.corr, lines=lines, cost=cost)
            size = len(frame_of_some) - HEADER.size
            if size > limit:
                raise MessageTooBig(
                    f"a part of what sender {route.sender!r} gives takes {size} bytes, and this client accepts "
                    f"{limit}: give it a larger max_frame_bytes"
                )
            frames.append(frame_of_some)
        return frames

    def _fail(self, requester: Connection, corr: int, stream: Stream, error: SigError) -> None:
        """It ends here; its owner is told that nobody waits any more."""
        requests = self._server.requests
        requests.give_up(requester, corr, requester.unanswered[corr])
        requests.refuse(requester, corr, stream.shown, error)


def _within(payloads: Sequence[bytes], limit: int) -> Iterator[Sequence[bytes]]:
    """The payloads, in order, as many at a time as a frame of that size holds; at least one."""
    start = size = 0
    for place, payload in enumerate(payloads):
        more = len(payload) + _BESIDE_BYTES
        if size and size + more > limit - _BESIDE_BYTES:
            yield payloads[start:place]
            start, size = place, 0
        size += more
    yield payloads[start:]


# More than stands beside the payloads in a frame, and beside each of them.
_BESIDE_BYTES: Final = 16
