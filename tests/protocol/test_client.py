"""The client's end: what it asks, what it is told, and what it makes of a server that misbehaves."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, End, World
from protocol.recorded import FRAMES
from protocol.who import credential, make_access, token

from sig.codecs import MSGPACK, as_codecs
from sig.constants import STREAM_WINDOW_BYTES, Limits
from sig.errors import (
    Closed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidData,
    InvalidName,
    LoopDetected,
    MessageTooBig,
    Overloaded,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    RequestFailed,
    RequestTimeout,
    SenderNotConnected,
    to_wire,
)
from sig.messages import (
    AddSender,
    Auth,
    Bye,
    Challenge,
    Error,
    Flush,
    Hello,
    Interest,
    Listen,
    Presence,
    Result,
    Route,
    RouteGone,
    Schema,
    Senders,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.bodies import (
    NO_DEADLINE,
    Cancel,
    Credit,
    Lost,
    Reply,
    Request,
    Unit,
    pack_credit,
    pack_lost,
    pack_peer_gone,
    pack_reply,
    pack_request,
    unpack_cancel,
    unpack_credit,
    unpack_request,
)
from sig.protocol.client import (
    CLOSED,
    UNHEARD,
    ClientCore,
    Coded,
    EventsArrived,
    LinkBack,
    LinkLost,
    ListenerReady,
    RequestArrived,
    RequestDropped,
    Restored,
    RouteOpened,
)
from sig.protocol.events import pack_events
from sig.protocol.frames import PREFACE, REPLY_ERR, REQUEST_PARTS, Frame, FrameReader, Kind, pack
from sig.protocol.login import TokenProver
from sig.protocol.offline import Offline
from sig.protocol.parts import Abandoned, PartsIn, pack_parts
from sig.protocol.past import Told
from sig.security.identity import ANONYMOUS
from sig.security.policy import Policy, allow

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


# -- handshake -----------------------------------------------------------------------------------


def test_a_refusal_is_an_error_of_its_own_with_the_servers_sentence() -> None:
    core = lone()
    core.receive_at(pack(Kind.ERROR, encode_control(Error("x", "update the client", fatal=True))), 0.0)
    assert isinstance(core.error, HandshakeRefused)
    assert str(core.error) == "the server refused: update the client"
    core.disconnected(ConnectionLost("the server closed the link"))
    assert isinstance(core.error, HandshakeRefused)


@pytest.mark.parametrize("bye", [Bye("overloaded", "come back later"), Bye("come back later")])
def test_a_goodbye_instead_of_a_welcome_is_a_refusal(bye: Bye) -> None:
    core = lone()
    core.receive_at(pack(Kind.BYE, encode_control(bye)), 0.0)
    assert isinstance(core.error, HandshakeRefused)
    assert str(core.error) == "the server refused: come back later"


@pytest.mark.parametrize(
    "welcome", [Welcome(2, ["json"], "", 1, 1, "", 9, 9, 0), Welcome(1, ["x"], "", 1, 1, "", 9, 9, 0)]
)
def test_a_welcome_to_something_else_is_a_mistake(welcome: Welcome) -> None:
    core = lone()
    core.receive_at(pack(Kind.WELCOME, encode_control(welcome)), 0.0)
    assert isinstance(core.error, HandshakeRefused)
    assert "not offered" in str(core.error)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"PSIG\x02\x05\0\0", "update the program on this side"),
        (b"PSIG\x00\x05\0\0", "update the peer"),
        (PREFACE + pack(Kind.EVENT), "EVENT before the handshake"),
        (PREFACE + pack(Kind.RESULT), "RESULT before the handshake"),
        (PREFACE + pack(Kind.PING, b"12345678"), "PING before the handshake"),
        (PREFACE + pack(Kind.CHALLENGE, b"{}"), "CHALLENGE before the handshake"),
        (PREFACE + pack(Kind.WELCOME, b"x" * 20_000), "over the limit of 16384"),
        (PREFACE + pack(Kind.WELCOME, b"{}"), "malformed Welcome"),
    ],
)
def test_who_does_not_shake_hands_has_refused_to(data: bytes, told: str) -> None:
    core = ClientCore(Limits(), as_codecs("json"))
    core.receive_at(data, 0.0)
    assert isinstance(core.error, HandshakeRefused)
    assert told in str(core.error)


def test_leaving_before_the_welcome_is_no_refusal() -> None:
    core = lone()
    core.leave()
    core.disconnected(ConnectionLost("x"))
    assert isinstance(core.error, Closed)


def test_a_link_that_is_lost_before_the_welcome_is_lost() -> None:
    core = lone()
    core.disconnected(ConnectionLost("the cable was pulled"))
    assert str(core.error) == "the cable was pulled"


# -- calls ---------------------------------------------------------------------------------------


def test_a_call_without_an_answer_ends_at_its_deadline() -> None:
    core, answer = welcomed(), Answer()
    core.call(Flush(), 0.0, 3, answer)
    assert core.next_deadline() == 3
    core.handle_timeout(3)
    with pytest.raises(ConnectionLost, match="did not answer Flush within 3 s"):
        _ = answer.ok
    assert core.next_deadline() is None


def test_a_lost_link_fails_all_that_waits() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    asked, _ = a.request("s", "m")
    world.settle()
    called = a.call(Senders())
    a.core.disconnected(ConnectionLost("the cable was pulled"))
    with pytest.raises(ConnectionLost, match="the cable was pulled; whether the request was carried out is unknown"):
        _ = asked.ok
    with pytest.raises(ConnectionLost, match="the cable"):
        _ = called.ok
    with pytest.raises(ConnectionLost):
        a.call(Senders())
    with pytest.raises(ConnectionLost):
        a.core.trigger("s", "e", b"1")


def test_after_leaving_it_is_our_own_doing() -> None:
    core = welcomed()
    core.leave()
    core.leave()
    assert [frame.kind for frame in said(core)] == [Kind.BYE]
    with pytest.raises(Closed, match="has been closed"):
        core.call(Flush(), 0.0, 5, Answer())
    with pytest.raises(Closed, match="has been closed"):
        core.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=Answer())


# -- events --------------------------------------------------------------------------------------


def test_events_wait_in_their_order_with_calls_and_leave_in_batches() -> None:
    world = World()
    end = world.client()
    end.add("s", "e", "f")
    core = end.core
    for number in range(3):
        core.trigger("s", "e", str(number).encode())
    end.call(Flush())
    core.trigger("s", "e", b"3")
    core.trigger("s", "f", b"4")
    assert core.outgoing.size > 0
    assert core.triggered == 5
    frames = said(core)
    assert [(frame.kind, frame.count) for frame in frames] == [(Kind.EVENT, 3), (Kind.CALL, 0), (Kind.EVENT, 2)]
    assert core.outgoing.size == 0
    assert core.triggered == 5


def test_as_much_leaves_as_is_asked_for() -> None:
    world = World()
    end = world.client()
    end.add("s", "e")
    for _ in range(10):
        end.core.trigger("s", "e", b"1" * 80)
        end.core.outgoing.pack()
    assert [frame.count for frame in FrameReader(1 << 20).feed(end.core.data_to_send(300))] == [1, 1, 1]
    assert end.core.outgoing.size == 7 * 100


def test_an_event_that_is_too_big_is_refused_and_nothing_is_sent() -> None:
    world = World(max_frame_bytes=2000)
    end = world.client()
    end.add("s", "e")
    with pytest.raises(MessageTooBig, match="2000"):
        end.core.trigger("s", "e", b"1" * 2000)
    with pytest.raises(MessageTooBig):
        end.request("s", "m", b"1" * 2000)
    assert said(end.core) == []


def test_an_event_of_a_sender_that_is_not_ours_any_more_is_refused() -> None:
    world = World()
    end = world.client()
    end.add("s", "e")
    assert end.core.owns("s", "e")
    assert end.core.knows("s")
    end.remove("s")
    assert not end.core.owns("s", "e")
    assert not end.core.knows("s")
    with pytest.raises(SenderNotConnected, match="'s'"):
        end.core.trigger("s", "e", b"1")


def test_a_listener_is_ready_in_its_place() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1, "s", None)
    owner.core.trigger("s", "e", b"1")
    world.settle()
    assert [type(news) for news in a.news] == [ListenerReady, RouteOpened, EventsArrived]
    with pytest.raises(InvalidName):
        a.listen(2, "s**", None)
    assert [type(news) for news in a.news].count(ListenerReady) == 1


def test_a_listener_is_ready_with_what_it_is_told_of_the_past_and_nobody_else_is() -> None:
    core, answer, asked = welcomed(), Answer(), Answer()
    core.listen(Listen(1, "s", None, True), "listener", 0.0, 5, answer)
    core.last("s", "e", 0.0, 5, asked)
    calls = [frame.route for frame in said(core) if frame.kind == Kind.CALL]
    presence = Presence("s", 1, "#connect", {"events": []}, call=calls[0])
    lanes = [Route("s", "e", incarnation=1, next_seq=7, call=call) for call in (*calls, calls[0])]
    events = [pack_events([(30 + n, b"%d" % n)], lens=False, lines=True, max_frame_bytes=999)[0] for n in (0, 1)]
    for frame in (
        pack(Kind.PRESENCE, encode_control(presence)),
        *(pack(Kind.ROUTE, encode_control(lane), route=30 + n) for n, lane in enumerate(lanes)),
        *events,
        pack_lost(Lost(32, 1, "too_big")),
        *(pack(Kind.ROUTE_GONE, encode_control(RouteGone()), route=30 + n) for n in range(3)),
    ):
        core.receive_at(frame, 0.0)
        assert core.take_news() == []
    assert not core.knows("s")
    for call in calls:
        core.receive_at(pack(Kind.RESULT, encode_control(Result(None)), route=call), 0.0)
    past = [presence, Told(lanes[0], Frame.of(events[0])), Told(lanes[2], None, "too_big")]
    assert core.take_news() == [ListenerReady("listener", past)]
    assert asked.ok == Told(lanes[1], Frame.of(events[1]))


def test_a_listener_that_is_refused_is_told_nothing_of_the_past() -> None:
    core, answer, asked = welcomed(), Answer(), Answer()
    core.listen(Listen(1, "s", None, True), "listener", 0.0, 5, answer)
    core.last("s", "e", 0.0, 5, asked)
    presence = Presence("s", 1, "#connect", {"events": []}, call=1)
    core.receive_at(pack(Kind.PRESENCE, encode_control(presence)), 0.0)
    core.handle_timeout(5)
    core.receive_at(pack(Kind.PRESENCE, encode_control(presence)), 0.0)
    assert core.take_news() == []
    assert isinstance(answer.error, ConnectionLost)
    assert isinstance(asked.error, ConnectionLost)


def test_presence_and_losses_are_news() -> None:
    core = welcomed()
    presence = Presence("s", 1, "#connect", {"events": []})
    core.receive_at(pack(Kind.PRESENCE, encode_control(presence)) + pack_lost(Lost(3, 5, "slow")), 0.0)
    assert core.take_news() == [presence, Lost(3, 5, "slow")]


def test_who_has_left_is_not_told_that_the_link_was_lost() -> None:
    core = welcomed()
    core.leave()
    core.disconnected(ConnectionLost("the server closed the link"))
    with pytest.raises(Closed, match="this router"):
        core.trigger("s", "e", b"1")


def test_by_our_own_doing_the_end_is_closed() -> None:
    core, answer = welcomed(), Answer()
    core.call(Flush(), 0.0, 5, answer)
    core.disconnected(Closed("this router has been closed"))
    assert isinstance(answer.error, Closed)
    with pytest.raises(Closed):
        core.call(Flush(), 0.0, 5, Answer())


def test_a_servers_goodbye_is_the_reason_for_the_end() -> None:
    core, answer = welcomed(), Answer()
    core.call(Flush(), 0.0, 5, answer)
    core.receive_at(pack(Kind.BYE, encode_control(Bye("shutdown", "the server is closing"))), 0.0)
    core.disconnected(ConnectionLost("the link was lost"))
    assert "the server is closing" in str(answer.error)


def test_a_call_that_is_too_big_is_refused_at_the_caller() -> None:
    world = World(max_control_frame_bytes=1000)
    end = world.client()
    with pytest.raises(MessageTooBig, match="AddSender takes .* the limit is 1000"):
        end.add("s", *["x" * 100 + str(number) for number in range(20)])
    assert end.add("s", "e")


def test_control_from_a_server_has_a_limit_too() -> None:
    core = ClientCore(Limits.of(max_control_frame_bytes=1000), as_codecs("json"))
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(WELCOME)), 0.0)
    core.receive_at(pack(Kind.RESULT, b"[" * 1001), 0.0)
    assert "the limit is 1000" in str(core.error)


def test_what_the_server_says_at_the_end_is_cut() -> None:
    core, answer = welcomed(), Answer()
    core.call(Flush(), 0.0, 5, answer)
    core.receive_at(pack(Kind.ERROR, encode_control(Error("x", "\n" * 100_000, fatal=True))), 0.0)
    core.disconnected(ConnectionLost("the link was lost"))
    assert isinstance(answer.error, ConnectionLost)
    assert len(str(answer.error)) < 600
    assert str(answer.error).isprintable()


def test_who_ended_the_link_says_what_waits_is_forgotten() -> None:
    core = welcomed()
    core.call(Flush(), 0.0, 5, Answer())
    core.receive_at(pack(Kind.CALL, b"{}"), 0.0)
    assert core.outgoing.size == 0
    assert [frame.kind for frame in said(core)] == [Kind.ERROR]


def test_a_sender_is_known_as_long_as_one_of_its_routes_is_open() -> None:
    core = welcomed()

    def route(number: int, event: str | None) -> bytes:
        return pack(Kind.ROUTE, encode_control(Route("s", event)), route=number)

    def gone(number: int) -> bytes:
        return pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=number)

    # One of them is told again, which makes no third.
    core.receive_at(route(1, "e") + route(2, None) + route(1, "e"), 0.0)
    seen = [core.knows("s")]
    for frame in (gone(1), gone(1), gone(2)):
        core.receive_at(frame, 0.0)
        seen.append(core.knows("s"))
    assert seen == [True, True, True, False]


# -- where events go out -------------------------------------------------------------------------


def owned(number: int, event: str | None = "e") -> bytes:
    """The server's ROUTE for an event of sender "s", which is ours."""
    return pack(Kind.ROUTE, encode_control(Route("s", event, owner=True)), route=number)


