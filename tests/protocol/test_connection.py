"""What a server keeps for one client: in order, bounded, and cut off rather than grown."""

from __future__ import annotations

import pytest
from protocol.pairs import World

from sig.codecs import JSON
from sig.constants import Limits
from sig.errors import ConnectionLost, Overloaded
from sig.messages import Bye, Error, decode_control, decode_error
from sig.protocol.bodies import Credit, Lost, pack_ack, unpack_credit, unpack_lost
from sig.protocol.connection import Connection
from sig.protocol.events import pack_events
from sig.protocol.frames import HEADER, PREFACE, RESULT_ERR, Frame, FrameReader, Kind, pack
from sig.protocol.heard import Audience
from sig.protocol.outbox import Frames


def frames(data: bytes) -> list[Frame]:
    return FrameReader(1 << 24).feed(data.removeprefix(PREFACE))


def event(route: int, payload: bytes) -> bytes:
    (frame,) = pack_events([(route, payload)], lens=False, lines=True, max_frame_bytes=1 << 20)
    return frame


def test_dropped_events_become_the_news_of_them_in_their_place() -> None:
    world = World(link_drop_bytes=200)
    connection = world.client().connection
    connection.put(pack(Kind.ROUTE, b"{}", route=1))
    for number in range(9):
        connection.share(Frames.of(event(1, b'"' + str(number).encode() * 40 + b'"'), ((1, 1),)))
    connection.put(pack(Kind.ROUTE_GONE, b"{}", route=1))
    sent = frames(connection.data_to_send(1 << 20))
    assert [frame.kind for frame in sent] == [
        Kind.ROUTE,
        Kind.LOST,
        Kind.EVENT,
        Kind.EVENT,
        Kind.EVENT,
        Kind.ROUTE_GONE,
    ]
    assert unpack_lost(sent[1]) == (1, 6, "slow")
    assert sent[2].body.endswith(b'"' + b"6" * 40 + b'"')


def test_there_is_room_for_what_one_could_do_without_as_long_as_little_waits() -> None:
    connection = World(link_control_bytes=4000).client(limits=Limits.of(max_frame_bytes=900)).connection
    connection.data_to_send(1 << 20)
    assert connection.has_room_for(b"x" * 900)
    assert not connection.has_room_for(b"x" * 901)
    connection.put(pack(Kind.LOST, b"x" * (500 - HEADER.size)))
    assert connection.has_room_for(b"x" * 500)
    assert not connection.has_room_for(b"x" * 501)


def test_it_hands_out_about_as_much_as_it_is_asked_for() -> None:
    connection = World().client().connection
    for _ in range(10):
        connection.put(pack(Kind.LOST, b"x" * 88))
    assert len(frames(connection.data_to_send(250))) == 3
    assert len(frames(connection.data_to_send(1))) == 1


def test_a_client_that_lets_control_pile_up_is_cut_off() -> None:
    world = World(link_control_bytes=1000)
    connection = world.client().connection
    connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
    for _ in range(12):
        connection.put(pack(Kind.LOST, b"x" * 88))
    assert connection.closed
    assert isinstance(connection.error, Overloaded)
    assert connection.data_to_send(1 << 20) == b""
    assert world.server.dirty == {connection: None}
    # What still comes for it is nobody's concern, and does not cut it again.
    connection.put(pack(Kind.LOST, b"x" * 2000))


def test_what_others_ask_of_a_client_does_not_count_against_it() -> None:
    world = World(link_control_bytes=1000, link_drop_bytes=2000)
    connection = world.client().connection
    request = pack(Kind.REQUEST, b"x" * 988)
    assert connection.put_asked(pack(Kind.REQUEST, b"x" * 5000)), "one may be as large as it likes"
    assert not connection.put_asked(request), "but then it must be read first"
    for _ in range(9):
        connection.put(pack(Kind.LOST, b"x" * 88))
    assert not connection.closed
    assert [len(frame.data) for frame in frames(connection.data_to_send(1))] == [5012]
    assert connection.put_asked(request)
    assert connection.put_asked(pack(Kind.CANCEL, b"x" * 988))
    assert not connection.put_asked(pack(Kind.CANCEL, b"x"))
    assert [frame.kind for frame in frames(connection.data_to_send(1 << 20))][-2:] == [Kind.REQUEST, Kind.CANCEL]
    assert connection.put_asked(pack(Kind.REQUEST, b"x" * 5000))
    for _ in range(2):
        connection.put(pack(Kind.LOST, b"x" * 600))
    assert connection.closed


