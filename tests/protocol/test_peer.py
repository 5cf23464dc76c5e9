"""One end of a link: how it begins, answers, fails and ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.constants import Limits
from sig.errors import ConnectionLost, Overloaded, RemoteProtocolError
from sig.messages import Bye, Error, decode_control, encode_control
from sig.protocol.bodies import pack_ack, unpack_ack
from sig.protocol.frames import PREFACE, Found, Frame, FrameReader, Kind, pack
from sig.protocol.peer import Peer
from sig.protocol.session import ACK_FRAMES, Session


class Simple(Peer):
    """A peer with an ordered queue and nothing more."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits or Limits())
        self.queue: list[bytes] = []

    def _put(self, frame: bytes) -> None:
        self.queue.append(frame)

    def _discard(self) -> None:
        super()._discard()
        self.queue.clear()

    def _ordered(self, limit: int) -> Sequence[bytes]:
        taken, size = 0, 0
        while taken < len(self.queue) and size < limit:
            size += len(self.queue[taken])
            taken += 1
        frames, self.queue = self.queue[:taken], self.queue[taken:]
        return frames


def said(peer: Peer, limit: int = 1 << 20, *, preface: bool = False) -> list[Frame]:
    """The frames that it sends now."""
    reader = FrameReader(1 << 24, preface=preface)
    frames = reader.feed(peer.data_to_send(limit))
    assert reader.error is None
    return frames


def opened(limits: Limits | None = None) -> Simple:
    peer = Simple(limits)
    assert peer.data_to_send(100) == PREFACE
    peer.receive_data(PREFACE)
    peer.opened = True
    return peer


def test_it_begins_with_the_preface() -> None:
    assert Simple().data_to_send(100) == PREFACE


@pytest.mark.parametrize("parts", ["whole", "byte by byte", "with trailing bytes"])
def test_a_ping_is_answered_before_what_waits(parts: str) -> None:
    peer = opened()
    peer._put(pack(Kind.LOST, b"first"))
    ping = pack(Kind.PING, b"12345678")
    if parts == "byte by byte":
        for i in range(len(ping)):
            peer.receive_data(ping[i : i + 1])
    else:
        peer.receive_data(ping + (b"\0\0" if parts == "with trailing bytes" else b""))
    frames = said(peer)
    assert [frame.kind for frame in frames] == [Kind.PONG, Kind.LOST]
    assert frames[0].body == b"12345678"


def test_it_sends_about_as_much_as_it_is_asked_for() -> None:
    peer = opened()
    for _ in range(10):
        peer._put(pack(Kind.LOST, b"x" * 88))
    assert [len(peer.data_to_send(250)) for _ in range(5)] == [300, 300, 300, 100, 0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pack(Kind.PING, b"short"), "remote_protocol_error"),
        (pack(0x7F, b""), "protocol"),
        (pack(Kind.HELLO, b"{}"), "remote_protocol_error"),
        (pack(Kind.BYE, b"nonsense"), "remote_protocol_error"),
        (b"\xff\xff\xff\x7f\x20\0\0\0\0\0\0\0", "too_large"),
    ],
)
def test_a_mistake_is_told_and_ends_the_link(data: bytes, code: str) -> None:
    peer = opened()
    peer._put(pack(Kind.LOST, b"never sent"))
    peer.receive_data(data + pack(Kind.PING, b"12345678"))
    assert peer.closed
    assert peer.error is not None
    (frame,) = said(peer)
    assert frame.kind == Kind.ERROR
    error = decode_control(Error, frame.body)
    assert (error.code, error.fatal, error.message) == (code, True, str(peer.error)[:500])
    peer.receive_data(pack(Kind.PING, b"12345678"))
    assert said(peer) == []


@pytest.mark.parametrize("kind", [Kind.CALL, Kind.PING, Kind.PONG, Kind.CREDIT, Kind.EVENT, Kind.REPLY])
def test_before_the_handshake_only_the_handshake_is_taken(kind: Kind) -> None:
    peer = Simple()
    peer.receive_data(PREFACE + pack(kind, b"12345678"))
    assert f"{kind.name} before the handshake" in str(peer.error)


def test_who_has_not_even_greeted_is_told_too() -> None:
    peer = Simple()
    peer.fail(RemoteProtocolError("no handshake within 10 s"))
    (frame,) = said(peer, preface=True)
    assert decode_control(Error, frame.body).message == "no handshake within 10 s"


