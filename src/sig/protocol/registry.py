"""Who holds which name: senders come, are told of, and leave.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.errors import (
    Denied,
    InvalidArgument,
    MessageTooBig,
    Overloaded,
    SenderAlreadyConnected,
)
from sig.messages import (
    AddSender,
    Presence,
    RemoveSender,
    RouteGone,
    Senders,
    encode_control,
)
from sig.names import check_method, check_own_event, check_selector, check_sender, matches
from sig.protocol.connection import Connection
from sig.protocol.frames import HEADER, Kind, pack
from sig.protocol.held import Held, Route

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# Of more nobody has counted.
_MOST_LOST: Final = 1 << 48


class Registry:
    """The senders of one server."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._senders: dict[str, Held] = {}

    def find(self, name: str) -> Held | None:
        """The sender of that name; of several that share it, the first."""
        return self._senders.get(name)

    def add(self, connection: Connection, call: AddSender, number: int) -> object:
        """The call `AddSender`."""
        server = self._server
        name = check_sender(call.name)
        events = [check_own_event(event) for event in call.events]
        for method in call.requests or ():
            if method is not None:
                check_method(method)
        if not events and not call.requests:
            raise InvalidArgument(f"sender {name!r} has neither events nor requests: give it at least one")
        retain = dict.fromkeys(call.retain)
        known = dict.fromkeys(events)
        foreign = [event for event in retain if event not in known]
        if foreign:
            raise InvalidArgument(f"sender {name!r} cannot retain {foreign[0]!r}: it is not among its events")
        server.rights.check(connection, "own", name, "", "register")
        first = self._senders.get(name)
        if first is not None and first.owner.parted and not (first.shared and call.shared):
            server.sessions.give_way(first.owner)  # whoever comes first, see below
            first = self._senders.get(name)
        if first is not None and first.owner.closed:
            if server.absences.adopt(connection, first, call):
                self._tell_lost(first, call)
                return first.incarnation
            self.release(first, server.reason(first.owner))  # whoever comes first: often a program started again
            first = None
        if first is not None and (name in connection.held or not (first.shared and call.shared)):
            raise SenderAlreadyConnected(name)
        if len(connection.held) >= server.limits.max_names:
            raise Overloaded(f"a client may hold {server.limits.max_names} senders: remove one first")
        held = Held(name, connection, call, server.random64(), server.time_us())
        self._check_size(connection, held)
        for event in held.events:
            route = self._make_route(held, event)
            held.routes.append(route)
            route.retains = event in retain
            server.listening.index.add_target(route, beside=held.shared)
            server.introduce(connection, route)
        held.requests_route = self._make_route(held, "")
        server.introduce(connection, held.requests_route)
        if retain and connection.retained is None:
            connection.retained = server.retained.values()
        if not connection.held:
            server.windows.enter()
        connection.held[name] = held
        if held.shared:
            server.replicas.join(held)
        connection.give_credit()
        for route in held.routes:
            server.rights.tell(route)
        if first is None:
            self._senders[name] = held
            self._tell_presence(held, EVENT_CONNECT, {})
        self._tell_lost(held, call)
        return held.incarnation

    def _tell_lost(self, held: Held, call: AddSender) -> None:
        """Tell listeners of events that never came: of so many, or of nobody knows how many; of each once.

        Its client may have been cut off before it knew that they had been told.
        """
        told = held.lost if held.absence == call.absence else {}
        held.absence, held.lost = call.absence, {}
        for route in held.routes:
            before, lost = told.get(route.event, 0), call.lost.get(route.event, 0)
            if lost is not None and lost > _MOST_LOST:
                lost = None
            if lost != 0:
                held.lost[route.event] = lost
            count = None if lost is None else max(0, lost - (before or 0))
            if count != 0 and not (count is before is None):
                self._server.listening.miss(route, count)

    def _check_size(self, connection: Connection, held: Held) -> None:
        """What one client declares, everybody else is told."""
        server = self._server
        declared = sum(other.declared for other in connection.held.values()) + held.declared
        if declared > server.limits.max_events:
            raise Overloaded(
                f"with sender {held.name!r} this client would have {declared} events and requests, "
                f"and the limit is {server.limits.max_events} (max_events): remove a sender first"
            )
        size = len(encode_control(held.presence()))
        if size > server.limits.max_control_frame_bytes // 2:
            raise MessageTooBig(
                f"the names and types of what sender {held.name!r} has take {size} bytes, and the limit is "
                f"{server.limits.max_control_frame_bytes // 2}: declare fewer, or part them among several senders"
            )

    def senders(self) -> Iterator[Held]:
        """Every sender that is here, in order of the names."""
        for held in self._senders.values():
            if held.shared:
                yield from self._server.replicas.of(held.name)
            else:
                yield held

    def _make_route(self, held: Held, event: str) -> Route:
        number = self._server.number()
        route = self._server.routes[number] = Route(number, held, event)
        return route

    def remove(self, connection: Connection, call: RemoveSender, number: int) -> object:
        """The call `RemoveSender`."""
        held = connection.held.get(call.name)
        if held is None:
            self._server.rights.check(connection, "own", call.name, "", "remove")
        if held is None:
            if call.name not in self._senders:
                return False
            raise Denied(f"sender {call.name!r} is held by another client: only its owner may remove it")
        self.release(held, "closed")
        return True

    def release(self, held: Held, reason: str, *, parting: bool = False) -> None:
        """A sender leaves; `parting`: its client is about to be told more than that."""
        server = self._server
        if held.shared:
            server.replicas.leave(held, reason)
        server.absences.dismiss(held)
        others = server.replicas.of(held.name)
        if others:
            self._senders[held.name] = others[0]
        else:
            del self._senders[held.name]
        del held.owner.held[held.name]
        if not held.owner.held:
            server.windows.leave()
        if not others:
            self._tell_presence(held, EVENT_DISCONNECT, {"reason": reason})
        server.streams.forget(held)
        body = encode_control(RouteGone(reason))
        for route in held.routes:
            server.listening.index.remove_target(route)
        for route in (*held.routes, held.requests_route):
            del server.routes[route.id]
            held.owner.heard.pop(route.id, None)
            if held.owner.retained is not None:
                held.owner.retained.drop(route)
            server.listening.go_on(route)
            server.shares.route_gone(route)
            gone = pack(Kind.ROUTE_GONE, body, route=route.id)
            for connection in route.known_by:
                first = connection.known.pop(route)
                if not (parting and connection is held.owner):
                    connection.put(gone)
                if route.event and connection.returns:
                    server.absences.ended(connection, route, first)

    def _tell_presence(self, held: Held, event: Literal["#connect", "#disconnect"], more: dict[str, object]) -> None:
        server = self._server
        matching = server.listening.index.matching(held.name, event)
        if not matching:
            return

        def message(data: dict[str, object]) -> Presence:
            return Presence(held.name, held.incarnation, event, {**data, **more}, server.time_us())

        def said(data: dict[str, object]) -> bytes:
            return pack(Kind.PRESENCE, encode_control(message(data)))

        server.shares.tell(message(held.presence()))
        found = dict.fromkeys(s.connection for s in matching if s.line is None)
        frame = said(held.presence())
        for connection in found:
            if not server.allowed(connection.identity, "listen", held.name, event):
                continue
            if len(frame) - HEADER.size > connection.max_frame_bytes:
                # The names that one client chose must not cost another its link.
                shorter = said({"events": held.events, "requests": held.requests})
                fits = len(shorter) - HEADER.size <= connection.max_frame_bytes
                connection.put(shorter if fits else said({"events": [], "requests": None}))
            else:
                connection.put(frame)

    def tell(self, connection: Connection, call: Senders, number: int) -> object:
        """The call `Senders`."""
        check_selector(call.pattern, None)
        return [
            {
                "name": held.name,
                **held.presence(),
                "since": held.since_us / 1e6,
                "address": held.owner.address,
                "instance": held.incarnation,
            }
            for held in self.senders()
            if matches(call.pattern, held.name) and self._server.allowed(connection.identity, "list", held.name, "")
        ]
