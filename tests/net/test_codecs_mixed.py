"""Clients of different codecs on one server: each hears, asks and answers as if all had the same, where that can be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from aio.beside import Beside, Blocking, beside
from net.raw import Raw
from reprs import Reprs

import sig
import sig.aio
from sig.codecs import JSON, MSGPACK, Codec, as_codec, as_codecs
from sig.messages import OpenRequests, Route, decode_control
from sig.protocol.bodies import Request, pack_request, unpack_reply
from sig.protocol.events import unpack_events
from sig.protocol.frames import Kind

LIMIT_S = 30


class Breaking(Reprs):
    """And "broken", which nobody can read."""

    def encode(self, obj: object) -> bytes:
        return b"{" if obj == "broken" else super().encode(obj)


SPOKEN = {"json": "json", "msgpack": "msgpack", "reprs": Breaking()}
CODECS: dict[str, Codec] = {"json": JSON, "msgpack": MSGPACK, "reprs": as_codec(Breaking())}
BRIDGES = ["json", SPOKEN["reprs"]]
VALUES: list[Any] = [None, 1.5, "text\n", b"\x00\n\xff", [1, {"k": (2, 3)}], 2**64, 2**70, {4: 5}, "broken", "last"]

Open = Callable[..., Any]
Face = tuple[Open, Open]


def blocking(stack: ExitStack, loop: Callable[[], Beside]) -> Face:
    return (
        lambda *urls, **options: stack.enter_context(sig.serve(*urls, **options)),
        lambda url, **options: stack.enter_context(sig.connect(url, **options)),
    )


def awaiting(stack: ExitStack, loop: Callable[[], Beside]) -> Face:
    def made(make: Callable[[], Any]) -> Any:
        return stack.enter_context(Blocking(loop(), loop().run(make)))

    return (
        lambda *urls, **options: made(lambda: sig.aio.serve(*urls, **options)),
        lambda url, **options: made(lambda: sig.aio.connect(url, **options)),
    )


class World:
    """A server, and a client of each codec, all of them routers with blocking verbs."""

    def __init__(self, server: Any, clients: dict[str, Any]) -> None:
        self.server = server
        self.clients = clients
        self.all: dict[str, Any] = {**clients, "the server": server}

    def speaks(self, name: str) -> dict[str, Codec]:
        return as_codecs(BRIDGES if name == "the server" else SPOKEN[name])

    def bridged(self, owner: str, receiver: str) -> bool:
        """Whether what one gives is put into another codec for the other."""
        return next(iter(self.speaks(owner))) not in self.speaks(receiver)

    def encoded(self, value: object, owner: str) -> bytes | sig.InvalidData:
        try:
            return next(iter(self.speaks(owner).values())).encode(value)
        except sig.InvalidData as error:
            return error

    def carried(self, value: object, owner: str, receiver: str, *, at: str = "") -> object:
        """What `receiver` should get of what `owner` gives: the value, or the error that says why not."""
        own, spoken = self.speaks(owner), self.speaks(receiver)
        codec = next(iter(self.speaks(at or owner).values()))
        source = codec if codec.name in own else next(iter(own.values()))
        target = codec if codec.name in spoken else next(iter(spoken.values()))
        try:
            value = source.decode(source.encode(value))
            return value if source is target else target.decode(target.encode(value))
        except sig.InvalidData as error:
            return error


FACES = [(blocking, blocking), (blocking, awaiting), (awaiting, blocking), (awaiting, awaiting)]


@pytest.fixture(params=FACES, ids=lambda faces: "-".join(face.__name__ for face in faces))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        loops: list[Beside] = []

        def loop() -> Beside:
            if not loops:
                loops.append(stack.enter_context(beside(asyncio.new_event_loop)))
            return loops[0]

        at_server, at_client = request.param
        serve, connect = at_server(stack, loop)[0], at_client(stack, loop)[1]
        server = serve("tcp://127.0.0.1:0", codec=BRIDGES)
        yield World(server, {name: connect(server.urls[0], codec=codec) for name, codec in SPOKEN.items()})


class Ear:
    """Hears values and gaps, in one list; the last value is "last"."""

    def __init__(self, router: Any, sender: str) -> None:
        self.heard: list[object] = []
        self.done = threading.Event()
        self.subscription = router.listen(self.event, sender, "e", on_gap=self.gap)

    def event(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)
        if data == "last":
            self.done.set()

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        self.heard += [gap.reason] * (gap.missed or 0)


@pytest.mark.parametrize("batched", [True, False])
def test_from_each_to_all_comes_what_codecs_can_carry_and_the_rest_is_a_gap_in_its_place(
    world: World, batched: bool
) -> None:
    for owner, router in world.all.items():
        ears = {name: Ear(other, f"of {owner}") for name, other in world.all.items()}
        signal = router.add_sender(f"of {owner}", ["e"]).get_signal("e")
        given: list[object] = []
        for value in VALUES:
            # In a batch it costs those who do not need it in another codec the whole of it.
            if value == "broken" and (batched or owner != "reprs"):
                continue
            if isinstance(world.encoded(value, owner), sig.InvalidData):
                with pytest.raises(sig.InvalidData):
                    signal.trigger(value)
                continue
            given.append(value)
            signal.trigger(value)
            if not batched:
                router.flush()
        router.flush()
        for name, ear in ears.items():
            wanted: list[object] = []
            for value in given:
                carried = world.carried(value, owner, name)
                missing = "codec" if world.bridged(owner, name) else "undecodable"
                wanted.append(missing if isinstance(carried, sig.InvalidData) else carried)
            assert ear.done.wait(LIMIT_S)
            assert ear.heard == wanted, f"from {owner} to {name}"
            assert ear.subscription.missed == wanted.count("codec") + wanted.count("undecodable")


def test_a_server_says_how_much_it_could_not_say(world: World) -> None:
    ears = {name: Ear(router, "s") for name, router in world.clients.items()}
    signal = world.clients["reprs"].add_sender("s", ["e"]).get_signal("e")
    for value in (2**70, {(1,)}, "last"):
        signal.trigger(value)
    for ear in ears.values():
        assert ear.done.wait(LIMIT_S)
    assert ears["json"].heard == [2**70, [[1]], "last"]
    assert ears["msgpack"].heard == ["codec", [[1]], "last"]
    assert ears["reprs"].heard == [2**70, {(1,)}, "last"]
    stats = world.clients["json"].stats()
    assert stats.totals.missed == 1
    assert sorted(link.missed for link in stats.links) == [0, 0, 0, 1]


def test_each_asks_all_and_gets_what_codecs_can_carry_or_an_error_that_says_why_not(world: World) -> None:
    asked: list[object] = []

    def echo(params: object) -> object:
        asked.append(params)
        return params

    for owner, router in world.all.items():
        router.add_sender(f"of {owner}", requests={"echo": echo, "fail": _fail})
    for owner in world.all:
        for name, other in world.all.items():
            for value in [value for value in VALUES if value != "broken"] * 2:  # the first time its codec is not known
                asked.clear()
                there = world.carried(value, name, owner, at=owner)
                back = there if isinstance(there, sig.InvalidData) else world.carried(there, owner, name)
                if isinstance(back, sig.InvalidData):
                    with pytest.raises(sig.InvalidData):
                        other.request(f"of {owner}", "echo", value, timeout=LIMIT_S)
                else:
                    assert other.request(f"of {owner}", "echo", value, timeout=LIMIT_S) == back
                assert asked == ([] if isinstance(there, sig.InvalidData) else [there]), f"{name} asks {owner}"
            with pytest.raises(sig.RemoteError, match="it is broken"):
                other.request(f"of {owner}", "fail", None, timeout=LIMIT_S)


def _fail(params: object) -> None:
    raise ValueError("it is broken")


def test_what_nobody_can_read_is_an_error_to_who_asks_or_answers(world: World) -> None:
    def answer(params: object) -> object:
        return "broken"

    clients = world.clients
    clients["reprs"].add_sender("s", requests={"m": answer})
    clients["json"].add_sender("t", requests={"m": answer})
    for _ in range(2):
        with pytest.raises(sig.InvalidData, match="cannot put the answer of sender 's' from codec 'reprs' into 'json'"):
            clients["json"].request("s", "m", None, timeout=LIMIT_S)
        with pytest.raises(sig.InvalidData, match="the parameters of request 'm' from codec 'reprs' into 'json'"):
            clients["reprs"].request("t", "m", "broken", timeout=LIMIT_S)


def test_a_type_makes_bytes_of_text_again(world: World) -> None:
    got: dict[str, list[object]] = {name: [] for name in world.all}
    done = threading.Event()

    def hear(name: str) -> Callable[[sig.Info, bytes], None]:
        def heard(info: sig.Info, data: bytes) -> None:
            got[name].append(data)
            if all(len(values) == len(world.all) for values in got.values()):
                done.set()

        return heard

    for name, router in world.all.items():
        router.listen(hear(name), None, "e", type=bytes)
    for name, router in world.all.items():
        router.add_sender(name, ["e"]).trigger("e", b"\x00\n\xff")
    assert done.wait(LIMIT_S)
    assert got == {name: [b"\x00\n\xff"] * len(world.all) for name in world.all}


def test_a_codec_that_the_server_was_not_given_is_refused() -> None:
    class Other(Breaking):
        name = "other"

    with sig.serve("tcp://127.0.0.1:0", codec=BRIDGES) as server:
        with pytest.raises(
            sig.HandshakeRefused,
            match="encodes with 'other', this server with 'json' or 'reprs' or 'msgpack': give both ends the same",
        ):
            sig.connect(server.urls[0], codec=Other())
        # Who has another one too goes by that.
        with sig.connect(server.urls[0], codec=[Other(), "msgpack"]) as client:
            client.add_sender("s", requests={"echo": lambda params: params})
            assert server.request("s", "echo", b"\xff", timeout=LIMIT_S) == b"\xff"


def test_a_peer_of_json_alone_hears_and_asks_senders_of_messagepack() -> None:
    """As a web page does."""
    with (
        sig.serve("tcp://127.0.0.1:0", codec="msgpack") as server,
        sig.connect(server.urls[0], codec="msgpack") as client,
        Raw.client(server.urls[0]) as page,
    ):
        page.listen("s", "e")
        sender = client.add_sender("s", ["e"], {"echo": lambda params: [params, b"\xff"]})
        sender.trigger("e", {"n": 1, "data": b"\x00"})
        assert decode_control(Route, page.read(Kind.ROUTE).body).codec == "json"
        assert unpack_events(page.read(Kind.EVENT)).payloads == b'{"n":1,"data":"AA=="}'
        route = page.call(OpenRequests("s"))
        assert isinstance(route, int)
        page.send(pack_request(Request(0, 1, 10_000, 1, "echo", b"[1,2]"), route=route))
        assert unpack_reply(page.read(Kind.REPLY)).payload == b'[[1,2],"/w=="]'


def test_what_no_codec_can_carry_is_refused_before_anybody_is_asked(world: World) -> None:
    for client in world.all.values():
        with pytest.raises(sig.InvalidData):
            client.request("nobody", "m", {"a": lambda: None, "b": Unprintable()}, timeout=LIMIT_S)


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("not even for you")
