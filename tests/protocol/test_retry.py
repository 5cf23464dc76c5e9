"""Coming back: random from the first attempt, longer each round, never against the server's wish, never for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.protocol.retry import LONGEST_ASKED_S, Retry

NOW = 1000.0


def retry(random: Callable[[], float] = lambda: 1.0, addresses: Sequence[str] = ("a",)) -> Retry[str]:
    """One whose waits are, with the largest random number, 1 s, doubled up to 30 s."""
    return Retry(addresses, random, first_s=1.0, longest_s=30.0, settled_s=10.0)


def test_each_wait_may_be_twice_as_long_as_the_one_before_up_to_the_longest() -> None:
    one = retry()
    one.opened(NOW)
    assert [one.failed(NOW + 60)] + [one.failed(NOW + 60) for _ in range(6)] == [1, 2, 4, 8, 16, 30, 30]
    assert one.attempts == 6


def test_the_first_wait_is_random_already() -> None:
    """Else all clients of a server that dies come back in the same instant."""
    waits = []
    for seed in range(1000):
        one = retry(Random(seed).random)
        one.opened(NOW)
        waits.append(one.failed(NOW + 60))
    assert all(0 <= wait < 1 for wait in waits)
    tenths = [sum(int(wait * 10) == tenth for wait in waits) for tenth in range(10)]
    assert min(tenths) > 50  # of a hundred


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_a_wait_is_anything_up_to_its_bound(seed: int, attempts: int) -> None:
    one = retry(Random(seed).random)
    for attempt in range(1, attempts + 1):
        assert 0 <= one.failed(NOW) <= min(30, 2**attempt)


def test_thousands_of_failures_are_no_number_too_large() -> None:
    one = retry()
    for _ in range(5000):
        wait = one.failed(NOW)
    assert wait == 30


@pytest.mark.parametrize(("lived", "wait"), [(10.0, 1), (9.9, 16)])
def test_a_link_that_lived_long_enough_makes_all_begin_anew(lived: float, wait: float) -> None:
    """One that is dropped as soon as it is up was no success."""
    one = retry()
    for _ in range(3):
        one.failed(NOW)
    one.opened(NOW)
    assert one.failed(NOW + lived) == wait


def test_a_link_counts_once() -> None:
    one = retry()
    one.opened(NOW)
    assert [one.failed(NOW + 60), one.failed(NOW + 60)] == [1, 2]


def test_what_the_server_asks_for_comes_on_top() -> None:
    one = retry(lambda: 0.5)
    assert one.failed(NOW, retry_after_s=20) == 20 + 0.5 * 2
    assert one.failed(NOW + 21) == 0.5 * 4


def test_whom_the_server_sends_away_together_does_not_come_back_together() -> None:
    waits = {retry(Random(seed).random).failed(NOW, retry_after_s=5) for seed in range(100)}
    assert len(waits) == 100
    assert all(5 <= wait <= 7 for wait in waits)


def test_a_server_cannot_send_a_client_away_for_ever() -> None:
    assert retry(lambda: 0.0).failed(NOW, retry_after_s=1e9) == LONGEST_ASKED_S


def test_addresses_are_tried_in_turn_and_waits_grow_with_each_round() -> None:
    one = retry(addresses="abc")
    tried = [one.address]
    waits = []
    for _ in range(7):
        waits.append(one.failed(NOW))
        tried.append(one.address)
    assert "".join(tried) == "abcabcab"
    assert waits == [1, 1, 2, 2, 2, 4, 4]


def test_a_good_address_is_tried_again_first() -> None:
    one = retry(addresses="abc")
    one.failed(NOW)
    one.opened(NOW)
    one.failed(NOW + 60)
    assert one.address == "b"
    one.failed(NOW + 61)
    assert one.address == "c"


def test_an_address_that_wants_to_be_left_alone_is_passed_over() -> None:
    one = retry(addresses="abc")
    assert one.failed(NOW, retry_after_s=60) == 1
    tried = []
    for second in range(1, 5):
        tried.append(one.address)
        one.failed(NOW + second)
    assert tried == ["b", "c", "b", "c"]
    one.failed(NOW + 61)
    assert one.address == "c"
    one.failed(NOW + 62)
    assert one.address == "a"


def test_where_all_want_to_be_left_alone_the_one_that_is_free_first_is_next() -> None:
    one = retry(lambda: 0.0, addresses="abc")
    for seconds in (50, 20, 30):
        wait = one.failed(NOW, retry_after_s=seconds)
    assert (one.address, wait) == ("b", 20)


def test_a_server_that_took_us_in_does_not_want_to_be_left_alone_any_more() -> None:
    one = retry(lambda: 0.0)
    one.failed(NOW, retry_after_s=60)
    one.opened(NOW + 1)
    assert one.failed(NOW + 30) == 0