def interest(state: Literal["none", "some", "grouped"], route: int = 5) -> bytes:
    return pack(Kind.INTEREST, encode_control(Interest(state)), route=route)


def outlet(core: ClientCore, event: str = "e") -> list[int]:
    """What an outlet has been told."""
    told: list[int] = []
    core.outlet("s", event, told.append)
    return told


def test_an_outlet_is_told_its_route_whether_anybody_listens_and_when_it_is_over() -> None:
    core = welcomed()
    told, other = outlet(core), outlet(core, "f")
    for frame in (owned(5), owned(6, None), owned(7, "g"), interest("none"), interest("some"), interest("grouped")):
        core.receive_at(frame, 0.0)
    assert told == [5, UNHEARD, 5, 5]
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0)
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=7), 0.0)
    core.disconnected(ConnectionLost("x"))
    assert told == [5, UNHEARD, 5, 5, CLOSED]
    assert other == [CLOSED]


def test_what_is_told_of_an_earlier_life_is_nothing_to_an_outlet() -> None:
    core = welcomed()
    before = outlet(core)
    core.receive_at(owned(5), 0.0)
    core.close_outlets("s", ["e"])
    told = outlet(core)
    for frame in (interest("none"), interest("some"), owned(6), interest("none", 5), interest("none", 6)):
        core.receive_at(frame, 0.0)
    assert before == [5, CLOSED]
    assert told == [6, UNHEARD]


