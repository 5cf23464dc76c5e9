"""The server: who holds which name, who listens, and where each frame goes.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. One thread. A driver makes a `Connection` for each link
with `accept`, hands it what arrives, and sends what the connections in `dirty` have to say.

The data goes one way: frame -> route -> the connections that hear it -> their outboxes. A payload is not decoded, but
for clients that lack its codec, see `bridge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import inf
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from msgspec.structs import replace

from sig.codecs import Codec, as_codecs
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT, NAME_MAX_BYTES, Limits
from sig.errors import (
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidArgument,
    MessageTooBig,
    Overloaded,
    RemoteProtocolError,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
    to_wire,
)
from sig.index import Bucket, Index
from sig.messages import (
    NO_SCHEMA,
    RETURNS,
    AddSender,
    Clients,
    Close,
    Flush,
    Hello,
    Interest,
    Kick,
    Last,
    Listen,
    OpenRequests,
    Presence,
    RemoveSender,
    RouteGone,
    Senders,
    Welcome,
    decode_call,
    decode_control,
    encode_control,
    in_a_line,
)
from sig.messages import Route as RouteMessage
from sig.messages import Stats as StatsMessage
from sig.names import check_method, check_own_event, check_selector, check_sender, matches
from sig.protocol.absences import Absences
from sig.protocol.access import Access, Reception, Refusal, name_of
from sig.protocol.admin import Admin
from sig.protocol.audit import Audit
from sig.protocol.bodies import (
    Lost,
    Reply,
    Unit,
    find_asker,
    find_method,
    find_request,
    pack_lost,
    pack_peer_gone,
    pack_reply,
    unpack_cancel,
    unpack_credit,
)
from sig.protocol.bridge import Bridge
from sig.protocol.budget import Budget, Windows
from sig.protocol.connection import Audience, Connection, Held, LinkSubscription, Route, Waiting
from sig.protocol.entrance import Entrance
from sig.protocol.forward import Forwarder
from sig.protocol.frames import HEADER, REPLY_ERR, REPLY_MORE, REQUEST_PARTS, Frame, Kind, pack
from sig.protocol.heartbeat import Rounds, granted
from sig.protocol.lanes import Lanes, Lines
from sig.protocol.outbox import Counts
from sig.protocol.peer import Lane
from sig.protocol.questions import Questions
from sig.protocol.replicas import Replicas, on_route
from sig.protocol.retained import Retained
from sig.protocol.rights import Rights
from sig.protocol.session import NOT_KEPT, UNKNOWN
from sig.protocol.statistics import Statistics
from sig.protocol.streams import Streams
from sig.security.credentials import Credential
from sig.security.identity import Identity
from sig.security.policy import Policy

VERSION: Final = 1
# What makes an audience: the codec that it is sent, who hears it, and who shares it out.
_Hearing: TypeAlias = tuple[Codec, tuple[Connection, ...], Lines]
_LARGEST_NUMBER: Final = 0xFFFF_FFFF
# Of more nobody has counted.
_MOST_LOST: Final = 1 << 48
# A ROUTE takes no more, nearly always.
_A_ROUTE: Final = bytes(1024)


class ServerCore:
    """Everything a server knows.

    Args:
        limits: what it allows.
        node: its name, for people.
        epoch: a random number, new at each start.
        wall_offset: seconds since the epoch minus `now`, fixed at the start.
        random64: a source of random numbers of 64 bits.
        codecs: those whose payloads it passes on, by name, and puts into each other.
        access: who is let in, and who may do what; by default everybody, and everything.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        node: str,
        epoch: int,
        wall_offset: float,
        random64: Callable[[], int],
        codecs: Mapping[str, Codec] | None = None,
        access: Access | None = None,
    ) -> None:
        self.limits = limits
        self.codecs: Mapping[str, Codec] = codecs or as_codecs("json")
        """For clients that come: may be replaced, by one that has more."""
        self.dirty: dict[Connection, None] = {}
        """Connections with something to send, or to close."""
        self.ended: dict[Connection, None] = {}
        """Connections that have ended, and still hold what they held."""
        self.connections: dict[int, Connection] = {}
        self.access: Access = access or Access(lambda: b"".join(random64().to_bytes(8, "big") for _ in range(4)))
        self.refused: int = 0
        """Links turned away: too many, or a handshake that failed."""
        self.vanished: int = 0
        """Links given up since nothing came from the other end any more."""
        self.cut: int = 0
        """Links ended for what their clients did, or did not: mistakes, and not to read."""
        self.overloaded: int = 0
        """Calls and requests refused since there were too many of something."""
        self._node = node
        self._epoch = epoch
        self._wall_offset = wall_offset
        self._random64 = random64
        self._now = 0.0
        self._closing = False
        self._last_number = 0
        self._serials = count(1)
        self._entrance: Entrance[Connection] = Entrance(limits)  # whose strangers are in order of their deadlines
        self._senders: dict[str, Held] = {}
        self._routes: dict[int, Route] = {}
        self._sessions: dict[str, Connection] = {}  # by the tokens that they were given
        self._waiting: dict[Waiting, None] = {}  # in order of their deadlines
        self._rounds: Rounds[Connection] = Rounds()
        self.budget: Budget = Budget(limits.memory_bytes)
        self.windows: Windows = Windows(
            limits.memory_bytes // 2, largest=limits.send_window_bytes, clients=limits.max_connections
        )
        self.bridge: Bridge = Bridge(limits)
        self.forwarder: Forwarder = Forwarder(self)
        self.retained: Retained = Retained(self)
        self.shares: Lanes = Lanes(self)
        self._streams: Streams = Streams(self)
        self.replicas: Replicas = Replicas(self)
        self.questions: Questions = Questions(self)
        self.absences: Absences = Absences(self, limits.presence_grace_s)
        self._statistics = Statistics(self)
        self._admin = Admin(self)
        self._reception = Reception(self)
        self.rights: Rights = Rights(self)
        if self.access.audit is None:
            self.access.audit = Audit(self, epoch)
        # So that who hears a route can be compared by identity. Only those that some route has are kept.
        self._audiences: WeakValueDictionary[tuple[Codec, tuple[Connection, ...], Lines], Audience] = (
            WeakValueDictionary()
        )
        self._index: Index[Bucket[LinkSubscription], LinkSubscription, Route] = Index(Bucket)
        self.lanes: dict[int, Lane] = {Kind.REQUEST.value: self._request, Kind.REPLY.value: self._reply}
        self.handlers: dict[int, Callable[[Connection, Frame], None]] = {
            Kind.HELLO: self._hello,
            Kind.AUTH: self._reception.answer,
            Kind.CALL: self._call,
            Kind.CANCEL: self._cancel,
            Kind.INTEREST: self._seen,
            Kind.CREDIT: self._credit,
        }
        self._calls: dict[type, Callable[[Connection, Any, int], object]] = {
            AddSender: self._add_sender,
            RemoveSender: self._remove_sender,
            Listen: self._listen,
            Close: self._close_listener,
            Senders: self._list_senders,
            Last: self.retained.recall,
            StatsMessage: self._tell_stats,
            Clients: self._admin.clients,
            Kick: self._admin.kick,
            OpenRequests: self._open_requests,
            Flush: self._flush,
        }

    # Links

    def accept(self, now: float, address: str, *, vanishes: bool = True, room: bool = True) -> Connection:
        """A link has come up.

        Args:
            vanishes: its other end may be gone without a word.
            room: the system has room for it.
        """
        self._now = now
        connection = Connection(self, self._number(), address, now + self.limits.handshake_timeout_s)
        if not vanishes:
            connection.rhythm = None
        connection._touch()
        if self._closing:
            self._turn_away(connection, "shutdown", "the server is closing: come back later")
        elif not room:
            why = "this server has no descriptors left for more connections: come back later"
            self._turn_away(connection, "overloaded", why)
        elif (refusal := self._entrance.refusal(len(self.connections), now, paced=vanishes)) is not None:
            self._turn_away(connection, "overloaded", refusal)
        else:
            self.connections[connection.number] = connection
            outdone = self._entrance.enter(connection, address)
            if outdone is not None:
                oldest, why = outdone
                oldest.fail(HandshakeRefused(f"{why}: come back later"))
        self._settle()
        return connection

    def _turn_away(self, connection: Connection, code: str, message: str) -> None:
        self.refused += 1
        connection.say_bye(code, message, self.limits.retry_after_s)

    def receive_data(self, connection: Connection, data: bytes | memoryview, now: float) -> None:
        """Bytes from a link."""
        self._now = now
        connection.receive_data(data, self._time_us())
        self.forwarder.seal()
        if self.ended or self.budget.over:
            self._settle()

    def held_up(self, connection: Connection, unwritten: int) -> None:
        """A link takes no more for now; what waits for it counts, with so many bytes that it has and we do not.

        Called again when that changes, last with none.
        """
        connection.weigh(unwritten)
        if self.budget.over:
            self._settle()

    def disconnected(self, connection: Connection, now: float) -> None:
        """A link is down, by whatever cause: what it held is given up."""
        self._now = now
        connection.receive_eof()
        self._settle()
        if self.connections.get(connection.number) is connection:  # not one that was turned away
            self._statistics.forget(connection)
            del self.connections[connection.number]
        self.dirty.pop(connection, None)

    def drain(self) -> None:
        """From here on nobody is let in, and nothing new is asked; what is under way goes on."""
        self._closing = True

    @property
    def asked(self) -> int:
        """Requests that have not been answered."""
        return sum(sum(connection.called.values()) for connection in self.connections.values())

    def close(self, spare: Connection | None = None) -> None:
        """Tell every client but `spare` that this is the end; nobody is let in any more.

        Before that they hear who leaves with it. When to come back is told to each by itself, so that they do not come
        faster than `max_accepts_per_s`.
        """
        self._closing = True
        leaving = [connection for connection in self.connections.values() if connection is not spare]
        for connection in leaving:
            for held in list(connection.held.values()):
                self._release(held, "shutdown", parting=True)
        self.absences.close()
        pause = 1 / self.limits.max_accepts_per_s
        for place, connection in enumerate(leaving):
            connection.say_bye("shutdown", "the server is closing", round(self.limits.retry_after_s + place * pause, 3))
        self._settle()

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        # Asked whenever something has been read.
        due = self._rounds.due
        if self._entrance.pending:
            due = min(due, next(iter(self._entrance.pending)).deadline)
        if self._waiting:
            due = min(due, next(iter(self._waiting)).deadline)
        if self.shares.due < due:
            due = self.shares.due
        if self.access.due != inf:
            due = min(due, self.access.due - self._wall_offset)
        if (returned := self.absences.due) is not None:
            due = min(due, returned)
        return None if due == inf else due

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self._now = now
        for connection in list(self._entrance.pending):
            if connection.deadline > now:
                break
            limit = self.limits.handshake_timeout_s
            connection.fail(HandshakeRefused(f"no handshake within {limit:g} s: send HELLO first"))
        if self.access.due <= self._wall:
            for connection in self.access.expired(self._wall):
                connection.remove("your token or password has expired: log in with a new one")
        while self._waiting and (first := next(iter(self._waiting))).deadline <= now:
            self._answer(first)  # an owner that answers nothing must not keep others from listening
        self.absences.handle_timeout(now)
        if self._rounds.due <= now:
            for connection in self._rounds.take(now):
                if not connection.closed:
                    connection.beat()
        self.shares.expire(now)
        self._settle()

    def allowed(self, identity: Identity | None, action: str, sender: str, name: str) -> bool:
        """Whether that client may do that: `own`, `trigger`, `listen`, `block`, `request`, `list` or `admin`.

        Asked wherever a concrete route meets a connection. Without a policy everybody may everything.
        """
        return self.access.policy is None or self.access.decide(identity, action, sender, name).allowed

    def govern(self, policy: Policy | None, credentials: Mapping[str, Credential] | None, now: float) -> None:
        """From here on these hold, also for who is in: whoever has lost a right loses what came of it."""
        self._now = now
        self.rights.govern(policy, credentials)

    def logged_in(self, connection: Connection, found: Identity | Refusal, now: float) -> None:
        """The user's authenticator has said who that is, or why it cannot come in."""
        self._now = now
        self._reception.logged_in(connection, found)
        self._settle()

    def _settle(self) -> None:
        """Give up what those held whose links have ended since, and what is too much to keep.

        At the end of each call: until then whoever walks over connections finds them all. It may end others, which
        have to be told and do not read.
        """
        self._relieve()
        while self.ended:
            connection = next(iter(self.ended))
            del self.ended[connection]
            self._entrance.leave(connection)
            self._rounds.leave(connection)
            self.access.left(connection)
            self.vanished += connection.vanished
            if connection.error is not None and not connection.opened:
                self.refused += 1
            elif connection.error is not None and not connection.vanished:
                self.cut += 1
            if connection.window_bytes:
                self.windows.give_back(connection.window_bytes)
                connection.window_bytes = 0
            if self.absences.keeps(connection) and not self._closing:
                self.absences.leave(connection, self._now)
            else:
                self._give_up(connection)
                self.absences.end(connection.lineage)
            self.replicas.forget(connection)
            gone = pack_peer_gone(connection.number)
            for owner in connection.called:
                owner.asked_by.pop(connection, None)
                owner.put(gone)
            for requester in connection.asked_by:
                requester.called.pop(connection, None)
            connection.called.clear()
            connection.unanswered.clear()
            connection.asked_by.clear()
            self._relieve()

    def _give_up(self, connection: Connection) -> None:
        """What it listened to and held is no more."""
        self._sessions.pop(connection.session, None)
        for subscription in connection.subscriptions.values():
            self._ignore(subscription, reason="lost_link")
        connection.subscriptions.clear()
        for route in connection.known:
            route.known_by.pop(connection, None)
        connection.known.clear()
        for held in list(connection.held.values()):
            self._release(held, self._reason(connection))

    def _reason(self, connection: Connection) -> str:
        """Why its senders leave, for whoever listens to that."""
        if connection.removed:
            return "kicked"
        if connection.farewell is not None:
            return "closed"
        return "timeout" if connection.vanished else "shutdown" if self._closing else "lost"

    def _relieve(self) -> None:
        """Keep no more than we may: events go, and where there are none left links that do not read."""
        while not self.budget.shed():
            worst = max(self.connections.values(), key=_waiting, default=None)
            if worst is None or not worst.waiting:
                return
            limit = self.budget.limit
            worst.cut(Overloaded(f"it does not read, and the {limit} bytes of the server (memory_bytes) are full"))

    def _number(self) -> int:
        """A number for a connection or a route. All are used before one comes back."""
        while True:
            self._last_number = self._last_number % _LARGEST_NUMBER + 1
            number = self._last_number
            taken = number in self._routes or number in self.connections
            if not (taken or number in self.shares or number in self.replicas):
                return number

    def _hello(self, connection: Connection, frame: Frame) -> None:
        if connection.login is not None:
            raise RemoteProtocolError("the client sent a second HELLO: a link has one handshake")
        hello = decode_control(Hello, frame.body)
        refusal = self._refusal(hello)
        if refusal is not None:
            connection.fail(HandshakeRefused(refusal))
            return
        self._reception.receive(connection, hello)

    def welcome(self, connection: Connection, hello: Hello) -> None:
        """It is known who that is: let it in."""
        self._entrance.leave(connection)
        connection.returns = RETURNS in hello.features
        events = None if hello.session is None else self._replace(hello.session, connection)
        connection.session = f"{self._random64():016x}{self._random64():016x}"
        self._sessions[connection.session] = connection
        connection.agree({name: self.codecs[name] for name in hello.codecs if name in self.codecs})
        connection.name = in_a_line(hello.name, NAME_MAX_BYTES)
        connection.opened = True
        connection._reader.max_frame_bytes = self.limits.max_frame_bytes
        if hello.max_frame_bytes is not None:
            connection.max_frame_bytes = min(self.limits.max_frame_bytes, hello.max_frame_bytes)
        connection.window_bytes = self.windows.first
        rhythm = connection.rhythm
        if rhythm is not None:
            rhythm = connection.rhythm = granted(self.limits, hello.heartbeat_s, hello.heartbeat_timeout_s)
            self._rounds.enter(connection, rhythm.period_s, self._now)
        welcome = Welcome(
            version=VERSION,
            codecs=list(connection.codecs),
            node=self._node,
            epoch=self._epoch,
            client=connection.number,
            session=connection.session,
            max_frame_bytes=self.limits.max_frame_bytes,
            window_bytes=connection.window_bytes,
            heartbeat_s=0.0 if rhythm is None else rhythm.heartbeat_s,
            heartbeat_timeout_s=0.0 if rhythm is None else rhythm.timeout_s,
            fresh=None if hello.session is None else UNKNOWN if events is None else NOT_KEPT,
            events=events,
            identity=name_of(connection.identity),
        )
        # Not `put`: it still comes under the limit that holds before login, and not under the client's own.
        connection._put(pack(Kind.WELCOME, encode_control(welcome)))

    def _replace(self, session: str, connection: Connection) -> int | None:
        """A client is back before its old link is known to be down: what that holds must not be in the client's way.

        Returns how many events have come on that; `None` if it is not known.
        """
        old = self._sessions.get(session)
        if old is None or old.identity is None or not old.identity.same_as(connection.identity):
            return None
        old.cut(ConnectionLost("its client has come back on another link"))
        self._settle()
        connection.lineage = old.lineage
        return old.events_in

    def _refusal(self, hello: Hello) -> str | None:
        """Why we cannot talk, and which side must do what; `None` if we can."""
        if VERSION not in hello.versions:
            newer = bool(hello.versions) and min(hello.versions) > VERSION
            return (
                f"the client speaks version {_some(hello.versions)} of the protocol, this server {VERSION}: "
                f"update the {'server' if newer else 'client'}"
            )
        if self.codecs.keys().isdisjoint(hello.codecs):
            return (
                f"the client encodes with {_some(hello.codecs)}, this server with {_some(list(self.codecs))}: "
                "give both ends the same codec (codec=..., or the same pack and unpack)"
            )
        return None

    # Events

    def owned(self, connection: Connection, number: int) -> Route | None:
        """The route, if it is the connection's own to trigger on; `None` for one that has gone.

        An event may have been under way when its sender left.
        """
        route = self._routes.get(number)
        if route is not None and (route.held.owner is not connection or not route.event):
            raise RemoteProtocolError(f"the client sent on route {number}, which is not its own")
        return route

    def audience(self, route: Route) -> Audience:
        """Who hears this route; each of them knows it by then, and the number of the next event."""
        if route.audience is None:
            hearing = self.hearing(route)
            for connection in route.known_by:
                # Changes no key. Should it listen again, it will have missed what comes now.
                route.known_by[connection] &= connection in hearing
            for connection in hearing:
                self._introduce(connection, route)
            connections = tuple(sorted(hearing, key=_number))
            codec = route.held.owner.codec
            lines = () if route.denied else self.shares.lines(route.sender, route.event)
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
        matching = self._index.matching(route.sender, route.event)
        found = dict.fromkeys(s.connection for s in matching if s.line is None)
        return {c: None for c in found if self.allowed(c.identity, "listen", route.sender, route.event)}

    def accepted(self, counts: Counts) -> None:
        """Events are passed on to those who hear them; where nobody does, the owner is told."""
        for number, events in counts:
            route = self._routes.get(number)
            if route is not None and not route.denied:
                route.next_seq += events
                if route.audience is not None and not (route.audience.heard or route.unheard or route.retains):
                    self._tell_interest(route, "none")

    def _audience_changed(self, route: Route) -> None:
        route.audience = None
        route.held.owner.heard.pop(route.id, None)

    def _tell_interest(self, route: Route, state: Literal["none", "some", "grouped"]) -> None:
        route.unheard, route.grouped = state == "none", state == "grouped"
        route.unseen += not route.unheard
        route.held.owner.put(pack(Kind.INTEREST, encode_control(Interest(state)), route=route.id))

    def _seen(self, connection: Connection, frame: Frame) -> None:
        """An owner knows that somebody listens: it holds nothing back any more."""
        route = self.owned(connection, frame.route)
        if route is None or not route.unseen:
            return
        route.unseen -= 1
        if not route.unseen:
            self._go_on(route)

    def _go_on(self, route: Route) -> None:
        """Nobody need wait for the owner of this route."""
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
            listen.connection.result(listen.call, self._time_us() if listen.subscription.when else None)
            self.shares.begin(listen.subscription)

    def _tell_past(self, listen: Waiting) -> None:
        """Before the answer to a `Listen` comes what it asks of the past. What it cannot be told it is not to miss."""
        subscription, connection = listen.subscription, listen.connection
        if subscription.initial and connection.subscriptions.get(listen.id) is subscription:
            try:
                self.retained.tell(connection, listen.call, subscription.sender, subscription.event, subscription.again)
            except SigError:
                del connection.subscriptions[listen.id]
                self._ignore(subscription)
                raise

    def _introduce(self, connection: Connection, route: Route) -> None:
        """Tell a connection what a route is, unless it knows that and has counted along since."""
        if route.known_by.get(connection):
            return
        route.known_by[connection] = True
        connection.known[route] = None
        connection.put(pack(Kind.ROUTE, encode_control(self.describe(connection, route)), route=route.id))

    def describe(self, connection: Connection, route: Route) -> RouteMessage:
        """What a route is to a connection."""
        held = route.held
        message = RouteMessage(
            sender=held.name,
            event=route.event or None,
            codec=connection.codec_on(route).name,
            node=self._node,
            incarnation=held.incarnation,
            next_seq=route.next_seq,
            since_us=held.since_us,
            owner=held.owner is connection,
            replica=held.shared and not route.event,
        )
        schema = held.schema_of(route.event)
        if schema is not NO_SCHEMA and not message.owner:
            more = replace(message, schema=schema)
            return more if connection.has_room_for(encode_control(more)) else message
        return message

    # Calls

    def _call(self, connection: Connection, frame: Frame) -> None:
        call = decode_call(frame.body)
        try:
            value = self._calls[type(call)](connection, call, frame.route)
        except SigError as error:
            if isinstance(error, RemoteProtocolError):
                raise
            self.overloaded += isinstance(error, Overloaded)
            connection.refuse(frame.route, error)
        else:
            if not isinstance(value, Waiting):
                connection.result(frame.route, value)

    def _add_sender(self, connection: Connection, call: AddSender, number: int) -> object:
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
        self.rights.check(connection, "own", name, "", "register")
        first = self._senders.get(name)
        if first is not None and first.owner.closed:
            if self.absences.adopt(connection, first, call):
                self._tell_lost(first, call.lost)
                return first.incarnation
            self._release(first, self._reason(first.owner))  # whoever comes first: often a program started again
            first = None
        if first is not None and (name in connection.held or not (first.shared and call.shared)):
            raise SenderAlreadyConnected(name)
        if len(connection.held) >= self.limits.max_names:
            raise Overloaded(f"a client may hold {self.limits.max_names} senders: remove one first")
        held = Held(name, connection, call, self._random64(), self._time_us())
        self._check_size(connection, held)
        for event in held.events:
            route = self._make_route(held, event)
            held.routes.append(route)
            route.retains = event in retain
            self._index.add_target(route, beside=held.shared)
            self._introduce(connection, route)
        held.requests_route = self._make_route(held, "")
        self._introduce(connection, held.requests_route)
        if retain and connection.retained is None:
            connection.retained = self.retained.values()
        if not connection.held:
            self.windows.enter()
        connection.held[name] = held
        if held.shared:
            self.replicas.join(held)
        connection.give_credit()
        for route in held.routes:
            self.rights.tell(route)
        if first is None:
            self._senders[name] = held
            self._tell_presence(held, EVENT_CONNECT, {})
        self._tell_lost(held, call.lost)
        return held.incarnation

    def _tell_lost(self, held: Held, lost: Mapping[str, int | None]) -> None:
        """Tell listeners of events that never came: of so many, or of nobody knows how many."""
        for route in held.routes:
            count = lost.get(route.event, 0)
            if count == 0:
                continue
            receivers = self.audience(route).connections
            if count is None or count > _MOST_LOST:
                frame = pack_lost(Lost(route.id, None, "lost_link"))
                for receiver in receivers:
                    receiver.put(frame)
            else:
                for receiver in receivers:
                    receiver.lose(((route.id, count),), "lost_link")
                route.next_seq += count

    def _check_size(self, connection: Connection, held: Held) -> None:
        """What one client declares, everybody else is told."""
        declared = sum(other.declared for other in connection.held.values()) + held.declared
        if declared > self.limits.max_events:
            raise Overloaded(
                f"with sender {held.name!r} this client would have {declared} events and requests, "
                f"and the limit is {self.limits.max_events} (max_events): remove a sender first"
            )
        size = len(encode_control(held.presence()))
        if size > self.limits.max_control_frame_bytes // 2:
            raise MessageTooBig(
                f"the names and types of what sender {held.name!r} has take {size} bytes, and the limit is "
                f"{self.limits.max_control_frame_bytes // 2}: declare fewer, or part them among several senders"
            )

    def all_held(self) -> Iterator[Held]:
        """Every sender that is here, in order of the names."""
        for held in self._senders.values():
            if held.shared:
                yield from self.replicas.of(held.name)
            else:
                yield held

    def _make_route(self, held: Held, event: str) -> Route:
        number = self._number()
        route = self._routes[number] = Route(number, held, event)
        return route

    def _remove_sender(self, connection: Connection, call: RemoveSender, number: int) -> object:
        held = connection.held.get(call.name)
        if held is None:
            self.rights.check(connection, "own", call.name, "", "remove")
        if held is None:
            if call.name not in self._senders:
                return False
            raise Denied(f"sender {call.name!r} is held by another client: only its owner may remove it")
        self._release(held, "closed")
        return True

    def _release(self, held: Held, reason: str, *, parting: bool = False) -> None:
        """A sender leaves; `parting`: its client is about to be told more than that."""
        if held.shared:
            self.replicas.leave(held, reason)
        self.absences.dismiss(held)
        others = self.replicas.of(held.name)
        if others:
            self._senders[held.name] = others[0]
        else:
            del self._senders[held.name]
        del held.owner.held[held.name]
        if not held.owner.held:
            self.windows.leave()
        if not others:
            self._tell_presence(held, EVENT_DISCONNECT, {"reason": reason})
        self._streams.forget(held)
        body = encode_control(RouteGone(reason))
        for route in held.routes:
            self._index.remove_target(route)
        for route in (*held.routes, held.requests_route):
            del self._routes[route.id]
            held.owner.heard.pop(route.id, None)
            if held.owner.retained is not None:
                held.owner.retained.drop(route)
            self._go_on(route)
            self.shares.route_gone(route)
            gone = pack(Kind.ROUTE_GONE, body, route=route.id)
            for connection in route.known_by:
                del connection.known[route]
                if not (parting and connection is held.owner):
                    connection.put(gone)

    def _tell_presence(self, held: Held, event: Literal["#connect", "#disconnect"], more: dict[str, object]) -> None:
        matching = self._index.matching(held.name, event)
        if not matching:
            return

        def message(data: dict[str, object]) -> Presence:
            return Presence(held.name, held.incarnation, event, {**data, **more}, self._time_us())

        def said(data: dict[str, object]) -> bytes:
            return pack(Kind.PRESENCE, encode_control(message(data)))

        self.shares.tell(message(held.presence()))
        found = dict.fromkeys(s.connection for s in matching if s.line is None)
        frame = said(held.presence())
        for connection in found:
            if not self.allowed(connection.identity, "listen", held.name, event):
                continue
            if len(frame) - HEADER.size > connection.max_frame_bytes:
                # The names that one client chose must not cost another its link.
                shorter = said({"events": held.events, "requests": held.requests})
                fits = len(shorter) - HEADER.size <= connection.max_frame_bytes
                connection.put(shorter if fits else said({"events": [], "requests": None}))
            else:
                connection.put(frame)

    def _listen(self, connection: Connection, call: Listen, number: int) -> object:
        check_selector(call.sender, call.event)
        self.rights.check_possible(connection, "listen", call.sender, call.event)
        if call.id in connection.subscriptions:
            raise RemoteProtocolError(f"subscription {call.id} exists already")
        if len(connection.subscriptions) >= self.limits.max_subscriptions:
            raise Overloaded(f"a client may have {self.limits.max_subscriptions} subscriptions: use a pattern")
        if self._index.count >= self.limits.max_subscriptions_total:
            raise Overloaded(f"this server has its {self.limits.max_subscriptions_total} subscriptions")
        subscription = LinkSubscription(
            connection, call.sender, call.event, next(self._serials), call.initial, call.when, call.again
        )
        self.shares.join(subscription, call)
        connection.subscriptions[call.id] = subscription
        waiting = Waiting(subscription, call.id, number, self._now + self.limits.interest_timeout_s)
        for route in self._index.add(subscription):
            self._audience_changed(route)
            if route.denied or not self.allowed(connection.identity, "listen", route.sender, route.event):
                continue
            # Before it listens it shall know what will come; and if it was away, what it has missed.
            if route.held.schema is not None or (call.again and connection.has_room_for(_A_ROUTE)):
                self._introduce(connection, route)
            if subscription.line is not None:
                if (route.unheard or not route.grouped) and not route.held.owner.closed:
                    self._tell_interest(route, "grouped")
            elif route.unheard:
                self._tell_interest(route, "some")
            if route.unseen:
                route.waiting[waiting] = None
                waiting.routes[route] = None
        self._waiting[waiting] = None
        if not waiting.routes:
            self._answer(waiting)
        return waiting

    def _close_listener(self, connection: Connection, call: Close, number: int) -> object:
        subscription = connection.subscriptions.pop(call.id, None)
        if not connection.subscriptions:
            connection.subscriptions.clear()  # gives back the room that it had for many
        if subscription is not None:
            self._ignore(subscription, call.begun)
        return subscription is not None

    def _ignore(self, subscription: LinkSubscription, begun: int | None = None, reason: str = "") -> None:
        for route in self._index.remove(subscription):
            self._audience_changed(route)
        self.shares.leave(subscription, begun, reason)

    def _list_senders(self, connection: Connection, call: Senders, number: int) -> object:
        check_selector(call.pattern, None)
        return [
            {
                "name": held.name,
                **held.presence(),
                "since": held.since_us / 1e6,
                "address": held.owner.address,
                "instance": held.incarnation,
            }
            for held in self.all_held()
            if matches(call.pattern, held.name) and self.allowed(connection.identity, "list", held.name, "")
        ]

    def _tell_stats(self, connection: Connection, call: StatsMessage, number: int) -> object:
        identity = connection.identity
        self.rights.check_possible(connection, "list", None, None, "see the statistics of this server")
        routes = (r for held in self.all_held() for r in held.routes)
        allowed = (r for r in routes if self.allowed(identity, "list", r.sender, r.event))
        whole = self.allowed(identity, "admin", "", "")
        return self._statistics.tell(self._time_us() / 1e6, call.limit, allowed, links=whole)

    def _open_requests(self, connection: Connection, call: OpenRequests, number: int) -> object:
        # Before it is looked for: who may ask it nothing is not told whether it is there.
        self.rights.check_possible(connection, "request", check_sender(call.sender), None)
        held = self._senders.get(call.sender)
        if held is None:
            raise SenderNotConnected(call.sender)
        if call.instance is not None:
            held = next((one for one in self.replicas.of(held.name) if one.incarnation == call.instance), None)
            if held is None:
                raise SenderNotConnected(call.sender)
        elif held.shared:
            return self.replicas.open(connection, held)
        self._introduce(connection, held.requests_route)
        return held.requests_route.id

    def _flush(self, connection: Connection, call: Flush, number: int) -> object:
        return None

    # Requests

    def _request(self, connection: Connection, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        self.forwarder.seal()
        method = find_method(data, start, end)
        route = self._routes.get(number)
        pool = self.replicas.pools.get(number) if route is None else None
        if pool is not None:
            route = pool.choose().requests_route
        error: SigError
        if route is None or route.event:
            # Who has left has no name any more; the client knows whom it asked.
            error = SenderNotConnected("")
        elif self._closing and find_request(data, start, end).hops == 1:  # others are part of what is under way
            error = Overloaded("the server is closing, and takes no more requests: ask again when it is back")
        elif not self.allowed(connection.identity, "request", route.held.name, method):
            error = self.rights.refusal(connection, route, method)
        else:
            try:
                corr = find_asker(data, start, end)[1]
                if len(connection.unanswered) >= self.questions.most:
                    self.questions.make_room(connection)
                if flags & REQUEST_PARTS:
                    self._streams.check(connection, corr)
                if pool is None:
                    self._pass_request(connection, route, data[start:end])
                else:
                    self._pass_request(connection, route, on_route(data[start:end], route.id), pooled=True)
                    pool.begin(connection, corr, route.held)
                connection.unanswered[corr] = route.id, method, number
                if flags & REQUEST_PARTS:
                    self._streams.open(connection, corr, route, number)
            except RemoteProtocolError:
                raise
            except SigError as unfit:
                error = unfit
            else:
                return
        self._refuse_request(connection, find_asker(data, start, end)[1], number, error)

    def _pass_request(self, connection: Connection, route: Route, data: bytes, *, pooled: bool = False) -> None:
        """Hand on a request to the owner of the route; raises what the requester is to be told instead.

        `pooled`: it is in the requester's codec, who does not know which of several is asked.
        """
        owner = route.held.owner
        if owner.closed and owner.returns:
            self.absences.ask(connection, route, data, self._now)
            return
        if owner.codec.name not in connection.codecs or (pooled and owner.codec.name != connection.codec.name):
            data = self.bridge.request(Frame.of(data), connection.codec, owner.codec).data
        if len(data) - HEADER.size > owner.max_frame_bytes:
            raise MessageTooBig(
                f"the request takes {len(data) - HEADER.size} bytes, and sender {route.sender!r} accepts "
                f"{owner.max_frame_bytes}: send it in parts, or give the sender's client a larger max_frame_bytes"
            )
        if not owner.put_asked(data):  # who asks stands in it since it was read
            raise Overloaded(f"sender {route.sender!r} is asked more than it reads: try again later")
        owed = connection.called.get(owner, 0)
        connection.called[owner] = owed + 1
        if not owed:
            owner.asked_by[connection] = None

    def _refuse_request(self, requester: Connection, corr: int, route: int, error: SigError) -> None:
        self.overloaded += isinstance(error, Overloaded)
        requester.unanswered.pop(corr, None)
        reply = Reply(requester.number, corr, encode_control(to_wire(error)))
        requester._hasten(pack_reply(reply, route=route, flags=REPLY_ERR))

    def _reply(self, connection: Connection, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        self.forwarder.seal()
        peer, corr = find_asker(data, start, end)
        route = self._routes.get(number)
        if route is None:
            return  # the sender has left, and whoever asked has been told so
        if route.event or route.held.owner is not connection:
            raise RemoteProtocolError(f"the client replied on route {number}, which is not its own")
        requester = self.connections.get(peer)
        owed = requester.called.get(connection, 0) if requester is not None else 0
        if requester is None or not owed:
            return  # gone, or answered already
        data = data[start:end]
        if flags & REPLY_MORE:
            self._streams.pass_on(requester, corr, route, data)
            return
        if owed > 1:
            requester.called[connection] = owed - 1
        else:
            del requester.called[connection], connection.asked_by[requester]
        asked = requester.unanswered.get(corr)
        if asked is None or asked[0] != number:
            return  # given up, or the right to it is lost
        del requester.unanswered[corr]
        if requester.streams:
            self._streams.close(requester, corr)
        foreign = connection.codec.name not in requester.codecs
        pool = self.replicas.pool_of(route.held) if route.held.shared else None
        if pool is not None and pool.find(requester, corr) is route.held:
            pool.end(requester, corr)
            number = pool.number
            data = on_route(data, number)
            foreign = connection.codec.name != requester.codec.name
        if foreign and not flags & REPLY_ERR:
            try:
                data = self.bridge.reply(Frame.of(data), connection.codec, requester.codec, route.sender).data
            except SigError as unfit:
                self._refuse_request(requester, corr, number, unfit)
                return
        size = len(data) - HEADER.size
        if size <= requester.max_frame_bytes:
            requester._hasten(data)
        else:
            error = MessageTooBig(
                f"the answer of sender {route.sender!r} takes {size} bytes, and this client accepts "
                f"{requester.max_frame_bytes}: give it a larger max_frame_bytes"
            )
            self._refuse_request(requester, corr, number, error)

    def _cancel(self, connection: Connection, frame: Frame) -> None:
        corr = unpack_cancel(frame).corr  # which tells whether it is well formed
        asked = connection.unanswered.get(corr)
        if asked is not None and asked[2] == frame.route:
            self.questions.give_up(connection, corr, asked)

    @property
    def _wall(self) -> float:
        """Seconds since 1970."""
        return self._now + self._wall_offset

    def _credit(self, connection: Connection, frame: Frame) -> None:
        whose = self._streams if unpack_credit(frame).unit is Unit.PARTS else self.shares
        whose.credit(connection, frame)

    def _time_us(self) -> int:
        return int((self._now + self._wall_offset) * 1e6)


def _number(connection: Connection) -> int:
    return connection.number


def _waiting(connection: Connection) -> int:
    return connection.waiting


def _some(things: Sequence[object]) -> str:
    """A peer's list in a sentence of ours: it may be long."""
    shown = [in_a_line(repr(thing), 60) for thing in things[:5]]
    return " or ".join(shown) + (" or others" if len(things) > 5 else "") if shown else "nothing"
