"""What a server tells about itself: exact counts of what it has done, the largest first."""

from __future__ import annotations

import msgspec
import pytest
from protocol.pairs import End, World
from protocol.serving import owner_of

from sig.constants import Limits
from sig.errors import Denied, Overloaded
from sig.messages import Stats as StatsMessage
from sig.protocol.connection import Connection
from sig.security.policy import Policy, allow, deny
from sig.stats import LinkStats, SenderStats, Stats


def asked(end: End, limit: int = 100) -> Stats:
    return msgspec.convert(end.ask(StatsMessage(limit)), Stats)


def link(stats: Stats, end: End) -> LinkStats:
    (row,) = (row for row in stats.links if row.client == end.connection.number)
    return row


def trigger(end: End, event: str, times: int) -> None:
    """So many events in one frame."""
    for _ in range(times):
        end.core.owning.trigger("s", event, b"1")
    end.world.settle()


def test_events_are_counted_where_they_come_from_and_where_they_go() -> None:
    world = World()
    owner, both, one = (world.client() for _ in range(3))
    owner.add("s", "e", "f", "unheard")
    both.listen(1, "s", None)
    one.listen(1, "s", "f")
    for event, times in (("e", 3), ("f", 2), ("f", 5), ("unheard", 1)):
        trigger(owner, event, times)
    stats = asked(both)
    assert stats.senders == [
        SenderStats(sender="s", event="f", accepted=7, receivers=2),
        SenderStats(sender="s", event="e", accepted=3, receivers=1),
        SenderStats(sender="s", event="unheard", accepted=1, receivers=1),
    ]
    assert [(link(stats, end).events_in, link(stats, end).events_out) for end in (owner, both, one)] == [
        (11, 0),
        (0, 11),
        (0, 7),
    ]
    assert (stats.totals.events_in, stats.totals.events_out) == (11, 18)
    assert (stats.totals.clients, stats.totals.senders, stats.totals.events) == (3, 1, 3)
    assert stats.totals.subscriptions == 2
    assert stats.time == pytest.approx(1_700_001_000.0)
    row = link(stats, owner)
    assert (row.name, row.address, row.senders, link(stats, both).subscriptions) == ("client 0", "client 0", 1, 1)


def test_bytes_and_frames_are_counted_as_they_pass() -> None:
    _, owner, other = owner_of("e")
    other.listen(1, "s", None)
    before = link(asked(other), owner), link(asked(other), other)
    for _ in range(2):
        trigger(owner, "e", 4)
    size = len(b"1\n1\n1\n1") + 20
    after = link(asked(other), owner), link(asked(other), other)
    assert (after[0].bytes_in - before[0].bytes_in, after[0].frames_in - before[0].frames_in) == (2 * size, 2)
    # Beside the events: the route of them, and the answers to those who asked.
    assert after[1].frames_out - before[1].frames_out == 2 + 1 + 2
    assert after[1].bytes_out - before[1].bytes_out > 2 * size
    assert after[1].frames_in - before[1].frames_in == 2


def test_frames_that_leave_as_one_piece_are_as_many_as_they_are() -> None:
    world = World()
    owner, other, asks = (world.client() for _ in range(3))
    owner.add("s", "e")
    other.listen(1, "s", None)
    trigger(owner, "e", 1)
    before = link(asked(asks), other).frames_out
    world.ends.remove(owner)
    data = b""
    for _ in range(3):
        trigger(owner, "e", 1)
        data += owner.core.data_to_send(1 << 20)
    world.server.receive_data(owner.connection, data, world.now)
    assert len(other.connection.outbox) == 1
    world.settle()
    assert link(asked(asks), other).frames_out - before == 3


