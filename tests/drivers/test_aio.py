"""The server's driver: links that misbehave are ended, each in its time, and cost nobody else anything."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from net.aside import aside
from net.raw import LIMIT_S, Raw

import sig
from sig.drivers import aio
from sig.drivers.aio import ServerDriver, Wire
from sig.messages import Bye, OpenRequests, Senders, decode_control
from sig.protocol.bodies import Request, pack_request
from sig.protocol.events import pack_batch
from sig.protocol.frames import Kind, pack

PAYLOAD = "x" * 50_000


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


def driver_of(server: sig.ServerRouter) -> ServerDriver:
    assert server._server is not None
    return server._server


def left(server: sig.ServerRouter) -> threading.Event:
    """Set when a sender called `raw` has left."""
    gone = threading.Event()
    server.listen(lambda info, data: gone.set(), "raw", "#disconnect")
    return gone


def fill(server: sig.ServerRouter) -> None:
    """More than the kernel and asyncio keep for one who does not read."""
    sender = server.add_sender("s", "e")
    for number in range(400):
        sender.trigger("e", PAYLOAD)
        if number % 50 == 0:
            server.flush()
    server.flush()


def test_nothing_is_held_back_to_be_sent_with_more(server: sig.ServerRouter) -> None:
    with Raw.client(server.urls[0]):
        wires = [wire for wire in driver_of(server)._wires.values() if isinstance(wire, aio.StreamWire)]
        sock = wires[0]._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_one_that_reads_nothing_is_cut_off_and_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", write_stall_s=0.1) as server,
        Raw.client(server.urls[0], receive_buffer=4096) as raw,
    ):
        gone = left(server)
        raw.hold("raw", "e")
        raw.listen("s", "e")
        fill(server)
        assert gone.wait(LIMIT_S)
    assert caplog.text.count("it has not read anything for 0.1 s") == 1


def test_one_that_reads_slowly_but_steadily_is_not() -> None:
    """As long as something is taken within each limit, however long it lasts together."""
    looks = threading.Semaphore(0)
    with (
        sig.serve("tcp://127.0.0.1:0", write_stall_s=0.4) as server,
        Raw.client(server.urls[0], receive_buffer=4096) as raw,
    ):
        raw.hold("raw", "e")
        raw.listen("s", "e")
        driver = driver_of(server)
        wire = next(wire for wire in driver._wires.values() if isinstance(wire, aio.StreamWire))
        stall = wire._stall
        watch = stall.start

        def counted() -> None:
            watch()
            looks.release()

        stall.start = counted  # type: ignore[method-assign]  # to know when it has looked again, and gone on
        filling = aside(lambda: fill(server))
        assert looks.acquire(timeout=LIMIT_S)  # the first: it is full
        for _ in range(3):
            while not looks.acquire(blocking=False):
                raw.sock.recv(1 << 14)
        filling.result(LIMIT_S)
        assert [row.name for row in server.senders()] == ["raw", "s"]


def test_the_others_do_not_notice_one_that_does_not_read(server: sig.ServerRouter) -> None:
    last = threading.Event()
    heard = 0

    def count(info: sig.Info, data: object) -> None:
        nonlocal heard
        heard += 1
        if heard == 400:
            last.set()

    with Raw.client(server.urls[0], receive_buffer=4096) as raw, sig.connect(server.urls[0]) as client:
        raw.listen("s", "e")
        client.listen(count, "s", "e")
        fill(server)
        assert last.wait(LIMIT_S)
        assert client.senders("s") != []


def test_one_that_lets_control_pile_up_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    with (
        sig.serve("tcp://127.0.0.1:0", link_control_bytes=20_000) as server,
        Raw.client(server.urls[0], receive_buffer=4096) as raw,
        sig.connect(server.urls[0]) as client,
    ):
        gone = left(server)
        raw.hold("raw", "e")
        raw.listen(None, "#connect")
        raw.listen("s", "e")
        fill(server)
        for number in range(1000):  # presence is not dropped
            if gone.is_set():
                break
            client.add_sender(f"{number:05}" + "x" * 200, "e").remove()
        assert gone.wait(LIMIT_S)
        assert client.senders("s") != []
    assert "does not read" in caplog.text


def test_whoever_is_told_to_go_and_stays_is_dropped(monkeypatch: pytest.MonkeyPatch, server: sig.ServerRouter) -> None:
    monkeypatch.setattr(aio, "_LINGER_S", 0.05)
    with Raw.connect(server.urls[0]) as raw:
        raw.send(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.last_words() is not None
        # Our end is open still; the server's answer to more of it is that there is nobody any more.
        while True:
            try:
                raw.send(b"hello?")
            except (BrokenPipeError, ConnectionResetError):
                break


def test_who_resets_while_being_told_to_go_harms_nobody(server: sig.ServerRouter) -> None:
    for _ in range(20):
        raw = Raw.connect(server.urls[0])
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.send(b"nonsense" * 100)
        raw.sock.close()
    assert server.senders() == []


def test_who_is_still_on_its_way_in_when_the_server_stops_is_dropped(server: sig.ServerRouter) -> None:
    driver = driver_of(server)
    driver.loop.call_soon_threadsafe(partial(driver.stop, loop_ends=True))
    with Raw.connect(server.urls[0]) as raw:
        assert raw.last_words() is None


def test_what_is_asked_of_one_that_has_said_goodbye_is_not_written(server: sig.ServerRouter) -> None:
    """Its last frame is out; whoever asked it something leaves a moment later, which it would have been told."""
    with Raw.client(server.urls[0]) as owner, Raw.client(server.urls[0]) as asker:
        gone = left(server)
        requests = owner.hold("raw", requests=["m"])[None]
        assert asker.call(OpenRequests("raw")) == requests
        asker.send(pack_request(Request(0, 1, 10_000, 1, "m", b"1"), route=requests))
        owner.read(Kind.REQUEST)
        owner.send(pack(Kind.BYE, b'{"code":"closed"}'))
        asker.sock.close()
        assert gone.wait(LIMIT_S)
        assert owner.last_words() is None
    assert server.senders() == []


def test_a_server_that_closes_says_goodbye_and_drops_who_does_not_go() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    with Raw.client(server.urls[0]) as polite, Raw.client(server.urls[0]) as stubborn:
        closing = aside(lambda: server.close(0.5))
        assert decode_control(Bye, polite.read(Kind.BYE).body).code == "shutdown"
        polite.sock.close()
        assert stubborn.read(Kind.BYE)
        closing.result(LIMIT_S)
        assert stubborn.last_words() is None
    assert driver_of(server)._wires == {}


def test_a_server_that_closes_waits_for_no_one_who_reads_nothing() -> None:
    server = sig.serve("tcp://127.0.0.1:0")
    heard: list[object] = []
    server.listen(lambda info, data: heard.append(data["reason"]), None, "#disconnect")
    with Raw.client(server.urls[0], receive_buffer=4096) as deaf:
        deaf.hold("deaf", "e")
        deaf.listen("s", "e")
        fill(server)
        server.close(0.5)
    assert sorted(heard) == ["closed", "shutdown"]  # its own listeners are told all the same


def test_events_on_a_route_that_has_just_gone_harm_nobody(server: sig.ServerRouter) -> None:
    with Raw.client(server.urls[0]) as raw:
        route = raw.hold("raw", "e")["e"]
        raw.send(
            pack(Kind.CALL, b'{"call":"remove_sender","name":"raw"}', route=77),
            pack_batch(route, [b"1"], lens=False, lines=True),
        )
        assert raw.read(Kind.RESULT).route == 77
        assert raw.call(Senders()) == []


def test_mistakes_beyond_ten_a_minute_are_counted_not_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(aio, "time", clock)
    log = aio._Sparing(10, 60.0)
    for number in range(15):
        log.say(f"mistake {number}")
    clock.now += 61
    log.say("one more")
    clock.now += 61
    log.say("and one")
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        *(f"mistake {number}" for number in range(10)),
        "5 more clients were disconnected for their mistakes",
        "one more",
        "and one",
    ]


def test_a_wire_says_what_it_must_be_able_to_do() -> None:
    wire = Wire()
    for call in (lambda: wire.write(b""), wire.close, wire.abort):
        with pytest.raises(NotImplementedError):
            call()
