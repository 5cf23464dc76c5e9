"""A way to a server that a test can cut, and that may refuse to be gone again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit

LIMIT_S = 30


class Proxy:
    """Passes bytes on between clients and the server at a `tcp://` URL, on threads of its own.

    `upto(towards_server, passed)` says how many of the bytes under way may pass, `passed` being those that have; when
    it says fewer than there are, the link is cut behind them.
    """

    def __init__(self, url: str, upto: Callable[[bool, int, int], int] | None = None) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._upto = upto
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self._lock = threading.Lock()  # guards what follows
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._refusing = False
        self.links = 0
        """How many there have been."""
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Cut all that are there, as if somebody had pulled the plug: neither end is told in words."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _shut(end)

    def refuse(self) -> None:
        """Let nobody through from here on."""
        with self._lock:
            self._refusing = True

    def cut_off(self) -> None:
        """Cut all that are there, and let nobody through until `accept`."""
        self.refuse()
        self.cut()

    def accept(self) -> None:
        """Let everybody through again."""
        with self._lock:
            self._refusing = False

    def close(self) -> None:
        self.refuse()
        _shut(self._listening)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                refusing = self._refusing
            if refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target, LIMIT_S)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = client, server
            with self._lock:
                self._pairs.append(pair)
                self.links += 1
            both = [threading.Thread(target=self._pass, args=(*ends, pair)) for ends in (pair, pair[::-1])]
            self._threads += both
            ends = threading.Thread(target=self._end, args=(both, pair))
            self._threads.append(ends)
            for thread in (*both, ends):
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                part = data
                if self._upto is not None:
                    part = data[: self._upto(source is pair[0], passed, len(data))]
                target.sendall(part)
                passed += len(part)
                if len(part) < len(data):
                    for end in pair:
                        _shut(end)
                    return
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in pair:
                _shut(end)

    def _end(self, both: list[threading.Thread], pair: tuple[socket.socket, socket.socket]) -> None:
        for thread in both:
            thread.join()
        for end in pair:
            end.close()
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was down before
