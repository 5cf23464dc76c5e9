"""A link, or a wire, whose bytes go through a layer: for the router on one side, and the medium on the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sig.constants import Limits
from sig.drivers.aio import Wire, WireUser
from sig.drivers.links import LINGER_S, Link, LinkUser
from sig.errors import SigError
from sig.protocol.connection import Connection
from sig.protocol.layers import Layer

T = TypeVar("T")


def _due(layer: Layer) -> bool:
    deadline = layer.next_deadline()
    return deadline is not None and deadline <= time.monotonic()


def _given(layer: Layer, data: bytes | memoryview) -> bytes:
    """What comes of bytes from the medium. Media of layers that know time bring an empty piece now and then."""
    now = time.monotonic()
    if _due(layer):
        layer.handle_timeout(now)
    return layer.receive(data, now)


class LayeredLink:
    """A client's: implements `Link` over another, and `LinkUser` for that. The layer is guarded by the user's lock."""

    def __init__(self, link: Link, layer: Layer) -> None:
        self._link = link
        self._layer = layer
        self._user: LinkUser
        self._error: SigError | None = None
        self._closing = False

    # Link

    @property
    def unsent(self) -> int:
        return self._link.unsent + self._layer.held

    def start(self, user: LinkUser) -> None:
        self._user = user
        self._link.start(self)
        user.locked(self._say)  # it may open with words of its own

    def send(self, data: bytes) -> None:
        self._layer.send(data, time.monotonic())
        self._say()

    def finish(self, timeout: float) -> None:
        if not self._closing:
            self._closing = True
            self._layer.close(time.monotonic())
            self._say()
        self._link.finish(timeout)

    def join(self, timeout: float) -> Any:
        return self._link.join(timeout)

    def abandon(self) -> None:
        self._link.abandon()

    def turn(self) -> bool:
        return self._link.turn()

    def poke(self) -> None:
        self._link.poke()

    def relieve(self) -> None:
        self._link.relieve()

    def expect(self) -> None:
        self._link.expect()

    # LinkUser

    def received(self, data: bytes | memoryview) -> None:
        if self._error is not None:
            return
        held = self._layer.held
        within, error = self._user.locked(lambda: self._take(data))
        if within:
            self._user.received(within)
            if _due(self._layer):  # it had more to say, behind these
                self.received(b"")
        if error is not None:
            self._user.lost(error)
        elif held and not self._layer.held:
            self._user.writable()
        if error is not None or self._layer.closed:
            self._user.locked(lambda: self.finish(LINGER_S))

    def writable(self) -> None:
        self._user.locked(self._say)
        self._user.writable()

    def locked(self, function: Callable[[], T]) -> T:
        return self._user.locked(function)

    def lost(self, error: SigError) -> None:
        self._user.lost(self._error or error)

    # Within. The lock is held.

    def _take(self, data: bytes | memoryview) -> tuple[bytes, SigError | None]:
        try:
            return _given(self._layer, data), None
        except SigError as error:
            self._error = error
            return b"", error
        finally:
            self._say()

    def _say(self) -> None:
        if not self._link.unsent and (data := self._layer.data_to_send()):
            self._link.send(data)


class LayeredWire(Wire):
    """A server's: a wire for the driver, and `WireUser` for the one below. Everything on the driver's loop."""

    def __init__(self, driver: WireUser, layer: Layer) -> None:
        self.limits: Limits = driver.limits
        self.loop: asyncio.AbstractEventLoop = driver.loop
        self.buffer: memoryview = driver.buffer
        self._driver = driver
        self._layer = layer
        self._wire: Wire

    # Wire

    @property
    def descriptor(self) -> int:
        return self._wire.descriptor

    @property
    def full(self) -> bool:
        return self._wire.full or self._layer.held > 0

    @property
    def unwritten(self) -> int:
        return self._wire.unwritten + self._layer.held

    def write(self, data: bytes) -> None:
        self._layer.send(data, time.monotonic())
        self._say()

    def close(self) -> None:
        self._layer.close(time.monotonic())
        self._say()
        self._wire.close()

    def abort(self) -> None:
        self._wire.abort()

    def move(self, connection: Connection | None) -> None:
        self._wire.move(connection)

    # WireUser

    def attach(self, wire: Wire, address: str, identity: str | None = None) -> Connection:
        self._wire = wire
        return self._driver.attach(self, address, identity)

    def received(self, connection: Connection, data: bytes | memoryview) -> None:
        if connection.closed:
            return
        held = self._layer.held
        try:
            within = _given(self._layer, data)
        except SigError as error:
            connection.cut(error)
            within = b""
        self._say()
        if connection.known_as is None and self._layer.identity is not None:
            connection.known_as, connection.known_until = f"cert:{self._layer.identity}", self._layer.expires
        if within:
            self._driver.received(connection, within)
            if _due(self._layer):  # it had more to say, behind these
                self.received(connection, b"")
        if connection.error is not None or (held and not self._layer.held):
            self._driver.pump(connection)
        if self._layer.closed:
            self.close()

    def pump(self, connection: Connection) -> None:
        self._say()
        self._driver.pump(connection)

    def detached(self, connection: Connection) -> None:
        self._driver.detached(connection)

    def _say(self) -> None:
        if data := self._layer.data_to_send():
            self._wire.write(data)