def test_what_it_is_asked_stands_among_events_and_control_in_order() -> None:
    connection = World().client().connection
    connection.data_to_send(1 << 20)
    before = connection.frames_out
    for number in range(3):
        connection.put_asked(pack(Kind.REQUEST, b"one", route=number))
        connection.put_asked(pack(Kind.CANCEL, b"two", route=number))
        if number == 0:
            connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
        elif number == 1:
            connection.lose(((1, 5),), "codec")
            connection.put(pack(Kind.ROUTE_GONE, b"{}", route=1))
    sent = [frame.kind for frame in frames(connection.data_to_send(1 << 20))]
    asked = [Kind.REQUEST, Kind.CANCEL]
    assert sent == [*asked, Kind.EVENT, *asked, Kind.LOST, Kind.ROUTE_GONE, *asked]
    assert connection.frames_out - before == len(sent)


def test_what_it_is_asked_leaves_in_pieces_where_it_is_much_or_held_up() -> None:
    world = World(memory_bytes=1 << 20)
    connection = world.client().connection
    connection.data_to_send(1 << 20)
    large = pack(Kind.REQUEST, b"x" * 30_000)
    for _ in range(5):
        connection.put_asked(large)
    assert len(connection.data_to_send(1)) == 3 * len(large)
    connection.weigh(unwritten=1)
    waiting = connection.waiting
    assert waiting == 2 * len(large) + 1
    connection.put_asked(large)
    connection.weigh(unwritten=1)  # as at the end of each turn, while it is held up
    assert connection.waiting == waiting + len(large)
    assert len(connection.data_to_send(1 << 20)) == 3 * len(large)


def test_a_link_that_has_ended_takes_nothing_more() -> None:
    connection = World().client().connection
    connection.say_bye("shutdown")
    connection.put(pack(Kind.LOST, b"x"))
    connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
    assert connection.put_asked(pack(Kind.REQUEST, b"x"))
    assert [frame.kind for frame in frames(connection.data_to_send(1 << 20))] == [Kind.BYE]


def test_a_link_that_is_down_keeps_nothing() -> None:
    connection = World().client().connection
    connection.put(pack(Kind.LOST, b"x"))
    connection.put_asked(pack(Kind.REQUEST, b"x"))
    connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
    connection.receive_eof()
    assert (connection.data_to_send(1 << 20), connection.outbox.bytes) == (b"", 0)


def test_a_client_that_cannot_take_what_must_be_said_is_told_what_to_do() -> None:
    connection = World().client(limits=Limits.of(max_frame_bytes=300)).connection
    connection.put(pack(Kind.ROUTE, b"x" * 300))
    assert not connection.closed
    connection.put(pack(Kind.ROUTE, b"x" * 301))
    (frame,) = frames(connection.data_to_send(1 << 20))
    assert frame.kind == Kind.ERROR
    assert "give it a larger max_frame_bytes" in decode_control(Error, frame.body).message


@pytest.mark.parametrize("limits", [{"link_control_bytes": 1000}, {"max_control_frame_bytes": 500}])
def test_a_result_that_would_cut_the_link_is_an_error_instead(limits: dict[str, float]) -> None:
    world = World(**limits)
    connection = world.client().connection
    connection.result(5, ["x" * 600])
    (frame,) = frames(connection.data_to_send(1 << 20))
    assert (frame.kind, frame.flags, frame.route) == (Kind.RESULT, RESULT_ERR, 5)
    error = decode_error(frame.body)
    assert isinstance(error, Overloaded)
    assert "pattern" in str(error)


