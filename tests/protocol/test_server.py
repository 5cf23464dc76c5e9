"""The server's promises: who may do what, who hears what, and in which order. Real clients at the other end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, Cut, End, Raw, World, byte_by_byte, seeded, whole
from protocol.who import credential, make_access, token

from sig.codecs import JSON, as_codecs
from sig.constants import Limits
from sig.errors import (
    ConnectionLost,
    Denied,
    HandshakeRefused,
    InvalidArgument,
    InvalidName,
    MessageTooBig,
    Overloaded,
    SenderAlreadyConnected,
    SenderNotConnected,
    SigError,
)
from sig.messages import (
    RETURNS,
    AddSender,
    Bye,
    Close,
    Error,
    Hello,
    Interest,
    Listen,
    OpenRequests,
    Presence,
    RemoveSender,
    Result,
    Schema,
    Senders,
    Stats,
    Welcome,
    decode_control,
    decode_error,
    encode_control,
)
from sig.messages import Route as RouteMessage
from sig.protocol.bodies import (
    Cancel,
    Credit,
    Lost,
    Reply,
    Request,
    Unit,
    pack_cancel,
    pack_credit,
    pack_reply,
    pack_request,
    unpack_lost,
    unpack_reply,
    unpack_request,
)
from sig.protocol.client import ClientCore, EventsArrived, ListenerReady, RequestDropped, RouteClosed, RouteOpened
from sig.protocol.connection import Connection
from sig.protocol.events import pack_batch, pack_events, unpack_events
from sig.protocol.frames import PREFACE, REPLY_MORE, REQUEST_PARTS, FrameReader, Kind, pack
from sig.protocol.login import Bearer, TokenProver
from sig.protocol.parts import PartsIn
from sig.protocol.past import Told
from sig.security.identity import Identity
from sig.security.policy import Policy, Rule, allow, deny

CUTS = [whole, byte_by_byte, seeded(1), seeded(2)]


@pytest.fixture(params=CUTS, ids=["whole", "byte by byte", "seed 1", "seed 2"])
def world(request: pytest.FixtureRequest) -> World:
    return World(cut=request.param)


def send(world: World, connection: Connection, *frames: bytes) -> None:
    for part in world.cut(b"".join(frames)):
        world.server.receive_data(connection, part, world.now)


def last_words(connection: Connection) -> str:
    """The message of the ERROR or BYE that the server sends."""
    frames = FrameReader(1 << 24).feed(connection.data_to_send(1 << 20).removeprefix(PREFACE))
    frame = frames[-1]
    kind: Any = Error if frame.kind == Kind.ERROR else Bye
    message: str = decode_control(kind, frame.body).message
    return message


def govern(world: World, *rules: Rule) -> None:
    """Let these rules hold from here on, and no others."""
    world.server.govern(Policy(rules), None, world.now)
    world.settle()


def presence(end: Any) -> list[tuple[str, str]]:
    return [(news.sender, news.event) for news in end.news if isinstance(news, Presence)]


# -- handshake -----------------------------------------------------------------------------------


def test_a_client_is_welcomed_with_what_holds(world: World) -> None:
    end = world.client(limits=Limits.of(max_frame_bytes=5000))
    welcome = end.core.welcome
    assert welcome is not None
    assert (welcome.version, welcome.codecs, welcome.node, welcome.epoch) == (1, ["json", "msgpack"], "test", 7)
    assert (welcome.client, welcome.max_frame_bytes) == (end.connection.number, world.limits.max_frame_bytes)
    assert len(welcome.session) == 32
    assert (end.connection.name, end.connection.max_frame_bytes) == ("client 0", 5000)
    assert end.core.max_frame_bytes == 5000


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (Hello([2, 3], ["json"]), "speaks version 2 or 3 of the protocol, this server 1: update the server"),
        (Hello([0], ["json"]), "update the client"),
        (Hello([0, 2], ["json"]), "update the client"),
        (Hello([], ["json"]), "speaks version nothing of the protocol, this server 1: update the client"),
        (Hello([7] * 1000, ["json"]), "7 or 7 or 7 or 7 or 7 or others"),
        (Hello([1], ["custom"]), "with 'custom', this server with 'json' or 'msgpack': give both ends the same codec"),
        (Hello([1], []), "encodes with nothing"),
        (Hello([1], ["\x1b[2J" * 2000] * 3), "give both ends the same codec"),
    ],
)
@pytest.mark.parametrize("cut", CUTS[:3])
def test_a_handshake_that_cannot_be_is_refused_with_what_to_do(hello: Hello, told: str, cut: Cut) -> None:
    world = World(cut=cut, max_frame_before_login_bytes=100_000)
    raw = Raw(world, hello=hello)
    # What comes behind it does not matter any more.
    raw.send(pack(Kind.CALL, encode_control(Listen(1))), b"and garbage")
    assert raw.connection.closed
    assert isinstance(raw.connection.error, HandshakeRefused)
    assert (world.server.refused, world.server.next_deadline()) == (1, None)
    client = ClientCore(Limits(), as_codecs("json"))
    for part in cut(raw.connection.data_to_send(1 << 20)):
        client.receive_at(part, world.now)
    assert isinstance(client.error, HandshakeRefused)
    for error in (client.error, raw.connection.error):
        assert told in str(error)
        assert str(error).isprintable()
        assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "speaks HTTP"),
        (b"PSIG\x02\0\0\0", "version 2.0"),
        (PREFACE + pack(Kind.PING, b"12345678"), "PING before the handshake is complete"),
        (PREFACE + pack(Kind.CALL, b"{}"), "CALL before the handshake is complete"),
        (PREFACE + pack(Kind.HELLO, b"{}"), "malformed Hello"),
        (PREFACE + pack(0x7F), "unknown kind"),
    ],
)
def test_what_is_no_handshake_is_refused_at_once(data: bytes, told: str) -> None:
    world = World()
    raw = Raw(world)
    raw.send(data)
    assert told in raw.last_words()
    assert (world.server.refused, world.server.next_deadline()) == (1, None)


def test_a_name_for_people_is_a_line_and_no_book() -> None:
    raw = Raw(World(), hello=Hello([1], ["json"], name="\n" + "x" * 5000))
    assert raw.connection.name == " " + "x" * 254


def test_a_client_without_a_limit_of_its_own_gets_the_servers() -> None:
    world = World()
    connection = world.accept()
    send(world, connection, PREFACE, pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
    assert (connection.opened, connection.max_frame_bytes) == (True, world.limits.max_frame_bytes)


def test_the_refusal_reaches_the_application() -> None:
    class Shout:
        name = "shout"

        def encode(self, obj: object) -> bytes:
            return b""

        def decode(self, data: bytes) -> object:
            return None

    end = World().client(codec=Shout())
    assert isinstance(end.core.error, HandshakeRefused)
    assert "'shout'" in str(end.core.error)


def test_before_login_a_frame_is_small() -> None:
    world = World(max_frame_before_login_bytes=100)
    connection = world.accept()
    send(world, connection, PREFACE, pack(Kind.HELLO, b" " * 101))
    assert "over the limit of 100" in last_words(connection)


def test_a_handshake_has_a_deadline() -> None:
    world = World(handshake_timeout_s=10)
    connection = world.accept()
    world.now += 5
    late = world.accept()
    assert world.server.next_deadline() == 1010
    world.server.handle_timeout(1009)
    assert not connection.closed
    world.server.handle_timeout(1010)
    assert (connection.closed, late.closed) == (True, False)
    world.server.handle_timeout(1015)
    assert (late.closed, world.server.next_deadline()) == (True, None)
    assert "send HELLO first" in last_words(connection)


def test_of_too_many_handshakes_the_oldest_goes() -> None:
    world = World(max_pending_handshakes=2)
    connections = [world.accept() for _ in range(3)]
    assert [connection.closed for connection in connections] == [True, False, False]


def test_of_too_many_handshakes_the_oldest_is_told() -> None:
    world = World(max_pending_handshakes=1)
    oldest, newest = Raw(world), Raw(world)
    assert "1 handshakes are under way (max_pending_handshakes): come back later" in oldest.last_words()
    newest.send(PREFACE, pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
    assert (newest.connection.opened, world.server.refused) == (True, 1)


def test_too_many_connections_are_told_to_come_back() -> None:
    world = World(max_connections=1)
    first = world.client()
    end = world.client()
    assert isinstance(end.core.error, HandshakeRefused)
    assert end.core.farewell == Bye(
        "overloaded", "this server has its 1 connections (max_connections): come back later", 1.0
    )
    assert (list(world.server.connections.values()), world.server.refused) == ([first.connection], 1)


def test_those_turned_away_do_not_take_the_place_of_others() -> None:
    world = World(max_connections=1)
    first = world.client()
    turned_away = Raw(world)
    world.lose(first)
    assert world.client().core.opened
    turned_away.hang_up()
    assert len(world.server.connections) == 1


def test_a_server_that_closes_lets_nobody_in() -> None:
    world = World()
    world.server.close()
    assert "closing" in str(world.client().core.error)
    assert world.server.connections == {}


def test_disconnecting_twice_is_once() -> None:
    world = World()
    end = world.client()
    world.server.disconnected(end.connection, world.now)
    world.server.disconnected(end.connection, world.now)
    assert world.server.connections == {}


def test_closing_tells_everybody() -> None:
    world = World(max_accepts_per_s=4)
    ends = [world.client(), world.client()]
    world.server.close()
    world.settle()
    # Not both at once: they come back no faster than they are let in.
    assert [end.core.farewell for end in ends] == [
        Bye("shutdown", "the server is closing", 1.0),
        Bye("shutdown", "the server is closing", 1.25),
    ]


def test_one_may_be_spared_and_hears_why_the_others_go() -> None:
    world = World()
    own, other = world.client(), world.client()
    other.add("thermostat", "changed")
    own.listen(1, None, "#disconnect")
    world.server.close(spare=own.connection)
    world.settle()
    world.server.disconnected(other.connection, world.now)
    world.settle()
    assert own.core.farewell is None
    assert other.core.farewell is not None
    [told] = [news.data for news in own.news if isinstance(news, Presence)]
    assert told == {"events": ["changed"], "requests": None, "reason": "shutdown"}


def test_who_is_sent_off_hears_first_who_else_leaves() -> None:
    world = World()
    ends = [world.client(), world.client()]
    for number, end in enumerate(ends):
        end.add(f"s{number}", "e", requests=["m"])
        end.listen(1, None, "#disconnect")
    world.server.close()
    world.settle()
    for end in ends:
        told = [(news.sender, news.data["reason"]) for news in end.news if isinstance(news, Presence)]
        assert told == [("s0", "shutdown"), ("s1", "shutdown")]
        assert end.core.farewell is not None
    # Nobody is told that its own routes have gone: it may come back with its senders.
    assert [end.core.owns(f"s{number}", "e") for number, end in enumerate(ends)] == [True, True]


def test_a_server_that_drains_finishes_what_is_under_way(world: World) -> None:
    owner, asker = world.client(), world.client()
    owner.add("s", requests=["m"])
    first, _ = asker.request("s", "m")
    world.settle()
    assert world.server.asked == 1
    world.server.drain()
    assert "closing" in str(world.client().core.error)
    refused, _ = asker.request("s", "m")
    within, _ = asker.request("s", "m", hops=2)  # a handler's, which needs it for its own answer
    world.settle()
    assert isinstance(refused.error, Overloaded)
    assert "ask again when it is back" in str(refused.error)
    assert (first.times, within.times, world.server.asked) == (0, 0, 2)
    for asked in owner.asked():
        owner.core.reply(asked, b"7", None)
    world.settle()
    assert (first.ok, within.ok, world.server.asked) == (b"7", b"7", 0)


def test_what_was_refused_and_who_was_cut_is_counted() -> None:
    world = World(max_names=1)
    end = world.client()
    end.add("a", "e")
    with pytest.raises(Overloaded):
        end.add("b", "e")
    world.server.disconnected(Raw(world).connection, world.now)
    raw = world.raw()
    raw.send(b"\xff" * 32)
    server = world.server
    assert (server.overloaded, server.cut, server.refused) == (1, 1, 0)


def test_where_the_system_has_no_room_whoever_comes_is_told(world: World) -> None:
    connection = world.server.accept(world.now, "tcp://10.0.0.1:1", room=False)
    assert connection.closed
    assert "no descriptors left" in last_words(connection)
    assert (world.server.connections, world.server.refused) == ({}, 1)


def test_more_than_it_takes_in_a_second_are_told_to_come_back() -> None:
    world = World(max_accepts_per_s=1, retry_after_s=2.5)
    assert world.client().core.opened
    late = world.client().core
    assert late.farewell is not None
    assert (late.farewell.code, late.farewell.retry_after_s) == ("overloaded", 2.5)


# -- names ---------------------------------------------------------------------------------------


def test_a_name_is_held_once_and_the_second_is_told(world: World) -> None:
    a, b = world.client(), world.client()
    assert a.add("thermostat", "changed")
    with pytest.raises(SenderAlreadyConnected):
        b.add("thermostat", "changed")
    assert a.remove("thermostat") is True
    assert b.add("thermostat", "changed")


def test_only_its_owner_removes_a_sender() -> None:
    world = World()
    a, b = world.client(), world.client()
    a.add("thermostat", "changed")
    with pytest.raises(Denied, match="only its owner"):
        b.remove("thermostat")
    assert b.remove("nobody") is False


@pytest.mark.parametrize("call", [AddSender("#x", ["e"]), AddSender("x", ["#connect"]), AddSender("x", [], ["a*"])])
def test_names_are_checked_at_the_server_too(call: AddSender) -> None:
    end = World().client()
    with pytest.raises(InvalidName):
        end.ask(call)
    assert not end.core.closed


def test_a_client_holds_so_many_names() -> None:
    end = World(max_names=1).client()
    end.add("a", "e")
    with pytest.raises(Overloaded, match="1 senders"):
        end.add("b", "e")


def test_what_a_client_declares_is_bounded() -> None:
    end = World(max_events=4).client()
    end.add("a", "e", "f", requests=["m"])
    with pytest.raises(Overloaded, match="5 events and requests, and the limit is 4"):
        end.add("b", "e", requests=[None])
    end.add("b", "e")
    end.remove("a")
    end.add("a", "e", "f", "e", "f", requests=["m", "m"])


def test_names_that_nobody_could_be_told_are_refused() -> None:
    end = World(max_control_frame_bytes=2000).client()
    with pytest.raises(MessageTooBig, match="declare fewer"):
        end.add("s", *["x" * 200 + str(number) for number in range(5)])
    assert not end.core.closed


def test_a_sender_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="neither events nor requests"):
        World().client().add("s", requests=[])


def test_the_owner_is_told_its_routes_before_the_answer() -> None:
    end = World().client()
    end.add("s", "e", "f", "e", requests=["m", None])
    opened = [(news.route.event, news.route.owner) for news in end.news if isinstance(news, RouteOpened)]
    assert opened == [("e", True), ("f", True)]
    assert end.core.owns("s", "e")
    assert end.core.owns("s", None)


# -- types ---------------------------------------------------------------------------------------

NUMBER: dict[str, object] = {"type": "number"}
SCHEMA: dict[str, object] = {"events": {"changed": NUMBER}, "requests": {"set": {"params": NUMBER}}}


def typed(pad: int = 0) -> AddSender:
    """A sender with types; their schemas have so many bytes more."""
    events = {"changed": msgspec.Raw(encode_control({**NUMBER, **({"title": "x" * pad} if pad else {})}))}
    requests = {"set": msgspec.Raw(encode_control({"params": NUMBER}))}
    return AddSender("thermo", ["changed", "untyped"], ["set"], Schema(events, requests))


def told_schemas(end: End) -> list[tuple[str | None, object]]:
    opened = [news.route for news in end.news if isinstance(news, RouteOpened)]
    return [(route.event, msgspec.json.decode(route.schema) if bytes(route.schema) else None) for route in opened]


def test_schemas_are_told_to_who_asks_who_is_there_and_in_presence(world: World) -> None:
    owner, other = world.client(), world.client()
    other.listen(1, None, "#connect")
    other.listen(2, None, "#disconnect")
    owner.ask(typed())
    assert [row.get("schema") for row in other.ask(Senders())] == [SCHEMA]  # type: ignore[attr-defined]  # a list of dicts
    world.lose(owner)
    presence = {"events": ["changed", "untyped"], "requests": ["set"], "schema": SCHEMA}
    told = [news.data for news in other.news if isinstance(news, Presence)]
    assert told == [presence, {**presence, "reason": "lost"}]


def test_who_listens_to_what_has_a_type_knows_it_before_the_answer(world: World) -> None:
    owner, other = world.client(), world.client()
    owner.ask(typed())
    other.listen(1, "thermo")
    kinds = [type(news) for news in other.news]
    assert told_schemas(other) == [("changed", NUMBER), ("untyped", None)]
    assert kinds == [RouteOpened, RouteOpened, ListenerReady]
    owner.listen(1, "thermo")
    assert told_schemas(owner) == [("changed", None), ("untyped", None)]


def test_who_asks_is_told_the_types_of_requests(world: World) -> None:
    owner, other = world.client(), world.client()
    owner.ask(typed())
    other.ask(OpenRequests("thermo"))
    other.request("thermo", "set")
    world.settle()
    route = next(route for route in other.core._routes.values() if route.event is None)
    assert msgspec.json.decode(route.schema) == {"set": {"params": NUMBER}}
    assert other.core.requests_schema("thermo") == bytes(route.schema)


def test_who_may_not_listen_is_not_told() -> None:
    world = World()
    owner, other = world.client(), world.client()
    owner.ask(typed())
    world.server.allowed = lambda identity, action, sender, name: action != "listen"  # type: ignore[method-assign]
    other.listen(1, "thermo")
    assert told_schemas(other) == []


def test_a_schema_that_does_not_fit_is_left_out() -> None:
    """It must cost nobody the link, nor what matters more."""
    world = World()
    owner, small, large = world.client(), world.client(limits=Limits.of(max_frame_bytes=1000)), world.client()
    for end in (small, large):
        end.listen(1, "thermo")
        end.listen(2, None, "#connect")
    owner.ask(typed(2000))
    owner.core.trigger("thermo", "changed", b"1")
    world.settle()
    assert told_schemas(small) == [("changed", None)]
    assert told_schemas(large) == [("changed", {**NUMBER, "title": "x" * 2000})]
    [presence] = [news.data for news in small.news if isinstance(news, Presence)]
    assert presence == {"events": ["changed", "untyped"], "requests": ["set"]}


def test_schemas_count_as_what_a_client_declares() -> None:
    world = World(max_events=10)
    end = world.client()
    with pytest.raises(Overloaded, match="1[0-9] events and requests, and the limit is 10"):
        end.ask(typed(2000))
    assert end.ask(typed())
    with pytest.raises(MessageTooBig, match="names and types of what sender 'thermo' has take"):
        World(max_control_frame_bytes=3000).client().ask(typed(2000))


def test_senders_are_listed_in_order_of_arrival() -> None:
    world = World()
    a, b = world.client(), world.client()
    a.add("x/1", "e", requests=["m", None])
    b.add("y", "e")
    rows = a.ask(Senders(None))
    assert isinstance(rows, list)
    assert [row["name"] for row in rows] == ["x/1", "y"]
    assert rows[0]["requests"] == ["m", None]
    assert rows[0]["since"] == pytest.approx(1_700_001_000.0)
    assert rows[1]["address"] == "client 1"
    rows = b.ask(Senders("x/*"))
    assert isinstance(rows, list)
    assert len(rows) == 1
    with pytest.raises(InvalidName):
        a.ask(Senders("x**"))


# -- listening -----------------------------------------------------------------------------------


def trigger(end: Any, sender: str, event: str, value: bytes) -> None:
    end.core.trigger(sender, event, value)


def test_events_reach_all_who_listen_in_order(world: World) -> None:
    owner, a, b, deaf = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", None)
    deaf.listen(1, "other", None)
    for number in range(5):
        trigger(owner, "s", "e", str(number).encode())
        trigger(owner, "s", "f", str(number + 10).encode())
    world.settle()
    assert [value for _, value in a.heard()] == [0, 1, 2, 3, 4]
    assert [value for _, value in b.heard()] == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14]
    assert deaf.heard() == []
    assert owner.heard() == []


def test_a_mixed_batch_is_split_among_different_receivers() -> None:
    world = World()
    owner, a, b, both = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", "f")
    both.listen(1, "**", None)
    for number in range(4):
        trigger(owner, "s", "ef"[number % 2], str(number).encode())
    world.settle()
    assert [value for _, value in a.heard()] == [0, 2]
    assert [value for _, value in b.heard()] == [1, 3]
    assert [value for _, value in both.heard()] == [0, 1, 2, 3]


def test_receivers_of_the_same_part_share_it() -> None:
    world = World()
    owner, a, b, c = (world.client() for _ in range(4))
    owner.add("s", "e", "f")
    a.listen(1, "s", "e")
    b.listen(1, "s", "e")
    c.listen(1, "s", "f")
    for _ in range(2):
        trigger(owner, "s", "e", b"1")
        trigger(owner, "s", "f", b"2")
        world.settle()
    assert [[value for _, value in end.heard()] for end in (a, b, c)] == [[1, 1], [1, 1], [2, 2]]


def test_one_copy_however_many_listeners_of_a_client_match() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1, "s", "e")
    a.listen(2, "s", None)
    a.listen(3, None, None)
    trigger(owner, "s", "e", b"1")
    world.settle()
    assert len(a.heard()) == 1


def test_a_route_is_told_before_its_first_event_and_once() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    trigger(owner, "s", "e", b"0")
    world.settle()
    a.listen(1, "s", "e")
    trigger(owner, "s", "e", b"1")
    world.settle()
    a.listen(2, "s", None)
    trigger(owner, "s", "e", b"2")
    world.settle()
    routes = [news for news in a.news if isinstance(news, RouteOpened)]
    assert len(routes) == 1
    assert (routes[0].route.next_seq, routes[0].route.owner) == (2, False)
    assert [number for number, _ in a.heard()] == [routes[0].number] * 2
    kinds = [type(news) for news in a.news]
    assert kinds.index(ListenerReady) < kinds.index(RouteOpened)


def test_an_owner_is_told_once_that_there_is_a_group() -> None:
    world = World()
    end, one, two = world.client(), world.client(), world.client()
    end.add("s", "e")
    states: list[str] = []
    end.core.outlet("s", "e", lambda route: None)
    for member in (one, two):
        before = end.core.frames_in
        member.ask(Listen(1, "s", "e", group="g"))
        states.append(f"{end.core.frames_in - before} told")
    assert states == ["1 told", "0 told"]


def test_a_closed_listener_hears_no_more() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1, "s", "e")
    assert a.close_listener(1) is True
    assert a.close_listener(1) is False
    trigger(owner, "s", "e", b"1")
    world.settle()
    assert a.heard() == []


def test_selectors_and_numbers_are_checked() -> None:
    world = World(max_subscriptions=2, max_subscriptions_total=3)
    a, b = world.client(), world.client()
    with pytest.raises(InvalidName):
        a.listen(1, "x**")
    a.listen(1)
    a.listen(2)
    with pytest.raises(Overloaded, match="use a pattern"):
        a.listen(3)
    b.listen(1)
    with pytest.raises(Overloaded, match="this server"):
        b.listen(2)
    send(world, a.connection, pack(Kind.CALL, encode_control(Listen(1)), route=9))
    assert "exists already" in str(a.connection.error)


def test_events_carry_the_servers_time() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1)
    world.now = 2000.5
    trigger(owner, "s", "e", b"1")
    world.settle()
    (arrived,) = [news for news in a.news if isinstance(news, EventsArrived)]
    assert unpack_events(arrived.frame).time_us == 1_700_002_000_500_000


def test_what_is_too_big_for_a_receiver_is_told_as_lost_and_the_rest_is_parted() -> None:
    world = World()
    owner, small, large = world.client(), world.client(limits=Limits.of(max_frame_bytes=1000)), world.client()
    owner.add("s", "e", "f")
    small.listen(1)
    large.listen(1)
    trigger(owner, "s", "e", b"1")
    trigger(owner, "s", "f", b'"' + b"x" * 2000 + b'"')
    for number in range(1000):
        trigger(owner, "s", "e", str(number).encode())
    world.settle()
    assert [(news.missed, news.reason) for news in small.news if isinstance(news, Lost)] == [(1, "too_big")]
    heard = large.heard()
    assert small.heard() == [heard[0], *heard[2:]]
    assert len(heard) == 1002


def test_flush_answers_behind_what_was_triggered_before() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1)
    trigger(owner, "s", "e", b"1")
    owner.flush()
    assert len(a.heard()) == 1


# -- presence ------------------------------------------------------------------------------------


def test_presence_comes_before_the_first_event_and_after_the_last(world: World) -> None:
    owner, a = world.client(), world.client()
    a.listen(1, "s", None)
    owner.add("s", "e")
    trigger(owner, "s", "e", b"1")
    owner.remove("s")
    kinds = [type(news).__name__ for news in a.news]
    assert kinds == ["ListenerReady", "Presence", "RouteOpened", "EventsArrived", "Presence", "RouteClosed"]
    assert presence(a) == [("s", "#connect"), ("s", "#disconnect")]
    gone = [news for news in a.news if isinstance(news, Presence)][1]
    assert gone.data == {"events": ["e"], "requests": None, "reason": "closed"}


@pytest.mark.parametrize(("polite", "reason"), [(True, "closed"), (False, "lost")])
def test_a_client_that_goes_takes_its_senders_along(polite: bool, reason: str) -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1, None, "#disconnect")
    if polite:
        owner.core.leave()
        world.settle()
    else:
        world.lose(owner)
    (news,) = [news for news in a.news if isinstance(news, Presence)]
    assert news.data["reason"] == reason
    assert a.ask(Senders(None)) == []


def test_of_two_that_go_at_once_each_is_told_to_who_is_left() -> None:
    world = World()
    a, b, c = (world.client() for _ in range(3))
    for name, end in (("a", a), ("b", b)):
        end.add(name, "e")
        end.listen(1, None, "#disconnect")
    c.listen(1, None, "#disconnect")
    a.core.leave()
    b.core.leave()
    world.settle()
    assert presence(c) == [("a", "#disconnect"), ("b", "#disconnect")]


def test_who_is_closing_is_told_nothing_more() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1)
    trigger(owner, "s", "e", b"1")
    world.settle()
    a.core.leave()
    world.carry_up(a)
    assert a.connection.closed
    waiting = len(a.connection.outbox)
    owner.call(RemoveSender("s"))
    world.carry_up(owner)
    assert len(a.connection.outbox) == waiting


def test_nothing_is_left_when_everybody_has_gone() -> None:
    world = World()
    ends = [world.client() for _ in range(4)]
    for number, end in enumerate(ends):
        end.add(f"s{number}", "e", requests=["m"])
        end.listen(1, "**", None)
        end.listen(2, None, "e")
    for number, end in enumerate(ends):
        trigger(end, f"s{number}", "e", b"1")
        end.request(f"s{(number + 1) % 4}", "m")
    world.settle()
    for end in ends:
        world.lose(end)
    server = world.server
    assert (server.connections, server._senders, server._routes, server._index.count) == ({}, {}, {}, 0)
    for end in ends:
        assert (end.connection.known, end.connection.called, end.connection.asked_by) == ({}, {}, {})


def test_a_listener_that_stays_forgets_routes_that_go() -> None:
    world = World()
    owner, a = world.client(), world.client()
    a.listen(1)
    for _ in range(5):
        owner.add("s", "e", requests=["m"])
        trigger(owner, "s", "e", b"1")
        world.settle()
        a.ask(OpenRequests("s"))
        owner.remove("s")
    assert (a.connection.known, a.core._routes, owner.core._routes) == ({}, {}, {})


@pytest.mark.parametrize("polite", [True, False])
def test_a_name_is_free_as_soon_as_its_holder_has_said_its_last(polite: bool) -> None:
    """Not only when the link is down: whoever comes back at once must not meet itself."""
    world = World()
    old, new = world.raw(), world.client()
    new.listen(1, "s", None)
    old.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    old.send(pack(Kind.BYE, encode_control(Bye("closed"))) if polite else b"garbage that is no frame")
    assert new.add("s", "e")
    assert presence(new) == [("s", "#connect"), ("s", "#disconnect"), ("s", "#connect")]
    [gone] = [news for news in new.news if isinstance(news, Presence) and "reason" in news.data]
    assert gone.data["reason"] == ("closed" if polite else "lost")
    old.hang_up()
    assert new.core.owns("s", "e")


def test_those_who_are_cut_off_while_presence_is_told_go_as_well() -> None:
    """One's leaving fills the outboxes of others, whose leaving fills those of others."""
    world = World(link_control_bytes=2000, max_frame_bytes=5000)
    deaf = [world.raw() for _ in range(3)]
    for number, raw in enumerate(deaf):
        raw.send(pack(Kind.CALL, encode_control(AddSender(f"s{number}", ["x" * 200])), route=1))
        raw.send(pack(Kind.CALL, encode_control(Listen(1, None, "#disconnect")), route=2))
        raw.read()
        while raw.connection.outbox.other_bytes < 1800 - 400 * number:
            raw.connection.put(pack(Kind.LOST, b"x" * 88))
    healthy = world.client()
    healthy.listen(1, None, "#disconnect")
    owner = world.client()
    owner.add("s", "y" * 255)
    world.lose(owner)
    assert [raw.connection.closed for raw in deaf] == [True, True, True]
    assert presence(healthy) == [(name, "#disconnect") for name in ("s", "s0", "s1", "s2")]
    assert world.server._senders == {}
    for raw in deaf:
        assert raw.connection in world.server.dirty, "the driver has a link to close"
        raw.hang_up()
    assert list(world.server.connections.values()) == list(world.server.dirty) == [healthy.connection]


