"""The client's end of a link: what it knows of the server's world, and what it waits for.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. What arrives and is not the answer to a call comes out of
`take_news` and `take_asked`, in order. Answers are given to the function that was passed with the call, while
`receive_data` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, TypeAlias

import msgspec

from sig.codecs import Codec
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT, Limits
from sig.errors import (
    Closed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    MessageTooBig,
    RemoteProtocolError,
    SigError,
)
from sig.messages import (
    RELIABLE,
    RETURNS,
    Auth,
    Call,
    Challenge,
    Hello,
    Last,
    Listen,
    Presence,
    Result,
    Route,
    RouteGone,
    Welcome,
    decode_control,
    decode_error,
    encode_control,
)
from sig.protocol import coming, reliable
from sig.protocol.answering import Answering
from sig.protocol.asking import Asking
from sig.protocol.bodies import (
    Credit,
    Lost,
    Unit,
    pack_credit,
    unpack_credit,
    unpack_lost,
)
from sig.protocol.calls import Calls, Done
from sig.protocol.events import count_events
from sig.protocol.frames import (
    RESULT_ERR,
    Frame,
    Kind,
    pack,
)
from sig.protocol.heartbeat import Rhythm, accepted
from sig.protocol.login import Prover
from sig.protocol.offline import Offline
from sig.protocol.outbox import Counts
from sig.protocol.outgoing import Outgoing
from sig.protocol.owning import Owning
from sig.protocol.past import Past, Pasts
from sig.protocol.peer import Peer
from sig.protocol.session import NOT_KEPT

VERSION: Final = 1
_DEFAULTS: Final = Limits()
_EVENT: Final = Kind.EVENT.value


class RouteOpened(NamedTuple):
    """Events of this sender will come under this number."""

    number: int
    route: Route


class RouteClosed(NamedTuple):
    """They will no more."""

    number: int


# A struct, which costs a third of a tuple with names.
class EventsArrived(msgspec.Struct, frozen=True):
    """A frame of events, with how many there are of which route."""

    frame: Frame
    counts: Counts


class ListenerReady(NamedTuple):
    """From here on the server sends what this listener asked for; before that it is to be told of the past."""

    listener: object
    past: Past
    since_us: int = 1
    """When that was, by the server's clock."""


class LinkLost(NamedTuple):
    """What has come of the link that was lost is all that came of it. Its routes are no more."""


class LinkBack(NamedTuple):
    """There is another, to the same server or to one that knows nothing of what was."""

    same: bool
    """Whether the server has not been started since."""
    kept: bool
    """Whether it has held this client's registrations since."""


class Restored(NamedTuple):
    """All that was registered is registered again."""


class Notice(NamedTuple):
    """Nothing of the server's: to be called where listeners are, behind all that came before it."""

    tell: Callable[[], object]


_OfLinks: TypeAlias = LinkLost | LinkBack | Restored | Notice
News: TypeAlias = _OfLinks | ListenerReady | RouteOpened | RouteClosed | EventsArrived | Presence | Lost


