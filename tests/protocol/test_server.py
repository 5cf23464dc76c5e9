"""The server's promises: who may do what, who hears what, and in which order. Real clients at the other end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.lone import one, say
from protocol.pairs import Answer, Cut, Raw, World, byte_by_byte, seeded, whole
from protocol.serving import Silent, govern, greet, last_words, owner_of, presence, routes, send, trigger
from protocol.who import credential, make_access, token

from sig.codecs import as_codecs
from sig.constants import Limits
from sig.errors import (
    ConnectionLost,
    Denied,
    HandshakeRefused,
    Overloaded,
    SigError,
)
from sig.messages import (
    RETURNS,
    AddSender,
    Bye,
    Flush,
    Hello,
    Listen,
    Presence,
    RemoveSender,
    Schema,
    Stats,
    Welcome,
    decode_control,
    encode_control,
)
from sig.protocol.bodies import (
    unpack_lost,
)
from sig.protocol.client import ClientCore, ListenerReady, RouteClosed
from sig.protocol.connection import Connection
from sig.protocol.events import pack_batch, pack_events, unpack_events
from sig.protocol.frames import PREFACE, FrameReader, Kind, pack
from sig.protocol.login import Bearer, TokenProver
from sig.protocol.offline import Offline
from sig.protocol.outbox import Frames
from sig.protocol.session import ACK_S
from sig.security.identity import Identity
from sig.security.policy import allow, deny


def test_a_client_is_welcomed_with_what_holds(world: World) -> None:
    end = world.client(limits=Limits.of(max_frame_bytes=5000))
    welcome = end.core.welcome
    assert welcome is not None
    assert (welcome.version, welcome.codecs, welcome.node, welcome.epoch) == (1, ["json", "msgpack"], "test", 7)
    assert (welcome.client, welcome.max_frame_bytes) == (end.connection.number, world.limits.max_frame_bytes)
    assert len(welcome.session) == 64
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
@pytest.mark.parametrize("cut", [whole, byte_by_byte, seeded(1)])
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
    assert [end.core.owning.owns(f"s{number}", "e") for number, end in enumerate(ends)] == [True, True]


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


# -- those who cheat -----------------------------------------------------------------------------


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
    world, owner, a = owner_of("e")
    a.listen(1)
    trigger(owner, "s", "e", b"1")
    world.settle()
    world.lose(a)
    (route,) = [route for route in world.server.routes.values() if route.event]
    assert list(route.known_by) == [owner.connection]
    trigger(owner, "s", "e", b"2")
    world.settle()
    assert route.audience is not None
    assert route.audience.connections == ()
    assert RouteClosed not in [type(news) for news in owner.news]


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
    assert 200 < few.connection.missed < 300
    assert 500 < many.connection.missed < 600
    for raw, events in ((few, 300), (many, 600)):
        raw.connection.catch_up()
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


def test_nobody_is_cut_off_for_what_can_be_dropped_once_it_has_caught_up() -> None:
    """What a late link is given by itself waits where nothing is dropped; there is nothing else here."""
    world = World(memory_bytes=10_000)
    world.server.backlogs.patience = 0
    owner, raw = Silent(world, "e"), world.raw()
    raw.send(pack(Kind.CALL, encode_control(Listen(1, "s", "e")), route=1))
    route = owner.routes[0]
    for size in (10, 10):
        held_up(world, raw)
        owner.raw.send(pack_batch(route, [b"1" * size], lens=False, lines=True))
    data = pack_batch(route, [b"1" * 3000], lens=False, lines=True)
    for _ in range(3):
        raw.connection.share(Frames.of(data, ((route, 1),)))
        world.server.held_up(raw.connection, 1)
    assert raw.connection.behind
    assert not world.server.budget.over
    assert not raw.connection.closed
    assert raw.connection.missed > 0
    got = raw.read()
    missed = sum(unpack_lost(frame).missed or 0 for frame in got if frame.kind == Kind.LOST)
    assert missed + sum(frame.count for frame in got if frame.kind == Kind.EVENT) == 5


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
    ends = [world.client() for _ in range(10)]
    before = [end.core.bytes_in + end.core.bytes_out for end in ends]
    for _ in range(2_000):
        world.advance(0.5)
    assert world.server.vanished == 0
    assert len(world.ends) == 10
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


def test_what_is_kept_of_a_link_is_so_for_those_behind_it_as_long_as_it_may_be_back() -> None:
    world = World()
    end, source = world.client(offline=Offline("buffer", 1000, 30)), world.client()
    end.listen(1, "s", "e")
    for _ in range(2):
        world.lose(end)
        source.ask(AddSender("s", ["e"]))
        source.ask(RemoveSender("s"))
        world.come_back(end)
    assert len(end.connection.earlier) == 2
    world.advance(2 * world.limits.presence_grace_s)
    assert end.connection.earlier == ()


def test_who_comes_back_before_its_old_link_is_known_to_be_down_finds_its_names_free() -> None:
    world = World()
    old, other = world.raw(), world.client()
    other.listen(1, "s", None)
    old.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    back = world.accept("raw again")
    assert greet(world, back, session=old.session).fresh == "not_kept"
    assert str(old.connection.error) == "its client has come back on another link"
    world.server.receive_data(back, pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1), world.now)
    world.settle()
    assert presence(other) == [("s", "#connect"), ("s", "#disconnect"), ("s", "#connect")]
    old.hang_up()
    assert back.held


def test_whose_link_was_known_to_be_down_comes_back_just_so() -> None:
    world = World()
    old = world.raw()
    token = old.session
    old.hang_up()
    welcome = greet(world, world.accept(), session=token)
    assert welcome.fresh == "unknown"
    assert welcome.session != token


def test_nobody_closes_the_link_of_another_identity() -> None:
    world = World()
    one, other = world.raw(), world.accept()
    other.known_as = "uid:1"
    greet(world, other, session=one.session)
    assert not one.connection.closed


def test_sessions_that_have_ended_are_forgotten() -> None:
    world = World()
    for _ in range(10):
        world.raw().hang_up()
    assert vars(world.server.sessions)["_by_token"] == vars(world.server.sessions)["_tokens"] == {}


def test_reliable_links_are_part_of_what_is_due() -> None:
    world = World()
    end = world.client(reliable=True)
    end.flush()
    assert world.server.next_deadline() == world.now + ACK_S
    world.advance(ACK_S)
    world.lose(end)
    assert world.server.sessions.due == world.now + 120
    world.come_back(end)
    assert end.core.resumed


def test_over_the_budget_who_is_away_is_given_up_first() -> None:
    world = World(memory_bytes=10_000)
    end, owner = world.client(reliable=True), world.client()
    end.listen(1, "s", "e")
    owner.add("s", "e")
    world.lose(end)
    for _ in range(4):
        owner.core.owning.trigger("s", "e", b'"' + b"x" * 3000 + b'"')
        world.settle()
        if not end.connection.closed:
            world.server.held_up(end.connection, 0)
    assert len(world.server.sessions) == 0


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


# -- what is given to one alone ------------------------------------------------------------------


# -- all that comes, in short --------------------------------------------------------------------


def test_the_rooms_are_asked_what_is_theirs() -> None:
    world = World(presence_grace_s=4)
    old, owner, asker = world.accept(), world.client(), world.client()
    greet(world, old, features=[RETURNS])
    world.server._last_number = asker.connection.number - 1
    owner.ask(AddSender("s", ["e"], ["m"], schema=Schema(events={"e": {"type": "integer"}})))
    assert len({*world.server.routes, *world.server.connections}) == 5
    asker.listen(1, "s", "e")
    assert asker.ask(Flush()) is None
    asker.request("s", "m")
    asker.core.listen(Listen(2, "s", "e", max_wait_s=1, window=1), 2, world.now, 30, Answer())
    world.settle()
    trigger(owner, "s", "e", b"1")
    trigger(owner, "s", "e", b"2")
    world.settle()
    assert world.server.next_deadline() == world.now + 1
    asker.core.grant(2, 1)
    world.settle()
    world.lose(asker)
    again = world.client()
    answer, _ = again.request("s", "m")
    world.settle()
    world.server.disconnected(old, world.now)
    world.advance(1)
    assert world.server.next_deadline() == world.now + 3
    owner.core.leave()
    world.settle()
    assert isinstance(answer.error, ConnectionLost)
    world.server.drain()
    assert "closing" in str(world.client().core.error)


def test_a_call_that_breaks_the_protocol_ends_the_link() -> None:
    world = World()
    raw = world.raw()
    listen = pack(Kind.CALL, encode_control(Listen(1, "s")), route=1)
    raw.send(listen, listen)
    assert "subscription 1 exists already" in raw.last_words()


def test_what_was_given_to_one_by_itself_before_its_link_was_lost_may_have_been_lost_with_that() -> None:
    """The number of the first is kept, and what it has counted it tells."""
    world = World()
    owner, away = world.client(), world.client(offline=Offline("buffer", 1000, 30))
    owner.add("s", "e")
    away.core.listen(Listen(1, "s", "e", max_wait_s=20, window=1), "listener", world.now, 30, Answer())
    world.settle()
    trigger(owner, "s", "e", b"1")
    world.settle()
    connection = away.connection
    world.lose(away)
    trigger(owner, "s", "e", b"2")
    world.settle()
    (route,) = [route for route in world.server.routes.values() if route.event == "e"]
    assert (route.known_by[connection], connection.known[route]) == (True, 1)


def test_it_has_the_servers_time_and_counts() -> None:
    world = World()
    owner, guest = world.client(), world.client()
    owner.add("s", "e")
    guest.listen(1)
    say(world, owner)
    connections = owner.connection, guest.connection
    before = [(c.bytes_in, c.frames_in, c.events_in, c.bytes_out, c.frames_out, c.events_out) for c in connections]
    frame = one(owner)
    lone = world.server.receive_lone(owner.connection, frame, world.now)
    assert lone is not None
    data, receivers = lone
    assert list(receivers) == [guest.connection]
    assert unpack_events(FrameReader(1000).feed(data)[0]).time_us == 1_700_001_000_000_000
    size = len(frame)
    after = [(c.bytes_in, c.frames_in, c.events_in, c.bytes_out, c.frames_out, c.events_out) for c in connections]
    gained = [tuple(b - a for a, b in zip(*both, strict=True)) for both in zip(before, after, strict=True)]
    assert gained == [(size, 1, 1, 0, 0, 0), (0, 0, 0, size, 1, 1)]