def test_a_closed_outlet_hears_no_more_whatever_the_server_says() -> None:
    core = welcomed()
    told = outlet(core)
    core.receive_at(owned(5), 0.0)
    core.close_outlets("s", ["e", "unknown"])
    assert told == [5, CLOSED]
    with pytest.raises(SenderNotConnected):
        core.trigger("s", "e", b"1")
    core.receive_at(
        interest("none") + interest("some") + pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0
    )
    assert told == [5, CLOSED]
    assert [frame.kind for frame in said(core)] == [Kind.INTEREST]  # others may wait for it all the same


def test_that_somebody_listens_is_confirmed_before_all_that_waits_and_that_nobody_does_is_not() -> None:
    core = welcomed()
    core.receive_at(owned(5), 0.0)
    core.trigger("s", "e", b"1")
    core.receive_at(FRAMES["interest: none"] + FRAMES["interest: some"] + FRAMES["interest"], 0.0)
    first, second, event = said(core)
    assert (first.data, second.data) == (FRAMES["interest: some"], FRAMES["interest"])
    assert event.kind == Kind.EVENT


def test_an_owner_that_has_held_something_back_confirms_so_once() -> None:
    core = welcomed()
    core.receive_at(owned(5), 0.0)
    held = [True, False]  # as the outlet is told `UNHEARD`, and then where to send
    core.outlet("s", "e", lambda route: route == 5 and held.pop(0))
    core.receive_at((FRAMES["interest: none"] + FRAMES["interest: some"]) * 2, 0.0)
    first, second = said(core)
    assert (first.data, second.data) == (FRAMES["interest: held"], FRAMES["interest: some"])


@pytest.mark.parametrize(
    "before",
    [
        b"",
        owned(5, None),
        pack(Kind.ROUTE, encode_control(Route("s", "e")), route=5),
        owned(5) + pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5),
    ],
    ids=["unknown", "requests", "another's", "gone"],
)
@pytest.mark.parametrize("state", ["none", "some"])
def test_interest_in_what_is_no_event_of_ours_is_the_servers_mistake(
    before: bytes, state: Literal["none", "some"]
) -> None:
    core = welcomed()
    core.receive_at(before, 0.0)
    assert core.error is None
    core.receive_at(interest(state), 0.0)
    assert "INTEREST in route 5, which is no event of ours" in str(core.error)


def test_events_wait_for_credit_which_is_given_back_in_bytes() -> None:
    world = World(send_window_bytes=100)
    end = world.client()
    end.add("s", "e")
    end.core.trigger("s", "e", b"1" * 100)
    end.core.outgoing.pack()
    end.core.trigger("s", "e", b"2")
    first = said(end.core)
    assert [len(frame.data) for frame in first] == [120]
    assert end.core.outgoing.credit == -20
    for unit in (Unit.EVENTS, Unit.PARTS):
        end.core.receive_at(pack_credit(Credit(1000, unit)), 0.0)
    assert said(end.core) == []
    end.core.receive_at(pack_credit(Credit(120)), 0.0)
    assert [frame.count for frame in said(end.core)] == [1]
    assert end.core.outgoing.credit == 100 - 21