@pytest.mark.parametrize("kind", [Kind.PONG, Kind.CREDIT, Kind.ACK, Kind.STORED])
def test_what_later_versions_use_is_let_pass(kind: Kind) -> None:
    peer = opened()
    peer.receive_data(pack(kind, b""))
    assert not peer.closed


def test_bye_ends_behind_all_that_waits() -> None:
    peer = opened()
    peer._put(pack(Kind.LOST, b"first"))
    peer.say_bye("closed", "for today")
    peer.say_bye("closed", "again")
    frames = said(peer)
    assert [frame.kind for frame in frames] == [Kind.LOST, Kind.BYE]
    assert decode_control(Bye, frames[1].body) == Bye("closed", "for today")
    assert (peer.closed, peer.error) == (True, None)


def test_the_other_ends_bye_is_kept() -> None:
    peer = opened()
    peer.receive_data(pack(Kind.BYE, encode_control(Bye("shutdown", "the server is closing"))))
    assert (peer.closed, peer.farewell, peer.error) == (True, Bye("shutdown", "the server is closing"), None)


def test_the_other_ends_error_is_kept_if_it_is_the_last_word() -> None:
    peer = opened()
    peer.receive_data(pack(Kind.ERROR, encode_control(Error("x", "a warning"))))
    assert not peer.closed
    peer.receive_data(pack(Kind.ERROR, encode_control(Error("x", "go away", fatal=True))))
    assert peer.closed
    assert "go away" in str(peer.error)


def test_kinds_with_a_lane_are_taken_where_they_lie_once_the_handshake_is_complete() -> None:
    taken: list[tuple[object, ...]] = []
    peer = Simple()
    peer._lanes = {Kind.REPLY.value: lambda *found: taken.append(found)}
    ping, reply = pack(Kind.PING, b"12345678"), pack(Kind.REPLY, b"answer", flags=1, route=7)
    read = ping + reply + ping
    peer.receive_data(PREFACE)
    peer.opened = True
    peer.receive_data(read)
    assert taken == [(peer, read, ((Kind.REPLY, 1, 0, 7, len(ping), len(ping + reply)),))]
    assert [frame.kind for frame in said(peer, preface=True)] == [Kind.PONG, Kind.PONG]

    early = Simple()
    early._lanes = peer._lanes
    early.receive_data(PREFACE + reply)
    assert isinstance(early.error, RemoteProtocolError)
    assert len(taken) == 1


def test_frames_that_follow_one_another_take_their_lane_together_and_each_in_its_turn() -> None:
    taken: list[tuple[str, list[int]]] = []
    peer = opened()
    peer._lanes = {
        Kind.REPLY.value: lambda _, data, run: taken.append(("replies", [found[3] for found in run])),
        Kind.REQUEST.value: lambda _, data, run: taken.append(("requests", [found[3] for found in run])),
    }
    replies, requests = (
        [pack(kind, b"x" * 20, route=route) for route in (1, 2, 3)] for kind in (Kind.REPLY, Kind.REQUEST)
    )
    ping = pack(Kind.PING, b"12345678")
    peer.receive_data(b"".join([*replies, ping, ping, *requests, *replies[:1], ping]))
    assert taken == [("replies", [1, 2, 3]), ("requests", [1, 2, 3]), ("replies", [1])]
    assert [frame.kind for frame in said(peer)] == [Kind.PONG] * 3


def test_a_lane_that_ends_the_link_ends_it_for_all_that_follows() -> None:
    def refuse(_: object, data: bytes, run: Sequence[Found]) -> None:
        raise RemoteProtocolError(f"{len(run)} too many")

    peer, taken = opened(), []
    peer._lanes = {Kind.REPLY.value: refuse, Kind.REQUEST.value: lambda *found: taken.append(found)}
    reply, request = (pack(kind, b"x" * 20) for kind in (Kind.REPLY, Kind.REQUEST))
    peer.receive_data(reply + reply + request + request)
    assert str(peer.error) == "2 too many"
    assert taken == []


def test_before_the_handshake_is_complete_no_frame_has_a_lane() -> None:
    peer, taken = Simple(), []
    peer._lanes = {Kind.REPLY.value: lambda *found: taken.append(found)}
    peer.receive_data(PREFACE + pack(Kind.REPLY, b"x") * 2)
    assert isinstance(peer.error, RemoteProtocolError)
    assert taken == []


