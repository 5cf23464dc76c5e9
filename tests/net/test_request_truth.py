"""Requests tell the truth at once: who waits hears what is known, and who works hears that nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from net.aside import aside
from net.raw import LIMIT_S, Raw

import sig
from sig.protocol.bodies import Reply, pack_reply, unpack_request
from sig.protocol.frames import Kind


@pytest.fixture
def server() -> Iterator[sig.ServerRouter]:
    with sig.serve("tcp://127.0.0.1:0", request_workers=1) as server:
        yield server


def test_what_is_known_is_told_although_every_thread_is_busy(
    server: sig.ServerRouter, caller: sig.ClientRouter
) -> None:
    begun, hold = threading.Event(), threading.Event()

    def work(params: object) -> None:
        begun.set()
        hold.wait(LIMIT_S)

    server.add_sender("s", "e", [work])
    server.add_sender("silent", "e")
    busy = caller.start_request("s", "work")
    assert begun.wait(LIMIT_S)
    with pytest.raises(sig.MethodNotFound):
        caller.request("s", "absent", timeout=LIMIT_S)
    with pytest.raises(sig.RequestsNotSupported):
        caller.request("silent", "m", timeout=LIMIT_S)
    with pytest.raises(sig.SenderNotConnected):
        caller.request("nobody", "m", timeout=LIMIT_S)
    assert not busy.done()
    hold.set()
    assert busy.result(LIMIT_S) is None


def test_who_takes_a_name_over_is_not_asked_what_was_asked_of_the_other(
    server: sig.ServerRouter, caller: sig.ClientRouter
) -> None:
    begun, hold, called = threading.Event(), threading.Event(), list[object]()

    def work(params: object) -> None:
        begun.set()
        hold.wait(LIMIT_S)

    server.add_sender("other", requests=[work])
    first = server.add_sender("s", requests={"m": lambda params: params})
    assert caller.request("s", "m", 1) == 1
    busy = caller.start_request("other", "work")
    assert begun.wait(LIMIT_S)
    waiting = caller.start_request("s", "m", "for the first")  # for a thread
    with pytest.raises(sig.MethodNotFound):  # which has come behind that
        caller.request("s", "absent", timeout=LIMIT_S)
    first.remove()
    server.add_sender("s", requests={"m": called.append})
    assert isinstance(waiting.exception(LIMIT_S), sig.ConnectionLost)
    hold.set()
    assert busy.result(LIMIT_S) is None
    caller.request("s", "m", "for the second")
    assert called == ["for the second"]


def test_giving_up_reaches_what_a_handler_asks_for_in_turn(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    """From the first who asks to the last who works, over three links; nobody in between waits any more."""
    begun, told = threading.Event(), threading.Event()
    between: list[BaseException] = []

    def last(params: object) -> None:
        request = sig.current_request()
        begun.set()
        pause = threading.Event()
        while not request.cancelled:
            pause.wait(0.002)
        told.set()

    def middle(params: object) -> object:
        try:
            return server.request("last", "last")
        except sig.SigError as error:
            between.append(error)
            raise

    with sig.connect(server.urls[0]) as worker:
        worker.add_sender("last", requests=[last])
        server.add_sender("middle", requests=[middle])
        call = caller.start_request("middle", "middle", timeout=LIMIT_S)
        assert begun.wait(LIMIT_S)
        assert call.cancel()
        assert told.wait(LIMIT_S)
        server.add_sender("quick", requests={"m": lambda params: params})
        assert caller.request("quick", "m", 1) == 1, "the thread in the middle is free"
    assert [type(error) for error in between] == [sig.RequestCancelled]


def test_what_was_given_up_already_asks_nobody(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    begun, outcomes = threading.Event(), list[BaseException]()
    ended = threading.Event()

    def work(params: object) -> None:
        request = sig.current_request()
        begun.set()
        pause = threading.Event()
        while not request.cancelled:
            pause.wait(0.002)
        try:
            server.request("s", "other", timeout=LIMIT_S)
        except sig.SigError as error:
            outcomes.append(error)
        ended.set()

    server.add_sender("s", requests={"work": work, "other": lambda params: outcomes.append(ValueError())})
    call = caller.start_request("s", "work")
    assert begun.wait(LIMIT_S)
    call.cancel()
    assert ended.wait(LIMIT_S)
    assert [type(error) for error in outcomes] == [sig.RequestCancelled]


def test_the_time_shrinks_from_hop_to_hop(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    def down(params: int) -> list[float]:
        left = [sig.current_request().remaining]
        return left if params == 0 else left + server.request("s", "down", params - 1, timeout=500)

    server.add_sender("s", requests=[down])
    left = caller.request("s", "down", 4, timeout=LIMIT_S)
    assert len(left) == 5
    assert left == sorted(left, reverse=True)
    assert left[0] <= LIMIT_S


def test_an_answer_of_somebody_else_is_not_believed(server: sig.ServerRouter, caller: sig.ClientRouter) -> None:
    """It costs the forger its link, and the request nothing."""
    with Raw.client(server.urls[0]) as owner, Raw.client(server.urls[0]) as forger:
        owner.hold("s", requests=["m"])
        asking = aside(lambda: caller.request("s", "m", timeout=LIMIT_S))
        frame = owner.read(Kind.REQUEST)
        request = unpack_request(frame)
        forger.send(pack_reply(Reply(request.peer, request.corr, b'"forged"'), route=frame.route))
        forger.read(Kind.ERROR)
        owner.send(pack_reply(Reply(request.peer, request.corr, b'"true"'), route=frame.route))
        assert asking.result(LIMIT_S) == "true"


def test_an_answer_that_cannot_be_decoded_costs_its_request_alone(
    server: sig.ServerRouter, caller: sig.ClientRouter
) -> None:
    with Raw.client(server.urls[0]) as owner:
        owner.hold("s", requests=["m"])
        for payload, outcome in ((b"{not JSON", None), (b"7", 7)):
            asking = aside(lambda: caller.request("s", "m", timeout=LIMIT_S))
            frame = owner.read(Kind.REQUEST)
            request = unpack_request(frame)
            owner.send(pack_reply(Reply(request.peer, request.corr, payload), route=frame.route))
            if outcome is None:
                assert isinstance(asking.exception(LIMIT_S), sig.InvalidData)
            else:
                assert asking.result(LIMIT_S) == outcome
    assert caller.state == "connected"
