"""What others ask of a client: they are answered, in whole or in parts, or wait no more."""

from __future__ import annotations

import math

import pytest
from protocol.alone import (
    owned,
    returning,
    said,
    taking,
    welcomed,
)
from protocol.pairs import Answer, World
from protocol.serving import owner_of

from sig.errors import (
    ConnectionLost,
    LoopDetected,
    MessageTooBig,
    ProtocolError,
    RemoteError,
    RequestFailed,
    RequestTimeout,
)
from sig.messages import (
    AddSender,
)
from sig.protocol.answering import RequestArrived, RequestDropped
from sig.protocol.bodies import (
    Cancel,
    Credit,
    Request,
    Unit,
    pack_cancel,
    pack_credit,
    pack_peer_gone,
    pack_request,
    unpack_cancel,
)
from sig.protocol.frames import Kind
from sig.protocol.parts import Abandoned, PartsIn


@pytest.mark.parametrize("timeout", [math.inf, 1e8])
def test_a_request_without_an_end_waits(timeout: float) -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m", timeout=timeout)
    world.advance(1e6)
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert answer.ok == b"1"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ZeroDivisionError("division"), RemoteError, "ZeroDivisionError"),
        (LoopDetected("round and round"), LoopDetected, "round"),
        (RequestFailed("door open", code="interlock", data={"a": 1}), RequestFailed, "door open"),
        (RequestFailed("strange", data=object()), RequestFailed, "strange"),
        (None, ProtocolError, "no answer"),
    ],
)
def test_what_a_handler_raises_arrives_as_what_it_is(
    error: BaseException | None, kind: type[Exception], text: str
) -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], None, error)
    world.settle()
    assert isinstance(answer.error, kind)
    assert text in str(answer.error)


def test_an_answer_that_is_too_big_is_an_error() -> None:
    world = World(max_frame_bytes=2000)
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], b"1" * 5000, None)
    world.settle()
    with pytest.raises(MessageTooBig, match="5000 bytes"):
        _ = answer.ok
    assert not owner.core.closed


@pytest.mark.parametrize("limits", [{"max_frame_bytes": 2000}, {"max_control_frame_bytes": 1000}])
@pytest.mark.parametrize(
    "error",
    [
        RequestFailed("door open", data="x" * 5000),
        RequestFailed("door open" + "\0" * 5000),
        RemoteError("door open" + "x" * 5000, type="Y" * 5000),
        ValueError("door open" + "ü" * 5000),
    ],
)
def test_an_error_that_is_too_big_is_told_in_short(limits: dict[str, float], error: Exception) -> None:
    world = World(**limits)
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], None, error)
    world.settle()
    assert isinstance(answer.error, RequestFailed)
    assert "door open" in str(answer.error)
    assert (owner.core.closed, a.core.closed) == (False, False)


def test_a_reply_after_the_end_is_not_sent() -> None:
    world, owner, a = owner_of(requests=["m"])
    a.request("s", "m")
    world.settle()
    owner.core.receive_eof()
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    assert said(owner.core) == []


def test_a_request_on_a_route_that_is_not_ours_ends_the_link() -> None:
    core = welcomed()
    core.receive_at(pack_request(Request(1, 1, 1000, 1, "m", b""), route=5), 0.0)
    assert "not ours" in str(core.error)


def test_a_stream_that_is_forgotten_is_given_up_with_what_is_sent_next() -> None:
    core = welcomed()
    number, taken = taking(core)
    core.answering.written.append(Abandoned(number))
    (frame,) = said(core)
    assert (frame.kind, unpack_cancel(frame)) == (Kind.CANCEL, Cancel(0, number))
    assert (len(core.asking.calls), taken.over) == (0, False)


