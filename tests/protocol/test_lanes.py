"""Events for one listener alone, as they go over links: groups, and listeners for whom senders wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace
from protocol.leaving import BLOCKING, away, closed, come_back, lose_unnoticed, send, told
from protocol.pairs import Answer, End, World, byte_by_byte, seeded, whole

from sig.constants import Limits
from sig.errors import InvalidArgument
from sig.messages import AddSender, Close, Listen, Presence, RemoveSender, Route, Schema, encode_control
from sig.protocol.bodies import Credit, Lost, Unit, pack_credit
from sig.protocol.client import EventsArrived, RouteClosed, RouteOpened
from sig.protocol.events import pack_batch, unpack_events
from sig.protocol.frames import Kind, pack
from sig.protocol.offline import Offline
from sig.security.policy import Policy, allow, deny


class Reprs:
    """A codec of the user's that says little: small whole numbers."""

    name = "reprs"

    def encode(self, obj: object) -> bytes:
        if type(obj) is not int or obj > 99:
            raise ValueError(obj)
        return str(obj).encode()

    def decode(self, data: bytes) -> object:
        return int(data)


@pytest.fixture(params=[whole, byte_by_byte, seeded(3)], ids=["whole", "byte by byte", "seeded"])
def world(request: pytest.FixtureRequest) -> World:
    return World(cut=request.param)


class Got(NamedTuple):
    """What a listener was given, or what it misses."""

    listener: int | None
    event: str
    seq: int
    values: object


def got(end: End) -> Iterator[Got]:
    """What has come on lanes, and presence."""
    lanes: dict[int, Route] = {}
    for news in end.news:
        if isinstance(news, RouteOpened) and news.route.listener is not None:
            lanes[news.number] = news.route
        elif isinstance(news, RouteClosed):
            lanes.pop(news.number, None)
        elif isinstance(news, EventsArrived) and news.frame.route in lanes:
            route = lanes[news.frame.route]
            batch = unpack_events(news.frame)
            values = end.core.codecs[route.codec].decode_many(batch.payloads, batch.lens, news.frame.count)
            assert batch.first_seq is not None
            yield Got(route.listener, route.event or "", batch.first_seq, list(values))
        elif isinstance(news, Lost) and news.route in lanes:
            yield Got(lanes[news.route].listener, lanes[news.route].event or "", 0, (news.missed, news.reason))
        elif isinstance(news, Presence):
            yield Got(news.listener, news.event, 0, news.data)
    end.lanes = lanes  # type: ignore[attr-defined]


def join(end: End, number: int, sender: str | None = "s", event: str | None = "e", **more: Any) -> Answer:
    answer = Answer()
    more = {"group": "g", "window": 4} | more
    end.core.listen(Listen(number, sender, event, **more), number, end.world.now, 30, answer)
    end.world.settle()
    return answer


def trigger(owner: End, *values: object, event: str = "e") -> None:
    for value in values:
        owner.core.owning.trigger("s", event, owner.core.codec.encode(value))
    owner.world.settle()


def begin(end: End, number: int, events: int) -> None:
    end.core.grant(number, events)
    end.world.settle()


def leave(end: End, number: int, begun: int | None) -> None:
    assert end.ask(Close(number, begun))


def heard(*ends: End) -> list[object]:
    """The values that came to all of these, in the order of the ends."""
    return [value for end in ends for part in got(end) if isinstance(part.values, list) for value in part.values]


def test_members_share_what_is_triggered_and_get_more_as_they_begin(world: World) -> None:
    owner, first, second = world.client(), world.client(), world.client(codec="msgpack")
    owner.add("s", "e")
    join(first, 7)
    join(second, 7)
    trigger(owner, *range(12))
    assert [*got(first)] == [Got(7, "e", 1, [0, 1, 2, 3])]
    assert [*got(second)] == [Got(7, "e", 5, [4, 5, 6, 7])]
    begin(second, 7, 2)
    assert [*got(second)][1:] == [Got(7, "e", 9, [8, 9])]
    leave(second, 7, 2)
    begin(first, 7, 4)
    begin(first, 7, 4)
    assert heard(first) == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]