def test_who_does_not_read_comes_first_and_what_it_misses_is_told() -> None:
    world = World(link_drop_bytes=300)
    owner, slow, small, asks = (
        world.client(limits=Limits.of(max_frame_bytes=400) if small else None) for small in (0, 0, 1, 0)
    )
    owner.add("s", "e")
    slow.listen(1, "s", None)
    small.listen(1, "s", None)
    trigger(owner, "e", 1)
    world.ends.remove(slow)
    for _ in range(10):
        owner.core.owning.trigger("s", "e", b'"' + b"x" * 500 + b'"')
        world.settle()
    stats = asked(asks, limit=2)
    assert stats.links[0].client == slow.connection.number
    assert len(stats.links) == 2
    row = link(stats, slow)
    assert (row.missed, row.waiting_events, row.waiting_bytes) == (9, 1, 522)
    assert link(asked(asks), small).missed == 10
    assert stats.totals.missed == 19
    slow.connection.weigh(1000)
    row = link(asked(asks), slow)
    assert row.waiting_bytes == 1522
    assert asked(asks).totals.memory_bytes > 1522


def test_what_those_had_who_have_gone_stays_in_the_sums() -> None:
    world = World()
    owner, other, asks = (world.client() for _ in range(3))
    owner.add("s", "e")
    other.listen(1, "s", None)
    trigger(owner, "e", 5)
    before = asked(asks).totals
    world.lose(owner)
    world.lose(other)
    after = asked(asks).totals
    assert (after.events_in, after.events_out, after.clients, after.senders) == (5, 5, 1, 0)
    assert after.bytes_in > before.bytes_in
    stranger = world.accept()
    world.server.receive_data(stranger, b"GET / HTTP/1.1\r\n\r\n", world.now)
    world.server.disconnected(stranger, world.now)
    assert asked(asks).totals.refused == 1
    world.raw()
    world.advance(1)
    for _ in range(5):
        world.advance(5)
    assert asked(asks).totals.vanished == 1


def test_requests_in_flight_are_told_at_both_ends() -> None:
    world = World()
    owner, one, other = (world.client() for _ in range(3))
    owner.add("s", "e", requests=["m"])
    for end, times in ((one, 2), (other, 1)):
        for _ in range(times):
            end.request("s", "m")
    world.settle()
    stats = asked(other)
    assert [link(stats, end).requests_out for end in (owner, one, other)] == [0, 2, 1]
    assert [link(stats, end).requests_in for end in (owner, one, other)] == [3, 0, 0]
    for arrived in owner.asked():
        owner.core.answering.reply(arrived, b"1", None)
    world.settle()
    stats = asked(other)
    assert [(row.requests_in, row.requests_out) for row in stats.links] == [(0, 0)] * 3


def test_asking_changes_nothing() -> None:
    """Who will hear an event is found out without telling them of it."""
    _, owner, other = owner_of("e")
    other.listen(1, "s", None)
    assert [row.receivers for row in asked(owner).senders] == [1]
    assert len(other.connection.outbox) == 0
    assert list(other.connection.known) == []


def test_there_are_as_many_rows_as_asked_for_and_no_answer_is_too_large() -> None:
    world = World(max_control_frame_bytes=2000)
    owner = world.client()
    for number in range(30):
        owner.add(f"sender {number}", "e")
    assert len(asked(owner, limit=7).senders) == 7
    assert asked(owner, limit=0).senders == asked(owner, limit=0).links == []
    with pytest.raises(Overloaded, match="ask for less"):
        asked(owner, limit=30)


def test_who_may_not_see_it_does_not() -> None:
    world = World()
    owner = world.client()
    owner.add("s", "e")
    owner.add("secret", "e")

    world.server.govern(Policy([allow("*", ["list", "own"]), deny("*", "list", "secret")]), None, world.now)
    world.settle()
    told = asked(owner)
    assert [row.sender for row in told.senders] == ["s"]
    assert told.links == []  # which are for who looks after the server
    world.server.govern(Policy([allow("*", ["list", "own", "admin"])]), None, world.now)
    assert len(asked(owner).links) == 1
    world.server.govern(Policy([allow("*", "own")]), None, world.now)
    with pytest.raises(Denied, match="you may not see the statistics of this server: no rule allows it"):
        asked(owner)


def test_a_connection_counts_from_its_first_byte() -> None:
    connection: Connection = World().accept()
    connection.receive_data(b"PSIG")
    assert (connection.bytes_in, connection.frames_in) == (4, 0)
    assert connection.bytes_out == 0
    assert connection.data_to_send(100)
    assert (connection.bytes_out, connection.frames_out) == (8, 0)
