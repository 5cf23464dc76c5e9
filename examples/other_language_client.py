"""A client that knows nothing of sig but docs/explanation/wire.md: the standard library alone.

To be read beside that page, by whoever writes a client in another language. It registers a sender, listens,
triggers, asks, and answers; `tests/examples` runs it against a real server.
"""

import json
import socket
import struct
import sys

HEADER = struct.Struct("<IBBHI")  # length of the body, kind, flags, count, route
HELLO, WELCOME, BYE, PING, PONG, ERROR = 0x01, 0x02, 0x03, 0x04, 0x05, 0x08
CALL, RESULT, ROUTE, ROUTE_GONE, INTEREST, PRESENCE = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
EVENT, REQUEST, REPLY, LOST = 0x20, 0x30, 0x31, 0x42
LENS, MIXED, ERR = 0x01, 0x02, 0x01


class Client:
    def __init__(self, host, port, name):
        self.socket = socket.create_connection((host, port), timeout=10)
        self.stream = self.socket.makefile("rb")
        self.number = 0  # of the last call or request
        self.routes = {}  # id -> the body of its ROUTE
        self.answers = {}  # (RESULT or REPLY, number) -> (flags, value)
        self.events = []  # (sender, event, data) that nobody has taken yet
        self.handlers = {}  # method -> function
        self.socket.sendall(b"PSIG\x01\x00\x00\x00")
        self.send(HELLO, json.dumps({"versions": [1], "codecs": ["json"], "name": name}))
        assert self.stream.read(8)[:5] == b"PSIG\x01"
        self.welcome = None
        while self.welcome is None:
            self.receive()

    def send(self, kind, body, flags=0, count=0, route=0):
        body = body.encode() if isinstance(body, str) else body
        self.socket.sendall(HEADER.pack(len(body), kind, flags, count, route) + body)

    def receive(self):
        """Read one frame, and do what it asks for."""
        length, kind, flags, count, route = HEADER.unpack(self.stream.read(HEADER.size))
        body = self.stream.read(length)
        if kind == WELCOME:
            self.welcome = json.loads(body)
        elif kind == PING:
            self.send(PONG, body)
        elif kind in (BYE, ERROR):
            raise ConnectionError(json.loads(body))
        elif kind == ROUTE:
            self.routes[route] = json.loads(body)
        elif kind == ROUTE_GONE:
            del self.routes[route]
        elif kind == INTEREST:
            if json.loads(body)["state"] != "none":
                self.send(INTEREST, body, route=route)  # whoever begins to listen waits until we know
        elif kind == RESULT:
            self.answers[RESULT, route] = flags, json.loads(body)
        elif kind == REPLY:
            _, number = struct.unpack_from("<II", body)
            self.answers[REPLY, number] = flags, json.loads(body[8:])
        elif kind == REQUEST:
            peer, number, _, _, name_length = struct.unpack_from("<IIIBB", body)
            method, params = body[14 : 14 + name_length].decode(), json.loads(body[14 + name_length :])
            answer = json.dumps(self.handlers[method](params))
            self.send(REPLY, struct.pack("<II", peer, number) + answer.encode(), route=route)
        elif kind == EVENT:
            routes = struct.unpack_from(f"<{count}I", body, 8) if flags & MIXED else [route] * count
            start = 8 + 4 * count * (bool(flags & MIXED) + bool(flags & LENS))
            payloads = [body[start:]] if count == 1 else body[start:].split(b"\n")[:count]
            for each, payload in zip(routes, payloads, strict=True):
                self.events.append((self.routes[each]["sender"], self.routes[each]["event"], json.loads(payload)))
        # PRESENCE and LOST are left out here; whatever else comes need not be understood.

    def answer(self, kind, number):
        """Receive until the answer is here."""
        while (kind, number) not in self.answers:
            self.receive()
        flags, value = self.answers.pop((kind, number))
        if flags & ERR:
            raise RuntimeError(f"{value['code']}: {value['message']}")
        return value

    def call(self, what, **fields):
        self.number += 1
        self.send(CALL, json.dumps({"call": what, **fields}), route=self.number)
        return self.answer(RESULT, self.number)["ok"]

    def add_sender(self, sender, events, handlers):
        self.handlers = handlers
        self.call("add_sender", name=sender, events=events, requests=list(handlers))
        return {r["event"]: number for number, r in self.routes.items() if r.get("owner") and "event" in r}

    def trigger(self, route, data):
        self.send(EVENT, bytes(8) + json.dumps(data).encode(), count=1, route=route)

    def request(self, sender, method, params):
        route = self.call("open_requests", sender=sender)
        self.number += 1
        head = struct.pack("<IIIBB", 0, self.number, 30_000, 1, len(method.encode()))
        self.send(REQUEST, head + method.encode() + json.dumps(params).encode(), route=route)
        return self.answer(REPLY, self.number)

    def close(self):
        self.send(BYE, json.dumps({"code": "closed"}))
        self.stream.read()  # until the server closes too: closing over unread bytes could cost it our last frames
        self.stream.close()
        self.socket.close()

    def event(self):
        while not self.events:
            self.receive()
        return self.events.pop(0)


if __name__ == "__main__":
    client = Client("127.0.0.1", int(sys.argv[1]), "a stranger")
    own = client.add_sender("guest", ["hello"], {"double": lambda params: params * 2})
    client.call("listen", id=1, sender="host", event="said")
    client.trigger(own["hello"], {"from": "a stranger"})
    print(client.event())
    print(client.request("host", "add", [1, 2, 3]))
    try:
        client.request("host", "subtract", None)
    except RuntimeError as error:
        print(error)
    client.close()
