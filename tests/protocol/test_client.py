"""The client's end: what it asks, what it is told, and what it makes of a server that misbehaves."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.alone import (
    WELCOME,
    lone,
    opened,
    outlets,
    restore,
    returning,
    said,
    spoken,
    taking,
    welcomed,
)
from protocol.lone import say
from protocol.pairs import Answer, End, World
from protocol.serving import owner_of
from protocol.who import credential, make_access, token

from sig.codecs import as_codecs
from sig.constants import Limits
from sig.errors import (
    Closed,
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidName,
    MessageTooBig,
    RemoteProtocolError,
)
from sig.messages import (
    AddSender,
    Auth,
    Bye,
    Challenge,
    Error,
    Flush,
    Hello,
    Listen,
    Presence,
    Result,
    Route,
    RouteGone,
    Senders,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.answering import RequestDropped
from sig.protocol.bodies import (
    Credit,
    Lost,
    Unit,
    pack_credit,
    pack_lost,
    pack_peer_gone,
    unpack_credit,
)
from sig.protocol.client import ClientCore, EventsArrived, LinkBack, LinkLost, ListenerReady, Restored, RouteOpened
from sig.protocol.events import pack_batch, pack_events
from sig.protocol.frames import PREFACE, Frame, FrameReader, Kind, pack
from sig.protocol.login import TokenProver
from sig.protocol.offline import Offline
from sig.protocol.parts import Abandoned
from sig.protocol.past import Told

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
    world, _owner, a = owner_of(requests=["m"])
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
        a.core.owning.trigger("s", "e", b"1")


def test_after_leaving_it_is_our_own_doing() -> None:
    core = welcomed()
    core.leave()
    core.leave()
    assert [frame.kind for frame in said(core)] == [Kind.BYE]
    with pytest.raises(Closed, match="has been closed"):
        core.call(Flush(), 0.0, 5, Answer())
    with pytest.raises(Closed, match="has been closed"):
        core.asking.request("s", "m", b"", now=0.0, deadline=5.0, hops=1, done=Answer())


# -- events --------------------------------------------------------------------------------------


def test_events_wait_in_their_order_with_calls_and_leave_in_batches() -> None:
    world = World()
    end = world.client()
    end.add("s", "e", "f")
    core = end.core
    for number in range(3):
        core.owning.trigger("s", "e", str(number).encode())
    end.call(Flush())
    core.owning.trigger("s", "e", b"3")
    core.owning.trigger("s", "f", b"4")
    assert core.outgoing.size > 0
    assert core.owning.triggered == 5
    frames = said(core)
    assert [(frame.kind, frame.count) for frame in frames] == [(Kind.EVENT, 3), (Kind.CALL, 0), (Kind.EVENT, 2)]
    assert core.outgoing.size == 0
    assert core.owning.triggered == 5


def test_as_much_leaves_as_is_asked_for() -> None:
    world = World()
    end = world.client()
    end.add("s", "e")
    for _ in range(10):
        end.core.owning.trigger("s", "e", b"1" * 80)
        end.core.outgoing.pack()
    assert [frame.count for frame in FrameReader(1 << 20).feed(end.core.data_to_send(300))] == [1, 1, 1]
    assert end.core.outgoing.size == 7 * 100


def test_a_listener_is_ready_in_its_place() -> None:
    world, owner, a = owner_of("e")
    a.listen(1, "s", None)
    owner.core.owning.trigger("s", "e", b"1")
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
        core.owning.trigger("s", "e", b"1")


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


def test_events_wait_for_credit_which_is_given_back_in_bytes() -> None:
    world = World(send_window_bytes=100)
    end = world.client()
    end.add("s", "e")
    end.core.owning.trigger("s", "e", b"1" * 100)
    end.core.outgoing.pack()
    end.core.owning.trigger("s", "e", b"2")
    first = said(end.core)
    assert [len(frame.data) for frame in first] == [120]
    assert end.core.outgoing.credit == -20
    for unit in (Unit.EVENTS, Unit.PARTS):
        end.core.receive_at(pack_credit(Credit(1000, unit)), 0.0)
    assert said(end.core) == []
    end.core.receive_at(pack_credit(Credit(120)), 0.0)
    assert [frame.count for frame in said(end.core)] == [1]
    assert end.core.outgoing.credit == 100 - 21


# -- a server that cheats ------------------------------------------------------------------------


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
    assert core.owning.owns("s", "e")
    core.receive_at(pack(Kind.ROUTE_GONE, gone, route=99) + pack_peer_gone(7), 0.0)
    assert core.answering.take_asked()[-1] == RequestDropped(7, None)
    core.owning.trigger("s", "e", b"1")
    (frame,) = said(core)
    assert frame.route == 2


def test_events_are_counted_by_route_as_they_come() -> None:
    core = welcomed()
    (frame,) = pack_events([(1, b"1"), (2, b"2"), (1, b"3")], lens=True, lines=True, max_frame_bytes=1 << 20)
    core.receive_at(frame, 0.0)
    (news,) = core.take_news()
    assert isinstance(news, EventsArrived)
    assert news.counts == ((1, 2), (2, 1))


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


# -- codecs --------------------------------------------------------------------------------------


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
    core.asking.request("s", "m", b"null", now=0.0, deadline=1000.0, hops=1, done=answer)
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


# -- listeners -----------------------------------------------------------------------------------


def test_what_listeners_have_begun_overtakes_what_waits() -> None:
    core = welcomed()
    core.data_to_send(1 << 20)
    core.grant(3, 8)
    (frame,) = FrameReader(1 << 20).feed(core.data_to_send(1 << 20))
    assert (frame.kind, frame.route) == (Kind.CREDIT, 3)
    assert unpack_credit(frame) == Credit(8, Unit.EVENTS)


def test_a_stream_that_nobody_takes_any_more_is_given_up_with_what_is_sent_next() -> None:
    core = welcomed()
    number, _ = taking(core)
    core.answering.written.append(Abandoned(number))
    core.call(Flush(), 0.0, 5.0, Answer())
    assert {frame.kind for frame in said(core)} == {Kind.CALL, Kind.CANCEL}


# -- another link --------------------------------------------------------------------------------


def early(world: World, *, codec: object = "json") -> End:
    """A client that did not wait for its first link, which has just come up."""
    core = ClientCore(world.limits, as_codecs(codec), offline=Offline("buffer", 1000, 30))
    core.begin_away(world.now)
    end = End(world, core, world.accept("early"))
    assert (core.away, core.up, core.linked) == (True, False, False)
    core.owning.outlet("s", "e", lambda route: None)
    core.owning.keep("s", "e", b"1", world.now)
    world.come_back(end)
    return end


def test_what_was_triggered_before_the_first_link_leaves_when_all_is_registered_on_it() -> None:
    world = World()
    other = world.client()
    other.listen(1, "s")
    end = early(world)
    assert end.core.owning.losses(world.now) == {}
    end.ask(AddSender("s", ["e"]))
    end.core.restored(world.now)
    world.settle()
    assert [value for _, value in other.heard()] == [1]
    assert [type(news) for news in end.news if not isinstance(news, RouteOpened)] == [Restored]
    assert end.core.up


def test_a_first_link_that_is_lost_before_all_was_registered_on_it_is_one_that_was_lost() -> None:
    world = World()
    end = early(world)
    end.listen(1, "s")
    world.lose(end)
    assert isinstance(end.news[-1], LinkLost)
    assert end.core.away
    world.come_back(end)
    end.ask(AddSender("s", ["e"]))
    end.core.restored(world.now)
    world.lose(end)
    world.settle()
    assert [type(news) for news in end.news if isinstance(news, LinkLost | LinkBack | Restored)] == [
        LinkLost,
        LinkBack,
        Restored,
        LinkLost,
    ]


class Own:
    """A codec that the server lacks."""

    name = "own"

    def encode(self, obj: object) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes) -> object:
        raise NotImplementedError


def test_before_the_first_link_the_codec_is_the_clients_own_and_the_server_must_have_it() -> None:
    world = World(codec="json")
    end = early(world, codec=[Own(), "json"])
    assert isinstance(end.core.error, HandshakeRefused)
    assert "prefers the codec 'json' now" in str(end.core.error)


def test_where_there_is_no_hope_no_link_follows() -> None:
    world = World()
    end = returning(world)
    assert not end.core.sent_away
    end.core.hopeless = True
    world.lose(end)
    assert (end.core.sent_away, end.core.away) == (True, False)


def test_a_link_that_is_lost_before_all_was_registered_costs_nothing_more() -> None:
    world = World()
    end, other = returning(world), world.client()
    other.listen(1, "s")
    outlets(end, "e")
    end.core.owning.trigger("s", "e", b"1")
    world.settle()
    world.lose(end)
    end.core.owning.keep("s", "e", b"2", world.now)
    world.come_back(end)
    world.lose(end)
    restore(world, end)
    assert [value for _, value in other.heard()] == [1, 2]
    assert [type(news) for news in end.news if isinstance(news, LinkLost)] == [LinkLost]


def test_a_link_that_is_lost_when_routes_were_known_on_it_is_one_that_was_lost() -> None:
    """What is missed between the two is counted from there."""
    world = World()
    end, other = returning(world), world.client()
    other.add("other", "e")
    world.lose(end)
    world.come_back(end)
    end.core.listen(Listen(1, "other", "e", again=True), "listener", world.now, 30, Answer())
    world.settle()
    world.lose(end)
    assert sum(isinstance(news, LinkLost) for news in end.news) == 2


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


def test_who_comes_back_says_of_which_route_it_has_heard_the_end_last() -> None:
    """Of that session: lanes for the past, and those of requests, do not count; numbers that it never had do."""
    core = ClientCore(Limits(), as_codecs(["json"]), offline=Offline("buffer", 1000, 30))
    gone = encode_control(RouteGone("closed"))
    said: list[int | None] = []
    for numbers in ((), (5, 1, 2), (), (3,)):
        came = PREFACE + pack(Kind.WELCOME, encode_control(WELCOME))
        came += pack(Kind.ROUTE, encode_control(Route("s", "e")), route=1)
        came += pack(Kind.ROUTE, encode_control(Route("s")), route=2)
        came += pack(Kind.ROUTE, encode_control(Route("s", "e", call=7)), route=3)
        core.data_to_send(1 << 20)
        core.receive_at(came + b"".join(pack(Kind.ROUTE_GONE, gone, route=number) for number in numbers), 0.0)
        core.disconnected(ConnectionLost("lost"))
        core.renew(0)
        (hello,) = FrameReader(1 << 24, preface=True).feed(core.data_to_send(1 << 20))
        said.append(decode_control(Hello, hello.body).gone)
    assert said == [None, 1, None, None]


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
        end.core.owning.trigger("s", "e", b"1")


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
    end.core.owning.trigger("s", "e", b"1")
    world.come_back(end)
    assert (answer.times, end.core.resumed, end.core.up) == (1, True, True)
    assert end.connection.events_in == 1
    world.lose(end)
    world.server.sessions.shed()
    world.server.settle()
    world.come_back(end)
    assert (end.core.away, end.core.resumed) == (True, False)


def test_a_lone_event_leaves_as_if_it_had_been_triggered() -> None:
    world = World()
    end, other = world.client(), world.client()
    other.listen(1, "s", "e")
    end.add("s", "e")
    before = end.core.owning.triggered, end.core.frames_out, end.core.bytes_out
    assert end.core.silent
    frame = end.core.send_lone(("s", "e"), b"1")
    assert frame is not None
    after = end.core.owning.triggered, end.core.frames_out, end.core.bytes_out
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, len(frame)]
    end.connection.receive_data(frame)
    world.server.forwarder.seal()
    world.settle()
    assert [value for _, value in other.heard()] == [1]


def test_an_event_that_may_not_leave_at_once_has_to_be_triggered() -> None:
    """Which says why it cannot be, where that is so."""
    world = World()
    end, away, reliable = world.client(), returning(world), world.client(reliable=True)
    end.add("t", "e")
    reliable.add("u", "e")
    assert end.core.send_lone(("t", "other"), b"1") is None
    end.core.call(Flush(), world.now, 30, Answer())
    assert end.core.send_lone(("t", "e"), b"1") is None
    assert not end.core.silent
    world.settle()
    assert end.core.send_lone(("t", "e"), b"1") is not None
    end.core._first += b"PONG"
    assert end.core.send_lone(("t", "e"), b"1") is None
    assert reliable.core.send_lone(("u", "e"), b"1") is None
    assert not reliable.core.silent
    assert away.core.send_lone(("s", "e"), b"1") is not None
    world.lose(away)
    assert away.core.send_lone(("s", "e"), b"1") is None


def test_a_client_takes_them_as_if_they_had_come_with_the_rest() -> None:
    world = World()
    owner, lone, other = world.client(), world.client(), world.client()
    owner.add("s", "e")
    for end in (lone, other):
        end.listen(1)
    say(world, owner)
    owner.core.owning.trigger("s", "e", b"5")
    world.prompt = False
    world.carry_up(owner)
    data = world.given(lone.connection)
    assert data == world.given(other.connection)
    news = lone.core.receive_lone(data, world.now + 1)
    other.core.receive_at(data, world.now + 1)
    assert [news] == other.core.take_news()
    assert isinstance(news, EventsArrived)
    ends = lone.core, other.core
    assert len({(core.now, core.bytes_in, core.frames_in) for core in ends}) == 1


def test_not_behind_news_nor_among_a_past_nor_on_a_link_that_was_given_up() -> None:
    world = World()
    end = world.client()
    assert end.core.receive_lone(lone_event(), world.now) is not None
    end.core._news.append(end.core.take_news)  # type: ignore[arg-type]  # whatever it is
    assert end.core.receive_lone(lone_event(), world.now) is None
    end.core.take_news()
    end.core.down = True
    assert end.core.receive_lone(lone_event(), world.now) is None


def lone_event() -> bytes:
    return pack_batch(7, [b"1", b"2"], lens=False, lines=True)
