"""Carriers of one's own: media that work, and media that fail in each of their ways."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
from net.aside import aside

import sig
import sig.aio
from sig.carriers import Medium, MediumClient, MediumServer

LIMIT_S = 10

End = tuple["queue.Queue[bytes]", "queue.Queue[bytes]"]


class QueueMedium:
    """Implements `Medium`: two queues of messages; an empty one is the end."""

    def __init__(self, end: End) -> None:
        self.inbox, self.outbox = end
        self.closed = threading.Event()

    def read(self, timeout: float) -> bytes | None:
        try:
            return self.inbox.get(timeout=timeout)
        except queue.Empty:
            return None

    def write(self, data: bytes) -> None:
        self.outbox.put(data)

    def close(self) -> None:
        self.closed.set()
        self.outbox.put(b"")


class QueueServer(MediumServer):
    """Lets in whoever is put into `door`."""

    def __init__(self) -> None:
        super().__init__("queue:")
        self.attach: Callable[[Medium, str], None] | None = None

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        self.attach = attach

    def end(self) -> None:
        self.attach = None

    def come(self) -> End:
        there: queue.Queue[bytes] = queue.Queue()
        back: queue.Queue[bytes] = queue.Queue()
        assert self.attach is not None
        self.attach(QueueMedium((there, back)), "client")
        return back, there


class QueueClient(MediumClient):
    def __init__(self, server: QueueServer, medium: type[QueueMedium] = QueueMedium) -> None:
        super().__init__("queue:")
        self.server = server
        self.kind = medium
        self.medium: QueueMedium

    def open(self, timeout: float) -> Medium:
        self.medium = self.kind(self.server.come())
        return self.medium


@pytest.fixture
def carrier() -> QueueServer:
    return QueueServer()


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_events_and_requests_both_ways(carrier: QueueServer, size: int) -> None:
    got: list[Any] = []
    events = min(50, 5_000_000 // size)  # no more than wait for a listener that is slow
    with sig.serve(carrier) as server, sig.connect(QueueClient(carrier)) as client:
        assert server.urls == ["queue:"]
        server.listen(lambda info, data: got.append(data), "s", "e")
        with client.add_sender("s", ["e"], requests={"size": len}) as sender:
            for number in range(events):
                sender.trigger("e", [number, "x" * size])
            client.flush(LIMIT_S)
            assert server.request("s", "size", "x" * size) == size
        server.close()
    assert got == [[number, "x" * size] for number in range(events)]


def test_both_ends_close_their_media(carrier: QueueServer) -> None:
    with sig.serve(carrier) as server:
        client = QueueClient(carrier)
        with sig.connect(client):
            assert server._server is not None
            assert len(server._server.core.connections) == 2
        assert client.medium.closed.wait(LIMIT_S)
        other = QueueClient(carrier)
        lost = threading.Event()
        with sig.connect(other) as router:
            router.on_disconnected = lost.set
            server.close()
            assert lost.wait(LIMIT_S)
        assert other.medium.closed.wait(LIMIT_S)
    assert carrier.attach is None


def test_the_asyncio_face(carrier: QueueServer) -> None:
    async def main() -> None:
        async with sig.aio.serve(carrier) as server, sig.aio.connect(QueueClient(carrier)) as client:
            await client.add_sender("s", ["e"], requests={"double": lambda number: number * 2})
            assert await server.request("s", "double", 21) == 42

    asyncio.run(main())


def test_a_medium_that_cannot_be_opened(carrier: QueueServer) -> None:
    class Shut(QueueClient):
        def open(self, timeout: float) -> Medium:
            raise PermissionError(13, "Permission denied")

    async def main() -> None:
        with pytest.raises(sig.ConnectFailed, match="cannot connect to queue:: Permission denied"):
            await sig.aio.connect(Shut(carrier))

    with pytest.raises(sig.ConnectFailed, match="cannot connect to queue:: Permission denied"):
        sig.connect(Shut(carrier))
    asyncio.run(main())


def test_whoever_does_not_wait_for_one_to_open_leaves_it_closed(carrier: QueueServer) -> None:
    opening, go = threading.Event(), threading.Event()

    class Slow(QueueClient):
        def open(self, timeout: float) -> Medium:
            opening.set()
            assert go.wait(LIMIT_S)
            return super().open(timeout)

    client = Slow(carrier)

    async def main() -> None:
        task = asyncio.ensure_future(_connected(client))
        await asyncio.to_thread(opening.wait, LIMIT_S)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        go.set()
        await asyncio.to_thread(lambda: client.medium.closed.wait(LIMIT_S) if _made(client) else None)

    with sig.serve(carrier):
        asyncio.run(main())
        assert client.medium.closed.wait(LIMIT_S)


async def _connected(carrier: QueueClient) -> None:
    await sig.aio.connect(carrier)


def _made(client: QueueClient) -> bool:
    return hasattr(client, "medium")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [(OSError(5, "Input/output error"), "Input/output error"), (ZeroDivisionError(), "ZeroDivisionError")],
)
@pytest.mark.parametrize("method", ["read", "write"])
def test_what_a_medium_raises_ends_its_link_alone(
    carrier: QueueServer, method: str, trouble: Exception, told: str
) -> None:
    broken = threading.Event()

    class Breaks(QueueMedium):
        def read(self, timeout: float) -> bytes | None:
            if method == "read" and broken.is_set():
                raise trouble
            return super().read(timeout)

        def write(self, data: bytes) -> None:
            if method == "write" and broken.is_set():
                raise trouble
            super().write(data)

    with sig.serve(carrier) as server, sig.connect(QueueClient(carrier)) as well:
        lost = threading.Event()
        ill = QueueClient(carrier, Breaks)
        with sig.connect(ill, reconnect=False) as client:
            client.on_disconnected = lost.set
            broken.set()
            with pytest.raises(sig.ConnectionLost, match=told):
                ask_for_ever(client)
            assert lost.wait(LIMIT_S)
        assert ill.medium.closed.is_set()
        well.add_sender("s", ["e"])
        assert [sender.name for sender in server.senders()] == ["s"]


def ask_for_ever(client: sig.ClientRouter) -> None:
    while True:
        client.senders()


def test_a_write_that_blocks_for_too_long_ends_the_link(carrier: QueueServer) -> None:
    stuck = threading.Event()

    class Sticks(QueueMedium):
        def write(self, data: bytes) -> None:
            if stuck.is_set():
                self.closed.wait(LIMIT_S)
                raise OSError(9, "Bad file descriptor")
            super().write(data)

    with sig.serve(carrier):
        sticky = QueueClient(carrier, Sticks)
        with sig.connect(sticky, write_stall_s=0.2) as client:
            stuck.set()
            asked = aside(client.senders)
            with pytest.raises(sig.ConnectionLost, match=r"has not taken anything for 0\.2 s"):
                asked.result(LIMIT_S)


def test_one_that_cannot_be_closed_is_told_of(carrier: QueueServer, caplog: pytest.LogCaptureFixture) -> None:
    class Stays(QueueMedium):
        def close(self) -> None:
            super().close()
            raise RuntimeError("no")

    with sig.serve(carrier), sig.connect(QueueClient(carrier, Stays)):
        pass
    assert "Stays.close() failed: RuntimeError: no" in caplog.text


def test_what_a_carrier_leaves_out_is_said() -> None:
    with pytest.raises(NotImplementedError):
        sig.connect(MediumClient("nothing:"))
    with pytest.raises(NotImplementedError):
        sig.serve(MediumServer("nothing:"))
