"""What listeners are told when the link is back: each is compared with what it knew itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sig
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.messages import Presence
from sig.returned import Presences
from sig.subscription import Subscription

Listen = Callable[..., Subscription]
SINCE_US = 100


def presence(sender: str, incarnation: int, event: Any = EVENT_CONNECT, time_us: int = SINCE_US + 1) -> Presence:
    return Presence(sender, incarnation, event, {"events": ["e"], "requests": None}, time_us)


@pytest.fixture(name="listen")
def listen_fixture() -> Iterator[Listen]:
    with sig.Router() as router:
        yield lambda event=None: router.listen(lambda info, data: None, None, event)


def told(changes: list[Presence]) -> list[tuple[str, str, int]]:
    return [(change.sender, change.event, change.incarnation) for change in changes]


def test_each_is_compared_with_what_it_knew_and_not_with_what_others_have_been_told_since(listen: Listen) -> None:
    presences, first, second = Presences(), listen(), listen()
    presences.take(presence("s", 1))
    presences.part([first, second])
    assert presences.waits(first)
    assert told(presences.changes(first, SINCE_US, [])) == [("s", EVENT_DISCONNECT, 1)]
    assert (presences.waits(first), presences.waits(second)) == (False, True)
    presences.take(presence("s", 2))  # is told to the first, who is registered again
    there = [presence("s", 2)]
    assert told(presences.changes(second, SINCE_US, there)) == [("s", EVENT_DISCONNECT, 1), ("s", EVENT_CONNECT, 2)]
    presences.settle()
    presences.part([first])
    assert presences.changes(first, SINCE_US, there) == []


def test_who_waits_when_the_link_is_lost_again_has_not_been_told_anything_since(listen: Listen) -> None:
    presences, late = Presences(), listen()
    presences.take(presence("s", 1))
    presences.part([late])
    presences.take(presence("s", 1, EVENT_DISCONNECT))
    presences.part([late])
    assert told(presences.changes(late, SINCE_US, [])) == [("s", EVENT_DISCONNECT, 1)]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (EVENT_CONNECT, [("s", EVENT_CONNECT, 2)]),
        (EVENT_DISCONNECT, [("s", EVENT_DISCONNECT, 1)]),
        (None, [("s", EVENT_DISCONNECT, 1), ("s", EVENT_CONNECT, 2)]),
    ],
)
def test_each_is_told_what_it_listens_to(listen: Listen, event: str, expected: list[tuple[str, str, int]]) -> None:
    presences, one = Presences(), listen(event)
    presences.take(presence("s", 1))
    presences.part([one])
    assert told(presences.changes(one, SINCE_US, [presence("s", 2)])) == expected


def test_who_was_there_before_somebody_listened_is_no_news(listen: Listen) -> None:
    presences, one = Presences(), listen()
    presences.part([one])
    there = [presence("old", 1, time_us=SINCE_US), presence("new", 2)]
    assert told(presences.changes(one, SINCE_US, there)) == [("new", EVENT_CONNECT, 2)]
