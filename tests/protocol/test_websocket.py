"""The layer of WebSocket: who is let in, what is said to others, and that frames arrive as they were sent.

Of what the Autobahn test suite looks at, these areas are the library's, which passes it, and are not repeated here:
framing (1), pings and pongs (2), reserved bits (3), opcodes (4), fragmentation (5), UTF-8 (6, and of no effect: text is
refused), close handling (7), and the speed of many or large messages (9). Compression (12, 13) is never agreed to.
Limits (10) are set here, and so tested here. Ours are too: the preface, whole frames in messages, the handshake with
its path, origins, subprotocol and bounds, the answers to those who speak something else, and what becomes of each
mistake: one error, and a close frame or an answer in HTTP.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable

import pytest
import websockets.frames
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from sig.constants import Limits
from sig.errors import ConnectFailed, ConnectionLost, Denied, HandshakeRefused, InvalidArgument, SigError
from sig.messages import Bye, Error, decode_control, encode_control
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack
from sig.protocol.layers import Layer
from sig.protocol.subprotocol import MESSAGE_BYTES, SUBPROTOCOL, message_limit
from sig.protocol.websocket import ClientWebSocket, ServerWebSocket, WebSocketLayer

NOW = 0.0
URL = "ws://localhost:3000/"
HELLO = pack(Kind.HELLO, b"{}")
WELCOME = pack(Kind.WELCOME, b"{}")
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: pysig.v1\r\n\r\n"
)
# What belongs to this key, by the rules of WebSocket.
ACCEPT = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="


def client(url: str = URL, limits: Limits | None = None) -> ClientWebSocket:
    return ClientWebSocket(url, limits or Limits())


def server(
    limits: Limits | None = None, path: str = "/", origins: Iterable[str] = (), hosts: Iterable[str] = ()
) -> ServerWebSocket:
    return ServerWebSocket(limits or Limits(), path, list(origins), list(hosts))


Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterable[bytes]:
    return (data,)


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def carry(left: Layer, right: Layer, cut: Cut = whole) -> tuple[bytes, bytes]:
    """Bring what both have to say to the other until they are silent; returns what they gave their peers."""
    given_left, given_right = bytearray(), bytearray()
    while True:
        to_right, to_left = left.data_to_send(), right.data_to_send()
        if not to_right and not to_left:
            return bytes(given_left), bytes(given_right)
        for part in cut(to_right):
            given_right += right.receive(part, NOW)
        for part in cut(to_left):
            given_left += left.receive(part, NOW)


def opened(
    limits: Limits | None = None, cut: Cut = whole, *, welcomed: bool = True
) -> tuple[ClientWebSocket, ServerWebSocket]:
    """Two ends whose peers have shaken hands."""
    ours, theirs = client(limits=limits), server(limits)
    assert carry(ours, theirs, cut) == (PREFACE, PREFACE)
    if welcomed:
        theirs.send(PREFACE + WELCOME, NOW)
        assert carry(ours, theirs, cut) == (WELCOME, b"")
    return ours, theirs


def sent(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """A frame of WebSocket."""
    return Frame(opcode, data, fin).serialize(mask=mask)


def said(layer: WebSocketLayer) -> tuple[int, str]:
    """Code and reason of the close frame that it sends, and nothing else."""
    data = layer.data_to_send()
    assert data[0] == 0x80 | Opcode.CLOSE
    assert 2 + data[1] == len(data)
    return int.from_bytes(data[2:4], "big"), data[4:].decode()


# -- frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_frames_arrive_with_a_preface_before_them(cut: Cut) -> None:
    ours, theirs = client(), server()
    ours.send(PREFACE + HELLO, NOW)
    theirs.send(PREFACE, NOW)
    assert carry(ours, theirs, cut) == (PREFACE, PREFACE + HELLO)
    theirs.send(WELCOME, NOW)
    ours.send(HELLO * 2, NOW)
    assert carry(ours, theirs, cut) == (WELCOME, HELLO * 2)
    assert not ours.closed
    assert not theirs.closed


def test_the_preface_does_not_travel() -> None:
    ours, theirs = opened(welcomed=False)
    ours.send(PREFACE, NOW)
    theirs.send(PREFACE, NOW)
    assert (ours.data_to_send(), theirs.data_to_send()) == (b"", b"")
    theirs.send(WELCOME, NOW)
    assert theirs.data_to_send() == b"\x82" + bytes([len(WELCOME)]) + WELCOME


def test_what_is_given_before_the_handshake_is_held() -> None:
    ours, theirs = client(), server()
    ours.send(PREFACE, NOW)
    assert ours.held == 0
    ours.send(HELLO, NOW)
    ours.send(HELLO, NOW)
    assert ours.held == 2 * len(HELLO)
    assert b"\r\n\r\n" in ours._protocol.connect().serialize()
    assert carry(ours, theirs) == (PREFACE, PREFACE + HELLO * 2)
    assert ours.held == 0


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=300), st.integers(1, 3)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_frames_arrive_however_the_medium_cuts_them(
    program: list[tuple[bool, bytes, int]], chance: random.Random
) -> None:
    def cut(data: bytes) -> Iterable[bytes]:
        while data:
            size = chance.randint(1, max(1, min(len(data), 200)))
            yield data[:size]
            data = data[size:]

    ours, theirs = opened(cut=cut)
    to_theirs = to_ours = b""
    for upward, body, count in program:
        data = pack(Kind.EVENT, body) * count
        if upward:
            ours.send(data, NOW)
            to_theirs += data
        else:
            theirs.send(data, NOW)
            to_ours += data
    assert carry(ours, theirs, cut) == (to_ours, to_theirs)


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 16 << 20])
def test_frames_of_any_size_arrive(size: int) -> None:
    ours, theirs = opened()
    frame = pack(Kind.EVENT, bytes(size))
    ours.send(frame, NOW)
    theirs.send(frame, NOW)
    assert carry(ours, theirs) == (frame, frame)


def messages(data: bytes) -> list[bytes]:
    """The messages that a server sends, which are not masked."""
    found = []
    while data:
        assert data[0] == 0x82  # binary, and the whole message
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        found.append(data[start : start + size])
        data = data[start + size :]
    return found


def test_much_at_once_is_sent_in_messages_of_whole_frames() -> None:
    _, theirs = opened()
    half, much, little = (pack(Kind.EVENT, bytes(size)) for size in (MESSAGE_BYTES // 2 - 12, MESSAGE_BYTES * 3, 5))
    theirs.send(half + half, NOW)
    assert messages(theirs.data_to_send()) == [half + half]
    theirs.send(half + half + little, NOW)
    assert messages(theirs.data_to_send()) == [half + half, little]
    theirs.send(little + half + much + little + little, NOW)
    assert messages(theirs.data_to_send()) == [little + half, much, little + little]
    theirs.send(much, NOW)
    assert messages(theirs.data_to_send()) == [much]


def test_one_message_is_not_copied_again() -> None:
    _, theirs = opened()
    theirs.send(bytes(MESSAGE_BYTES), NOW)
    (packed,) = theirs._out
    assert theirs.data_to_send() is packed


def test_masking_is_done_in_c() -> None:
    # In Python a megabyte would take milliseconds.
    assert inspect.isbuiltin(websockets.frames.apply_mask)


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_fragments_are_put_together(cut: Cut) -> None:
    _, theirs = opened()
    frame = pack(Kind.EVENT, b"0123456789")
    wire = (
        sent(Opcode.BINARY, frame[:5], fin=False) + sent(Opcode.PING, b"x") + sent(Opcode.CONT, frame[5:9], fin=False)
    )
    assert feed(theirs, wire + sent(Opcode.CONT, frame[9:]), cut) == frame


# -- pings and the end ---------------------------------------------------------------------------


def test_a_ping_is_answered() -> None:
    ours, theirs = opened()
    assert theirs.receive(sent(Opcode.PING, b"hear me?"), NOW) == b""
    assert theirs.data_to_send() == sent(Opcode.PONG, b"hear me?", mask=False)
    assert ours.receive(sent(Opcode.PING, b"and you?", mask=False), NOW) == b""
    pong = ours.data_to_send()
    assert theirs.receive(pong, NOW) == b""
    assert pong[0] == 0x80 | Opcode.PONG


def test_of_many_pings_the_last_is_answered_alone() -> None:
    _, theirs = opened()
    theirs.receive(b"".join(sent(Opcode.PING, bytes([i]) * 125) for i in range(100)), NOW)
    theirs.receive(sent(Opcode.PING, b"last") + sent(Opcode.CLOSE, b""), NOW)
    assert theirs.data_to_send() == sent(Opcode.PONG, b"last", mask=False) + sent(Opcode.CLOSE, b"", mask=False)


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("first", ["client", "server"])
def test_who_closes_is_understood(first: str, cut: Cut) -> None:
    ours, theirs = opened()
    closing, other = (ours, theirs) if first == "client" else (theirs, ours)
    closing.send(HELLO, NOW)
    closing.close(NOW)
    closing.close(NOW)
    closing.send(HELLO, NOW)  # too late
    assert carry(closing, other, cut) == (b"", HELLO)
    assert closing.closed
    assert other.closed
    other.send(HELLO, NOW)
    other.close(NOW)
    assert other.data_to_send() == b""


def test_what_was_under_way_when_we_closed_still_arrives() -> None:
    ours, theirs = opened()
    theirs.send(HELLO, NOW)
    ours.close(NOW)
    assert ours.receive(theirs.data_to_send(), NOW) == HELLO
    assert not ours.closed


def test_both_may_close_at_once() -> None:
    ours, theirs = opened()
    ours.close(NOW)
    theirs.close(NOW)
    assert carry(ours, theirs) == (b"", b"")
    assert ours.closed
    assert theirs.closed


@pytest.mark.parametrize("code", [1000, 1001, None])
def test_an_ordinary_end_is_no_error(code: int | None) -> None:
    _, theirs = opened()
    body = b"" if code is None else code.to_bytes(2, "big") + b"bye"
    assert theirs.receive(sent(Opcode.CLOSE, body), NOW) == b""
    assert theirs.closed
    assert theirs.receive(b"whatever follows", NOW) == b""


def test_an_end_with_a_reason_is_told() -> None:
    ours, _ = opened()
    close = sent(Opcode.CLOSE, (1011).to_bytes(2, "big") + b"out of\x1b paper", mask=False)
    with pytest.raises(ConnectionLost, match=r"the other end closed the WebSocket: 1011 .* out of  paper$"):
        ours.receive(close, NOW)
    assert ours.closed


def test_frames_say_more_than_a_reason() -> None:
    ours, _ = opened()
    close = sent(Opcode.CLOSE, (1012).to_bytes(2, "big"), mask=False)
    assert ours.receive(sent(Opcode.BINARY, HELLO, mask=False) + close, NOW) == HELLO
    assert ours.closed


@pytest.mark.parametrize("end", [client, server])
def test_who_gives_up_before_it_is_open_says_nothing_more(end: Callable[[], WebSocketLayer]) -> None:
    layer, other = end(), (server if end is client else client)()
    layer.data_to_send()
    if end is client:
        layer.send(PREFACE + HELLO, NOW)
    layer.close(NOW)
    layer.close(NOW)
    layer.send(HELLO, NOW)
    assert layer.held == 0
    assert layer.receive(other.data_to_send(), NOW) == b""
    assert layer.data_to_send() == b""


def test_it_has_no_time_of_its_own() -> None:
    ours, theirs = opened()
    for layer in (ours, theirs):
        assert layer.next_deadline() is None
        layer.handle_timeout(NOW)
        assert layer.data_to_send() == b""
        assert layer.identity is None


# -- mistakes ------------------------------------------------------------------------------------


def test_text_is_refused() -> None:
    _, theirs = opened()
    with pytest.raises(SigError, match="a text message in a WebSocket, where all are binary"):
        theirs.receive(sent(Opcode.TEXT, b"{}"), NOW)
    assert said(theirs) == (1003, "binary messages only")
    assert theirs.receive(sent(Opcode.BINARY, HELLO), NOW) == b""
    theirs.send(HELLO, NOW)
    assert theirs.data_to_send() == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc2\x80\0\0\0\0", "reserved bits must be 0"),
        (b"\x83\x80\0\0\0\0", "invalid opcode"),
        (b"\x82\x00", "incorrect masking"),
        (b"\x80\x80\0\0\0\0", "unexpected continuation frame"),
        (b"\x09\x80\0\0\0\0", "fragmented control frame"),
        (b"\x88\x81\0\0\0\0x", "close frame too short"),
    ],
)
def test_mistakes_end_it(data: bytes, reason: str) -> None:
    _, theirs = opened()
    with pytest.raises(SigError, match=f"the peer broke the rules of WebSocket: {reason}"):
        theirs.receive(data, NOW)
    assert said(theirs) == (1002, reason)


def test_a_message_over_the_limit_is_refused_before_it_has_come() -> None:
    limits = Limits.of(max_frame_bytes=2 * MESSAGE_BYTES)
    _, theirs = opened(limits)
    too_large = sent(Opcode.BINARY, bytes(message_limit(limits) + 1))
    with pytest.raises(SigError, match=f"over the limit: .*{message_limit(limits) + 1} bytes"):
        theirs.receive(too_large[:20], NOW)
    assert said(theirs)[0] == 1009


def test_fragments_count_together() -> None:
    limits = Limits.of(max_frame_bytes=100)
    _, theirs = opened(limits)
    theirs.receive(sent(Opcode.BINARY, bytes(MESSAGE_BYTES // 2), fin=False), NOW)
    theirs.receive(sent(Opcode.CONT, bytes(MESSAGE_BYTES // 2), fin=False), NOW)
    with pytest.raises(SigError, match="over the limit"):
        theirs.receive(sent(Opcode.CONT, b"x"), NOW)


def test_a_stranger_may_send_little() -> None:
    limits = Limits.of(max_frame_before_login_bytes=1000)
    _, theirs = opened(limits, welcomed=False)
    theirs.send(PREFACE, NOW)
    large = sent(Opcode.BINARY, bytes(3000))
    assert theirs.receive(large[:2000], NOW) == b""
    with pytest.raises(SigError, match="the peer sent more than 2000 bytes before it was welcomed"):
        theirs.receive(large[2000:], NOW)
    assert said(theirs) == (1009, "too much before the handshake")


def test_who_was_welcomed_may_send_much() -> None:
    limits = Limits.of(max_frame_before_login_bytes=1000)
    ours, theirs = opened(limits, welcomed=False)
    theirs.send(pack(Kind.PONG, bytes(8)), NOW)
    ours.send(pack(Kind.EVENT, bytes(1000)), NOW)
    carry(ours, theirs)
    theirs.send(pack(Kind.PONG, bytes(8)) + WELCOME, NOW)
    ours.send(pack(Kind.EVENT, bytes(100_000)), NOW)
    assert len(carry(ours, theirs)[1]) == 100_012


# -- the handshake, at the server ----------------------------------------------------------------


def feed(layer: Layer, data: bytes, cut: Cut) -> bytes:
    """What it gives its peer."""
    return b"".join([layer.receive(part, NOW) for part in cut(data)])


def refused(layer: ServerWebSocket, data: bytes, error: type[SigError] = SigError, cut: Cut = whole) -> tuple[str, str]:
    """What it raises, and the answer, which is the end."""
    with pytest.raises(error) as caught:
        feed(layer, data, cut)
    answer = layer.data_to_send().decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert f"Content-Length: {len(body.encode())}\r\n" in head + "\r\n"
    assert "Connection: close" in head
    assert "pysig.v1" in body
    assert layer.receive(b"more", NOW) == b""
    layer.send(HELLO, NOW)
    layer.close(NOW)
    assert layer.data_to_send() == b""
    return str(caught.value), answer


def changed(old: bytes, new: bytes) -> bytes:
    assert old in REQUEST
    return REQUEST.replace(old, new)


def test_the_answer_is_that_of_websocket() -> None:
    layer = server()
    assert layer.receive(REQUEST, NOW) == PREFACE
    answer = layer.data_to_send()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n" in answer
    assert b"\r\nSec-WebSocket-Protocol: pysig.v1\r\n" in answer
    assert b"xtension" not in answer


def test_compression_is_declined() -> None:
    layer = server()
    offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nHost:"
    assert layer.receive(changed(b"\r\nHost:", offer), NOW) == PREFACE
    assert b"xtension" not in layer.data_to_send()


def test_our_subprotocol_may_be_one_of_several() -> None:
    assert server().receive(changed(b"pysig.v1", b"pysig.v2, pysig.v1"), NOW) == PREFACE


def test_frames_may_come_right_behind_the_request() -> None:
    assert server().receive(REQUEST + sent(Opcode.BINARY, HELLO), NOW) == PREFACE + HELLO


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b"\r\nSec-WebSocket-Protocol: pysig.v1", b"", "400 Bad Request"),
        (b"pysig.v1", b"chat", "400 Bad Request"),
        (b"AAAA==", b"", "400 Bad Request"),
        (b"Version: 13", b"Version: 8", "400 Bad Request"),
        (b"Host:", b"Content-Length: 5\r\nHost:", "400 Bad Request"),
        (b"Host:", b"H\xf6st:", "400 Bad Request"),
        (b"Host: ", b"Host\n", "400 Bad Request"),
        (b"GET / ", b"GET ", "400 Bad Request"),
        (b"GET /", b"GET /else", "404 Not Found"),
        (b"GET / HTTP/1.1", b"GET / HTTP/1.0", "505 HTTP Version Not Supported"),
        (b"GET / HTTP/1.1", b"PRI * HTTP/2.0", "400 Bad Request"),
        (b"GET", b"POST", "405 Method Not Allowed"),
        (b"Upgrade: websocket\r\n", b"", "426 Upgrade Required"),
        (b"websocket", b"h2c", "426 Upgrade Required"),
        (b"GET /", b"GET /" + b"x" * 8200, "400 Bad Request"),
        (b"Host:", (b"Cookie: " + b"x" * 8000 + b"\r\n") * 3 + b"Host:", "431 Request Header Fields Too Large"),
    ],
)
@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_other_requests_are_answered(old: bytes, new: bytes, answer: str, cut: Cut) -> None:
    assert refused(server(), changed(old, new), cut=cut)[1].startswith(f"HTTP/1.1 {answer}\r\n")


def test_a_browser_is_told_what_this_is() -> None:
    error, answer = refused(server(), b"GET / HTTP/1.1\r\nHost: localhost:3000\r\nAccept: text/html\r\n\r\n")
    assert error == "the client was refused with HTTP 426: the request does not ask for a WebSocket"
    assert answer.startswith("HTTP/1.1 426 ")
    assert "\r\nUpgrade: websocket\r\n" in answer
    assert "This is a router of sig (pysig). It speaks WebSocket" in answer


def test_another_method_is_told_which_one_works() -> None:
    assert "\r\nAllow: GET\r\n" in refused(server(), b"POST / HTTP/1.1\r\n\r\n")[1]


def test_the_path_is_what_it_was_set_to() -> None:
    layer = server(path="/events")
    assert layer.receive(changed(b"GET /", b"GET /events?who=me"), NOW) == PREFACE
    assert "there is no WebSocket at '/', but at '/events'" in refused(server(path="/events"), REQUEST)[0]


def test_a_page_of_an_origin_that_is_not_listed_is_refused() -> None:
    for layer in (server(), server(origins=["https://here.example"])):
        request = changed(b"\r\nHost:", b"\r\nOrigin: https://there.example\r\nHost:")
        error, answer = refused(layer, request, Denied)
        assert answer.startswith("HTTP/1.1 403 Forbidden\r\n")
        assert "pages of 'https://there.example' may not connect: `origins` of the server does not list them" in error


def test_a_page_of_an_origin_that_is_listed_is_let_in_and_so_is_a_program() -> None:
    request = changed(b"\r\nHost:", b"\r\nOrigin: https://here.example\r\nHost:")
    assert server(origins=["https://here.example"]).receive(request, NOW) == PREFACE
    assert server(origins=["https://here.example"]).receive(REQUEST, NOW) == PREFACE


def test_a_server_is_asked_for_by_its_own_names_only() -> None:
    """Else a page could come by a name that its own domain has given to the user's machine."""
    ours = ["localhost", "lab.example"]
    assert server(hosts=ours).receive(REQUEST, NOW) == PREFACE
    for asked in (b"Host: rebound.example", b"Host: localhost:1\r\nHost: rebound.example"):
        error, answer = refused(server(hosts=ours), changed(b"Host: localhost:3000", asked), Denied)
        assert answer.startswith("HTTP/1.1 421 Misdirected Request\r\n")
        assert "this server is not 'rebound.example': its `hosts` do not list that" in error
    assert "this server is not ''" in refused(server(hosts=ours), changed(b"Host: localhost:3000\r\n", b""), Denied)[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "the peer speaks TLS; use wss:// on both sides, or ws://"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "the peer speaks SSH"),
        (b"\0\1\2\3", "it began with b'\\x00\\x01\\x02\\x03'"),
        (b"GEX", "it began with b'GEX'"),
        (b"\r\n\r\n", "does not speak the protocol of sig"),
    ],
)
def test_who_speaks_something_else_is_refused_at_once(data: bytes, words: str) -> None:
    error, answer = refused(server(), data)
    assert words in error
    assert answer.startswith("HTTP/1.1 400 ")


