"""A server and its clients, joined by pipes that a test can cut up: two real ends, no socket, a clock one moves."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from sig.codecs import as_codecs
from sig.constants import Limits
from sig.errors import ConnectionLost, SigError
from sig.messages import (
    AddSender,
    Auth,
    Bye,
    Call,
    Close,
    Error,
    Flush,
    Hello,
    Listen,
    RemoveSender,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.access import Access
from sig.protocol.answering import Asked, RequestArrived
from sig.protocol.client import ClientCore, EventsArrived, News
from sig.protocol.connection import Connection
from sig.protocol.events import unpack_events
from sig.protocol.frames import PREFACE, Frame, FrameReader, Kind, pack
from sig.protocol.login import Prover
from sig.protocol.offline import Offline
from sig.protocol.server import ServerCore

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def seeded(seed: int) -> Cut:
    chance = random.Random(seed)

    def cut(data: bytes) -> list[bytes]:
        parts = []
        while data:
            size = chance.randint(1, 40)
            parts.append(data[:size])
            data = data[size:]
        return parts

    return cut


class Answer:
    """What a call came to."""

    def __init__(self) -> None:
        self.value: object = None
        self.error: BaseException | None = None
        self.times = 0

    def __call__(self, value: object, error: BaseException | None) -> None:
        self.value, self.error = value, error
        self.times += 1

    @property
    def ok(self) -> object:
        assert self.times == 1, "not answered, or more than once"
        if self.error is not None:
            raise self.error
        return self.value


class End:
    """A client, and the server's connection to it."""

    def __init__(self, world: World, core: ClientCore, connection: Connection) -> None:
        self.world = world
        self.core = core
        self.connection = connection
        self.news: list[News | Asked] = []

    def take(self) -> None:
        """Keep what has come."""
        self.news += self.core.take_news()
        self.news += self.core.answering.take_asked()

    def call(self, message: Call) -> Answer:
        answer = Answer()
        self.core.call(message, self.world.now, 30, answer)
        return answer

    def ask(self, message: Call) -> object:
        """Call, and carry bytes until there is an answer."""
        answer = self.call(message)
        self.world.settle()
        return answer.ok

    def listen(self, number: int, sender: str | None = None, event: str | None = None) -> object:
        answer = Answer()
        self.core.listen(Listen(number, sender, event), f"listener {number}", self.world.now, 30, answer)
        self.world.settle()
        return answer.ok

    def add(self, name: str, *events: str, requests: list[str | None] | None = None) -> object:
        return self.ask(AddSender(name, list(events), requests))

    def remove(self, name: str) -> object:
        return self.ask(RemoveSender(name))

    def close_listener(self, number: int) -> object:
        return self.ask(Close(number))

    def flush(self) -> object:
        return self.ask(Flush())

    def request(
        self, sender: str, method: str, payload: bytes = b"null", *, timeout: float = 30, hops: int = 1
    ) -> tuple[Answer, Callable[[], None]]:
        answer = Answer()
        number = self.core.asking.request(
            sender, method, payload, now=self.world.now, deadline=self.world.now + timeout, hops=hops, done=answer
        )
        return answer, partial(self.core.asking.give_up, number)

    def asked(self) -> list[RequestArrived]:
        return [news for news in self.news if isinstance(news, RequestArrived)]

    def heard(self) -> list[tuple[int, object]]:
        """The events so far: (route, value)."""
        found: list[tuple[int, object]] = []
        for news in self.news:
            if isinstance(news, EventsArrived):
                batch = unpack_events(news.frame)
                values = self.core.codec.decode_many(batch.payloads, batch.lens, news.frame.count)
                routes = batch.routes or (news.frame.route,) * news.frame.count
                found.extend(zip(routes, values, strict=True))
        return found


class Raw:
    """A connection whose other end is played by the test: it says whatever it likes, and reads when it likes."""

    def __init__(self, world: World, *, hello: Hello | None = None) -> None:
        self.world = world
        self.session = ""
        """Its token, once it has been let in."""
        self.connection = world.accept("raw")
        self._reader = FrameReader(1 << 24, preface=True)
        if hello is not None:
            self.send(PREFACE, pack(Kind.HELLO, encode_control(hello)))

    def send(self, *frames: bytes) -> None:
        for part in self.world.cut(b"".join(frames)):
            self.world.receive(self.connection, part)

    def read(self, limit: int = 1 << 24) -> list[Frame]:
        """What the server has to say now."""
        frames = self._reader.feed(self.world.given(self.connection, limit))
        assert self._reader.error is None
        return frames

    def last_words(self) -> str:
        """The sentence of the ERROR or BYE that is the last thing the server says."""
        frame = self.read()[-1]
        told = decode_control(Error if frame.kind == Kind.ERROR else Bye, frame.body)  # type: ignore[arg-type]
        assert isinstance(told, Error | Bye)
        return told.message

    def hang_up(self) -> None:
        self.world.server.disconnected(self.connection, self.world.now)


