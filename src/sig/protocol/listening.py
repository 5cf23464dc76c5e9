"""Who hears what: which connections a route goes to, and when a listener that comes may be told that it listens.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from itertools import count
from math import inf
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakValueDictionary

from sig.codecs import Codec
from sig.errors import (
    Overloaded,
    RemoteProtocolError,
    SigError,
)
from sig.index import Bucket, Index
from sig.messages import (
    Close,
    Interest,
    Listen,
    decode_control,
    encode_control,
)
from sig.names import check_selector
from sig.protocol.bodies import Lost, pack_lost
from sig.protocol.connection import Connection
from sig.protocol.frames import Frame, Kind, pack
from sig.protocol.heard import Audience, LinkSubscription, Waiting
from sig.protocol.held import Route
from sig.protocol.lanes import A_ROUTE, Lines
from sig.protocol.outbox import Counts

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# What makes an audience: the codec that it is sent, who hears it, and who shares it out.
_Hearing: TypeAlias = tuple[Codec, tuple[Connection, ...], Lines]


class Listening:
    """The listeners of one server."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self.index: Index[Bucket[LinkSubscription], LinkSubscription, Route] = Index(Bucket)
        self._serials = count(1)
        # So that who hears a route can be compared by identity. Only those that some route has are kept.
        self._audiences: WeakValueDictionary[_Hearing, Audience] = WeakValueDictionary()
        self._waiting: dict[Waiting, None] = {}  # in order of their deadlines

    @property
    def due(self) -> float:
        """When `handle_timeout` has something to do."""
        return next(iter(self._waiting)).deadline if self._waiting else inf

    def handle_timeout(self, now: float) -> None:
        """An owner that answers nothing must not keep others from listening."""
        while self._waiting and (first := next(iter(self._waiting))).deadline <= now:
            for route in first.routes:
                route.early = True
            self._answer(first)

    def audience(self, route: Route) -> Audience:
        """Who hears this route; each of them knows it by then, and the number of the next event."""
        if route.audience is None:
            hearing = self.hearing(route)
            for connection in route.known_by:
                # Changes no key. Should it listen again, it will have missed what comes now.
                route.known_by[connection] &= connection in hearing
            for connection in hearing:
                self._server.introduce(connection, route)
            connections = tuple(sorted(hearing, key=_number))
            codec = route.held.owner.codec
            lines = () if route.denied else self._server.shares.lines(route.sender, route.event)
            audience = self._audiences.get((codec, connections, lines))
            if audience is None:
                audience = self._audiences[codec, connections, lines] = Audience(connections, codec, lines)
            route.audience = audience
            if connections or lines or route.retains:
                route.held.owner.heard[route.id] = audience
        return route.audience

    def hearing(self, route: Route) -> dict[Connection, None]:
        """Who should hear this route, and all of it."""
        if route.denied:
            return {}
        matching = self.index.matching(route.sender, route.event)
        found = dict.fromkeys(s.connection for s in matching if s.line is None)
        return {c: None for c in found if self._server.allowed(c.identity, "listen", route.sender, route.event)}

    def accepted(self, counts: Counts) -> None:
        """Events are passed on to those who hear them; where nobody does, the owner is told."""
        for number, events in counts:
            route = self._server.routes.get(number)
            if route is not None and not route.denied:
                route.next_seq += events
                if route.audience is not None and not (route.audience.heard or route.unheard or route.retains):
                    self.tell_interest(route, "none")

    def changed(self, route: Route) -> None:
        """Others hear it, or will."""
        route.audience = None
        route.held.owner.heard.pop(route.id, None)

    def miss(self, route: Route, count: int | None) -> None:
        """So many events of its owner's never came, or nobody knows how many: who hears them is told."""
        receivers = self.audience(route).connections
        self._server.shares.miss(route, count)
        if count is None:
            route.unsure_seq = route.next_seq  # for those that are away
            frame = pack_lost(Lost(route.id, None, "lost_link"))
            for receiver in receivers:
                receiver.put(frame)
        else:
            for receiver in receivers:
                receiver.lose(((route.id, count),), "lost_link")
            route.next_seq += count

    def tell_interest(self, route: Route, state: Literal["none", "some", "grouped"]) -> None:
        """The owner of a route learns whether anybody listens."""
        route.unheard, route.grouped = state == "none", state == "grouped"
        if not route.unseen:
            route.asked_seq = route.next_seq
        route.unseen += not route.unheard
        route.held.owner.put(pack(Kind.INTEREST, encode_control(Interest(state)), route=route.id))

    def seen(self, connection: Connection, frame: Frame) -> None:
        """An owner knows that somebody listens: it holds nothing back any more."""
        route = self._server.owned(connection, frame.route)
        if route is None or not route.unseen:
            return
        if decode_control(Interest, frame.body).held and (route.early or route.next_seq > route.asked_seq):
            # Nobody knows how many of these there were before somebody listened, or behind what was under way to who is
            # back.
            self.miss(route, None)
            route.asked_seq = route.next_seq
        route.unseen -= 1
        if not route.unseen:
            self.go_on(route)

    def go_on(self, route: Route) -> None:
        """Nobody need wait for the owner of this route."""
        route.early = False
        waiting, route.waiting = route.waiting, {}
        for listen in waiting:
            del listen.routes[route]
            if not listen.routes:
                self._answer(listen)

    def _answer(self, listen: Waiting) -> None:
        del self._waiting[listen]
        for route in listen.routes:
            del route.waiting[listen]
        try:
            self._tell_past(listen)
        except SigError as error:
            listen.connection.refuse(listen.call, error)
        else:
            # What it missed it is told before the past: that is gathered until the answer.
            self._server.shares.reopen(listen.subscription)
            listen.connection.result(listen.call, self._server.time_us() if listen.subscription.when else None)
            self._server.shares.begin(listen.subscription)

    def _tell_past(self, listen: Waiting) -> None:
        """Before the answer to a `Listen` comes what it asks of the past. What it cannot be told it is not to miss."""
        subscription, connection = listen.subscription, listen.connection
        if subscription.initial and connection.subscriptions.get(listen.id) is subscription:
            try:
                past = (subscription.sender, subscription.event, subscription.again)
                self._server.retained.tell(connection, listen.call, *past)
            except SigError:
                del connection.subscriptions[listen.id]
                self.ignore(subscription)
                raise

    def listen(self, connection: Connection, call: Listen, number: int) -> object:
        """The call `Listen`."""
        server = self._server
        check_selector(call.sender, call.event)
        server.rights.check_possible(connection, "listen", call.sender, call.event)
        if call.id in connection.subscriptions:
            raise RemoteProtocolError(f"subscription {call.id} exists already")
        if len(connection.subscriptions) >= server.limits.max_subscriptions:
            raise Overloaded(f"a client may have {server.limits.max_subscriptions} subscriptions: use a pattern")
        if self.index.count >= server.limits.max_subscriptions_total:
            raise Overloaded(f"this server has its {server.limits.max_subscriptions_total} subscriptions")
        subscription = LinkSubscription(
            connection, call.sender, call.event, next(self._serials), call.initial, call.when, call.again
        )
        server.shares.join(subscription, call)
        connection.subscriptions[call.id] = subscription
        waiting = Waiting(subscription, call.id, number, server.now + server.limits.interest_timeout_s)
        for route in self.index.add(subscription):
            self.changed(route)
            if route.denied or not server.allowed(connection.identity, "listen", route.sender, route.event):
                continue
            # Before it listens it shall know what will come; and if it was away, what it has missed.
            if route.held.schema is not None or (call.again and connection.has_room_for(A_ROUTE)):
                server.introduce(connection, route)
            if subscription.line is not None:
                if (route.unheard or not route.grouped) and not route.held.owner.closed:
                    self.tell_interest(route, "grouped")
            elif route.unheard:
                self.tell_interest(route, "some")
            if route.unseen:
                route.waiting[waiting] = None
                waiting.routes[route] = None
        self._waiting[waiting] = None
        if not waiting.routes:
            self._answer(waiting)
        return waiting

    def close(self, connection: Connection, call: Close, number: int) -> object:
        """The call `Close`."""
        subscription = connection.subscriptions.pop(call.id, None)
        if not connection.subscriptions:
            connection.subscriptions.clear()  # gives back the room that it had for many
        if subscription is not None:
            self.ignore(subscription, call.begun)
        return subscription is not None

    def part(self, subscription: LinkSubscription) -> None:
        """The link of one for whom senders wait is lost: what it misses is counted, as of others."""
        self._server.shares.leave(subscription)
        subscription.line = subscription.member = None
        firsts = subscription.firsts
        assert firsts is not None  # it is one of those
        for route in self.index.targets(subscription.sender, subscription.event):
            firsts.setdefault(route, route.next_seq)
            self.changed(route)

    def ignore(self, subscription: LinkSubscription, begun: int | None = None, reason: str = "") -> None:
        """That listener is no more."""
        for route in self.index.remove(subscription):
            self.changed(route)
        self._server.shares.leave(subscription, begun, reason)


def _number(connection: Connection) -> int:
    return connection.number