def test_a_peer_of_ours_without_websocket_is_told_in_its_own_words() -> None:
    layer = server()
    assert layer.receive((PREFACE + HELLO)[:4], NOW) == b""
    with pytest.raises(SigError, match="speaks the protocol of sig without WebSocket"):
        layer.receive((PREFACE + HELLO)[4:], NOW)
    (frame,) = FrameReader(1000, preface=True).feed(layer.data_to_send())
    assert (
        decode_control(Error, frame.body).message
        == "this address speaks WebSocket: connect with ws:// instead of tcp://"
    )


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pack(Kind.ERROR, encode_control(Error("overloaded", "too many clients", fatal=True))), "too many clients"),
        (pack(Kind.BYE, encode_control(Bye("shutdown"))), "shutdown"),
    ],
)
def test_the_last_word_before_the_handshake_is_said_in_http(frame: bytes, words: str) -> None:
    layer = server()
    layer.send(PREFACE + frame, NOW)
    assert layer.held == 0
    layer.close(NOW)
    ours = client()
    with pytest.raises(ConnectFailed, match=rf"\(HTTP 503 Service Unavailable\): {words}$"):
        carry(ours, layer)


# -- the handshake, at the client ----------------------------------------------------------------


def test_it_asks_as_soon_as_it_is_made() -> None:
    head, *lines = client("ws://router.example:81/events?who=me").data_to_send().split(b"\r\n")
    assert head == b"GET /events?who=me HTTP/1.1"
    assert b"Host: router.example:81" in lines
    assert b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode() in lines
    assert not any(line.startswith((b"Origin", b"Sec-WebSocket-Extensions")) for line in lines)


