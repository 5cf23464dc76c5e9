"""What a board at the other end of a serial line has to do, without `sig`: the standard library alone.

To be read beside "On a line with noise" in docs/explanation/wire.md, by whoever writes it in C. It is the smallest that
will do: one packet at a time, and what comes early is not kept. The client upon it is `other_language_client.py`.
"""

import os
import select
import struct
import sys
import time
import tty
import zlib

from other_language_client import BYE, HELLO, Client, json

SYN, DATA, ACK, FIN, RST = 1, 2, 3, 4, 5
SIZE = 200  # the largest payload that fits into our memory


def stuff(data):
    """COBS: no zero is left."""
    out, start = bytearray(), 0
    out.append(0)  # where the next zero is: filled in when that is known
    for byte in data:
        if byte:
            out.append(byte)
        if byte == 0 or len(out) - start == 255:
            out[start] = len(out) - start
            start = len(out)
            out.append(0)
    out[start] = len(out) - start
    return bytes(out)


def unstuff(data):
    out, at = bytearray(), 0
    while at < len(data):
        length = data[at]
        out += data[at + 1 : at + length]
        at += length
        if length < 255 and at < len(data):
            out.append(0)
    return bytes(out)


class Line:
    def __init__(self, device):
        self.port = os.open(device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.port)
        self.name = int.from_bytes(os.urandom(4), "little") or 1
        self.peer = 0  # the name of the other end, once it is known
        self.opened = self.ended = False
        self.number = 0  # of our next packet
        self.wanted = 0  # by the other end
        self.next = 0  # that we want
        self.size = SIZE
        self.tail = b""
        self.data = bytearray()
        while not self.opened:
            self.say_syn()
            self.receive(0.25)

    def say(self, kind, number=0, payload=b"", tag=None):
        content = struct.pack("<BBBBI", kind, number, self.next, 0, self.peer if tag is None else tag) + payload
        os.write(self.port, b"\0" + stuff(content + struct.pack("<I", zlib.crc32(content))) + b"\0")

    def say_syn(self):
        self.say(SYN, payload=struct.pack("<IBBH", self.name, 1, 1, SIZE))

    def receive(self, seconds):
        """Take what comes, for at most this time."""
        if select.select([self.port], [], [], seconds)[0]:
            *pieces, tail = (self.tail + os.read(self.port, 4096)).split(b"\0")
            self.tail = tail[:1000]
            for piece in pieces:
                packet = unstuff(piece)
                if len(packet) >= 12 and zlib.crc32(packet[:-4]) == int.from_bytes(packet[-4:], "little"):
                    self.take(packet[:8], packet[8:-4])

    def take(self, header, payload):
        kind, number, wanted, _, tag = struct.unpack("<BBBBI", header)
        if kind == SYN:
            peer, version, _, size = struct.unpack_from("<IBBH", payload)
            if version != 1 or (self.opened and peer != self.peer):
                raise ConnectionError("the other end has begun anew")
            self.peer, self.size = peer, min(SIZE, size)
            if tag == self.name:
                self.opened = True
                self.say(ACK)
            else:
                self.say_syn()
        elif kind == RST:
            if tag == self.peer:
                raise ConnectionError("the other end has ended the session")
        elif tag != self.name:
            self.say(RST, tag=tag)
        elif self.peer:
            self.opened = True
            self.wanted = wanted
            if kind in (DATA, FIN):
                if number == self.next:
                    self.next = (self.next + 1) % 256
                    self.data += payload
                    self.ended = kind == FIN
                self.say(ACK)

    def deliver(self, kind, payload=b""):
        """Send until it has arrived."""
        number, self.number = self.number, (self.number + 1) % 256
        for _ in range(20):
            self.say(kind, number, payload)
            again = time.monotonic() + 0.5
            while (left := again - time.monotonic()) > 0:
                self.receive(left)
                if self.wanted == self.number:
                    return
        raise ConnectionError("the other end acknowledges nothing")

    # What the client above calls

    def sendall(self, data):
        for at in range(0, len(data), self.size):
            self.deliver(DATA, data[at : at + self.size])

    def read(self, size=None):
        while not self.ended and (size is None or len(self.data) < size):
            self.receive(1.0)
        if size is None or len(self.data) < size:
            size = len(self.data)
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken

    def close(self):
        os.close(self.port)


class Board(Client):
    def __init__(self, device):
        self.socket = self.stream = Line(device)
        self.number, self.routes, self.answers, self.events, self.handlers = 0, {}, {}, [], {}
        self.socket.sendall(b"PSIG\x01\x00\x00\x00")
        self.send(HELLO, json.dumps({"versions": [1], "codecs": ["json"], "name": "board"}))
        assert self.stream.read(8)[:5] == b"PSIG\x01"
        self.welcome = None
        while self.welcome is None:
            self.receive()

    def close(self):
        self.send(BYE, json.dumps({"code": "closed"}))
        self.socket.deliver(FIN)
        self.socket.read()
        self.socket.close()


if __name__ == "__main__":
    board = Board(sys.argv[1])
    own = board.add_sender("board", ["temperature"], {"blink": lambda times: f"blinked {times} times"})
    board.call("listen", id=1, sender="host", event="stop")
    for number in range(100):
        board.trigger(own["temperature"], 20 + number / 10)
    print(board.event(), flush=True)
    board.close()
