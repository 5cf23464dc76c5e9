"""What a client asks of others: numbers, routes, codecs, deadlines, and the answers."""

from __future__ import annotations

import math

import msgspec
import pytest
from protocol.alone import (
    opened,
    part,
    said,
    spoken,
    taking,
    welcomed,
)
from protocol.pairs import Answer, World
from protocol.serving import owner_of

from sig.codecs import MSGPACK
from sig.constants import STREAM_WINDOW_BYTES
from sig.errors import (
    ConnectionLost,
    InvalidData,
    MessageTooBig,
    Overloaded,
    ProtocolError,
    RequestTimeout,
    SenderNotConnected,
    to_wire,
)
from sig.messages import (
    AddSender,
    Result,
    Route,
    RouteGone,
    Schema,
    Senders,
    encode_control,
)
from sig.protocol.answering import RequestArrived, RequestDropped
from sig.protocol.asking import Coded
from sig.protocol.bodies import (
    NO_DEADLINE,
    Credit,
    Reply,
    Unit,
    pack_reply,
    unpack_credit,
    unpack_request,
)
from sig.protocol.frames import REPLY_ERR, Kind, pack
from sig.protocol.offline import Offline


def test_too_many_requests_are_refused_at_the_caller() -> None:
    world = World(requests_out=1)
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    _, give_up = a.request("s", "m")
    with pytest.raises(Overloaded):
        a.request("s", "m")
    give_up()
    a.request("s", "m")
    world.settle()
    assert len(owner.asked()) == 1


def test_a_request_ends_at_its_deadline_and_the_owner_is_told() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    world.settle()
    world.advance(2)
    with pytest.raises(RequestTimeout) as caught:
        _ = answer.ok
    assert (caught.value.sender, caught.value.method, caught.value.timeout) == ("s", "m", 2)
    assert [type(news) for news in owner.news][-1] is RequestDropped


def test_the_time_that_is_left_travels() -> None:
    world, owner, a = owner_of(requests=["m"])
    a.request("s", "m", timeout=2)
    world.now += 1.5  # the route is still being asked for
    world.settle()
    assert owner.asked()[0].request.remaining_ms == 500


def test_the_types_of_a_senders_requests_are_known_once_one_was_made() -> None:
    world = World()
    owner, other = world.client(), world.client()
    told = Schema(requests={"set": msgspec.Raw(b'{"params":true}')})
    owner.ask(AddSender("typed", [], ["set"], told))
    owner.add("untyped", requests=["set"])
    assert other.core.asking.schema("typed") is None
    for name in ("typed", "untyped"):
        other.request(name, "set")
        world.settle()
    assert other.core.asking.schema("typed") == b'{"set":{"params":true}}'
    assert other.core.asking.schema("untyped") == b"{}"


def test_a_request_of_nobody_comes_to_the_servers_error() -> None:
    world = World()
    a = world.client()
    answer, _ = a.request("nobody", "m")
    world.settle()
    assert isinstance(answer.error, SenderNotConnected)
    assert (answer.times, answer.error.sender, len(a.core.asking.calls)) == (1, "nobody", 0)


def test_giving_up_before_the_route_is_known_sends_nothing() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, give_up = a.request("s", "m")
    give_up()
    world.settle()
    assert (answer.times, owner.asked()) == (0, [])


def test_giving_up_after_the_answer_or_the_end_is_nothing() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    owner.core.answering.reply(owner.asked()[0], b"1", None)
    world.settle()
    give_up()
    assert said(a.core) == []
    other, give_up_too = a.request("s", "m")
    a.core.closed = True
    give_up_too()
    assert (answer.times, other.times) == (1, 0)


def test_a_timeout_on_a_closed_link_sends_nothing() -> None:
    world, _owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    world.settle()
    a.core.say_bye("closed")
    a.core.handle_timeout(world.now + 3)
    assert isinstance(answer.error, RequestTimeout)


@pytest.mark.parametrize("nonsense", ["not a number", True, 2**40, -1, 5])
def test_a_server_that_answers_nonsense_fails_the_request(nonsense: object) -> None:
    core, answer = welcomed(), Answer()
    core.asking.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    core.receive_at(pack(Kind.RESULT, encode_control(Result(nonsense)), route=call.route), 0.0)
    assert "without a ROUTE" in str(answer.error)
    assert said(core) == []


def test_a_sender_whose_name_the_server_has_forgotten_is_named() -> None:
    core, answer = welcomed(), Answer()
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s")), route=5), 0.0)
    core.asking.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=answer)
    payload = encode_control(to_wire(SenderNotConnected("")))
    core.receive_at(pack_reply(Reply(0, 1, payload), route=5, flags=REPLY_ERR), 0.0)
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        _ = answer.ok


def test_a_request_whose_time_is_over_before_the_route_is_known_timed_out() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    a.core.handle_timeout(world.now + 2)
    world.settle()
    assert isinstance(answer.error, RequestTimeout)
    assert (answer.times, owner.asked()) == (1, [])