def test_a_frame_that_is_too_large_is_judged_behind_those_before_it() -> None:
    """One of them may have raised the limit."""
    large = pack(Kind.LOST, b"x" * 100)
    peer, other = opened(), opened()
    peer._reader.max_frame_bytes = other._reader.max_frame_bytes = 50
    peer._lanes = {Kind.REPLY.value: lambda *found: setattr(peer._reader, "max_frame_bytes", 100)}
    other._lanes = {Kind.REPLY.value: lambda *found: None}
    for each in (peer, other):
        each.receive_data(pack(Kind.REPLY) + large + pack(Kind.PING, b"12345678"))
    assert isinstance(peer.error, RemoteProtocolError)
    assert "LOST, which has no business" in str(peer.error)
    assert "LOST) of 100 bytes, over the limit of 50" in str(other.error)


def test_what_follows_the_last_word_is_not_looked_at() -> None:
    peer = opened()
    peer.receive_data(pack(Kind.BYE, encode_control(Bye("closed"))) + pack(Kind.PING, b"short"))
    assert (peer.error, peer.last_words, said(peer)) == (None, "closed", [])


def test_after_the_link_is_down_nothing_is_sent() -> None:
    peer = opened()
    peer._hasten(pack(Kind.PONG, b"12345678"))
    peer.receive_eof()
    assert peer.data_to_send(100) == b""


def test_a_link_that_is_cut_sends_nothing_more_and_keeps_its_first_reason() -> None:
    peer = opened()
    peer.cut(ConnectionLost("it does not read"))
    peer.cut(ConnectionLost("something else"))
    peer.fail(RemoteProtocolError("too late"))
    assert (str(peer.error), said(peer)) == ("it does not read", [])


def test_pings_without_end_that_nobody_reads_the_answers_of_end_the_link() -> None:
    peer = opened(Limits.of(link_control_bytes=100))
    peer.receive_data(pack(Kind.PING, b"12345678") * 5)
    assert not peer.closed
    peer.receive_data(pack(Kind.PING, b"12345678"))
    assert isinstance(peer.error, Overloaded)
    assert said(peer) == []


def test_answers_that_nobody_reads_end_the_link() -> None:
    peer = opened(Limits.of(link_cut_bytes=250))
    for _ in range(2):
        peer._hasten(pack(Kind.REPLY, b"x" * 88))
    assert len(said(peer)) == 2
    for _ in range(3):
        assert not peer.closed
        peer._hasten(pack(Kind.REPLY, b"x" * 88))
    assert isinstance(peer.error, Overloaded)
    assert said(peer) == []


def test_answers_overtake_but_do_not_hold_up_what_stands_in_order() -> None:
    peer = opened()
    for _ in range(4):
        peer._put(pack(Kind.LOST, b"x" * 88))
        peer._hasten(pack(Kind.REPLY, b"x" * 88))
    kinds = [[frame.kind for frame in said(peer, 150)] for _ in range(3)]
    both = [Kind.REPLY, Kind.REPLY, Kind.LOST]
    assert kinds == [both, both, [Kind.LOST, Kind.LOST]]


def test_an_answer_after_the_end_is_not_sent() -> None:
    peer = opened()
    peer.say_bye("closed")
    peer._hasten(pack(Kind.REPLY, b"too late"))
    assert [frame.kind for frame in said(peer)] == [Kind.BYE]


def test_control_has_a_limit_of_its_own() -> None:
    peer = opened(Limits.of(max_control_frame_bytes=1000))
    peer.receive_data(pack(Kind.CREDIT, b"x" * 1001) + pack(Kind.ERROR, b'{"code":"x"}'.ljust(1000)))
    assert not peer.closed
    peer.receive_data(pack(Kind.ERROR, b'{"code":"x"}'.ljust(1001)))
    assert "1001 bytes of control in one frame: the limit is 1000 (max_control_frame_bytes)" in str(peer.error)


@pytest.mark.parametrize(
    "frame",
    [
        pack(Kind.BYE, encode_control(Bye("x" * 9000, ""))),
        pack(Kind.BYE, encode_control(Bye("x", "\n\x1b[2J" * 9000))),
        pack(Kind.ERROR, encode_control(Error("\n\x1b[2J" * 9000, "", fatal=True))),
        pack(Kind.ERROR, encode_control(Error("x", "\r" * 9000, fatal=True))),
        pack(Kind.BYE, encode_control({"code": 5, "message": "\n" * 9000})),
        pack(Kind.BYE, b'{"code":"' + b"\\n" * 9000 + b'","retry_after_s":"\\n"}'),
    ],
)
def test_what_a_peer_says_at_the_end_is_a_line_and_no_book(frame: bytes) -> None:
    peer = opened()
    peer.receive_data(frame)
    assert peer.closed
    for text in (peer.last_words, str(peer.error)):
        assert len(text) < 600
        assert text.isprintable()