def test_a_control_frame_beyond_the_limit_is_refused() -> None:
    world = World(max_control_frame_bytes=100)
    end = world.client()
    world.server.receive_data(end.connection, pack(Kind.CALL, b"[" * 200), world.now)
    assert "the limit is 100" in str(end.connection.error)


def test_a_second_hello_and_a_hello_that_is_none() -> None:
    world = World()
    end = world.client()
    world.server.receive_data(end.connection, pack(Kind.HELLO, b"{}"), world.now)
    assert "a second HELLO" in str(end.connection.error)
    stranger = world.accept()
    world.server.receive_data(stranger, PREFACE + pack(Kind.CALL, b"{}"), world.now)
    assert "before the handshake" in str(stranger.error)


def test_events_before_the_handshake_are_a_mistake() -> None:
    world = World()
    stranger = world.accept()
    world.server.receive_data(stranger, PREFACE + event(1, b"1"), world.now)
    assert "EVENT before the handshake" in str(stranger.error)


def test_a_client_owns_names_and_listens_until_it_goes() -> None:
    world = World()
    end = world.client()
    end.add("s", "e", requests=["m"])
    end.listen(1, "s", "e")
    connection = end.connection
    (held,) = connection.held.values()
    assert (held.name, held.events, held.owner) == ("s", ["e"], connection)
    assert held.presence() == {"events": ["e"], "requests": ["m"]}
    (route,) = held.routes
    assert (route.sender, route.event, list(route.known_by)) == ("s", "e", [connection])
    (subscription,) = connection.subscriptions.values()
    assert (subscription.connection, subscription.sender, subscription.event) == (connection, "s", "e")
    end.core.owning.trigger("s", "e", b"1")
    end.flush()
    assert end.heard() == [(route.id, 1)]
    world.lose(end)
    assert (connection.held, connection.subscriptions, connection.known) == ({}, {}, {})


def test_credit_is_given_for_half_a_window_at_a_time() -> None:
    connection = World(send_window_bytes=1000).client().connection
    connection.spend(499)
    assert connection.data_to_send(1 << 20) == b""
    connection.spend(1)
    (frame,) = frames(connection.data_to_send(1 << 20))
    assert unpack_credit(frame) == Credit(500)


def test_events_that_it_cannot_take_are_told_together() -> None:
    connection = World(link_control_bytes=100).client().connection
    for _ in range(100):
        connection.lose(((1, 2), (2, 1)), "too_big")
    assert not connection.closed
    told = [unpack_lost(frame) for frame in frames(connection.data_to_send(1 << 20))]
    assert told == [Lost(1, 200, "too_big"), Lost(2, 100, "too_big")]
    connection.say_bye("closed")
    connection.lose(((1, 2),), "too_big")
    assert [frame.kind for frame in frames(connection.data_to_send(1 << 20))] == [Kind.BYE]


def test_what_waits_for_a_link_that_takes_no_more_is_in_the_budget() -> None:
    world = World()
    connection, budget = world.client().connection, world.server.budget
    connection.put(pack(Kind.LOST, b"x" * 488))
    connection._hasten(pack(Kind.REPLY, b"x" * 988))
    assert (connection.waiting, budget.used) == (0, 0)
    connection.weigh(3000)
    assert (connection.waiting, connection.beside) == (500 + 1000 + 3000, 1000 + 3000)
    assert budget.used >= connection.waiting
    connection.data_to_send(1 << 20)
    connection.weigh(2000)
    assert (connection.waiting, budget.used) == (2000, 2000)
    connection.receive_eof()
    connection.weigh(2000)
    assert (connection.waiting, budget.used) == (0, 0)


