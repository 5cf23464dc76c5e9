"""What senders retain: the last value of each such event, for those who come later.

Sans-I/O: no socket, no thread, no clock. A value is kept as it came, and not looked into; who lacks its codec gets it
from `bridge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.errors import Overloaded
from sig.messages import Last, Presence, RouteGone, encode_control
from sig.messages import Route as RouteMessage
from sig.names import check_event, check_sender, matches
from sig.protocol.budget import Budget
from sig.protocol.connection import Connection
from sig.protocol.events import latest_events, pack_batch
from sig.protocol.frames import HEADER, Frame, Kind, pack
from sig.protocol.held import Held, Route
from sig.protocol.outbox import Counts, Frames

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# Of the memory of a server, values may take so much: a quarter. What waits for slow links must not drive them out, nor
# they that.
_SHARE: Final = 4
# What a value takes beside its bytes: itself and its places in tables. Rather more than less.
_ENTRY: Final = 400


class Value(NamedTuple):
    """The last event on a route: its data, and when it was."""

    payload: bytes
    time_us: int


class Values:
    """What the senders of one client retain, by route: those first that have not changed for longest."""

    def __init__(self, share: Budget, whole: Budget) -> None:
        self._share = share
        self._whole = whole
        self._values: dict[Route, Value] = {}
        self._size = 0

    def get(self, route: Route) -> Value | None:
        """`None` before its first event, and where there was no room for the last."""
        return self._values.get(route)

    def put(self, route: Route, value: Value) -> None:
        self.drop(route)
        self._values[route] = value
        self._grow(len(value.payload) + _ENTRY)

    def drop(self, route: Route) -> None:
        value = self._values.pop(route, None)
        if value is not None:
            self._grow(-len(value.payload) - _ENTRY)

    def take(self, other: Values, routes: Iterable[Route]) -> None:
        """Have the values of these routes that are there."""
        for route in routes:
            value = other.get(route)
            if value is not None:
                other.drop(route)
                self.put(route, value)

    def shed(self) -> None:
        """Drop the oldest; there is one."""
        self.drop(next(iter(self._values)))

    def _grow(self, by: int) -> None:
        group = self._size.bit_length()
        self._size += by
        self._share.used += by
        self._whole.used += by
        if self._size.bit_length() != group:
            self._share.move(self, group, self._size.bit_length())


class _Said(NamedTuple):
    """What to say of the past: a frame, and for a ROUTE whose value follows on which lane."""

    frame: bytes
    route: Route | None = None
    lane: int = 0


class Retained:
    """What is retained at one server. Where all together is too much, those lose their oldest who retain most."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._share = Budget(server.limits.memory_bytes // _SHARE)

    def values(self) -> Values:
        """A place for what one client's senders retain."""
        return Values(self._share, self._server.budget)

    def keep(self, values: Values, frames: Sequence[Frame], counts: Counts, *, lines: bool) -> None:
        """These frames have been accepted; they hold so many events, `lines` as in the codec."""
        there = ((number, self._server.routes.get(number)) for number, _ in counts)
        routes = {number: route for number, route in there if route is not None and route.retains and not route.denied}
        for number, time_us, payload in reversed(list(latest_events(frames, routes, lines=lines))):
            values.put(routes[number], Value(payload, time_us))
        self._share.shed()

    def recall(self, connection: Connection, call: Last, number: int) -> bool:
        """Tell the last value of an event, as a part of the answer to that call; false if there has been none."""
        check_sender(call.sender)
        check_event(call.event)
        # Before it is looked for: who may not hear it is not told whether it is there.
        self._server.rights.check(connection, "listen", call.sender, call.event, f"ask for event {call.event!r} of")
        there = [route for route in self._server.listening.index.alike(call.sender, call.event) if _has_past(route)]
        if not there:
            return False
        route = max(there, key=_time)  # several may share the name
        said = self._announced(connection, route, number)
        connection.put(said.frame)
        self._tell(connection, route, said.lane)
        return True

    def tell(self, connection: Connection, number: int, sender: str | None, event: str | None, again: bool) -> None:
        """Tell all that is there, as a part of the answer to the `listen` of that number.

        Raises `Overloaded`, and tells nothing, where it is too much to say at once.
        """
        found: list[_Said] = []
        for held in self._server.registry.senders():
            if matches(sender, held.name):
                found += self._of(connection, held, event, number, again)
        limit = self._server.limits.link_control_bytes // 2
        size = sum(len(said.frame) for said in found) + connection.control_bytes
        if size > limit:
            raise Overloaded(
                f"what is there takes {size} bytes to say, beside the values themselves, and no more than {limit} may "
                "wait: listen with initial=True by narrower patterns, one after the other"
            )
        for said in found:
            connection.put(said.frame)
            if said.route is not None:
                self._tell(connection, said.route, said.lane)

    def _of(self, connection: Connection, held: Held, event: str | None, call: int, again: bool) -> Iterator[_Said]:
        """What is there of one sender."""
        allowed, identity = self._server.allowed, connection.identity
        first = self._server.registry.find(held.name) is held
        # Who hears only of those who leave is told who is there when it comes back: then it knows who is not any more.
        asked = matches(event, EVENT_CONNECT) or (again and matches(event, EVENT_DISCONNECT))
        if first and asked and allowed(identity, "listen", held.name, EVENT_CONNECT):
            yield _Said(self._presence(connection, held, call))
        for route in held.routes:
            if not matches(event, route.event) or not _has_past(route):
                continue
            if allowed(identity, "listen", held.name, route.event):
                yield self._announced(connection, route, call)

    def _presence(self, connection: Connection, held: Held, call: int) -> bytes:
        def said(data: dict[str, object]) -> bytes:
            message = Presence(held.name, held.incarnation, EVENT_CONNECT, data, held.since_us, call)
            return pack(Kind.PRESENCE, encode_control(message))

        frame = said(held.presence())
        # The names that one client chose must not cost another its link.
        fits = len(frame) - HEADER.size <= connection.max_frame_bytes
        return frame if fits else said({"events": [], "requests": None})

    def _announced(self, connection: Connection, route: Route, call: int) -> _Said:
        """The ROUTE of a lane for the value of that one."""
        held = route.held
        lane = self._server.number()
        message = RouteMessage(
            sender=held.name,
            event=route.event,
            codec=connection.codec_on(route).name,
            node=self._server.node,
            incarnation=held.incarnation,
            next_seq=route.next_seq - 1,
            since_us=held.since_us,
            owner=held.owner is connection,
            retained=True,
            base=route.id,
            call=call,
        )
        return _Said(pack(Kind.ROUTE, encode_control(message), route=lane), route, lane)

    def _tell(self, connection: Connection, route: Route, lane: int) -> None:
        """Send the value on its lane, or the news that it is missing; then the lane is no more."""
        values = route.held.owner.retained
        value = values.get(route) if values is not None else None
        source, target = route.held.owner.codec, connection.codec_on(route)
        data: bytes | None = None
        reason = _TOO_BIG
        if value is not None:
            data = pack_batch(lane, [value.payload], lens=False, lines=source.lines, time_us=value.time_us)
            if source.name != target.name:
                ((data, _, reason),) = self._server.bridge.events([Frame.of(data)], source, target)
        one = ((lane, 1),)
        if data is None or len(data) - HEADER.size > connection.max_frame_bytes:
            connection.lose(one, reason or _TOO_BIG)
        else:
            connection.share(Frames.of(data, one))
        connection.put(pack(Kind.ROUTE_GONE, _GONE, route=lane))


def _time(route: Route) -> int:
    values = route.held.owner.retained
    value = values.get(route) if values is not None else None
    return 0 if value is None else value.time_us


def _has_past(route: Route) -> bool:
    """Whether it retains, and there has been an event."""
    return route.retains and route.next_seq > 1


_TOO_BIG: Final = "too_big"
_GONE: Final = encode_control(RouteGone())
