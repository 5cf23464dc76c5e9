"""Requests against a reference: between cores under random weather, and over sockets against one process.

A million of them: see `soak`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import islice
from typing import Any

import pytest
from model.flows import Backwards
from model.storm import Broken, Storm

import sig
from sig.codecs import Codec
from sig.protocol.asking import Asking
from sig.protocol.bodies import find_asker
from sig.protocol.calls import Calls, Waiting
from sig.protocol.connection import Connection
from sig.protocol.frames import Found, Frame
from sig.protocol.parts import PartsIn
from sig.protocol.requests import Requests
from sig.protocol.server import ServerCore
from sig.protocol.streams import Streams
from sig.slots import Lines, Slots
from sig.testing.stage import becomes

LIMIT_S = 30


def weather(seed: int) -> Storm:
    storm = Storm(seed)
    storm.run(5000)
    storm.end()
    return storm


@pytest.mark.parametrize("seed", range(3))
def test_every_promise_is_kept_in_any_weather(seed: int) -> None:
    storm = weather(seed)
    rare = {"answered twice", "refused at the caller", "links lost", "Overloaded", "RequestTimeout", "given up"}
    rare |= {"in parts", "ended within", "windows full", "credits"}
    assert rare <= storm.tally.keys(), "the weather was too fine"


# -- the oracles: each fault is seen -------------------------------------------------------------


def answered_but_kept(calls: Calls[Any], number: int, about: Hashable) -> Waiting[Any] | None:
    return calls.find(number)


def given_to_another(calls: Calls[Any], number: int, about: Hashable) -> Waiting[Any] | None:
    numbers = [other for other, waiting in calls._waiting.items() if waiting.about == about]
    return calls._waiting.pop(numbers[0]) if numbers else None


def forgets_who_asked_the_lost(calls: Calls[Any], about: Hashable, error: BaseException) -> None: ...


def never_late(calls: Calls[Any], now: float) -> list[int]:
    return []


def late_too_soon(calls: Calls[Any], now: float) -> list[int]:
    return _handle_timeout(calls, now + 5)


_handle_timeout = Calls.handle_timeout


def keeps_cancel_to_itself(asking: Asking, number: int, call: Waiting[Any]) -> None: ...


def sends_twice(asking: Asking, number: int, *arguments: Any) -> None:
    for _ in range(2):
        _ask(asking, number, *arguments)


_ask = Asking._ask


def hands_no_slot_on(slots: Slots) -> None:
    slots._taken -= 1


def hands_on_and_frees(slots: Slots) -> None:
    _leave(slots)
    slots._taken -= 1


_leave = Slots.leave


def loses_who_waits(lines: Lines[Any], who: Hashable, item: Any) -> None: ...


def lets_everybody_in(calls: Calls[Any], *arguments: Any) -> int:
    calls._limit = 1000
    return _open(calls, *arguments)


_open = Calls.open


def tells_nobody_who_has_gone(server: ServerCore) -> None:
    for connection in server.ended:
        connection.called.clear()
    _settle(server)


_settle = ServerCore.settle


def gives_no_credit(streams: Streams, requester: Connection, frame: Frame) -> None: ...


def keeps_what_has_ended(streams: Streams, requester: Connection, corr: int) -> None: ...


def loses_a_part(parts: PartsIn, frame: Frame, codec: Codec) -> None:
    if frame.body[-1] & 7:
        _put(parts, frame, codec)


_put = PartsIn.put


def takes_a_second_answer(requests: Requests, connection: Connection, data: bytes, run: Sequence[Found]) -> None:
    """As if answers were only counted."""
    for found in run:
        peer, corr = find_asker(data, *found[-2:])
        requester = requests._server.connections.get(peer)
        if requester is not None and corr not in requester.unanswered and corr not in requester.given_up:
            requester.unanswered.pop(next(iter(requester.unanswered), 0), None)
        _reply(requests, connection, data, [found])


_reply = Requests.reply

FAULTS: dict[Callable[..., Any], tuple[type, str]] = {
    answered_but_kept: (Calls, "take"),
    given_to_another: (Calls, "take"),
    forgets_who_asked_the_lost: (Calls, "fail_about"),
    never_late: (Calls, "handle_timeout"),
    late_too_soon: (Calls, "handle_timeout"),
    lets_everybody_in: (Calls, "open"),
    keeps_cancel_to_itself: (Asking, "_cancel"),
    sends_twice: (Asking, "_ask"),
    hands_no_slot_on: (Slots, "leave"),
    hands_on_and_frees: (Slots, "leave"),
    loses_who_waits: (Lines, "put"),
    tells_nobody_who_has_gone: (ServerCore, "settle"),
    gives_no_credit: (Streams, "credit"),
    keeps_what_has_ended: (Streams, "close"),
    loses_a_part: (PartsIn, "put"),
    takes_a_second_answer: (Requests, "reply"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_seen(fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FAULTS[fault], fault)
    with pytest.raises(Broken):
        weather(1)


# -- over sockets --------------------------------------------------------------------------------


def double(params: int) -> int:
    return 2 * params


def fail(params: object) -> None:
    raise sig.RequestFailed(f"no {params}")


def until_nobody_waits(params: object) -> None:
    """A long one, that looks now and then whether it need go on."""
    request, pause = sig.current_request(), threading.Event()
    while not pause.wait(0.002):
        request.check()


# Of each method: what becomes of it, whenever and by whomever it is asked.
METHODS: dict[str, Callable[[Any], object]] = {
    "double": lambda params: 2 * params,
    "fail": lambda params: (sig.RequestFailed, f"no {params}"),
    "absent": lambda params: (sig.MethodNotFound, "sender 's' has no request 'absent'"),
    "nobody": lambda params: (sig.SenderNotConnected, "sender 'nobody' is not connected"),
    "nested": lambda params: 2 * params + 1,
    "cancelled": lambda params: None,
}


@pytest.fixture(params=["in process", "over TCP"])
def routers(request: pytest.FixtureRequest) -> Iterator[tuple[sig.Router, list[sig.Router]]]:
    """Who answers, and those who ask."""
    if request.param == "in process":
        with sig.Router() as router:
            yield router, [router]
        return
    with sig.serve("tcp://127.0.0.1:0") as server, ExitStack() as stack:
        owner, *others = [stack.enter_context(sig.connect(server.urls[0])) for _ in range(3)]
        yield owner, [*others, server]


@pytest.mark.parametrize("most", [None, 3])
def test_many_at_a_time_come_to_what_they_must(routers: tuple[sig.Router, list[sig.Router]], most: int | None) -> None:
    owner, askers = routers

    def nested(params: int) -> int:
        return int(owner.request("double", "double", params)) + 1

    handlers = {"double": double, "fail": fail, "nested": nested}
    owner.add_sender("s", requests={**handlers, "long": until_nobody_waits}, max_concurrent=most)
    owner.add_sender("double", requests=[double])
    slots = owner._senders["s"]._slots
    chance = random.Random(1)
    calls: list[tuple[sig.Call, str, int]] = []
    for number in range(150):
        method = chance.choice(["double"] * 6 + ["nested"] * 3 + ["fail", "absent", "nobody", "cancelled"])
        asker = chance.choice(askers)
        sender = "nobody" if method == "nobody" else "s"
        asked = "long" if method == "cancelled" else method
        if method == "nobody":
            asked = "double"
        # In one process nothing interrupts a handler but its requester, and the end of its time.
        call = asker.start_request(sender, asked, number, timeout=LIMIT_S)
        if method == "cancelled":
            call.cancel()
        calls.append((call, method, number))
    done, late = wait([call for call, _, _ in calls], LIMIT_S)
    assert not late
    for call, method, number in calls:
        expected = METHODS[method](number)
        if method == "cancelled":
            assert call.cancelled()
        elif isinstance(expected, tuple):
            error = call.exception()
            assert (type(error), str(error)) == expected
        else:
            assert call.result() == expected
    if slots is not None:
        for asker in askers:  # behind whoever has been given up
            assert asker.request("s", "double", 4, timeout=LIMIT_S) == 8
        assert len(slots) == 0
    assert len(done) == 150


def count_up(params: int) -> Iterator[int]:
    yield from range(params)
    return str(params)


def break_off(params: int) -> Iterator[int]:
    yield from range(params)
    raise sig.RequestFailed(f"no {params}")


async def count_later(params: int) -> AsyncIterator[int]:
    for number in range(params):
        yield number


def streams(asker: sig.Router, number: int) -> str:
    """One of them, wholly or up to some part; what was wrong."""
    how = number % 4
    method = ("count_up", "break_off", "count_later", "count_up")[how]
    many = 1_000_000 if how == 3 else number
    with asker.stream("s", method, many, timeout=LIMIT_S) as parts:
        taken = list(islice(parts, number)) if how == 3 else []
        try:
            taken += [] if how == 3 else parts
        except sig.RequestFailed as error:
            return "" if (how, str(error)) == (1, f"no {number}") else f"{number} was told {error!r}"
        if taken != list(range(number)):
            return f"of {number} came {taken!r:.50}"
        return "" if how == 3 or parts.result == (None if how == 2 else str(number)) else f"result of {number}"


@pytest.mark.parametrize("codecs", [("json",) * 4, ("msgpack", "json", "msgpack", Backwards())], ids=["one", "mixed"])
def test_streams_and_requests_at_a_time_come_to_what_they_must(codecs: Sequence[Any]) -> None:
    with ExitStack() as stack:
        loop = stack.enter_context(asyncio.Runner()).get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, loop.stop)
        server = stack.enter_context(sig.serve("tcp://127.0.0.1:0", codec=["json", Backwards()]))
        owner, *askers = [stack.enter_context(sig.connect(server.urls[0], codec=codec)) for codec in codecs]
        handlers = [count_up, break_off, count_later, double]
        owner.add_sender("s", requests=handlers, max_concurrent=5, loop=loop)
        slots = owner._senders["s"]._slots
        assert slots is not None
        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(streams, askers[number % 3], number) for number in range(60)]
            calls = [askers[number % 3].start_request("s", "double", number, timeout=LIMIT_S) for number in range(60)]
            assert [call.result(LIMIT_S) for call in calls] == [2 * number for number in range(60)]
            assert [told.result(LIMIT_S) for told in asking] == [""] * 60
        becomes(lambda: (slots.taken, len(slots)), (0, 0), "handlers that have ended hold no slot")
        core = server._server
        assert core is not None
        becomes(lambda: core.core.requests.asked, 0, "the server waits for no answer")
