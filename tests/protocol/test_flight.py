"""What is under way: when a packet leaves, when it is lost, when to send it again."""

from __future__ import annotations

import math

import pytest

from sig.protocol.flight import PATIENCE_S, WINDOW, Flight
from sig.protocol.packets import DATA, FIN, FRAMING_BYTES


def leaving(flight: Flight, now: float) -> list[tuple[int, bytes]]:
    return [(packet.number, packet.payload) for packet in flight.leaving(now)]


def test_pieces_are_joined_and_cut_to_packets() -> None:
    flight = Flight(math.inf, 10.0)
    flight.size = 4
    for piece in (b"ab", b"cdef", b"g"):
        flight.put(piece)
    assert leaving(flight, 0.0) == [(0, b"abcd"), (1, b"efg")]
    assert leaving(flight, 0.0) == []
    assert not flight.queue


def test_packets_of_their_own_stand_in_order() -> None:
    flight = Flight(math.inf, 10.0)
    flight.put(b"x")
    assert leaving(flight, 0.0) == [(0, b"x")]
    flight.add(FIN)
    assert leaving(flight, 0.0) == [(1, b"")]
    assert [packet.kind for packet in flight.sent] == [DATA, FIN]


@pytest.mark.parametrize(("rate", "size"), [(math.inf, 512), (11_520.0, 512), (960.0, 240), (10.0, 64)])
def test_packets_are_smaller_on_a_slow_line(rate: float, size: int) -> None:
    assert Flight(rate, 10.0).size == size


def filled(rate: float = math.inf) -> Flight:
    flight = Flight(rate, 10.0)
    flight.put(bytes(512 * WINDOW * 2))
    flight.leaving(0.0)
    return flight


def test_there_is_room_for_a_window() -> None:
    flight = filled()
    assert [packet.number for packet in flight.sent] == list(range(WINDOW))
    flight.acknowledged(0, 0b111, 0.1)  # a gap at the beginning keeps the window where it is
    assert [number for number, _ in leaving(flight, 0.1)] == [0]
    flight.acknowledged(4, 0b111, 0.2)
    assert [number for number, _ in leaving(flight, 0.2)] == [4, *range(WINDOW, WINDOW + 4)]


def test_the_line_is_not_given_more_than_it_can_soon_do() -> None:
    flight = filled(11_520.0)
    packet_s = (512 + FRAMING_BYTES) / 11_520
    assert len(flight.sent) == 3
    ready = flight.next_deadline()
    assert ready == pytest.approx(3 * packet_s - 0.1)
    assert leaving(flight, ready - 0.001) == []
    assert flight.handle_timeout(ready)
    assert [number for number, _ in leaving(flight, ready)] == [3]


def test_a_line_that_is_faster_than_it_said_is_given_more() -> None:
    flight = filled(11_520.0)
    flight.acknowledged(3, 0, 0.001)
    assert [number for number, _ in leaving(flight, 0.001)] == [3, 4, 5]


def test_what_was_sent_before_something_that_arrived_is_lost() -> None:
    flight = filled()
    flight.acknowledged(1, 0b1010, 0.1)  # 0, 3 and 5
    assert [number for number, _ in leaving(flight, 0.1)][:3] == [1, 2, 4]
    assert flight.resent == 3
    # 1, 2 and 4 have been sent after 6 and 7: only when one of these arrives, 6 and 7 are lost.
    flight.acknowledged(1, 0b1010, 0.2)
    assert leaving(flight, 0.2) == []
    flight.acknowledged(1, 0b1011, 0.3)
    assert [number for number, _ in leaving(flight, 0.3)] == [1, 6, 7]


def test_what_arrived_late_after_all_is_not_sent_again() -> None:
    flight = filled()
    flight.acknowledged(0, 0b1, 0.1)
    flight.acknowledged(2, 0, 0.1)
    assert [number for number, _ in leaving(flight, 0.1)] == [WINDOW, WINDOW + 1]
    assert flight.resent == 0


def test_the_oldest_is_sent_again_after_a_while_and_ever_more_seldom() -> None:
    flight = filled()
    times = []
    now = 0.0
    for _ in range(7):
        now = flight.next_deadline()
        assert flight.handle_timeout(now)
        assert [number for number, _ in leaving(flight, now)] == [0]
        times.append(now)
        flight.since = now  # nobody gives up here
    pauses = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert pauses == pytest.approx([PATIENCE_S, 0.5, 1, 2, 4, 4, 4])


def test_patience_is_learned_from_what_was_sent_once() -> None:
    flight = Flight(math.inf, 10.0)
    now = 0.0
    for number in range(50):
        flight.put(b"x")
        flight.leaving(now)
        flight.acknowledged(number + 1, 0, now + 0.5)
        now += 1.0
    flight.put(b"x")
    flight.leaving(now)
    assert now + 0.5 < flight.next_deadline() < now + 0.7
    # What has been sent twice teaches nothing: which of the two was it?
    late = flight.next_deadline()
    flight.handle_timeout(late)
    flight.leaving(late)
    flight.acknowledged(51, 0, late + 0.001)
    flight.put(b"x")
    flight.leaving(late)
    assert flight.next_deadline() > late + 0.9


def test_patience_has_bounds() -> None:
    flight = Flight(math.inf, 10.0)
    for number in range(100):
        flight.put(b"x")
        flight.leaving(0.0)
        flight.acknowledged(number + 1, 0, 0.0)
    flight.put(b"x")
    flight.leaving(0.0)
    assert flight.next_deadline() == pytest.approx(0.1)


def test_who_acknowledges_nothing_is_given_up() -> None:
    flight = filled()
    assert flight.handle_timeout(9.9)
    assert not flight.handle_timeout(10.0)
    flight = filled()
    flight.acknowledged(1, 0, 9.0)
    assert flight.handle_timeout(18.9)
    assert not flight.handle_timeout(19.0)


def test_time_counts_from_the_first_that_is_under_way() -> None:
    flight = Flight(math.inf, 10.0)
    flight.put(b"x")
    flight.leaving(100.0)
    assert flight.handle_timeout(109.9)
    flight.leaving(109.9)
    assert flight.next_deadline() == 110.0
    flight.acknowledged(1, 0, 109.9)
    assert flight.sent == []


def test_numbers_that_were_not_sent_are_no_acknowledgements() -> None:
    flight = Flight(math.inf, 10.0)
    flight.acknowledged(1, 0xFF, 0.0)
    flight.put(b"x")
    flight.leaving(0.0)
    flight.acknowledged(2, 0, 0.0)
    flight.acknowledged(0, 0, 0.0)
    assert [packet.number for packet in flight.sent] == [0]


def test_numbers_go_round() -> None:
    flight = Flight(math.inf, 10.0)
    for number in range(600):
        flight.put(b"%d" % number)
        assert leaving(flight, 0.0) == [(number % 256, b"%d" % number)]
        flight.acknowledged((number + 1) % 256, 0, 0.0)
    assert flight.sent == []
