"""The client's end of a link: what it knows of the server's world, and what it waits for.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. What arrives and is not the answer to a call comes out of
`take_news` and `take_asked`, in order. Answers are given to the function that was passed with the call, while
`receive_data` runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, TypeAlias

import msgspec

from sig.codecs import Codec
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT, Limits
from sig.errors import (
    Closed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidData,
    MessageTooBig,
    ProtocolError,
    RemoteProtocolError,
    RequestTimeout,
    SenderNotConnected,
    SigError,
    to_wire,
)
from sig.messages import (
    RELIABLE,
    RETURNS,
    Auth,
    Call,
    Challenge,
    Hello,
    Interest,
    Last,
    Listen,
    OpenRequests,
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
from sig.protocol.bodies import (
    NO_DEADLINE,
    REPLY_BYTES,
    Cancel,
    Credit,
    Lost,
    Reply,
    Request,
    Unit,
    find_asker,
    find_request,
    pack_cancel,
    pack_credit,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_credit,
    unpack_lost,
    unpack_peer_gone,
)
from sig.protocol.calls import Calls, Done, Waiting
from sig.protocol.events import count_events
from sig.protocol.frames import (
    FRAMING_ROOM_BYTES,
    REPLY_END,
    REPLY_ERR,
    REPLY_MORE,
    REQUEST_PARTS,
    RESULT_ERR,
    Frame,
    Kind,
    check_payload,
    pack,
)
from sig.protocol.heartbeat import Rhythm, accepted
from sig.protocol.login import Prover
from sig.protocol.offline import Kept, Offline
from sig.protocol.outbox import Counts
from sig.protocol.outgoing import Outgoing
from sig.protocol.parts import Abandoned, PartsIn, PartsOut
from sig.protocol.past import Past, Pasts
from sig.protocol.peer import Lane, Peer
from sig.protocol.session import NOT_KEPT

VERSION: Final = 1
_DEFAULTS: Final = Limits()
_EVENT: Final = Kind.EVENT.value

# Sender, method, and when it was asked.
_What: TypeAlias = tuple[str, str, float]

# What the time that a request has left is told within.
_MOMENT_S: Final = 0.001
_LONGEST_S: Final = (NO_DEADLINE - 1) / 1000

# The parameters of a request in each codec that may be asked for, by name; or why they cannot be had in it.
Payloads: TypeAlias = Mapping[str, bytes | InvalidData]

# What an outlet is told instead of a route.
CLOSED: Final = 0
UNHEARD: Final = -1


# A sender's name, or that and the incarnation of one of those that share it.
Whom: TypeAlias = str | tuple[str, int]


class Coded(NamedTuple):
    """An answer in another codec than this client's own."""

    codec: Codec
    payload: bytes


class RouteOpened(NamedTuple):
    """Events of this sender will come under this number."""

    number: int
    route: Route


class RouteClosed(NamedTuple):
    """They will no more."""

    number: int


class EventsArrived(NamedTuple):
    """A frame of events, with how many there are of which route."""

    frame: Frame
    counts: Counts


class ListenerReady(NamedTuple):
    """From here on the server sends what this listener asked for; before that it is to be told of the past."""

    listener: object
    past: Past
    since_us: int = 1
    """When that was, by the server's clock."""


# A struct, which costs a third of a tuple with names: there can be a hundred thousand in a second.
class RequestArrived(msgspec.Struct, frozen=True):
    """Somebody asks a sender of this client."""

    sender: str
    route: int
    request: Request
    deadline: float
    parts: PartsOut | None = None
    """Where parts of the answer may be given; `None`: whoever asks takes none."""
    link: int = 1
    """On which of the client's links it came: the number of a route is another's on the next."""