# -- requests ------------------------------------------------------------------------------------


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
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    world.settle()
    world.advance(2)
    with pytest.raises(RequestTimeout) as caught:
        _ = answer.ok
    assert (caught.value.sender, caught.value.method, caught.value.timeout) == ("s", "m", 2)
    assert [type(news) for news in owner.news][-1] is RequestDropped


def test_the_time_that_is_left_travels() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
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
    assert other.core.requests_schema("typed") is None
    for name in ("typed", "untyped"):
        other.request(name, "set")
        world.settle()
    assert other.core.requests_schema("typed") == b'{"set":{"params":true}}'
    assert other.core.requests_schema("untyped") == b"{}"


def test_a_request_of_nobody_comes_to_the_servers_error() -> None:
    world = World()
    a = world.client()
    answer, _ = a.request("nobody", "m")
    world.settle()
    assert isinstance(answer.error, SenderNotConnected)
    assert (answer.times, answer.error.sender, len(a.core.calls)) == (1, "nobody", 0)


def test_giving_up_before_the_route_is_known_sends_nothing() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, give_up = a.request("s", "m")
    give_up()
    world.settle()
    assert (answer.times, owner.asked()) == (0, [])


def test_giving_up_after_the_answer_or_the_end_is_nothing() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    give_up()
    assert said(a.core) == []
    other, give_up_too = a.request("s", "m")
    a.core.closed = True
    give_up_too()
    assert (answer.times, other.times) == (1, 0)


def test_a_timeout_on_a_closed_link_sends_nothing() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    world.settle()
    a.core.say_bye("closed")
    a.core.handle_timeout(world.now + 3)
    assert isinstance(answer.error, RequestTimeout)


@pytest.mark.parametrize("nonsense", ["not a number", True, 2**40, -1, 5])
def test_a_server_that_answers_nonsense_fails_the_request(nonsense: object) -> None:
    core, answer = welcomed(), Answer()
    core.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    core.receive_at(pack(Kind.RESULT, encode_control(Result(nonsense)), route=call.route), 0.0)
    assert "without a ROUTE" in str(answer.error)
    assert said(core) == []


def test_a_sender_whose_name_the_server_has_forgotten_is_named() -> None:
    core, answer = welcomed(), Answer()
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s")), route=5), 0.0)
    core.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=answer)
    payload = encode_control(to_wire(SenderNotConnected("")))
    core.receive_at(pack_reply(Reply(0, 1, payload), route=5, flags=REPLY_ERR), 0.0)
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        _ = answer.ok


def test_a_request_whose_time_is_over_before_the_route_is_known_timed_out() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", timeout=2)
    a.core.handle_timeout(world.now + 2)
    world.settle()
    assert isinstance(answer.error, RequestTimeout)
    assert (answer.times, owner.asked()) == (1, [])


def test_requests_of_a_sender_arrive_in_the_order_in_which_they_were_made() -> None:
    core = welcomed()
    for payload in (b"1", b"2"):
        core.request("s", "m", payload, now=0.0, deadline=5.0, hops=1, done=Answer())
    first, second = said(core)
    opened(core, "json")
    core.request("s", "m", b"3", now=0.0, deadline=5.0, hops=1, done=Answer())  # the route is known by now
    (third,) = said(core)
    for call in (first, second, third):
        core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    assert [unpack_request(frame).payload for frame in said(core)] == [b"1", b"2", b"3"]
    core.request("s", "m", b"4", now=0.0, deadline=5.0, hops=1, done=Answer())
    assert [unpack_request(frame).payload for frame in said(core)] == [b"4"]


@pytest.mark.parametrize("timeout", [math.inf, 1e8])
def test_a_request_without_an_end_waits(timeout: float) -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", timeout=timeout)
    world.advance(1e6)
    owner.core.reply(owner.asked()[0], b"1", None)
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
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.reply(owner.asked()[0], None, error)
    world.settle()
    assert isinstance(answer.error, kind)
    assert text in str(answer.error)


def test_an_answer_that_is_too_big_is_an_error() -> None:
    world = World(max_frame_bytes=2000)
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.reply(owner.asked()[0], b"1" * 5000, None)
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
    owner.core.reply(owner.asked()[0], None, error)
    world.settle()
    assert isinstance(answer.error, RequestFailed)
    assert "door open" in str(answer.error)
    assert (owner.core.closed, a.core.closed) == (False, False)


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


def test_a_reply_after_the_end_is_not_sent() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    a.request("s", "m")
    world.settle()
    owner.core.receive_eof()
    owner.core.reply(owner.asked()[0], b"1", None)
    assert said(owner.core) == []


# -- a server that cheats ------------------------------------------------------------------------


def test_a_reply_on_another_route_is_not_believed() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    corr = owner.asked()[0].request.corr
    a.core.receive_at(pack_reply(Reply(0, corr, b"1"), route=999), world.now)
    assert (answer.times, a.core.calls.late) == (0, 1)


def test_a_request_on_a_route_that_is_not_ours_ends_the_link() -> None:
    core = welcomed()
    core.receive_at(pack_request(Request(1, 1, 1000, 1, "m", b""), route=5), 0.0)
    assert "not ours" in str(core.error)


def test_what_only_clients_say_is_refused_from_a_server() -> None:
    core = welcomed()
    core.receive_at(pack(Kind.CALL, b"{}"), 0.0)
    assert "no business" in str(core.error)


def test_routes_that_change_their_meaning_are_kept_apart() -> None:
    core = welcomed()

    def route(number: int, owner: bool, event: str | None) -> bytes:
        return pack(Kind.ROUTE, encode_control(Route("s", event, owner=owner)), route=number)

    gone = encode_control(RouteGone("closed"))
    core.receive_at(route(1, True, "e") + route(2, True, "e") + route(3, False, None) + route(4, False, None), 0.0)
    # The older of two numbers goes: the newer still holds.
    core.receive_at(pack(Kind.ROUTE_GONE, gone, route=1) + pack(Kind.ROUTE_GONE, gone, route=3), 0.0)
    assert core.owns("s", "e")
    core.receive_at(pack(Kind.ROUTE_GONE, gone, route=99) + pack_peer_gone(7), 0.0)
    assert core.take_asked()[-1] == RequestDropped(7, None)
    core.trigger("s", "e", b"1")
    (frame,) = said(core)
    assert frame.route == 2


