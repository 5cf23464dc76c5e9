"""The guard: two ends and a line between them that does its worst, on a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.errors import ConnectFailed, ConnectionLost, HandshakeRefused, SigError
from sig.protocol.flight import WINDOW
from sig.protocol.guard import VERSION, GuardLayer
from sig.protocol.packets import ACK, DATA, FIN, RST, SYN, Packet, PacketReader

Noise = Callable[[bytes], bytes]

BOARD, HOST = 0xB0A4D, 0x4057


def clear(data: bytes) -> bytes:
    return data


def silence(data: bytes) -> bytes:
    return b""


class End:
    """One end, and what has come of it."""

    def __init__(self, guard: GuardLayer) -> None:
        self.guard = guard
        self.got = bytearray()
        self.error: SigError | None = None
        self.sent = bytearray()  # all that went into the line
        self.noise: Noise = clear
        self.free = 0.0  # when the line has done with what it was given
        self.line: list[tuple[float, bytes]] = []  # on the way to the other end

    def packets(self) -> list[Packet]:
        return PacketReader(1000).feed(bytes(self.sent))

    @property
    def failed(self) -> bool:
        return self.error is not None

    @property
    def state(self) -> str:
        """What the guard says of itself."""
        names = ("called", "closed", "finished")
        return " ".join(name for name in names if getattr(self.guard, name))

    def kinds(self) -> list[int]:
        return [packet.kind for packet in self.packets()]


class Line:
    """Two ends; time passes when they wait.

    Args:
        rate: bytes a second.
        latency: until what was sent begins to arrive, in seconds.
        piece: how much is read at once.
    """

    def __init__(self, a: GuardLayer, b: GuardLayer, rate: float = math.inf, latency: float = 0.001, piece: int = 9999):
        self.now = 0.0
        self.ends = End(a), End(b)
        self.rate, self.latency, self.piece = rate, latency, piece

    @classmethod
    def opened(cls, **options: Any) -> Line:
        line = cls(GuardLayer(BOARD, 0.0, **options), GuardLayer(HOST, 0.0, active=False, **options))
        line.run(1.0)
        for end in line.ends:
            assert end.error is None
            end.sent.clear()
        return line

    def say(self, end: End) -> None:
        data = end.guard.data_to_send()
        end.sent += data
        data = end.noise(data)
        for at in range(0, len(data), self.piece):
            piece = data[at : at + self.piece]
            end.free = max(end.free, self.now) + len(piece) / self.rate
            end.line.append((end.free + self.latency, piece))

    def send(self, end: End, data: bytes) -> None:
        end.guard.send(data, self.now)
        self.say(end)

    def close(self, end: End) -> None:
        end.guard.close(self.now)
        self.say(end)

    def run(self, seconds: float) -> None:
        """Let this time pass."""
        until = self.now + seconds
        for end in self.ends:
            self.say(end)
        while self._step(until):
            pass
        self.now = until

    def settle(self, seconds: float = 1000.0) -> float:
        """Until all that was given to either end has come to the other; returns how long that took."""
        began = self.now
        while any(self._busy(end) for end in self.ends):
            assert self._step(began + seconds), "it does not come to rest"
        return self.now - began

    def _busy(self, end: End) -> bool:
        return end.error is None and bool(end.guard.held or end.guard._flight.sent)

    def _step(self, until: float) -> bool:
        times = [(end.line[0][0], 0, i) for i, end in enumerate(self.ends) if end.line]
        for i, end in enumerate(self.ends):
            deadline = end.guard.next_deadline() if end.error is None else None
            if deadline is not None:
                times.append((max(self.now, deadline), 1, i))
        if not times or min(times)[0] > until:
            return False
        self.now, what, i = min(times)
        end, other = self.ends[i], self.ends[1 - i]
        if what == 1:
            self._call(end, lambda: end.guard.handle_timeout(self.now))
        else:
            _, piece = end.line.pop(0)
            self._call(other, lambda: other.got.extend(other.guard.receive(piece, self.now)))
        return True

    def _call(self, end: End, function: Callable[[], object]) -> None:
        if end.error is None:
            try:
                function()
            except SigError as error:
                end.error = error
            self.say(end)


def noisy(seed: int, *, broken: float = 0.0, bursts: float = 0.0) -> Noise:
    """A line that breaks, loses, doubles and adds so many of its bytes, and now and then many in a row."""
    random = Random(seed)

    def noise(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            what = random.random() / broken if broken else 1.0
            if what >= 1:
                out.append(byte)
            elif what < 0.5:
                out.append(byte ^ 1 << random.randrange(8))
            elif what < 0.8:
                out += random.randbytes(random.randrange(3))
            else:
                out += bytes((byte, byte))
        if out and random.random() < bursts:
            at = random.randrange(len(out))
            size = random.randrange(1, 600)
            out[at : at + size] = random.randbytes(random.randrange(size))
        return bytes(out)

    return noise


# -- beginning -----------------------------------------------------------------------------------


def test_one_end_begins_and_the_other_answers() -> None:
    line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False))
    line.run(0.0)
    board, host = line.ends
    assert host.state == ""
    assert board.kinds() == [SYN]
    line.run(1.0)
    assert [end.state for end in line.ends] == ["called", "called"]
    assert board.kinds() == [SYN, ACK]
    assert host.kinds() == [SYN]


def test_an_end_that_waits_is_silent() -> None:
    line = Line(GuardLayer(BOARD, 0.0, active=False), GuardLayer(HOST, 0.0, active=False))
    line.run(1000.0)
    assert [bytes(end.sent) for end in line.ends] == [b"", b""]
    assert line.ends[0].guard.next_deadline() is None


def test_both_may_begin() -> None:
    line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0))
    line.run(1.0)
    line.send(line.ends[0], b"one")
    line.send(line.ends[1], b"two")
    line.settle()
    assert [end.got for end in line.ends] == [b"two", b"one"]


def test_what_is_sent_before_is_held_until_the_session_begins() -> None:
    line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False))
    board, host = line.ends
    line.send(board, b"early")
    assert board.guard.held == 5
    line.settle()
    assert board.guard.held == 0
    assert host.got == b"early"


def test_an_end_that_begins_goes_on_until_the_other_is_there() -> None:
    line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False))
    board, host = line.ends
    board.noise = silence
    line.run(8.0)
    assert 5 < len(board.kinds()) < 15
    board.noise = clear
    line.send(board, b"at last")
    line.run(1.1)
    assert host.got == b"at last"


def test_every_packet_of_the_beginning_may_be_lost() -> None:
    for number in range(1, 4):
        for which in (0, 1):
            line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False))
            line.ends[which].noise = losing(number)
            line.send(line.ends[0], b"hello")
            line.run(2.0)
            line.send(line.ends[1], b"welcome")
            line.run(2.0)
            assert [end.got for end in line.ends] == [b"welcome", b"hello"]


def losing(number: int) -> Noise:
    """Only the piece of this number is lost."""
    pieces = iter(range(1, 10**9))
    return lambda data: b"" if data and next(pieces) == number else data


def test_nobody_at_the_other_end_is_told_after_a_while() -> None:
    line = Line(GuardLayer(BOARD, 0.0, open_s=5.0), GuardLayer(HOST, 0.0, active=False))
    line.ends[0].noise = silence
    line.run(4.9)
    assert not line.ends[0].failed
    line.run(0.2)
    assert isinstance(line.ends[0].error, ConnectFailed)
    assert "nobody answered at the other end of the line within 5 s" in str(line.ends[0].error)


def test_somebody_who_speaks_something_else_is_shown() -> None:
    guard = GuardLayer(BOARD, 0.0, open_s=5.0)
    assert guard.receive(b"raspberrypi login: ", 1.0) == b""
    with pytest.raises(ConnectFailed, match=r"began with b'raspberrypi login: '.* baud rate"):
        guard.handle_timeout(5.0)


def test_an_end_that_called_and_fell_silent_is_given_up() -> None:
    waiting = GuardLayer(HOST, 0.0, active=False, open_s=5.0)
    calling = GuardLayer(BOARD, 100.0)
    waiting.receive(calling.data_to_send(), 100.0)
    assert waiting.called
    with pytest.raises(ConnectFailed):
        waiting.handle_timeout(105.0)


def test_a_line_that_brings_back_what_is_sent_is_told() -> None:
    guard = GuardLayer(BOARD, 0.0)
    with pytest.raises(ConnectFailed, match="brings back what was sent"):
        guard.receive(guard.data_to_send(), 0.1)


@pytest.mark.parametrize(("version", "advice"), [(VERSION + 1, "program on this side"), (0, "other end")])
def test_another_version_is_refused_and_the_other_end_can_say_the_same(version: int, advice: str) -> None:
    guard = GuardLayer(BOARD, 0.0, active=False)
    opening = HOST.to_bytes(4, "little") + bytes((version, 8, 0, 2))
    with pytest.raises(HandshakeRefused, match=f"version {version} of the guard.*update the {advice}"):
        guard.receive(Packet(SYN, 0, 0, 0, 0, opening).encode(), 0.1)
    [answer] = PacketReader(100).feed(guard.data_to_send())
    assert answer.payload[4] == VERSION


def test_an_opening_without_a_name_or_too_short_is_nothing() -> None:
    guard = GuardLayer(BOARD, 0.0, active=False)
    guard.receive(Packet(SYN, 0, 0, 0, 0, b"\0\0\0\0\1\x08\0\2").encode(), 0.1)
    guard.receive(Packet(SYN, 0, 0, 0, 0, b"1234").encode(), 0.1)
    assert not guard.called


def test_the_other_end_may_take_less() -> None:
    line = Line(GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False, rate=100.0))
    board, host = line.ends
    line.send(board, bytes(1000))
    line.settle()
    assert host.got == bytes(1000)
    assert max(len(packet.payload) for packet in board.packets()) == 64


def test_the_other_end_may_want_one_packet_at_a_time() -> None:
    guard = GuardLayer(BOARD, 0.0)
    guard.send(b"x" * 1000, 0.0)
    opening = HOST.to_bytes(4, "little") + b"\x01\x01\x64\x00"
    guard.receive(Packet(SYN, 0, 0, 0, BOARD, opening).encode(), 0.1)
    assert [packet.kind for packet in PacketReader(999).feed(guard.data_to_send())] == [SYN, DATA]
    assert guard.held == 900
    guard.receive(Packet(ACK, 0, 1, 0, BOARD).encode(), 0.2)
    [packet] = PacketReader(999).feed(guard.data_to_send())
    assert (packet.kind, packet.number, packet.tag, len(packet.payload)) == (DATA, 1, HOST, 100)


# -- going over ----------------------------------------------------------------------------------


def test_small_pieces_go_together_and_the_answer_acknowledges_them() -> None:
    line = Line.opened()
    board, host = line.ends
    for piece in (b"a", b"b", b"c"):
        board.guard.send(piece, line.now)
    host.guard.send(b"answer", line.now)
    line.run(0.5)
    assert host.got == b"abc"
    assert [(packet.kind, packet.payload) for packet in board.packets()] == [(DATA, b"abc"), (ACK, b"")]
    assert sum(packet.kind == DATA for packet in host.packets()) == 1


def test_no_more_than_a_window_is_under_way() -> None:
    line = Line.opened()
    board, host = line.ends
    board.noise = silence
    line.send(board, bytes(10_000))
    assert len(board.kinds()) == WINDOW
    assert board.guard.held == 10_000 - WINDOW * 512
    board.noise = clear
    line.settle()
    assert host.got == bytes(10_000)


def test_a_lost_packet_is_sent_again_as_soon_as_a_later_one_has_arrived() -> None:
    line = Line.opened()
    board, host = line.ends
    board.noise = losing(1)
    for piece in (b"one ", b"two ", b"three"):
        line.send(board, piece)
    assert line.settle() < 0.05
    assert host.got == b"one two three"
    assert board.guard.resent == 1
    assert [packet.have for packet in host.packets()][:2] == [0b1, 0b11]


def test_a_last_packet_is_sent_again_after_a_while() -> None:
    line = Line.opened()
    board, host = line.ends
    board.noise = losing(1)
    line.send(board, b"last")
    assert 0.05 < line.settle() < 0.5
    assert host.got == b"last"


def test_a_lost_acknowledgement_brings_nothing_twice() -> None:
    line = Line.opened()
    board, host = line.ends
    host.noise = losing(1)
    line.send(board, b"once")
    line.settle()
    assert host.got == b"once"
    assert board.guard.resent == 1


def test_numbers_go_round() -> None:
    line = Line.opened()
    board, host = line.ends
    for number in range(1000):
        line.send(board, b"%d " % number)
    line.settle()
    assert host.got == b"".join(b"%d " % number for number in range(1000))


def test_a_slow_line_is_given_the_time_it_needs() -> None:
    """At 9600 baud a packet takes a quarter of a second, and what is told when it has arrived as well."""
    rate = 960.0
    line = Line(GuardLayer(BOARD, 0.0, rate=rate), GuardLayer(HOST, 0.0, rate=rate, active=False), rate)
    board, host = line.ends
    line.send(board, bytes(10_000))
    line.send(host, bytes(10_000))
    took = line.settle()
    assert [len(end.got) for end in line.ends] == [10_000, 10_000]
    assert took < 1.25 * 10_000 / rate
    assert board.guard.resent + host.guard.resent == 0


def test_a_line_slower_than_known_is_learned() -> None:
    line = Line.opened()
    line.rate, line.latency = 2000.0, 0.3
    board, host = line.ends
    for _ in range(100):
        line.send(board, bytes(500))
        line.settle()
    assert len(host.got) == 50_000
    assert board.guard.resent < 10


def test_a_fast_line_is_filled() -> None:
    line = Line.opened(rate=11_520.0)
    line.rate, line.latency = 11_520.0, 0.01
    board, _ = line.ends
    line.send(board, bytes(50_000))
    assert line.settle() < 1.05 * 50_000 / 11_520
    assert board.guard.resent == 0


# -- noise ---------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 3000), st.floats(0, 0.5)), min_size=1, max_size=8),
    broken=st.sampled_from([0.0, 0.0005, 0.003, 0.02]),
    bursts=st.sampled_from([0.0, 0.1, 0.5]),
    rate=st.sampled_from([960.0, 11_520.0, math.inf]),
    latency=st.sampled_from([0.0, 0.01, 0.2]),
    piece=st.sampled_from([1, 7, 64, 9999]),
)
def test_what_comes_out_is_what_went_in(
    seed: int,
    sizes: list[tuple[int, int, float]],
    broken: float,
    bursts: float,
    rate: float,
    latency: float,
    piece: int,
) -> None:
    random = Random(seed)
    options: Any = {"rate": rate, "give_up_s": 1e6, "open_s": 1e6}
    line = Line(
        GuardLayer(random.randrange(1, 2**32), 0.0, **options),
        GuardLayer(random.randrange(1, 2**32), 0.0, active=False, **options),
        rate,
        latency,
        piece,
    )
    for i, end in enumerate(line.ends):
        end.noise = noisy(seed + i, broken=broken, bursts=bursts)
    expected = bytearray(), bytearray()
    for which, size, pause in sizes:
        data = random.randbytes(size)
        expected[1 - which].extend(data)
        line.send(line.ends[which], data)
        line.run(pause)
        for end, whole in zip(line.ends, expected, strict=True):
            assert whole.startswith(end.got)
            assert len(end.guard._early) < WINDOW
            assert len(end.guard._reader._tail) < 600
    line.run(5.0)
    for end in line.ends:
        end.noise = clear
    line.settle()
    assert [end.error for end in line.ends] == [None, None]
    assert tuple(end.got for end in line.ends) == expected


def test_after_the_noise_all_goes_on_at_once() -> None:
    line = Line.opened(give_up_s=60.0)
    board, host = line.ends
    for end in line.ends:
        end.noise = noisy(1, broken=0.5)
    line.send(board, b"through the noise")
    line.run(20.0)
    assert host.got == b""
    assert host.guard.broken > 0
    for end in line.ends:
        end.noise = clear
    # Somebody who was not heard for long asks more seldom.
    assert line.settle() < 4.5
    line.send(board, b", and beyond")
    assert line.settle() < 0.1
    assert host.got == b"through the noise, and beyond"


def test_a_line_half_of_whose_packets_are_lost_is_slow_but_not_stuck() -> None:
    line = Line.opened(rate=11_520.0)
    line.rate = 11_520.0
    board, host = line.ends
    for i, end in enumerate(line.ends):
        end.noise = noisy(i, broken=0.0013)  # of 530 bytes
    data = Random(5).randbytes(100_000)
    line.send(board, data)
    took = line.settle()
    assert host.got == data
    assert board.guard.resent > 100
    assert took < 10 * len(data) / 11_520


# -- ends ----------------------------------------------------------------------------------------


def test_silence_ends_a_link_on_which_something_waits() -> None:
    line = Line.opened(give_up_s=10.0)
    board, _ = line.ends
    board.noise = silence
    line.send(board, b"anybody?")
    line.run(9.9)
    assert not board.failed
    line.run(0.2)
    assert isinstance(board.error, ConnectionLost)
    assert "acknowledged nothing for 10 s" in str(board.error)


def test_silence_ends_an_idle_link_too() -> None:
    line = Line.opened(give_up_s=10.0)
    for end in line.ends:
        end.noise = silence
    line.run(16.0)
    assert all(isinstance(end.error, ConnectionLost) for end in line.ends)


def test_an_idle_link_lives_on_a_packet_now_and_then() -> None:
    line = Line.opened(give_up_s=10.0)
    line.run(100.0)
    assert [end.error for end in line.ends] == [None, None]
    assert [end.got for end in line.ends] == [b"", b""]
    assert 10 < sum(len(end.kinds()) for end in line.ends) < 100


def test_progress_keeps_a_slow_link_alive() -> None:
    rate = 120.0
    line = Line(GuardLayer(BOARD, 0.0, rate=rate, give_up_s=10.0), GuardLayer(HOST, 0.0, active=False, rate=rate), rate)
    line.send(line.ends[0], bytes(5000))
    assert line.settle() > 40
    assert len(line.ends[1].got) == 5000


def test_who_gives_up_tells_the_other_end() -> None:
    line = Line.opened(give_up_s=10.0)
    board, host = line.ends
    host.noise = silence  # it hears, and is not heard
    line.send(board, b"?")
    line.run(10.1)
    assert board.kinds()[-1] == RST
    assert isinstance(host.error, ConnectionLost)
    assert "ended the session" in str(host.error)


def test_a_session_may_be_denied_at_any_time() -> None:
    line = Line.opened()
    board, host = line.ends
    assert host.guard.receive(board.guard.denial[:-1], line.now) == b""
    with pytest.raises(ConnectionLost, match="ended the session"):
        host.guard.receive(b"\0", line.now)


def test_an_end_that_has_begun_anew_ends_the_session() -> None:
    line = Line.opened()
    board, host = line.ends
    line.send(board, b"half of someth")
    board.guard = GuardLayer(BOARD + 1, line.now)
    line.run(0.1)
    assert isinstance(host.error, ConnectionLost)
    assert "begun anew" in str(host.error)
    host.error, host.guard = None, GuardLayer(HOST + 1, line.now, active=False)
    host.got.clear()
    line.send(board, b"all of it")
    line.run(1.0)
    assert host.got == b"all of it"
    assert board.error is None


def test_an_end_whose_other_end_has_no_session_any_more_is_told() -> None:
    line = Line.opened()
    board, host = line.ends
    host.guard = GuardLayer(HOST + 1, line.now, active=False)
    line.send(board, b"still there?")
    line.run(0.1)
    assert isinstance(board.error, ConnectionLost)
    assert not host.guard.called
    assert host.error is None


def test_what_is_left_of_an_older_session_harms_no_newer_one() -> None:
    line = Line.opened()
    board, host = line.ends
    old = [Packet(kind, 0, 0, 0, HOST + 5, b"old") for kind in (DATA, FIN, ACK, RST, 99)]
    for packet in old:
        assert host.guard.receive(packet.encode(), line.now) == b""
    assert not host.guard.closed
    line.run(0.1)
    line.send(board, b"new")
    line.settle()
    assert host.got == b"new"


def test_before_the_other_end_has_a_name_nothing_is_taken() -> None:
    guard = GuardLayer(BOARD, 0.0)
    assert guard.receive(Packet(DATA, 0, 0, 0, BOARD, b"who?").encode(), 0.1) == b""
    assert guard.receive(Packet(RST, 0, 0, 0, 0).encode(), 0.1) == b""
    assert not guard.called
    assert [packet.kind for packet in PacketReader(99).feed(guard.data_to_send())] == [SYN]


def test_a_kind_of_tomorrow_is_skipped() -> None:
    line = Line.opened()
    board, _ = line.ends
    assert board.guard.receive(Packet(99, 0, 0, 0, BOARD, b"?").encode(), line.now) == b""
    line.send(board, b"on")
    line.settle()


def test_numbers_nobody_sent_are_not_believed() -> None:
    line = Line.opened()
    board, host = line.ends
    host.noise = silence
    line.send(board, b"one")
    board.guard.receive(Packet(ACK, 0, 200, 0xFF, BOARD).encode(), line.now)
    host.noise = clear
    line.settle()
    assert host.got == b"one"


def test_a_packet_that_was_long_ago_or_is_too_far_ahead_is_not_taken() -> None:
    line = Line.opened()
    _, host = line.ends
    for number in (WINDOW, 100, 255):
        assert host.guard.receive(Packet(DATA, number, 0, 0, HOST, b"no").encode(), line.now) == b""
    assert not host.guard._early
    assert host.guard.receive(Packet(DATA, 0, 0, 0, HOST, b"yes").encode(), line.now) == b"yes"


def test_what_came_before_the_fault_is_returned_first() -> None:
    guard = line_end()
    data = Packet(DATA, 0, 0, 0, HOST, b"goodbye").encode()
    assert guard.receive(data + Packet(RST, 0, 0, 0, BOARD).encode() + data, 1.0) == b"goodbye"
    assert guard.next_deadline() == 0.0
    with pytest.raises(ConnectionLost):
        guard.handle_timeout(1.0)
    with pytest.raises(ConnectionLost):
        guard.receive(b"", 1.0)
    guard.send(b"lost", 1.0)
    assert guard.held == 0


def line_end() -> GuardLayer:
    return Line.opened().ends[1].guard


def test_nothing_is_due_before_its_time() -> None:
    guard = line_end()
    deadline = guard.next_deadline()
    assert deadline is not None
    guard.handle_timeout(deadline - 0.001)
    assert guard.data_to_send() == b""
    GuardLayer(BOARD, 0.0, active=False).handle_timeout(1e9)


# -- closing -------------------------------------------------------------------------------------


def test_closing_comes_behind_all_that_was_sent() -> None:
    line = Line.opened()
    board, host = line.ends
    line.send(board, bytes(10_000))
    line.close(board)
    line.close(board)
    line.run(2.0)
    assert len(host.got) == 10_000
    assert [end.state for end in line.ends] == ["called", "called closed"]
    line.send(host, b"last words")
    line.close(host)
    line.run(2.0)
    assert board.got == b"last words"
    assert [end.state for end in line.ends] == ["called closed finished"] * 2
    assert [end.guard.next_deadline() for end in line.ends] == [None, None]


def test_closing_gets_over_a_line_that_loses_packets() -> None:
    for number in range(1, 5):
        for which in (0, 1):
            line = Line.opened()
            board, host = line.ends
            line.ends[which].noise = losing(number)
            line.send(board, b"bye")
            line.close(board)
            line.run(3.0)
            line.close(host)
            line.run(3.0)
            assert host.got == b"bye"
            assert [end.state for end in line.ends] == ["called closed finished"] * 2


def test_a_last_word_may_be_said_after_closing_while_others_are_under_way() -> None:
    line = Line.opened()
    board, host = line.ends
    line.send(board, b"events, ")
    line.close(board)
    line.send(board, b"goodbye")
    line.run(1.0)
    line.send(board, b"too late")
    line.run(1.0)
    assert host.got == b"events, goodbye"
    assert host.guard.closed


def test_what_comes_behind_the_end_is_not_taken() -> None:
    line = Line.opened()
    _, host = line.ends
    end = Packet(FIN, 0, 0, 0, HOST).encode()
    assert host.guard.receive(end + Packet(DATA, 1, 0, 0, HOST, b"ghost").encode(), line.now) == b""
    assert host.guard.closed


def test_an_end_that_does_not_close_too_is_given_up() -> None:
    line = Line.opened(give_up_s=10.0)
    board, _ = line.ends
    line.close(board)
    line.run(9.9)
    assert not board.failed
    line.run(0.2)
    assert isinstance(board.error, ConnectionLost)


def test_closing_before_the_session_has_begun_frees_the_other_end() -> None:
    calling, waiting = GuardLayer(BOARD, 0.0), GuardLayer(HOST, 0.0, active=False)
    waiting.receive(calling.data_to_send(), 0.1)
    calling.close(0.2)
    assert calling.finished
    assert calling.next_deadline() is None
    with pytest.raises(ConnectionLost):
        waiting.receive(calling.data_to_send(), 0.3)
    assert calling.receive(waiting.data_to_send(), 0.4) == b""
    assert calling.data_to_send() == b""
    assert (calling.identity, calling.expires) == (None, math.inf)
