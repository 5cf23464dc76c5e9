"""The link between a server and its own router: in order, in few pieces, and never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from net.raw import LIMIT_S, Raw

import sig
from sig.constants import Limits
from sig.drivers.aio import ServerDriver
from sig.drivers.inside import InsideLink
from sig.drivers.loops import LoopThread
from sig.messages import Hello, encode_control
from sig.protocol.bodies import pack_ping
from sig.protocol.events import unpack_events
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack
from sig.protocol.server import ServerCore


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


def test_what_collects_while_the_loop_is_busy_goes_when_it_is_free(server: sig.ServerRouter) -> None:
    busy, go_on = threading.Event(), threading.Event()
    assert server._loop is not None
    with Raw.client(server.urls[0]) as raw:
        raw.listen("s", "e")
        sender = server.add_sender("s", "e")
        server._loop.loop.call_soon_threadsafe(lambda: (busy.set(), go_on.wait(LIMIT_S)))
        assert busy.wait(LIMIT_S)
        for number in range(1000):
            sender.trigger("e", number)
        go_on.set()
        payloads: list[bytes] = []
        while len(payloads) < 1000:
            payloads += unpack_events(raw.read(Kind.EVENT)).payloads.split(b"\n")
    assert payloads == [str(number).encode() for number in range(1000)]


def test_many_threads_keep_each_its_order(server: sig.ServerRouter) -> None:
    heard: dict[int, list[int]] = {place: [] for place in range(8)}
    server.listen(lambda info, data: heard[data[0]].append(data[1]), "s", "e")
    sender = server.add_sender("s", "e")

    def work(place: int) -> None:
        for number in range(500):
            sender.trigger("e", [place, number])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.close()
    assert heard == {place: list(range(500)) for place in range(8)}


def test_a_loop_that_is_busy_makes_trigger_wait_and_then_refuse() -> None:
    busy, go_on = threading.Event(), threading.Event()
    with sig.serve(send_window_bytes=10_000, send_timeout_s=0.05) as server:
        heard: list[object] = []
        server.listen(lambda info, data: heard.append(data), "s", "e")
        sender = server.add_sender("s", "e")
        assert server._loop is not None
        server._loop.loop.call_soon_threadsafe(lambda: (busy.set(), go_on.wait(LIMIT_S)))
        assert busy.wait(LIMIT_S)
        accepted = 0

        def fill() -> None:
            nonlocal accepted
            while True:
                sender.trigger("e", accepted)
                accepted += 1

        with pytest.raises(sig.Overloaded, match="raise send_timeout"):
            fill()
        go_on.set()
        server.flush()
        sender.trigger("e", accepted)
    assert heard == list(range(accepted + 1))


class User:
    """What a link calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.more: list[bytes] = []
        self.told: list[str] = []
        self.frames = FrameReader(1 << 20, preface=True)
        self.link: InsideLink

    def received(self, data: bytes | memoryview) -> None:
        self.told += [Kind(frame.kind).name for frame in self.frames.feed(data)]

    def writable(self) -> None:
        with self.lock:
            if self.more and not self.link.unsent:
                self.link.send(self.more.pop(0))

    def locked(self, function: Callable[[], bool]) -> bool:
        with self.lock:
            return function()

    def lost(self, error: sig.SigError) -> None:
        self.told.append(str(error))


def test_it_ends_behind_all_that_is_under_way(caplog: pytest.LogCaptureFixture) -> None:
    loop = LoopThread("sig-test")
    core = ServerCore(Limits(), node="test", epoch=1, wall_offset=0.0, random64=lambda: 1)
    user = User()
    user.link = InsideLink(ServerDriver(core, Limits(), loop.loop), loop.loop.call_soon_threadsafe)
    busy, go_on = threading.Event(), threading.Event()
    loop.loop.call_soon_threadsafe(lambda: (busy.set(), go_on.wait(LIMIT_S)))
    assert busy.wait(LIMIT_S)
    user.link.start(user)
    user.link.send(PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
    user.more = [pack_ping(b"12345678"), pack(Kind.WELCOME, b"{}")]  # the last is a mistake, which shows that it came
    user.link.finish(LIMIT_S)
    go_on.set()
    user.link.join(LIMIT_S)
    assert user.told[0] == "WELCOME"
    assert user.told[-1] == "the server has been closed"
    assert "the peer sent WELCOME" in caplog.text
    user.link.finish(LIMIT_S)  # once more is no mistake
    assert core.connections == {}
    loop.stop(LIMIT_S)


def test_a_server_without_a_carrier_is_a_router_with_one_thread_more() -> None:
    with sig.serve() as server:
        heard: list[object] = []
        server.listen(lambda info, data: heard.append(data), "s", "e")
        server.add_sender("s", "e", {"m": lambda params: params}).trigger("e", 1)
        assert server.request("s", "m", 2) == 2
        assert server.urls == []
    assert heard == [1]


def test_there_is_nothing_to_abandon() -> None:
    with sig.serve() as server:
        assert server._driver is not None
        link = server._driver._link
        assert isinstance(link, InsideLink)
        link.abandon()
        assert server.senders() == []