def test_events_are_counted_by_route_as_they_come() -> None:
    core = welcomed()
    (frame,) = pack_events([(1, b"1"), (2, b"2"), (1, b"3")], lens=True, lines=True, max_frame_bytes=1 << 20)
    core.receive_at(frame, 0.0)
    (news,) = core.take_news()
    assert isinstance(news, EventsArrived)
    assert news.counts == ((1, 2), (2, 1))


def test_a_reply_with_an_error_that_is_none_is_an_error_all_the_same() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
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


@given(st.binary(max_size=300))
def test_any_bytes_from_a_server_cost_the_link_at_most(data: bytes) -> None:
    core, answer = welcomed(), Answer()
    core.call(Flush(), 0.0, 5, answer)
    said(core)
    core.receive_at(data, 0.0)
    if core.error is not None:
        assert core.closed
        frames = said(core)
        assert [frame.kind for frame in frames] in ([Kind.ERROR], [])
        for frame in frames:
            decode_control(Error, frame.body)
    core.disconnected(ConnectionLost("over"))
    assert answer.times == 1


def test_giving_up_tells_the_owner() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    assert RequestDropped(a.connection.number, owner.asked()[0].request.corr) in owner.news
    assert answer.times == 0


# -- codecs --------------------------------------------------------------------------------------


def spoken(*codecs: str) -> ClientCore:
    """A client that prefers JSON, at a server that has these."""
    core = lone()
    core.receive_at(pack(Kind.WELCOME, encode_control(msgspec.structs.replace(WELCOME, codecs=list(codecs)))), 0.0)
    return core


def opened(core: ClientCore, codec: str, *, route: int = 5) -> None:
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", codec=codec)), route=route), 0.0)


def test_it_offers_all_that_it_speaks_and_goes_by_the_first_that_both_have() -> None:
    core = ClientCore(Limits(), as_codecs(["msgpack", "json"]))
    (hello,) = FrameReader(1 << 24, preface=True).feed(core.data_to_send(1 << 20))
    assert decode_control(Hello, hello.body).codecs == ["msgpack", "json"]
    for told, agreed in (["json", "msgpack"], ["json", "msgpack"]), (["yaml", "msgpack"], ["msgpack"]):
        core = spoken(*told)
        assert [*core.codecs] == agreed
        assert core.codec.name == core.outgoing.codec.name == agreed[0]


def test_a_route_in_a_codec_that_was_not_offered_is_the_servers_mistake() -> None:
    core = spoken("json")
    opened(core, "msgpack")
    assert isinstance(core.error, RemoteProtocolError)
    assert "a ROUTE in the codec 'msgpack', which was not offered" in str(core.error)


