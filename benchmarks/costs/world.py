"""A real server and real clients on one thread: bytes go from end to end when they are told to.

Here a link costs nothing, so that what is left is what `sig` costs. Whatever a server grants or tells (the handshake,
routes, interest, credit), this one does: it is the same core.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import sig
from sig.carriers.tcp import TCPClient
from sig.codecs import as_codec
from sig.constants import Limits
from sig.drivers.links import LinkUser
from sig.errors import ConnectionLost
from sig.messages import AddSender, Call, Listen
from sig.protocol.client import ClientCore
from sig.protocol.connection import Connection
from sig.protocol.server import ServerCore

CHUNK = 1 << 20
ANSWER_S = 30.0

# A batch of triggers must not wait for credit, which comes between the batches.
WINDOW_BYTES = 1 << 28


class End:
    """A client without I/O, and the server's connection to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.core = ClientCore(world.limits, as_codec("json"))
        self.connection = world.accept()
        self.numbers = 0
        self.settle()

    def settle(self) -> None:
        """Carry bytes both ways until there are none."""
        while True:
            up = self.core.data_to_send(CHUNK)
            self.world.receive(self.connection, up)
            down = self.connection.data_to_send(CHUNK)
            self.core.receive_at(down, time.monotonic())
            self.core.take_news()
            if not (up or down):
                return

    def call(self, message: Call) -> object:
        """Ask the server; raises what it answers with."""
        answers: list[tuple[object, BaseException | None]] = []
        self.core.call(message, time.monotonic(), ANSWER_S, lambda value, error: answers.append((value, error)))
        self.settle()
        [(value, error)] = answers
        if error is not None:
            raise error
        return value

    def listen(self, sender: str | None = None, event: str | None = None) -> None:
        self.numbers += 1
        self.call(Listen(self.numbers, sender, event))

    def add(self, sender: str, events: list[str]) -> list[int]:
        """Hold a sender; returns the numbers of its routes."""
        self.call(AddSender(sender, events, None))
        return [self.core._owned[sender, event] for event in events]


class World:
    """A server, and who is connected to it. `limits` are given by name."""

    def __init__(self, **limits: Any) -> None:
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


class MemoryLink:
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


class InMemory(TCPClient):
    """What `sig.connect` takes instead of an address."""

    link: MemoryLink

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def open(self, limits: Limits, timeout: float) -> MemoryLink:  # type: ignore[override]  # a link like any other
        self.link = MemoryLink(self._world)
        return self.link


def connect(world: World) -> tuple[sig.ClientRouter, MemoryLink]:
    """An ordinary client of that world, and its link."""
    carrier = InMemory(world)
    return sig.connect(carrier, **world.options), carrier.link