def test_events_of_several_routes_stay_in_order(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e", "f", "x")
    join(one, 1, "s", "e", window=100)
    join(one, 2, "s", "f", group="h", window=100)
    for number, event in enumerate("eefxeff"):
        owner.core.owning.trigger("s", event, str(number).encode())
    world.settle()
    assert [*got(one)] == [
        Got(1, "e", 1, [0, 1]),
        Got(1, "e", 3, [4]),
        Got(2, "f", 1, [2]),
        Got(2, "f", 2, [5, 6]),
    ]


def test_events_without_lengths_are_parted_at_their_newlines(world: World) -> None:
    owner, one, plain = world.raw(), world.client(), world.client()
    owner.send(pack_call(AddSender("s", ["e"])))
    (route,) = (frame.route for frame in owner.read() if frame.kind == Kind.ROUTE and b'"event"' in frame.body)
    plain.listen(1, "s", "e")
    join(one, 1, window=100)
    owner.send(pack(Kind.INTEREST, b'{"state":"grouped"}', route=route))
    good = [
        pack_batch(route, values, lens=lens, lines=True) for values, lens in (([b"1", b"2"], False), ([b"3"], True))
    ]
    liar = bytearray(good[0])
    liar[6] = 3  # events, it says
    owner.send(*good, bytes(liar), good[1], bytes(liar))
    owner.send(bytes(liar))
    world.settle()
    found: list[object] = []
    for part in got(one):
        found += part.values if isinstance(part.values, list) else [part.values]
    bad = (3, "undecodable")
    assert found == [1, 2, 3, bad, 3, bad, bad] or found == [1, 2, 3, bad, 3, (6, "undecodable")]
    assert sum(news.frame.count for news in plain.news if isinstance(news, EventsArrived)) == 13


def pack_call(message: Any) -> bytes:
    return pack(Kind.CALL, encode_control(message), route=1)


def test_what_another_codec_cannot_say_is_missing_in_its_place() -> None:
    world = World(codec=["json", Reprs()])
    owner, one = world.client(), world.client(codec=Reprs())
    owner.add("s", "e")
    join(one, 1, window=8)
    trigger(owner, 1, "word", 2, 100, 3)
    trigger(owner, "word")
    assert [part.values for part in got(one)] == [[1], (1, "codec"), [2], (1, "codec"), [3], (1, "codec")]


def test_what_is_larger_than_a_members_frames_is_missing_and_much_comes_in_parts() -> None:
    world = World()
    owner, one = world.client(), world.client(limits=Limits.of(max_frame_bytes=2000))
    owner.add("s", "e")
    join(one, 1)
    trigger(owner, "a" * 900, "b" * 900, "c" * 1600, "d")
    assert [(part.seq, part.values) for part in got(one)] == [
        (1, ["a" * 900]),
        (2, ["b" * 900]),
        (0, (1, "too_big")),
        (4, ["d"]),
    ]


def test_presence_is_for_one_member_and_waits_its_turn(world: World) -> None:
    owner, first, second = world.client(), world.client(), world.client()
    plain = world.client()
    plain.listen(1, "s", None)
    join(first, 1, "s", None, window=1)
    join(second, 2, "s", "#disconnect", window=1)
    owner.add("s", "e")
    trigger(owner, "a")
    owner.remove("s")
    assert [(part.listener, part.event) for part in got(first)] == [(1, "#connect")]
    assert [(part.listener, part.event) for part in got(second)] == [(2, "#disconnect")]
    begin(first, 1, 1)
    assert [part.event for part in got(first)] == ["#connect", "e"]
    # The lane of a sender that has gone was for this event alone.
    assert first.lanes == {}  # type: ignore[attr-defined]
    assert [part.listener for part in got(plain)] == [None, None]


def test_a_presence_is_never_lost() -> None:
    world = World(listener_queue_events=2)
    owner, one = world.client(), world.client()
    join(one, 1, "s", None, window=1)
    owner.add("s", "e")
    trigger(owner, "a")
    for _ in range(3):
        owner.remove("s")
        owner.add("s", "e")
    told = [part.event if part.event.startswith("#") else part.values for part in got(one)]
    assert told == ["#connect", (1, "slow"), *["#disconnect", "#connect"] * 2]


def test_a_presence_that_is_too_long_is_told_without_the_names() -> None:
    world = World()
    owner, one = world.client(), world.client(limits=Limits.of(max_frame_bytes=1000))
    join(one, 1, "s", None)
    owner.add("s", *[f"{number:0200}" for number in range(10)])
    assert [part.values for part in got(one)] == [{"events": [], "requests": None}]


def test_what_a_lost_member_had_is_told_to_another(world: World) -> None:
    owner, first, second = world.client(), world.client(), world.client()
    owner.add("s", "e")
    join(first, 1)
    trigger(owner, *range(4))
    join(second, 2)
    begin(first, 1, 1)
    world.lose(first)
    assert [*got(second)] == [Got(2, "e", 0, (3, "lost_link"))]


def test_who_closes_without_a_word_of_what_it_has_begun_gets_what_is_on_its_way(world: World) -> None:
    owner, first, second = world.client(), world.client(), world.client()
    owner.add("s", "e")
    join(first, 1)
    trigger(owner, *range(6))
    join(second, 2)
    leave(first, 1, None)
    assert heard(second) == [4, 5]
    assert heard(first) == [0, 1, 2, 3]


def test_a_client_that_begins_more_than_it_has_gains_nothing(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    join(one, 1)
    begin(one, 1, 1000)
    begin(one, 99, 5)  # of no listener
    one.core._first += pack_credit(Credit(5, Unit.PARTS), route=1)
    one.listen(2, "s", "other")
    begin(one, 2, 5)  # which is given nothing by itself
    trigger(owner, *range(10))
    assert heard(one) == [0, 1, 2, 3]
    leave(one, 1, 10**9)
    leave(one, 2, 0)
    assert not one.connection.closed


def test_a_member_is_given_nothing_before_the_answer_to_its_listen(world: World) -> None:
    owner, plain, one = world.client(), world.client(), world.client()
    owner.add("s", "e")
    trigger(owner, "nobody hears it")  # so it is told to hold back
    answer = Answer()
    one.core.listen(Listen(1, "s", "e", group="g"), 1, world.now, 30, answer)
    world.carry_up(one)
    plain.core.listen(Listen(1, "s", "e"), 1, world.now, 30, Answer())
    world.carry_up(plain)
    world.carry_down(one)
    assert answer.times == 0
    # Meanwhile there is a group, without anybody who could be given something.
    trigger(owner, "early")
    assert answer.ok is None
    trigger(owner, "news")
    assert heard(one) == ["news"]
    assert [value for _, value in plain.heard()] == ["early", "news"]


def test_who_closes_before_it_was_answered_is_no_member(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    trigger(owner, "nobody hears it")
    one.core.listen(Listen(1, "s", "e", group="g"), 1, world.now, 30, Answer())
    one.call(Close(1, 0))
    world.settle()
    trigger(owner, "news")
    assert heard(one) == []
    assert not world.server.shares._groups


def test_the_owner_is_told_once_that_its_events_are_shared_out(world: World) -> None:
    owner, one = world.raw(), world.client()
    owner.send(pack_call(AddSender("s", ["e"])))
    routes = [frame.route for frame in owner.read() if frame.kind == Kind.ROUTE]
    for number in (1, 2):
        one.core.listen(Listen(number, "s", "e", group="g"), number, world.now, 30, Answer())
        world.settle()
    told = [frame for frame in owner.read() if frame.kind == Kind.INTEREST]
    assert [(frame.route, frame.body) for frame in told] == [(routes[0], b'{"state":"grouped"}')]


def test_listeners_with_types_are_told_them(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.ask(AddSender("s", ["e"], schema=Schema({"e": msgspec.Raw(b'{"type":"integer"}')})))
    join(one, 1)
    trigger(owner, 1)
    routes = [news.route for news in one.news if isinstance(news, RouteOpened)]
    assert {bytes(route.schema) for route in routes} == {b'{"type":"integer"}'}
    assert [route.listener for route in routes] == [None, 1]


def test_a_group_needs_a_name(world: World) -> None:
    one = world.client()
    for name in ("", "x" * 256):
        with pytest.raises(InvalidArgument, match="the name of a group has 1 to 255 bytes"):
            assert join(one, 1, group=name).ok
    assert join(one, 1, group="x" * 255).ok is None


def test_numbers_of_lanes_are_not_given_to_others(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    join(one, 1)
    trigger(owner, 1)
    (lane,) = world.server.shares._numbers
    world.server._last_number = lane - 1
    assert world.server.number() == lane + 1


# -- listeners for whom senders wait ---------------------------------------------------------------


def credit(end: End) -> int:
    end.world.settle()
    return end.core.outgoing.credit


def test_an_owner_gets_no_credit_for_what_a_listener_has_not_been_given() -> None:
    world = World(send_window_bytes=20_000)
    owner, one, plain = world.client(), world.client(), world.client()
    owner.add("s", "e")
    before = credit(owner)
    join(one, 1, group=None, max_wait_s=5, window=2)
    plain.listen(1, "s", "e")
    large = "x" * (before // 4)
    for _ in range(8):
        trigger(owner, large)
    # What is more than the window waits at the owner, and so does everybody else.
    assert len(heard(one)) == 2
    assert len(plain.heard()) < 8
    while len(heard(one)) < 8:
        begin(one, 1, 2)
    assert len(plain.heard()) == 8
    begin(one, 1, 2)
    assert credit(owner) > before // 2


def test_what_waits_too_long_is_lost_and_the_owner_goes_on(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    join(one, 1, group=None, max_wait_s=6, window=2)
    trigger(owner, *range(5))
    world.advance(4)
    assert heard(one) == [0, 1]
    assert world.server.shares.due == 1006
    trigger(owner, "late")
    world.advance(2)
    assert [part.values for part in got(one)][-1] == (3, "slow")
    begin(one, 1, 5)
    assert heard(one)[-1] == "late"
    world.advance(60)
    assert world.server.shares.due == float("inf")


@pytest.mark.parametrize("missed", [3, None])
def test_what_never_came_from_an_owner_that_is_back_one_member_is_told(missed: int | None) -> None:
    world = World()
    owner, one, two, alone = world.client(offline=Offline("buffer", 1000, 30)), *(world.client() for _ in range(3))
    owner.add("s", "e")
    join(one, 1)
    join(two, 1)
    join(alone, 1, group=None, max_wait_s=6, window=2)
    trigger(owner, 1)
    world.lose(owner)
    world.come_back(owner)
    owner.ask(AddSender("s", ["e"], lost={"e": missed}))
    owner.core.restored(world.now)
    lost = Got(1, "e", 0, (missed, "lost_link"))
    assert sum(lost in got(end) for end in (one, two)) == 1
    assert lost in got(alone)
    lanes = [news.route for end in (one, two, alone) for news in end.news if isinstance(news, RouteOpened)]
    assert {lane.next_seq for lane in lanes} <= {1, 2}
    begin(alone, 1, 1 + (missed or 0))
    trigger(owner, 2, 3)
    assert heard(alone) == [1, 2, 3]


def test_nobody_is_told_who_is_not_a_member_yet(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    answer = join(one, 1)
    assert answer.ok is None
    (subscription,) = one.connection.subscriptions.values()
    assert subscription.member is not None
    subscription.member.ready = False  # as before its answer
    world.server.shares.miss(world.server.routes[owner.core.owning._owned["s", "e"]], 3)
    world.settle()
    assert list(got(one)) == []


def test_a_client_counts_a_route_from_where_it_was_told_of_it_first(world: World) -> None:
    """By itself or as everybody: should its link be lost, it has missed what it has not counted."""
    owner, one, two = world.client(), world.client(), world.client()
    owner.add("s", "e")
    two.listen(2, "s", "e")
    trigger(owner, 1)
    for each in (one, two):
        join(each, 1, group=None, max_wait_s=5, window=1)
    trigger(owner, 2)
    route = world.server.routes[owner.core.owning._owned["s", "e"]]
    assert [each.connection.known[route] for each in (one, two)] == [2, 1]


def test_who_may_not_block_is_given_the_same_and_nobody_waits() -> None:
    world = World(send_window_bytes=20_000)
    owner, one = world.client(), world.client()
    world.server.allowed = lambda identity, action, sender, name: action != "block"  # type: ignore[method-assign]
    owner.add("s", "e")
    before = credit(owner)
    join(one, 1, group=None, max_wait_s=5, window=1)
    for number in range(8):
        trigger(owner, [number, "x" * (before // 4)])
    assert [value[0] for value in heard(one)] == [0]  # type: ignore[index]
    assert credit(owner) > 0
    leave(one, 1, 1)
    assert not world.server.shares._blocking


def test_an_owner_that_has_gone_needs_no_credit(world: World) -> None:
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    join(one, 1, group=None, max_wait_s=5, window=1)
    trigger(owner, 1, 2)
    world.lose(owner)
    begin(one, 1, 1)
    assert heard(one) == [1, 2]


def test_who_is_back_is_told_from_where_on_it_is_given_events(world: World) -> None:
    """Of what it may listen to."""
    owner, one = world.client(), world.client()
    world.server.allowed = lambda identity, action, sender, name: name != "f"  # type: ignore[method-assign]
    owner.add("s", "e", "f")
    trigger(owner, 1, 2)
    join(one, 7, "s", None, group=None, max_wait_s=5, again=True)
    trigger(owner, 3)
    lanes = [news.route for news in one.news if isinstance(news, RouteOpened) and news.route.listener == 7]
    assert [(lane.event, lane.next_seq) for lane in lanes] == [("e", 3)]
    assert [*got(one)] == [Got(7, "e", 3, [3])]


def test_who_is_back_and_has_no_room_to_be_told_so_is_given_events_all_the_same() -> None:
    world = World(link_control_bytes=4000)
    owner, one = world.client(), world.client()
    owner.add("s", "e")
    join(one, 7, group=None, max_wait_s=5, again=True)
    assert not [news for news in one.news if isinstance(news, RouteOpened)]
    trigger(owner, 1)
    assert [*got(one)] == [Got(7, "e", 1, [1])]


def test_who_may_not_listen_is_no_member(world: World) -> None:
    owner, one = world.client(), world.client()
    world.server.allowed = lambda identity, action, sender, name: name != "e"  # type: ignore[method-assign]
    owner.add("s", "e", "f")
    join(one, 1, "s", None)
    trigger(owner, 1)
    trigger(owner, 2, event="f")
    assert heard(one) == [2]


def test_what_waits_goes_to_those_who_may_have_it_and_no_right_to_trigger_reaches_no_member() -> None:
    world = World()
    owner, one, other = world.client(), world.client(known_as="uid:1"), world.client(known_as="uid:2")
    owner.add("s", "e")
    for end in (one, other):
        assert join(end, 1, group="g", window=1).ok is None
    everybody = allow("*", ["own", "trigger", "listen"])
    trigger(owner, 1, 2, 3, 4)
    assert [len(heard(end)) for end in (one, other)] == [1, 1]
    world.server.govern(Policy([everybody, deny("uid:1", "listen")]), None, world.now)
    world.settle()
    for end in (one, other):
        begin(end, 1, 1)
    begin(other, 1, 1)
    assert [len(heard(end)) for end in (one, other)] == [1, 3]
    world.server.govern(Policy([allow("*", ["own", "listen"])]), None, world.now)
    world.settle()
    owner.core.owning._denied.clear()
    trigger(owner, 5)
    begin(other, 1, 1)
    assert [len(heard(end)) for end in (one, other)] == [1, 3]


# Senders that leave while a link is away


@pytest.mark.parametrize("noticed", [True, False])
def test_who_has_senders_wait_learns_by_its_lane_what_it_was_to_hear(noticed: bool) -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.core.listen(BLOCKING, "listener", world.now, 30, Answer())
    world.settle()
    if noticed:
        world.lose(end)
    else:
        lose_unnoticed(world, end)
    source.ask(AddSender("s", ["e"]))
    send(source, "e", "e", "e")
    source.ask(RemoveSender("s"))
    come_back(world, end, BLOCKING)
    assert (4, 1, 1) in told(end)
    assert len({number for _, _, number in told(end)}) == len(told(end)) == closed(end)


def test_who_has_senders_wait_learns_what_it_had_no_room_for_yet() -> None:
    """A sender leaves, and what waits still comes; then the link is lost."""
    world = World()
    end, source = world.client(offline=away()), world.client()
    listen = replace(BLOCKING, sender=None)
    end.core.listen(listen, "listener", world.now, 30, Answer())
    world.settle()
    stays = world.client()
    stays.add("stays", "e")
    source.ask(AddSender("s", ["e"]))
    send(source, "e", "e", "e")
    source.ask(RemoveSender("s"))
    stays.core.owning.trigger("stays", "e", b"1")
    world.settle()
    assert len(end.heard()) == 1
    world.lose(end)
    come_back(world, end, listen)
    assert told(end)[0] == (4, 2, 1)


def test_who_begins_to_have_senders_wait_on_another_link_has_missed_nothing_of_before() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(2, "s", "e")
    world.lose(end)
    world.come_back(end)
    end.core.listen(BLOCKING, "listener", world.now, 30, Answer())
    world.settle()
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    assert [next_seq for next_seq, _, _ in told(end)] == [1]


def test_who_has_senders_wait_is_not_told_what_another_listener_of_its_client_was_to_hear() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.listen(2, "s", "e")
    source.ask(AddSender("s", ["e"]))
    send(source, "e", "e")
    end.core.listen(BLOCKING, "listener", world.now, 30, Answer())
    world.settle()
    for came in (3, 4):
        world.lose(end)
        send(source, "e")
        come_back(world, end, BLOCKING)
        assert told(end)[-1] == (came + 1, 3, 1)


def test_a_member_of_a_group_is_told_nothing_of_lanes_that_have_ended() -> None:
    world = World()
    end, source = world.client(offline=away()), world.client()
    end.core.listen(Listen(1, "s", "e", group="g"), "listener", world.now, 30, Answer())
    world.settle()
    source.ask(AddSender("s", ["e"]))
    send(source, "e")
    lose_unnoticed(world, end)
    source.ask(RemoveSender("s"))
    come_back(world, end, Listen(1, "s", "e", group="g"))
    assert [listener for _, _, listener in told(end) if listener is not None] == []
