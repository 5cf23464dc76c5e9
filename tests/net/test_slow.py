"""Those who cannot keep up: everything is bounded, what is lost is counted exactly, and the others do not notice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import sig
from sig.messages import Hello, Listen, encode_control
from sig.protocol.bodies import unpack_lost
from sig.protocol.frames import PREFACE, Frame, FrameReader, Kind, pack
from sig.testing import settle

LIMIT_S = 30
PAYLOAD = "x" * 1000


@contextmanager
def raw_listener(url: str) -> Iterator[tuple[socket.socket, FrameReader]]:
    """A client that has asked for everything, and then reads only when the test does."""
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(LIMIT_S)
        sock.connect((host, int(port)))
        sock.sendall(PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
        sock.sendall(pack(Kind.CALL, encode_control(Listen(1, "s", "e")), route=1))
        reader = FrameReader(1 << 24, preface=True)
        seen: list[Frame] = []
        while Kind.RESULT not in [frame.kind for frame in seen]:
            seen.extend(reader.feed(sock.recv(4096)))
        yield sock, reader


def test_a_subscriber_that_does_not_read_loses_the_oldest_and_is_told_how_many() -> None:
    events = 20_000
    with sig.serve("tcp://127.0.0.1:0", link_drop_bytes=1_000_000) as server, sig.connect(server.urls[0]) as healthy:
        got = 0

        def count(info: sig.Info, data: object) -> None:
            nonlocal got
            got += 1

        subscription = healthy.listen(count, "s", "e")
        with raw_listener(server.urls[0]) as (sock, reader):
            signal = server.add_sender("s", "e").signal("e")
            for number in range(events):
                signal.trigger([number, PAYLOAD])
            server.flush()
            # Now it reads: events and the news of those that are missing, in order, and together they are all.
            place = 0
            lost = 0
            while place < events:
                for frame in reader.feed(sock.recv(65536)):
                    if frame.kind == Kind.LOST:
                        missed = unpack_lost(frame)
                        assert missed.reason == "slow"
                        assert missed.missed is not None
                        place += missed.missed
                        lost += missed.missed
                    elif frame.kind == Kind.EVENT:
                        first = frame.body[8:].partition(b",")[0]
                        assert first == b"[%d" % place, "an event out of its place"
                        place += frame.count
            assert place == events
            assert lost > 0
        settle(healthy)
        healthy.close()
        assert got + subscription.missed == events


def test_a_subscriber_that_reads_nothing_for_too_long_is_cut_off() -> None:
    with sig.serve("tcp://127.0.0.1:0", write_stall_s=0.3) as server, raw_listener(server.urls[0]):
        signal = server.add_sender("s", "e").signal("e")
        gone = threading.Event()
        for _ in range(15_000):  # more than the kernel keeps for it
            signal.trigger(PAYLOAD)
        driver = server._server
        assert driver is not None
        deadline = threading.Timer(LIMIT_S, gone.set)
        deadline.start()
        while len(driver.core.connections) > 1 and not gone.is_set():
            server.wait(0.02)
        deadline.cancel()
        assert not gone.is_set(), "the stalled client is still connected"


def test_a_server_that_does_not_read_makes_trigger_wait_and_then_refuse() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        ready = threading.Event()
        over = threading.Event()

        def play_server() -> None:
            """Shakes hands, answers one call, and reads no more."""
            from sig.messages import Result, Route, Welcome

            sock, _ = deaf.accept()
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader = FrameReader(1 << 20, preface=True)
                welcome = Welcome(1, ["json"], "deaf", 1, 1, "token", 1 << 20, 1 << 20, 0.0)
                while True:
                    for frame in reader.feed(sock.recv(4096)):
                        if frame.kind == Kind.HELLO:
                            sock.sendall(PREFACE + pack(Kind.WELCOME, encode_control(welcome)))
                        elif frame.kind == Kind.CALL:
                            route = Route("s", "e", owner=True)
                            sock.sendall(pack(Kind.ROUTE, encode_control(route), route=7))
                            sock.sendall(pack(Kind.RESULT, encode_control(Result(1)), route=frame.route))
                            ready.set()
                    if ready.is_set():
                        break
                over.wait(LIMIT_S)

        thread = threading.Thread(target=play_server)
        thread.start()
        client = sig.connect(f"tcp://127.0.0.1:{port}", send_timeout=0.3, send_window_bytes=100_000)
        sender = client.add_sender("s", "e")
        accepted = 0

        def fill() -> None:
            nonlocal accepted
            while True:
                sender.trigger("e", PAYLOAD)
                accepted += 1

        with pytest.raises(sig.Overloaded, match="trigger less often"):
            fill()
        driver = client._driver
        assert driver is not None
        assert driver.triggered == accepted
        assert driver.core.outgoing.event_bytes <= 100_000 + 2 * len(PAYLOAD) + 500
        # The link lives, and a second attempt says the same.
        with pytest.raises(sig.Overloaded):
            sender.trigger("e", PAYLOAD)
        client.close(0.2)
        over.set()
        thread.join(LIMIT_S)


def test_a_slow_listener_with_a_queue_of_its_own_holds_up_nobody() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        go_on = threading.Event()
        gaps: list[int | None] = []
        slow_got: list[object] = []
        quick_got: list[object] = []
        last = threading.Event()

        def slow(info: sig.Info, data: object) -> None:
            go_on.wait(LIMIT_S)
            slow_got.append(data)

        def quick(info: sig.Info, data: object) -> None:
            quick_got.append(data)
            if data == 999:
                last.set()

        subscription = client.listen(slow, "s", "e", queue=10, on_gap=lambda info, gap: gaps.append(gap.missed))
        client.listen(quick, "s", "e")
        signal = server.add_sender("s", "e").signal("e")
        for number in range(1000):
            signal.trigger(number)
        assert last.wait(LIMIT_S)
        assert quick_got == list(range(1000))
        go_on.set()
        client.close()
        assert slow_got[-10:] == list(range(990, 1000))
        assert len(slow_got) + subscription.missed == 1000
        assert sum(gap or 0 for gap in gaps) == subscription.missed


def test_a_client_whose_listener_is_stuck_drops_the_oldest_and_says_how_many() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        with sig.connect(server.urls[0], listener_queue_events=100) as client:
            begun, go_on = threading.Event(), threading.Event()
            got: list[object] = []
            gaps: list[sig.Gap] = []

            def stuck(info: sig.Info, data: object) -> None:
                begun.set()
                go_on.wait(LIMIT_S)
                got.append(data)

            subscription = client.listen(stuck, "s", "e", on_gap=lambda info, gap: gaps.append(gap))
            signal = server.add_sender("s", "e").signal("e")
            signal.trigger(-1)
            assert begun.wait(LIMIT_S)
            for number in range(1000):
                signal.trigger(number)
            server.flush()
            client.senders()  # the answer comes behind the events
            go_on.set()
        assert got[0] == -1
        assert got[-1] == 999
        assert len(got) + subscription.missed == 1001
        assert subscription.missed > 0
        assert {gap.reason for gap in gaps} == {"slow"}
        assert subscription.received == len(got)
