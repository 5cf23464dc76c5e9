"""Sessions: over any number of links that are cut anywhere, nothing is lost, nothing comes twice, and all in order."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sig.errors import RemoteProtocolError
from sig.protocol.bodies import pack_ack, unpack_ack
from sig.protocol.frames import FrameReader, Kind, pack
from sig.protocol.session import ACK_BYTES, ACK_FRAMES, ACK_S, Session, numbered

WINDOW = 400
LARGEST = 3 * 72  # a piece of three frames


def frame(number: int, size: int = 0) -> bytes:
    return pack(Kind.LOST, b"x" * size, route=number)


class End:
    """One end: what it has to say, what it has heard, and its session. A link is a reader and a queue of bytes."""

    def __init__(self) -> None:
        self.session = Session(WINDOW)
        self.said: list[int] = []
        self.waiting: deque[tuple[bytes, int]] = deque()
        self.again: deque[bytes] = deque()
        self.heard: list[int] = []
        self.reader = FrameReader(1 << 20)
        self.under_way = bytearray()  # to the other end

    def say(self, size: int, frames: int) -> None:
        first = len(self.said)
        self.said += range(first, first + frames)
        self.waiting.append((b"".join(frame(first + n, size) for n in range(frames)), frames))

    def pump(self, now: float) -> None:
        if (count := self.session.due(now)) is not None:
            self.under_way += pack_ack(count)
        while self.again:
            self.under_way += self.again.popleft()
        while self.waiting and self.session.room > 0:
            piece, frames = self.waiting.popleft()
            self.session.keep(piece, frames)
            self.under_way += piece

    def hear(self, data: bytes, now: float) -> None:
        for found in self.reader.feed(data):
            if found.kind == Kind.ACK:
                self.session.acknowledge(unpack_ack(found))
            else:
                self.heard.append(found.route)
                self.session.arrived(1, len(found.data), now)

    def new_link(self, received: int) -> None:
        self.reader = FrameReader(1 << 20)
        self.under_way.clear()
        self.again = deque(self.session.resume(received))


class Links(RuleBasedStateMachine):
    """Two ends that talk to each other, over links that are cut between any two bytes."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.ends = (End(), End())
        self.up = True

    @rule(who=st.integers(0, 1), size=st.integers(0, 60), frames=st.integers(1, 3))
    def say(self, who: int, size: int, frames: int) -> None:
        self.ends[who].say(size, frames)

    @precondition(lambda self: self.up)
    @rule(who=st.integers(0, 1))
    def pump(self, who: int) -> None:
        self.ends[who].pump(self.now)

    @precondition(lambda self: self.up)
    @rule(who=st.integers(0, 1), size=st.integers(1, 500))
    def carry(self, who: int, size: int) -> None:
        one, other = self.ends[who], self.ends[1 - who]
        data = bytes(one.under_way[:size])
        del one.under_way[:size]
        other.hear(data, self.now)

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.05, 1.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.up)
    @rule(who=st.integers(0, 1), frames=st.integers(2, 3), size=st.integers(0, 60))
    def cut(self, who: int, frames: int, size: int) -> None:
        """In the middle of something, if there is room for it; of the last frame one byte is missing."""
        self.ends[who].say(size, frames)
        self.pump(who)
        self.carry(who, len(self.ends[who].under_way) - 1)
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def half_reconnect(self) -> None:
        """The server has the HELLO, and the client never gets the WELCOME."""
        client, server = self.ends
        server.new_link(client.session.received)

    @precondition(lambda self: not self.up)
    @rule()
    def reconnect(self) -> None:
        client, server = self.ends
        received = client.session.received  # in HELLO
        server.new_link(received)
        client.new_link(server.session.received)  # in WELCOME
        self.up = True

    @invariant()
    def what_was_heard_is_what_was_said_so_far(self) -> None:
        if hasattr(self, "ends"):
            for one, other in (self.ends, self.ends[::-1]):
                assert other.heard == one.said[: len(other.heard)]
                assert other.session.received == len(other.heard)

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "ends"):
            for one in self.ends:
                kept = sum(len(piece) for piece, _ in one.session._kept)
                assert one.session.bytes == kept < WINDOW + LARGEST

    def teardown(self) -> None:
        """Whatever has happened: with a link that stays up, everything arrives, and is let go."""
        if not hasattr(self, "ends"):
            return
        if not self.up:
            self.reconnect()
        for _ in range(1000):
            self.now += ACK_S
            for who in (0, 1):
                self.pump(who)
                self.carry(who, 1 << 20)
        for one, other in (self.ends, self.ends[::-1]):
            assert other.heard == one.said
            assert one.session.bytes == 0
            assert one.session.acknowledged == one.session.sent == len(one.said)