@pytest.mark.parametrize("url", ["http://localhost/", "ws:///", "ws://localhost/#here", "ws://localhost:x/"])
def test_what_is_no_url_of_a_websocket_is_said(url: str) -> None:
    with pytest.raises(InvalidArgument, match="is no URL of a WebSocket: "):
        client(url)


WITHOUT = "the peer speaks the protocol of sig without WebSocket; use tcp:// on both sides, or ws://"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nThis is a door.\nnot\tyou\x1b\r\n",
            f"{URL} does not open a WebSocket for us (HTTP 403 Forbidden): not you",
        ),
        (
            b"HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>",
            f"{URL} does not open a WebSocket for us (HTTP 404 Not Found)",
        ),
        (b"HTTP/1.1 200\r\n\r\n", f"{URL} does not open a WebSocket for us (HTTP 200)"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://new.example/\r\n\r\n",
            f"{URL} sends us elsewhere (HTTP 301 Moved): connect to 'https://new.example/', with ws:// or wss://",
        ),
        (b"HTTP/1.1 302 Found\r\n\r\n", f"{URL} does not open a WebSocket for us (HTTP 302 Found)"),
        (b"HTTP/9.9 ???\r\n\r\n", f"{URL} is no WebSocket server: it answers 'HTTP/9.9 ???'"),
        (b"HTTP/1.1 101 OK\r\n\r\n", f"{URL} is no WebSocket server of sig: missing Connection header"),
        (
            SWITCHING + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
            f"{URL} is no WebSocket server of sig: invalid Sec-WebSocket-Accept header: wrong",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 17_000, f"{URL} answers with more than 16384 bytes of HTTP headers"),
        (b"SSH-2.0-OpenSSH\r\n", f"{URL} is no WebSocket server: the peer speaks SSH"),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            f"{URL} is no WebSocket server: the peer speaks TLS; use wss:// on both sides, or ws://",
        ),
        (
            PREFACE,
            f"{URL} is no WebSocket server: {WITHOUT}",
        ),
    ],
)
def test_who_will_not_have_us_is_told_of_in_a_sentence(answer: bytes, words: str) -> None:
    ours = client()
    ours.send(PREFACE + HELLO, NOW)
    with pytest.raises(HandshakeRefused) as caught:
        ours.receive(answer, NOW)
    assert str(caught.value) == words
    assert ours.receive(b"more", NOW) == b""


