"""The carriers that have to pass: one table. What a row needs is made for each check, and taken away."""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from net.places import place

from sig.carriers import Medium, MediumClient, MediumServer
from sig.carriers.stdio import _Pipes
from sig.testing import Ends

# Called with the options that both ends get.
MakeEnds = Callable[..., AbstractContextManager[Ends]]

_numbers = itertools.count(1)


def by_url(url: str, **both: Any) -> Ends:
    return Ends(
        serve=lambda api, **options: api.serve(url, **both, **options),
        connect=lambda api, server, **options: api.connect(server.urls[0], **both, **options),
    )


@contextmanager
def tcp(**both: Any) -> Iterator[Ends]:
    yield by_url("tcp://127.0.0.1:0", **both)


@contextmanager
def local(**both: Any) -> Iterator[Ends]:
    yield by_url(f"local://conformance-{next(_numbers)}", **both)


@contextmanager
def unix(**both: Any) -> Iterator[Ends]:
    with tempfile.TemporaryDirectory() as directory:
        yield by_url(f"unix://{directory}/socket", **both)


def over(kind: str) -> MakeEnds:
    """One of the addresses that strangers can reach too: with certificates where it needs some."""

    @contextmanager
    def ends(**both: Any) -> Iterator[Ends]:
        with place(kind) as there:
            yield Ends(
                serve=lambda api, **options: api.serve(there.url, **there.server, **both, **options),
                connect=lambda api, server, **options: api.connect(server.urls[0], **there.client, **both, **options),
            )

    return ends


class Half:
    """A medium of one's own: one half of a pair of sockets."""

    def __init__(self, half: socket.socket) -> None:
        self.half = half

    def read(self, timeout: float) -> bytes | None:
        if not select.select([self.half], [], [], timeout)[0]:
            return None
        return self.half.recv(4096)

    def write(self, data: bytes) -> None:
        self.half.sendall(data)

    def close(self) -> None:
        self.half.close()


class Switchboard(MediumServer):
    """Lets in whoever plugs in."""

    def __init__(self) -> None:
        super().__init__("plug://board")
        self._attach: Callable[[Medium, str], None] | None = None

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        self._attach = attach

    def plug(self) -> Half:
        here, there = socket.socketpair()
        for half in (here, there):
            half.setblocking(True)
        assert self._attach is not None  # it serves
        self._attach(Half(here), "plug")
        return Half(there)


class Plug(MediumClient):
    def __init__(self, board: Switchboard) -> None:
        super().__init__("plug://board")
        self._board = board

    def open(self, timeout: float) -> Medium:
        return self._board.plug()


@contextmanager
def medium(**both: Any) -> Iterator[Ends]:
    """The base of carriers that somebody else writes."""
    board = Switchboard()
    yield Ends(
        serve=lambda api, **options: api.serve(board, **both, **options),
        connect=lambda api, server, **options: api.connect(Plug(board), **both, **options),
    )


@contextmanager
def single(**both: Any) -> Iterator[Ends]:
    """One that leads to a single client, and does not tell when its other end has gone: as a serial line."""
    with medium(**both) as ends:
        yield ends._replace(clients=1, breaks=False)


class Piped(MediumServer):
    """The pipes of `stdio:`, with both ends in this process."""

    def __init__(self) -> None:
        super().__init__("stdio:")
        inward, outward = os.pipe(), os.pipe()
        self._here = inward[0], outward[1]
        self.there = outward[0], inward[1]

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        attach(_Pipes(*self._here), "child")


class Pipes(MediumClient):
    def __init__(self, server: Piped) -> None:
        super().__init__("stdio:")
        self._server = server

    def open(self, timeout: float) -> Medium:
        return _Pipes(*self._server.there)


@contextmanager
def stdio(**both: Any) -> Iterator[Ends]:
    """Leads to a single client; a child process is in the tests of the carrier."""
    server = Piped()
    yield Ends(
        serve=lambda api, **options: api.serve(server, **both, **options),
        connect=lambda api, _, **options: api.connect(Pipes(server), **both, **options),
        clients=1,
    )


CARRIERS: dict[str, MakeEnds] = {
    "tcp": tcp,
    "unix": unix,
    "local": local,
    "tls": over("tls"),
    "ws": over("ws"),
    "wss": over("wss"),
    "stdio": stdio,
    "medium": medium,
    "single": single,
}


class Compact:
    """A codec of one's own."""

    name = "compact"

    def encode(self, value: object) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def decode(self, data: bytes) -> object:
        return json.loads(bytes(data))


CODECS: dict[str, object] = {"json": "json", "msgpack": "msgpack", "custom": Compact()}