def test_whoever_gives_parts_is_told_that_the_link_is_down() -> None:
    world, owner, requester = owner_of(requests=["m"])
    owner.add("t", requests=["m"])
    for sender in ("s", "t"):
        taken = PartsIn(lambda: None)
        requester.core.asking.request(
            sender, "m", b"1", now=0.0, deadline=math.inf, hops=1, done=taken.finish, parts=taken
        )
    world.settle()
    first, second = owner.asked()
    assert (first.deadline, first.parts is not None) == (math.inf, True)
    # Of a sender that has left already, once.
    owner.remove("s")
    assert [news for news in owner.news if isinstance(news, RequestDropped)] == [
        RequestDropped(first.request.peer, first.request.corr)
    ]
    owner.core.answering.reply(first, None, ConnectionLost("too late"))
    world.lose(owner)
    assert owner.news[-1] == RequestDropped(second.request.peer, second.request.corr)
    assert len([news for news in owner.news if isinstance(news, RequestDropped)]) == 2


def test_parts_leave_before_what_is_behind_them_and_after_the_link_has_ended_nothing_does() -> None:
    world, owner, requester = owner_of(requests=["m"])
    taken = [PartsIn(lambda: None), PartsIn(lambda: None)]
    for one in taken:
        requester.core.asking.request("s", "m", b"1", now=0.0, deadline=math.inf, hops=1, done=one.finish, parts=one)
    world.settle()
    first, second = owner.asked()
    assert first.parts is not None
    assert second.parts is not None
    first.parts.write(b"1")
    second.parts.write(b"2")
    requester_credit = pack_credit(Credit(5, Unit.PARTS, first.request.peer, first.request.corr), route=first.route)
    owner.core.receive_at(requester_credit, world.now)
    owner.core.answering.reply(first, b"3", None)
    world.settle()
    assert [one.take() for one in taken] == [[1], [2]]
    assert [one.result for one in taken] == [b"3", None]


def test_a_stream_with_an_end_in_time_says_so() -> None:
    world, owner, requester = owner_of(requests=["m"])
    taken = PartsIn(lambda: None)
    deadline = world.now + 5
    done = taken.finish
    requester.core.asking.request("s", "m", b"1", now=world.now, deadline=deadline, hops=1, done=done, parts=taken)
    world.settle()
    (arrived,) = owner.asked()
    assert arrived.deadline == pytest.approx(deadline, abs=0.01)
    world.advance(6)
    assert isinstance(taken.error, RequestTimeout)
    assert owner.news[-1] == RequestDropped(arrived.request.peer, arrived.request.corr)


def test_credit_for_a_stream_of_nobodys_has_no_effect() -> None:
    core = welcomed()
    core.receive_at(pack_credit(Credit(5, Unit.PARTS, 1, 2), route=9), 0.0)
    assert not core.closed


@pytest.mark.parametrize("streams", [False, True])
def test_what_was_asked_on_a_link_that_was_lost_is_not_answered_on_the_next(streams: bool) -> None:
    """There the number of its route may be another's, and who replies for another is cut off."""
    world = World()
    end, other = returning(world), world.client()
    end.ask(AddSender("t", [], ["m"]))
    parts = PartsIn(lambda: None) if streams else None
    answer = Answer()
    other.core.asking.request("t", "m", b"1", now=world.now, deadline=world.now + 5, hops=1, done=answer, parts=parts)
    world.settle()
    (arrived,) = end.asked()
    world.lose(end)
    world.come_back(end)
    end.core.data_to_send(1 << 20)
    if arrived.parts is not None:
        arrived.parts.write(b"1")
    end.core.data_to_send(1 << 20)
    end.core.answering.reply(arrived, b"1", None)
    assert end.core.data_to_send(1 << 20) == b""


def test_what_is_not_waited_for_any_more_comes_as_such_and_in_its_order() -> None:
    core = welcomed()
    core.receive_at(owned(5, None), 0.0)
    core.receive_at(pack_request(Request(7, 1, 1000, 1, "m", b"1"), route=5), 0.0)
    core.receive_at(pack_cancel(Cancel(7, 1), route=5) + pack_peer_gone(7), 0.0)
    asked, cancelled, gone = core.answering.take_asked()
    assert isinstance(asked, RequestArrived)
    assert (asked.sender, asked.request.method, asked.deadline) == ("s", "m", 1.0)
    assert (cancelled, gone) == (RequestDropped(7, 1), RequestDropped(7, None))
    assert core.answering.take_asked() == []
