"""Listeners over a link that name a type: data that has it goes straight to them, and other data to `on_error`."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

import sig

LIMIT_S = 10


class Reading(msgspec.Struct):
    celsius: float


@pytest.mark.parametrize("codec", ["json", "msgpack"])
@pytest.mark.parametrize("kind", [Reading, dict[str, float]])
def test_whoever_listens_alone_gets_the_type_and_what_does_not_fit_is_told(kind: Any, codec: str) -> None:
    got: list[object] = []
    failed: list[sig.ListenerError] = []
    last = threading.Event()

    def listener(info: sig.Info, data: kind) -> None:
        got.append(data)
        if len(got) == 3:
            raise ZeroDivisionError
        if len(got) == 5:
            last.set()

    with sig.serve("tcp://127.0.0.1:0", codec=codec) as server, sig.connect(server.urls[0], codec=codec) as client:
        client.on_error = failed.append
        client.listen(listener, "s", "e", type=kind)
        signal = server.add_sender("s", ["e"]).signal("e")
        values: list[Any] = [{"celsius": float(number)} for number in range(5)]
        signal.trigger_many(values)
        assert last.wait(LIMIT_S)
        signal.trigger_many([*values[:2], {"celsius": "warm"}, *values[3:]])
        server.flush()
        client.flush()
        client.close()
    expected = [msgspec.convert(value, kind) for value in values]
    assert got == [*expected, *expected[:2], *expected[3:]]
    assert [type(failure.error) for failure in failed] == [ZeroDivisionError, sig.InvalidData]
    assert all(failure.listener is listener for failure in failed)


def test_two_that_listen_are_given_each_their_own() -> None:
    got: list[object] = []
    both = threading.Semaphore(0)

    def typed(info: sig.Info, data: Reading) -> None:
        got.append(data)
        both.release()

    def plain(info: sig.Info, data: object) -> None:
        got.append(data)
        both.release()

    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        first = client.listen(typed, "s", "e", type=Reading)
        client.listen(plain, "s", "e")
        signal = server.add_sender("s", ["e"]).signal("e")
        signal.trigger({"celsius": 1.0})
        for _ in range(2):
            assert both.acquire(timeout=LIMIT_S)
        first.close()
        signal.trigger({"celsius": 2.0})
        assert both.acquire(timeout=LIMIT_S)
    assert got == [Reading(1.0), {"celsius": 1.0}, {"celsius": 2.0}]
