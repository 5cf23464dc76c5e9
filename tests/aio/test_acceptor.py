"""Links from a listening socket: whoever was accepted is told, also where it is closed in the same moment."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import cast

import pytest
from aio.beside import NewLoop

from sig.drivers.acceptor import Acceptor

LIMIT_S = 20


class Greeter(asyncio.Protocol):
    """Says hello, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.WriteTransport, transport)  # those of uvloop are of no class of asyncio's
        stream.write(b"hello")
        stream.close()


def bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


async def greeting(client: socket.socket) -> bytes:
    client.settimeout(LIMIT_S)
    return await asyncio.to_thread(client.recv, 100)


def test_everybody_who_comes_is_let_in(new_loop: NewLoop) -> None:
    async def main() -> None:
        sock = bound()
        acceptor = Acceptor(asyncio.get_running_loop(), sock, Greeter)
        clients = [socket.create_connection(sock.getsockname()) for _ in range(20)]
        assert [await greeting(client) for client in clients] == [b"hello"] * 20
        acceptor.close()
        acceptor.close()
        for client in clients:
            client.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_who_was_accepted_when_it_closes_is_shown_all_the_same(new_loop: NewLoop) -> None:
    async def main() -> None:
        sock = bound()
        acceptor = Acceptor(asyncio.get_running_loop(), sock, Greeter)
        client = socket.create_connection(sock.getsockname())
        acceptor._accept()
        acceptor.close()
        assert await greeting(client) == b"hello"
        client.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_where_nothing_is_left_it_waits_and_says_so(caplog: pytest.LogCaptureFixture, new_loop: NewLoop) -> None:
    class Short(socket.socket):
        """As the system is when there are no descriptors; a limit of the process would hit the test as well."""

        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> None:
        sock = Short()
        sock.bind(("127.0.0.1", 0))
        acceptor = Acceptor(asyncio.get_running_loop(), sock, Greeter)
        client = socket.create_connection(sock.getsockname())
        while not caplog.messages:  # noqa: ASYNC110  # the log wakes nobody
            await asyncio.sleep(0)
        assert acceptor._again is not None
        acceptor._again.cancel()
        acceptor._begin()
        while len(caplog.messages) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        acceptor.close()
        client.close()

    with caplog.at_level(logging.WARNING, "sig"), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    assert caplog.messages == ["cannot let anybody in for 1 s: Too many open files"] * 2
