"""Clients whose link was lost a moment ago: what they held is kept for a while, in case they come back.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. Within the grace their senders do not leave, and are found
by whoever comes back with the same names; requests to them wait. Their listeners count as listeners: so that an owner
goes on to send, and they can be told how much they have missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from sig.errors import ConnectionLost, Overloaded, SenderNotConnected, SigError
from sig.messages import AddSender, RouteGone, encode_control
from sig.protocol.bodies import NO_DEADLINE, find_asker, find_request, pack_request
from sig.protocol.connection import Connection
from sig.protocol.ended import End
from sig.protocol.frames import HEADER, Kind, pack
from sig.protocol.held import Held, Route
from sig.protocol.lanes import A_ROUTE

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


class _Asked(NamedTuple):
    """A request that waits for the owner of a name to come back."""

    requester: Connection
    data: bytes
    since: float


class Absences:
    """Those of one server."""

    def __init__(self, server: ServerCore, grace_s: float) -> None:
        self._server = server
        self._grace_s = grace_s
        self._until: dict[Connection, float] = {}  # in order of their ends
        self._asked: dict[Held, list[_Asked]] = {}

    def __len__(self) -> int:
        return len(self._until)

    @property
    def due(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return next(iter(self._until.values()), None)

    def keeps(self, connection: Connection) -> bool:
        """Whether that client, whose link has ended, may come back to what it had."""
        lost = connection.error is None or isinstance(connection.error, ConnectionLost)
        return connection.returns and lost and connection.farewell is None and not connection.removed

    def leave(self, connection: Connection, now: float) -> None:
        """The link is lost, and what it held stays. Who has asked its senders something is told that it is lost."""
        self._until[connection] = now + self._grace_s
        server = self._server
        for number, subscription in list(connection.subscriptions.items()):
            if subscription.line is None:
                continue
            if subscription.line.alone:
                server.listening.part(subscription)
            else:  # what it would be given by itself is for others
                del connection.subscriptions[number]
                server.listening.ignore(subscription, reason="lost_link")
        for held in list(connection.held.values()):
            if held.shared:  # there may be others, who answer meanwhile
                server.registry.release(held, server.reason(connection))
                continue
            asked = held.requests_route
            server.streams.forget(held)
            gone = pack(Kind.ROUTE_GONE, encode_control(RouteGone("lost")), route=asked.id)
            for other in asked.known_by:
                del other.known[asked]
                other.put(gone)
            del server.routes[asked.id]
            held.requests_route = server.registry._make_route(held, "")
            for route in held.routes:
                route.unheard, route.unseen = False, 0
                server.listening.go_on(route)
        if len(self._until) > self._server.limits.max_connections:
            self._give_up(next(iter(self._until)))

    def adopt(self, connection: Connection, held: Held, call: AddSender) -> bool:
        """Let a client that is back have its sender again, as if it had not been away.

        False if it is another's, or has become another sender.
        """
        old, server = held.owner, self._server
        events, requests = list(dict.fromkeys(call.events)), call.requests
        retained = {route.event for route in held.routes if route.retains}
        if (
            old.lineage is not connection.lineage
            or call.shared
            or events != held.events
            or (None if requests is None else list(dict.fromkeys(requests))) != held.requests
            or set(call.retain) != retained
            or encode_control({"schema": call.schema}) != encode_control({"schema": held.schema})
            or old.codec.name != connection.codec.name
        ):
            return False
        del old.held[held.name]
        if not old.held:
            server.windows.leave()
        if not connection.held:
            server.windows.enter()
        held.owner = connection
        connection.held[held.name] = held
        if connection.retained is None:
            connection.retained = old.retained
        elif old.retained is not None:  # another sender of the client was there first, and retains too
            connection.retained.take(old.retained, held.routes)
        for route in held.routes:
            old.heard.pop(route.id, None)
            server.listening.changed(route)
            # Who listens to its own has been told of it already, as of another's: then it would never know where to
            # send its events.
            route.known_by.pop(connection, None)
            server.introduce(connection, route)
            server.rights.tell(route)
        server.introduce(connection, held.requests_route)
        connection.give_credit()
        for asked in self._asked.pop(held, ()):
            self._ask(held.requests_route, asked)
        return True

    def ended(self, connection: Connection, route: Route, first_seq: int) -> None:
        """A route ends of which a client was to hear all since then: what it does not hear of that it is told later."""
        server = self._server
        ends = {route.id: End(route, first_seq)}
        if connection.closed:
            for number, subscription in connection.subscriptions.items():
                firsts = subscription.firsts
                if firsts is not None and (route in firsts or subscription.hears(route)):
                    ends[server.number()] = End(route, firsts.pop(route, first_seq), number)
        link: Connection | None = connection
        while link is not None and (link is connection or route not in link.known):
            if link is connection or link.closed:  # of any of these the client may not know that there was another
                for number, end in ends.items():
                    link.ended.add(number, end, server.now, away=link.closed)
            else:
                self.tell_ended(link, ends.values())  # its listeners may be still to come
            link = link.successor

    def tell_ended(self, connection: Connection, ends: Iterable[End]) -> None:
        """A client is back: of these it has not heard that they are no more, nor all that came on them."""
        server = self._server
        for route, first_seq, listener in ends:
            allowed = server.allowed(connection.identity, "listen", route.sender, route.event)
            if not allowed or not connection.has_room_for(A_ROUTE):
                continue
            number = route.id if listener is None else server.number()
            told = replace(server.describe_to(connection, route), first_seq=first_seq, listener=listener)
            told = told if listener is None else replace(told, base=route.id)
            connection.put(pack(Kind.ROUTE, encode_control(told), route=number))
            connection.put(pack(Kind.ROUTE_GONE, encode_control(RouteGone()), route=number))
            connection.ended.add(number, End(route, first_seq, listener), server.now)

    def ask(self, requester: Connection, route: Route, data: bytes, now: float) -> None:
        """A request to a sender whose client is away: it waits."""
        waiting = self._asked.setdefault(route.held, [])
        if len(waiting) >= self._server.limits.requests_in:
            raise Overloaded(f"sender {route.sender!r} is away, and {len(waiting)} requests wait for it already")
        waiting.append(_Asked(requester, data, now))

    def cancel(self, requester: Connection, route: Route, corr: int) -> None:
        """Nobody waits any more for the answer to that one."""
        waiting = self._asked.get(route.held, [])
        waiting[:] = [a for a in waiting if a.requester is not requester or _corr(a.data) != corr]

    def dismiss(self, held: Held) -> None:
        """That sender leaves: whoever asks it is told."""
        for requester, data, _ in self._asked.pop(held, ()):
            error = SenderNotConnected(held.name)
            self._server.requests.refuse(requester, _corr(data), held.requests_route.id, error)

    def handle_timeout(self, now: float) -> None:
        """Time has passed: those who have not come back have left."""
        while self._until and (first := next(iter(self._until.items())))[1] <= now:
            self._give_up(first[0])

    def end(self, line: object) -> None:
        """A client has left for good: nothing waits for it."""
        for connection in [each for each in self._until if each.lineage is line]:
            self._give_up(connection)

    def close(self) -> None:
        """Nobody comes back any more."""
        for connection in list(self._until):
            self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        del self._until[connection]
        self._server.give_up(connection)

    def _ask(self, route: Route, asked: _Asked) -> None:
        server = self._server
        request = find_request(asked.data, 0, len(asked.data))
        left_ms = request.remaining_ms
        if left_ms != NO_DEADLINE:
            left_ms -= int((server.now - asked.since) * 1000)
        if asked.requester.closed or left_ms <= 0:
            return  # nobody waits any more
        # Whoever takes parts does so from one that was away, too.
        flags = HEADER.unpack_from(asked.data)[2]
        data = pack_request(replace(request, remaining_ms=left_ms), route=route.id, flags=flags)
        try:
            server.requests.pass_on(asked.requester, route, data)
        except SigError as error:
            server.requests.refuse(asked.requester, request.corr, route.id, error)


def _corr(data: bytes) -> int:
    return find_asker(data, 0, len(data))[1]
