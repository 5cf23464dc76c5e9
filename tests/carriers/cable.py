"""A serial cable without a serial port: two pseudo terminals, and a thread between them that may do its worst."""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Callable
from io import FileIO
from random import Random
from typing import Self

Noise = Callable[[bytes], bytes]


def opened_by_hand(device: str) -> FileIO:
    """An end of a cable as a file; not as the terminal of this process, which would end with it."""
    return FileIO(device, "r+", opener=lambda path, flags: os.open(path, flags | os.O_NOCTTY))


class Cable:
    """Both ends are paths of devices.

    Args:
        noise: what becomes of bytes on their way.
    """

    def __init__(self, noise: Noise = bytes) -> None:
        self.noise = noise
        self.carried = 0
        self._wake, self._stop = os.pipe()
        pairs = os.openpty(), os.openpty()
        for _, slave in pairs:
            tty.setraw(slave)  # nothing is echoed before anybody has opened it
        # The slaves stay open here, so that one that nobody has opened is no end of file.
        self._masters = [master for master, _ in pairs]
        self._slaves = [slave for _, slave in pairs]
        self.here, self.there = (os.ttyname(slave) for slave in self._slaves)
        self._thread = threading.Thread(target=self._carry, name="cable")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        """Its devices vanish, for good."""
        if self._masters:
            os.write(self._stop, b"\0")
            self._thread.join()
            for each in (*self._masters, *self._slaves, self._wake, self._stop):
                os.close(each)
            self._masters = []

    def _carry(self) -> None:
        a, b = self._masters
        while True:
            ready = select.select([a, b, self._wake], [], [])[0]
            if self._wake in ready:
                return
            for end in ready:
                data = os.read(end, 4096)
                self.carried += len(data)
                arrives = self.noise(data)
                while arrives and self._wake not in select.select([self._wake], [b if end is a else a], [])[0]:
                    arrives = arrives[os.write(b if end is a else a, arrives[:1024]) :]


def silence(data: bytes) -> bytes:
    """A wire that is broken."""
    return b""


class BitFlips:
    """Flips so many bits of all, by chance, and loses a byte now and then."""

    def __init__(self, share: float, seed: int) -> None:
        self.hits = 0
        self._share = share
        self._random = Random(seed)

    def __call__(self, data: bytes) -> bytes:
        out = bytearray(data)
        for at in reversed(range(len(out))):
            if self._random.random() < self._share * 8:
                self.hits += 1
                if self._random.random() < 0.2:
                    del out[at]
                else:
                    out[at] ^= 1 << self._random.randrange(8)
        return bytes(out)
