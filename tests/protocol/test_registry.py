"""Who holds which name, and who is told that somebody came or went. Real clients at the other end."""

from __future__ import annotations

import msgspec
import pytest
from protocol.pairs import End, World
from protocol.serving import govern, greet, owner_of, presence, trigger

from sig.constants import Limits
from sig.errors import (
    Denied,
    InvalidArgument,
    InvalidName,
    MessageTooBig,
    Overloaded,
    SenderAlreadyConnected,
)
from sig.messages import (
    RETURNS,
    AddSender,
    Bye,
    Last,
    Listen,
    OpenRequests,
    Presence,
    RemoveSender,
    Schema,
    Senders,
    encode_control,
)
from sig.protocol.bodies import (
    Lost,
)
from sig.protocol.client import ListenerReady, RouteOpened
from sig.protocol.connection import Connection
from sig.protocol.frames import Kind, pack
from sig.protocol.offline import Offline
from sig.security.policy import allow


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
    assert end.core.owning.owns("s", "e")
    assert end.core.owning.owns("s", None)


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
    route = next(route for route in other.core.routes.values() if route.event is None)
    assert msgspec.json.decode(route.schema) == {"set": {"params": NUMBER}}
    assert other.core.asking.schema("thermo") == bytes(route.schema)


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
    owner.core.owning.trigger("thermo", "changed", b"1")
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
    world, owner, a = owner_of("e")
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
    world, owner, a = owner_of("e")
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
    assert (server.connections, server.registry._senders, server.routes, server.listening.index.count) == (
        {},
        {},
        {},
        0,
    )
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
    assert (a.connection.known, a.core.routes, owner.core.routes) == ({}, {}, {})


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
    assert new.core.owning.owns("s", "e")


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
    assert world.server.registry._senders == {}
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


def test_what_a_client_says_again_that_it_has_lost_is_told_once() -> None:
    """It was cut off before it knew that its losses had been told; meanwhile there may be more."""
    world = World()
    end, other = world.client(offline=Offline("buffer", 1000, 30)), world.client()
    end.ask(AddSender("s", ["e", "f", "g"]))
    other.listen(1, "s")
    for absence, lost in (
        (1, {"e": 3, "f": None}),
        (1, {"e": 5, "f": None, "g": 1 << 60}),
        (1, {"e": 5, "f": 2, "g": None}),
        (2, {"e": 5}),
    ):
        world.lose(end)
        world.come_back(end)
        end.ask(AddSender("s", ["e", "f", "g"], lost=lost, absence=absence))
    names = {news.number: news.route.event for news in other.news if isinstance(news, RouteOpened)}
    told = [(names[news.route], news.missed) for news in other.news if isinstance(news, Lost)]
    assert told == [("e", 3), ("f", None), ("e", 2), ("g", None), ("f", 2), ("e", 5)]


def test_a_sender_retains_events_of_its_own_only() -> None:
    owner = World().client()
    with pytest.raises(InvalidArgument, match="'s' cannot retain 'f'"):
        owner.ask(AddSender("s", ["e"], retain=["e", "f"]))


def test_a_name_that_is_shared_is_there_from_the_first_to_the_last(world: World) -> None:
    owners = [world.client(), world.client()]
    other = world.client()
    other.listen(1, "s", "#connect")
    other.listen(2, "s", "#disconnect")
    shared = AddSender("s", [], ["m"], shared=True)
    for owner in owners:
        owner.ask(shared)
    assert len(other.ask(Senders())) == 2  # type: ignore[arg-type]
    for owner in owners:
        assert presence(other) == [("s", "#connect")]
        owner.remove("s")
    assert presence(other) == [("s", "#connect"), ("s", "#disconnect")]


def test_what_was_retained_goes_with_its_sender() -> None:
    world = World()
    owner, other = world.client(), world.client()
    for _ in range(2):
        owner.ask(AddSender("s", ["e"], retain=["e"]))
        assert other.ask(Last("s", "e")) is False
        trigger(owner, "s", "e", b"1")
        assert other.ask(Last("s", "e")) is True
        owner.remove("s")


def test_presence_is_for_who_may_listen_to_it() -> None:
    world = World()
    owner, guest = world.client(known_as="uid:1"), world.client()
    govern(world, allow("uid:1", "own"), allow("*", "listen", senders="t"))
    guest.listen(1, None, "#connect")
    owner.add("s", "e")
    owner.add("t", "e")
    assert presence(guest) == [("t", "#connect")]


def test_who_is_sent_off_is_not_told_that_its_own_senders_leave() -> None:
    world = World()
    raw = world.raw()
    raw.send(pack(Kind.CALL, encode_control(AddSender("s", ["e"])), route=1))
    raw.read()
    world.server.close()
    assert [frame.kind for frame in raw.read()] == [Kind.BYE]


def test_the_name_of_one_who_is_away_is_for_whoever_claims_it_first(world: World) -> None:
    away, other, witness = world.client(reliable=True), world.client(), world.client()
    for number, event in enumerate(("#connect", "#disconnect")):
        witness.listen(number, None, event)
    away.add("s", "e")
    world.lose(away)
    other.add("s", "e")
    assert presence(witness) == [("s", "#connect"), ("s", "#disconnect"), ("s", "#connect")]
    world.come_back(away)
    assert not away.core.resumed


def test_who_shares_a_name_with_one_who_is_away_leaves_it_to_both(world: World) -> None:
    away, other = world.client(reliable=True), world.client()
    for end in (away, other):
        end.ask(AddSender("s", ["e"], shared=True))
        if end is away:
            world.lose(away)
    world.come_back(away)
    assert away.core.resumed
    assert away.remove("s") is True
    assert other.remove("s") is True
