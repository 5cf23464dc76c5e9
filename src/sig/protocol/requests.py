"""Requests on their way: from who asks to who answers, and back.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from sig.errors import (
    MessageTooBig,
    Overloaded,
    RemoteProtocolError,
    SenderNotConnected,
    SigError,
    to_wire,
)
from sig.messages import (
    OpenRequests,
    encode_control,
)
from sig.names import check_sender
from sig.protocol.bodies import (
    Cancel,
    Reply,
    find_asked,
    find_asker,
    find_request,
    method_of,
    pack_cancel,
    pack_peer_gone,
    pack_reply,
    unpack_cancel,
)
from sig.protocol.connection import Connection
from sig.protocol.frames import HEADER, REPLY_ERR, REPLY_MORE, REQUEST_PARTS, Found, Frame
from sig.protocol.held import Route
from sig.protocol.replicas import on_route

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore


# The route of who was asked, what, and the route on which: another, where several share a name.
Asked: TypeAlias = tuple[int, str, int]

# A client keeps to its own `requests_out`, which may be larger than the server's; beyond this it keeps to nothing.
TIMES: Final = 16
# Methods that one client is known to have the right to ask for: more than it uses at a time.
_REMEMBERED: Final = 1024


class _Way(NamedTuple):
    """To an owner that takes requests as they are."""

    owner: Connection
    room: int
    """The largest frame that it takes."""


class _WayBack(NamedTuple):
    """To who has asked."""

    route: Route
    requester: Connection
    room: int
    """The largest frame that it takes as it is."""


class Requests:
    """Those of one server. What each client waits for is kept with it, in `Connection.unanswered`, by its own number
    for it. Routes stand there by their numbers, so that it keeps nobody who has left.
    """

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._most = TIMES * server.limits.requests_out

    @property
    def asked(self) -> int:
        """Requests that have not been answered."""
        return sum(sum(connection.called.values()) for connection in self._server.connections.values())

    def open(self, connection: Connection, call: OpenRequests, number: int) -> object:
        """The call `OpenRequests`: on which route that sender is asked."""
        server = self._server
        # Before it is looked for: who may ask it nothing is not told whether it is there.
        server.rights.check_possible(connection, "request", check_sender(call.sender), None)
        held = server.registry.find(call.sender)
        if held is None:
            raise SenderNotConnected(call.sender)
        if call.instance is not None:
            held = next((one for one in server.replicas.of(held.name) if one.incarnation == call.instance), None)
            if held is None:
                raise SenderNotConnected(call.sender)
        elif held.shared:
            return server.replicas.open(connection, held)
        server.introduce(connection, held.requests_route)
        return held.requests_route.id

    def request(self, connection: Connection, data: bytes, run: Sequence[Found]) -> None:
        """Some have come, one behind the other: hand each on, or say why not."""
        self._server.forwarder.seal()
        may_ask, unanswered, most = connection.may_ask, connection.unanswered, self._most
        shown, way = -1, None
        onward: list[Found] = []  # what is to be handed on that way together: as a rule all of them
        for found in run:
            _, flags, _, number, start, end = found
            corr, method = find_asked(data, start, end)
            if number != shown:
                self._hand_on(connection, way, data, onward)
                if connection.closed:
                    return
                shown, way = number, self._way(connection, number)
            asked = may_ask.get((number, method))
            if way is None or flags or asked is None or len(unanswered) >= most or end - start > way.room:
                self._hand_on(connection, way, data, onward)
                self._request(connection, flags, number, corr, method, data[start:end])
                if connection.closed:
                    return
                continue
            unanswered[corr] = asked
            onward.append(found)
        self._hand_on(connection, way, data, onward)

    def _hand_on(self, connection: Connection, way: _Way | None, data: bytes, onward: list[Found]) -> None:
        """Hand these on, and forget them: to one who takes them as they are, unless too much waits for it."""
        if not onward:
            return
        assert way is not None  # it was found for them
        # Who asks stands in each since it was read.
        if way.owner.put_asked(*[data[start:end] for _, _, _, _, start, end in onward]):
            self._owe(connection, way.owner, len(onward))
        else:
            for _, flags, _, number, start, end in onward:
                corr, method = find_asked(data, start, end)
                connection.unanswered.pop(corr, None)
                self._request(connection, flags, number, corr, method, data[start:end])
        onward.clear()

    def _way(self, connection: Connection, number: int) -> _Way | None:
        """Where requests on that route go as they are; `None` where each has to be looked at."""
        route = self._server.routes.get(number)
        if route is None or route.event or self._server.closing:
            return None
        owner = route.held.owner
        if owner.closed or owner.codec.name not in connection.codecs:
            return None
        return _Way(owner, owner.max_frame_bytes + HEADER.size)

    def _request(self, connection: Connection, flags: int, number: int, corr: int, name: bytes, data: bytes) -> None:
        """One that has to be looked at."""
        server, method = self._server, method_of(name)
        route = server.routes.get(number)
        pool = server.replicas.pools.get(number) if route is None else None
        if pool is not None:
            route = pool.choose().requests_route
        error: SigError
        if route is None or route.event:
            # Who has left has no name any more; the client knows whom it asked.
            error = SenderNotConnected("")
        elif server.closing and find_request(data, 0, len(data)).hops == 1:  # others are part of what is under way
            error = Overloaded("the server is closing, and takes no more requests: ask again when it is back")
        elif (number, name) not in connection.may_ask and not self._may_ask(connection, number, route, name, method):
            error = server.rights.refusal(connection, route, method)
        else:
            try:
                if len(connection.unanswered) >= self._most:
                    self._make_room(connection)
                if flags & REQUEST_PARTS:
                    server.streams.check(connection, corr)
                if pool is None:
                    self.pass_on(connection, route, data)
                else:
                    self.pass_on(connection, route, on_route(data, route.id), pooled=True)
                    pool.begin(connection, corr, route.held)
                connection.unanswered[corr] = route.id, method, number
                if flags & REQUEST_PARTS:
                    server.streams.open(connection, corr, route, number)
            except RemoteProtocolError:
                raise
            except SigError as unfit:
                error = unfit
            else:
                return
        self.refuse(connection, corr, number, error)

    def _may_ask(self, connection: Connection, number: int, route: Route, name: bytes, method: str) -> bool:
        """Whether it may; if so, that is remembered until another policy holds, for requests are many and alike."""
        if not self._server.allowed(connection.identity, "request", route.held.name, method):
            return False
        if len(connection.may_ask) >= _REMEMBERED:
            connection.may_ask.clear()
        connection.may_ask[number, name] = number, method, number
        return True

    def pass_on(self, connection: Connection, route: Route, data: bytes, *, pooled: bool = False) -> None:
        """Hand on a request to the owner of the route; raises what the requester is to be told instead.

        `pooled`: it is in the requester's codec, who does not know which of several is asked.
        """
        server = self._server
        owner = route.held.owner
        if owner.closed and owner.returns:
            server.absences.ask(connection, route, data, server.now)
            return
        if owner.codec.name not in connection.codecs or (pooled and owner.codec.name != connection.codec.name):
            data = server.bridge.request(Frame.of(data), connection.codec, owner.codec).data
        if len(data) - HEADER.size > owner.max_frame_bytes:
            raise MessageTooBig(
                f"the request takes {len(data) - HEADER.size} bytes, and sender {route.sender!r} accepts "
                f"{owner.max_frame_bytes}: send it in parts, or give the sender's client a larger max_frame_bytes"
            )
        if not owner.put_asked(data):  # who asks stands in it since it was read
            raise Overloaded(f"sender {route.sender!r} is asked more than it reads: try again later")
        self._owe(connection, owner)

    def _owe(self, requester: Connection, owner: Connection, answers: int = 1) -> None:
        """So many more answers of that owner are waited for."""
        owed = requester.called.get(owner, 0)
        requester.called[owner] = owed + answers
        if not owed:
            owner.asked_by[requester] = None

    def refuse(self, requester: Connection, corr: int, route: int, error: SigError) -> None:
        """Tell who asks why there is no answer."""
        self._server.overloaded += isinstance(error, Overloaded)
        requester.unanswered.pop(corr, None)
        reply = Reply(requester.number, corr, encode_control(to_wire(error)))
        requester._hasten(pack_reply(reply, route=route, flags=REPLY_ERR))

    def reply(self, connection: Connection, data: bytes, run: Sequence[Found]) -> None:
        """Some have come, one behind the other: hand each on, or say why not."""
        server = self._server
        server.forwarder.seal()
        shown, way = (-1, -1), None
        onward: list[bytes] = []  # what is to be handed on that way together: as a rule all of them
        for _, flags, _, number, start, end in run:
            peer, corr = find_asker(data, start, end)
            if (number, peer) != shown:
                self._hand_back(connection, way, onward)
                if connection.closed:  # it has asked itself, and does not read
                    return
                shown, way = (number, peer), self._way_back(connection, number, peer)
            if way is None:
                continue
            _, requester, room = way
            asked = requester.unanswered.get(corr)
            if asked is None or asked[0] != number or flags & REPLY_MORE or requester.streams or end - start > room:
                self._hand_back(connection, way, onward)
                self._reply(connection, way.route, requester, corr, flags, data[start:end])
                if connection.closed:
                    return
                continue
            del requester.unanswered[corr]
            onward.append(data[start:end])
        self._hand_back(connection, way, onward)

    def _hand_back(self, connection: Connection, way: _WayBack | None, onward: list[bytes]) -> None:
        """Hand these answers on, and forget them."""
        if onward:
            assert way is not None  # it was found for them
            self._count_down(way.requester, connection, len(onward))
            way.requester._hasten_all(onward)
            onward.clear()

    def _way_back(self, connection: Connection, number: int, peer: int) -> _WayBack | None:
        """Where answers of that route go; `None` where nobody waits for any."""
        server = self._server
        route = server.routes.get(number)
        if route is None:
            return None  # the sender has left, and whoever asked has been told so
        held = route.held
        if route.event or held.owner is not connection:
            raise RemoteProtocolError(f"the client replied on route {number}, which is not its own")
        requester = server.connections.get(peer)
        if requester is None:
            return None
        plain = connection.codec.name in requester.codecs and not held.shared
        return _WayBack(route, requester, requester.max_frame_bytes + HEADER.size if plain else -1)

    def _reply(
        self, connection: Connection, route: Route, requester: Connection, corr: int, flags: int, data: bytes
    ) -> None:
        server, number = self._server, route.id
        asked = requester.unanswered.get(corr)
        waits = asked is not None and asked[0] == number
        if flags & REPLY_MORE:
            if waits:
                server.streams.pass_on(requester, corr, route, data)
            return
        # One that has been answered, or was never asked, is of no account: else the next would be taken for it.
        if waits:
            del requester.unanswered[corr]
        elif requester.given_up.get(corr) == number:
            del requester.given_up[corr]
        else:
            return
        self._count_down(requester, connection)
        if not waits:
            return
        if requester.streams:
            server.streams.close(requester, corr)
        foreign = connection.codec.name not in requester.codecs
        pool = server.replicas.pool_of(route.held) if route.held.shared else None
        if pool is not None and pool.find(requester, corr) is route.held:
            pool.end(requester, corr)
            number = pool.number
            left = server.replicas.left(pool, route.held, data) if flags & REPLY_ERR else None
            if left is not None:
                self.refuse(requester, corr, number, left)
                return
            data = on_route(data, number)
            foreign = connection.codec.name != requester.codec.name
        if foreign and not flags & REPLY_ERR:
            try:
                data = server.bridge.reply(Frame.of(data), connection.codec, requester.codec, route.sender).data
            except SigError as unfit:
                self.refuse(requester, corr, number, unfit)
                return
        size = len(data) - HEADER.size
        if size <= requester.max_frame_bytes:
            requester._hasten(data)
        else:
            error = MessageTooBig(
                f"the answer of sender {route.sender!r} takes {size} bytes, and this client accepts "
                f"{requester.max_frame_bytes}: give it a larger max_frame_bytes"
            )
            self.refuse(requester, corr, number, error)

    def cancel(self, connection: Connection, frame: Frame) -> None:
        """Who has asked does not wait any more."""
        corr = unpack_cancel(frame).corr  # which tells whether it is well formed
        asked = connection.unanswered.get(corr)
        if asked is not None and asked[2] == frame.route:
            self.give_up(connection, corr, asked)

    def give_up(self, requester: Connection, corr: int, asked: Asked) -> None:
        """Nobody waits for that any more: let who was asked know, if it can still be reached."""
        server, (number, _, shown) = self._server, asked
        del requester.unanswered[corr]
        server.streams.close(requester, corr)
        if shown in server.replicas:
            server.replicas.pools[shown].end(requester, corr)
        route = server.routes.get(number)
        if route is None:
            return
        if route.held.owner.closed:
            server.absences.cancel(requester, route, corr)
            return
        # Where it does not get through, the handler works for nothing; its answer finds nobody.
        route.held.owner.put_asked(pack_cancel(Cancel(requester.number, corr), route=number))
        given_up = requester.given_up
        if len(given_up) >= self._most:
            del given_up[next(iter(given_up))]  # who never answers must not cost memory without end
        given_up[corr] = number

    def left(self, connection: Connection) -> None:
        """It waits for no answers any more, which those whom it asked are told; nor does it owe any."""
        gone = pack_peer_gone(connection.number)
        for owner in connection.called:
            owner.asked_by.pop(connection, None)
            owner.put(gone)
        for requester in connection.asked_by:
            requester.called.pop(connection, None)
        connection.called.clear()
        connection.unanswered.clear()
        connection.given_up.clear()
        connection.asked_by.clear()

    def _count_down(self, requester: Connection, owner: Connection, answers: int = 1) -> None:
        """So many have come; perhaps from one who was away, and has not been asked for want of time."""
        owed = requester.called.get(owner, 0)
        if owed > answers:
            requester.called[owner] = owed - answers
        elif owed:
            del requester.called[owner], owner.asked_by[requester]

    def _make_room(self, requester: Connection) -> None:
        """It waits for so many: forget what nobody can answer. Raises what to tell it where that is too little."""
        routes, unanswered = self._server.routes, requester.unanswered
        for corr in [corr for corr, asked in unanswered.items() if asked[0] not in routes]:
            del unanswered[corr]
        if len(unanswered) >= self._most:
            raise Overloaded(f"{self._most} requests of this client wait for their answers: wait for some of them")

    def govern(self) -> None:
        """Rights have changed: who has asked what it may not any more is told so, and who was asked need not go on."""
        server = self._server
        for requester in server.connections.values():
            for corr, asked in list(requester.unanswered.items()):
                number, method, shown = asked
                route = server.routes.get(number)
                if route is not None and not server.allowed(requester.identity, "request", route.sender, method):
                    self.give_up(requester, corr, asked)
                    self.refuse(requester, corr, shown, server.rights.refusal(requester, route, method))