class ClientCore(Peer):
    """One link to a server, from its beginning to its end, or one after the other.

    Args:
        limits: what it allows.
        codecs: for events, parameters and answers, by name; the preferred one first.
        name: for the server's logs and lists.
        prover: proves who this client is, where the server asks.
        offline: takes what is triggered while there is no link; with it a link that is lost is not the end, and
            another may follow, see `renew`.
        reliable: what is said either way outlives the link, see `coming`; needs `offline`.
    """

    other: ClassVar[str] = "the server"

    def __init__(
        self,
        limits: Limits,
        codecs: Mapping[str, Codec],
        *,
        name: str = "",
        prover: Prover | None = None,
        offline: Offline | None = None,
        reliable: bool = False,
    ) -> None:
        super().__init__(limits)
        self.max_frame_bytes: int = limits.max_frame_bytes
        self.error: SigError | None = None
        self.offline: Offline | None = offline
        self.away: bool = False
        """Whether there is no link, or not all has been registered on it again."""
        self.links: int = 1
        """How many there have been, this one included."""
        self.finishing: bool = False
        """Whether no other link will follow should this one be lost."""
        self.hopeless: bool = False
        """Whether no link can ever come up, whatever is tried."""
        self.down: bool = False
        """Whether the link has been given up: what still comes of it does not count."""
        self.resumed: bool = False
        """Whether this link goes on with the session of the last: then nothing need be registered again."""
        self.lapsed: Callable[[], object] = _nothing
        """Called when the session that was to go on is found to have ended, before anything comes of it."""
        self._reliable = reliable
        self._early = False  # it began without a link, and not all has been registered on one yet
        self._nothing_on_its_way = False  # when the link was lost, all that had been said had arrived
        self._flushed = 0  # of the events that were triggered, so many were known to have been routed
        self._name = name
        self._offered = codecs
        self.codecs: Mapping[str, Codec] = codecs
        """Those that both ends have, once the handshake is complete."""
        self.codec: Codec = next(iter(codecs.values()))
        """What its senders' payloads are in, and the answers of their handlers: the first of these."""
        self.welcome: Welcome | None = None
        self.prover: Prover | None = prover
        # With what to say where no answer comes. Bounded by what the application does: each call blocks its caller.
        self._control: Calls[str] = Calls(0xFFFFFFFF, lambda _, call: ConnectionLost(call.what))
        self._news: list[News] = []
        self._pasts = Pasts()
        self.outgoing: Outgoing = Outgoing(self.codec, limits.max_frame_bytes, limits.send_window_bytes)
        self.routes: dict[int, Route] = {}
        """Those that are open, by their numbers."""
        self._known: dict[str, int] = {}  # how many of these routes are of which sender
        self.owning: Owning = Owning(self)
        self.asking: Asking = Asking(self)
        self.answering: Answering = Answering(self)
        self._lanes = {Kind.REQUEST.value: self.answering.request, Kind.REPLY.value: self.asking.reply}
        self.now: float = 0.0
        """When something last came, or was said."""
        self._left = False
        self._gone: int | None = None  # the last route, or lane, of whose end the server has told in this session
        self._greet(None)

    def _begin(self, number: int = 0) -> None:
        super()._begin(number)
        self.challenge: Challenge | None = None
        """What the server asks before it lets us in; to be given to `prover`, and its answer to `answer`."""
        self._challenged = False
        self._beat_due: float | None = None
        self.resumed = False
        self.down = False

    def _greet(self, session: str | None, received: int | None = None) -> None:
        limits = self.limits
        features = [] if self.offline is None else [RETURNS, RELIABLE] if self._reliable else [RETURNS]
        hello = Hello(
            versions=[VERSION],
            codecs=list(self._offered),
            name=self._name,
            session=session,
            received=received,
            gone=None if session is None else self._gone,
            heartbeat_s=_wish(limits.heartbeat_s, _DEFAULTS.heartbeat_s),
            heartbeat_timeout_s=_wish(limits.heartbeat_timeout_s, _DEFAULTS.heartbeat_timeout_s),
            features=features,
            max_frame_bytes=limits.max_frame_bytes,
            login=None if self.prover is None else self.prover.login,
        )
        self._say(pack(Kind.HELLO, encode_control(hello)))

    def _say(self, frame: bytes) -> None:
        """Send a part of the handshake, which nothing that waits for it to be complete is in the way of."""
        if self.resumes is None:
            self._put(frame)
        else:
            self._first += frame

    def answer(self, auth: Auth) -> None:
        """Answer the challenge."""
        self.challenge = None
        if not self.closed:
            self._say(pack(Kind.AUTH, encode_control(auth)))

    # What the application does

    @property
    def linked(self) -> bool:
        """Whether it can be asked something."""
        return (self.opened or self.parted) and not self.away and not self.ended

    @property
    def up(self) -> bool:
        """Whether there is a link, and all has been registered on it."""
        return self.opened and not (self.closed or self.away or self.parted)

    @property
    def parted(self) -> bool:
        """Whether there is no link, and all is as if it took nothing: another is to go on with the session."""
        return self.resumes is not None and self.resumes.parted

    @property
    def ended(self) -> bool:
        """Whether nothing more can be said, nor will be on another link."""
        return self.closed and not self.parted

    def call(self, message: Call, now: float, timeout: float, done: Done) -> int:
        """Ask the server for something; `done` gets the decoded answer, or the error. Returns the call's number."""
        self.check_alive()
        body = encode_control(message)
        what = type(message).__name__
        limit = min(self.max_frame_bytes, self.limits.max_control_frame_bytes)
        if len(body) > limit:
            raise MessageTooBig(f"{what} takes {len(body)} bytes, and the limit is {limit}: say less at a time")
        number = self._control.open(done, now + timeout, f"the server did not answer {what} within {timeout:g} s")
        self._put(pack(Kind.CALL, body, route=number))
        return number

    def listen(self, message: Listen, listener: object, now: float, timeout: float, done: Done) -> None:
        """Ask for events; `ListenerReady(listener, past)` stands in the news before the first that came of it.

        The past is empty unless `initial` asks for it.
        """

        def answered(value: object, error: BaseException | None) -> None:
            past = self._pasts.take(call)
            if error is None:
                self._news.append(ListenerReady(listener, past, value if isinstance(value, int) else 1))
            done(value, error)

        if self.offline is not None and (message.event is None or message.event in (EVENT_CONNECT, EVENT_DISCONNECT)):
            # Senders that come after this moment, and while the link is away, are news to it.
            message = msgspec.structs.replace(message, when=True)
        call = self.call(message, now, timeout, answered)
        if message.initial:
            self._pasts.expect(call)

    def grant(self, number: int, events: int) -> None:
        """So many events have been begun that came on the lanes of that `listen`. It overtakes what waits."""
        self._urge(pack_credit(Credit(events, Unit.EVENTS), route=number))

    def last(self, sender: str, event: str, now: float, timeout: float, done: Done) -> None:
        """Ask for the last value of an event; `done` gets it as `Told`, `None` if there is none."""

        def answered(value: object, error: BaseException | None) -> None:
            past = self._pasts.take(call)
            done(past[0] if past else None, error)

        call = self.call(Last(sender, event), now, timeout, answered)
        self._pasts.expect(call)

    def leave(self) -> None:
        """Close in order: what waits is sent first. No other link follows."""
        self._left = True
        self.away = False
        self.say_bye("closed")

    def disconnected(self, error: SigError) -> None:
        """The link is down: whoever waits is told. `Closed`: by our own doing; anything else: by the world's."""
        self.receive_eof()
        if self._left:
            error = Closed("this router has been closed")
        elif self.last_words:
            error = ConnectionLost(f"the server closed the link: {self.last_words}")
        if coming.parts(self, error):
            return
        self.error = self.error or error
        self._lose()

    def _lose(self) -> None:
        """Whatever was under way on the link is lost with it."""
        if self.sent_away:
            self.away = False
        elif self.offline is not None and self.welcome is not None and not self._left:
            if not self.away or self.routes or self._early:
                self._news.append(LinkLost())
            if self.away:
                self.offline.again()  # it was lost before all was registered on it: nothing has been sent
            else:
                self.away = True
                self.owning.lost(self.offline)
        self.owning.shut()
        self.answering.lost()
        self._control.fail_all(self.end())
        self.asking.calls.fail_all(self.end("; whether the request was carried out is unknown"))

    # Another link

    @property
    def sent_away(self) -> bool:
        """Whether the server wants none of this client any more: it is no use to come back."""
        farewell = self.farewell
        denied = farewell is not None and farewell.code == Denied.wire_code and farewell.retry_after_s is None
        return denied or self.hopeless

    def begin_away(self, now: float) -> None:
        """There is no link yet: from here on it is as if one had been lost, and one will follow; needs `offline`."""
        assert self.offline is not None  # whoever calls this has looked
        self.closed = self.away = self._early = True
        self.error = ConnectionLost("the server has not been reached yet")
        self.offline.begin(now, ())

    def renew(self, flushed: int) -> None:
        """Begin on another link, as nobody that the server knows: all has to be registered again, then `restored`.

        One that goes on with the session says so in `resumed`, once the handshake is complete.

        Args:
            flushed: of the events that were triggered, so many are known to have been routed.
        """
        self._flushed = flushed
        if self.resumes is not None:
            coming.renew(self, self.resumes)
            return
        self._begin()
        self._forget_link(flushed)
        self._greet(None if self.welcome is None else self.welcome.session)

    def _forget_link(self, flushed: int) -> None:
        """What was known of the last link holds no more."""
        self.outgoing.clear()
        for table in (self.routes, self._known, self._pasts.lanes):
            table.clear()
        self.owning.forget_link(flushed)
        self.asking.forget_link()
        self.answering.forget_link()
        self.links += 1

    def restored(self, now: float) -> None:
        """All has been registered again: what was triggered meanwhile leaves now, and then what comes."""
        assert self.offline is not None  # else no other link follows
        self.away = self._early = False
        self.owning.restored(self.offline, now)
        self._news.append(Restored())

    def knows(self, sender: str) -> bool:
        """Whether a route of that sender is open here. From any thread."""
        return sender in self._known

    # What the driver does

    def send_lone(self, what: tuple[str, str], payload: bytes) -> bytes | None:
        """One event of a sender of this client, to be sent at once: nothing waits that would leave before it.

        Then it counts as triggered and sent. `None`: it is to be triggered, which may say why it cannot be.
        """
        owning = self.owning
        number = owning._owned.get(what)
        if number is None or owning._denied or self.away or self.closed or not self.opened:
            return None
        if self._first or self._replies or self.answering.written or self.resumes is not None:
            return None
        frame = self.outgoing.lone(number, payload)
        if frame is not None:
            self._leaves(len(frame))
        return frame

    def receive_lone(self, data: bytes | memoryview, now: float) -> EventsArrived | None:
        """Events that came by themselves, and behind no other news; `None`: nothing is done, it is for `receive_at`."""
        found = self.lone(data)
        if found is None or self.down or self._news or self._pasts.lanes:
            return None
        self.now = now
        self.took(len(data))
        count, route = found
        return EventsArrived(Frame(_EVENT, 0, count, route, bytes(data)), ((route, count),))

    @property
    def silent(self) -> bool:
        """Whether there is nothing to be sent. True only if that is certain."""
        outgoing = self.outgoing
        return not (
            (outgoing.events or outgoing.frames)
            or (self._first or self._replies or self.answering.written)
            or (self.closed or self.resumes is not None)
        )

    def take_news(self) -> list[News]:
        """What has happened since, in order."""
        news, self._news = self._news, []
        return news

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        beat = None if self.closed else self._beat_due
        ack = None if self.resumes is None else self.resumes.next_deadline()
        deadlines = self.asking.calls.next_deadline(), self._control.next_deadline(), beat, ack
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Time has passed: calls that were not answered in time fail, and a link where nothing comes any more."""
        self.now = now
        self.asking.calls.handle_timeout(now)
        self._control.handle_timeout(now)
        if self.rhythm is not None and self._beat_due is not None and now >= self._beat_due and not self.closed:
            self._beat_due = now + self.rhythm.period_s
            self.beat()
        if self.resumes is not None:
            reliable.acknowledge(self, self.resumes, now)

    @property
    def _clock(self) -> float:
        return self.now

    def receive_at(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the link."""
        if self.down:
            return  # of a link that was given up: they will come again
        self.now = now
        self.receive_data(data)

    # Frames

    def _receive(self, frame: Frame) -> None:
        if self.opened:
            if frame.kind == _EVENT:
                counts = count_events(frame)
                if frame.route in self._pasts.lanes:
                    self._pasts.event(frame)
                else:
                    self._news.append(EventsArrived(frame, counts))
                return
            handler = _HANDLERS.get(frame.kind)
            if handler is not None:
                handler(self, frame)
                return
        elif frame.kind == Kind.WELCOME:
            self._welcomed(decode_control(Welcome, frame.body))
            return
        elif frame.kind == Kind.CHALLENGE and self.prover is not None and not self._challenged:
            self.challenge = decode_control(Challenge, frame.body)
            self._challenged = True
            return
        super()._receive(frame)

    def _close(self) -> None:
        if not (self.closed or self.opened or self._left):
            if self.farewell is not None and self.farewell.code == Denied.wire_code:
                self.error = Denied(f"the server refused: {self.last_words}")
            elif self.last_words:
                self.error = HandshakeRefused(f"the server refused: {self.last_words}")
            elif self.error is not None:
                self.error = HandshakeRefused(f"the handshake failed: {self.error}")
        super()._close()

    def _discard(self) -> None:
        if self.resumes is not None and coming.outlives(self, self.resumes):
            return
        super()._discard()
        if self.offline is None or self._left:
            self.owning.abandon()
        self.outgoing.clear()

    def _welcomed(self, welcome: Welcome) -> None:
        agreed = {name: self._offered[name] for name in welcome.codecs if name in self._offered}
        if welcome.version != VERSION or not agreed:
            raise RemoteProtocolError(
                f"the server chose version {welcome.version} and {welcome.codecs}, which were not offered"
            )
        if self._reliable:
            coming.welcomed(self, welcome)
        codec = next(iter(agreed.values()))
        if codec is not self.codec and (self.welcome is not None or self._early) and not self.resumed:
            raise RemoteProtocolError(
                f"the server prefers the codec {codec.name!r} now, and what was triggered is in {self.codec.name!r}: "
                "connect anew, or give the server that codec"
            )
        if self.welcome is not None and not self.resumed:
            self._welcomed_again(self.welcome, welcome)
            self._gone = None
        self.welcome = welcome
        self.codecs = agreed
        self.codec = self.outgoing.codec = codec
        self.opened = True
        self.rhythm: Rhythm | None = accepted(self.limits, welcome.heartbeat_s, welcome.heartbeat_timeout_s)
        if self.rhythm is not None:
            self._beat_due = self.now + self.rhythm.period_s
        self.max_frame_bytes = min(self.limits.max_frame_bytes, welcome.max_frame_bytes)
        self._reader.max_frame_bytes = self.limits.max_frame_bytes
        self.outgoing.max_frame_bytes = self.max_frame_bytes
        if not self.resumed:
            self.outgoing.credit = welcome.window_bytes

    def _welcomed_again(self, before: Welcome, welcome: Welcome) -> None:
        same = welcome.epoch == before.epoch
        self.owning.let_in(welcome.events if same else None, same=same)
        self._news.append(LinkBack(same, same and welcome.fresh == NOT_KEPT))

    def _result(self, frame: Frame) -> None:
        if frame.flags & RESULT_ERR:
            self._control.fail(frame.route, decode_error(frame.body))
        else:
            self._control.succeed(frame.route, decode_control(Result[object], frame.body).ok)

    def _route(self, frame: Frame) -> None:
        route = decode_control(Route, frame.body)
        if route.codec not in self.codecs:
            raise RemoteProtocolError(f"the server sent a ROUTE in the codec {route.codec!r}, which was not offered")
        if route.call is not None:
            self._pasts.lanes[frame.route] = route
            return
        self._forget(frame.route)  # told again to who has missed some of it
        self.routes[frame.route] = route
        self._known[route.sender] = self._known.get(route.sender, 0) + 1
        if route.owner and route.listener is None:
            self.owning.opened(frame.route, route)
        if route.event is None:
            self.asking.opened(frame.route, route, self.codecs[route.codec])
        else:
            self._news.append(RouteOpened(frame.route, route))

    def _forget(self, number: int) -> Route | None:
        route = self.routes.pop(number, None)
        self.asking.closed(number)
        if route is not None:
            self._known[route.sender] -= 1
            if not self._known[route.sender]:
                del self._known[route.sender]
        return route

    def _route_gone(self, frame: Frame) -> None:
        gone = decode_control(RouteGone, frame.body)
        if self._pasts.lanes.pop(frame.route, None) is not None:
            return
        route = self._forget(frame.route)
        if route is None or route.event is not None:
            self._gone = frame.route
        if route is None:
            return
        self.owning.gone(frame.route, route)
        if route.event is not None:
            self._news.append(RouteClosed(frame.route))
        else:
            self.answering.gone(frame.route)
            self.asking.gone(frame.route, route, gone.reason)

    def _credit(self, frame: Frame) -> None:
        credit = unpack_credit(frame)
        if credit.unit is Unit.BYTES:
            self.outgoing.credit += credit.amount
        elif credit.unit is Unit.PARTS:
            self.answering.granted(credit)

    def _presence(self, frame: Frame) -> None:
        presence = decode_control(Presence, frame.body)
        if presence.call is None:
            self._news.append(presence)
        else:
            self._pasts.presence(presence)

    def _lost(self, frame: Frame) -> None:
        lost = unpack_lost(frame)
        if frame.route in self._pasts.lanes:
            self._pasts.lost(lost)
        else:
            self._news.append(lost)

    def check_alive(self) -> None:
        """Raise what `end` tells, if nothing more can be said."""
        if self.ended:
            raise self.end()

    def end(self, more: str = "") -> SigError:
        """Why nothing goes any more. A new one each time: an exception keeps all the places where it was raised."""
        ended = Closed if self._left or isinstance(self.error, Closed) else ConnectionLost
        return ended(f"{self.error or 'the link to the server has been closed'}{more}")

    # Sending

    def data_to_send(self, limit: int) -> bytes:
        if self.answering.written:
            self.answering.write_out()
        return super().data_to_send(limit)

    def _put(self, frame: bytes) -> None:
        self.outgoing.put(frame)

    def _ordered(self, limit: int) -> Sequence[bytes]:
        return self.outgoing.take(limit)


_HANDLERS: Final[dict[int, Callable[[ClientCore, Frame], None]]] = {
    Kind.RESULT: ClientCore._result,
    Kind.ROUTE: ClientCore._route,
    Kind.ROUTE_GONE: ClientCore._route_gone,
    Kind.INTEREST: lambda core, frame: core.owning.interest(frame),
    Kind.CREDIT: ClientCore._credit,
    Kind.PRESENCE: ClientCore._presence,
    Kind.LOST: ClientCore._lost,
    Kind.CANCEL: lambda core, frame: core.answering.cancel(frame),
    Kind.PEER_GONE: lambda core, frame: core.answering.peer_gone(frame),
}


def _nothing() -> None:
    """Nobody wants to know."""


def _wish(value: float, default: float) -> float | None:
    """What to ask the server for: nothing, where nobody here has asked for anything."""
    return None if value == default else value
