"""`connect(wait=False)`: the client is there at once, and its link when it can be. Both faces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conformance.carriers import CARRIERS
from net.book import LIMIT_S, Book
from net.proxy import Proxy

import sig
import sig.aio
from sig.log import logger

QUICK: dict[str, Any] = {"reconnect_first_s": 0.01, "reconnect_longest_s": 0.05}


@contextmanager
def logged() -> Iterator[Log]:
    """What the log says meanwhile."""
    book = Log()
    before, logger.sink = logger.sink, Sink(book)
    try:
        yield book
    finally:
        logger.sink = before


class Log(Book):
    def wait_for(self, part: str) -> None:
        with self._changed:
            there = self._changed.wait_for(lambda: any(part in str(line) for line in self.story), LIMIT_S)
            assert there, f"nothing says {part!r}: {self.story}"


class Sink:
    def __init__(self, book: Book) -> None:
        self.debug = self.info = self.warning = self.error = lambda text, *args, **more: book.add(text)


@pytest.fixture
def away(proxy: Proxy) -> Proxy:
    """A way to a server that cannot be reached yet."""
    proxy.cut_off()
    return proxy


def test_all_that_is_registered_before_the_link_is_there_is_registered_on_it(
    server: sig.ServerRouter, away: Proxy
) -> None:
    book, states = Book(), Book()
    heating = server.add_sender("heating", ["on"], {"read": lambda params: 21})
    with sig.ClientRouter(away.url, **QUICK) as client:
        client.on_state = states.add
        client.open(wait=False)
        assert client.state == "connecting"
        assert not client.wait_connected(0.05)
        client.listen(book.hear, "heating", "on", on_gap=book.gap)
        client.listen(book.hear, "heating", "#connect", initial=True)
        sender = client.add_sender("s", ["e"], {"double": lambda params: 2 * params})
        assert not sender.connected
        with pytest.raises(sig.ConnectionLost, match="tried"):
            client.request("heating", "read")
        heard = Book()
        server.listen(heard.hear, "s", "e", on_gap=heard.gap)
        for number in range(3):
            sender.trigger("e", number)
        with pytest.raises(sig.InvalidArgument, match="connected already"):
            client.open()
        away.accept()
        assert client.wait_connected(LIMIT_S)
        states.wait("connected")
        assert client.state == "connected"
        assert sender.connected
        assert heard.wait(2) == [0, 1, 2]
        assert client.request("heating", "read") == 21
        assert server.request("s", "double", 21) == 42
        heating.trigger("on", "warm")
        assert book.wait("warm") == ["#connect", "warm"]
        assert states.story == ["connected"]
    assert states.story == ["connected", "closed"]


def test_a_link_that_is_lost_again_before_all_is_registered_is_tried_again(
    server: sig.ServerRouter, away: Proxy
) -> None:
    """Listeners are told of the present once, as if the first link had been none."""
    book = Book()
    server.add_sender("heating", ["on"], retain=True).trigger("on", 1)
    server.flush()
    with sig.connect(away.url, wait=False, **QUICK) as client:
        assert client._returning is not None
        claim, failing = client._returning._claim, [True]

        def cut_first(*call: Any) -> None:
            if failing:
                failing.clear()
                away.cut()
            claim(*call)

        client._returning._claim = cut_first  # type: ignore[method-assign]
        client.listen(book.hear, "heating", initial=True, on_gap=book.gap)
        client.add_sender("s", ["e"])
        away.accept()
        assert client.wait_connected(LIMIT_S)
        assert not failing
        server.sender("heating")
        client.flush()
        client.listen(book.hear, "heating", "on", initial=True)
        book.wait(1)
        assert book.story.count("#connect") == 1


def test_the_link_is_lost_and_comes_back_as_any_other(server: sig.ServerRouter, away: Proxy) -> None:
    book, states = Book(), Book()
    sender = server.add_sender("s", ["e"])
    with sig.ClientRouter(away.url, reliable=True, **QUICK) as client:
        client.on_state = states.add
        client.open(wait=False)
        client.listen(book.hear, "s", "e", on_gap=book.gap)
        away.accept()
        assert client.wait_connected(LIMIT_S)
        sender.trigger("e", 1)
        book.wait(1)
        away.cut()
        states.wait("away")
        sender.trigger("e", 2)
        assert book.wait(2) == [1, 2]


@pytest.mark.parametrize("kind", sorted(CARRIERS.keys() - {"stdio"}))
def test_every_carrier_that_is_dialled(kind: str) -> None:
    with CARRIERS[kind]() as ends, ends.serve(sig) as server, ends.connect(sig, server, wait=False) as client:
        server.add_sender("s", [], {"m": lambda params: params})
        assert client.wait_connected(LIMIT_S)
        assert client.request("s", "m", 7) == 7


def test_the_server_may_be_started_later() -> None:
    with sig.connect("local://later", wait=False, **QUICK) as client:
        sender = client.add_sender("s", ["e"])
        sender.trigger("e", 1)
        book = Book()
        server = sig.ServerRouter("local://later")
        server.listen(book.hear, "s", "e")
        with server:
            server.start()
            book.wait(1)
            assert sender.connected
            client.flush()  # the client is the last to leave


def test_a_server_that_is_not_there_is_said_and_costs_nobody_time(away: Proxy) -> None:
    with logged() as log:
        begun = time.monotonic()
        with sig.connect(away.url, wait=False, **QUICK) as client:
            log.wait_for(f"{away.url} is tried in")
            assert client.state == "connecting"
        assert time.monotonic() - begun < LIMIT_S
    assert client.state == "closed"
    assert not client.wait_connected(LIMIT_S)


def test_events_that_nobody_will_ever_get_are_told_at_the_end(away: Proxy) -> None:
    with (
        pytest.raises(sig.ConnectionLost, match="1 event was"),
        sig.connect(away.url, wait=False, **QUICK) as client,
    ):
        client.add_sender("s", ["e"]).trigger("e", 1)


def test_offline_may_raise_from_the_first_event_on(away: Proxy) -> None:
    with sig.connect(away.url, wait=False, offline="raise", **QUICK) as client:
        sender = client.add_sender("s", ["e"])
        with pytest.raises(sig.ConnectionLost, match="offline='raise'"):
            sender.trigger("e", 1)


@pytest.mark.parametrize("options", [{"reconnect": False}, {}])
def test_what_is_not_tried_again_cannot_come_later(options: dict[str, Any]) -> None:
    url = "tcp://127.0.0.1:1" if options else "stdio:"
    if not options:
        options = {"command": ["true"]}
    with pytest.raises(sig.InvalidArgument, match="wait=False needs a link that is tried again"):
        sig.connect(url, wait=False, **options)


def nobody(login: Any) -> None:
    """An authenticator that lets nobody in."""


def told(client: Any) -> Book:
    book = Book()
    client.on_error = lambda failure: book.add(type(failure.error))
    client.on_state = book.add
    return book


def test_who_is_not_let_in_is_told_why_and_does_not_try_for_ever() -> None:
    with sig.serve("tcp://127.0.0.1:0", auth=nobody) as server:
        client = sig.ClientRouter(server.urls[0], auth=sig.security.Bearer("wrong"), **QUICK)
        book = told(client)
        client.open(wait=False)
        with client:
            assert book.wait("away") == [sig.Denied, "away"]
            assert not client.wait_connected(LIMIT_S)
            with pytest.raises(sig.ConnectionLost, match="refused"):
                client.wait(LIMIT_S)
            with pytest.raises(sig.ConnectionLost, match="refused"):
                client.listen(lambda info, data: None)


def test_what_can_never_be_had_is_told_and_not_tried_for_ever() -> None:
    async def later() -> str:
        return "a coroutine function, which this face cannot wait for"

    with sig.serve("tcp://127.0.0.1:0", auth=nobody) as guarded:
        client = sig.ClientRouter(guarded.urls[0], auth=sig.security.Bearer(later), **QUICK)
        book = told(client)
        client.open(wait=False)
        with client:
            assert book.wait("away") == [sig.InvalidArgument, "away"]


def test_a_server_of_another_codec_is_said_and_tried_again() -> None:
    """What was triggered before is in the codec that this client prefers."""
    with (
        sig.serve("tcp://127.0.0.1:0", codec=Reversed()) as other,
        logged() as log,
        sig.connect(other.urls[0], wait=False, codec=["json", Reversed()], **QUICK) as client,
    ):
        log.wait_for("prefers the codec")
        assert client.state == "connecting"


class Reversed:
    name = "reversed"

    def encode(self, obj: object) -> bytes:
        return repr(obj).encode()[::-1]

    def decode(self, data: bytes) -> object:
        return data[::-1].decode()


# -- awaited -------------------------------------------------------------------------------------


def test_awaited_it_is_the_same(server: sig.ServerRouter, away: Proxy) -> None:
    async def main() -> None:
        heard: asyncio.Queue[object] = asyncio.Queue()
        states: list[str] = []
        async with sig.aio.connect(away.url, wait=False, **QUICK) as client:
            client.on_state = states.append
            assert client.state == "connecting"
            await client.listen(lambda info, data: heard.put_nowait(data), "back", "e")
            sender = await client.add_sender("s", ["e"], {"double": double})
            sender.trigger("e", 1)
            with pytest.raises(sig.ConnectionLost):
                await client.request("s", "double", 1)
            assert not await client.wait_connected(0.02)
            away.accept()
            assert await client.wait_connected(LIMIT_S)
            assert await client.request("s", "double", 21) == 42
            back = await asyncio.to_thread(server.add_sender, "back", ["e"])
            back.trigger("e", "hello")
            assert await asyncio.wait_for(heard.get(), LIMIT_S) == "hello"
        assert states == ["connected", "closed"]

    book = Book()
    server.listen(book.hear, "s", "e")
    asyncio.run(main())
    assert book.wait(1) == [1]


async def double(params: int) -> int:
    return 2 * params


def test_awaited_one_who_is_not_let_in_is_told() -> None:
    async def main(url: str) -> None:
        client = sig.aio.ClientRouter(url, auth=sig.security.Bearer("wrong"), **QUICK)
        errors: asyncio.Queue[object] = asyncio.Queue()
        client.on_error = lambda failure: errors.put_nowait(failure.error)
        await client.open(wait=False)
        async with client:
            assert isinstance(await asyncio.wait_for(errors.get(), LIMIT_S), sig.Denied)
            assert not await client.wait_connected(LIMIT_S)
            assert client.state == "away"

    with sig.serve("tcp://127.0.0.1:0", auth=nobody) as server:
        asyncio.run(main(server.urls[0]))
