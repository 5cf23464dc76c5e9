"""pyzmq with topic and body in one part: what one writes when two parts are too slow.

A subscription is a prefix of the first part, so a topic of fixed width and the body may be one. Everything else is as
in `pyzmq_two_part`; requests are, too, and are not run again.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.contestants import pyzmq_two_part
from benchmarks.peers.contestants.pyzmq_two_part import Idle, Server
from benchmarks.peers.payload import Event, decode, encode

__all__ = ["Idle", "Publisher", "Server", "Subscriber"]

# Names are filled up, or cut: what follows is the body.
WIDTH = 8


def topic_of(route: str) -> bytes:
    return route.encode()[:WIDTH].ljust(WIDTH, b"\0")


class Publisher(pyzmq_two_part.Publisher):
    def trigger(self, route: str) -> Callable[[Event], object]:
        send, topic, copy = self._socket.send, topic_of(route), self._copy
        return lambda event: send(topic + encode(event), 0, copy)


class Subscriber(pyzmq_two_part.Subscriber):
    def _fetch(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv
        while True:
            message = receive()
            if take(None, decode(message[WIDTH:])):
                return

    def _fetch_large(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv
        while True:
            message = receive(copy=False)
            if take(None, decode(message.buffer[WIDTH:])):
                return
