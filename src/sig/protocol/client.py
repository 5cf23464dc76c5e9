"""The client's end of a link: what it knows of the server's world, and what it waits for.

Sans-I/O: no socket, no thread, no clock; `now` is passed in. What arrives and is not the answer to a call comes out of
`take_news`, in order. Answers are given to the function that was passed with the call, while `receive_data` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from sig.codecs import Codec
from sig.constants import Limits
from sig.errors import (
    Closed,
    ConnectionLost,
    HandshakeRefused,
    ProtocolError,
    RemoteProtocolError,
    RequestTimeout,
    SigError,
    to_wire,
)
from sig.messages import (
    Call,
    Hello,
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
from sig.protocol.bodies import (
    Cancel,
    Lost,
    Reply,
    Request,
    pack_cancel,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_lost,
    unpack_peer_gone,
    unpack_reply,
    unpack_request,
)
from sig.protocol.calls import Calls, Done
from sig.protocol.events import count_events, pack_events
from sig.protocol.frames import HEADER, REPLY_ERR, RESULT_ERR, Frame, Kind, check_payload, pack
from sig.protocol.outbox import Counts
from sig.protocol.peer import Peer

VERSION: Final = 1
_EVENT: Final = Kind.EVENT.value


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
    """From here on the server sends what this listener asked for."""

    listener: object


class RequestArrived(NamedTuple):
    """Somebody asks a sender of this client."""

    sender: str
    route: int
    request: Request
    deadline: float


class RequestDropped(NamedTuple):
    """Whoever asked does not wait any more; `corr` is `None` for all that this peer asked."""

    peer: int
    corr: int | None


News: TypeAlias = (
    ListenerReady | RouteOpened | RouteClosed | EventsArrived | Presence | Lost | RequestArrived | RequestDropped
)


class ClientCore(Peer):
    """One link to a server, from its beginning to its end.

    Args:
        limits: what it allows.
        codec: for events, parameters and answers.
        name: for the server's logs and lists.
    """

    def __init__(self, limits: Limits, codec: Codec, *, name: str = "") -> None:
        super().__init__(limits)
        self.error: SigError | None = None
        self.codec = codec
        self.welcome: Welcome | None = None
        self.calls: Calls = Calls(limits.requests_out)
        self._control = Calls(0xFFFFFFFF)  # bounded by what the application does at a time: each blocks its caller
        self._news: list[News] = []
        self._items: list[tuple[int, bytes] | bytes] = []
        self.queued_bytes: int = 0
        """What waits to be sent."""
        self._routes: dict[int, Route] = {}
        self._owned: dict[tuple[str, str | None], int] = {}
        self._request_routes: dict[str, int] = {}
        self._now = 0.0
        self._left = False
        self._put(
            pack(
                Kind.HELLO,
                encode_control(
                    Hello(
                        versions=[VERSION],
                        codecs=[codec.name],
                        name=name,
                        max_frame_bytes=limits.max_frame_bytes,
                    )
                ),
            )
        )

    # What the application does

    def call(self, message: Call, now: float, timeout: float, done: Done) -> None:
        """Ask the server for something; `done` gets the decoded answer, or the error."""
        self._check_alive()
        body = encode_control(message)
        check_payload(body, self.max_frame_bytes)
        what = type(message).__name__
        number = self._control.open(
            done, now + timeout, lambda _: ConnectionLost(f"the server did not answer {what} within {timeout:g} s")
        )
        self._put(pack(Kind.CALL, body, route=number))

    def listen(
        self,
        number: int,
        sender: str | None,
        event: str | None,
        listener: object,
        now: float,
        timeout: float,
        done: Done,
    ) -> None:
        """Ask for events; `ListenerReady(listener)` stands in the news before the first that came of it."""

        def answered(value: object, error: BaseException | None) -> None:
            if error is None:
                self._news.append(ListenerReady(listener))
            done(value, error)

        self.call(Listen(number, sender, event), now, timeout, answered)

    def trigger(self, sender: str, event: str, payload: bytes) -> None:
        """Send an event of a sender that this client holds."""
        self._check_alive()
        number = self._owned.get((sender, event))
        if number is None:
            raise ConnectionLost(f"sender {sender!r} is not registered at the server any more")
        check_payload(payload, self.max_frame_bytes)
        self._items.append((number, payload))
        self.queued_bytes += len(payload) + HEADER.size

    def request(
        self, sender: str, method: str, payload: bytes, *, now: float, deadline: float, hops: int, done: Done
    ) -> Callable[[], None]:
        """Ask a sender; `done` gets the payload of the answer, or the error. Returns what gives the request up."""
        self._check_alive()
        check_payload(payload, self.max_frame_bytes)
        given_up = False
        number: int | None = None

        def send(route: object, error: BaseException | None) -> None:
            nonlocal number
            if given_up:
                return
            if error is not None or not isinstance(route, int):
                done(None, error or RemoteProtocolError("the server answered a call with something else"))
                return
            timeout = deadline - now
            try:
                number = self.calls.open(
                    done, deadline, lambda corr: self._expired(corr, route, sender, method, timeout), about=route
                )
            except SigError as full:
                done(None, full)
                return
            remaining = max(1, int((deadline - self._now) * 1000))
            self._put(pack_request(Request(0, number, remaining, hops, method, payload), route=route))

        def give_up() -> None:
            nonlocal given_up
            given_up = True
            if number is not None:
                route = self.calls.about(number)
                if self.calls.forget(number) and isinstance(route, int) and not self.closed:
                    self._put(pack_cancel(Cancel(0, number), route=route))

        self._now = now
        route = self._request_routes.get(sender)
        if route is not None:
            send(route, None)
        else:
            self.call(OpenRequests(sender), now, deadline - now, send)
        return give_up

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request, with a payload or an error."""
        if self.closed:
            return
        if error is None and payload is not None and len(payload) > self.max_frame_bytes - HEADER.size:
            error = ProtocolError(f"the answer of {len(payload)} bytes is larger than a frame may be")
        flags = 0
        if error is not None or payload is None:
            payload, flags = _error_payload(error), REPLY_ERR
        request = arrived.request
        self._hasten(pack_reply(Reply(request.peer, request.corr, payload), route=arrived.route, flags=flags))

    def leave(self) -> None:
        """Close in order: what waits is sent first. From here on every verb raises `Closed`."""
        self._left = True
        self.say_bye("closed")

    def disconnected(self, error: SigError) -> None:
        """The link is down: whoever waits is told. `Closed`: by our own doing; anything else: by the world's."""
        self.receive_eof()
        if self._left:
            error = Closed("this router has been closed")
        elif self.farewell is not None:
            error = ConnectionLost(f"the server closed the link: {self.farewell.message or self.farewell.code}")
        self.error = self.error or error
        self._items.clear()
        self.queued_bytes = 0
        ended = Closed if isinstance(self.error, Closed) else ConnectionLost
        self._control.fail_all(ended(str(self.error)))
        self.calls.fail_all(ended(f"{self.error}; whether the request was carried out is unknown"))

    def owns(self, sender: str, event: str | None) -> bool:
        """Whether the server knows this client as the owner of that event."""
        return (sender, event) in self._owned

    def knows(self, sender: str) -> bool:
        """Whether a route of that sender is open here."""
        return any(route.sender == sender for route in self._routes.values())

    # What the driver does

    def take_news(self) -> list[News]:
        """What has happened since, in order."""
        news, self._news = self._news, []
        return news

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        deadlines = [d for d in (self.calls.next_deadline(), self._control.next_deadline()) if d is not None]
        return min(deadlines, default=None)

    def handle_timeout(self, now: float) -> None:
        """Time has passed: calls that were not answered in time fail."""
        self._now = now
        self.calls.handle_timeout(now)
        self._control.handle_timeout(now)

    def receive_at(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the link."""
        self._now = now
        self.receive_data(data)

    # Frames

    def _receive(self, frame: Frame) -> None:
        if self.opened:
            if frame.kind == _EVENT:
                self._news.append(EventsArrived(frame, count_events(frame)))
                return
            handler = _HANDLERS.get(frame.kind)
            if handler is not None:
                handler(self, frame)
                return
        elif frame.kind == Kind.WELCOME:
            self._welcomed(decode_control(Welcome, frame.body))
            return
        super()._receive(frame)
        if self.closed and not self.opened:
            said = self.farewell.message if self.farewell is not None else str(self.error)
            self.error = HandshakeRefused(said.removeprefix("the other end closed the link: "))

    def _welcomed(self, welcome: Welcome) -> None:
        if welcome.version != VERSION or self.codec.name not in welcome.codecs:
            raise RemoteProtocolError(
                f"the server chose version {welcome.version} and {welcome.codecs}, which were not offered"
            )
        self.welcome = welcome
        self.opened = True
        self.max_frame_bytes: int = min(self.limits.max_frame_bytes, welcome.max_frame_bytes)
        self._reader.max_frame_bytes = self.limits.max_frame_bytes

    def _result(self, frame: Frame) -> None:
        if frame.flags & RESULT_ERR:
            self._control.fail(frame.route, decode_error(frame.body))
        else:
            self._control.succeed(frame.route, decode_control(Result[object], frame.body).ok)

    def _route(self, frame: Frame) -> None:
        route = decode_control(Route, frame.body)
        self._routes[frame.route] = route
        if route.owner:
            self._owned[route.sender, route.event] = frame.route
        if route.event is None:
            self._request_routes[route.sender] = frame.route
        else:
            self._news.append(RouteOpened(frame.route, route))

    def _route_gone(self, frame: Frame) -> None:
        gone = decode_control(RouteGone, frame.body)
        route = self._routes.pop(frame.route, None)
        if route is None:
            return
        if self._owned.get((route.sender, route.event)) == frame.route:
            del self._owned[route.sender, route.event]
        if route.event is not None:
            self._news.append(RouteClosed(frame.route))
            return
        if self._request_routes.get(route.sender) == frame.route:
            del self._request_routes[route.sender]
        self.calls.fail_about(
            frame.route,
            ConnectionLost(
                f"sender {route.sender!r} left ({gone.reason}) before it answered; "
                "whether the request was carried out is unknown"
            ),
        )

    def _presence(self, frame: Frame) -> None:
        self._news.append(decode_control(Presence, frame.body))

    def _lost(self, frame: Frame) -> None:
        self._news.append(unpack_lost(frame))

    def _request(self, frame: Frame) -> None:
        request = unpack_request(frame)
        route = self._routes.get(frame.route)
        if route is None or not route.owner or route.event is not None:
            raise RemoteProtocolError(f"the server sent a request on route {frame.route}, which is not ours")
        deadline = self._now + request.remaining_ms / 1000
        self._news.append(RequestArrived(route.sender, frame.route, request, deadline))

    def _reply(self, frame: Frame) -> None:
        reply = unpack_reply(frame)
        if self.calls.about(reply.corr) != frame.route:
            self.calls.late += 1
        elif frame.flags & REPLY_ERR:
            self.calls.fail(reply.corr, decode_error(reply.payload))
        else:
            self.calls.succeed(reply.corr, reply.payload)

    def _cancel(self, frame: Frame) -> None:
        cancel = unpack_cancel(frame)
        self._news.append(RequestDropped(cancel.peer, cancel.corr))

    def _peer_gone(self, frame: Frame) -> None:
        self._news.append(RequestDropped(unpack_peer_gone(frame), None))

    def _expired(self, corr: int, route: int, sender: str, method: str, timeout: float) -> SigError:
        if not self.closed:
            self._put(pack_cancel(Cancel(0, corr), route=route))
        return RequestTimeout(sender, method, round(timeout, 3))

    def _check_alive(self) -> None:
        if self.closed:
            # A new one each time: an exception keeps all the places where it was raised.
            ended = Closed if self._left or isinstance(self.error, Closed) else ConnectionLost
            raise ended(str(self.error or "the link to the server has been closed"))

    # Sending

    def _put(self, frame: bytes) -> None:
        self._items.append(frame)
        self.queued_bytes += len(frame)

    def _ordered(self, limit: int) -> Sequence[bytes]:
        """Runs of events become batches; everything stays in its order."""
        items = self._items
        size = end = 0
        while end < len(items) and size < limit:
            item = items[end]
            size += len(item) if isinstance(item, bytes) else len(item[1]) + HEADER.size
            end += 1
        taken = items[:end]
        del items[:end]
        self.queued_bytes -= size
        frames: list[bytes] = []
        events: list[tuple[int, bytes]] = []
        for item in taken:
            if isinstance(item, bytes):
                self._pack(events, frames)
                frames.append(item)
            else:
                events.append(item)
        self._pack(events, frames)
        return frames

    def _pack(self, events: list[tuple[int, bytes]], frames: list[bytes]) -> None:
        if events:
            codec = self.codec
            frames.extend(pack_events(events, lens=False, lines=codec.lines, max_frame_bytes=self.max_frame_bytes))
            events.clear()


_HANDLERS: Final[dict[int, Callable[[ClientCore, Frame], None]]] = {
    Kind.RESULT: ClientCore._result,
    Kind.ROUTE: ClientCore._route,
    Kind.ROUTE_GONE: ClientCore._route_gone,
    Kind.PRESENCE: ClientCore._presence,
    Kind.LOST: ClientCore._lost,
    Kind.REQUEST: ClientCore._request,
    Kind.REPLY: ClientCore._reply,
    Kind.CANCEL: ClientCore._cancel,
    Kind.PEER_GONE: ClientCore._peer_gone,
}


def _error_payload(error: BaseException | None) -> bytes:
    told = to_wire(error if error is not None else ProtocolError("no answer was given"))
    try:
        return encode_control(told)
    except SigError:  # the `data` of a RequestFailed is the user's, and may be anything
        return encode_control({"code": told["code"], "message": told["message"]})
