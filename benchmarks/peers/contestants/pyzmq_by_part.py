"""pyzmq with topic and body in two parts, each sent and received by a call of its own.

The same bytes as `pyzmq_two_part` at half the cost: `send_multipart` and `recv_multipart` are loops in Python that
check and collect. Requests are not run again: there every call sends one part anyway.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from benchmarks.peers.contestants import pyzmq_two_part
from benchmarks.peers.contestants.pyzmq_two_part import Idle, Server
from benchmarks.peers.payload import Event, decode, encode

__all__ = ["Idle", "Publisher", "Server", "Subscriber"]


class Publisher(pyzmq_two_part.Publisher):
    def trigger(self, route: str) -> Callable[[Event], object]:
        send, topic, copy = self._socket.send, route.encode(), self._copy

        def trigger(event: Event) -> None:
            body = encode(event)
            send(topic, zmq.SNDMORE)
            send(body, 0, copy)

        return trigger


class Subscriber(pyzmq_two_part.Subscriber):
    def _fetch(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv
        while True:
            topic = receive()
            if take(topic, decode(receive())):
                return

    def _fetch_large(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv
        while True:
            topic = receive()
            if take(topic, decode(receive(copy=False).buffer)):
                return
