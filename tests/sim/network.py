"""Streams of bytes between the processes of a world: slow, in pieces of any size, cut, mute, parted, refused.

What is sent over one stream arrives in order, or not at all. A stream that has died may be noticed by one end only, or
by none; what is sent into a partition arrives when that is over.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.world import Loop, World

from sig.carriers.streams import StreamClient, StreamServer
from sig.drivers.aio import ServerDriver, StreamWire
from sig.errors import ConnectFailed

RESET = ConnectionResetError(104, "Connection reset by peer")
REFUSED = ConnectionRefusedError(111, "Connection refused")


@dataclass(frozen=True)
class Weather:
    """What a network is like.

    `capacity`: so many bytes of one direction are under way or unread at most; `segment`: so many arrive together at
    most, and now and then a few; `bytes_per_s`: of one direction.
    """

    latency_s: tuple[float, float] = (0.0001, 0.01)
    capacity: int = 64 * 1024
    segment: int = 16 * 1024
    bytes_per_s: float = math.inf


class Network:
    """The streams of one world, the doors at which processes let others in, and who cannot reach whom."""

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.streams: dict[Stream, None] = {}
        self._doors: dict[str, tuple[Loop, Callable[[End], asyncio.BufferedProtocol]]] = {}
        self._walls: dict[tuple[Loop, Loop], None] = {}  # nothing gets from the first to the second
        self._waiting: dict[tuple[Loop, Loop], list[tuple[Callable[..., object], tuple[Any, ...]]]] = {}

    def open_door(self, name: str, loop: Loop, factory: Callable[[End], asyncio.BufferedProtocol]) -> None:
        self._doors[name] = loop, factory

    def close_door(self, name: str) -> None:
        self._doors.pop(name, None)

    async def connect(self, loop: Loop, name: str, factory: Callable[[], Any]) -> Any:
        """The protocol of a stream to that door. Raises `OSError`; waits without end where no answer can come."""
        answer: asyncio.Future[Any] = loop.create_future()
        self.carry(loop, None, self._knock, loop, name, factory, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():  # in the same moment
                answer.result()._transport.abort()
            raise

    def _knock(self, loop: Loop, name: str, factory: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        if loop.dead:
            return
        door = self._doors.get(name)
        if door is None:
            self.world.after(self.latency(), _answer, loop, answer, None)
            return
        host, welcome = door
        if (loop, host) in self._walls:
            self._waiting.setdefault((loop, host), []).append((self._knock, (loop, name, factory, answer)))
            return
        stream = Stream(self, loop, host)
        host.call_soon(stream.ends[1].begin, welcome)
        self.carry(host, loop, stream.open, factory, answer)

    def latency(self) -> float:
        least, most = self.weather.latency_s
        return least + (most - least) * self.world.chance.random()

    def carry(self, origin: Loop, target: Loop | None, function: Callable[..., object], *args: Any) -> None:
        """Call it when what `origin` sends now has come to `target`."""
        self.world.after(self.latency(), self.arrive, origin, target, function, *args)

    def arrive(self, origin: Loop, target: Loop | None, function: Callable[..., object], *args: Any) -> None:
        if target is not None and (origin, target) in self._walls:
            self._waiting.setdefault((origin, target), []).append((function, args))
        else:
            function(*args)

    def part(self, origin: Loop, target: Loop) -> None:
        """Nothing gets from the one to the other from here on."""
        self._walls[origin, target] = None

    def heal(self, origin: Loop, target: Loop) -> None:
        """What was sent meanwhile arrives."""
        self._walls.pop((origin, target), None)
        for function, args in self._waiting.pop((origin, target), ()):
            function(*args)

    def crash(self, loop: Loop, *, silent: bool) -> None:
        """A process is no more. `silent`: so is its machine, and nobody tells the other ends."""
        for name, (host, _) in list(self._doors.items()):
            if host is loop:
                del self._doors[name]
        for stream in [s for s in self.streams if loop in (s.ends[0].loop, s.ends[1].loop)]:
            near, far = stream.ends if stream.ends[0].loop is loop else stream.ends[::-1]
            near.vanish()
            if silent:
                stream.dead = True
            else:
                self.carry(loop, far.loop, far.reset)


def _answer(loop: Loop, answer: asyncio.Future[Any], protocol: Any) -> None:
    def tell() -> None:
        if answer.done():
            return
        if protocol is None:
            answer.set_exception(REFUSED)
        else:
            answer.set_result(protocol)

    loop.call_soon(tell)


class Stream:
    """Two ends and what lies between."""

    def __init__(self, network: Network, client: Loop, server: Loop) -> None:
        self.network = network
        self.dead = False  # nothing arrives any more
        self.ends = End(self, client), End(self, server)
        self.ends[0].peer, self.ends[1].peer = self.ends[1], self.ends[0]
        network.streams[self] = None

    def open(self, factory: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        """The client learns that it has been let in."""
        end = self.ends[0]

        def begin() -> None:
            if answer.done():  # nobody waits any more
                end.abort()
                return
            if end.lost:
                answer.set_exception(RESET)
                return
            end.begin(lambda _: factory())
            answer.set_result(end.protocol)

        end.loop.call_soon(begin)

    def cut(self, noticed_s: tuple[float, float]) -> None:
        """It dies, and each end notices after so many seconds; if these are endless, never."""
        self.dead = True
        for end, seconds in zip(self.ends, noticed_s, strict=True):
            if seconds < math.inf:
                self.network.world.after(seconds, end.reset)

    def ended(self) -> None:
        if all(end.lost for end in self.ends):
            self.network.streams.pop(self, None)


class End(asyncio.Transport):
    """One end of a stream: a transport as those of asyncio's sockets are."""

    def __init__(self, stream: Stream, loop: Loop) -> None:
        super().__init__()
        self.stream = stream
        self.loop = loop
        self.peer: End
        self.protocol: asyncio.BufferedProtocol
        self.begun = False
        self.lost = False
        self._buffer = bytearray()
        self._high, self._low = 64 * 1024, 16 * 1024
        self._full = False
        self._flying = 0  # bytes that the other end has not read
        self._arrival = 0.0  # of the last that was sent
        self._ending = False  # nothing more will be written
        self._closing = False
        self._ended = False  # the other end has been told
        self._inbox: deque[bytes] = deque()  # an empty one is the end
        self._reading = True
        self._due = False

    def begin(self, factory: Callable[[End], asyncio.BufferedProtocol]) -> None:
        if self.lost:
            return
        self.protocol = factory(self)
        self.begun = True
        self.protocol.connection_made(self)
        self._ask_to_read()

    # asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.lost or self._closing or not data:
            return
        if self._ending:
            raise RuntimeError("Cannot call write() after write_eof()")
        self._buffer += data
        self._emit()
        if len(self._buffer) > self._high and not self._full:
            self._full = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        if not (self._ending or self._closing):
            self._ending = True
            self._push()

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._ask_to_read()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._reading = False
            self._push()

    def abort(self) -> None:
        if not self.lost:
            self._lose(None)
            self._send(self.peer.reset)

    # The network's side

    def reset(self) -> None:
        """The other end does not know this stream."""
        if not self.lost:
            self._lose(RESET)

    def vanish(self) -> None:
        """There is no process any more whose end this is."""
        self.lost = self._closing = self._ending = True
        self.stream.ended()

    def _lose(self, error: Exception | None) -> None:
        self.lost = self._closing = True
        self._buffer.clear()
        self._inbox.clear()
        self.stream.ended()
        self.loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        if self.begun:
            self.begun = False
            self.protocol.connection_lost(error)

    def _push(self) -> None:
        """There is room again, or nothing more will be written."""
        if self.lost:
            return
        self._emit()
        if self._full and len(self._buffer) <= self._low:
            self._full = False
            self.protocol.resume_writing()
        if not self._buffer and (self._ending or self._closing) and not self._ended:
            self._ended = True
            self._send(self.peer._arrived, b"")
        if not self._buffer and self._closing and not self.lost:
            self._lose(None)

    def _emit(self) -> None:
        """Send what may be under way; the rest waits."""
        network, buffer = self.stream.network, self._buffer
        weather, chance = network.weather, network.world.chance
        while buffer and self._flying < weather.capacity:
            most = weather.segment if chance.random() < 0.9 else 20
            size = min(len(buffer), 1 + int(chance.random() * most), weather.capacity - self._flying)
            data = bytes(buffer[:size])
            del buffer[:size]
            self._flying += size
            self._send(self.peer._arrived, data)

    def _send(self, function: Callable[..., object], data: bytes | None = None) -> None:
        """In order, behind all that has been sent."""
        network = self.stream.network
        world, size = network.world, len(data or b"")
        self._arrival = max(self._arrival, world.now + network.latency()) + size / network.weather.bytes_per_s
        world.at(self._arrival, self._travel, function, () if data is None else (data,))

    def _travel(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not self.stream.dead:
            self.stream.network.arrive(self.loop, self.peer.loop, function, *args)

    def _arrived(self, data: bytes) -> None:
        if self.stream.dead:
            return
        world = self.stream.network.world
        world.note(self.loop.name, data)
        if self.lost:
            if data:
                self._send(self.peer.reset)
            return
        self._inbox.append(data)
        self._ask_to_read()

    def _ask_to_read(self) -> None:
        if self._inbox and self._reading and not self._due:
            self._due = True
            self.loop.call_soon(self._read)

    def _read(self) -> None:
        """What one `recv` would give."""
        self._due = False
        if self.lost or not (self._inbox and self._reading and self.begun):
            return
        if not self._inbox[0]:
            self._inbox.clear()
            self._reading = False
            if not self.protocol.eof_received():
                self.close()
            return
        place = self.protocol.get_buffer(-1)
        size = 0
        while self._inbox and self._inbox[0] and size + len(self._inbox[0]) <= len(place):
            data = self._inbox.popleft()
            place[size : size + len(data)] = data  # type: ignore[index]
            size += len(data)
        self.protocol.buffer_updated(size)
        self.peer._flying -= size
        if not self.peer.lost and not self.stream.dead:
            self.peer.loop.call_soon(self.peer._push)
        self._ask_to_read()


class Door(StreamServer):
    """Lets the clients of a world in, at a name."""

    def __init__(self, network: Network, name: str) -> None:
        super().__init__()
        self._network = network
        self._name = name

    def bind(self, *, public: bool) -> str:
        return f"sim://{self._name}"

    def _client_of(self, transport: asyncio.Transport) -> tuple[str, str | None]:
        assert isinstance(transport, End)
        return transport.peer.loop.name, None

    async def serve(self, driver: ServerDriver) -> None:
        loop = driver.loop
        assert isinstance(loop, Loop)
        self._network.open_door(self._name, loop, lambda _: StreamWire(driver, self._client_of))

    async def close(self) -> None:
        self._network.close_door(self._name)


class Way(StreamClient):
    """Leads there."""

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    def __str__(self) -> str:
        return f"sim://{self._name}"

    async def _create(self, factory: Any, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        try:
            async with asyncio.timeout(timeout):
                return await self._network.connect(loop, self._name, factory)
        except OSError as error:  # a TimeoutError is one
            raise ConnectFailed(f"cannot connect to {self}: {error.strerror or 'no answer'}") from None
