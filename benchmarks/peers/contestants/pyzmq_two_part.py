"""pyzmq as its guide has it: PUB, proxy of XSUB and XPUB, SUB, with `send_multipart([topic, body])`; REQ and REP.

`pyzmq_by_part` and `pyzmq_one_part` are faster ways to do the same. Not to lose anything: no high-water marks anywhere
(0 is "no limit"). Sockets are used by Python's blocking calls, which are pyzmq's fastest; the proxies run in C, without
the interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

from benchmarks.peers import roles
from benchmarks.peers.payload import Event, clock, decode, encode, sample
from benchmarks.peers.roles import ANSWER_S, MEETING, Address, check_answer
from benchmarks.peers.tally import Tally

ANYWHERE = "tcp://127.0.0.1:*"
ANSWER_MS = ANSWER_S * 1000


def socket(kind: int) -> zmq.Socket[bytes]:
    made: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    made.setsockopt(zmq.SNDHWM, 0)
    made.setsockopt(zmq.RCVHWM, 0)
    return made


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for front_kind, back_kind, inside, outside in (
            (zmq.XSUB, zmq.XPUB, "publish", "subscribe"),
            (zmq.ROUTER, zmq.DEALER, "ask", "answer"),
        ):
            front, back = socket(front_kind), socket(back_kind)
            for bound, name in ((front, inside), (back, outside)):
                bound.bind(ANYWHERE)
                self.address[name] = bound.getsockopt_string(zmq.LAST_ENDPOINT)
            threading.Thread(target=zmq.proxy, args=(front, back), daemon=True).start()


class Publisher(roles.Publisher):
    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._socket = socket(zmq.PUB)
        self._socket.connect(address["publish"])
        # Large parts are handed over, small ones copied: zmq's own advice.
        self._copy = not large

    def trigger(self, route: str) -> Callable[[Event], object]:
        send, topic, copy = self._socket.send_multipart, route.encode(), self._copy
        return lambda event: send((topic, encode(event)), copy=copy)


class Subscriber(roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self._socket = socket(zmq.SUB)
        self._socket.connect(address["subscribe"])
        for route in [*routes, MEETING]:
            self._socket.subscribe(route.encode())
        self._large = large

    def fetch(self, take: Callable[[object, Event], bool], limit: float) -> None:
        self._socket.setsockopt(zmq.RCVTIMEO, round(limit * 1000))
        try:
            if self._large:
                self._fetch_large(take)
            else:
                self._fetch(take)
        except zmq.Again:
            raise TimeoutError("nothing came any more") from None

    def _fetch(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv_multipart
        while True:
            topic, body = receive()
            if take(topic, decode(body)):
                return

    def _fetch_large(self, take: Callable[[object, Event], bool]) -> None:
        receive = self._socket.recv_multipart
        while True:
            topic, body = receive(copy=False)
            if take(topic, decode(body.buffer)):
                return


class Replier(roles.Replier):
    def __init__(self, address: Address) -> None:
        self._socket = socket(zmq.REP)
        self._socket.connect(address["answer"])
        threading.Thread(target=self._serve, name="replier", daemon=True).start()

    def _serve(self) -> None:
        receive, send = self._socket.recv, self._socket.send
        while True:
            send(encode(decode(receive())))


class Requester(roles.Requester):
    def __init__(self, address: Address) -> None:
        self._address = address["ask"]
        self._socket = socket(zmq.REQ)
        self._socket.setsockopt(zmq.RCVTIMEO, ANSWER_MS)
        self._socket.connect(self._address)

    def request(self, event: Event) -> Event:
        self._socket.send(encode(event))
        answer: Event = decode(self._socket.recv())
        return answer

    def ask_many(self, count: int, flight: int) -> dict[str, float]:
        # REQ allows one request at a time. A DEALER that writes REQ's empty part itself keeps the pipeline full; there
        # is one replier, so answers come in order.
        dealer = socket(zmq.DEALER)
        dealer.setsockopt(zmq.RCVTIMEO, ANSWER_MS)
        dealer.connect(self._address)
        event = sample()
        started = clock()
        for seq in range(count + flight):
            if seq >= flight:
                dealer.recv()
                check_answer(decode(dealer.recv()), seq - flight)
            if seq < count:
                event["seq"] = seq
                dealer.send(b"", zmq.SNDMORE)
                dealer.send(encode(event))
        return {"took": clock() - started}


class Idle(roles.Idle):
    def __init__(self, address: Address) -> None:
        self._address = address["subscribe"]
        self._sockets: list[zmq.Socket[bytes]] = []
        zmq.Context.instance().set(zmq.MAX_SOCKETS, 8192)

    def open(self, count: int) -> None:
        for _ in range(count):
            made = socket(zmq.SUB)
            watch = made.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            watch.setsockopt(zmq.RCVTIMEO, ANSWER_MS)
            made.connect(self._address)
            watch.recv_multipart()
            made.disable_monitor()
            self._sockets.append(made)