def test_the_names_that_one_client_chose_do_not_cost_another_its_link() -> None:
    world = World()
    owner, small = world.client(), world.client(limits=Limits.of(max_frame_bytes=2000))
    small.listen(1, None, "#connect")
    small.listen(2, None, "#disconnect")
    owner.add("s", *[f"event {number}" for number in range(500)])
    owner.remove("s")
    connected, disconnected = [news for news in small.news if isinstance(news, Presence)]
    assert connected.data == {"events": [], "requests": None}
    assert disconnected.data == {"events": [], "requests": None, "reason": "closed"}


# -- numbers -------------------------------------------------------------------------------------


def counted(end: Any) -> list[tuple[int, object]]:
    """The events with their numbers, counted from what ROUTE says, as any client must."""
    found: list[tuple[int, object]] = []
    count: dict[int, int] = {}
    for news in end.news:
        if isinstance(news, RouteOpened):
            count[news.number] = news.route.next_seq
        elif isinstance(news, Lost):
            count[news.route] += news.missed or 0
        elif isinstance(news, EventsArrived):
            batch = unpack_events(news.frame)
            values = JSON.decode_many(batch.payloads, batch.lens, news.frame.count)
            for number, value in zip(batch.routes or [news.frame.route] * news.frame.count, values, strict=True):
                found.append((count[number], value))
                count[number] += 1
    return found


