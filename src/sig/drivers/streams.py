"""A client's link over a stream of asyncio's. Everything here runs on the loop's thread."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from sig.drivers.fork import let_go
from sig.drivers.links import LINGER_S, READ_BYTES, LinkUser, ReadsByItself
from sig.drivers.stall import Stall
from sig.errors import ConnectionLost, SigError

# What asyncio keeps that the system has not taken; the rest waits with us.
_TRANSPORT_BYTES: Final = 256 * 1024


class StreamLink(ReadsByItself, asyncio.BufferedProtocol):
    """Implements `Link`; `join` is to be awaited.

    Args:
        stall_s: a server that takes no byte for so long, while bytes wait, is given up.
    """

    def __init__(self, stall_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._stall_s = stall_s
        self._user: LinkUser | None = None
        self._transport: asyncio.Transport
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._early = b""  # came before there was somebody to have it
        self._full = False
        self._shut = False
        self._error: SigError = ConnectionLost("the server closed the link")
        self._ended = asyncio.Event()
        self._stall = Stall(self._loop, stall_s, lambda: self._transport.get_write_buffer_size(), self._stalled)
        self._linger: asyncio.TimerHandle | None = None
        self._linger_until = 0.0

    # Link

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._full else 0

    def start(self, user: LinkUser) -> None:
        self._user = user
        early, self._early = self._early, b""
        if early:
            user.received(early)
        self._transport.resume_reading()
        if self._ended.is_set():
            user.lost(self._error)

    def send(self, data: bytes) -> None:
        if not self._shut:  # else it goes nowhere, which will be told in a moment
            self._transport.write(data)

    def finish(self, timeout: float) -> None:
        if self._ended.is_set():
            return
        until = self._loop.time() + timeout
        if self._linger is None or until < self._linger_until:
            if self._linger is not None:
                self._linger.cancel()
            self._linger_until = until  # not asked of the timer: for uvloop one that is due is none
            self._linger = self._loop.call_at(until, self._transport.abort)
        if not self._shut:
            self._shut = True
            try:
                self._transport.write_eof()  # behind what has been written
            except OSError:  # the server was faster
                self._transport.abort()

    async def join(self, timeout: float) -> None:
        """Wait until it is down, and bring that about after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._transport.abort()  # of no effect on one that is down
        await self._ended.wait()

    def abandon(self) -> None:
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:  # else it has been closed before
            let_go([sock.fileno()])

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_TRANSPORT_BYTES)
        self._transport.pause_reading()  # until there is somebody to have it; but uvloop begins to read after this

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._user is not None:
            self._user.received(self._buffer[:nbytes])
        else:
            self._early += self._buffer[:nbytes]
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self.finish(LINGER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.stop()
        if self._linger is not None:
            self._linger.cancel()
        if isinstance(exc, OSError):
            self._error = ConnectionLost(f"the link to the server was lost: {exc.strerror or exc}")
        self._ended.set()
        if self._user is not None:
            self._user.lost(self._error)

    def pause_writing(self) -> None:
        self._full = True
        self._stall.start()

    def resume_writing(self) -> None:
        self._full = False
        self._stall.stop()
        if self._user is not None:
            self._user.writable()

    def _stalled(self) -> None:
        self._error = ConnectionLost(f"the server has not taken anything for {self._stall_s:g} s")
        self._transport.abort()
