"""Whatever bytes come to the port: they cost that connection, and nobody else notices."""

from __future__ import annotations

import logging
import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from net.places import KINDS, place, stranger

import sig
from sig.messages import Error, Hello, decode_control, encode_control
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack

HELLO = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"])))

GREETINGS: dict[str, bytes] = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "http post": b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "websocket": b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    "tls 1.0": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(60),
    "tls 1.3": b"\x16\x03\x03\x00\x10" + bytes(16),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zmtp": b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + bytes(48),
    "nats": b'CONNECT {"verbose":false}\r\nPING\r\n',
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "mqtt": b"\x10\x0c\0\x04MQTT\x04\x02\0<\0\0",
    "amqp": b"AMQP\0\0\x09\x01",
    "smtp": b"EHLO localhost\r\n",
    "ftp": b"USER anonymous\r\n",
    "irc": b"NICK x\r\nUSER x 0 * :x\r\n",
    "postgres": struct.pack("!II", 8, 80877103),
    "mysql": b"\x20\0\0\x01\x85\xa6\x03\0\0\0\0\x01",
    "rdp": b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
    "smb": b"\0\0\0\x54\xffSMBr\0\0\0\0",
    "ldap": b"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\0\x80\0",
    "sip": b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    "pysig 0.7": b'{"id": 1, "method": "connect", "params": {}}',
    "empty json": b"{}",
    "newlines": b"\n" * 50,
    "nulls": bytes(50),
    "ones": b"\xff" * 50,
    "text": "Grüß Gott, ist da jemand?".encode(),
    "another major": b"PSIG\x02\0\0\0",
    "preface and garbage": PREFACE + b"\xde\xad\xbe\xef" * 10,
    "oversized": PREFACE + struct.pack("<IBBHI", 0x7FFFFFFF, 1, 0, 0, 0),
    "unknown kind": PREFACE + pack(0x6F, b""),
    "call before hello": PREFACE + pack(Kind.CALL, b'{"call":"flush"}'),
    "hello that is none": PREFACE + pack(Kind.HELLO, b"[]"),
    "event of nobody": HELLO + pack(Kind.EVENT, b"", count=0),
    "reply of nobody": HELLO + pack(Kind.REPLY, b"x"),
    "forged presence": HELLO + pack(Kind.PRESENCE, b'{"sender":"honest","incarnation":1,"event":"#disconnect"}'),
    "nested": HELLO + pack(Kind.CALL, b'{"call":"senders","pattern":' + b"[" * 100_000 + b"}"),
    "large number": HELLO + pack(Kind.CALL, b'{"call":"close","id":' + b"9" * 10_000 + b"}"),
    "not a number": HELLO + pack(Kind.CALL, b'{"call":"close","id":NaN}'),
    "not utf-8": HELLO + pack(Kind.CALL, b'{"call":"senders","pattern":"\xff\xfe"}'),
    "random": random.Random(5).randbytes(4000),
    "random after hello": HELLO + random.Random(6).randbytes(4000),
}


class Lines(logging.Handler):
    """The warnings of the library."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()


@pytest.fixture
def log() -> Iterator[Lines]:
    lines = Lines()
    logger = logging.getLogger("sig")
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)


def talk(url: str, data: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    with stranger(url, 10) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while part := sock.recv(65536):
                answer += part
        except ConnectionResetError:
            pass  # it closed while some of ours was unread
        return answer


@pytest.mark.parametrize("greeting", GREETINGS)
def test_a_stranger_costs_its_own_connection_and_one_line(greeting: str, log: Lines) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as honest:
        got: list[object] = []
        honest.listen(lambda info, data: got.append((info.event, data)), "honest", None)
        sender = honest.add_sender("honest", "e", {"m": lambda params: params})
        answer = talk(server.urls[0], GREETINGS[greeting])
        frames = FrameReader(1 << 24).feed(answer.removeprefix(PREFACE))
        if frames:
            last = frames[-1]
            assert last.kind == Kind.ERROR
            assert len(decode_control(Error, last.body).message) < 600
        assert log.came.wait(10)
        sender.trigger("e", 1)
        assert honest.request("honest", "m", 2) == 2
        honest.flush()
    assert [data for event, data in got if event == "e"] == [1]
    assert [event for event, _ in got] == ["#connect", "e", "#disconnect"]
    assert len(log.lines) == 1, log.lines
    assert len(log.lines[0].splitlines()) == 1
    assert len(log.lines[0]) < 800


# To them the preface is as strange as the others.
ELSEWHERE = ("http", "websocket", "tls 1.3", "ssh", "zmtp", "nulls", "text", "random", "event of nobody")


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("greeting", ELSEWHERE)
def test_strangers_at_other_carriers(kind: str, greeting: str, log: Lines) -> None:
    with (
        place(kind) as there,
        sig.serve(there.url, **there.server) as server,
        sig.connect(server.urls[0], **there.client) as honest,
    ):
        honest.add_sender("honest", requests={"m": lambda params: params})
        answer = talk(server.urls[0], GREETINGS[greeting])
        assert len(answer) < 2000
        assert log.came.wait(10)
        assert honest.request("honest", "m", 2) == 2
    assert len(log.lines) == 1, log.lines
    assert len(log.lines[0].splitlines()) == 1
    assert len(log.lines[0]) < 800


def test_what_a_peer_can_read_is_an_error_with_a_sentence() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        answer = talk(server.urls[0], b"PSIG\x02\0\0\0")
    (frame,) = FrameReader(1 << 20).feed(answer.removeprefix(PREFACE))
    error = decode_control(Error, frame.body)
    assert (error.code, error.fatal) == ("version", True)
    assert "update" in error.message


def test_many_strangers_are_logged_sparingly(log: Lines) -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        for _ in range(30):
            talk(server.urls[0], b"GET / HTTP/1.1\r\n\r\n")
    assert 1 <= len(log.lines) <= 11


def test_silence_ends_at_the_deadline() -> None:
    with sig.serve("tcp://127.0.0.1:0", handshake_timeout_s=0.3) as server:
        answer = talk(server.urls[0], b"")
    (frame,) = FrameReader(1 << 20).feed(answer.removeprefix(PREFACE))
    assert "send HELLO first" in decode_control(Error, frame.body).message


def test_one_byte_at_a_time_is_as_good_as_all_at_once() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        host, _, port = server.urls[0].removeprefix("tcp://").rpartition(":")
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(10)
            for byte in HELLO:
                sock.sendall(bytes([byte]))
            reader = FrameReader(1 << 20, preface=True)
            frames = []
            while not frames:
                frames = reader.feed(sock.recv(4096))
        assert frames[0].kind == Kind.WELCOME


def test_too_many_connections_are_told_to_come_back() -> None:
    # The server's own router is one of the two.
    with sig.serve("tcp://127.0.0.1:0", max_connections=2) as server, sig.connect(server.urls[0]) as first:
        with pytest.raises(sig.HandshakeRefused, match="come back later"):
            sig.connect(server.urls[0])
        assert first.senders() == []
