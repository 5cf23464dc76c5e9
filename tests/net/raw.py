"""Peers written by hand over plain sockets: they say what a test tells them to, and read when it tells them to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from net.aside import aside

import sig
from sig.carriers.address import parse
from sig.messages import (
    AddSender,
    Call,
    Error,
    Hello,
    Listen,
    Result,
    Route,
    Welcome,
    decode_control,
    decode_error,
    encode_control,
)
from sig.protocol.frames import PREFACE, RESULT_ERR, Frame, FrameReader, Kind, pack

LIMIT_S = 20


class Raw:
    """One end of a connection. Every wait ends after `LIMIT_S`, with an error."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(LIMIT_S)
        self._reader = FrameReader(1 << 24, preface=True)
        self._frames: list[Frame] = []
        self._calls = 0

    @classmethod
    def connect(cls, url: str, *, receive_buffer: int | None = None) -> Self:
        """Connected, and silent yet."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(LIMIT_S)
        sock.connect(parse(url)[:2])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    @classmethod
    def client(cls, url: str, *, receive_buffer: int | None = None) -> Self:
        """Connected and welcomed."""
        raw = cls.connect(url, receive_buffer=receive_buffer)
        raw.send(PREFACE, pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
        raw.read(Kind.WELCOME)
        return raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def read(self, *kinds: Kind) -> Frame:
        """The next frame of one of these kinds, or of any; what comes before it is passed over."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if not kinds or frame.kind in kinds:
                    return frame
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"the other end closed, without one of {kinds}")
            self._frames += self._reader.feed(data)
            while more := self._reader.feed():
                self._frames += more

    def call(self, message: Call) -> object:
        """Ask a server; returns what it answers, or raises it."""
        self._calls += 1
        self.send(pack(Kind.CALL, encode_control(message), route=self._calls))
        while (frame := self.read(Kind.RESULT)).route != self._calls:
            pass
        if frame.flags & RESULT_ERR:
            raise decode_error(frame.body)
        return decode_control(Result[object], frame.body).ok

    def hold(self, name: str, *events: str, requests: list[str | None] | None = None) -> dict[str | None, int]:
        """Register a sender at a server; returns its routes by event, `None` for its requests."""
        self._calls += 1
        self.send(pack(Kind.CALL, encode_control(AddSender(name, list(events), requests)), route=self._calls))
        routes: dict[str | None, int] = {}
        while (frame := self.read(Kind.ROUTE, Kind.RESULT)).kind == Kind.ROUTE:
            route = decode_control(Route, frame.body)
            if route.owner:
                routes[route.event] = frame.route
        assert not frame.flags
        return routes

    def listen(self, sender: str | None = None, event: str | None = None) -> None:
        assert self.call(Listen(self._calls + 1, sender, event)) is None

    def last_words(self) -> Error | None:
        """Read to the end: the ERROR that the other end closed with, if it did."""
        said = None
        try:
            while True:
                frame = self.read()
                if frame.kind == Kind.ERROR:
                    said = decode_control(Error, frame.body)
        except (EOFError, ConnectionResetError):
            return said


class RawServer:
    """A server for one client at a time."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LIMIT_S)
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"

    def accept(self) -> Raw:
        """The next client, to whom nothing has been said yet."""
        return Raw(self._listening.accept()[0])

    def welcome(self, *, max_frame_bytes: int = 1 << 24) -> Raw:
        """The next client, welcomed."""
        raw = self.accept()
        raw.read(Kind.HELLO)
        raw.send(PREFACE, pack(Kind.WELCOME, encode_control(welcome(max_frame_bytes))))
        return raw

    def connected(self, **options: Any) -> tuple[sig.ClientRouter, Raw]:
        """A client of ours, and the server's end of its link."""
        client = sig.ClientRouter(self.url, **({"reconnect": False} | options))
        opening = aside(client.open)
        raw = self.welcome()
        opening.result(LIMIT_S)
        return client, raw

    def close(self) -> None:
        self._listening.close()


def welcome(max_frame_bytes: int = 1 << 24) -> Welcome:
    return Welcome(1, ["json"], "raw", 1, 1, "token", max_frame_bytes, 1 << 20, 0.0)


@contextmanager
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    try:
        yield server
    finally:
        server.close()


def result(value: object, call: Frame) -> bytes:
    """The answer to a CALL."""
    return pack(Kind.RESULT, encode_control(Result(value)), route=call.route)
