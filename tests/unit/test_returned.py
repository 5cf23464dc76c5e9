"""What listeners are told when the link is back: each is compared with what it knew itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import sig
from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.info import info_of
from sig.messages import Presence, Route
from sig.pace import Pace
from sig.returned import Absence, Left, Presences
from sig.subscription import Subscription

Listen = Callable[..., Subscription]
SINCE_US = 100


def presence(sender: str, incarnation: int, event: Any = EVENT_CONNECT, time_us: int = SINCE_US + 1) -> Presence:
    return Presence(sender, incarnation, event, {"events": ["e"], "requests": None}, time_us)


@pytest.fixture(name="listen")
def listen_fixture() -> Iterator[Listen]:
    with sig.Router() as router:
        yield lambda event=None, **options: router.listen(lambda info, data: None, None, event, **options)


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


def test_who_has_a_lane_is_told_by_itself_and_later_than_the_others(listen: Listen) -> None:
    presences, one, alone = Presences(), listen(), listen()
    members = [listen(group="g") for _ in range(2)]
    for each in (alone, *members):
        each.pace = Pace(1, lambda events: None)
    presences.take(presence("s", 2))
    presences.take(presence("s", 1), alone)
    presences.take(presence("s", 1), members[0])
    presences.take(presence("s", 1, EVENT_DISCONNECT), members[1])  # of a group one is told, and for all
    everybody = [one, alone, *members]
    presences.part(everybody)
    there = [presence("s", 2)]
    came, went = ("s", EVENT_CONNECT, 2), ("s", EVENT_DISCONNECT, 1)
    changes = [told(presences.changes(each, SINCE_US, there)) for each in everybody]
    assert changes == [[], [went, came], [came], [came]]
    for each in everybody:
        presences.found(there[0], each)
    presences.settle()
    presences.part(everybody)
    assert [told(presences.changes(each, SINCE_US, there)) for each in everybody] == [[]] * 4


def test_who_was_there_before_somebody_listened_is_no_news(listen: Listen) -> None:
    presences, one = Presences(), listen()
    presences.part([one])
    there = [presence("old", 1, time_us=SINCE_US), presence("new", 2)]
    assert told(presences.changes(one, SINCE_US, there)) == [("new", EVENT_CONNECT, 2)]


class Gaps:
    """A listener of one event, and what it is told that it missed."""

    def __init__(self, listen: Listen, event: str = "e", **options: Any) -> None:
        self.told: list[sig.Gap] = []
        self.subscription = listen(event, on_gap=lambda info, gap: self.told.append(gap), **options)


def absence(*gaps: Gaps, kept: bool = True) -> Absence:
    made = Absence()
    made.begin([each.subscription for each in gaps])
    made.back(same=True, kept=kept)
    return made


def route(next_seq: int, first_seq: int = 0, unsure_seq: int = 0) -> Route:
    return Route("s", "e", incarnation=1, next_seq=next_seq, first_seq=first_seq, unsure_seq=unsure_seq)


INFO = info_of("s", "e")


def test_of_a_route_that_it_was_not_told_of_a_client_missed_all_since_it_was_to_hear_it(listen: Listen) -> None:
    one, other = Gaps(listen), Gaps(listen, "f")
    made = absence(one, other)
    for _ in range(2):
        made.found(route(5, first_seq=2), INFO)
    made.end()
    assert (one.told, other.told) == ([sig.Gap(3, "lost_link")], [])


def test_beside_a_lane_the_others_are_told_of_the_route_that_they_did_not_know(listen: Listen) -> None:
    one, grouped = Gaps(listen), Gaps(listen, group="g")
    made = absence(one)
    made.leave([Left(INFO, 1, 4, [grouped.subscription], lane=True)])
    made.found(route(5, first_seq=2), INFO)
    assert (one.told, grouped.told) == ([sig.Gap(3, "lost_link")], [sig.Gap(1, "lost_link")])


def test_what_was_missed_between_two_losses_in_a_row_is_told(listen: Listen) -> None:
    one, alone = Gaps(listen), Gaps(listen)
    made = absence(one)
    made.leave([Left(INFO, 1, 4, [one.subscription]), Left(INFO, 1, 4, [alone.subscription], lane=True)])
    made.found(route(6), INFO)
    made.leave([Left(INFO, 1, 7, [one.subscription])])  # an event came, which was not for who has no lane yet
    made.back(same=True, kept=True)
    made.found(route(9), INFO)
    made.found(route(10), INFO, alone.subscription)
    made.end()
    assert one.told == [sig.Gap(2, "lost_link"), sig.Gap(2, "lost_link")]
    assert alone.told == [sig.Gap(6, "lost_link")]


def test_what_was_missed_between_two_losses_in_a_row_is_told_once_to_each_of_several(listen: Listen) -> None:
    several = [Gaps(listen), Gaps(listen)]
    made = absence(*several)
    for next_seq in (4, 6):
        made.leave([Left(INFO, 1, next_seq, [each.subscription], lane=True) for each in several])
        for each in several:
            made.found(route(next_seq + 2), INFO, each.subscription)
    made.end()
    assert [each.told for each in several] == [[sig.Gap(2, "lost_link")] * 2] * 2


def test_who_has_senders_wait_is_told_by_its_lane_what_came_until_it_was_registered_again(listen: Listen) -> None:
    knew, other = Gaps(listen), Gaps(listen)
    made = absence(knew, other)
    lanes = [(4, knew), (5, other)]
    made.leave([Left(INFO, 1, next_seq, [gaps.subscription], lane=True) for next_seq, gaps in lanes])
    made.found(route(6), INFO)
    assert (knew.told, other.told) == ([], [])
    made.found(route(8), INFO, knew.subscription)
    made.found(route(9), INFO, other.subscription)
    made.end()
    assert (knew.told, other.told) == ([sig.Gap(4, "lost_link")], [sig.Gap(4, "lost_link")])


def test_who_has_senders_wait_is_told_by_its_lane_of_a_route_that_came_to_be_meanwhile(listen: Listen) -> None:
    one, other = Gaps(listen), Gaps(listen)
    made = absence(one, other)
    made.found(route(5, first_seq=2), INFO, one.subscription)
    assert (one.told, other.told) == ([sig.Gap(3, "lost_link")], [])


def test_who_has_senders_wait_and_no_lane_when_it_is_back_is_told_that_nobody_knows(listen: Listen) -> None:
    """A server has none for it that has no room to say so."""
    one = Gaps(listen)
    made = absence(one)
    made.leave([Left(INFO, 1, 4, [one.subscription], lane=True)])
    made.found(route(6), INFO)
    made.end()
    assert one.told == [sig.Gap(None, "lost_link")]


@pytest.mark.parametrize(("unsure_seq", "missed"), [(0, 3), (5, None)])
def test_of_a_route_that_comes_again_the_listeners_missed_what_lies_between(
    listen: Listen, unsure_seq: int, missed: int | None
) -> None:
    """One for whom senders wait was registered before the others: it was for this one that the route was told."""
    one, other = Gaps(listen), Gaps(listen, "f")
    made = absence(one, other)
    made.leave([Left(INFO, 1, 4, [one.subscription])])
    made.found(route(5), INFO)
    made.found_again(route(8, unsure_seq=unsure_seq), INFO, 5)
    made.end()
    assert one.told == [sig.Gap(1, "lost_link"), sig.Gap(missed, "lost_link")]
    assert other.told == []


def test_of_two_senders_of_one_name_that_it_did_not_know_what_was_missed_of_each_is_told(listen: Listen) -> None:
    one = Gaps(listen)
    made = absence(one)
    for incarnation, next_seq in ((1, 5), (2, 4)):
        made.found(replace(route(next_seq, first_seq=2), incarnation=incarnation), INFO)
        made.gone(Left(INFO, incarnation, next_seq, [one.subscription]))
    made.gone(Left(info_of("s", "other"), 1, 1, []))
    made.end()
    assert one.told == [sig.Gap(3, "lost_link"), sig.Gap(2, "lost_link")]


def test_who_has_counted_no_further_than_where_nobody_knows_is_told_so(listen: Listen) -> None:
    before, after = Gaps(listen), Gaps(listen)
    for gaps, counted in ((before, 3), (after, 4)):
        made = absence(gaps)
        made.leave([Left(INFO, 1, counted, [gaps.subscription])])
        made.found(route(5, first_seq=1, unsure_seq=3), INFO)
    assert (before.told, after.told) == ([sig.Gap(None, "lost_link")], [sig.Gap(1, "lost_link")])


@pytest.mark.parametrize(
    ("next_seq", "unsure_seq", "told"),
    [(5, 0, [sig.Gap(None, "lost_link")]), (1, 1, [sig.Gap(None, "lost_link")]), (1, 0, [])],
)
def test_who_was_forgotten_missed_what_a_sender_has_triggered_that_it_did_not_know(
    listen: Listen, next_seq: int, unsure_seq: int, told: list[sig.Gap]
) -> None:
    """Also what never came to the server."""
    one = Gaps(listen)
    absence(one, kept=False).found(route(next_seq, unsure_seq=unsure_seq), INFO)
    assert one.told == told
