"""What tests of a server say to it, and look for in its answers."""

from __future__ import annotations

from typing import Any

from protocol.pairs import End, World

from sig.messages import (
    AddSender,
    Bye,
    Error,
    Hello,
    Interest,
    Presence,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.connection import Connection
from sig.protocol.events import pack_batch
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack
from sig.security.policy import Policy, Rule


def owner_of(*events: str, requests: list[str | None] | None = None) -> tuple[World, End, End]:
    """A world, the owner of its sender `s`, and somebody else."""
    world = World()
    owner, other = world.client(), world.client()
    owner.add("s", *events, requests=requests)
    return world, owner, other


def send(world: World, connection: Connection, *frames: bytes) -> None:
    for part in world.cut(b"".join(frames)):
        world.server.receive_data(connection, part, world.now)


def last_words(connection: Connection) -> str:
    """The message of the ERROR or BYE that the server sends."""
    frames = FrameReader(1 << 24).feed(connection.data_to_send(1 << 20).removeprefix(PREFACE))
    frame = frames[-1]
    kind: Any = Error if frame.kind == Kind.ERROR else Bye
    message: str = decode_control(kind, frame.body).message
    return message


def govern(world: World, *rules: Rule) -> None:
    """Let these rules hold from here on, and no others."""
    world.server.govern(Policy(rules), None, world.now)
    world.settle()


def presence(end: Any) -> list[tuple[str, str]]:
    return [(news.sender, news.event) for news in end.news if isinstance(news, Presence)]


def trigger(end: Any, sender: str, event: str, value: bytes) -> None:
    end.core.owning.trigger(sender, event, value)


class Silent:
    """A client with a sender, which says nothing by itself."""

    def __init__(self, world: World, *events: str) -> None:
        self.raw = world.raw()
        self.raw.send(pack(Kind.CALL, encode_control(AddSender("s", list(events), None)), route=1))
        told = [frame for frame in self.raw.read() if frame.kind == Kind.ROUTE]
        self.routes = [frame.route for frame in told][: len(events)]

    def trigger(self) -> None:
        """One event on each route."""
        self.raw.send(*(pack_batch(route, [b"1"], lens=False, lines=True) for route in self.routes))

    def say_it_knows(self, *routes: int) -> None:
        self.raw.send(*(pack(Kind.INTEREST, encode_control(Interest("some")), route=route) for route in routes))

    def told(self) -> list[tuple[int, str]]:
        """What it has been told of its routes since."""
        frames = [frame for frame in self.raw.read() if frame.kind == Kind.INTEREST]
        return [(frame.route, decode_control(Interest, frame.body).state) for frame in frames]


def greet(world: World, connection: Connection, **hello: Any) -> Welcome:
    data = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"], **hello)))
    world.server.receive_data(connection, data, world.now)
    frames = FrameReader(1 << 24, preface=True).feed(connection.data_to_send(1 << 20))
    return decode_control(Welcome, frames[-1].body)


def routes(end: Any) -> dict[str | None, int]:
    return {event: number for (_, event), number in end.core.owning._owned.items()}
