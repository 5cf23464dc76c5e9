"""What is said again on a new link: all of it, in order, and little of it under way at a time."""

from __future__ import annotations

from functools import partial

from protocol.pairs import Answer

from sig.errors import ConnectionLost
from sig.protocol.calls import Done
from sig.protocol.restoring import AT_ONCE, Restoring


def test_few_are_under_way_at_a_time_and_the_answers_are_in_order() -> None:
    waiting: list[tuple[int, Done]] = []
    most = 0

    def begin(number: int, done: Done) -> None:
        nonlocal most
        waiting.append((number, done))
        most = max(most, len(waiting))

    told = Answer()
    Restoring([partial(begin, number) for number in range(1000)], told).go_on()
    asked: list[int] = []
    while waiting:
        number, done = waiting.pop(-1 if len(asked) % 3 else 0)  # a server may answer as it likes
        asked.append(number)
        done(number * 2, None)
    assert most == AT_ONCE
    assert told.ok == [(number * 2, None) for number in range(1000)]


def test_an_answer_may_come_at_once() -> None:
    def begin(number: int, done: Done) -> None:
        done(number, None)

    told = Answer()
    Restoring([partial(begin, number) for number in range(10_000)], told).go_on()
    assert told.ok == [(number, None) for number in range(10_000)]


def test_what_cannot_be_begun_is_answered_with_the_error() -> None:
    lost = ConnectionLost("lost")

    def begin(done: Done) -> None:
        raise lost

    told = Answer()
    Restoring([begin, begin], told).go_on()
    assert told.ok == [(None, lost), (None, lost)]


def test_nothing_to_say_is_said_at_once() -> None:
    told = Answer()
    Restoring([], told).go_on()
    assert told.ok == []