@pytest.mark.parametrize("told", [Error("x", "go away", fatal=True), Error("go away", fatal=True)])
def test_after_the_other_ends_error_nothing_more_is_sent(told: Error) -> None:
    peer = opened()
    peer._put(pack(Kind.LOST, b"x"))
    peer._hasten(pack(Kind.REPLY, b"x"))
    peer.receive_data(pack(Kind.PING, b"12345678") + pack(Kind.ERROR, encode_control(told)))
    assert (peer.last_words, said(peer)) == ("go away", [])


def test_when_to_come_back_is_told() -> None:
    peer = opened()
    peer.say_bye("overloaded", "full", 1.5)
    assert decode_control(Bye, said(peer)[0].body) == Bye("overloaded", "full", 1.5)


def test_a_peer_decides_nothing_by_itself_about_order() -> None:
    peer = Peer(Limits())
    with pytest.raises(NotImplementedError):
        peer._put(b"")
    with pytest.raises(NotImplementedError):
        peer._ordered(1)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_cost_the_link_at_most(data: bytes, preface: bool) -> None:
    peer = Simple()
    peer.receive_data((PREFACE if preface else b"") + data)
    frames = said(peer, preface=True)
    if peer.error is not None:
        assert peer.closed
        assert [frame.kind for frame in frames] == ([] if peer.last_words else [Kind.ERROR])


def test_what_passes_is_counted() -> None:
    peer = opened()
    before = peer.bytes_in, peer.bytes_out
    data = pack(Kind.CREDIT, b"12") + pack(Kind.PING, b"12345678") + pack(Kind.ACK, b"1")
    peer.receive_data(data + b"\0")
    assert (peer.frames_in, peer.bytes_in - before[0]) == (3, len(data) + 1)
    peer._put(pack(Kind.LOST, b"x"))
    peer._hasten(pack(Kind.REPLY, b"x"))
    peer._count_out(2)  # frames in one piece with another
    sent = peer.data_to_send(1 << 20)
    assert (peer.frames_out, peer.bytes_out - before[1]) == (4, len(sent))
    peer._leaves(5)  # past all of them
    assert (peer.frames_out, peer.bytes_out - before[1]) == (5, len(sent) + 5)


# -- heartbeat -----------------------------------------------------------------------------------
#
# A period is 5 s, half of `heartbeat_s`.


def test_an_end_that_has_nothing_to_say_says_so_every_second_period() -> None:
    peer = opened()
    told = []
    for _ in range(6):
        peer.receive_data(pack(Kind.PONG, b"12345678"))  # the other end is never silent
        peer.beat()
        told.append([frame.kind for frame in said(peer)])
    assert told == [[], [Kind.PING]] * 3


def test_an_end_that_has_something_to_say_needs_no_ping() -> None:
    peer = opened()
    for _ in range(6):
        peer.receive_data(pack(Kind.PONG, b"12345678"))
        peer._put(pack(Kind.LOST, b"x"))
        assert [frame.kind for frame in said(peer)] == [Kind.LOST]
        peer.beat()
        assert said(peer) == []


def test_who_only_listens_is_asked_whether_it_is_there() -> None:
    peer = opened()
    told = []
    for _ in range(4):
        peer._put(pack(Kind.LOST, b"x"))
        said(peer)
        peer.beat()
        told.append([frame.kind for frame in said(peer)])
    assert told == [[], [], [Kind.PING], [Kind.PING]]
    assert not peer.closed


def test_while_nothing_leaves_one_ping_waits() -> None:
    """Ten thousand links that take nothing need not be given something each time they are looked at."""
    peer = opened()
    for _ in range(9):
        peer.receive_data(pack(Kind.PONG, b"12345678"))
        peer.beat()
    assert [frame.kind for frame in said(peer)] == [Kind.PING]
    peer.receive_data(pack(Kind.PONG, b"12345678"))
    peer.beat()
    assert said(peer) == []
    peer.beat()
    assert [frame.kind for frame in said(peer)] == [Kind.PING]


def test_who_says_nothing_for_four_periods_is_gone() -> None:
    """They are more than 20 s, and less than 25: the first may have begun before the bytes came that were the last."""
    peer = opened()
    peer._put(pack(Kind.LOST, b"never sent"))
    for _ in range(5):
        assert not peer.closed
        assert not peer.vanished
        peer.beat()
    assert (peer.closed, peer.vanished) == (True, True)
    assert str(peer.error) == (
        "nothing has come from the other end for 20 s: it hangs, or the way to it is broken (heartbeat_timeout_s=25)"
    )
    assert isinstance(peer.error, ConnectionLost)
    assert said(peer) == []


@pytest.mark.parametrize("data", [pack(Kind.PONG, b"12345678"), b"\0"], ids=["an answer", "a piece of a frame"])
def test_any_bytes_are_life(data: bytes) -> None:
    peer = opened()
    for _ in range(10):
        for _ in range(3):
            peer.beat()
        peer.receive_data(data)
    assert not peer.closed


def test_a_link_that_ends_for_another_reason_has_not_vanished() -> None:
    peer = opened()
    peer.beat()
    peer.beat()
    peer.cut(ConnectionLost("pulled"))
    assert not peer.vanished


class Numbered(Simple):
    """One whose link is reliable; for the rest see test_reliable.py."""

    def __init__(self) -> None:
        super().__init__()
        self.resumes = Session(100)
        self.opened = True

    @property
    def _clock(self) -> float:
        return 10.0


def test_on_a_reliable_link_all_counts_and_is_kept() -> None:
    peer = Numbered()
    assert peer.data_to_send(100) == PREFACE
    peer._put(pack(Kind.LOST, bytes(50)))
    peer._put(pack(Kind.LOST, bytes(50)))
    peer._urge(pack(Kind.CREDIT))
    assert [frame.kind for frame in said(peer)] == [Kind.CREDIT, Kind.LOST, Kind.LOST]
    assert said(peer) == []
    peer.receive_data(PREFACE + pack_ack(3) + pack(Kind.PONG, bytes(8)) * ACK_FRAMES)
    assert peer.resumes is not None
    assert peer.resumes.bytes == 0
    peer._reader.max_frame_bytes = 10
    peer.receive_data(pack(Kind.CREDIT) * ACK_FRAMES + pack(Kind.CREDIT, bytes(11)))
    assert peer.error is not None
    assert peer.resumes.received == ACK_FRAMES


def test_what_has_come_on_a_reliable_link_is_acknowledged() -> None:
    peer = Numbered()
    peer.data_to_send(100)
    peer.receive_data(PREFACE + pack(Kind.CREDIT) * ACK_FRAMES)
    (frame,) = said(peer)
    assert unpack_ack(frame) == ACK_FRAMES
    with pytest.raises(NotImplementedError):
        _ = Peer._clock.fget(peer)  # type: ignore[attr-defined]


def test_where_no_link_is_reliable_what_must_not_be_lost_overtakes_all() -> None:
    peer = opened()
    peer._put(pack(Kind.LOST))
    peer._urge(pack(Kind.CREDIT))
    assert [frame.kind for frame in said(peer)] == [Kind.CREDIT, Kind.LOST]


def test_a_frame_of_events_by_itself_is_seen_once_the_link_is_open_and_taken_by_whoever_counts_it() -> None:
    event = pack(Kind.EVENT, bytes(9), route=7, count=1)
    assert Simple().lone(event) is None
    peer = opened()
    before = peer.bytes_in, peer.frames_in
    assert peer.lone(event) == (1, 7)
    assert (peer.bytes_in, peer.frames_in) == before
    peer.took(len(event))
    assert (peer.bytes_in, peer.frames_in) == (before[0] + len(event), before[1] + 1)
    peer.resumes = Session(1000)
    assert peer.lone(event) is None
    peer.resumes = None
    peer.cut(ConnectionLost("gone"))
    assert peer.lone(event) is None


def test_many_answers_are_as_one_behind_the_other() -> None:
    replies = [pack(Kind.REPLY, bytes([number])) for number in range(3)]
    one, other = opened(), opened()
    one._hasten_all(replies)
    for reply in replies:
        other._hasten(reply)
    assert one.data_to_send(1 << 20) == other.data_to_send(1 << 20)
    assert one.frames_out == other.frames_out
    one._hasten_all([pack(Kind.REPLY, bytes(1 << 20))] * 100)
    assert one.closed, "nobody reads so many"
    one._hasten_all(replies)
    assert one.data_to_send(1 << 20) == b""
