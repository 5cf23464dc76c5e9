"""A client's link over a socket: everything leaves in order, nothing waits under a lock, and it always ends."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from sig.drivers import sockets
from sig.drivers.sockets import SocketLink
from sig.errors import SigError

LIMIT_S = 20


class User:
    """What a link calls; keeps what it was told."""

    def __init__(self) -> None:
        self.link: SocketLink
        self.lock = threading.Lock()
        self.more: list[bytes] = []
        self.error: SigError | None = None
        self.told = 0
        self._data = bytearray()
        self._changed = threading.Condition()
        self.over = threading.Event()

    def received(self, data: bytes | memoryview) -> None:
        with self._changed:
            self._data += data
            self._changed.notify_all()

    def writable(self) -> None:
        with self.lock:
            self.pump()

    def pump(self) -> None:
        while self.more and not self.link.unsent:
            self.link.send(self.more.pop(0))

    def send(self, *parts: bytes) -> None:
        with self.lock:
            self.more += parts
            self.pump()

    def locked(self, function: Callable[[], bool]) -> bool:
        with self.lock:
            return function()

    def lost(self, error: SigError) -> None:
        self.error = error
        self.told += 1
        self.over.set()

    def wait_for(self, data: bytes) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: data in self._data, LIMIT_S)


class Pair:
    """A link, who uses it, and the other end."""

    def __init__(self, *, stall_s: float = 10, start: bool = True) -> None:
        mine, self.other = socket.socketpair()
        for sock in (mine, self.other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.other.settimeout(LIMIT_S)
        self.user = User()
        self.user.link = self.link = SocketLink(mine, stall_s)
        if start:
            self.link.start(self.user)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (part := self.other.recv(65536)):
            data += part
        return data


@pytest.fixture(params=[sockets._Poll, sockets._Select], ids=["poll", "select"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(sockets, "_Watcher", request.param)
    pair = Pair()
    yield pair
    pair.other.close()
    pair.link.finish(0)
    pair.link.join(LIMIT_S)


def test_both_ways(pair: Pair) -> None:
    pair.user.send(b"there")
    assert pair.other.recv(100) == b"there"
    pair.other.sendall(b"and back")
    pair.user.wait_for(b"and back")


def test_what_is_not_taken_at_once_leaves_in_order(pair: Pair) -> None:
    parts = [bytes([number]) * 100_000 for number in range(20)]
    pair.user.send(*parts)
    assert pair.link.unsent > 0
    assert pair.read(2_000_000) == b"".join(parts)


def test_it_ends_when_all_has_gone_and_the_other_end_has_closed(pair: Pair) -> None:
    pair.user.send(b"x" * 300_000)
    with pair.user.lock:
        pair.link.finish(LIMIT_S)
    assert pair.read(300_001) == b"x" * 300_000  # and then its end
    assert not pair.user.over.is_set()
    pair.other.close()
    pair.link.join(LIMIT_S)
    assert pair.user.told == 1
    assert str(pair.user.error) == "the server closed the link"


def test_it_ends_in_time_although_the_other_end_stays(pair: Pair) -> None:
    pair.link.finish(LIMIT_S * 10)
    pair.link.finish(0.01)  # the shorter time holds
    pair.link.finish(LIMIT_S * 10)
    assert pair.user.over.wait(LIMIT_S)


def test_it_ends_in_time_although_nothing_is_read(pair: Pair) -> None:
    pair.user.send(b"x" * 300_000)
    pair.link.finish(0.01)
    assert pair.user.over.wait(LIMIT_S)


def test_a_server_that_goes_on_talking_does_not_put_off_the_end(pair: Pair) -> None:
    with pair.user.lock:
        pair.link.finish(0.05)
    pair.other.settimeout(0.01)
    while not pair.user.over.is_set():
        try:
            pair.other.send(b"and another thing; ")
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            continue


def test_an_end_without_order_is_told_with_the_systems_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    user = User()
    user.link = SocketLink(mine, 10)
    user.link.start(user)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()  # a reset, not an end
    assert user.over.wait(LIMIT_S)
    assert str(user.error) == "the link to the server was lost: Connection reset by peer"
    user.link.join(LIMIT_S)
    user.send(b"too late")  # nobody is told twice
    user.link.finish(1)
    assert user.told == 1


def test_a_server_that_takes_nothing_is_given_up() -> None:
    pair = Pair(stall_s=0.05)
    pair.user.send(b"x" * 300_000)
    assert pair.user.over.wait(LIMIT_S)
    assert str(pair.user.error) == "the server has not taken anything for 0.05 s"
    pair.link.join(LIMIT_S)
    pair.other.close()


def test_one_that_takes_little_at_a_time_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(ahead=0.0, monotonic=lambda: time.monotonic() + clock.ahead)
    monkeypatch.setattr(sockets, "time", clock)
    pair = Pair(stall_s=1000)
    pair.user.send(b"x" * 300_000)
    left = 300_000
    while left:
        clock.ahead += 600  # each time less than the limit, together a hundred times as long
        left -= len(pair.other.recv(4096))
    assert not pair.user.over.is_set()
    pair.other.close()
    pair.link.join(LIMIT_S)


def test_the_time_before_there_was_something_to_write_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(ahead=0.0, monotonic=lambda: time.monotonic() + clock.ahead)
    monkeypatch.setattr(sockets, "time", clock)
    pair = Pair(stall_s=1000)
    pair.other.sendall(b"hello")
    pair.user.wait_for(b"hello")
    clock.ahead = 5000  # an idle afternoon
    pair.user.send(b"x" * 300_000)
    assert pair.read(300_000) == b"x" * 300_000
    assert not pair.user.over.is_set()
    pair.other.close()
    pair.link.join(LIMIT_S)


def test_one_that_never_began_is_closed_by_joining_it() -> None:
    pair = Pair(start=False)
    pair.link.finish(0)
    pair.link.join(0)
    assert pair.other.recv(1) == b""
    pair.other.close()


def test_abandoning_lets_go_without_a_word() -> None:
    """As in a forked child: the parent has the same socket, and goes on."""
    pair = Pair(start=False)
    parents = pair.link._sock.dup()
    pair.link.abandon()
    pair.link.abandon()
    parents.sendall(b"still here")
    assert pair.other.recv(100) == b"still here"
    parents.close()
    pair.other.close()


# -- a thread that takes turns -------------------------------------------------------------------


class Turning:
    """A thread that reads when it has nothing else to do, as the one that calls listeners does."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.readers: list[str] = []  # which thread read each piece
        self.busy = threading.Event()  # it stays away while this is clear
        self.busy.set()
        self.turned = threading.Semaphore(0)
        received = pair.user.received

        def noted(data: bytes | memoryview) -> None:
            self.readers.append(threading.current_thread().name)
            received(data)

        pair.user.received = noted  # type: ignore[method-assign]  # to know who it was
        self.thread = threading.Thread(target=self.run, name="turning")

    def run(self) -> None:
        while self.pair.link.turn():
            self.turned.release()
            self.busy.wait(LIMIT_S)

    def go_away(self) -> None:
        """It reads once more, and then is busy."""
        self.busy.clear()
        self.pair.other.sendall(b"go away;")
        self.pair.user.wait_for(b"go away;")

    def __enter__(self) -> Turning:
        self.thread.start()
        assert self.turned.acquire(timeout=LIMIT_S)  # it has taken over
        return self

    def __exit__(self, *exc: object) -> None:
        self.busy.set()
        self.pair.other.close()
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()


