"""WebSocket as a layer: whole frames of ours in binary messages, under the subprotocol `pysig.v1`, and no preface.

Sans-I/O, upon the part of `websockets` that has no I/O either: it knows the bytes of HTTP and WebSocket, answers pings
and minds the rules; here is decided who is let in, and what is said to others. Nothing is compressed.

Peers know nothing of media and begin with the preface; in a WebSocket the subprotocol says what that would. So a layer
drops the preface from what its peer sends first, and gives its peer one when the WebSocket is open.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from math import inf
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI, PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from sig.constants import Limits
from sig.errors import (
    ConnectFailed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidArgument,
    RemoteProtocolError,
    SigError,
)
from sig.messages import Bye, Error, decode_control, encode_control, in_a_line
from sig.protocol.frames import MAGIC, PREFACE, FrameReader, FramingError, Kind, pack, parse_preface
from sig.protocol.subprotocol import SUBPROTOCOL, frames_in, message_limit, messages_of, misdirected

# Where a frame says what it is.
_KIND: Final = 4

# A browser's cookies fit.
_MAX_HEAD_BYTES: Final = 16 * 1024
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_METHODS: Final = tuple(
    name + b" "
    for name in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI")
)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) ?([^\r\n]*)")
_LOCATION: Final = re.compile(rb"\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
_PLAIN: Final = re.compile(rb"\ncontent-type:[ \t]*text/plain", re.IGNORECASE)
_PONG: Final = bytes([0x80 | Opcode.PONG])
_ORDERLY: Final = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD)
# Of what the other end says, so much stands in errors.
_LONGEST_WORDS: Final = 300

# The library would log each connection, and at its lowest level what people send.
_SILENT: Final = logging.Logger("sig.websocket", logging.CRITICAL + 1)


class WebSocketLayer:
    """What both ends have in common. Implements `Layer`; extended by `ServerWebSocket` and `ClientWebSocket`."""

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        self.held: int = 0
        self.closed: bool = False
        self.identity: str | None = None  # HTTP has proved nothing
        self.expires: float = inf
        self._protocol = protocol
        self._open = False
        self._over = False  # it has failed, or was given up before it was open
        self._begun = False  # our peer has begun to send
        self._head = bytearray()  # of HTTP, until it is complete
        self._out: list[bytes] = []
        self._pong = b""  # of several pings only the last must be answered: who does not read gathers no answers

    def receive(self, data: bytes | memoryview, now: float) -> bytes:
        if self._over:
            return b""
        try:
            return self._unpack(data) if self._open else self._greeted(data)
        except SigError:
            self._over = True
            raise

    def send(self, data: bytes, now: float) -> None:
        if not self._begun:
            self._begun = True
            data = data.removeprefix(PREFACE)
        if data and not self._over:
            if self._open:
                self._pack(data)
            else:
                self._early(data)

    def close(self, now: float) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._collect()
        elif not self._open:
            self._over = True
            self.held = 0

    def data_to_send(self) -> bytes:
        out, self._out = self._out, []
        if self._pong:
            out.insert(0, self._pong)  # not behind the word that nothing more will come
            self._pong = b""
        return b"".join(out)  # of one message that is no copy

    def next_deadline(self) -> float | None:
        return None  # a peer minds the time of its handshake, and of silence

    def handle_timeout(self, now: float) -> None:
        pass

    # The handshake

    def _greeted(self, data: bytes | memoryview) -> bytes:
        """Take what comes before the WebSocket is open."""
        head = self._head
        looked_at = len(head)
        head += data
        self._judge(bytes(head[: len(PREFACE)]))
        blank = _BLANK_LINE.search(head, max(0, looked_at - 3))
        end = len(head) if blank is None else blank.end()
        if end > _MAX_HEAD_BYTES:
            raise self._too_large()
        if blank is None:
            return b""
        rest = bytes(head[end:])
        self._shake(bytes(head[:end]), rest)
        self._collect()
        self._open = True
        self._head = bytearray()
        self._opened()
        return PREFACE + self._unpack(rest)

    def _judge(self, first: bytes) -> None:
        """Raise if what begins so, up to a preface long, is not and will not become HTTP."""
        raise NotImplementedError

    def _too_large(self) -> SigError:
        """What is wrong with so much HTTP."""
        raise NotImplementedError

    def _shake(self, head: bytes, rest: bytes) -> None:
        """Take the other end's part of the handshake, and what has come behind it; raises why there is none."""
        raise NotImplementedError

    def _opened(self) -> None:
        """The handshake is complete."""

    def _early(self, data: bytes) -> None:
        """Our peer sends before that."""
        raise NotImplementedError

    # Messages

    def _pack(self, data: bytes) -> None:
        if self._protocol.state is not State.OPEN:
            return  # one of us has said that nothing more will come
        for message in messages_of(data):
            self._protocol.send_binary(message)
        self._collect()

    def _unpack(self, data: bytes | memoryview) -> bytes:
        self._protocol.receive_data(bytes(data))
        parts = []
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)  # requests and responses come before
            if event.opcode is Opcode.TEXT:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "binary messages only")
                self._collect()
                raise RemoteProtocolError("the peer sent a text message in a WebSocket, where all are binary")
            if event.opcode is Opcode.BINARY or event.opcode is Opcode.CONT:
                parts.append(event.data)  # its frames may be cut anywhere, so there is no need to wait for the last
        self._collect()
        error = self._protocol.parser_exc
        if isinstance(error, PayloadTooBig):
            raise RemoteProtocolError(f"the peer sent a WebSocket message over the limit: {error}")
        if error is not None:
            raise RemoteProtocolError(f"the peer broke the rules of WebSocket: {_line(str(error))}")
        last = self._protocol.close_rcvd
        if last is not None:
            self.closed = True
            if last.code not in _ORDERLY and not parts:  # frames say more than a code
                raise ConnectionLost(f"the other end closed the WebSocket: {_line(str(last))}")
        return b"".join(parts)

    def _collect(self) -> None:
        """Take what the library has to send."""
        for data in self._protocol.data_to_send():
            if data.startswith(_PONG):
                self._pong = data
            elif data:  # else it means the end of the stream, which is the driver's
                self._out.append(data)