def test_a_sender_is_asked_in_its_codec_and_answers_in_it() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    assert core.codec_of("s") is None
    opened(core, "msgpack")
    assert core.codec_of("s") is MSGPACK
    core.request("s", "m", {"msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    (frame,) = said(core)
    assert unpack_request(frame).payload == b"\x05"
    core.receive_at(pack_reply(Reply(0, 1, b"\x06"), route=5), 0.0)
    assert answer.ok == Coded(MSGPACK, b"\x06")
    core.receive_at(pack(Kind.ROUTE_GONE, encode_control(RouteGone("closed")), route=5), 0.0)
    assert core.codec_of("s") is None
    opened(core, "json")
    assert core.codec_of("s") is core.codec


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_as_long_as_that_is_not_known_it_is_given_each_and_sends_the_right_one(codec: str) -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    core.request("s", "m", {"json": b"5", "msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    opened(core, codec)
    core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    (frame,) = said(core)
    assert unpack_request(frame).payload == {"json": b"5", "msgpack": b"\x05"}[codec]


def test_parameters_that_cannot_be_had_in_the_senders_codec_fail_the_request() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    payloads = {"json": b"5", "msgpack": InvalidData("not in MessagePack")}
    core.request("s", "m", payloads, now=0.0, deadline=5.0, hops=1, done=answer)
    (call,) = said(core)
    opened(core, "msgpack")
    core.receive_at(pack(Kind.RESULT, encode_control(Result(5)), route=call.route), 0.0)
    with pytest.raises(InvalidData, match="not in MessagePack"):
        _ = answer.ok
    with pytest.raises(InvalidData, match="not in MessagePack"):
        core.request("s", "m", payloads, now=0.0, deadline=5.0, hops=1, done=answer)
    with pytest.raises(MessageTooBig):
        core.request("s", "m", {"msgpack": bytes(1 << 20)}, now=0.0, deadline=5.0, hops=1, done=answer)
    assert said(core) == []
    assert len(core.calls) == 0


def test_a_sender_that_was_replaced_by_one_of_another_codec_has_left() -> None:
    core, answer = spoken("json", "msgpack"), Answer()
    opened(core, "msgpack")
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        core.request("s", "m", b"5", now=0.0, deadline=5.0, hops=1, done=answer)
    opened(core, "json", route=6)
    with pytest.raises(SenderNotConnected, match="sender 's'"):
        core.request("s", "m", {"msgpack": b"\x05"}, now=0.0, deadline=5.0, hops=1, done=answer)
    assert said(core) == []


# -- heartbeat -----------------------------------------------------------------------------------


def told(**options: float) -> Hello:
    core = ClientCore(Limits.of(**options), as_codecs("json"))
    (frame,) = FrameReader(1 << 24, preface=True).feed(core.data_to_send(1 << 20))
    return decode_control(Hello, frame.body)


def test_what_the_application_has_not_chosen_is_left_to_the_server() -> None:
    assert (told().heartbeat_s, told().heartbeat_timeout_s) == (None, None)
    hello = told(heartbeat_s=2, heartbeat_timeout_s=5)
    assert (hello.heartbeat_s, hello.heartbeat_timeout_s) == (2, 5)


@pytest.mark.parametrize(
    ("heartbeat_s", "timeout_s", "periods"),
    [(10.0, 25.0, [5, 10, 15, 20, 25]), (2.0, 5.0, [1, 2, 3, 4, 5]), (40.0, 100.0, [20, 40, 60, 80, 100])],
)
def test_a_server_that_hangs_is_given_up_at_the_time_that_it_has_told(
    heartbeat_s: float, timeout_s: float, periods: list[float]
) -> None:
    core, answer = lone(), Answer()
    welcome = msgspec.structs.replace(WELCOME, heartbeat_s=heartbeat_s, heartbeat_timeout_s=timeout_s)
    core.receive_at(pack(Kind.WELCOME, encode_control(welcome)), 0.0)
    core.request("s", "m", b"null", now=0.0, deadline=1000.0, hops=1, done=answer)
    due = []
    while not core.closed and (now := core.next_deadline()) is not None:
        due.append(now)
        core.handle_timeout(now - 0.001)
        core.handle_timeout(now)
    assert due == periods
    core.disconnected(ConnectionLost("the socket is closed"))
    assert str(core.error) == (
        f"nothing has come from the server for {periods[3]:g} s: it hangs, or the way to it is broken "
        f"(heartbeat_timeout_s={periods[4]:g})"
    )
    with pytest.raises(ConnectionLost, match="nothing has come from the server"):
        _ = answer.ok
    assert core.next_deadline() is None


def test_a_client_that_was_stopped_for_an_hour_first_reads_what_has_come_meanwhile() -> None:
    core = lone()
    welcome = msgspec.structs.replace(WELCOME, heartbeat_s=10.0, heartbeat_timeout_s=25.0)
    core.receive_at(pack(Kind.WELCOME, encode_control(welcome)), 0.0)
    for now in (3600.0, 7200.0, 10800.0):
        core.handle_timeout(now)
        core.receive_at(pack(Kind.PONG, b"12345678"), now)
    core.handle_timeout(14400.0)
    assert not core.closed


def test_where_the_server_wants_none_there_is_no_heartbeat() -> None:
    core = welcomed()
    assert core.next_deadline() is None
    core.data_to_send(1 << 20)
    core.handle_timeout(10_000.0)
    assert (core.closed, said(core)) == (False, [])


# -- logging in, and rights ----------------------------------------------------------------------


def test_a_client_that_is_asked_who_it_is_answers_once_and_is_told_why_not() -> None:
    access, _ = make_access(credential(7, "alice"))
    world = World(access=access)
    world.proves = False
    end = world.client(prover=TokenProver(token(7)))
    assert end.core.challenge is not None
    end.core.answer(Auth())
    assert end.core.challenge is None
    world.settle()
    assert isinstance(end.core.error, Denied)
    assert "does not know that token" in str(end.core.error)
    end.core.answer(Auth())  # the link has ended


def test_a_client_that_has_nothing_to_prove_cannot_be_asked() -> None:
    end = World().client(settle=False)
    end.core.receive_at(PREFACE + pack(Kind.CHALLENGE, encode_control(Challenge("own"))), 0.0)
    assert "CHALLENGE before the handshake is complete" in str(end.core.error)


def test_what_may_not_be_triggered_says_so_until_it_may() -> None:
    world = World()
    end = world.client()
    told: list[int] = []
    end.core.outlet("s", "e", told.append)
    end.core.outlet("s", "f", told.append)
    end.add("s", "e", "f")
    for policy in (Policy([allow("*", "own")]), Policy([allow("*", ["own", "trigger"])])):
        world.server.govern(policy, None, world.now)
        world.settle()
        if policy.allowed(ANONYMOUS, "trigger", "s", "e"):
            end.core.trigger("s", "e", b"1")
        else:
            assert told[-1] == CLOSED
            with pytest.raises(Denied, match="you may not trigger event 'e' of sender 's': no rule allows it"):
                end.core.trigger("s", "e", b"1")
    assert told[-1] > 0
    world.server.govern(Policy([allow("*", "own")]), None, world.now)
    world.settle()
    end.core.close_outlets("s", ["e"])
    with pytest.raises(SenderNotConnected):
        end.core.trigger("s", "e", b"1")
    with pytest.raises(Denied):
        end.core.trigger("s", "f", b"1")
    end.remove("s")
    with pytest.raises(SenderNotConnected):
        end.core.trigger("s", "f", b"1")


# -- answers in parts ----------------------------------------------------------------------------


def taking(core: ClientCore) -> tuple[int, PartsIn]:
    """A stream that a client has asked for on route 9."""
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", None, "json", "n", 1, 1, 0)), route=9), 0.0)
    taken = PartsIn(lambda: None)
    done = taken.finish
    number = core.request("s", "m", b"null", now=0.0, deadline=math.inf, hops=1, done=done, parts=taken)
    (frame,) = said(core)
    assert (frame.kind, frame.flags, unpack_request(frame).remaining_ms) == (Kind.REQUEST, REQUEST_PARTS, NO_DEADLINE)
    return number, taken


def part(number: int, *, cost: int = 1000, route: int = 9) -> bytes:
    return pack_parts([b"1"], route=route, peer=0, corr=number, lines=True, cost=cost)


def test_parts_that_were_not_asked_for_cost_the_request() -> None:
    core, answer = welcomed(), Answer()
    core.receive_at(pack(Kind.ROUTE, encode_control(Route("s", None, "json", "n", 1, 1, 0)), route=9), 0.0)
    number = core.request("s", "m", b"null", now=0.0, deadline=5.0, hops=1, done=answer)
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
    core.give_back(number, taken)
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
    core.give_back(number, taken)
    assert said(core) == []
    core.receive_at(part(number, cost=STREAM_WINDOW_BYTES), 1.0)
    taken.take()
    core.give_back(number, taken)
    (frame,) = said(core)
    assert (frame.route, unpack_credit(frame)) == (9, Credit(STREAM_WINDOW_BYTES, Unit.PARTS, 0, number))


def test_a_stream_that_is_forgotten_is_given_up_with_what_is_sent_next() -> None:
    core = welcomed()
    number, taken = taking(core)
    core.written.append(Abandoned(number))
    (frame,) = said(core)
    assert (frame.kind, unpack_cancel(frame)) == (Kind.CANCEL, Cancel(0, number))
    assert (len(core.calls), taken.over) == (0, False)


def test_whoever_gives_parts_is_told_that_the_link_is_down() -> None:
    world = World()
    owner, requester = world.client(), world.client()
    owner.add("s", requests=["m"])
    owner.add("t", requests=["m"])
    for sender in ("s", "t"):
        taken = PartsIn(lambda: None)
        requester.core.request(sender, "m", b"1", now=0.0, deadline=math.inf, hops=1, done=taken.finish, parts=taken)
    world.settle()
    first, second = owner.asked()
    assert (first.deadline, first.parts is not None) == (math.inf, True)
    # Of a sender that has left already, once.
    owner.remove("s")
    assert [news for news in owner.news if isinstance(news, RequestDropped)] == [
        RequestDropped(first.request.peer, first.request.corr)
    ]
    owner.core.reply(first, None, ConnectionLost("too late"))
    world.lose(owner)
    assert owner.news[-1] == RequestDropped(second.request.peer, second.request.corr)
    assert len([news for news in owner.news if isinstance(news, RequestDropped)]) == 2


def test_parts_leave_before_what_is_behind_them_and_after_the_link_has_ended_nothing_does() -> None:
    world = World()
    owner, requester = world.client(), world.client()
    owner.add("s", requests=["m"])
    taken = [PartsIn(lambda: None), PartsIn(lambda: None)]
    for one in taken:
        requester.core.request("s", "m", b"1", now=0.0, deadline=math.inf, hops=1, done=one.finish, parts=one)
    world.settle()
    first, second = owner.asked()
    assert first.parts is not None
    assert second.parts is not None
    first.parts.write(b"1")
    second.parts.write(b"2")
    requester_credit = pack_credit(Credit(5, Unit.PARTS, first.request.peer, first.request.corr), route=first.route)
    owner.core.receive_at(requester_credit, world.now)
    owner.core.reply(first, b"3", None)
    world.settle()
    assert [one.take() for one in taken] == [[1], [2]]
    assert [one.result for one in taken] == [b"3", None]


def test_a_stream_with_an_end_in_time_says_so() -> None:
    world = World()
    owner, requester = world.client(), world.client()
    owner.add("s", requests=["m"])
    taken = PartsIn(lambda: None)
    deadline = world.now + 5
    done = taken.finish
    requester.core.request("s", "m", b"1", now=world.now, deadline=deadline, hops=1, done=done, parts=taken)
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


def test_what_listeners_have_begun_overtakes_what_waits() -> None:
    core = welcomed()
    core.data_to_send(1 << 20)
    core.grant(3, 8)
    (frame,) = FrameReader(1 << 20).feed(core.data_to_send(1 << 20))
    assert (frame.kind, frame.route) == (Kind.CREDIT, 3)
    assert unpack_credit(frame) == Credit(8, Unit.EVENTS)


# -- another link --------------------------------------------------------------------------------


def returning(world: World, policy: str = "buffer") -> End:
    """Holds `s`, with two events that it has opened."""
    end = world.client(offline=Offline(policy, 1000, 30))
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    return end


def outlets(end: End, *events: str) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {event: [] for event in events}
    for event, changes in told.items():
        end.core.outlet("s", event, changes.append)
    return told


def restore(world: World, end: End) -> None:
    world.come_back(end)
    lost = end.core.losses(world.now).get("s", {})
    end.ask(AddSender("s", ["e", "f"], ["m"], lost=lost))
    end.core.restored(world.now)
    world.settle()


def test_what_was_held_back_when_the_link_was_lost_is_told_on_the_next_unless_its_sender_has_left() -> None:
    world = World()
    end = returning(world)
    for event in ("e", "f"):
        end.core.outlet("s", event, lambda route: route == CLOSED)
    world.lose(end)
    end.core.close_outlets("s", ["f"])
    world.come_back(end)
    assert end.core.losses(world.now) == {"s": {"e": None}}
    end.core.restored(world.now)
    assert end.core.losses(world.now) == {}


def test_what_has_not_left_waits_for_the_next_link_and_its_outlets_open_when_all_is_registered() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    told = outlets(end, "e")
    route = end.core._owned["s", "e"]
    gathered = end.core.outgoing.events
    gathered.append((route, b"1"))
    world.lose(end)
    assert end.core.away
    assert told == {"e": [CLOSED]}
    assert isinstance(end.news[-1], LinkLost)
    end.core.keep("s", "e", b"2", world.now)
    with pytest.raises(SenderNotConnected):
        end.core.keep("s", "f", b"3", world.now)
    gathered.append((route, b"late"))  # by a thread that read the list before: it is nobody's any more
    assert end.core.triggered == 2
    restore(world, end)
    assert told == {"e": [CLOSED, route]}
    assert [value for _, value in other.heard()] == [1, 2]
    assert (end.core.triggered, end.core.links, end.core.linked) == (2, 2, True)
    assert LinkBack(same=True, kept=True) in end.news
    assert isinstance(end.news[-1], Restored)


def test_nothing_opens_before_all_is_registered() -> None:
    world = World()
    end = returning(world)
    told = outlets(end, "e")
    world.lose(end)
    world.come_back(end)
    end.ask(AddSender("s", ["e", "f"], ["m"]))
    assert told == {"e": [CLOSED]}
    assert not end.core.linked


def test_events_of_a_name_that_was_lost_meanwhile_go_nowhere_and_are_counted() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    told = outlets(end, "e")
    world.lose(end)
    end.core.keep("s", "e", b"1", world.now)
    world.advance(2)
    other.add("s", "e")
    world.come_back(end)
    end.core.restored(world.now)
    assert told == {"e": [CLOSED, CLOSED]}
    assert end.core.triggered == 1


@pytest.mark.parametrize(("events", "count"), [(("e",), 2), (("e", "f"), None)])
def test_what_was_under_way_is_counted_where_it_can_be(events: tuple[str, ...], count: int | None) -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, *events)
    end.core.trigger("s", "e", b"1")
    world.settle()
    end.core.trigger("s", "e", b"2")
    end.core.trigger("s", "e", b"3")
    end.core.data_to_send(1 << 20)  # and the link is lost
    world.lose(end)
    world.come_back(end)
    assert end.core.losses(world.now) == {"s": dict.fromkeys(events, count)}
    end.core.restored(world.now)
    assert end.core.losses(world.now) == {}


def test_what_was_under_way_of_a_sender_that_has_left_is_not_told_as_lost_by_another() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e", "f")
    end.core.trigger("s", "e", b"1")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    end.core.close_outlets("s", ["e"])
    world.come_back(end)
    assert end.core.losses(world.now) == {"s": {"f": None}}
    end.core.restored(world.now)
    world.lose(end)
    world.come_back(end)
    assert end.core.losses(world.now) == {}


def test_what_is_known_to_have_been_routed_was_not_lost() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    world.advance(2)
    end.core.renew(1)
    assert end.core.losses(world.now) == {}


@pytest.mark.parametrize("streams", [False, True])
def test_what_was_asked_on_a_link_that_was_lost_is_not_answered_on_the_next(streams: bool) -> None:
    """There the number of its route may be another's, and who replies for another is cut off."""
    world = World()
    end, other = returning(world), world.client()
    end.ask(AddSender("t", [], ["m"]))
    parts = PartsIn(lambda: None) if streams else None
    answer = Answer()
    other.core.request("t", "m", b"1", now=world.now, deadline=world.now + 5, hops=1, done=answer, parts=parts)
    world.settle()
    (arrived,) = end.asked()
    world.lose(end)
    world.come_back(end)
    end.core.data_to_send(1 << 20)
    if arrived.parts is not None:
        arrived.parts.write(b"1")
    end.core.data_to_send(1 << 20)
    end.core.reply(arrived, b"1", None)
    assert end.core.data_to_send(1 << 20) == b""


def test_what_was_dropped_once_does_not_count_as_routed_later() -> None:
    """A flush counts all that was accepted, also what was dropped while the link was away before."""
    world = World(presence_grace_s=1)
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    world.lose(end)
    end.core.keep("s", "e", b"1", world.now)
    world.come_back(end)
    end.ask(AddSender("s", ["e"]))
    end.core.restored(world.now)
    end.flush()
    flushed = end.core.triggered
    end.core.trigger("s", "e", b"2")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    world.advance(2)
    world.come_back(end, flushed)
    assert end.core.losses(world.now) == {"s": {"e": None}}


def test_after_too_long_nobody_knows_what_was_under_way() -> None:
    world = World(presence_grace_s=1)
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e", "f")
    end.core.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    end.core.keep("s", "f", b"1", world.now)
    assert end.core.losses(world.now) == {"s": {"e": None, "f": None}}
    world.advance(2)
    world.come_back(end)
    assert end.core.losses(world.now) == {"s": {"e": None, "f": None}}
    assert LinkBack(same=True, kept=False) in end.news


def test_dropped_and_lost_under_way_are_one_sum() -> None:
    world = World()
    end, other = returning(world, "drop"), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.trigger("s", "e", b"1")
    end.core.data_to_send(1 << 20)
    world.lose(end)
    end.core.keep("s", "e", b"2", world.now)
    world.come_back(end)
    assert end.core.losses(world.now) == {"s": {"e": 2}}


def test_a_link_that_is_lost_before_all_was_registered_costs_nothing_more() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    end.core.keep("s", "e", b"2", world.now)
    world.come_back(end)
    world.lose(end)
    restore(world, end)
    assert [value for _, value in other.heard()] == [1, 2]
    assert [type(news) for news in end.news if isinstance(news, LinkLost)] == [LinkLost]


@pytest.mark.parametrize(("event", "when"), [(None, True), ("#connect", True), ("#disconnect", True), ("e", False)])
def test_who_comes_back_asks_when_its_listening_to_presence_began(event: str | None, when: bool) -> None:
    core = ClientCore(Limits(), as_codecs("json"), offline=Offline("buffer", 1000, 30))
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(WELCOME)), 0.0)
    said(core)
    core.listen(Listen(1, "s", event), 1, 0.0, 1.0, lambda value, error: None)
    (frame,) = said(core)
    assert decode_control(Listen, frame.body).when is when


def test_a_server_that_was_started_again_is_told_as_such() -> None:
    core = ClientCore(Limits(), as_codecs("json"), offline=Offline("buffer", 1000, 30))
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(WELCOME)), 0.0)
    core.disconnected(ConnectionLost("lost"))
    core.renew(0)
    again = msgspec.structs.replace(WELCOME, epoch=2, fresh="unknown")
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(again)), 0.0)
    assert core.take_news()[-1] == LinkBack(same=False, kept=False)


