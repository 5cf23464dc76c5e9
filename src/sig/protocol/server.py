"""The server: its links, and who handles what comes on them.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. One thread. A driver makes a `Connection` for each link
with `accept`, hands it what arrives, and sends what the connections in `dirty` have to say.

The data goes one way: frame -> route -> the connections that hear it -> their outboxes. A payload is not decoded, but
for clients that lack its codec, see `bridge`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final

from msgspec.structs import replace

from sig.codecs import Codec, as_codecs
from sig.constants import NAME_MAX_BYTES, Limits
from sig.errors import (
    ConnectionLost,
    HandshakeRefused,
    Overloaded,
    RemoteProtocolError,
    SigError,
)
from sig.messages import (
    NO_SCHEMA,
    RELIABLE,
    RETURNS,
    AddSender,
    Clients,
    Close,
    Flush,
    Hello,
    Kick,
    Last,
    Listen,
    OpenRequests,
    RemoveSender,
    Senders,
    Welcome,
    decode_call,
    decode_control,
    encode_control,
    in_a_line,
)
from sig.messages import Route as RouteMessage
from sig.messages import Stats as StatsMessage
from sig.protocol.absences import Absences
from sig.protocol.access import Access, Reception, Refusal, name_of
from sig.protocol.admin import Admin
from sig.protocol.audit import Audit
from sig.protocol.backlog import Backlogs
from sig.protocol.bodies import (
    Unit,
    unpack_credit,
)
from sig.protocol.bridge import Bridge
from sig.protocol.budget import Budget, Windows
from sig.protocol.connection import Connection
from sig.protocol.entrance import Entrance
from sig.protocol.events import stamped
from sig.protocol.forward import Forwarder, run_bytes
from sig.protocol.frames import Frame, Kind, pack
from sig.protocol.heard import Waiting
from sig.protocol.heartbeat import Rounds, granted
from sig.protocol.held import Route
from sig.protocol.lanes import Lanes
from sig.protocol.listening import Listening
from sig.protocol.peer import Lane
from sig.protocol.registry import Registry
from sig.protocol.replicas import Replicas
from sig.protocol.requests import Requests
from sig.protocol.retained import Retained
from sig.protocol.rights import Rights
from sig.protocol.session import NOT_KEPT, UNKNOWN
from sig.protocol.sessions import Sessions
from sig.protocol.statistics import Statistics
from sig.protocol.streams import Streams
from sig.security.credentials import Credential
from sig.security.identity import Identity
from sig.security.policy import Policy

VERSION: Final = 1
_LARGEST_NUMBER: Final = 0xFFFF_FFFF


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
        self.node = node
        self._epoch = epoch
        self._wall_offset = wall_offset
        self.random64 = random64
        self.now: float = 0.0
        self.closing: bool = False
        self._last_number = 0
        self._entrance: Entrance[Connection] = Entrance(limits)  # whose strangers are in order of their deadlines
        self.routes: dict[int, Route] = {}
        self._rounds: Rounds[Connection] = Rounds()
        self.budget: Budget = Budget(limits.memory_bytes)
        drop_bytes = limits.link_drop_bytes
        self.backlogs: Backlogs = Backlogs(self.budget, drop_bytes=drop_bytes, lot_bytes=run_bytes(drop_bytes))
        self.windows: Windows = Windows(
            limits.memory_bytes // 2, largest=limits.send_window_bytes, clients=limits.max_connections
        )
        self.bridge: Bridge = Bridge(limits)
        self.registry: Registry = Registry(self)
        self.listening: Listening = Listening(self)
        self.requests: Requests = Requests(self)
        self.forwarder: Forwarder = Forwarder(self)
        self.retained: Retained = Retained(self)
        self.shares: Lanes = Lanes(self)
        self.streams: Streams = Streams(self)
        self.replicas: Replicas = Replicas(self)
        self.sessions: Sessions = Sessions(self)
        self.absences: Absences = Absences(self, limits.presence_grace_s)
        self._statistics = Statistics(self)
        self._admin = Admin(self)
        self._reception = Reception(self)
        self.rights: Rights = Rights(self)
        if self.access.audit is None:
            self.access.audit = Audit(self, epoch)
        self.lanes: dict[int, Lane] = {Kind.REQUEST.value: self.requests.request, Kind.REPLY.value: self.requests.reply}
        self.handlers: dict[int, Callable[[Connection, Frame], None]] = {
            Kind.HELLO: self._hello,
            Kind.AUTH: self._reception.answer,
            Kind.CALL: self._call,
            Kind.CANCEL: self.requests.cancel,
            Kind.INTEREST: self.listening.seen,
            Kind.CREDIT: self._credit,
        }
        self._calls: dict[type, Callable[[Connection, Any, int], object]] = {
            AddSender: self.registry.add,
            RemoveSender: self.registry.remove,
            Listen: self.listening.listen,
            Close: self.listening.close,
            Senders: self.registry.tell,
            Last: self.retained.recall,
            StatsMessage: self._tell_stats,
            Clients: self._admin.clients,
            Kick: self._admin.kick,
            OpenRequests: self.requests.open,
            Flush: self._flush,
        }

    # Links

    def accept(self, now: float, address: str, *, vanishes: bool = True, room: bool = True) -> Connection:
        """A link has come up.

        Args:
            vanishes: its other end may be gone without a word.
            room: the system has room for it.
        """
        self.now = now
        connection = Connection(self, self.number(), address, now + self.limits.handshake_timeout_s)
        if not vanishes:
            connection.rhythm = None
        connection._touch()
        if self.closing:
            self._turn_away(connection, "shutdown", "the server is closing: come back later")
        elif not room:
            why = "this server has no descriptors left for more connections: come back later"
            self._turn_away(connection, "overloaded", why)
        elif (refusal := self._entrance.refusal(self._linked, now, paced=vanishes)) is not None:
            self._turn_away(connection, "overloaded", refusal)
        else:
            self.connections[connection.number] = connection
            outdone = self._entrance.enter(connection, address)
            if outdone is not None:
                oldest, why = outdone
                oldest.fail(HandshakeRefused(f"{why}: come back later"))
        self.settle()
        return connection

    def _turn_away(self, connection: Connection, code: str, message: str) -> None:
        self.refused += 1
        connection.say_bye(code, message, self.limits.retry_after_s)

    def receive_data(self, connection: Connection, data: bytes | memoryview, now: float) -> None:
        """Bytes from a link."""
        self.now = now
        connection.receive_data(data, int((now + self._wall_offset) * 1e6))  # `time_us`, for each read
        self.forwarder.seal()
        if self.ended or self.budget.over:
            self.settle()

    def receive_lone(
        self, connection: Connection, data: bytes | memoryview, now: float
    ) -> tuple[bytes, tuple[Connection, ...]] | None:
        """As `receive_data`, for one event that comes by itself: what is to be sent at once, and to whom.

        They have been counted as sent. `None`: nothing is done. That is so wherever something else has to be done.
        """
        found = connection.lone(data)
        if found is None or self.ended or self.budget.over:
            return None
        size = len(data)
        receivers = self.forwarder.lone(connection, *found, size)
        if receivers is None:
            return None
        self.now = now
        connection.took(size)
        return stamped(data, int((now + self._wall_offset) * 1e6)), receivers

    def held_up(self, connection: Connection, unwritten: int) -> None:
        """A link takes no more for now; what waits for it counts, with so many bytes that it has and we do not.

        Called again when that changes, last with none.
        """
        connection.weigh(unwritten)
        if self.budget.over:
            self.settle()

    def disconnected(self, connection: Connection, now: float) -> None:
        """A link is down, by whatever cause: what it held is given up, unless its client may come back to that."""
        self.now = now
        if connection.resumes is not None and not connection.closed:
            self.sessions.part(connection)
            self.settle()
            return
        connection.receive_eof()
        self.settle()
        if self.connections.get(connection.number) is connection:  # not one that was turned away
            self._statistics.forget(connection)
            del self.connections[connection.number]
        self.dirty.pop(connection, None)

    @property
    def _linked(self) -> int:
        """How many connections have a link."""
        return len(self.connections) - len(self.sessions)

    def drain(self) -> None:
        """From here on nobody is let in, and nothing new is asked; what is under way goes on."""
        self.closing = True

    def close(self, spare: Connection | None = None) -> None:
        """Tell every client but `spare` that this is the end; nobody is let in any more.

        Before that they hear who leaves with it. When to come back is told to each by itself, so that they do not come
        faster than `max_accepts_per_s`.
        """
        self.closing = True
        leaving = [connection for connection in self.connections.values() if connection is not spare]
        for connection in leaving:
            for held in list(connection.held.values()):
                self.registry.release(held, "shutdown", parting=True)
        self.absences.close()
        pause = 1 / self.limits.max_accepts_per_s
        for place, connection in enumerate(leaving):
            connection.say_bye("shutdown", "the server is closing", round(self.limits.retry_after_s + place * pause, 3))
        self.settle()

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        # Asked whenever something has been read.
        due = self._rounds.due
        if self._entrance.pending:
            due = min(due, next(iter(self._entrance.pending)).deadline)
        due = min(due, self.listening.due)
        if self.shares.due < due:
            due = self.shares.due
        if self.access.due != inf:
            due = min(due, self.access.due - self._wall_offset)
        if (returned := self.absences.due) is not None:
            due = min(due, returned)
        if (session := self.sessions.due) is not None:
            due = min(due, session)
        return None if due == inf else due

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.now = now
        for connection in list(self._entrance.pending):
            if connection.deadline > now:
                break
            limit = self.limits.handshake_timeout_s
            connection.fail(HandshakeRefused(f"no handshake within {limit:g} s: send HELLO first"))
        if self.access.due <= self.wall:
            self.access.expire(self.wall)
        self.listening.handle_timeout(now)
        self.absences.handle_timeout(now)
        self.sessions.handle_timeout(now)
        if self._rounds.due <= now:
            for connection in self._rounds.take(now):
                if not connection.closed:
                    connection.beat()
        self.shares.expire(now)
        self.settle()

    def allowed(self, identity: Identity | None, action: str, sender: str, name: str) -> bool:
        """Whether that client may do that: `own`, `trigger`, `listen`, `block`, `request`, `list` or `admin`.

        Asked wherever a concrete route meets a connection. Without a policy everybody may everything.
        """
        return self.access.policy is None or self.access.decide(identity, action, sender, name).allowed

    def govern(self, policy: Policy | None, credentials: Mapping[str, Credential] | None, now: float) -> None:
        """From here on these hold, also for who is in: whoever has lost a right loses what came of it."""
        self.now = now
        self.rights.govern(policy, credentials)

    def logged_in(self, connection: Connection, found: Identity | Refusal, now: float) -> None:
        """The user's authenticator has said who that is, or why it cannot come in."""
        self.now = now
        self._reception.logged_in(connection, found)
        self.settle()

    def settle(self) -> None:
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
            self.sessions.left(connection)
            self.vanished += connection.vanished
            if connection.error is not None and not connection.opened:
                self.refused += 1
            elif connection.error is not None and not connection.vanished:
                self.cut += 1
            if connection.window_bytes:
                self.windows.give_back(connection.window_bytes)
                connection.window_bytes = 0
            if self.absences.keeps(connection) and not self.closing:
                self.absences.leave(connection, self.now)
            else:
                self.give_up(connection)
                self.absences.end(connection.lineage)
            self.replicas.forget(connection)
            self.requests.left(connection)
            self._relieve()

    def give_up(self, connection: Connection) -> None:
        """What it listened to and held is no more."""
        self.sessions.forget(connection)
        link = connection.successor
        while link is not None:
            link.earlier = tuple(other for other in link.earlier if other is not connection)
            link = link.successor
        for subscription in connection.subscriptions.values():
            self.listening.ignore(subscription, reason="lost_link")
        connection.subscriptions.clear()
        for route in connection.known:
            route.known_by.pop(connection, None)
        connection.known.clear()
        for held in list(connection.held.values()):
            self.registry.release(held, self.reason(connection))

    def reason(self, connection: Connection) -> str:
        """Why its senders leave, for whoever listens to that."""
        if connection.removed:
            return "kicked"
        if connection.farewell is not None:
            return "closed"
        return "timeout" if connection.vanished else "shutdown" if self.closing else "lost"

    def _relieve(self) -> None:
        """Keep no more than we may: who is away goes, then events, and then links that do not read."""
        while self.budget.over and self.sessions.shed():
            pass
        while not self.budget.shed():
            # What late links were given by themselves, and the news in their backlogs, take less in their outboxes.
            if any(connection.catch_up() for connection in self.connections.values() if connection.behind):
                continue
            worst = max(self.connections.values(), key=_waiting, default=None)
            if worst is None or not worst.waiting:
                return
            limit = self.budget.limit
            worst.cut(Overloaded(f"it does not read, and the {limit} bytes of the server (memory_bytes) are full"))

    def number(self) -> int:
        """A number for a connection or a route. All are used before one comes back."""
        while True:
            self._last_number = self._last_number % _LARGEST_NUMBER + 1
            number = self._last_number
            taken = number in self.routes or number in self.connections
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
        fresh: str | None = None
        events: int | None = None
        old: Connection | None = None
        if hello.session is not None:
            found = UNKNOWN if hello.received is None else self.sessions.resume(connection, hello)
            if isinstance(found, Connection):
                self._enter(found, hello, resumed=True)
                return
            old = self._replace(hello.session, connection)
            events = None if old is None else old.events_in
            fresh = found if old is None else NOT_KEPT
        connection.agree({name: self.codecs[name] for name in hello.codecs if name in self.codecs})
        connection.name = in_a_line(hello.name, NAME_MAX_BYTES)
        connection.opened = True
        connection._reader.max_frame_bytes = self.limits.max_frame_bytes
        if hello.max_frame_bytes is not None:
            connection.max_frame_bytes = min(self.limits.max_frame_bytes, hello.max_frame_bytes)
        connection.window_bytes = connection.credit = self.windows.first
        self.sessions.begin(connection, hello)
        self._enter(connection, hello, fresh, events)
        if old is not None:
            self.absences.tell_ended(connection, old.ended.unheard(hello.gone))

    def _enter(
        self,
        connection: Connection,
        hello: Hello,
        fresh: str | None = None,
        events: int | None = None,
        *,
        resumed: bool = False,
    ) -> None:
        """Welcome it, to a session that is new or goes on."""
        session = connection.resumes
        rhythm = connection.rhythm
        if rhythm is not None:
            rhythm = connection.rhythm = granted(self.limits, hello.heartbeat_s, hello.heartbeat_timeout_s)
            self._rounds.enter(connection, rhythm.period_s, self.now)
        welcome = Welcome(
            version=VERSION,
            codecs=list(connection.codecs),
            node=self.node,
            epoch=self._epoch,
            client=connection.number,
            session=self.sessions.token(connection),
            max_frame_bytes=self.limits.max_frame_bytes,
            window_bytes=connection.window_bytes,
            heartbeat_s=0.0 if rhythm is None else rhythm.heartbeat_s,
            heartbeat_timeout_s=0.0 if rhythm is None else rhythm.timeout_s,
            features=[] if session is None else [RELIABLE],
            received=session.received if session is not None and resumed else None,
            fresh=fresh,
            events=events,
            identity=name_of(connection.identity),
        )
        # Not `put`: it still comes under the limit that holds before login, and not under the client's own.
        frame = pack(Kind.WELCOME, encode_control(welcome))
        if session is None:
            connection._put(frame)
        else:
            connection._first += frame
            connection._touch()

    def _replace(self, session: str, connection: Connection) -> Connection | None:
        """A client is back before its old link is known to be down: what that holds must not be in the client's way.

        Returns the old one; `None` if it is not known.
        """
        old = self.sessions.find(session)
        if old is None or old.identity is None or not old.identity.same_as(connection.identity):
            return None
        old.resumes = None  # it has begun anew
        old.cut(ConnectionLost("its client has come back on another link"))
        self.settle()
        old.successor = connection
        connection.lineage = old.lineage
        connection.earlier = (*old.earlier, old)
        return old

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

    # Routes

    def owned(self, connection: Connection, number: int) -> Route | None:
        """The route, if it is the connection's own to trigger on; `None` for one that has gone.

        An event may have been under way when its sender left.
        """
        route = self.routes.get(number)
        if route is not None and (route.held.owner is not connection or not route.event):
            raise RemoteProtocolError(f"the client sent on route {number}, which is not its own")
        return route

    def introduce(self, connection: Connection, route: Route) -> None:
        """Tell a connection what a route is, unless it knows that and has counted along since."""
        if route.known_by.get(connection):
            return
        route.known_by[connection] = True
        message = self.describe_to(connection, route)
        if not connection.closed or route not in connection.known:  # one whose link is lost was given some by itself
            connection.known[route] = message.first_seq or route.next_seq
        connection.put(pack(Kind.ROUTE, encode_control(message), route=route.id))

    def describe_to(self, connection: Connection, route: Route) -> RouteMessage:
        """The same as `describe`, and what one who may be back has to know of it."""
        first = next((link.known[route] for link in connection.earlier if route in link.known), 0)
        # Not only to who is known here: one who is back from a server that is no more is a stranger.
        return replace(self.describe(connection, route), unsure_seq=route.unsure_seq, first_seq=first)

    def describe(self, connection: Connection, route: Route) -> RouteMessage:
        """What a route is to a connection."""
        held = route.held
        message = RouteMessage(
            sender=held.name,
            event=route.event or None,
            codec=connection.codec_on(route).name,
            node=self.node,
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

    def _tell_stats(self, connection: Connection, call: StatsMessage, number: int) -> object:
        identity = connection.identity
        self.rights.check_possible(connection, "list", None, None, "see the statistics of this server")
        routes = (r for held in self.registry.senders() for r in held.routes)
        allowed = (r for r in routes if self.allowed(identity, "list", r.sender, r.event))
        whole = self.allowed(identity, "admin", "", "")
        return self._statistics.tell(self.time_us() / 1e6, call.limit, allowed, links=whole)

    def _flush(self, connection: Connection, call: Flush, number: int) -> object:
        return None

    def _credit(self, connection: Connection, frame: Frame) -> None:
        whose = self.streams if unpack_credit(frame).unit is Unit.PARTS else self.shares
        whose.credit(connection, frame)

    # Time

    @property
    def wall(self) -> float:
        """Seconds since 1970."""
        return self.now + self._wall_offset

    def time_us(self) -> int:
        """Microseconds since 1970."""
        return int(self.wall * 1e6)


def _waiting(connection: Connection) -> int:
    return connection.waiting


def _some(things: Sequence[object]) -> str:
    """A peer's list in a sentence of ours: it may be long."""
    shown = [in_a_line(repr(thing), 60) for thing in things[:5]]
    return " or ".join(shown) + (" or others" if len(things) > 5 else "") if shown else "nothing"
