"""What the regression tests share: a client that may say anything, and waiting for what must come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sig
from sig.messages import Call, Hello, decode_error, encode_control
from sig.protocol.frames import PREFACE, RESULT_ERR, Frame, FrameReader, Kind, pack

LIMIT_S = 20
HELLO = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"])))


class Raw:
    """A connected socket, and the frames that came."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader(1 << 24, preface=True)
        self.frames: list[Frame] = []

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def call(self, message: Call, number: int) -> None:
        self.send(pack(Kind.CALL, encode_control(message), route=number))

    def wait_for(self, kind: Kind) -> Frame:
        """The next frame of that kind; those before it are kept in `frames`."""
        while True:
            for position, frame in enumerate(self.frames):
                if frame.kind == kind:
                    return self.frames.pop(position)
            data = self.sock.recv(65536)
            assert data, f"the server closed before {kind.name}"
            self.frames.extend(self.reader.feed(data))

    def refusal(self) -> sig.SigError:
        """The error that the next RESULT tells of."""
        frame = self.wait_for(Kind.RESULT)
        assert frame.flags & RESULT_ERR, "the server did as it was told"
        return decode_error(frame.body)

    def closed(self) -> bool:
        """Read to the end."""
        try:
            while data := self.sock.recv(65536):
                self.frames.extend(self.reader.feed(data))
        except ConnectionResetError:
            pass
        return True


@contextmanager
def raw(url: str, *, hello: bool = True) -> Iterator[Raw]:
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port)), LIMIT_S) as sock:
        client = Raw(sock)
        if hello:
            client.send(HELLO)
            client.wait_for(Kind.WELCOME)
        yield client


class Heard:
    """A listener that keeps what it got, and can be waited for."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, object]] = []
        self._changed = threading.Condition()

    def __call__(self, info: sig.Info, data: object) -> None:
        with self._changed:
            self.events.append((info.sender, info.event, data))
            self._changed.notify_all()

    @property
    def data(self) -> list[object]:
        return [data for _, _, data in self.events]

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, LIMIT_S), self.events


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread
