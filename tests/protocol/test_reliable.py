"""A reliable link, at either end: what is kept, what leaves before what, and when it is said what has arrived."""

from __future__ import annotations

from protocol.pairs import End, World

from sig.constants import Limits
from sig.messages import AddSender, decode_control
from sig.messages import Bye as ByeMessage
from sig.protocol.bodies import pack_ack, pack_ping, unpack_ack
from sig.protocol.frames import Frame, FrameReader, Kind, pack
from sig.protocol.peer import Peer
from sig.protocol.session import ACK_FRAMES, ACK_S, Session


class Plain(Peer):
    """A peer with a queue, and nothing to understand."""

    def __init__(self, window: int = 1000) -> None:
        super().__init__(Limits())
        self.waiting: list[bytes] = []
        self.now = 10.0
        self.held = 0
        self.opened = True
        self.resumes = Session(window)
        self._first.clear()
        self._reader = FrameReader(1 << 20)

    @property
    def session(self) -> Session:
        assert self.resumes is not None
        return self.resumes

    def _put(self, frame: bytes) -> None:
        self.waiting.append(frame)

    def _ordered(self, limit: int) -> list[bytes]:
        taken: list[bytes] = []
        while self.waiting and limit > 0:
            taken.append(self.waiting.pop(0))
            limit -= len(taken[-1])
        return taken

    def _receive(self, frame: Frame) -> None:
        if frame.kind != Kind.LOST:
            super()._receive(frame)

    @property
    def _clock(self) -> float:
        return self.now

    def _hold_up(self) -> None:
        self.held += 1


def news(number: int, size: int = 0) -> bytes:
    return pack(Kind.LOST, bytes(size), route=number)


def test_what_leaves_is_kept_as_it_leaves_but_for_what_is_of_the_link() -> None:
    peer = Plain()
    peer._first += pack_ping(bytes(8))
    peer._put(news(1))
    peer._put(news(2))
    peer._hasten(news(3))
    assert peer.data_to_send(1000) == pack_ping(bytes(8)) + news(3) + news(1) + news(2)
    assert (peer.session.sent, peer.session.bytes, peer.frames_out) == (3, 36, 3)
    assert peer.session.resume(0) == [news(3) + news(1) + news(2)]
    assert peer.data_to_send(1000) == b""
    assert peer.bytes_out == 20 + 36


def test_what_must_not_be_lost_overtakes_as_a_reply_does() -> None:
    peer = Plain()
    peer._put(news(1))
    peer._urge(news(2))
    assert peer.data_to_send(1000) == news(2) + news(1)
    assert peer.session.sent == 2


def test_no_more_leaves_than_the_window_holds_until_it_is_acknowledged() -> None:
    peer = Plain(window=30)
    for number in range(6):
        peer._put(news(number))
    assert peer.data_to_send(1000) == b"".join(map(news, range(3)))
    assert peer.held == 1
    assert peer.data_to_send(1000) == b""
    peer.receive_data(pack_ack(2))
    assert peer.data_to_send(1000) == b""  # of a piece all must have arrived
    peer.receive_data(pack_ack(3))
    assert peer.data_to_send(1000) == b"".join(map(news, range(3, 6)))
    assert peer.error is None


def test_more_than_was_sent_cannot_have_arrived() -> None:
    peer = Plain()
    peer.receive_data(pack_ack(1))
    assert "1 frames have arrived: 0 were sent" in str(peer.error)


def test_without_a_link_only_what_is_of_the_next_one_leaves() -> None:
    peer = Plain()
    peer._put(news(1))
    peer.data_to_send(1000)
    peer.session.part()
    peer._put(news(2))
    peer._first += b"hello"
    assert peer.data_to_send(1000) == b"hello"
    peer.session.go_on(0)
    assert peer.data_to_send(5) == news(1)
    assert peer.data_to_send(1000) == news(2)


def test_what_is_sent_again_comes_before_what_waits() -> None:
    peer = Plain()
    for number in range(3):
        peer._put(news(number))
        peer.data_to_send(1000)
    peer._put(news(3))
    peer.session.part()
    peer.session.go_on(1)
    assert peer.data_to_send(1000) == news(1) + news(2) + news(3)


def test_who_says_goodbye_says_all_before_it_whatever_the_window() -> None:
    peer = Plain(window=10)
    for number in range(3):
        peer._put(news(number))
    peer.say_bye("closed")
    frames = FrameReader(1 << 20).feed(peer.data_to_send(1000))
    assert [frame.route for frame in frames[:3]] == [0, 1, 2]
    assert decode_control(ByeMessage, frames[3].body).code == "closed"
    assert peer.held == 0 or peer.session.room <= 0


def test_who_ends_over_a_mistake_sends_nothing_again() -> None:
    peer = Plain()
    peer._put(news(1))
    peer.data_to_send(1000)
    peer.session.part()
    peer.session.go_on(0)
    peer.receive_data(b"\x00" * 4 + b"\x01" + b"\x00" * 7)
    (frame,) = FrameReader(1 << 20).feed(peer.data_to_send(1000))
    assert frame.kind == Kind.ERROR


def said(data: bytes) -> list[int]:
    return [unpack_ack(frame) for frame in FrameReader(1 << 20).feed(data) if frame.kind == Kind.ACK]


def test_many_frames_are_acknowledged_at_once_and_a_few_are_owed() -> None:
    peer = Plain()
    peer.receive_data(b"".join(map(news, range(ACK_FRAMES))))
    assert said(peer.data_to_send(1000)) == [ACK_FRAMES]
    peer.receive_data(news(1) + pack_ping(bytes(8)))
    assert said(peer.data_to_send(1000)) == []
    assert peer.session.next_deadline() == peer.now + ACK_S
    assert peer.session.received == ACK_FRAMES + 1
    peer.receive_data(pack_ping(bytes(8)))  # counts for nothing
    assert peer.session.received == ACK_FRAMES + 1


def test_of_a_read_with_a_large_frame_each_part_counts() -> None:
    peer = Plain()
    peer._reader.max_frame_bytes = 100
    peer.receive_data(news(1) + news(2, 90) + news(3))
    assert peer.session.received == 3


def test_who_has_ended_acknowledges_nothing() -> None:
    peer = Plain()
    peer.receive_data(b"".join(map(news, range(ACK_FRAMES - 1))) + pack(Kind.BYE, b'{"code":"closed"}') + news(0))
    assert peer.closed
    peer.receive_data(news(1))
    assert said(peer.data_to_send(1000)) == []


def owner(world: World) -> End:
    end = world.client(reliable=True)
    end.ask(AddSender("s", ["e"]))
    return end


def test_both_ends_let_go_what_has_arrived() -> None:
    world = World()
    end = owner(world)
    listener = world.client(reliable=True)
    listener.listen(1, "s", "e")
    for number in range(10):
        end.core.owning.trigger("s", "e", b"%d" % number)
        world.settle()
    assert [data for _, data in listener.heard()] == list(range(10))
    world.advance(ACK_S)
    for each in (end, listener):
        assert each.core.resumes is not None
        assert each.connection.resumes is not None
        assert each.core.resumes.bytes == each.connection.resumes.bytes == each.connection.kept == 0
        assert each.core.resumes.acknowledged == each.connection.resumes.received > 0
    assert world.server.budget.used == 0


def test_a_link_that_is_not_reliable_keeps_nothing() -> None:
    world = World()
    end = world.client()
    assert (end.core.resumes, end.connection.resumes) == (None, None)
    assert end.core.welcome is not None
    assert end.core.welcome.features == []
