"""Retained values and initial state over links: what late listeners are told, and what they cannot have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from reprs import Reprs

import sig
import sig.aio

LIMIT_S = 30


class Liar(Reprs):
    """Says something else than the codec of that name."""

    def encode(self, obj: object) -> bytes:
        return b"?"


class Log:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.gaps: list[tuple[str, bool, sig.Gap]] = []

    def __call__(self, info: sig.Info, data: Any) -> None:
        self.heard.append((info.event, data, info.initial))

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        self.gaps.append((info.event, info.initial, gap))


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0", codec=["json", Reprs()], max_bridged_bytes=1000) as server:
        yield server


@pytest.fixture
def owner(server: sig.ServerRouter) -> Iterator[sig.ClientRouter]:
    with sig.connect(server.urls[0], codec=Reprs()) as owner:
        yield owner


def drained(router: Any) -> None:
    """Its listeners have been told all that the server had for them."""
    router._driver.drain(LIMIT_S)


def test_the_past_comes_first_and_once(server: sig.ServerRouter, owner: sig.ClientRouter) -> None:
    sender = owner.add_sender("s", ["e", "f"], retain="e")
    for value in range(3):
        sender.trigger("e", value)
        sender.trigger("f", value)
    owner.flush()
    with sig.connect(server.urls[0]) as late:
        for number, router in enumerate((late, server, owner), 3):
            log = Log()
            subscription = router.listen(log, "s", initial=True)
            sender.trigger("e", number)
            owner.flush()
            drained(router)
            data = {"events": ["e", "f"], "requests": None}
            assert log.heard == [("#connect", data, True), ("e", number - 1, True), ("e", number, False)]
            assert subscription.received == 3
            subscription.close()


def test_the_info_of_the_past_is_that_of_the_event(server: sig.ServerRouter, owner: sig.ClientRouter) -> None:
    infos: list[sig.Info] = []
    server.listen(lambda info, data: infos.append(info), "s", "e", meta=True)
    sender = owner.add_sender("s", "e", retain=True)
    sender.trigger("e", 1)
    sender.trigger("e", 2)
    owner.flush()
    drained(server)
    server.listen(lambda info, data: infos.append(info), "s", "e", initial=True)
    drained(server)
    last = server.last("s", "e")
    assert last is not None
    assert last.data == 2
    _, live, told = infos
    for info in (told, last.info):
        assert (info.seq, info.time, info.incarnation) == (live.seq, live.time, live.incarnation)
    assert (live.initial, told.initial, last.info.initial) == (False, True, False)


def test_a_listener_that_leaves_in_the_middle_of_the_past_hears_no_more_of_it(
    server: sig.ServerRouter, owner: sig.ClientRouter
) -> None:
    owner.add_sender("a", "e")
    owner.add_sender("b", "e")
    heard: list[str] = []
    server.listen(lambda info, data: heard.append(info.sender), None, "#connect", once=True, initial=True)
    drained(server)
    assert heard == ["a"]


def test_who_triggers_sees_the_keys_of_its_own_signal(owner: sig.ClientRouter) -> None:
    sender = owner.add_sender("s", "e", retain=True)
    sender.signal("e").event_info["unit"] = "celsius"
    sender.trigger("e", 1)
    owner.flush()
    found: list[object] = []
    owner.listen(lambda info, data: found.append(info["unit"]), "s", "e", initial=True)
    drained(owner)
    last = owner.last("s", "e")
    assert last is not None
    assert [*found, last.info["unit"]] == ["celsius", "celsius"]


def test_an_own_sender_takes_its_values_along(server: sig.ServerRouter, owner: sig.ClientRouter) -> None:
    sender = owner.add_sender("s", "e", retain=True)
    sender.trigger("e", 1)
    owner.flush()
    assert server.last("s", "e") is not None
    assert server.sender("s").last("e") is not None
    sender.remove()
    assert server.last("s", "e") is None
    assert server.last("nobody", "e") is None


@pytest.mark.parametrize(
    ("value", "options", "reason", "error"),
    [
        (1j, {"codec": "json"}, "codec", sig.InvalidData),
        ("x" * 2000, {"codec": "json"}, "too_big", sig.MessageTooBig),
        ("x" * 2000, {"codec": Reprs(), "max_frame_bytes": 1500}, "too_big", sig.MessageTooBig),
    ],
)
def test_a_value_that_cannot_be_had_is_told_as_missing(
    server: sig.ServerRouter,
    owner: sig.ClientRouter,
    value: object,
    options: dict[str, Any],
    reason: str,
    error: type[sig.SigError],
) -> None:
    owner.add_sender("s", "e", retain=True).trigger("e", value)
    owner.flush()
    log = Log()
    with sig.connect(server.urls[0], **options) as late:
        subscription = late.listen(log, "s", "e", initial=True, on_gap=log.gap)
        drained(late)
        assert log.gaps == [("e", True, sig.Gap(1, reason))]
        assert (log.heard, subscription.missed) == ([], 1)
        with pytest.raises(error, match=f"the last value of event 'e' of sender 's' cannot be had \\({reason}\\)"):
            late.last("s", "e")


def test_a_value_that_is_none_is_told_as_undecodable(
    server: sig.ServerRouter, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    with sig.connect(server.urls[0], codec=Liar()) as liar, sig.connect(server.urls[0], codec=Reprs()) as late:
        liar.add_sender("s", "e", retain=True).trigger("e", 1)
        liar.flush()
        with caplog.at_level(logging.WARNING):
            late.listen(log, "s", "e", initial=True, on_gap=log.gap)
            drained(late)
        with pytest.raises(sig.InvalidData):
            late.last("s", "e")
    assert log.gaps == [("e", True, sig.Gap(1, "undecodable"))]
    assert "a value of 's', 'e' could not be decoded" in caplog.text


def test_the_same_in_asyncio() -> None:
    async def main() -> None:
        async with sig.aio.serve("tcp://127.0.0.1:0") as server, sig.aio.connect(server.urls[0]) as late:
            sender = await server.add_sender("s", ["e", "f"], retain=["e"])
            for value in range(3):
                sender.trigger("e", value)
            await server.flush()
            log = Log()
            await late.listen(log, "s", initial=True)
            assert log.heard == [("#connect", {"events": ["e", "f"], "requests": None}, True), ("e", 2, True)]
            last = await late.last("s", "e")
            assert last is not None
            assert (last.data, last.info.seq) == (2, 3)
            assert await late.last("s", "f") is None
            events = await late.events("s", "e", initial=True)
            info, data = await anext(aiter(events))
            assert (info.initial, data) == (True, 2)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))
