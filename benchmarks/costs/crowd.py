"""The processes of `slow`: a server with its usual limits, a publisher, subscribers, and those who do not read."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import sig
from benchmarks.peers import roles
from benchmarks.peers.contestants import sig_blocking
from benchmarks.peers.contestants.sig_blocking import SENDER, Publisher
from benchmarks.peers.roles import Address
from sig.carriers.address import parse
from sig.messages import Hello, Listen, encode_control
from sig.protocol.bodies import unpack_lost
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack

__all__ = ["Publisher", "Reluctant", "Server", "Subscriber"]

CONNECT_S = 20.0
READ = 256 * 1024
# Little is kept for who does not read where it would not count: in the system.
RECEIVE_BUFFER = 4096
# Who reads or says nothing for so long is cut off, and then nobody can say what it has missed. This is not about that.
PATIENCE_S = 300.0


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = sig.serve("tcp://127.0.0.1:0", write_stall_s=PATIENCE_S, heartbeat_timeout_s=PATIENCE_S)
        self.address = {"url": self._server.urls[0]}

    def close(self) -> None:
        self._server.close()


class Subscriber(sig_blocking.Subscriber):
    def books(self) -> Books:
        """What the listeners have been given, and what they are told they have missed."""
        there = self.subscriptions
        # What cannot be known counts as nothing: then the books are wrong, as they should be.
        return Books(sum(one.received or 0 for one in there), sum(one.missed or 0 for one in there))


class Books(NamedTuple):
    delivered: int
    missed: int


class Reluctant(roles.Role):
    """Connections that ask for events, and then read little or nothing; in the end they read what there is."""

    def __init__(self, address: Address) -> None:
        self._place = parse(address["url"])[:2]
        self._links: list[_Link] = []
        self._stop = threading.Event()
        self._slow: threading.Thread | None = None

    def open(self, count: int, route: str, bytes_per_s: float) -> None:
        """Open so many, and return when the server will send to all of them."""
        self._links = [_Link(self._place, route) for _ in range(count)]
        if bytes_per_s:
            self._slow = threading.Thread(target=self._trickle, args=(1 / bytes_per_s,), daemon=True)
            self._slow.start()

    def _trickle(self, interval_s: float) -> None:
        while not self._stop.wait(interval_s):
            for link in self._links:
                link.read(1)

    def finish(self, accepted: int, limit: float) -> list[Books]:
        """Read to the end: until each has been given, or told that it has missed, as many; or after `limit` seconds."""
        self._stop.set()
        if self._slow is not None:
            self._slow.join()
        deadline = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            for link in self._links:
                selector.register(link.sock, selectors.EVENT_READ, link)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    link = key.data
                    if not link.read(READ) or link.delivered + link.missed >= accepted:
                        selector.unregister(link.sock)
        return [Books(link.delivered, link.missed) for link in self._links]

    def close(self) -> None:
        for link in self._links:
            link.sock.close()


class _Link:
    """One connection, and what has come over it so far."""

    def __init__(self, place: tuple[Any, ...], route: str) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.sock.settimeout(CONNECT_S)
        self.sock.connect(place)
        self.delivered = self.missed = 0
        self._listening = False
        self._reader = FrameReader(1 << 24, preface=True)
        self.sock.sendall(PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
        self.sock.sendall(pack(Kind.CALL, encode_control(Listen(1, SENDER, route)), route=1))
        while not self._listening:
            if not self.read(RECEIVE_BUFFER):
                raise ConnectionError("the server closed a link that had only asked for events")

    def read(self, most: int) -> bool:
        """Read at most so many bytes; false at the end of the link."""
        data = self.sock.recv(most)
        frames = self._reader.feed(data)
        while frames:
            for frame in frames:
                if frame.kind == Kind.EVENT:
                    self.delivered += frame.count
                elif frame.kind == Kind.LOST:
                    self.missed += unpack_lost(frame).missed or 0
                elif frame.kind == Kind.RESULT:
                    self._listening = True
            frames = self._reader.feed()
        return bool(data)