def test_who_takes_no_more_is_not_asked_again_for_each_event() -> None:
    world = World()
    connection = world.client().connection
    world.server.dirty.clear()
    connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
    assert world.server.dirty == {connection: None}
    connection.weigh(0)
    world.server.dirty.clear()
    connection.share(Frames.of(event(1, b"1"), ((1, 1),)))
    assert world.server.dirty == {}
    assert [frame.count for frame in frames(connection.data_to_send(1 << 20))] == [1, 1]


def test_who_may_send_less_is_given_less_credit() -> None:
    world = World(memory_bytes=16_000, send_window_bytes=2_000, max_connections=20)
    ends = [world.client() for _ in range(6)]
    for number, end in enumerate(ends):
        end.add(f"s{number}", "e")
    first, second, *_, last = (end.connection for end in ends)
    assert (first.window_bytes, second.window_bytes, last.window_bytes) == (2000, 2000, 200)

    def given(connection: Connection, spent: int) -> list[int]:
        connection.data_to_send(1 << 20)
        connection.spend(spent)
        return [unpack_credit(frame).amount for frame in frames(connection.data_to_send(1 << 20))]

    fair = 200 + 4000 // 6
    assert (given(first, 1300), first.window_bytes) == ([1300 - (2000 - fair)], fair)
    assert (given(last, 100), last.window_bytes) == ([100 + fair - 200], fair)
    assert (given(second, 1000), second.window_bytes) == ([], 1000)


def test_what_leaves_is_counted_by_frame_and_by_event() -> None:
    connection = World().client().connection
    before = connection.frames_out, connection.bytes_out
    run = event(1, b"1") * 3
    connection.share(Frames.of(run, ((1, 3),), 3))
    connection.share(Frames.of(event(1, b"2"), ((1, 1),)))
    connection.put(pack(Kind.LOST, b"x"))
    sent = connection.data_to_send(1 << 20)
    assert (connection.frames_out - before[0], connection.bytes_out - before[1]) == (5, len(sent))
    assert (connection.events_out, connection.missed) == (4, 0)


def test_credit_that_is_held_back_is_given_when_it_is_let_go() -> None:
    world = World(send_window_bytes=10_000)
    owner = world.client()
    owner.add("s", "e")
    connection = owner.connection
    connection.data_to_send(1 << 20)
    connection.hold(8000)
    connection.spend(8000)
    connection.give_credit()
    assert connection.data_to_send(1 << 20) == b""
    connection.let_go(8000)
    (credit,) = frames(connection.data_to_send(1 << 20))
    assert unpack_credit(credit) == Credit(8000)
    world.lose(owner)
    connection.let_go(8000)
    assert connection.data_to_send(1 << 20) == b""


def test_who_is_removed_is_sent_nothing_but_why() -> None:
    world = World()
    raw = world.raw()
    raw.connection.put(pack(Kind.ROUTE_GONE, b"{}", route=9))
    raw.connection.remove("go")
    raw.connection.remove("again")
    (frame,) = raw.read()
    assert (frame.kind, raw.connection.removed, raw.connection.closed) == (Kind.BYE, True, True)
    assert decode_control(Bye, frame.body) == Bye("denied", "go")


def test_a_reliable_link_is_lost_and_its_connection_stays() -> None:
    world = World(resend_bytes=1000)
    end = world.client(reliable=True)
    end.add("s", "e")
    connection = end.connection
    assert connection.resumes is not None
    assert (connection.parted, connection.kept) == (False, connection.resumes.bytes)
    connection.put(pack(Kind.LOST, bytes(1200)))
    connection.put(pack(Kind.LOST, bytes(1200)))
    assert connection.data_to_send(1200)  # more than is allowed, but one at least
    assert connection.outbox.held
    assert connection.waiting == connection.kept + connection.outbox.bytes > 2400
    world.server.receive_data(connection, pack_ack(connection.resumes.sent), world.now)
    assert connection.kept == 0
    connection.acknowledge(world.now + 1)
    assert frames(connection.data_to_send(1000))[0].kind == Kind.ACK
    connection.cut(ConnectionLost("the link was lost"))
    assert (connection.parted, connection.closed) == (True, False)
    connection.acknowledge(world.now + 2)
    assert connection.data_to_send(1000) == b""
    connection.cut(Overloaded("too much"))
    assert connection.closed
    world.server.settle()
    assert (world.server.budget.used, connection.kept) == (0, 0)
    connection._hold_up()
    connection.resumes = None
    connection._keeps()
    connection.acknowledge(world.now)