def test_events_have_the_same_number_for_everybody_who_hears_them(world: World) -> None:
    owner, always, sometimes = (world.client() for _ in range(3))
    owner.add("s", "e", "f")
    always.listen(1, "s", "e")
    place = 0
    for round_ in range(6):
        # Who listens now and then, the owner among them, has missed what came meanwhile.
        for end in (sometimes, owner):
            if round_ % 2:
                end.listen(1, "s", None)
                end.listen(2, "s", "e")
                end.close_listener(2)
        for _ in range(3):
            place += 1
            trigger(owner, "s", "e", str(place).encode())
            trigger(owner, "s", "f", b"0")
        world.settle()
        for end in (sometimes, owner):
            end.close_listener(1)
    numbers = [(number, number) for number in range(1, 19)]
    assert counted(always) == numbers
    for end in (sometimes, owner):
        events = [(number, value) for number, value in counted(end) if value]
        assert events == [pair for pair in numbers if (pair[0] - 1) // 3 % 2]
        # Told again only where something was missed.
        assert len([news for news in end.news if isinstance(news, RouteOpened) and news.route.event == "e"]) <= 4


def test_who_listens_on_without_having_missed_anything_is_not_told_again() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    for number in range(3):
        a.listen(1, "s", "e")
        trigger(owner, "s", "e", str(number + 1).encode())
        world.settle()
        a.close_listener(1)
    assert counted(a) == [(1, 1), (2, 2), (3, 3)]
    assert len([news for news in a.news if isinstance(news, RouteOpened)]) == 1


def test_numbers_go_round_without_meeting_one_that_is_in_use() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    a.listen(1)
    server = world.server
    used = [*server.connections, *server._routes]
    assert len(set(used)) == len(used) == 4
    server._last_number = 0xFFFF_FFFD
    owner.add("t", "e", "f", "g")
    made = [route.id for route in server._routes.values() if route.sender == "t"]
    assert made == [0xFFFF_FFFE, 0xFFFF_FFFF, 5, 6]
    assert world.client().connection.number == 7
    trigger(owner, "s", "e", b"1")
    trigger(owner, "t", "f", b"2")
    world.settle()
    assert [value for _, value in a.heard()] == [1, 2]


# -- requests ------------------------------------------------------------------------------------


def test_a_request_reaches_the_owner_and_its_answer_comes_back(world: World) -> None:
    owner, a = world.client(), world.client()
    owner.add("s", requests=["read"])
    answer, _ = a.request("s", "read", b'{"x":1}', timeout=5, hops=3)
    world.settle()
    (asked,) = owner.asked()
    assert (asked.sender, asked.request.method, asked.request.payload, asked.request.hops) == (
        "s",
        "read",
        b'{"x":1}',
        3,
    )
    assert asked.request.peer == a.connection.number
    assert asked.deadline == pytest.approx(world.now + 5)
    owner.core.reply(asked, b"21.5", None)
    world.settle()
    assert answer.ok == b"21.5"
    # The second time the route is known.
    again, _ = a.request("s", "read")
    world.settle()
    owner.core.reply(owner.asked()[1], None, SenderNotConnected("t"))
    world.settle()
    with pytest.raises(SenderNotConnected, match="'t'"):
        _ = again.ok


def test_a_sender_that_is_not_there_is_told_at_once() -> None:
    world = World()
    end = world.client()
    answer, _ = end.request("nobody", "m")
    world.settle()
    with pytest.raises(SenderNotConnected, match="'nobody'"):
        _ = answer.ok


def test_a_sender_that_leaves_fails_what_it_was_asked() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    world.lose(owner)
    with pytest.raises(ConnectionLost, match="unknown"):
        _ = answer.ok


def test_a_request_for_a_route_that_has_gone_is_answered() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    event = next(news.number for news in owner.news if isinstance(news, RouteOpened))
    for route in (event, 999):
        send(world, a.connection, pack_request(Request(0, 5, 1000, 1, "m", b""), route=route))
    reader = FrameReader(1 << 20)
    replies = reader.feed(a.connection.data_to_send(1 << 20))
    assert [(frame.kind, frame.flags) for frame in replies] == [(Kind.REPLY, 1)] * 2


def test_a_requester_that_goes_is_told_to_the_owner() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    a.request("s", "m")
    world.settle()
    world.lose(a)
    dropped = [news for news in owner.news if isinstance(news, RequestDropped)]
    assert dropped == [RequestDropped(a.connection.number, None)]
    owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert not owner.core.closed


def test_giving_up_reaches_the_owner_and_a_late_answer_is_dropped() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    answer, give_up = a.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    corr = owner.asked()[0].request.corr
    assert RequestDropped(a.connection.number, corr) in owner.news
    owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert (answer.times, a.core.calls.late) == (0, 0)  # it got no further than the server


def test_who_waits_for_more_answers_than_any_honest_client_is_refused() -> None:
    world = World(requests_out=1)
    owner, stranger = world.client(), world.raw()
    owner.add("s", requests=["m"])
    number = next(iter(owner.connection.held.values())).requests_route.id
    for corr in range(17):
        stranger.send(pack_request(Request(0, corr, 1000, 1, "m", b"null"), route=number))
    world.settle()
    (reply,) = stranger.read()
    assert "16 requests of this client wait for their answers" in str(decode_error(unpack_reply(reply).payload))
    assert len(owner.asked()) == 16


def test_an_answer_after_the_requester_has_gone_finds_nobody() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    a.request("s", "m")
    world.settle()
    world.lose(a)
    newcomer = world.client()
    owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert not owner.core.closed
    assert (newcomer.connection.known, owner.connection.asked_by) == ({}, {})


def test_an_owner_answers_as_often_as_it_was_asked() -> None:
    world = World()
    owner, a = world.raw(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    [first, second] = [a.request("s", "m")[0] for _ in range(2)]
    world.settle()
    asked = [(frame.route, unpack_request(frame)) for frame in owner.read() if frame.kind == Kind.REQUEST]
    [(route, one), (_, two)] = asked
    part = pack_reply(Reply(one.peer, 12345, b"0"), route=route, flags=REPLY_MORE)
    answers = [pack_reply(Reply(one.peer, request.corr, b"0"), route=route) for request in (one, two)]
    owner.send(part * 1000)
    world.settle()
    assert a.core.calls.late == 0, "parts that nobody has asked for go nowhere"
    owner.send(*answers)
    owner.send(*answers * 1000)
    world.settle()
    assert (first.ok, second.ok) == (b"0", b"0")
    assert a.core.calls.late == 0, "the rest went nowhere"
    assert (a.connection.called, owner.connection.asked_by) == ({}, {})
    # And whoever has been answered has nothing to cancel.
    world.lose(a)
    assert owner.read() == []


def test_an_owner_that_does_not_read_keeps_its_link_and_who_asks_is_told() -> None:
    world = World(link_drop_bytes=10_000, link_control_bytes=10_000)
    owner, a, b = world.raw(), world.client(), world.client()
    owner.send(pack(Kind.CALL, encode_control(AddSender("s", [], ["m"])), route=1))
    owner.read()
    flood = [a.request("s", "m", b"x" * 1000) for _ in range(30)]
    world.settle()
    told = [answer.error for answer, _ in flood if answer.times]
    assert 15 < len(told) < 25
    assert {type(error) for error in told} == {Overloaded}
    for _, give_up in flood:
        give_up()
    world.settle()
    assert not owner.connection.closed
    frames = owner.read()
    assert {frame.kind for frame in frames} <= {Kind.REQUEST, Kind.CANCEL}
    answer, _ = b.request("s", "m")
    world.settle()
    request = unpack_request(owner.read()[0])
    owner.send(pack_reply(Reply(request.peer, request.corr, b"1"), route=frames[0].route))
    world.settle()
    assert answer.ok == b"1"


def test_a_request_that_its_owner_cannot_take_is_refused_to_the_requester() -> None:
    world = World()
    owner, a = world.client(limits=Limits.of(max_frame_bytes=2000)), world.client()
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m", b"x" * 5000)
    world.settle()
    with pytest.raises(MessageTooBig, match="5015 bytes, and sender 's' accepts 2000"):
        _ = answer.ok
    assert not owner.core.closed
    assert owner.asked() == []


def test_an_answer_that_the_requester_cannot_take_becomes_an_error() -> None:
    world = World()
    owner, a = world.client(), world.client(limits=Limits.of(max_frame_bytes=2000))
    owner.add("s", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    owner.core.reply(owner.asked()[0], b"x" * 5000, None)
    world.settle()
    with pytest.raises(MessageTooBig, match="5008 bytes, and this client accepts 2000"):
        _ = answer.ok
    assert not a.core.closed


def test_between_ends_of_different_codecs_a_request_and_its_answer_are_put_into_the_other_or_refused() -> None:
    """More of that is in `test_bridge`."""
    world = World()
    owner = world.client()
    a = world.raw(["msgpack"])
    owner.add("s", requests=["m"])
    a.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in a.read() if frame.kind == Kind.ROUTE)
    for corr, payload in ((1, b"\x92\x01\xc0"), (2, b"\xc1"), (3, b"\xc0")):
        a.send(pack_request(Request(0, corr, 1000, 1, "m", payload), route=route))
    world.settle()
    asked = owner.asked()
    assert [(news.request.corr, news.request.payload) for news in asked] == [(1, b"[1,null]"), (3, b"null")]
    owner.core.reply(asked[0], b"[2]", None)
    owner.core.reply(asked[1], b"%d" % 2**70, None)
    world.settle()
    told = {reply.corr: reply.payload for reply in map(unpack_reply, a.read())}
    assert told.pop(1) == b"\x91\x02"
    assert [(corr, decode_error(payload).wire_code) for corr, payload in told.items()] == [
        (2, "invalid_data"),
        (3, "invalid_data"),
    ]


def test_a_sender_that_left_meanwhile_is_named() -> None:
    """The server does not know any more whose route it was; the client does."""
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", requests=["m"])
    a.request("s", "m")
    world.settle()
    owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    owner.call(RemoveSender("s"))
    answer, _ = a.request("s", "m")
    world.carry_up(owner)
    world.carry_up(a)
    world.settle()
    with pytest.raises(SenderNotConnected, match="sender 's' is not connected"):
        _ = answer.ok


def test_one_may_ask_oneself(world: World) -> None:
    end = world.client()
    end.add("s", requests=["m"])
    answer, _ = end.request("s", "m")
    world.settle()
    end.core.reply(end.asked()[0], b"1", None)
    world.settle()
    assert answer.ok == b"1"
    end.request("s", "m")
    world.settle()
    world.lose(end)
    assert (world.server.connections, world.server.dirty) == ({}, {})


def test_cancelling_what_was_never_asked_is_nothing() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", requests=["m"])
    for route in range(20):
        send(world, a.connection, pack_cancel(Cancel(0, 1), route=route))
    world.settle()
    assert not a.connection.closed
    assert [news for news in owner.news if isinstance(news, RequestDropped)] == []


# -- those who cheat -----------------------------------------------------------------------------


def routes(end: Any) -> dict[str | None, int]:
    return {event: number for (_, event), number in end.core._owned.items()}


def test_nobody_triggers_what_another_holds() -> None:
    world = World()
    owner, thief, a = (world.client() for _ in range(3))
    owner.add("s", "e")
    a.listen(1)
    (frame,) = pack_events([(routes(owner)["e"], b"1")], lens=False, lines=True, max_frame_bytes=1 << 20)
    send(world, thief.connection, frame)
    assert "not its own" in str(thief.connection.error)
    world.settle()
    assert a.heard() == []
    assert not owner.core.closed


def test_a_mixed_batch_with_one_foreign_route_is_refused_whole() -> None:
    world = World()
    owner, thief, a = (world.client() for _ in range(3))
    owner.add("s", "e")
    thief.add("t", "e")
    a.listen(1)
    items = [(routes(thief)["e"], b"1"), (routes(owner)["e"], b"2")]
    (frame,) = pack_events(items, lens=True, lines=True, max_frame_bytes=1 << 20)
    send(world, thief.connection, frame)
    world.settle()
    assert a.heard() == []


def test_nobody_triggers_on_the_route_of_requests() -> None:
    world = World()
    owner = world.client()
    owner.add("s", "e", requests=["m"])
    (frame,) = pack_events([(routes(owner)[None], b"1")], lens=False, lines=True, max_frame_bytes=1 << 20)
    send(world, owner.connection, frame)
    assert "not its own" in str(owner.connection.error)


def test_an_event_that_was_under_way_when_its_sender_left_is_let_go() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e", "f")
    a.listen(1)
    number = routes(owner)["e"]
    owner.remove("s")
    items = [(number, b"1"), (number + 1, b"2")]
    for chosen in (items[:1], items):
        (frame,) = pack_events(chosen, lens=False, lines=True, max_frame_bytes=1 << 20)
        send(world, owner.connection, frame)
    world.settle()
    assert not owner.connection.closed
    assert a.heard() == []


def test_nobody_answers_for_another() -> None:
    world = World()
    owner, thief, a = (world.client() for _ in range(3))
    owner.add("s", "e", requests=["m"])
    answer, _ = a.request("s", "m")
    world.settle()
    number, corr = routes(owner)[None], owner.asked()[0].request.corr
    send(world, thief.connection, pack_reply(Reply(a.connection.number, corr, b"0"), route=number or 0))
    assert "not its own" in str(thief.connection.error)
    assert answer.times == 0
    # The owner itself answers nobody who did not ask, and nothing on a route that has gone.
    for peer, route in ((thief.connection.number, number), (12345, number), (1, 9999)):
        send(world, owner.connection, pack_reply(Reply(peer, 1, b"0"), route=route or 0))
    assert not owner.connection.closed


@pytest.mark.parametrize(
    "kind",
    [Kind.WELCOME, Kind.CHALLENGE, Kind.AUTH, Kind.RESULT, Kind.ROUTE, Kind.ROUTE_GONE, Kind.PRESENCE, Kind.LOST],
)
def test_what_only_servers_say_is_refused_from_a_client(kind: Kind) -> None:
    world = World()
    end = world.client()
    send(world, end.connection, pack(kind, b"{}"))
    assert "no business in this direction" in str(end.connection.error)


def test_numbered_events_are_refused_without_a_store() -> None:
    world = World()
    end = world.client()
    end.add("s", "e")
    frame = pack_batch(routes(end)["e"], [b"1"], lens=False, lines=True, first_seq=5)
    send(world, end.connection, frame)
    assert "numbered events" in str(end.connection.error)


def test_a_call_that_is_none_costs_its_own_link_only() -> None:
    world = World()
    a, b = world.client(), world.client()
    send(world, a.connection, pack(Kind.CALL, b'{"call":"dance"}', route=1))
    assert a.connection.closed
    world.settle()
    assert b.add("s", "e")


def test_who_is_forbidden_is_denied_and_hears_nothing() -> None:
    world = World()
    govern(world, allow("uid:1", ["own", "trigger"]), allow("uid:2", ["listen", "request"], "other"))
    owner, guest = world.client(known_as="uid:1"), world.client(known_as="uid:2")
    with pytest.raises(Denied, match="you may not register sender 's': no rule allows it"):
        guest.add("s", "e")
    guest.listen(1)
    owner.add("s", "e", requests=["m"])
    trigger(owner, "s", "e", b"1")
    for sender in ("s", "nobody"):
        answer, _ = guest.request(sender, "m")
        world.settle()
        with pytest.raises(Denied, match=f"you may not ask sender '{sender}': no rule allows it"):
            _ = answer.ok
    assert [type(news) for news in guest.news] == [ListenerReady]


@given(st.binary(max_size=400), st.booleans(), st.integers(0, 5))
def test_any_bytes_cost_their_own_connection_at_most(data: bytes, known: bool, seed: int) -> None:
    world = World(cut=seeded(seed))
    honest = world.client()
    honest.add("s", "e", requests=["m"])
    honest.listen(1)
    if known:
        hostile = world.client().connection
    else:
        hostile = world.accept("hostile")
        data = PREFACE + data
    send(world, hostile, data)
    if hostile.error is not None:
        assert hostile.closed
        assert last_words(hostile)
    world.server.disconnected(hostile, world.now)
    world.ends[1:] = []
    trigger(honest, "s", "e", b"1")
    world.settle()
    assert [value for _, value in honest.heard()] == [1]
    assert not isinstance(honest.core.error, SigError)


def test_a_listener_that_leaves_takes_its_routes_along() -> None:
    world = World()
    owner, a = world.client(), world.client()
    owner.add("s", "e")
    a.listen(1)
    trigger(owner, "s", "e", b"1")
    world.settle()
    world.lose(a)
    (route,) = [route for route in world.server._routes.values() if route.event]
    assert list(route.known_by) == [owner.connection]
    trigger(owner, "s", "e", b"2")
    world.settle()
    assert route.audience is not None
    assert route.audience.connections == ()
    assert RouteClosed not in [type(news) for news in owner.news]


# -- owners that nobody listens to ---------------------------------------------------------------


class Silent:
    """A client with a sender, which says nothing by itself."""

    def __init__(self, world: World, *events: str) -> None:
        self.raw = world.raw()
        self.raw.send(pack(Kind.CALL, encode_control(AddSender("s", list(events), None)), route=1))
        told = [frame for frame in self.raw.read() if frame.kind == Kind.ROUTE]
        self.routes = [frame.route for frame in told][: len(events)]

    def trigger(self) -> None:
        """One event on each route."""
        self.raw.send(*(pack_batch(route, [b"1"], lens=False, lines=True) for route in self.routes))

    def say_it_knows(self, *routes: int) -> None:
        self.raw.send(*(pack(Kind.INTEREST, encode_control(Interest("some")), route=route) for route in routes))

    def told(self) -> list[tuple[int, str]]:
        """What it has been told of its routes since."""
        frames = [frame for frame in self.raw.read() if frame.kind == Kind.INTEREST]
        return [(frame.route, decode_control(Interest, frame.body).state) for frame in frames]


def test_who_listens_waits_until_owners_that_held_back_know(world: World) -> None:
    owner, a = Silent(world, "e", "f"), world.client()
    owner.trigger()
    e, f = owner.routes
    assert owner.told() == [(e, "none"), (f, "none")]
    listening = a.call(Listen(1, "s", None))
    again = a.call(Listen(2, "s", "e"))
    world.settle()
    assert owner.told() == [(e, "some"), (f, "some")]
    assert again.times == listening.times == 0
    owner.say_it_knows(e)
    world.settle()
    assert (listening.times, again.ok) == (0, None)
    owner.say_it_knows(f, f, e, e + 1000)  # more than need be, and one that has gone
    world.settle()
    assert listening.ok is None
    assert not owner.raw.connection.closed


def test_who_listens_does_not_wait_for_an_owner_that_says_nothing(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    listening = a.call(Listen(1, "s", "e"))
    world.settle()
    assert world.server.next_deadline() == world.now + world.limits.interest_timeout_s
    world.advance(world.limits.interest_timeout_s)
    assert listening.ok is None
    owner.say_it_knows(*owner.routes)
    world.settle()
    assert listening.times == 1


@pytest.mark.parametrize("enough", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_of_the_past_one_is_told_with_the_answer_or_refused(enough: bool, waits: bool) -> None:
    world = World(link_control_bytes=8000 if enough else 1000)
    silent, owner, a = Silent(world, "e"), world.client(), world.client()
    for name in "abcdef":
        owner.ask(AddSender(name, ["e"], retain=["e"]))
        trigger(owner, name, "e", b"1")
    if waits:
        silent.trigger()
    answer = Answer()
    a.core.listen(Listen(1, None, "e", True), "listener", world.now, 30, answer)
    world.settle()
    assert answer.times == (not waits)
    world.advance(world.limits.interest_timeout_s)
    if enough:
        assert answer.ok is None
        (ready,) = [news for news in a.news if isinstance(news, ListenerReady)]
        assert [part.route.sender for part in ready.past if isinstance(part, Told)] == list("abcdef")
        owner.remove("a")
    else:
        assert isinstance(answer.error, Overloaded)
        assert not a.connection.subscriptions
        trigger(owner, "a", "e", b"2")
        assert not a.heard()


def test_a_listener_that_was_closed_while_it_waited_is_told_nothing(world: World) -> None:
    silent, a = Silent(world, "e"), world.client()
    silent.trigger()
    answer = Answer()
    a.core.listen(Listen(1, "s", None, True), "listener", world.now, 30, answer)
    a.close_listener(1)
    world.advance(world.limits.interest_timeout_s)
    assert answer.ok is None
    assert [news.past for news in a.news if isinstance(news, ListenerReady)] == [[]]


def test_a_sender_retains_events_of_its_own_only() -> None:
    owner = World().client()
    with pytest.raises(InvalidArgument, match="'s' cannot retain 'f'"):
        owner.ask(AddSender("s", ["e"], retain=["e", "f"]))


def test_who_listens_does_not_wait_for_an_owner_that_leaves(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    listening = a.call(Listen(1, "s", "e"))
    world.settle()
    owner.raw.hang_up()
    world.settle()
    assert listening.ok is None


def test_an_owner_is_told_again_when_the_last_has_left(world: World) -> None:
    owner, a = Silent(world, "e"), world.client()
    owner.trigger()
    a.call(Listen(1, "s", "e"))
    world.settle()
    a.call(Close(1))
    world.settle()
    owner.trigger()
    owner.trigger()
    listening = a.call(Listen(2, "s", "e"))
    world.settle()
    (route,) = owner.routes
    assert owner.told() == [(route, "none"), (route, "some"), (route, "none"), (route, "some")]
    owner.say_it_knows(route)
    world.settle()
    assert listening.times == 0, "what it knows is what it was told first"
    owner.say_it_knows(route)
    owner.trigger()
    world.settle()
    assert listening.ok is None
    assert len(a.heard()) == 1


# -- what waits for those who do not read --------------------------------------------------------


def held_up(world: World, raw: Raw) -> None:
    """As the driver, when the link of that connection takes nothing more."""
    world.server.held_up(raw.connection, 0)


def test_beyond_the_budget_those_lose_events_for_whom_most_waits() -> None:
    world = World(memory_bytes=100_000)
    owner, few, many = Silent(world, "e", "f"), world.raw(), world.raw()
    few.send(pack(Kind.CALL, encode_control(Listen(1, "s", "e")), route=1))
    many.send(pack(Kind.CALL, encode_control(Listen(1, "s", None)), route=1))
    for raw in (few, many):
        held_up(world, raw)
    for _ in range(300):
        for route in owner.routes:
            owner.raw.send(pack_batch(route, [b"1" * 1000], lens=False, lines=True))
    assert world.server.budget.used <= 100_000
    boxes = [raw.connection.outbox for raw in (few, many)]
    assert 200 < boxes[0].dropped < 300
    assert 500 < boxes[1].dropped < 600
    for raw, events in ((few, 300), (many, 600)):
        assert 2 * raw.connection.outbox.event_bytes > 50_000
        got = raw.read()
        missed = sum(unpack_lost(frame).missed or 0 for frame in got if frame.kind == Kind.LOST)
        assert missed + sum(frame.count for frame in got if frame.kind == Kind.EVENT) == events
    assert world.server.budget.used == 0


def test_where_nothing_can_be_dropped_the_link_goes_for_which_most_waits() -> None:
    world = World(memory_bytes=20_000)
    owner, one, other = Silent(world, "e"), world.raw(), world.raw()
    for raw, size in ((one, 9_000), (other, 10_000)):
        raw.connection.put(pack(Kind.LOST, b"x" * size))
        held_up(world, raw)
    assert not one.connection.closed
    world.server.held_up(one.connection, 500)
    assert not one.connection.closed
    world.server.held_up(one.connection, 1500)
    assert one.connection.closed
    assert "(memory_bytes) are full" in str(one.connection.error)
    assert not owner.raw.connection.closed
    assert not other.connection.closed


def test_who_was_turned_away_and_does_not_read_harms_nobody() -> None:
    world = World(memory_bytes=1, max_connections=1)
    world.raw()
    turned_away = world.accept()
    turned_away.weigh(0)
    assert world.server.budget.over
    world.advance(1)
    world.server.disconnected(turned_away, world.now)
    assert not world.server.budget.over


def test_all_windows_together_are_half_of_what_there_is() -> None:
    world = World(memory_bytes=2_000_000, send_window_bytes=400_000, max_connections=1000)
    ends = [world.client() for _ in range(30)]
    assert {end.core.outgoing.credit for end in ends} == {500}
    for number, end in enumerate(ends[:10]):
        end.add(f"s{number}", "e")
        end.add(f"more of s{number}", "e")
    credits = [end.core.outgoing.credit for end in ends]
    assert credits[:2] == [400_000, 100_500 + 500]
    assert sum(credits) <= 1_000_000
    for end in ends[:10]:
        world.lose(end)
    ends[10].add("s", "e")
    assert ends[10].core.outgoing.credit == 400_000
    ends[10].remove("s")
    world.lose(ends[10])
    ends[11].add("s", "e")
    assert ends[11].core.outgoing.credit == 400_000


def test_statistics_are_for_who_may_list(world: World) -> None:
    owner = world.client()
    owner.add("s", "e")
    owner.add("secret", "e")

    def senders() -> list[object]:
        answer = owner.ask(Stats(5))
        assert isinstance(answer, dict)
        return [row["sender"] for row in answer["senders"]]

    assert senders() == ["s", "secret"]
    govern(world, allow("*", ["list", "own"]), deny("*", "list", "secret"))
    assert senders() == ["s"]
    govern(world, allow("*", "own"))
    with pytest.raises(Denied):
        senders()


# -- heartbeat -----------------------------------------------------------------------------------


def test_the_server_says_how_often_each_end_speaks() -> None:
    world = World(heartbeat_s=20, heartbeat_timeout_s=50)
    asks_for_less = world.client(limits=Limits.of(heartbeat_s=4, heartbeat_timeout_s=1))
    asks_for_nothing = world.client(limits=Limits())
    assert asks_for_less.core.rhythm == asks_for_less.connection.rhythm == (0.4, 1)
    assert asks_for_nothing.core.rhythm == asks_for_nothing.connection.rhythm == (20, 50)


def test_a_client_that_has_vanished_is_noticed_and_its_senders_leave() -> None:
    world = World()
    gone, other = world.raw(), world.client()
    gone.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    other.listen(1, "s", None)
    while not gone.connection.closed:
        world.advance(1)
    assert 1020 <= world.now <= 1025
    assert [news.data.get("reason") for news in other.news if isinstance(news, Presence)] == ["timeout"]
    assert world.server.vanished == 1
    assert str(gone.connection.error) == (
        "nothing has come from the client for 20 s: it hangs, or the way to it is broken (heartbeat_timeout_s=25)"
    )
    gone.hang_up()
    world.advance(100)
    assert world.server.vanished == 1
    assert not other.connection.closed


def test_a_server_that_has_vanished_is_noticed() -> None:
    world = World()
    end = world.client()
    while not end.core.closed:
        world.now += 1
        end.core.handle_timeout(world.now)
        end.core.data_to_send(1 << 20)  # taken by the system, and never delivered
    assert 1020 <= world.now <= 1025


def test_nobody_vanishes_who_answers_and_idle_links_cost_one_ping_and_one_pong_each_heartbeat() -> None:
    world = World()
    ends = [world.client() for _ in range(50)]
    before = [end.core.bytes_in + end.core.bytes_out for end in ends]
    for _ in range(10_000):
        world.advance(0.1)
    assert world.server.vanished == 0
    assert len(world.ends) == 50
    # 1000 s: one hundred heartbeats of 20 bytes each way, and some where both ends spoke at once.
    used = [end.core.bytes_in + end.core.bytes_out - first for end, first in zip(ends, before, strict=True)]
    assert max(used) <= 100 * 2 * 40 + 80


def test_who_is_on_its_way_out_is_not_asked_whether_it_is_there() -> None:
    world = World()
    raw = world.raw()
    world.server.close()
    raw.read()
    world.advance(1000)
    assert raw.read() == []
    other = World()
    raw = other.raw()
    raw.connection.cut(ConnectionLost("the driver has given it up"))
    other.advance(1000)
    assert world.server.vanished == other.server.vanished == 0


def test_a_server_that_was_stopped_for_an_hour_first_reads_what_has_come_meanwhile() -> None:
    world = World()
    ends = [world.client() for _ in range(3)]
    for _ in range(5):
        world.advance(3600)
    assert len(world.ends) == len(ends)


def test_who_cannot_vanish_is_left_alone() -> None:
    """A router in the server's own process need not be asked whether it is there."""
    world = World()
    connection = world.server.accept(world.now, "local", vanishes=False)
    data = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"])))
    world.server.receive_data(connection, data, world.now)
    reader = FrameReader(1 << 24, preface=True)
    (frame,) = reader.feed(connection.data_to_send(1 << 20))
    assert decode_control(Welcome, frame.body).heartbeat_s == 0
    assert world.server.next_deadline() is None
    world.advance(10_000)
    assert (connection.closed, connection.data_to_send(1 << 20)) == (False, b"")


# -- coming back ---------------------------------------------------------------------------------


def greet(world: World, connection: Connection, **hello: Any) -> Welcome:
    data = PREFACE + pack(Kind.HELLO, encode_control(Hello([1], ["json"], **hello)))
    world.server.receive_data(connection, data, world.now)
    frames = FrameReader(1 << 24, preface=True).feed(connection.data_to_send(1 << 20))
    return decode_control(Welcome, frames[-1].body)


def test_who_comes_back_before_its_old_link_is_known_to_be_down_finds_its_names_free() -> None:
    world = World()
    old, other = world.raw(), world.client()
    other.listen(1, "s", None)
    old.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    back = world.accept("raw again")
    assert greet(world, back, session=old.connection.session).fresh == "not_kept"
    assert str(old.connection.error) == "its client has come back on another link"
    world.server.receive_data(back, pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1), world.now)
    world.settle()
    assert presence(other) == [("s", "#connect"), ("s", "#disconnect"), ("s", "#connect")]
    old.hang_up()
    assert back.held


def test_whose_link_was_known_to_be_down_comes_back_just_so() -> None:
    world = World()
    old = world.raw()
    token = old.connection.session
    old.hang_up()
    welcome = greet(world, world.accept(), session=token)
    assert welcome.fresh == "unknown"
    assert welcome.session != token


def test_nobody_closes_the_link_of_another_identity() -> None:
    world = World()
    one, other = world.raw(), world.accept()
    other.known_as = "uid:1"
    greet(world, other, session=one.connection.session)
    assert not one.connection.closed


def test_sessions_that_have_ended_are_forgotten() -> None:
    world = World()
    for _ in range(10):
        world.raw().hang_up()
    assert world.server._sessions == {}


# -- what `access` and `rights` do, from here ------------------------------------------------------


def test_whoever_logs_in_is_let_in_when_it_is_known_who_it_is() -> None:
    begun: list[Connection] = []
    access, _ = make_access(
        credential(7, "alice", expires=1_700_001_010.0), own=lambda connection, _: begun.append(connection)
    )
    world = World(access=access, heartbeat_s=1000, heartbeat_timeout_s=2500)
    own, alice = world.client(prover=Bearer("x")), world.client(prover=TokenProver(token(7)))
    assert alice.core.opened
    assert not own.core.opened
    world.server.logged_in(begun[0], Identity("carl"), world.now)
    world.settle()
    assert own.core.opened
    alice.add("s", "e")
    own.listen(1)
    assert world.due == world.now + 10
    world.advance(10)
    assert "has expired" in str(alice.core.error)
    assert [news.data["reason"] for news in own.news if isinstance(news, Presence)] == ["kicked"]
    raw = Raw(world, hello=Hello([1], ["json"], login="0123456789abcdef"))
    raw.send(pack(Kind.HELLO, encode_control(Hello([1], ["json"]))))
    assert "second HELLO" in raw.last_words()


def test_what_may_not_be_asked_is_denied_and_what_may_not_be_triggered_is_not_passed_on() -> None:
    world = World()
    govern(world, allow("uid:1", ["own", "trigger"]), allow("*", "listen"), allow("*", "request", methods="get"))
    owner, guest = world.client(known_as="uid:1"), world.client()
    owner.add("s", "e", requests=["get"])
    guest.listen(1)
    answer, _ = guest.request("s", "get")
    world.settle()
    assert not answer.times
    answer, _ = guest.request("s", "set")
    world.settle()
    assert isinstance(answer.error, Denied)
    owner.core.trigger("s", "e", b"1")
    govern(world, allow("uid:1", "own"), allow("*", "listen"))
    owner.core._denied.clear()
    owner.core.trigger("s", "e", b"2")
    world.settle()
    assert [value for _, value in guest.heard()] == []
    for name in ("s", "nobody"):
        with pytest.raises(Denied, match="you may not remove"):
            guest.remove(name)


def test_parts_pass_and_whoever_cancels_gets_no_more() -> None:
    world = World()
    owner, requester = world.client(), world.client()
    owner.add("s", requests=["m"])
    streams = []
    for _ in range(3):
        taken = PartsIn(lambda: None)
        done = taken.finish
        number = requester.core.request("s", "m", b"0", now=0, deadline=world.now + 9, hops=1, done=done, parts=taken)
        streams.append((number, taken))
    world.settle()
    requester.core.give_up(streams[0][0])
    world.settle()
    for arrived in owner.asked():
        assert arrived.parts is not None
        arrived.parts.write(b"1")
    world.settle()
    assert [taken.take() for _, taken in streams] == [None, [1], [1]]
    raw = world.raw()
    raw.send(pack_credit(Credit(1, Unit.PARTS, 0, 5), route=1), pack_credit(Credit(1, Unit.EVENTS), route=1))
    assert not raw.connection.closed
    assert len(requester.connection.streams) == 2
    owner.core.reply(owner.asked()[1], b"2", None)
    world.settle()
    assert streams[1][1].result == b"2"
    assert len(requester.connection.streams) == 1


def test_a_number_of_a_stream_that_is_in_use_ends_the_link() -> None:
    world = World(requests_out=1)
    owner, requester = world.client(), world.raw()
    owner.add("s", requests=["m"])
    requester.send(pack(Kind.CALL, encode_control(OpenRequests("s")), route=1))
    route = next(frame.route for frame in requester.read() if frame.kind == Kind.ROUTE)
    one, two = (pack_request(Request(0, n, 9, 1, "m", b"0"), route=route, flags=REQUEST_PARTS) for n in (1, 2))
    requester.send(one, two)
    (refused,) = requester.read()
    assert b"a client may take 1 streams at a time" in refused.body
    world.server.limits = Limits()
    requester.send(one)
    assert "which is in use" in requester.last_words()


# -- what is given to one alone ------------------------------------------------------------------


def test_senders_that_share_a_name_are_told_of_listed_and_asked_as_one(world: World) -> None:
    owners, asker = [world.client() for _ in range(3)], world.client()
    asker.listen(1, "s", None)
    shared = AddSender("s", ["e"], ["m"], shared=True)
    instances = [owner.ask(shared) for owner in owners[:2]]
    for sender in (shared, AddSender("s", ["e"])):
        with pytest.raises(SenderAlreadyConnected):
            owners[0].ask(sender)
    with pytest.raises(SenderAlreadyConnected):
        owners[2].add("s", "e")
    with pytest.raises(Denied):
        owners[2].remove("s")
    assert [row["instance"] for row in asker.ask(Senders())] == instances  # type: ignore[attr-defined]
    calls = [asker.request("s", "m") for _ in range(2)]
    world.settle()
    for owner in owners[:2]:
        owner.core.reply(owner.asked()[0], b"1", None)
    world.settle()
    assert [call.ok for call, _ in calls] == [b"1", b"1"]
    for instance in (instances[1], 99):
        call = Answer()
        asker.core.request("s", "m", b"1", now=0, deadline=1e9, hops=1, done=call, instance=instance)  # type: ignore[arg-type]
        world.settle()
        assert isinstance(call.error, SenderNotConnected) is (instance == 99)
    _, give_up = asker.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    assert isinstance(owners[0].news[-1], RequestDropped)
    give_up_again = Cancel(0, 99)
    asker.core.outgoing.put(pack_cancel(give_up_again, route=asker.core._request_routes["s"]))
    world.settle()
    owners[0].remove("s")
    assert presence(asker) == [("s", "#connect")]
    owners[1].remove("s")
    assert presence(asker) == [("s", "#connect"), ("s", "#disconnect")]


def test_listeners_that_are_given_events_by_themselves_have_credit_and_deadlines(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    one.core.listen(Listen(1, "s", "e", max_wait_s=1.5, window=1), 1, world.now, 30, Answer())
    world.settle()
    for value in (b"1", b"2", b"3"):
        owner.core.trigger("s", "e", value)
        world.settle()
    assert world.server.next_deadline() == world.now + 1.5
    one.core.grant(1, 1)
    world.settle()
    assert [value for _, value in one.heard()] == [1, 2]
    world.advance(1.5)
    assert [news.missed for news in one.news if isinstance(news, Lost)] == [1]
    # Its owner knows already that it is shared out.
    one.core.listen(Listen(2, "s", "e", group="g"), 2, world.now, 30, Answer())
    assert not world.server._waiting


def test_what_a_client_held_waits_for_it_and_it_says_what_never_came() -> None:
    world = World(presence_grace_s=4)
    old, other, asks = world.accept(), world.client(), world.client()
    token = greet(world, old, features=[RETURNS]).session

    def say(connection: Connection, *frames: bytes) -> None:
        for frame in frames:
            world.server.receive_data(connection, frame, world.now)
        world.settle()

    other.listen(1, "s")
    claim = AddSender("s", ["e", "f", "g"], ["m"])
    say(old, *(pack(Kind.CALL, encode_control(each), route=1) for each in (claim, AddSender("t", ["e"]))))
    world.server.disconnected(old, world.now)
    assert world.due == world.now + 4
    answer, give_up = asks.request("s", "m")
    world.settle()
    give_up()
    world.settle()
    back = world.accept()
    assert greet(world, back, session=token, features=[RETURNS]).fresh == "not_kept"
    lost = AddSender("s", claim.events, claim.requests, lost={"e": 3, "f": None})
    say(back, pack(Kind.CALL, encode_control(lost), route=1))
    say(back, pack(Kind.CALL, encode_control(AddSender("t", ["f"])), route=2))
    assert presence(other) == [("s", "#connect")]
    told = [(news.missed, news.reason) for news in other.news if isinstance(news, Lost)]
    assert told == [(3, "lost_link"), (None, "lost_link")]
    assert list(back.held) == ["s", "t"]
    assert not answer.times
    world.advance(4)
    assert presence(other) == [("s", "#connect")]


def test_whoever_listens_again_is_told_the_numbers_and_the_time() -> None:
    world = World()
    raw, owner = world.raw(), world.client()
    owner.add("s", "e")
    raw.send(pack(Kind.CALL, encode_control(Listen(1, "s", again=True, when=True)), route=1))
    route, result = raw.read()
    assert (route.kind, decode_control(RouteMessage, route.body).next_seq) == (Kind.ROUTE, 1)
    assert decode_control(Result[int], result.body).ok == int((world.now + 1_700_000_000) * 1e6)
