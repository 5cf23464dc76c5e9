"""What is fuzzed: functions that take any bytes, and fail only where a promise is broken.

What each promises is the same: bytes of strangers cost the one who reads them a typed error at most, whatever pieces
they come in; nobody else is disturbed, and no more is kept than was allowed.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from protocol.pairs import Answer, Raw, World, byte_by_byte, seeded, whole
from protocol.recorded import FRAMES, PREFACE

from sig.codecs import as_codecs
from sig.constants import Limits
from sig.errors import ConnectionLost, InvalidArgument, InvalidData, SigError
from sig.messages import Hello, Senders, encode_control
from sig.names import NameTree, check_selector, matches
from sig.protocol.client import ClientCore
from sig.protocol.frames import Frame, FrameReader, Kind, pack
from sig.protocol.guard import GuardLayer
from sig.protocol.layers import Layer
from sig.protocol.websocket import ClientWebSocket, ServerWebSocket
from sig.security.credentials import Credential, format_credentials, parse_credentials
from sig.security.policyfile import parse_policy

_MAX_BYTES = 4096
_LIMITS = Limits.of(
    max_frame_bytes=_MAX_BYTES, max_control_frame_bytes=_MAX_BYTES, max_frame_before_login_bytes=_MAX_BYTES
)
_HELLO = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"])))
# What one says to a server that has let one in; numbers of calls and routes as a server gives them.
_CALLS = [
    b'{"call":"add_sender","name":"t","events":["e"],"requests":["m"],"retain":["e"]}',
    b'{"call":"remove_sender","name":"t"}',
    b'{"call":"listen","id":1,"sender":"*","event":"**"}',
    b'{"call":"listen","id":2,"sender":"s","event":"e","initial":true}',
    b'{"call":"close","id":1}',
    b'{"call":"senders"}',
    b'{"call":"stats","limit":5}',
    b'{"call":"open_requests","sender":"s"}',
    b'{"call":"flush"}',
]


def frames(data: bytes) -> None:
    """The same frames and the same error, in whatever pieces they come."""
    told = []
    for cut in (whole, byte_by_byte, seeded(len(data))):
        reader = FrameReader(_MAX_BYTES, preface=True)
        found: list[Frame] = []
        for part in cut(data):
            found += reader.feed(part)
            while reader.more:  # what is wrong is judged behind what came before it
                found += reader.feed(b"")
        # The sentence quotes what had come by then.
        told.append(([frame.data for frame in found], getattr(reader.error, "code", None)))
        assert reader.error is None or isinstance(reader.error, SigError)
        assert sum(len(frame.data) for frame in found) <= len(data)
    assert told[0] == told[1] == told[2]


def server_before_login(data: bytes) -> None:
    """A stranger is let in or told why not, and nobody else hears of it."""
    _hostile_client(b"", data)


def server_after_login(data: bytes) -> None:
    """Nor does anybody whom a client that has been let in tells nonsense; the bytes choose among frames too."""
    _hostile_client(_HELLO, _chosen(data))


def _hostile_client(before: bytes, data: bytes) -> None:
    world = World(cut=seeded(len(data)), max_frame_bytes=_MAX_BYTES, link_control_bytes=1 << 16)
    honest = world.client()
    honest.add("s", "e", requests=["m"])
    honest.listen(1, "s", "e")
    stranger = Raw(world)
    stranger.send(before, data)
    connection = stranger.connection
    assert connection.error is None or isinstance(connection.error, SigError)
    assert connection.error is None or connection.closed
    world.advance(1.0)
    stranger.hang_up()
    assert world.server.connections == {honest.connection.number: honest.connection}
    rows = honest.ask(Senders(None))
    assert [row["name"] for row in rows] == ["s"]  # type: ignore[attr-defined]
    assert honest.core.error is None
    assert world.server.budget.used == 0


def client(data: bytes) -> None:
    """A server that lies costs its client the link, and a typed error."""
    told = []
    for cut in (whole, byte_by_byte):
        core = ClientCore(_LIMITS, as_codecs("json"), name="fuzzed")
        answer = Answer()
        core.call(Senders(None), 0.0, 30.0, answer)
        for part in cut(_chosen(data)):
            core.receive_at(part, 1.0)
            core.data_to_send(1 << 20)
        core.take_news()
        core.answering.take_asked()
        core.handle_timeout(40.0)
        core.disconnected(ConnectionLost("the link was lost"))
        assert core.error is None or isinstance(core.error, SigError)
        told.append((core.closed, type(core.error), answer.times, type(answer.error)))
    assert told[0] == told[1]


def codecs(data: bytes) -> None:
    """What JSON says, MessagePack says too; and who takes a text takes what it stands for."""
    found = as_codecs(["json", "msgpack"])
    for name, codec in found.items():
        try:
            value = codec.decode(data)
        except InvalidData:
            continue
        if name == "json":
            assert _alike(value, json.loads(data))
        for other in found.values():
            try:
                encoded = other.encode(value)
            except InvalidData:
                assert name == "msgpack" or _is_large(value), "MessagePack has words for all that JSON can say"
                continue
            if other is codec or name == "json":
                assert _alike(other.decode(encoded), value)


def websocket_server(data: bytes) -> None:
    """An upgrade that is none is answered in HTTP, and what comes after one is frames or an error."""
    _layered(lambda: ServerWebSocket(_LIMITS, "/", ["https://lab.example"]), data)


def websocket_client(data: bytes) -> None:
    _layered(lambda: ClientWebSocket("ws://lab.example/", _LIMITS), data)


def guard(data: bytes) -> None:
    """Noise on a line is noise."""
    _layered(lambda: GuardLayer(7, 0.0), data)


def _layered(make: Callable[[], Layer], data: bytes) -> None:
    for cut in (whole, byte_by_byte):
        layer, came = make(), b""
        try:
            for part in cut(data):
                came += layer.receive(part, 1.0)
                layer.data_to_send()
            layer.handle_timeout(2.0)
            layer.close(2.0)
            layer.data_to_send()
        except SigError:
            layer.data_to_send()
        assert len(came) <= len(data) + len(PREFACE)
        assert layer.held <= _MAX_BYTES


def patterns(data: bytes) -> None:
    """The tree of names finds what one comparison after the other does."""
    words = data.decode("utf-8", "replace").split("\n")
    paths: list[str] = []
    for word in words[:40]:
        try:
            check_selector(word, None)
        except InvalidArgument:
            continue
        paths.append(word)
    tree: NameTree[str] = NameTree()
    for number, path in enumerate(paths):
        tree.set(path, path)
        if number % 5 == 4:
            tree.discard(paths[number // 2])
    there = list(tree)
    for path in paths:
        if "*" in path:
            names = [name for name in there if "*" not in name and matches(path, name)]
            assert sorted(tree.matching(path)) == sorted(names)
        else:
            covering = [pattern for pattern in there if matches(pattern, path)]
            assert sorted(tree.covering(path)) == sorted(covering)


def policy(data: bytes) -> None:
    """A file of rights is read or refused, and one that was cut off is refused."""
    text = data.decode("utf-8", "replace")
    with suppress(InvalidArgument):
        parse_policy(text)


def credentials(data: bytes) -> None:
    """A file of credentials likewise."""
    with suppress(InvalidArgument):
        parse_credentials(data.decode("utf-8", "replace"))


def _chosen(data: bytes) -> bytes:
    """Bytes as frames: the first of each few says which, the rest is as it is. So some are nearly right."""
    legal = [*FRAMES.values(), *(pack(Kind.CALL, body, route=number) for number, body in enumerate(_CALLS, 1))]
    out = bytearray()
    at = 0
    while at < len(data):
        choice = data[at]
        at += 1
        if choice < 200:
            out += legal[choice % len(legal)]
        elif choice < 240:
            out += pack(Kind.EVENT, data[at : at + choice - 200], count=1, route=data[at] if at < len(data) else 0)
            at += choice - 200
        else:
            out += data[at : at + choice - 239]
            at += choice - 239
    return bytes(out)


def _is_large(value: Any) -> bool:
    """Whether there is a number in it that no 64 bits hold: over links that is a gap."""
    if isinstance(value, dict | list):
        return any(map(_is_large, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isnan(one) or one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


class Target(NamedTuple):
    run: Callable[[bytes], None]
    seeds: list[bytes]


_SESSION = b"".join(FRAMES.values())
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: pysig.v1\r\nOrigin: https://lab.example\r\n\r\n"
)
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: pysig.v1\r\n\r\n"
)
_VALUES = [
    b'{"a":[1,-2.5e3,null,true,"\\u00e9\\ud83d\\ude00"]}',
    b"[[[[]]]]",
    b"[6666666666666666666666666]",
    b"1e400",
    b"NaN",
    b'"\\ud800"',
    b'{"a":1,"a":2}',
]
_POLICY = (
    b'[groups]\ng = ["a"]\n[[allow]]\nwho = "group:g"\nactions = ["listen"]\nsenders = "lab/**"\n'
    b'events = ["x", "#audit"]\n'
    b'[[deny]]\nname = "no"\nwho = ["b", "*"]\nactions = "request"\nsenders = "lab/laser"\nmethods = "fire"\n[end]\n'
)
_CREDENTIALS = format_credentials(
    [
        Credential("a", "0123456789abcdef", bytes(32), ("g", "h"), expires=2_000_000_000.0),
        Credential("b", "b", bytes(32), salt=bytes(16)),
    ]
).encode()

TARGETS: dict[str, Target] = {
    "frames": Target(frames, [PREFACE + _SESSION, *(PREFACE + frame for frame in FRAMES.values())]),
    "server_before_login": Target(
        server_before_login, [_HELLO, PREFACE + _SESSION, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"]
    ),
    "server_after_login": Target(
        server_after_login, [bytes(range(200)), bytes(range(60)) * 2, bytes([210]) + bytes(20)]
    ),
    "client": Target(client, [bytes(range(200)), bytes([1, 30, 2, 40]), bytes([255]) + PREFACE]),
    "codecs": Target(codecs, [*_VALUES, b"\x82\xa1a\x01\xa1b\x93\x01\xc0\xcb?\xf0" + bytes(6)]),
    "websocket_server": Target(
        websocket_server, [_UPGRADE, _UPGRADE + b"\x82\x81\0\0\0\0\x05", b"POST / HTTP/1.1\r\n\r\n"]
    ),
    "websocket_client": Target(
        websocket_client, [_SWITCH, _SWITCH + b"\x82\x01\x05", b"HTTP/1.1 404 Not Found\r\n\r\n"]
    ),
    "guard": Target(guard, [GuardLayer(9, 0.0).data_to_send(), bytes(40)]),
    "patterns": Target(patterns, [b"a/b\na/*\n**\na/**\n*/b\na/b/c\n#connect\n*\na\n/\na//b"]),
    "policy": Target(policy, [_POLICY]),
    "credentials": Target(credentials, [_CREDENTIALS]),
}


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, or two of them, with some bytes changed."""
    data = bytearray(chance.choice(seeds))
    if chance.random() < 0.3:
        other = chance.choice(seeds)
        data[chance.randint(0, len(data)) :] = other[chance.randint(0, len(other)) :]
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        at = chance.randint(0, len(data))
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(data):
                data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 2:
                del data[at : at + chance.randint(1, 9)]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(1, 9))
            case 4:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            case _:
                del data[at:]
    return bytes(data[:_MAX_BYTES])
