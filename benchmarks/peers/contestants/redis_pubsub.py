"""Redis pub/sub with redis-py and its C parser hiredis; the system's redis-server.

Not to lose anything: no limit on what waits for a subscriber (`client-output-buffer-limit pubsub 0 0 0`). For speed:
a stream of events goes out in pipelines without transactions, as redis-py advises; a single event at once.
Redis has no request and answer of its own: it takes no part in those cases.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import redis

from benchmarks.peers import roles
from benchmarks.peers.contestants import find_program
from benchmarks.peers.payload import Event, decode, encode
from benchmarks.peers.roles import MEETING, Address
from benchmarks.peers.tally import Tally

START_S = 10
# Commands in one pipeline.
PIPELINE = 100


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = find_program("redis-server")
        assert program is not None  # the list of contestants asks for it
        options = f"--bind 127.0.0.1 --port {port} --appendonly no --client-output-buffer-limit pubsub 0 0 0"
        command = [program, *options.split(), "--save", "", "--dir", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.pids = [self._process.pid]
        self.address = {"port": port}
        self._wait(time.monotonic() + START_S)

    def _wait(self, deadline: float) -> None:
        """Until it answers."""
        while True:
            try:
                with contextlib.closing(connect(self.address)) as client:
                    client.ping()
                    return
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def connect(address: Address) -> redis.Redis:
    return redis.Redis(host="127.0.0.1", port=address["port"])


class Publisher(roles.Publisher):
    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._client = connect(address)
        self._pipeline = self._client.pipeline(transaction=False)
        self._held = 0
        self._most = 1 if large else PIPELINE

    def trigger(self, route: str) -> Callable[[Event], object]:
        publish = self._client.publish
        return lambda event: publish(route, encode(event))

    def stream_trigger(self, route: str) -> Callable[[Event], object]:
        publish = self._pipeline.publish

        def trigger(event: Event) -> None:
            publish(route, encode(event))
            self._held += 1
            if self._held >= self._most:
                self.finish()

        return trigger

    def finish(self) -> None:
        self._pipeline.execute()
        self._held = 0


class Subscriber(roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        # redis-py has types, but not there.
        self._pubsub = connect(address).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(*routes, MEETING)

    def fetch(self, take: Callable[[object, Event], bool], limit: float) -> None:
        # listen() is the fast way, and waits for ever.
        with alarm(limit):
            for message in self._pubsub.listen():
                if take(message["channel"], decode(message["data"])):
                    return


@contextlib.contextmanager
def alarm(limit: float) -> Iterator[None]:
    """Raise `TimeoutError` in what the main thread waits for, after `limit` seconds."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError("nothing came any more")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Idle(roles.Idle):
    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: list[redis.Redis] = []

    def open(self, count: int) -> None:
        for _ in range(count):
            client = connect(self._address)
            client.ping()
            self._clients.append(client)
