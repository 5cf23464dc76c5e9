"""A server in a process of its own, and clients that are nothing but a socket."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import psutil

import sig
from benchmarks.tables import Table
from sig.carriers.address import parse
from sig.drivers.descriptors import raise_limit
from sig.messages import Hello, Listen, encode_control
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack

LIMIT_S = 60.0
HELLO = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"], name="raw")))
# The descriptors that everything else needs.
_RESERVE = 200


class Outcome(NamedTuple):
    """What a scenario has found."""

    told: dict[str, Any]  # for programs
    table: Table
    failures: Sequence[str] = ()  # promises that were not kept


class Child:
    """A server that runs."""

    def __init__(
        self, process: subprocess.Popen[str], url: str, auth: str | None = None, log: IO[str] | None = None
    ) -> None:
        self.process = process
        self.url = url
        self._auth = auth
        self._log = log
        address = parse(url)
        self.place = (address.host, address.port)
        self._about = psutil.Process(process.pid)

    @property
    def memory(self) -> int:
        """Bytes that it has in memory."""
        return int(self._about.memory_info().rss)

    @property
    def seconds(self) -> float:
        """Of the processor, that it has used."""
        times = self._about.cpu_times()
        return float(times.user + times.system)

    def log(self) -> str:
        """All that it has logged so far, where that is kept."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()

    def stats(self) -> sig.Stats:
        with sig.connect(self.url, name="watch", auth=self._auth) as client:
            return client.stats()

    def settled(self, clients: int) -> sig.Stats:
        """Wait until it has so many clients, beside its own router and who asks. Raises `TimeoutError`."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            stats = self.stats()
            if stats.totals.clients == clients + 2:
                return stats
            if time.monotonic() > deadline:
                raise TimeoutError(f"{stats.totals.clients - 2} clients are there, and {clients} should be")
            time.sleep(0.05)


@contextmanager
def server(*more: str, auth: str | None = None, **limits: float) -> Iterator[Child]:
    """`sig serve`, with these options and limits; `auth`: what lets one in."""
    options = [*more, *(f"--limit={name}={value}" for name, value in limits.items())]
    with tempfile.TemporaryFile("a+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sig", "serve", "tcp://127.0.0.1:0", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=dict(os.environ),
        )
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            if len(words) < 2:
                log.seek(0)
                raise RuntimeError(f"the server did not start: {log.read()}")
            yield Child(process, words[1], auth, log)
        finally:
            process.kill()
            process.communicate()


def as_many(wanted: int) -> int:
    """So many connections as the descriptors of one process allow."""
    raise_limit()
    import resource

    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVE)


class Idler(asyncio.Protocol):
    """Shakes hands, and is silent."""

    def __init__(self) -> None:
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = FrameReader(1 << 20, preface=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(HELLO)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.welcome.done() and any(frame.kind == Kind.WELCOME for frame in self._reader.feed(data)):
            self.welcome.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.welcome.done():
            self.welcome.set_exception(error or ConnectionError("the server closed the link"))


def mute(child: Child, sender: str, *events: str) -> socket.socket:
    """A client that listens to these, and then reads nothing any more."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(LIMIT_S)
    sock.connect(child.place)
    calls = [
        pack(Kind.CALL, encode_control(Listen(number, sender, event)), route=number)
        for number, event in enumerate(events, start=1)
    ]
    sock.sendall(HELLO + b"".join(calls))
    reader = FrameReader(1 << 20, preface=True)
    answers = 0
    while answers < len(events):
        answers += sum(frame.kind == Kind.RESULT for frame in reader.feed(sock.recv(4096)))
    return sock


def table(title: str, rows: Sequence[Sequence[str]]) -> Table:
    """What was found, what must be, and what we should like; a row may end early."""
    return Table(title, ["", "figure", "must", "goal"], [[*row, *[""] * (4 - len(row))] for row in rows])


def mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