def test_who_takes_turns_reads_by_itself(pair: Pair) -> None:
    with Turning(pair) as turning:
        for number in range(5):
            pair.other.sendall(b"%d;" % number)
            pair.user.wait_for(b"%d;" % number)
        assert set(turning.readers) == {"turning"}
        pair.user.send(b"there")
        assert pair.other.recv(100) == b"there"


def test_while_it_is_away_the_links_own_thread_reads_and_then_it_does_again(pair: Pair) -> None:
    with Turning(pair) as turning:
        for _ in range(3):
            turning.go_away()
            pair.other.sendall(b"while away;")
            pair.user.wait_for(b"while away;")
            assert turning.readers[-1] == "sig-read"
            while turning.turned.acquire(blocking=False):
                pass
            turning.busy.set()
            assert turning.turned.acquire(timeout=LIMIT_S)
            pair.user._data.clear()
        pair.link.poke()
        assert turning.turned.acquire(timeout=LIMIT_S)


def test_what_waits_to_be_written_leaves_while_it_is_away(pair: Pair) -> None:
    with Turning(pair) as turning:
        turning.go_away()
        pair.user.send(b"x" * 1_000_000)
        assert len(pair.read(1_000_000)) == 1_000_000


def test_who_is_about_to_wait_lets_another_read_at_once(pair: Pair) -> None:
    with Turning(pair) as turning:
        turning.go_away()
        pair.link.relieve()
        pair.other.sendall(b"answer;")
        pair.user.wait_for(b"answer;")
        assert turning.readers[-1] == "sig-read"