def test_a_server_that_may_be_back_soon_has_not_refused() -> None:
    with pytest.raises(ConnectFailed) as caught:
        client().receive(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", NOW)
    assert not isinstance(caught.value, HandshakeRefused)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "is a WebSocket server, but not of sig: it took no subprotocol"),
        (b"Sec-WebSocket-Protocol: chat\r\n", "is no WebSocket server of sig: unsupported subprotocol: chat"),
        (b"Sec-WebSocket-Extensions: permessage-deflate\r\n", "is no WebSocket server of sig: no extensions supported"),
    ],
)
def test_a_websocket_of_somebody_else_is_refused(line: bytes, words: str) -> None:
    ours, theirs = client(), server()
    theirs.receive(ours.data_to_send(), NOW)
    answer = theirs.data_to_send().replace(b"Sec-WebSocket-Protocol: pysig.v1\r\n", line)
    with pytest.raises(HandshakeRefused, match=words):
        ours.receive(answer, NOW)


# -- any bytes -----------------------------------------------------------------------------------


def survives(layer: WebSocketLayer, parts: Iterable[bytes]) -> None:
    """Whatever comes: bytes for the peer, or one error and then silence, and what is sent is an answer in HTTP."""
    errors = []
    layer.data_to_send()
    for part in parts:
        try:
            given_peer = layer.receive(part, NOW)
        except SigError as error:
            errors.append(str(error))
        else:
            assert not (errors and given_peer)
    answer = layer.data_to_send()
    assert len(errors) < 2
    assert all(error.isprintable() for error in errors)
    if errors and isinstance(layer, ServerWebSocket):
        assert answer.startswith((b"HTTP/1.1 ", PREFACE, b"\x88", b"\x8a"))
    layer.close(NOW)
    layer.data_to_send()