class ServerWebSocket(WebSocketLayer):
    """The end that was connected to.

    A request that a browser sends for a page is refused unless the page's origin is listed: else any page that a user
    visits could speak with a router on the user's machine. Programs send no origin.

    Args:
        limits: of the router. A message may be as large as a frame, before the handshake of our peers much less.
        path: where the WebSocket is.
        origins: of pages that may connect, such as `"https://example.org"`.
        hosts: the names by which this server may be asked for, whoever asks; any, if there are none.
    """

    def __init__(self, limits: Limits, path: str = "/", origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        self._server = ServerProtocol(
            origins=[None, *(Origin(origin) for origin in origins)],
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=message_limit(limits),
            logger=_SILENT,
        )
        super().__init__(self._server)
        self._path = path
        self._hosts = hosts
        # A message is only looked at when it is complete, and strangers are many. Twice a frame lets our peer itself
        # say what is wrong with one that is a little too large.
        self._strange: int | None = 2 * limits.max_frame_before_login_bytes
        self._taken = 0

    def _judge(self, first: bytes) -> None:
        if MAGIC.startswith(first) or any(first.startswith(each) or each.startswith(first) for each in _METHODS):
            return
        if first.startswith(MAGIC):  # told in its own words
            sentence = "this address speaks WebSocket: connect with ws:// instead of tcp://"
            self._out.append(PREFACE + pack(Kind.ERROR, encode_control(Error("not_websocket", sentence, fatal=True))))
            raise RemoteProtocolError(_stranger(first))
        raise self._refuse(400, _stranger(first))

    def _too_large(self) -> SigError:
        return self._refuse(431, f"the request is longer than {_MAX_HEAD_BYTES} bytes")

    def _shake(self, head: bytes, rest: bytes) -> None:
        self._server.receive_data(head)
        events = self._server.events_received()
        if not events:
            error = self._server.handshake_exc
            reason = error.__cause__ or error if error is not None else ""
            raise self._refuse(400, f"the request is malformed: {_line(str(reason))}")
        (request,) = events
        assert isinstance(request, Request)
        strange = misdirected(request.headers.get_all("Host"), self._hosts)
        if strange is not None:
            raise self._refuse(421, strange)
        path = request.path.partition("?")[0]
        if path != self._path:
            raise self._refuse(404, f"there is no WebSocket at {_line(path)!r}, but at {self._path!r}")
        response = self._server.accept(request)
        if response.status_code == 403:
            origin = _line(str(request.headers.get("Origin")))
            raise self._refuse(403, f"pages of {origin!r} may not connect: `origins` of the server does not list them")
        if response.status_code == 426:
            raise self._refuse(426, "the request does not ask for a WebSocket")
        if response.status_code != 101:
            raise self._refuse(response.status_code, _line(str(self._server.handshake_exc)))
        self._server.send_response(response)

    def _early(self, data: bytes) -> None:
        # Before the WebSocket is open a server says nothing but why it ends the link; the client hears that by HTTP.
        (frame, *_) = FrameReader(len(data)).feed(data)
        bye = frame.kind == Kind.BYE
        told: Bye | Error = decode_control(Bye, frame.body) if bye else decode_control(Error, frame.body)
        self._refuse(503, _line(told.message or told.code))
        self._over = True

    def _refuse(self, status: int, reason: str) -> SigError:
        """Answer by HTTP; returns what to raise."""
        about = f"This is a router of sig (pysig). It speaks WebSocket, with the subprotocol {SUBPROTOCOL}."
        response = self._server.reject(status, f"{about}\n{reason}\n")
        if status == 405:
            response.headers["Allow"] = "GET"
        elif status == 426:
            response.headers["Upgrade"] = "websocket"
        self._out.append(response.serialize())
        error = Denied if status in (403, 421) else RemoteProtocolError
        return error(f"the client was refused with HTTP {status}: {reason}")

    def _pack(self, data: bytes) -> None:
        if self._strange is not None and any(data[start + _KIND] == Kind.WELCOME for start, _ in frames_in(data)):
            self._strange = None
        super()._pack(data)

    def _unpack(self, data: bytes | memoryview) -> bytes:
        if self._strange is not None:
            self._taken += len(data)
            if self._taken > self._strange:
                self._server.fail(CloseCode.MESSAGE_TOO_BIG, "too much before the handshake")
                self._collect()
                raise RemoteProtocolError(f"the peer sent more than {self._strange} bytes before it was welcomed")
        return super()._unpack(data)


class ClientWebSocket(WebSocketLayer):
    """The end that connects. It asks for the WebSocket as soon as it is made.

    Args:
        url: of the server, `ws://host:port/path` or `wss://…`; TLS is a layer of its own.
        limits: of the router. A message may be as large as a frame.

    Raises:
        InvalidArgument: the URL is none of those.
    """

    held: int

    def __init__(self, url: str, limits: Limits) -> None:
        try:
            uri = parse_uri(url)
        except (InvalidURI, ValueError) as error:
            raise InvalidArgument(f"{url!r} is no URL of a WebSocket: {error}") from None
        self._client = ClientProtocol(
            uri, subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=message_limit(limits), logger=_SILENT
        )
        super().__init__(self._client)
        self._url = url
        self._waiting: list[bytes] = []
        self._client.send_request(self._client.connect())
        self._collect()

    def _judge(self, first: bytes) -> None:
        if first.startswith(b"HTTP/") or b"HTTP/".startswith(first) or MAGIC.startswith(first):
            return
        raise HandshakeRefused(f"{self._url} is no WebSocket server: {_stranger(first)}")

    def _too_large(self) -> SigError:
        return HandshakeRefused(f"{self._url} answers with more than {_MAX_HEAD_BYTES} bytes of HTTP headers")

    def _shake(self, head: bytes, rest: bytes) -> None:
        # Judged before the library sees it, which would wait for a body that may have no end.
        status = _STATUS.match(head)
        if status is None or status[1] != b"101":
            raise self._declined(head, rest)
        self._client.receive_data(head)
        error = self._client.handshake_exc
        if error is not None:
            raise HandshakeRefused(f"{self._url} is no WebSocket server of sig: {_line(str(error))}")
        self._client.events_received()
        if self._client.subprotocol is None:
            raise HandshakeRefused(f"{self._url} is a WebSocket server, but not of sig: it took no subprotocol")

    def _declined(self, head: bytes, rest: bytes) -> SigError:
        status, location = _STATUS.match(head), _LOCATION.search(head)
        if status is None:
            return HandshakeRefused(f"{self._url} is no WebSocket server: it answers {_text(head)!r}")
        answer = f"HTTP {_text(status[1])} {_text(status[2])}".rstrip()
        if location is not None and status[1].startswith(b"3"):
            return HandshakeRefused(
                f"{self._url} sends us elsewhere ({answer}): connect to {_text(location[1])!r}, with ws:// or wss://"
            )
        lines = rest.split(b"\n") if _PLAIN.search(head) else []
        said = next(
            (f": {_text(line)}" for line in reversed(lines) if line.strip()), ""
        )  # the last, of ours the reason
        error = ConnectFailed if status[1].startswith(b"5") else HandshakeRefused
        return error(f"{self._url} does not open a WebSocket for us ({answer}){said}")

    def _early(self, data: bytes) -> None:
        self._waiting.append(data)
        self.held += len(data)

    def _opened(self) -> None:
        for data in self._waiting:
            self._pack(data)
        self._waiting.clear()
        self.held = 0


def _stranger(first: bytes) -> str:
    """What speaks like this."""
    if first.startswith((b"\x15\x03", b"\x16\x03")):
        return "the peer speaks TLS; use wss:// on both sides, or ws://"
    try:
        parse_preface(first)
    except FramingError as error:
        return str(error)
    return "the peer speaks the protocol of sig without WebSocket; use tcp:// on both sides, or ws://"


def _line(text: str) -> str:
    return in_a_line(text, _LONGEST_WORDS)


def _text(data: bytes) -> str:
    return _line(data[:_LONGEST_WORDS].decode("utf-8", "replace")).strip()