def late(world: World, *audiences: Audience, connection: Connection) -> None:
    """Its link takes nothing, and has not for long."""
    connection.share(Frames.of(event(9, b"0"), ((9, 1),)))
    connection.weigh(1)
    for audience in audiences:
        audience.part([connection], world.server.backlogs)


def follow(audience: Audience, route: int, payload: bytes) -> None:
    assert audience.backlog is not None
    audience.backlog.put(Frames.of(event(route, payload), ((route, 1),)))


def said(connection: Connection, limit: int = 1 << 20) -> list[object]:
    """What it says: payloads, how many are missing, or which kind of frame."""
    found: list[object] = []
    for frame in frames(connection.data_to_send(limit)):
        if frame.kind == Kind.EVENT:
            found.append(frame.body[8:])
        else:
            found.append(unpack_lost(frame).missed if frame.kind == Kind.LOST else Kind(frame.kind))
    return found


def test_who_has_taken_nothing_for_long_says_so() -> None:
    world = World()
    world.server.backlogs.patience = 2
    connection = world.client().connection
    one = Frames.of(event(1, b"1"), ((1, 1),))
    assert [connection.offer(one) for _ in range(9)] == [False] * 9
    connection.weigh(1)
    assert [connection.offer(one) for _ in range(4)] == [False, False, True, True]
    connection.data_to_send(1)
    assert [connection.offer(one) for _ in range(3)] == [False, False, True]
    connection.put_asked(pack(Kind.REQUEST, b"x"))
    assert connection.offer(one)
    late(world, Audience((connection,), JSON), connection=connection)
    assert connection.offer(one)
    assert said(connection) == [*[b"1"] * 12, Kind.REQUEST, b"0"]
    assert [connection.offer(one) for _ in range(9)] == [False] * 9


def test_who_is_late_is_told_all_in_its_place() -> None:
    """Of several audiences, and between what is for it alone: control, requests, losses and events."""
    world = World()
    connection = world.client().connection
    one, other = (Audience((connection,), JSON) for _ in range(2))
    late(world, one, other, connection=connection)
    assert not one.prompt
    follow(one, 1, b"1")
    follow(other, 2, b"2")
    follow(one, 1, b"3")
    connection.put(pack(Kind.ROUTE_GONE, b"{}", route=9))
    follow(one, 1, b"4")
    connection.put_asked(pack(Kind.REQUEST, b"x"))
    follow(other, 2, b"5")
    connection.lose(((1, 7),), "codec")
    follow(one, 1, b"6")
    connection.share(Frames.of(event(3, b"7"), ((3, 1),)))
    follow(other, 2, b"8")
    connection.weigh(1)
    expected = [b"0", b"1", b"2", b"3", Kind.ROUTE_GONE, b"4", Kind.REQUEST, b"5", 7, b"6", b"7", b"8"]
    assert said(connection) == expected
    assert (one.prompt, connection.behind, connection.outbox.held) == ({connection: None}, {}, False)
    connection.weigh(0)
    assert world.server.budget.used == 0


def test_who_is_told_something_while_late_is_not_handed_all_that_waits_for_it() -> None:
    """That would be much work at once, where many are told the same."""
    world = World()
    connection = world.client().connection
    audience = Audience((connection,), JSON)
    late(world, audience, connection=connection)
    follow(audience, 1, b"1")
    held = connection.outbox.bytes, connection.unsent
    frame, run = pack(Kind.ROUTE_GONE, b"{}", route=9), Frames.of(event(3, b"3"), ((3, 1),))
    before = connection.control_bytes
    connection.put(frame)
    connection.share(run)
    assert connection.outbox.bytes == held[0]
    assert connection.unsent == (held[1][0] + len(frame) + run.size, held[1][1] + 1)
    assert connection.control_bytes - before == len(frame)
    assert said(connection) == [b"0", b"1", Kind.ROUTE_GONE, b"3"]
    assert connection.control_bytes == 0