@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from([client, server]))
@example([b"PS", b"IG\1\0"], server)
@example([b"HTTP/1.1 101 ", b"\n\n"], client)
def test_any_bytes_are_survived(parts: list[bytes], end: Callable[[], WebSocketLayer]) -> None:
    survives(end(), parts)


LINES = [line + b"\r\n" for line in REQUEST.split(b"\r\n")[:-2]]
PIECES = [
    *LINES,
    *(b"\r\n", b"\n", b"\r", b" ", b":", b"\0", b"\xff", b"13", b"websocket", b"Upgrade, ", b"pysig.v1", b"==", b","),
    *(
        b"Origin: http://evil.example\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 9\r\n",
        b"Expect: 1\r\n",
    ),
    *(b"HTTP/1.1 101 OK\r\n", b"HTTP/1.1 200 OK\r\n", b"Location: \r\n", b'Sec-WebSocket-Extensions: x; y="\r\n'),
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """An upgrade request after some changes, and perhaps something behind it."""
    lines = list(LINES)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(lines)))
        match draw(st.sampled_from(["insert", "drop", "swap", "flip"])):
            case "insert":
                lines.insert(at, draw(st.sampled_from(PIECES) | st.binary(max_size=30)))
            case "drop":
                del lines[at : at + 1]
            case "swap" if lines:
                other = draw(st.integers(0, len(lines) - 1))
                lines[at - 1], lines[other] = lines[other], lines[at - 1]
            case _:
                data = bytearray(b"".join(lines[at : at + 1]))
                if data:
                    data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
                    lines[at] = bytes(data)
    return b"".join(lines) + draw(st.sampled_from([b"\r\n", b"\r\n", b"", b"\n"])) + draw(st.binary(max_size=30))


