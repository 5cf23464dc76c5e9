"""Interleaved rounds: who runs when, and what is made of the figures."""

from __future__ import annotations

from benchmarks.rounds import ratios, rotated, spread


def test_every_round_has_everybody_and_begins_with_the_next() -> None:
    order = list(rotated(["a", "b", "c"], 4))
    assert [name for number, name in order if number == 0] == ["a", "b", "c"]
    assert [name for number, name in order if number == 1] == ["b", "c", "a"]
    assert [name for number, name in order if number == 3] == ["a", "b", "c"]


def test_nobody_has_no_rounds() -> None:
    assert list(rotated([], 3)) == []


def test_the_spread_of_one_figure_is_that_figure() -> None:
    assert spread([3.0]) == (3.0, 3.0, 3.0)
    assert spread([5.0, 1.0, 3.0]) == (2.0, 3.0, 4.0)


def test_ratios_are_taken_within_rounds() -> None:
    assert ratios([2.0, None, 9.0, 1.0], [1.0, 4.0, 3.0, None]) == [2.0, 3.0]
