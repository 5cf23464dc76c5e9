"""Routes that have ended, and whose end a client may not have heard of."""

from __future__ import annotations

from protocol.pairs import World

from sig.protocol.ended import KEPT_S, MOST, Ended
from sig.protocol.ended import End as Gone
from sig.protocol.held import Route


def route() -> Route:
    world = World()
    world.client().add("s", "e")
    (found,) = (route for route in world.server.routes.values() if route.event)
    return found


def test_what_stands_before_the_last_of_which_it_has_heard_is_not_told() -> None:
    one, other, third = (Gone(route(), number) for number in (1, 2, 3))
    for last, left in ((1, [other, third]), (2, [other, third]), (3, [third]), (None, [one, other, third])):
        ended = Ended()
        ended.add(1, one, 0.0)
        ended.add(2, None, 0.0)
        ended.add(3, other, 0.0)
        ended.add(4, third, 0.0)
        assert ended.unheard(last) == left


def test_each_is_told_once_and_from_the_first_that_was_missed() -> None:
    ended, gone = Ended(), route()
    ended.add(1, Gone(gone, 5, 7), 0.0)
    ended.add(2, Gone(gone, 9, 7), 0.0)
    ended.add(3, Gone(gone, 9), 0.0)
    assert ended.unheard(None) == [Gone(gone, 5, 7), Gone(gone, 9)]


def test_no_more_are_kept_than_can_be_needed() -> None:
    ended, gone = Ended(), route()
    for number in range(MOST + 5):
        ended.add(number, Gone(gone, 1), 0.0)
    assert len(ended) == MOST
    ended.add(MOST + 5, None, KEPT_S * 2, away=True)
    assert len(ended) == MOST
    ended.add(MOST + 6, None, KEPT_S * 2)
    assert len(ended) == 2