@given(requests(), st.integers(1, 400))
def test_any_request_is_survived(request: bytes, size: int) -> None:
    survives(server(), [request[i : i + size] for i in range(0, len(request), size)])


@given(st.data())
def test_any_answer_is_survived(data: st.DataObject) -> None:
    ours, theirs = client(), server()
    theirs.receive(ours.data_to_send(), NOW)
    answer = bytearray(theirs.data_to_send())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(answer) - 1))
        answer[at : at + data.draw(st.integers(0, 20))] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=10))
    survives(ours, [bytes(answer)])


@given(
    st.lists(
        st.binary(max_size=50)
        | st.builds(
            lambda opcode, body, fin, mask: sent(
                opcode, body[: 125 if opcode >= 8 else None], fin=fin or opcode >= 8, mask=mask
            ),
            st.sampled_from(Opcode),
            st.binary(max_size=200),
            st.booleans(),
            st.sampled_from([True, True, True, False]),
        ),
        max_size=8,
    )
)
def test_any_messages_are_survived(parts: list[bytes]) -> None:
    _, theirs = opened()
    survives(theirs, parts)


def test_a_layer_decides_nothing_by_itself_about_the_handshake() -> None:
    layer = WebSocketLayer(ServerProtocol())
    for step in (
        lambda: layer._judge(b""),
        lambda: layer._too_large(),
        lambda: layer._shake(b"", b""),
        lambda: layer._early(b""),
    ):
        with pytest.raises(NotImplementedError):
            step()