class World:
    """All of it, on one thread."""

    def __init__(
        self, *, cut: Cut = whole, codec: object = "json", access: Access | None = None, **limits: float
    ) -> None:
        self.proves = True
        self.limits = Limits.of(**limits)
        self.cut = cut
        self.now = 1000.0
        self._random = random.Random(1)
        self._epoch = 6
        self._codec, self._access = codec, access
        self.ends: list[End] = []
        self.prompt = True  # links take at once what may leave at once
        self._passed_by: dict[Connection, bytes] = {}  # what has left without having waited
        self.restart()

    def restart(self) -> None:
        """A server that knows of nobody; the one before, if any, is no more."""
        for end in list(self.ends):
            self.lose(end)
        self._epoch += 1
        self.server = ServerCore(
            self.limits,
            node="test",
            epoch=self._epoch,
            wall_offset=1_700_000_000.0,
            random64=lambda: self._random.getrandbits(63) or 1,
            codecs=as_codecs(self._codec),
            access=self._access,
        )
        self.server.sessions.moved = self._moved

    def accept(self, address: str = "test") -> Connection:
        return self.server.accept(self.now, address)

    def raw(self, codecs: Sequence[str] = ("json",)) -> Raw:
        """Somebody who has been let in, and is played by the test."""
        raw = Raw(self, hello=Hello([1], list(codecs)))
        raw.session = decode_control(Welcome, raw.read()[0].body).session
        return raw

    def client(
        self,
        *,
        codec: object = "json",
        limits: Limits | None = None,
        settle: bool = True,
        prover: Prover | None = None,
        known_as: str | None = None,
        offline: Offline | None = None,
        reliable: bool = False,
    ) -> End:
        name = f"client {len(self.ends)}"
        if reliable:
            offline = offline or Offline("buffer", 1 << 20, 30)
        core = ClientCore(
            limits or self.limits, as_codecs(codec), name=name, prover=prover, offline=offline, reliable=reliable
        )
        end = End(self, core, self.accept(f"client {len(self.ends)}"))
        end.connection.known_as = known_as
        self.ends.append(end)
        if settle:
            self.settle()
        return end

    def settle(self) -> None:
        """Carry bytes both ways until nobody has any to send."""
        moved = True
        while moved:
            moved = False
            for end in list(self.ends):
                moved |= self.carry_up(end)
                moved |= self.carry_down(end)

    def carry_up(self, end: End) -> bool:
        data = end.core.data_to_send(1 << 20)
        for part in self.cut(data):
            self.receive(end.connection, part)
        return bool(data)

    def receive(self, connection: Connection, part: bytes) -> None:
        """Give the server something that has come, as its driver does."""
        lone = self.server.receive_lone(connection, part, self.now) if self.prompt else None
        if lone is None:
            self.server.receive_data(connection, part, self.now)
            return
        frame, receivers = lone
        for receiver in receivers:
            self._passed_by[receiver] = self._passed_by.get(receiver, b"") + frame

    def given(self, connection: Connection, limit: int = 1 << 20) -> bytes:
        """What the server has to say there now, behind what has left already."""
        return self._passed_by.pop(connection, b"") + connection.data_to_send(limit)

    def carry_down(self, end: End) -> bool:
        data = self.given(end.connection)
        for part in self.cut(data):
            lone = end.core.receive_lone(part, self.now)
            if lone is not None:
                end.news.append(lone)
                continue
            end.core.receive_at(part, self.now)
            end.take()
        if end.core.challenge is not None and end.core.prover is not None and self.proves:
            answer = end.core.prover.answer(end.core.challenge, bytes(32))
            assert isinstance(answer, Auth)
            end.core.answer(answer)
        end.take()
        if end.connection.closed and not data:
            self.lose(end)
        return bool(data)

    def lose(self, end: End, error: SigError | None = None) -> None:
        """The link between the two goes down."""
        if end in self.ends:
            self.ends.remove(end)
            self.server.disconnected(end.connection, self.now)
            end.core.disconnected(error or ConnectionLost("the link was lost"))
            end.take()
            self.settle()

    def _moved(self, link: Connection, to: Connection | None) -> None:
        """A link is another connection's from now on, or nobody's."""
        for end in self.ends:
            if end.connection is link and to is not None:
                end.connection = to

    def come_back(self, end: End, flushed: int = 0) -> None:
        """Another link for a client whose last is down, or not known to be at the server."""
        end.core.renew(flushed)
        known_as, end.connection = end.connection.known_as, self.accept("again")
        end.connection.known_as = known_as
        self.ends.append(end)
        self.settle()

    @property
    def due(self) -> float | None:
        """The server's next deadline, where that is no heartbeat."""
        due = self.server.next_deadline()
        return None if due == self.server._rounds.due else due

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.server.handle_timeout(self.now)
        for end in self.ends:
            end.core.handle_timeout(self.now)
        self.settle()