class RequestDropped(NamedTuple):
    """Whoever asked does not wait any more; `corr` is `None` for all that this peer asked."""

    peer: int
    corr: int | None


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
# What others want of this client. It never waits behind events, nor behind listeners.
Asked: TypeAlias = RequestArrived | RequestDropped


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
        super().__init__(limits, lanes=_LANES)
        self.max_frame_bytes: int = limits.max_frame_bytes
        self.error: SigError | None = None
        self.offline: Offline | None = offline
        self.away: bool = False
        """Whether there is no link, or not all has been registered on it again."""
        self.links: int = 1
        """How many there have been, this one included."""
        self.finishing: bool = False
        """Whether no other link will follow should this one be lost."""
        self.down: bool = False
        """Whether the link has been given up: what still comes of it does not count."""
        self.resumed: bool = False
        """Whether this link goes on with the session of the last: then nothing need be registered again."""
        self.lapsed: Callable[[], object] = _nothing
        """Called when the session that was to go on is found to have ended, before anything comes of it."""
        self._reliable = reliable
        self._nothing_on_its_way = False  # when the link was lost, all that had been said had arrived
        self._flushed = 0  # of the events that were triggered, so many were known to have been routed
        self._name = name
        self._offered = codecs
        self._packed_before = 0  # events that had gone into frames when this link began
        self._abandoned = 0  # events that were accepted and never went into a frame
        self._sent = 0  # of the events accepted, all up to that number had gone, or been dropped, when a link was lost
        self._in_flight: int | None = 0  # of these, so many never arrived; `None`: nobody knows
        # Of what all events are that have been sent since nothing was in flight; and whether there was more than that.
        self._only: tuple[str, str] | None = None
        self._several = False
        self.codecs: Mapping[str, Codec] = codecs
        """Those that both ends have, once the handshake is complete."""
        self.codec: Codec = next(iter(codecs.values()))
        """What its senders' payloads are in, and the answers of their handlers: the first of these."""
        self.welcome: Welcome | None = None
        self.prover: Prover | None = prover
        self.calls: Calls[_What] = Calls(limits.requests_out, self._request_expired)
        # With what to say where no answer comes. Bounded by what the application does: each call blocks its caller.
        self._control: Calls[str] = Calls(0xFFFFFFFF, lambda _, call: ConnectionLost(call.what))
        self._news: list[News] = []
        self._asked: list[Asked] = []
        self._pasts = Pasts()
        self.outgoing: Outgoing = Outgoing(self.codec, limits.max_frame_bytes, limits.send_window_bytes)
        self.written: list[PartsOut | Abandoned] = []
        """What there is to be said of streams. May be appended to from any thread without a lock."""
        self._giving: dict[tuple[int, int], PartsOut] = {}  # by who asks, and under which number
        self._outlets: dict[tuple[str, str], Callable[[int], object]] = {}
        self._routes: dict[int, Route] = {}
        self._known: dict[str, int] = {}  # how many of these routes are of which sender
        self._owned: dict[tuple[str, str | None], int] = {}
        self._withheld: dict[tuple[str, str], None] = {}  # events held back until the last link was lost
        self._denied: dict[tuple[str, str | None], str] = {}  # those of these that may not be triggered, and why
        self._request_routes: dict[Whom, int] = {}
        self._opening: dict[Whom, int] = {}  # how many requests of a sender wait for its route, or behind one that does
        self._foreign: dict[int, Codec] = {}  # by those of these that are in another codec than `codec`
        self._now = 0.0
        self._left = False
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
        return (self.opened or self.parted) and not self.away and not self._ended

    @property
    def up(self) -> bool:
        """Whether there is a link, and all has been registered on it."""
        return self.opened and not (self.closed or self.away or self.parted)

    @property
    def parted(self) -> bool:
        """Whether there is no link, and all is as if it took nothing: another is to go on with the session."""
        return self.resumes is not None and self.resumes.parted

    @property
    def _ended(self) -> bool:
        """Whether nothing more can be said, nor will be on another link."""
        return self.closed and not self.parted

    def call(self, message: Call, now: float, timeout: float, done: Done) -> int:
        """Ask the server for something; `done` gets the decoded answer, or the error. Returns the call's number."""
        self._check_alive()
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

    def outlet(self, sender: str, event: str, changed: Callable[[int], object]) -> None:
        """Call `changed` whenever the route changes on which to send the events of a sender that this client holds.

        With its number, `CLOSED` when there is none, `UNHEARD` when nobody listens: then nothing need be sent. It
        returns true if there were events since `UNHEARD`: somebody may have begun to listen before we heard of it.
        """
        self._outlets[sender, event] = changed
        self._only = self._only or (sender, event)
        self._several |= self._only != (sender, event)

    def requests_schema(self, sender: str) -> bytes | None:
        """What the server told of the types of a sender's requests: JSON; `None` where these are not known."""
        route = self._routes.get(self._request_routes.get(sender, 0))
        return None if route is None else bytes(route.schema) or b"{}"

    def close_outlets(self, sender: str, events: Iterable[str]) -> None:
        """Send no more of these events, whatever the server knows yet."""
        for event in events:
            self._owned.pop((sender, event), None)
            self._denied.pop((sender, event), None)
            self._withheld.pop((sender, event), None)
            if (changed := self._outlets.pop((sender, event), None)) is not None:
                changed(CLOSED)

    def trigger(self, sender: str, event: str, payload: bytes) -> None:
        """Send an event of a sender that this client holds; asks not whether there is room."""
        self._check_alive()
        number = self._owned.get((sender, event))
        if number is None:
            raise SenderNotConnected(sender)
        if (sender, event) in self._denied:
            raise Denied(f"you may not trigger event {event!r} of sender {sender!r}: {self._denied[sender, event]}")
        check_payload(payload, self.max_frame_bytes)
        self.outgoing.events.append((number, payload))

    @property
    def triggered(self) -> int:
        """Events accepted so far."""
        here = self.outgoing.packed + len(self.outgoing.events) + self._abandoned
        return here if self.offline is None else here + len(self.offline) + self.offline.dropped

    def request(
        self,
        sender: str,
        method: str,
        payload: bytes | Payloads,
        *,
        now: float,
        deadline: float,
        hops: int,
        done: Done,
        parts: PartsIn | None = None,
        instance: int | None = None,
    ) -> int:
        """Ask a sender; `done` gets the payload of the answer, or the error. Returns its number, for `give_up`.

        The payload is in the codec that `codec_of` tells, the client's own if it is bytes; of a sender of which that is
        not known, in each that it may turn out to be. The answer is in the same one: bytes in our own, else `Coded`.
        With `parts` the answer may come in parts, which go there; `done` gets what is behind the last.
        Raises `Overloaded` when too many wait for their answers.

        `instance` is the incarnation of the one to ask, of several that share the name.
        """
        if self._ended:
            raise self._end()
        self._now = now
        whom = sender if instance is None else (sender, instance)
        route = self._request_routes.get(whom)
        if isinstance(payload, bytes) and route not in self._foreign:
            fitting: bytes | None = payload
            if len(payload) > self.max_frame_bytes - FRAMING_ROOM_BYTES:
                check_payload(payload, self.max_frame_bytes)
        else:
            fitting = None if route is None else self._payload_on(route, sender, payload)
        if fitting is None or (self._opening and whom in self._opening):
            route = None  # not known, or behind others that have to find it out: it must not overtake those
        number = self.calls.open(done, deadline, (sender, method, now), route, parts)
        if route is not None:
            assert fitting is not None  # see above
            self._ask(number, route, deadline - now, hops, method, fitting, parts)
        else:
            self._open_requests(number, sender, instance, now, deadline, hops, method, payload)
        return number

    def _open_requests(
        self,
        number: int,
        sender: str,
        instance: int | None,
        now: float,
        deadline: float,
        hops: int,
        method: str,
        payload: bytes | Payloads,
    ) -> None:
        """Find out under which number a sender is asked, and ask it."""
        whom = sender if instance is None else (sender, instance)

        def opened(_: object, error: BaseException | None) -> None:
            if self._opening[whom] > 1:
                self._opening[whom] -= 1
            else:
                del self._opening[whom]
            call = self.calls.find(number)
            if call is None:
                return  # it was given up, or is over
            call.about = route = self._request_routes.get(whom)
            if error is not None:
                self.calls.fail(number, error)
            elif route is None:
                self.calls.fail(number, RemoteProtocolError("the server answered OpenRequests without a ROUTE"))
            else:
                try:
                    found = self._payload_on(route, sender, payload)
                except SigError as unfit:
                    self.calls.fail(number, unfit)
                else:
                    self._ask(number, route, deadline - self._now, hops, method, found, call.parts)

        self.call(OpenRequests(sender, instance), now, deadline - now, opened)
        self._opening[whom] = self._opening.get(whom, 0) + 1

    def _payload_on(self, route: int, sender: str, payload: bytes | Payloads) -> bytes:
        """The parameters in the codec of that route."""
        codec = self._routes[route].codec
        payloads = {self.codec.name: payload} if isinstance(payload, bytes) else payload
        found = payloads.get(codec)
        if found is None:
            raise SenderNotConnected(sender)  # it has left since, and another came, in another codec
        if isinstance(found, InvalidData):
            raise found
        check_payload(found, self.max_frame_bytes)
        return found

    def codec_of(self, sender: Whom) -> Codec | None:
        """What that sender is asked in; `None` if that is not known yet. From any thread."""
        route = self._request_routes.get(sender)
        return None if route is None else self._foreign.get(route, self.codec)

    def _ask(
        self, number: int, route: int, left_s: float, hops: int, method: str, payload: bytes, parts: PartsIn | None
    ) -> None:
        if _MOMENT_S <= left_s < _LONGEST_S:
            left_ms = int(left_s * 1000)
        elif left_s == math.inf:
            left_ms = NO_DEADLINE
        else:
            left_ms = 1 if left_s < _MOMENT_S else NO_DEADLINE - 1
        flags = 0 if parts is None else REQUEST_PARTS
        self.outgoing.put(pack_request(Request(0, number, left_ms, hops, method, payload), route=route, flags=flags))

    def give_back(self, number: int, parts: PartsIn) -> None:
        """Let the sender of a stream give more, if enough has been taken."""
        call = self.calls.find(number)
        if call is not None and (amount := parts.give_back()) and not self.closed:
            assert isinstance(call.about, int)  # it has given parts
            self._urge(pack_credit(Credit(amount, Unit.PARTS, 0, number), route=call.about))

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer to this request any more: its `done` is not called, and the owner is told."""
        call = self.calls.forget(number)
        if call is not None:
            self._cancel_request(number, call)

    def _request_expired(self, number: int, call: Waiting[_What]) -> SigError:
        self._cancel_request(number, call)
        sender, method, asked = call.what
        return RequestTimeout(sender, method, round(call.deadline - asked, 3))

    def _cancel_request(self, number: int, call: Waiting[_What]) -> None:
        """Tell the owner, if it has been asked, that nobody waits any more."""
        if isinstance(call.about, int) and not self._ended:
            self._put(pack_cancel(Cancel(0, number), route=call.about))

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request, with a payload or an error; nobody waits for it any more if its link is another."""
        if arrived.link != self.links:
            return
        limit = self.max_frame_bytes - FRAMING_ROOM_BYTES
        flags = 0
        if error is None and payload is not None and len(payload) > limit:
            error = MessageTooBig(
                f"the answer takes {len(payload)} bytes, and the limit is {limit}: ask for less, "
                "or raise max_frame_bytes on both sides"
            )
        if error is not None or payload is None:
            payload, flags = _error_payload(error, min(limit, self.limits.max_control_frame_bytes)), REPLY_ERR
        request = arrived.request
        if (parts := arrived.parts) is not None:
            self._giving.pop((request.peer, request.corr), None)
            self._hasten_parts(parts)
            flags = flags or REPLY_END
        self._hasten(pack_reply(Reply(request.peer, request.corr, payload), route=arrived.route, flags=flags))

    def _hasten_parts(self, parts: PartsOut) -> None:
        for frame in parts.pack():
            self._hasten(frame)

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
            self._go_away(self.offline)
        self.shut()
        self._asked += [RequestDropped(*asker) for asker in self._giving]
        self._control.fail_all(self._end())
        self.calls.fail_all(self._end("; whether the request was carried out is unknown"))

    # Another link

    @property
    def sent_away(self) -> bool:
        """Whether the server wants none of this client any more: it is no use to come back."""
        farewell = self.farewell
        return farewell is not None and farewell.code == Denied.wire_code and farewell.retry_after_s is None

    def _go_away(self, offline: Offline) -> None:
        """The link is lost, and another will follow. What has not left on it waits for that one."""
        if self.away:
            offline.again()
            return  # it was lost before all was registered on it: nothing has been sent
        self.away = True
        waiting = self.outgoing.take_back()
        self._in_flight = self.outgoing.packed - self._packed_before
        self._sent = self.outgoing.packed + self._abandoned + offline.dropped
        names = {number: (route.sender, route.event or "") for number, route in self._routes.items()}
        kept = [Kept(*names[number], payload) for number, payload in waiting if number in names]
        self._abandoned += len(waiting) - len(kept)
        offline.begin(self._now, kept)
        self._news.append(LinkLost())

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
        for table in (self._routes, self._known, self._owned, self._request_routes, self._foreign, self._pasts.lanes):
            table.clear()
        self._giving.clear()
        self._denied.clear()
        self.links += 1
        if flushed >= self._sent:
            self._in_flight = 0

    def keep(self, sender: str, event: str, payload: bytes, now: float) -> None:
        """An event that is triggered while there is no link. Raises `ConnectionLost` where it is not accepted."""
        if self.offline is None or (sender, event) not in self._outlets:
            raise SenderNotConnected(sender)
        self.offline.add(Kept(sender, event, payload), now, str(self.error or "the link to the server is lost"))

    def losses(self, now: float) -> dict[str, dict[str, int | None]]:
        """Which events never came to the server, by sender and event, for `AddSender`; `None`: nobody knows how many.

        Those that were under way can be told apart only where there is but one event they can be of.
        """
        dropped = {} if self.offline is None else self.offline.losses(now)
        told: dict[str, dict[str, int | None]] = {}
        for (sender, event), count in dropped.items():
            told.setdefault(sender, {})[event] = count
        if self._in_flight != 0:
            unknown = self._several or self._in_flight is None
            for sender, event in self._outlets:
                count = dropped.get((sender, event), 0) + (self._in_flight or 0)
                told.setdefault(sender, {})[event] = None if unknown else count
        for sender, event in self._withheld:
            told.setdefault(sender, {})[event] = None  # whether anybody listened to these nobody knew
        return told

    def restored(self, now: float) -> None:
        """All has been registered again: what was triggered meanwhile leaves now, and then what comes."""
        assert self.offline is not None  # else no other link follows
        self.away = False
        self._in_flight = 0
        self._withheld.clear()
        self._only, self._several = next(iter(self._outlets), None), len(self._outlets) > 1
        self.offline.settle()
        for sender, event, payload in self.offline.take(now):
            number = self._owned.get((sender, event))
            if number is None:
                self._abandoned += 1  # the name was lost, and its owner told
            else:
                self.outgoing.events.append((number, payload))
        for what, changed in self._outlets.items():
            changed(self._owned.get(what, CLOSED))
        self._news.append(Restored())

    def shut(self) -> None:
        """Let no outlet send any more, nor hold back in silence."""
        for what, changed in self._outlets.items():
            if changed(CLOSED):
                self._withheld[what] = None

    def owns(self, sender: str, event: str | None) -> bool:
        """Whether the server knows this client as the owner of that event. From any thread."""
        return (sender, event) in self._owned

    def knows(self, sender: str) -> bool:
        """Whether a route of that sender is open here. From any thread."""
        return sender in self._known

    # What the driver does

    def take_news(self) -> list[News]:
        """What has happened since, in order."""
        news, self._news = self._news, []
        return news

    def take_asked(self) -> list[Asked]:
        """Which requests have come since, and which are not waited for any more, in order."""
        asked, self._asked = self._asked, []
        return asked

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        beat = None if self.closed else self._beat_due
        ack = None if self.resumes is None else self.resumes.next_deadline()
        deadlines = [d for d in (self.calls.next_deadline(), self._control.next_deadline(), beat, ack) if d is not None]
        return min(deadlines, default=None)

    def handle_timeout(self, now: float) -> None:
        """Time has passed: calls that were not answered in time fail, and a link where nothing comes any more."""
        self._now = now
        self.calls.handle_timeout(now)
        self._control.handle_timeout(now)
        if self.rhythm is not None and self._beat_due is not None and now >= self._beat_due and not self.closed:
            self._beat_due = now + self.rhythm.period_s
            self.beat()
        if self.resumes is not None:
            reliable.acknowledge(self, self.resumes, now)

    @property
    def _clock(self) -> float:
        return self._now

    def receive_at(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the link."""
        if self.down:
            return  # of a link that was given up: they will come again
        self._now = now
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
            self._abandoned += len(self.outgoing.part())  # lost with the rest
        self.outgoing.clear()

    def _welcomed(self, welcome: Welcome) -> None:
        agreed = {name: self._offered[name] for name in welcome.codecs if name in self._offered}
        if welcome.version != VERSION or not agreed:
            raise RemoteProtocolError(
                f"the server chose version {welcome.version} and {welcome.codecs}, which were not offered"
            )
        if self._reliable:
            coming.welcomed(self, welcome)
        if self.welcome is not None and not self.resumed:
            self._welcomed_again(self.welcome, welcome, next(iter(agreed.values())))
        self.welcome = welcome
        self.codecs = agreed
        self.codec = self.outgoing.codec = next(iter(agreed.values()))
        self.opened = True
        self.rhythm: Rhythm | None = accepted(self.limits, welcome.heartbeat_s, welcome.heartbeat_timeout_s)
        if self.rhythm is not None:
            self._beat_due = self._now + self.rhythm.period_s
        self.max_frame_bytes = min(self.limits.max_frame_bytes, welcome.max_frame_bytes)
        self._reader.max_frame_bytes = self.limits.max_frame_bytes
        self.outgoing.max_frame_bytes = self.max_frame_bytes
        if not self.resumed:
            self.outgoing.credit = welcome.window_bytes

    def _welcomed_again(self, before: Welcome, welcome: Welcome, codec: Codec) -> None:
        if codec is not self.codec:
            raise RemoteProtocolError(
                f"the server prefers the codec {codec.name!r} now, and what was triggered is in {self.codec.name!r}: "
                "connect anew, or give the server that codec"
            )
        same = welcome.epoch == before.epoch
        if self._in_flight and welcome.events is not None and same:
            self._in_flight = max(0, self._in_flight - welcome.events)
        elif self._in_flight:
            self._in_flight = None
        self._packed_before = self.outgoing.packed
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
        self._routes[frame.route] = route
        self._known[route.sender] = self._known.get(route.sender, 0) + 1
        if route.owner and route.listener is None:
            self._owned[route.sender, route.event] = frame.route
            if not self.away and (changed := self._outlets.get((route.sender, route.event or ""))) is not None:
                changed(frame.route)
        if route.event is None:
            self._request_routes[_key(route)] = frame.route
            if route.codec != self.codec.name:
                self._foreign[frame.route] = self.codecs[route.codec]
        else:
            self._news.append(RouteOpened(frame.route, route))

    def _forget(self, number: int) -> Route | None:
        route = self._routes.pop(number, None)
        self._foreign.pop(number, None)
        if route is not None:
            self._known[route.sender] -= 1
            if not self._known[route.sender]:
                del self._known[route.sender]
        return route

    def _route_gone(self, frame: Frame) -> None:
        gone = decode_control(RouteGone, frame.body)
        self._pasts.lanes.pop(frame.route, None)
        route = self._forget(frame.route)
        if route is None:
            return
        if self._owned.get((route.sender, route.event)) == frame.route:
            del self._owned[route.sender, route.event]
            self._denied.pop((route.sender, route.event), None)
            if (changed := self._outlets.pop((route.sender, route.event or ""), None)) is not None:
                changed(CLOSED)
        if route.event is not None:
            self._news.append(RouteClosed(frame.route))
            return
        if self._request_routes.get(_key(route)) == frame.route:
            del self._request_routes[_key(route)]
        self._asked += [RequestDropped(*asker) for asker, parts in self._giving.items() if parts.route == frame.route]
        self.calls.fail_about(
            frame.route,
            ConnectionLost(
                f"sender {route.sender!r} left ({gone.reason}) before it answered; "
                "whether the request was carried out is unknown"
            ),
        )

    def _interest(self, frame: Frame) -> None:
        interest = decode_control(Interest, frame.body)
        heard = interest.state not in ("none", "denied")
        route = self._routes.get(frame.route)
        if route is None or not route.owner or route.event is None:
            raise RemoteProtocolError(f"the server sent INTEREST in route {frame.route}, which is no event of ours")
        # Not of one that left, and has the name again on a route that we do not know yet.
        current = self._owned.get((route.sender, route.event)) == frame.route
        if current and interest.state == "denied":
            self._denied[route.sender, route.event] = interest.reason
        elif current:
            self._denied.pop((route.sender, route.event), None)
        current = current and not self.away
        body = frame.body
        if current and (changed := self._outlets.get((route.sender, route.event))) is not None:
            held = changed(frame.route if heard else CLOSED if interest.state == "denied" else UNHEARD)
            if held:
                body = encode_control(msgspec.structs.replace(interest, held=True))
        if interest.state == "grouped":
            self.outgoing.lens = True  # of all its batches: to tell them apart would cost more than the lengths
        if heard:
            # From here on nothing is held back: whoever waits to be told so is told.
            self._urge(pack(Kind.INTEREST, body, route=frame.route))

    def _credit(self, frame: Frame) -> None:
        credit = unpack_credit(frame)
        if credit.unit is Unit.BYTES:
            self.outgoing.credit += credit.amount
        elif credit.unit is Unit.PARTS and (parts := self._giving.get((credit.peer, credit.corr))) is not None:
            parts.grant(credit.amount)

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

    def _request(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        request = find_request(data, start, end)
        route = self._routes.get(number)
        if route is None or not route.owner or route.event is not None:
            raise RemoteProtocolError(f"the server sent a request on route {number}, which is not ours")
        deadline = self._now + request.remaining_ms / 1000
        parts: PartsOut | None = None
        if flags & REQUEST_PARTS:
            parts = PartsOut(number, request.peer, request.corr, self.codec.lines, self.written)
            self._giving[request.peer, request.corr] = parts
            if request.remaining_ms == NO_DEADLINE:
                deadline = math.inf
        self._asked.append(RequestArrived(route.sender, number, request, deadline, parts, self.links))

    def _reply(self, flags: int, route: int, data: bytes, start: int, end: int) -> None:
        _, corr = find_asker(data, start, end)
        if flags & REPLY_MORE:
            self._take_parts(corr, route, data[start:end])
            return
        call = self.calls.take(corr, route)
        if call is None:
            return  # it came too late
        payload = data[start + REPLY_BYTES : end]
        if not flags & REPLY_ERR:
            codec = self._foreign.get(route)
            call.done(payload if codec is None else Coded(codec, payload), None)
        else:
            error = self._told(payload)
            if isinstance(error, SenderNotConnected) and not error.sender:
                error = SenderNotConnected(call.what[0])  # the server did not know any more whose route it was
            call.done(None, error)

    def _take_parts(self, corr: int, route: int, data: bytes) -> None:
        call = self.calls.find(corr)
        if call is None or call.about != route:
            return  # they came too late
        try:
            if call.parts is None:
                raise ProtocolError("the sender answers in parts, which were not asked for")
            call.parts.put(Frame.of(data), self._foreign.get(route, self.codec))
        except ProtocolError as error:
            self.calls.fail(corr, error)
            self._cancel_request(corr, call)

    def _told(self, payload: bytes) -> SigError:
        """The error that another client answers with. It passed through the server unseen: the link is not to blame."""
        limit = self.limits.max_control_frame_bytes
        if len(payload) > limit:
            return ProtocolError(f"the sender answered with an error of {len(payload)} bytes: the limit is {limit}")
        try:
            return decode_error(payload)
        except RemoteProtocolError as error:
            return ProtocolError(f"the sender answered with an error that cannot be read: {error}")

    def _cancel(self, frame: Frame) -> None:
        cancel = unpack_cancel(frame)
        self._asked.append(RequestDropped(cancel.peer, cancel.corr))

    def _peer_gone(self, frame: Frame) -> None:
        self._asked.append(RequestDropped(unpack_peer_gone(frame), None))

    def _check_alive(self) -> None:
        if self._ended:
            raise self._end()

    def _end(self, more: str = "") -> SigError:
        """Why nothing goes any more. A new one each time: an exception keeps all the places where it was raised."""
        ended = Closed if self._left or isinstance(self.error, Closed) else ConnectionLost
        return ended(f"{self.error or 'the link to the server has been closed'}{more}")

    # Sending

    def data_to_send(self, limit: int) -> bytes:
        if self.written:
            self._write_out()
        return super().data_to_send(limit)

    def _write_out(self) -> None:
        """Parts written, and streams left, since this was last called."""
        written = self.written
        count = len(written)
        taken = written[:count]
        del written[:count]  # not all: another thread may have appended meanwhile
        for one in taken:
            if not isinstance(one, PartsOut):
                self.give_up(one.number)
            elif self._giving.get((one.peer, one.corr)) is one:  # else its end has been said, or its link was another
                self._hasten_parts(one)

    def _put(self, frame: bytes) -> None:
        self.outgoing.put(frame)

    def _ordered(self, limit: int) -> Sequence[bytes]:
        return self.outgoing.take(limit)


_LANES: Final[dict[int, Lane]] = {
    Kind.REQUEST.value: ClientCore._request,
    Kind.REPLY.value: ClientCore._reply,
}
_HANDLERS: Final[dict[int, Callable[[ClientCore, Frame], None]]] = {
    Kind.RESULT: ClientCore._result,
    Kind.ROUTE: ClientCore._route,
    Kind.ROUTE_GONE: ClientCore._route_gone,
    Kind.INTEREST: ClientCore._interest,
    Kind.CREDIT: ClientCore._credit,
    Kind.PRESENCE: ClientCore._presence,
    Kind.LOST: ClientCore._lost,
    Kind.CANCEL: ClientCore._cancel,
    Kind.PEER_GONE: ClientCore._peer_gone,
}


def _nothing() -> None:
    """Nobody wants to know."""


def _key(route: Route) -> Whom:
    """Who is asked on that route."""
    return (route.sender, route.incarnation) if route.replica else route.sender


def _wish(value: float, default: float) -> float | None:
    """What to ask the server for: nothing, where nobody here has asked for anything."""
    return None if value == default else value


# Of a sentence that does not fit, so much is told.
_LONGEST_TEXT: Final = 4000


def _error_payload(error: BaseException | None, limit: int) -> bytes:
    told = to_wire(error if error is not None else ProtocolError("no answer was given"))
    try:
        payload = encode_control(told)
        if len(payload) <= limit:
            return payload
    except SigError:  # the `data` of a RequestFailed is the user's, and may be anything
        pass
    # A letter takes up to six bytes.
    longest = min(_LONGEST_TEXT, limit // 8)
    texts = {key: told[key] for key in ("code", "message", "type") if key in told}
    return encode_control({key: str(text)[:longest] for key, text in texts.items()})