def test_who_waits_for_an_answer_does_not_leave_it_to_one_who_has_been_away_for_long(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_EXPECTED_S", 0.0)
    pair.link._patience = 3600.0
    with Turning(pair) as turning:
        pair.link.expect()  # it reads: nothing need be done
        turning.go_away()
        assert turning.turned.acquire(timeout=LIMIT_S)
        pair.link.expect()
        pair.other.sendall(b"answer;")
        pair.user.wait_for(b"answer;")
        assert turning.readers == ["turning", "sig-read"]


def test_who_always_comes_back_soon_is_given_more_time(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> float:
        turning.go_away()
        pair.link.relieve()
        pair.other.sendall(b"while away;")
        pair.user.wait_for(b"while away;")
        pair.user._data.clear()
        while turning.turned.acquire(blocking=False):
            pass
        turning.busy.set()
        assert turning.turned.acquire(timeout=LIMIT_S)  # it has been given its turn again
        return pair.link._patience

    with Turning(pair) as turning:
        monkeypatch.setattr(sockets, "_SOON_S", 3600.0)
        assert away() >= sockets._AWAY_S * 2
        for _ in range(3):
            longest = away()
        assert longest == sockets._AWAY_MOST_S
        monkeypatch.setattr(sockets, "_SOON_S", 0.0)
        assert away() == sockets._AWAY_S, "it stayed away for long: what comes is not to wait so long the next time"


def test_a_quiet_link_is_not_watched_and_is_there_at_once(pair: Pair) -> None:
    with Turning(pair) as turning:
        deadline = time.monotonic() + LIMIT_S
        while not pair.link._asleep:
            assert time.monotonic() < deadline
            time.sleep(0.01)  # nobody tells
        turning.go_away()
        pair.other.sendall(b"while away;")
        pair.user.wait_for(b"while away;")
        assert turning.readers == ["turning", "sig-read"]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_however_the_turns_go(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    sent = b"".join(b"%d;" % number for number in range(20_000))
    with Turning(pair) as turning:
        run = pair.link.turn

        def busy_sometimes() -> bool:
            if chance.random() < 0.3:
                time.sleep(chance.choice([0, 0.001, 0.004]))
            return run()

        pair.link.turn = busy_sometimes  # type: ignore[method-assign]
        position = 0
        while position < len(sent):
            size = chance.randint(1, 4000)
            pair.other.sendall(sent[position : position + size])
            position += size
            if chance.random() < 0.2:
                time.sleep(0.001)
        pair.user.wait_for(sent[-8:])
        assert bytes(pair.user._data) == sent
        assert len(set(turning.readers)) <= 2


def test_a_turn_on_a_link_that_has_ended_is_none(pair: Pair) -> None:
    pair.other.close()
    pair.link.join(LIMIT_S)
    assert not pair.link.turn()
    pair.link.relieve()
