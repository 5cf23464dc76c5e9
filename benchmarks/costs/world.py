"""A server without I/O, and who is connected to it: bytes go from end to end when they are told to.

Here a link costs nothing, so that what is left is what `sig` costs. Whatever a server grants or tells (the handshake,
routes, interest, credit), this one does: it is the same core.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import sig
from sig.carriers.base import ClientCarrier
from sig.constants import Limits
from sig.drivers.links import Link, LinkUser, ReadsByItself
from sig.errors import ConnectionLost
from sig.messages import (
    AddSender,
    Call,
    Hello,
    Listen,
    Route,
    decode_control,
    decode_error,
    encode_control,
)
from sig.protocol.access import Access
from sig.protocol.connection import Connection
from sig.protocol.frames import PREFACE, RESULT_ERR, Frame, FrameReader, Kind, pack
from sig.protocol.server import ServerCore
from sig.security.policy import Policy

CHUNK = 1 << 20

# A batch of triggers must not wait for credit, which comes between the batches.
WINDOW_BYTES = 1 << 28


# How a client packs what it gathers, for `pack_events`.
AS_PUBLISHED: dict[str, Any] = {"lens": False, "lines": True, "max_frame_bytes": 1 << 24}


class End:
    """A client that says what it is told to; the server's connection to it is all that there is of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.connection = world.accept()
        self._reader = FrameReader(world.limits.max_frame_bytes, preface=True)
        self._calls = 0
        self.routes: dict[tuple[str, str | None], int] = {}
        """The numbers of the events of its own senders."""
        self.send(PREFACE, pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
        self.read()

    def send(self, *frames: bytes) -> None:
        self._world.receive(self.connection, b"".join(frames))

    def read(self) -> list[Frame]:
        """What the server has to say now."""
        frames = []
        while data := self.connection.data_to_send(CHUNK):
            frames += self._reader.feed(data)
            while more := self._reader.feed():
                frames += more
        return frames

    def call(self, message: Call) -> None:
        """Ask the server; raises what it answers with."""
        self._calls += 1
        self.send(pack(Kind.CALL, encode_control(message), route=self._calls))
        for frame in self.read():
            if frame.kind == Kind.ROUTE:
                route = decode_control(Route, frame.body)
                if route.owner:
                    self.routes[route.sender, route.event] = frame.route
            elif frame.kind == Kind.RESULT and frame.flags & RESULT_ERR:
                raise decode_error(frame.body)

    def listen(self, sender: str | None = None, event: str | None = None) -> None:
        self.call(Listen(self._calls + 1, sender, event))

    def add(self, sender: str, events: Sequence[str]) -> list[int]:
        """Hold a sender; returns the numbers of its events."""
        self.call(AddSender(sender, list(events), None))
        return [self.routes[sender, event] for event in events]


class World:
    """A server, and who is connected to it, held to a policy if there is one. `limits` are given by name."""

    def __init__(self, policy: Policy | None = None, **limits: Any) -> None:
        self.options = limits
        self.limits = Limits.of(**limits)
        chance = random.Random(1)
        now = time.monotonic()
        self.server = ServerCore(
            self.limits,
            node="bench",
            epoch=1,
            wall_offset=time.time() - now,
            random64=lambda: chance.getrandbits(63) or 1,
            access=Access(lambda: chance.randbytes(32), policy=policy),
        )

    def accept(self) -> Connection:
        return self.server.accept(time.monotonic(), "bench")

    def receive(self, connection: Connection, data: bytes | memoryview) -> None:
        self.server.receive_data(connection, data, time.monotonic())

    def drain(self) -> int:
        """Take away what the server has to say to those who have no link; returns how many bytes."""
        dirty, self.server.dirty = self.server.dirty, {}
        size = 0
        for connection in dirty:
            while data := connection.data_to_send(CHUNK):
                size += len(data)
        return size


class MemoryLink(ReadsByItself):
    """Carries the bytes of a `sig.connect` client to a world in the same process, and back.

    A thread does, but for the time between `hush` and `revive`: then what is sent is only kept, at the cost of an
    append, until `carry` is called.
    """

    unsent = 0

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()  # guards the world
        self._kept: list[bytes] = []
        self._live = True
        self._ended = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-link", daemon=True)
        self._user: LinkUser
        self._connection: Connection
        self.send: Callable[[bytes], None] = self._send

    def hush(self) -> None:
        """From here on, do nothing but keep what is sent."""
        self._live = False
        self.send = self._kept.append

    def revive(self) -> None:
        """Carry again."""
        self._live = True
        self.send = self._send
        self._wake.set()

    def carry(self) -> None:
        """Bring what was sent to the server, and what it answers back."""
        with self._lock:
            kept, count = self._kept, len(self._kept)
            self._world.receive(self._connection, b"".join(kept[:count]))
            del kept[:count]
            while data := self._connection.data_to_send(CHUNK):
                self._user.received(data)
            self._world.drain()

    def start(self, user: LinkUser) -> None:
        self._user = user
        self._connection = self._world.accept()
        self._thread.start()

    def _send(self, data: bytes) -> None:
        self._kept.append(data)
        self._wake.set()

    def finish(self, timeout: float) -> None:
        self._ended = True
        self._wake.set()

    def join(self, timeout: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def abandon(self) -> None:
        pass

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait()
            self._wake.clear()
            if self._live:
                self.carry()
        self.carry()  # what was said in the end
        self._world.server.disconnected(self._connection, time.monotonic())
        self._user.lost(ConnectionLost("the link has ended"))


class InMemory(ClientCarrier):
    """What `sig.connect` takes instead of an address."""

    made: MemoryLink

    def __init__(self, world: World) -> None:
        self._world = world

    def link(self, limits: Limits, timeout: float) -> Link:
        self.made = MemoryLink(self._world)
        return self.made


def connect(world: World) -> tuple[sig.ClientRouter, MemoryLink]:
    """An ordinary client of that world, and its link."""
    carrier = InMemory(world)
    return sig.connect(carrier, **world.options), carrier.made