TestLinks = Links.TestCase
TestLinks.settings = settings(stateful_step_count=60)


def test_a_link_may_be_cut_again_while_things_are_sent_again() -> None:
    one = Session(WINDOW)
    for number in range(3):
        one.keep(frame(number))
    everything = [frame(0), frame(1), frame(2)]
    assert one.resume(0) == one.resume(0) == everything
    assert one.resume(2) == everything[2:]
    assert one.sent == 3


def test_of_a_piece_of_which_some_has_arrived_the_rest_is_sent_again() -> None:
    one = Session(WINDOW)
    one.keep(frame(0) + frame(1, 10) + frame(2, 20), 3)
    one.keep(frame(3))
    assert one.resume(1) == [frame(1, 10) + frame(2, 20), frame(3)]
    assert one.resume(2) == [frame(2, 20), frame(3)]
    assert one.bytes == 12 + 22 + 32 + 12
    assert one.resume(3) == [frame(3)]
    assert one.bytes == 12
    assert one.resume(4) == []


def test_what_leaves_is_not_kept_without_bound() -> None:
    one = Session(100)
    assert one.room == 100
    one.keep(frame(0, 40))
    assert one.room == 48
    one.keep(frame(1, 88))  # larger than what is left: else a large one would never leave
    assert one.room == -52
    one.acknowledge(1)
    assert one.room == 0
    one.acknowledge(2)
    assert one.room == 100


@pytest.mark.parametrize("count", [4, 0, -1, 2**64])
def test_what_cannot_have_arrived_has_not(count: int) -> None:
    one = Session(WINDOW)
    for number in range(3):
        one.keep(frame(number))
    one.acknowledge(1)
    with pytest.raises(
        RemoteProtocolError, match=f"{count} frames have arrived: 3 were sent, and it has said 1 before"
    ):
        one.acknowledge(count)
    assert one.resume(1) == [frame(1), frame(2)]


def test_every_64_frames_are_acknowledged_at_once() -> None:
    one = Session(WINDOW)
    one.arrived(ACK_FRAMES - 1, 100, 10.0)
    assert one.due(10.0) is None
    one.arrived(1, 1, 10.001)
    assert one.next_deadline() == 10.001
    assert one.due(10.001) == ACK_FRAMES
    assert (one.due(20.0), one.next_deadline()) == (None, None)


def test_large_frames_are_acknowledged_before_they_fill_the_window() -> None:
    one = Session(WINDOW)
    one.arrived(1, ACK_BYTES, 10.0)
    assert one.due(10.0) == 1


def test_a_lone_frame_is_acknowledged_after_50_ms() -> None:
    one = Session(WINDOW)
    one.arrived(1, 1, 10.0)
    one.arrived(1, 1, 10.04)
    assert one.next_deadline() == 10.0 + ACK_S
    assert one.due(10.0 + ACK_S) == 2


def test_what_was_told_in_the_handshake_is_not_told_again() -> None:
    one = Session(WINDOW)
    one.arrived(3, 3, 10.0)
    assert one.resume(0) == []
    assert (one.due(20.0), one.next_deadline()) == (None, None)


def test_what_is_sent_again_leaves_in_parts_and_is_forgotten_when_the_link_is_lost() -> None:
    one = Session(WINDOW)
    for number in range(3):
        one.keep(frame(number, 8))
    one.part()
    assert one.parted
    one.go_on(1)
    assert not one.parted
    assert one.send_again(0) == []
    assert one.send_again(1) == [frame(1, 8)]
    one.part()
    assert one.send_again(1000) == []
    one.go_on(1)
    assert one.send_again(1000) == [frame(1, 8), frame(2, 8)]


def test_a_link_that_was_lost_is_owed_nothing() -> None:
    one = Session(WINDOW)
    one.arrived(3, 3, 10.0)
    one.part()
    assert (one.due(20.0), one.next_deadline()) == (None, None)


def test_what_is_of_one_link_alone_does_not_count() -> None:
    stream = b"".join(pack(kind, bytes(8)) for kind in (Kind.ACK, Kind.PING, Kind.EVENT, Kind.PONG, Kind.CREDIT))
    _, found = FrameReader(1 << 20).find(stream)
    assert numbered(found) == 2
