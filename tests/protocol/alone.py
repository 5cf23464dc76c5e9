"""A client whose server is played by the test, and clients that come back."""

from __future__ import annotations

import math

import msgspec
from protocol.pairs import End, World

from sig.codecs import as_codecs
from sig.constants import Limits
from sig.messages import (
    AddSender,
    Route,
    Welcome,
    encode_control,
)
from sig.protocol.bodies import (
    NO_DEADLINE,
    unpack_request,
)
from sig.protocol.client import ClientCore
from sig.protocol.frames import PREFACE, REQUEST_PARTS, Frame, FrameReader, Kind, pack
from sig.protocol.offline import Offline
from sig.protocol.parts import PartsIn, pack_parts

WELCOME = Welcome(1, ["json"], "node", 1, 5, "token", 1 << 20, 1 << 20, 0.0)


def lone() -> ClientCore:
    """A client whose server is played by the test."""
    core = ClientCore(Limits(), as_codecs("json"))
    core.receive_at(PREFACE, 0.0)
    core.data_to_send(1 << 20)
    return core


def welcomed() -> ClientCore:
    core = lone()
    core.receive_at(pack(Kind.WELCOME, encode_control(WELCOME)), 0.0)
    assert core.opened
    return core


def said(core: ClientCore) -> list[Frame]:
    return FrameReader(1 << 24).feed(core.data_to_send(1 << 24))


def owned(number: int, event: str | None = "e") -> bytes:
    """The server's ROUTE for an event of sender "s", which is ours."""
    return pack(Kind.ROUTE, encode_control(Route("s", event, owner=True)), route=number)


def outlet(core: ClientCore, event: str = "e") -> list[int]:
    """What an outlet has been told."""
    told: list[int] = []
    core.owning.outlet("s", event, told.append)
    return told


def spoken(*codecs: str) -> ClientCore:
    """A client that prefers JSON, at a server that has these."""
    core = lone()
    core.receive_at(pack(Kind.WELCOME, encode_control(msgspec.structs.replace(WELCOME, codecs=list(codecs)))), 0.0)
    return core


def opened(core: ClientCore, codec: str, *, route: int = 5) -> None:
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", codec=codec)), route=route), 0.0)


def taking(core: ClientCore) -> tuple[int, PartsIn]:
    """A stream that a client has asked for on route 9."""
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", None, "json", "n", 1, 1, 0)), route=9), 0.0)
    taken = PartsIn(lambda: None)
    done = taken.finish
    number = core.asking.request("s", "m", b"null", now=0.0, deadline=math.inf, hops=1, done=done, parts=taken)
    (frame,) = said(core)
    assert (frame.kind, frame.flags, unpack_request(frame).remaining_ms) == (Kind.REQUEST, REQUEST_PARTS, NO_DEADLINE)
    return number, taken


def part(number: int, *, cost: int = 1000, route: int = 9) -> bytes:
    return pack_parts([b"1"], route=route, peer=0, corr=number, lines=True, cost=cost)


def returning(world: World, policy: str = "buffer") -> End:
    """Holds `s`, with two events that it has opened."""
    end = world.client(offline=Offline(policy, 1000, 30))
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    return end


def outlets(end: End, *events: str) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {event: [] for event in events}
    for event, changes in told.items():
        end.core.owning.outlet("s", event, changes.append)
    return told


def restore(world: World, end: End) -> None:
    world.come_back(end)
    lost = end.core.owning.losses(world.now).get("s", {})
    end.ask(AddSender("s", ["e", "f"], ["m"], lost=lost))
    end.core.restored(world.now)
    world.settle()
