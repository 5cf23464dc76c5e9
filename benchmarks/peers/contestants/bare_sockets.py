"""Nothing but sockets: what three Python processes cannot do faster, whatever is written between them.

No library, no routes, no limits, nobody is told anything: a server that passes on each read as it came, a thread for
each way and blocking calls, so that whoever waits is woken by the kernel itself. One publisher and one subscriber, or
one requester and one replier. Not to be compared with those who do something: it is where the machine ends.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers import roles
from benchmarks.peers.payload import Event, decode, encode
from benchmarks.peers.roles import Address
from benchmarks.peers.tally import Tally

READ_BYTES = 1 << 16


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for inside, outside in (("publish", "subscribe"), ("ask", "answer")):
            doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
            self.address |= {name: door.getsockname()[1] for name, door in zip((inside, outside), doors, strict=True)}
            threading.Thread(target=relay, args=doors, daemon=True).start()


def relay(inside: socket.socket, outside: socket.socket) -> None:
    ends = [at_once(door.accept()[0]) for door in (outside, inside)]
    threading.Thread(target=copy, args=ends, daemon=True).start()
    copy(*reversed(ends))


def copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(READ_BYTES):
        target.sendall(data)


def at_once(link: socket.socket) -> socket.socket:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def connect(port: int) -> socket.socket:
    return at_once(socket.create_connection(("127.0.0.1", port)))


class Publisher(roles.Publisher):
    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._socket = connect(address["publish"])

    def trigger(self, route: str) -> Callable[[Event], object]:
        send, mark = self._socket.sendall, route.encode() + b" "
        return lambda event: send(mark + encode(event) + b"\n")


class Subscriber(roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self._socket = connect(address["subscribe"])
        self._rest = b""

    def fetch(self, take: Callable[[object, Event], bool], limit: float) -> None:
        self._socket.settimeout(limit)
        receive = self._socket.recv
        over = False
        while not over:
            *lines, self._rest = (self._rest + receive(READ_BYTES)).split(b"\n")
            for line in lines:
                route, _, body = line.partition(b" ")
                over |= take(route, decode(body))


class Replier(roles.Replier):
    def __init__(self, address: Address) -> None:
        self._socket = connect(address["answer"])
        threading.Thread(target=self._serve, name="replier", daemon=True).start()

    def _serve(self) -> None:
        receive, send = self._socket.recv, self._socket.sendall
        while data := receive(READ_BYTES):
            send(encode(decode(data)))


class Requester(roles.Requester):
    def __init__(self, address: Address) -> None:
        self._socket = connect(address["ask"])

    def request(self, event: Event) -> Event:
        self._socket.sendall(encode(event))
        answer: Event = decode(self._socket.recv(READ_BYTES))
        return answer
