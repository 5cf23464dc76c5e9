"""The link of an asyncio client: everything arrives and leaves in order, and it always ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sig.drivers.streams import StreamLink
from sig.errors import SigError

pytestmark = pytest.mark.asyncio

LIMIT_S = 20
MUCH = b"x" * (4 * 1024 * 1024)  # more than the kernel and asyncio keep


class User:
    """What a link calls; keeps what it was told."""

    def __init__(self) -> None:
        self.data = b""
        self.came = asyncio.Event()
        self.wrote = asyncio.Event()
        self.over = asyncio.Event()
        self.errors: list[SigError] = []

    def received(self, data: bytes | memoryview) -> None:
        assert not self.over.is_set()
        self.data += data
        self.came.set()

    def writable(self) -> None:
        assert not self.over.is_set()
        self.wrote.set()

    def locked(self, function: Callable[[], bool]) -> bool:
        return function()

    def lost(self, error: SigError) -> None:
        self.errors.append(error)
        self.over.set()

    async def reads(self, data: bytes) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.data != data:
                self.came.clear()
                await self.came.wait()

    async def ends(self) -> str:
        async with asyncio.timeout(LIMIT_S):
            await self.over.wait()
        [error] = self.errors
        return str(error)


@asynccontextmanager
async def linked(
    said: bytes = b"", *, stall_s: float = 10, make: Callable[[float], StreamLink] = StreamLink
) -> AsyncIterator[tuple[StreamLink, socket.socket]]:
    """A link, and the other end, which has said something already; in the end both are down."""
    mine, other = socket.socketpair()
    other.setblocking(False)
    other.send(said)
    with other:
        _, link = await asyncio.get_running_loop().create_connection(lambda: make(stall_s), sock=mine)
        try:
            yield link, other
        finally:
            await link.join(0)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_before_anybody_reads_is_kept() -> None:
    """A server speaks first; and a loop may read from the first moment on, whatever it was asked."""
    async with linked(b"one ") as (link, other):
        await turns()
        other.send(b"two ")
        await turns()
        user = User()
        link.start(user)
        other.send(b"three")
        await user.reads(b"one two three")


async def test_one_that_is_down_before_it_starts_says_so() -> None:
    async with linked() as (link, other):
        other.send(b"bye")
        await turns()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        user = User()
        link.start(user)
        assert await user.ends() == "the server closed the link"
        assert user.data == b"bye"


async def test_what_the_other_end_does_not_take_is_unsent_until_it_does() -> None:
    loop = asyncio.get_running_loop()
    async with linked() as (link, other):
        user = User()
        link.start(user)
        link.send(b"a little")
        assert not link.unsent
        link.send(MUCH)
        assert link.unsent
        got = b""
        while len(got) < len(MUCH):
            got += await asyncio.wait_for(loop.sock_recv(other, 1 << 20), LIMIT_S)
        await asyncio.wait_for(user.wrote.wait(), LIMIT_S)
        assert not link.unsent
        got += b"" if got.endswith(MUCH) else await loop.sock_recv(other, 1 << 20)
        assert got == b"a little" + MUCH


async def test_one_that_takes_nothing_is_given_up() -> None:
    async with linked(stall_s=0.05) as (link, _):
        user = User()
        link.start(user)
        link.send(MUCH)
        assert await user.ends() == "the server has not taken anything for 0.05 s"


async def test_one_that_takes_a_little_each_time_is_not() -> None:
    """As long as something is taken within each limit, however long it lasts together."""
    loop, looks = asyncio.get_running_loop(), asyncio.Semaphore(0)

    class Watched(StreamLink):
        def __init__(self, stall_s: float) -> None:
            super().__init__(stall_s)
            start = self._stall.start

            def counted() -> None:
                start()
                looks.release()

            self._stall.start = counted  # type: ignore[method-assign]  # to know when it has looked again

    async with linked(stall_s=0.2, make=Watched) as (link, other):
        user = User()
        link.start(user)
        link.send(MUCH)
        for _ in range(4):
            await asyncio.wait_for(looks.acquire(), LIMIT_S)
            got = 0
            while got < 300_000:  # less, and the kernel might not want more yet
                got += len(await loop.sock_recv(other, 65536))
        assert not user.errors


async def test_the_end_comes_behind_what_was_sent() -> None:
    loop = asyncio.get_running_loop()
    async with linked() as (link, other):
        user = User()
        link.start(user)
        link.send(MUCH)
        link.finish(LIMIT_S)
        link.finish(LIMIT_S)
        got = 0
        while data := await asyncio.wait_for(loop.sock_recv(other, 1 << 20), LIMIT_S):
            got += len(data)
        assert got == len(MUCH)
        assert not user.over.is_set()  # the other end may still have something to say
        other.send(b"bye")
        other.close()
        await user.ends()
        assert user.data == b"bye"


async def test_the_shorter_time_to_finish_holds() -> None:
    async with linked() as (link, _):
        user = User()
        link.start(user)
        link.finish(LIMIT_S)
        link.finish(0.05)
        link.finish(LIMIT_S)
        await user.ends()
        link.finish(0)
        await link.join(LIMIT_S)


async def test_the_other_end_may_close_first_and_take_nothing_more() -> None:
    """What waits for it must not keep the link for ever, however little it is."""
    async with linked(stall_s=LIMIT_S) as (link, other):
        user = User()
        link.start(user)
        while not link._transport.get_write_buffer_size():
            link.send(b"x" * 10_000)
            await turns(1)  # uvloop writes at the end of a turn
        assert not link.unsent
        other.shutdown(socket.SHUT_WR)
        while not link._transport.is_closing():
            await turns(1)
        link.send(b"too late")
        assert await user.ends() == "the server closed the link"


async def test_a_reset_says_what_it_was() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    with listener:
        _, link = await loop.create_connection(lambda: StreamLink(10), *listener.getsockname())
        other, _ = listener.accept()
        user = User()
        link.start(user)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        assert "Connection reset by peer" in await user.ends()
        await link.join(0)