def test_who_is_given_much_by_itself_is_not_late_any_more() -> None:
    world = World()
    world.server.backlogs.patience = 1
    connection = world.client().connection
    for size in (1, 10_000):
        audience = Audience((connection,), JSON)
        late(world, audience, connection=connection)
        follow(audience, 1, b"1")
        run = Frames.of(event(1, b"2"), ((1, 1),))
        assert connection.offer(run)
        assert connection.offer(run)
        times = 0
        while connection.behind:
            connection.share(Frames.of(event(3, b"3" * size), ((3, 1),)))
            times += 1
        assert 64 < times <= 129 if size == 1 else 6 < times <= 7
        assert not connection.offer(run)
        assert said(connection) == [b"0", b"1", *[b"3" * size] * times, b"2"]
    connection.weigh(0)
    assert world.server.budget.used == 0


def test_who_is_late_is_cut_off_like_others_for_what_it_does_not_read() -> None:
    world = World(link_control_bytes=1000)
    connection = world.client().connection
    late(world, Audience((connection,), JSON), connection=connection)
    for _ in range(10):
        connection.put(pack(Kind.LOST, b"x" * 88))
    assert not connection.closed
    connection.put(pack(Kind.LOST, b"x"))
    assert (connection.closed, connection.unsent[1], connection.control_bytes) == (True, 0, 0)
    connection.weigh(0)
    assert world.server.budget.used == 0


def test_what_it_has_not_been_given_is_missed_like_what_is_dropped() -> None:
    """Whether it is told, or its link is lost before."""
    world = World()
    connection, gone = (world.client().connection for _ in range(2))
    audience = Audience((connection, gone), JSON)
    for each in (connection, gone):
        late(world, audience, connection=each)
    for number in range(3):
        follow(audience, 1, b"%d" % number)
        assert audience.backlog is not None
        audience.backlog.shed()
    follow(audience, 1, b"last")
    assert (connection.missed, gone.missed) == (3, 3)
    unsent = connection.unsent
    assert unsent == (connection.outbox.bytes + 1 + len(event(1, b"last")), 2)
    connection.catch_up()
    assert connection.unsent == unsent
    assert connection.missed == 3
    assert said(connection) == [b"0", 3, b"last"]
    gone.receive_eof()
    assert (connection.missed, gone.missed, gone.outbox.bytes) == (3, 3, 0)
    connection.weigh(0)
    gone.weigh(0)
    assert world.server.budget.used == 0


def test_who_leaves_in_order_is_told_first_what_it_was_not_given() -> None:
    world = World()
    connection = world.client().connection
    audience = Audience((connection,), JSON)
    late(world, audience, connection=connection)
    follow(audience, 1, b"1")
    connection._receive(Frame.of(pack(Kind.BYE, b'{"code":"closed"}')))
    assert (connection.closed, connection.behind) == (True, {})
    follow(audience, 1, b"2")
    assert said(connection) == [b"0", b"1"]
    assert not connection.offer(Frames.of(event(1, b"3"), ((1, 1),)))
    assert said(connection) == []


def test_it_is_idle_while_nothing_waits_for_it_and_what_leaves_past_it_then_is_counted() -> None:
    connection = World().client().connection
    assert connection.idle
    before = connection.frames_out, connection.bytes_out, connection.events_out
    connection.pass_by(100, 3)
    after = connection.frames_out, connection.bytes_out, connection.events_out
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 100, 3]
    connection.put(pack(Kind.LOST, b"x"))
    assert not connection.idle
    connection.data_to_send(1000)
    assert connection.idle
    connection.weigh(1)
    assert not connection.idle
    connection.weigh(0)
    connection.receive_eof()
    assert not connection.idle