def test_requests_of_a_sender_arrive_in_the_order_in_which_they_were_made() -> None:
    core = welcomed()
    for payload in (b"1", b"2"):
        core.asking.request("s", "m", payload, now=0.0, deadline=5.0, hops=1, done=Answer())
    first, second = said(core)
    opened(core, "json")
    core.asking.request("s", "m", b"3", now=0.0, deadline=5.0, hops=1, done=Answer())  # the route is known by now
    (third,) = said(core)
    for call in (first, second, third):
        core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    assert [unpack_request(frame).payload for frame in said(core)] == [b"1", b"2", b"3"]
    core.asking.request("s", "m", b"4", now=0.0, deadline=5.0, hops=1, done=Answer())
    assert [unpack_request(frame).payload for frame in said(core)] == [b"4"]


@pytest.mark.parametrize(
    ("payload", "flags", "told"),
    [
        (b"garbage", REPLY_ERR, "cannot be read"),
        (b"[" * 500, REPLY_ERR, "cannot be read"),
        (b'{"code":"remote_error","message":"%s"}' % (b"x" * 900), REPLY_ERR, "xxx"),
        (b'{"code":"remote_error","message":"%s"}' % (b"x" * 2000), REPLY_ERR, "the limit is 1000"),
    ],
)
def test_what_another_client_answers_costs_the_request_and_never_the_link(
    payload: bytes, flags: int, told: str
) -> None:
    world = World(max_control_frame_bytes=1000)
    owner, a = world.raw(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    answer, _ = a.request("s", "m")
    world.settle()
    (frame,) = [frame for frame in owner.read() if frame.kind == Kind.REQUEST]
    request = unpack_request(frame)
    owner.send(pack_reply(Reply(request.peer, request.corr, payload), route=frame.route, flags=flags))
    world.settle()
    assert told in str(answer.error)
    assert answer.times == 1
    assert not a.core.closed
    assert a.ask(Senders(None))


def test_a_reply_on_another_route_is_not_believed() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    corr = owner.asked()[0].request.corr
    a.core.receive_at(pack_reply(Reply(0, corr, b"1"), route=999), world.now)
    assert (answer.times, a.core.asking.calls.late) == (0, 1)


def test_a_reply_with_an_error_that_is_none_is_an_error_all_the_same() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    arrived = owner.asked()[0]
    assert isinstance(arrived, RequestArrived)
    payload = b'{"code":5}'
    world.server.receive_data(
        owner.connection,
        pack_reply(Reply(arrived.request.peer, arrived.request.corr, payload), route=arrived.route, flags=REPLY_ERR),
        world.now,
    )
    world.settle()
    assert answer.error is not None


def test_giving_up_tells_the_owner() -> None:
    world, owner, a = owner_of(requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    assert RequestDropped(a.connection.number, owner.asked()[0].request.corr) in owner.news
    assert answer.times == 0


def test_a_sender_is_asked_in_its_codec_and_answers_in_it() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    assert core.asking.codec_of("s") is None
    opened(core, "msgpack")
    assert core.asking.codec_of("s") is MSGPACK
    core.asking.request("s", "m", {"msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    (frame,) = said(core)
    assert unpack_request(frame).payload == b"\x05"
    core.receive_at(pack_reply(Reply(0, 1, b"\x06"), route=5), 0.0)
    assert answer.ok == Coded(MSGPACK, b"\x06")
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0)
    assert core.asking.codec_of("s") is None
    opened(core, "json")
    assert core.asking.codec_of("s") is core.codec


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_as_long_as_that_is_not_known_it_is_given_each_and_sends_the_right_one(codec: str) -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    core.asking.request("s", "m", {"json": b"5", "msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    opened(core, codec)
    core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    (frame,) = said(core)
    assert unpack_request(frame).payload == {"json": b"5", "msgpack": b"\x05"}[codec]


def test_parameters_that_cannot_be_had_in_the_senders_codec_fail_the_request() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    payloads = {"json": b"5", "msgpack": InvalidData("not in MessagePack")}
    core.asking.request("s", "m", payloads, now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    opened(core, "msgpack")
    core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    with pytest.raises(InvalidData, match="not in MessagePack"):
        _ = answer.ok
    with pytest.raises(InvalidData, match="not in MessagePack"):
        core.asking.request("s", "m", payloads, now=0.0, deadline=5.0, hops=1, done=answer)
    with pytest.raises(MessageTooBig):
        core.asking.request("s", "m", {"msgpack": bytes(1 << 20)}, now=0.0, deadline=5.0, hops=1, done=answer)
    assert said(core) == []
    assert len(core.asking.calls) == 0


def test_a_sender_that_was_replaced_by_one_of_another_codec_has_left() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    opened(core, "msgpack")
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        core.asking.request("s", "m", b"5", now=0.0, deadline=5.0, hops=1, done=answer)
    opened(core, "json", route=6)
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        core.asking.request("s", "m", {"msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    assert said(core) == []


def test_parts_that_were_not_asked_for_cost_the_request() -> None:
    core, answer = welcomed(), Answer()
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", None, "json", "n", 1, 1, 0)), route=9), 0.0)
    number = core.asking.request("s", "m", b"null", now=0.0, deadline=5.0, hops=1, done=answer)
    core.data_to_send(1 << 20)
    core.receive_at(part(number), 1.0)
    with pytest.raises(ProtocolError, match="answers in parts, which were not asked for"):
        _ = answer.ok
    assert [frame.kind for frame in said(core)] == [Kind.CANCEL]
    assert not core.closed


def test_more_parts_than_were_asked_for_cost_the_stream() -> None:
    core = welcomed()
    number, taken = taking(core)
    core.receive_at(part(number, cost=STREAM_WINDOW_BYTES), 1.0)
    core.receive_at(part(number), 1.0)
    assert "gives more parts than it was asked for" in str(taken.error)
    assert [frame.kind for frame in said(core)] == [Kind.CANCEL]
    core.asking.give_back(number, taken)
    assert said(core) == []
    assert not core.closed


def test_parts_that_come_too_late_or_on_another_route_go_nowhere() -> None:
    core = welcomed()
    number, taken = taking(core)
    core.receive_at(part(number + 1) + part(number, route=10), 1.0)
    assert taken.take() is None
    assert not taken.over


def test_credit_is_given_back_for_what_has_been_taken() -> None:
    core = welcomed()
    number, taken = taking(core)
    core.asking.give_back(number, taken)
    assert said(core) == []
    core.receive_at(part(number, cost=STREAM_WINDOW_BYTES), 1.0)
    taken.take()
    core.asking.give_back(number, taken)
    (frame,) = said(core)
    assert (frame.route, unpack_credit(frame)) == (9, Credit(STREAM_WINDOW_BYTES, Unit.PARTS, 0, number))


# -- limits, and links that end ------------------------------------------------------------------


def test_after_the_end_nothing_is_asked() -> None:
    core = welcomed()
    core.disconnected(ConnectionLost("the cable was pulled"))
    with pytest.raises(ConnectionLost, match="the cable was pulled"):
        core.asking.request("s", "m", b"1", now=0.0, deadline=5.0, hops=1, done=Answer())
    assert len(core.asking.calls) == 0


def test_parameters_that_no_frame_can_hold_are_refused_at_the_caller() -> None:
    core = welcomed()
    opened(core, "json")
    with pytest.raises(MessageTooBig):
        core.asking.request("s", "m", bytes(2 << 20), now=0.0, deadline=5.0, hops=1, done=Answer())
    assert (said(core), len(core.asking.calls)) == ([], 0)


@pytest.mark.parametrize(
    ("left_s", "told_ms"), [(math.inf, NO_DEADLINE), (1e8, NO_DEADLINE - 1), (2.5, 2500), (1e-9, 1)]
)
def test_the_time_that_is_left_is_told_as_near_as_it_can_be(left_s: float, told_ms: int) -> None:
    core = welcomed()
    opened(core, "json")
    core.asking.request("s", "m", b"1", now=0.0, deadline=left_s, hops=1, done=Answer())
    (frame,) = said(core)
    assert unpack_request(frame).remaining_ms == told_ms


def test_who_left_on_an_older_route_has_not_left_on_the_newer() -> None:
    core = welcomed()
    opened(core, "json", route=5)
    old, new = Answer(), Answer()
    core.asking.request("s", "m", b"1", now=0.0, deadline=5.0, hops=1, done=old)
    opened(core, "json", route=6)
    core.asking.request("s", "m", b"2", now=0.0, deadline=5.0, hops=1, done=new)
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("removed")), route=5), 0.0)
    with pytest.raises(ConnectionLost, match="sender 's' left"):
        _ = old.ok
    assert new.times == 0
    core.asking.request("s", "m", b"3", now=0.0, deadline=5.0, hops=1, done=new)
    assert [frame.route for frame in said(core)] == [5, 6, 6]


def test_on_another_link_all_numbers_are_asked_for_anew() -> None:
    world = World()
    owner, end = world.client(), world.client(offline=Offline("buffer", 1000, 30))
    owner.add("s", requests=["m"])
    end.request("s", "m")
    world.settle()
    assert end.core.asking.codec_of("s") is not None
    world.lose(end)
    world.come_back(end)
    assert end.core.asking.codec_of("s") is None


def test_who_ends_the_link_over_an_answer_is_given_none_of_those_behind_it() -> None:
    core = welcomed()
    opened(core, "json")
    second = Answer()
    core.asking.request(
        "s", "m", b"1", now=0.0, deadline=5.0, hops=1, done=lambda *_: core.disconnected(ConnectionLost("enough"))
    )
    core.asking.request("s", "m", b"2", now=0.0, deadline=5.0, hops=1, done=second)
    numbers = [unpack_request(frame).corr for frame in said(core)]
    core.receive_at(b"".join(pack_reply(Reply(0, number, b"5"), route=5) for number in numbers), 1.0)
    with pytest.raises(ConnectionLost, match="enough"):
        _ = second.ok
