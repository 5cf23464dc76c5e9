"""One server address of each kind that strangers can reach, and how a client connects to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from urllib.parse import urlsplit

import sig
from sig import certs

KINDS = ("tcp", "unix", "tls", "ws", "wss")


@dataclass
class Place:
    """Where to serve, and what clients say beside the URL."""

    kind: str
    url: str
    server: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """A free one, and the files that it needs."""
    if kind == "unix":
        # The paths of sockets are short: the tests' own may be too long.
        with TemporaryDirectory(prefix="sig-") as folder:
            yield Place(kind, f"unix://{folder}/bus.sock")
    elif kind in ("tls", "wss"):
        made = _certificates()
        assert made.server is not None
        tls = {"tls": sig.TLS(cert=made.server.cert, key=made.server.key)}
        yield Place(kind, f"{kind}://127.0.0.1:0", tls, {"tls": sig.TLS(ca=made.authority.cert)})
    else:
        yield Place(kind, f"{kind}://127.0.0.1:0")


@cache
def _certificates() -> certs.Made:
    return certs.make(Path(mkdtemp(prefix="sig-certs-")), ["127.0.0.1"], days=1)


def stranger(url: str, timeout: float) -> socket.socket:
    """A socket that is connected there, and has said nothing."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(parts.path)
        return sock
    return socket.create_connection((parts.hostname, parts.port), timeout)
