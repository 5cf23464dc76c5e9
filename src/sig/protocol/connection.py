"""What a server knows of one client: its link, the names it holds, what it listens to.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sig.errors import Overloaded, RemoteProtocolError, SigError, to_wire
from sig.messages import AddSender, Result, encode_control
from sig.protocol.bodies import Lost, pack_lost
from sig.protocol.frames import RESULT_ERR, Frame, Kind, pack
from sig.protocol.outbox import Counts, Outbox
from sig.protocol.peer import Peer

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


class Held:
    """A name that a connection holds."""

    __slots__ = ("events", "incarnation", "name", "owner", "requests", "requests_route", "routes", "since_us")

    def __init__(self, name: str, owner: Connection, call: AddSender, incarnation: int, since_us: int) -> None:
        self.name: str = name
        self.owner: Connection = owner
        self.events: list[str] = list(dict.fromkeys(call.events))
        self.requests: list[str | None] | None = call.requests
        self.incarnation: int = incarnation
        self.since_us: int = since_us
        self.routes: list[Route] = []
        self.requests_route: Route

    def presence(self) -> dict[str, object]:
        return {"events": self.events, "requests": self.requests}


class Route:
    """One event of a sender, or its requests: a number that all connections share."""

    __slots__ = ("event", "held", "id", "known_by", "next_seq", "receivers")

    def __init__(self, number: int, held: Held, event: str) -> None:
        self.id: int = number
        self.held: Held = held
        self.event: str = event  # "" for the sender's requests: no event has that name
        self.next_seq: int = 1
        self.known_by: dict[Connection, None] = {}
        # Who hears it; `None` when somebody has come or gone since.
        self.receivers: tuple[Connection, ...] | None = None

    @property
    def sender(self) -> str:
        return self.held.name


class LinkSubscription:
    """What a connection listens to, under the number it chose."""

    __slots__ = ("connection", "event", "sender", "serial")

    def __init__(self, connection: Connection, sender: str | None, event: str | None, serial: int) -> None:
        self.connection: Connection = connection
        self.sender: str | None = sender
        self.event: str | None = event
        self.serial: int = serial


class Connection(Peer):
    """The server's end of one link."""

    def __init__(self, server: ServerCore, number: int, address: str, deadline: float) -> None:
        super().__init__(server.limits)
        self.server = server
        self.number = number
        self.address = address
        self.deadline = deadline
        self.name = ""
        self.identity: object = None
        self.held: dict[str, Held] = {}
        self.subscriptions: dict[int, LinkSubscription] = {}
        self.called: dict[Connection, None] = {}  # owners that this one has asked something
        self.asked_by: dict[Connection, None] = {}  # the same, seen from the owner
        self.known: dict[Route, None] = {}  # routes that this one has been told of
        self.outbox: Outbox[bytes] = Outbox(drop_bytes=server.limits.link_drop_bytes)

    def put_events(self, frame: bytes, counts: Counts) -> None:
        """Append a frame of events; the oldest are shed where there are too many."""
        self.outbox.put_events(frame, len(frame), counts)
        self._touch()

    def put(self, frame: bytes) -> None:
        """Append what may not be dropped. Somebody who lets it pile up is cut off."""
        self._put(frame)
        if self.outbox.other_bytes > self.limits.link_control_bytes and not self.closed:
            self.cut(
                Overloaded(f"client {self.address} did not read {self.limits.link_control_bytes} bytes of control")
            )

    def cut(self, error: SigError) -> None:
        super().cut(error)
        self.outbox.clear()

    def result(self, call: int, value: object) -> None:
        """Answer a call. An answer that would be cut off for its size becomes an error."""
        body = encode_control(Result(value))
        if len(body) > min(self.max_frame_bytes, self.limits.link_control_bytes // 2):
            self.refuse(call, Overloaded(f"the answer takes {len(body)} bytes: ask for less, with a pattern"))
        else:
            self.put(pack(Kind.RESULT, body, route=call))

    def refuse(self, call: int, error: SigError) -> None:
        """Answer a call with an error."""
        self.put(pack(Kind.RESULT, encode_control(to_wire(error)), flags=RESULT_ERR, route=call))

    def _put(self, frame: bytes) -> None:
        self.outbox.put(frame, len(frame))
        self._touch()

    def _ordered(self, limit: int) -> Sequence[bytes]:
        frames: list[bytes] = []
        size = 0
        while size < limit and (entry := self.outbox.take()) is not None:
            if entry.lost is not None:
                found = [pack_lost(Lost(route, missed, "slow")) for route, missed in entry.lost.items()]
            else:
                assert entry.item is not None  # an entry is one or the other
                found = [entry.item]
            frames.extend(found)
            size += sum(map(len, found))
        return frames

    def _touch(self) -> None:
        self.server.dirty[self] = None

    def _receive(self, frame: Frame) -> None:
        if frame.kind < Kind.EVENT and len(frame.data) > self.limits.max_control_frame_bytes:
            raise RemoteProtocolError(
                f"the client sent {len(frame.data)} bytes of control in one frame: "
                f"the limit is {self.limits.max_control_frame_bytes}"
            )
        if frame.kind == Kind.EVENT and self.opened:
            self.server.forward(self, frame)
        else:
            handler = self.server.handlers.get(frame.kind)
            if handler is None or self.opened is (frame.kind == Kind.HELLO):
                super()._receive(frame)
            else:
                handler(self, frame)
