"""Nothing but asyncio: what programs on its loops do not do faster, whatever is written between them.

As `bare_sockets`, with a loop in each of the three processes: no library, no routes, no limits, nobody is told
anything. The server passes each read on as it came; what a read or a turn of the loop makes leaves in one piece;
answers come in the order of their questions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, cast

from benchmarks.peers import awaited, roles
from benchmarks.peers.payload import Event, decode, encode
from benchmarks.peers.roles import MEETING, Address
from benchmarks.peers.tally import Tally

READ_BYTES: Final = 1 << 16


class Reads(asyncio.BufferedProtocol):
    """One end of a connection."""

    def __init__(self) -> None:
        self.take: Callable[[bytes], object] = bytes
        """Called with each read."""
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.Transport, transport).write  # uvloop's is one in all but name

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.take(bytes(self._view[:nbytes]))


class End(Reads):
    """One of two at the server, which pass on to each other."""

    def __init__(self, ends: list[Reads]) -> None:
        super().__init__()
        self._ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ends.append(self)
        if len(self._ends) == 2:
            first, second = self._ends
            first.take, second.take = second.write, first.write


class Lines(Reads):
    """The same for one who reads lines."""

    def __init__(self, take: Callable[[list[bytes]], object]) -> None:
        super().__init__()
        self.take = self._put_together
        self._take_lines = take
        self._rest = b""

    def _put_together(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._take_lines(lines)


async def connect(port: int, take: Callable[[list[bytes]], object]) -> Callable[[bytes], None]:
    """Returns what writes."""
    _, lines = await asyncio.get_running_loop().create_connection(lambda: Lines(take), "127.0.0.1", port)
    return lines.write


class Server(awaited.OnLoop, roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start_loop()
        for names in (("publish", "subscribe"), ("ask", "answer")):
            self.address |= self.run(self._pair(names))

    async def _pair(self, names: Iterable[str]) -> dict[str, int]:
        """Two doors: what comes in by one goes out by the other."""
        ends: list[Reads] = []
        doors = {name: await self._loop.create_server(lambda: End(ends), "127.0.0.1", 0) for name in names}
        return {name: door.sockets[0].getsockname()[1] for name, door in doors.items()}


class Publisher(awaited.Publisher):
    async def connect(self, address: Address) -> None:
        self._write = await connect(address["publish"], len)

    def trigger(self, route: str) -> Callable[[Event], Awaitable[object]]:
        write, mark = self._write, route.encode() + b" "

        async def send(event: Event) -> None:
            write(mark + encode(event) + b"\n")

        return send


class Subscriber(awaited.Subscriber):
    async def subscribe(self, address: Address, routes: Sequence[str], tally: Tally) -> None:
        takes = dict.fromkeys((route.encode() for route in routes), tally.take) | {MEETING.encode(): tally.meet}

        def take(lines: list[bytes]) -> None:
            for line in lines:
                route, _, body = line.partition(b" ")
                takes[route](route, decode(body))

        await connect(address["subscribe"], take)


class Replier(awaited.Replier):
    async def serve(self, address: Address) -> None:
        def answer(lines: list[bytes]) -> None:
            write(b"".join([encode(decode(line)) + b"\n" for line in lines]))

        write = await connect(address["answer"], answer)


class Requester(awaited.Requester):
    async def connect(self, address: Address) -> None:
        self._flying: deque[asyncio.Future[Event]] = deque()
        self._questions: list[bytes] = []
        self._write = await connect(address["ask"], self._take)

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            self._flying.popleft().set_result(decode(line))

    def _start(self) -> asyncio.Future[Event]:
        self._flying.append(self._loop.create_future())
        return self._flying[-1]

    async def request_soon(self, event: Event) -> Event:
        self._write(encode(event) + b"\n")
        return await self._start()

    async def _ask_many(self, count: int, flight: int) -> dict[str, float]:
        return await awaited.windowed(self._ask_soon, count, flight)

    def _ask_soon(self, event: Event) -> asyncio.Future[Event]:
        if not self._questions:
            self._loop.call_soon(self._ask_all)
        self._questions.append(encode(event) + b"\n")
        return self._start()

    def _ask_all(self) -> None:
        questions, self._questions = self._questions, []
        self._write(b"".join(questions))