def test_a_server_that_has_another_codec_now_is_none_for_what_waits() -> None:
    core = ClientCore(Limits(), as_codecs(["json", "msgpack"]), offline=Offline("buffer", 1000, 30))
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(WELCOME)), 0.0)
    core.disconnected(ConnectionLost("lost"))
    core.renew(0)
    again = msgspec.structs.replace(WELCOME, codecs=["msgpack"])
    core.receive_at(PREFACE + pack(Kind.WELCOME, encode_control(again)), 0.0)
    assert "prefers the codec 'msgpack' now" in str(core.error)


def test_who_has_left_does_not_come_back() -> None:
    world = World()
    end = returning(world)
    outlets(end, "e")
    world.lose(end)
    end.core.leave()
    assert not end.core.away
    with pytest.raises(Closed):
        end.core.trigger("s", "e", b"1")


def test_who_has_left_loses_what_no_frame_holds() -> None:
    world = World()
    end = returning(world)
    outlets(end, "e")
    end.core.outgoing.events.append((end.core._owned["s", "e"], b"1"))
    end.core._left = True
    world.lose(end)
    assert (end.core.away, end.core.triggered) == (False, 1)


def test_an_owner_that_is_away_opens_nothing_for_those_who_listen() -> None:
    world = World()
    end = returning(world)
    told = outlets(end, "e")
    route = end.core._owned["s", "e"]
    end.core.away = True
    end.core.receive_at(pack(Kind.INTEREST, encode_control(Interest("some")), route=route), 0.0)
    assert told == {"e": []}


def test_without_a_place_for_events_a_client_does_not_keep_any() -> None:
    with pytest.raises(SenderNotConnected):
        welcomed().keep("s", "e", b"1", 0.0)


def test_a_reliable_link_that_is_lost_is_no_end_for_those_who_wait(world: World) -> None:
    """For the rest see test_coming.py."""
    access, _ = make_access(credential(7, "alice"))
    world = World(access=access)
    end = world.client(prover=TokenProver(token(7)), reliable=True)
    end.add("s", "e")
    end.core.handle_timeout(world.now + 1)
    assert end.core.next_deadline() is not None
    late = end.connection.data_to_send(1000)
    world.lose(end)
    answer = end.call(Flush())
    assert (end.core.parted, end.core.linked, end.core.closed) == (True, True, False)
    end.core.receive_at(late + b"whatever", world.now)
    end.core.trigger("s", "e", b"1")
    world.come_back(end)
    assert (answer.times, end.core.resumed, end.core.up) == (1, True, True)
    assert end.connection.events_in == 1
    world.lose(end)
    world.server.sessions.shed()
    world.server.settle()
    world.come_back(end)
    assert (end.core.away, end.core.resumed) == (True, False)
