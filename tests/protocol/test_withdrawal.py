"""What waits at the server is not for those who may not hear it any more; real clients, and a link that waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import End, World

from sig.messages import RemoveSender
from sig.protocol.bodies import Lost
from sig.protocol.client import RouteOpened
from sig.security.policy import Policy, Rule, allow, deny

EVERYTHING = allow("*", ["own", "trigger", "listen"])
NOT_F = deny("uid:2", "listen", events="f")


def govern(world: World, *rules: Rule) -> None:
    world.server.govern(Policy(rules), None, world.now)


def a_slow_guest() -> tuple[World, End, End]:
    """What the owner says stands in the guest's outbox, as long as nobody carries it down."""
    world = World()
    world.prompt = False
    govern(world, EVERYTHING)
    owner, guest = world.client(known_as="uid:1"), world.client(known_as="uid:2")
    owner.add("s", "e", "f")
    guest.listen(1)
    return world, owner, guest


def say(owner: End, *events: tuple[str, bytes]) -> None:
    for event, payload in events:
        owner.core.owning.trigger("s", event, payload)
    owner.world.carry_up(owner)


def values(end: End) -> list[object]:
    return [value for _, value in end.heard()]


def missed(end: End) -> list[object]:
    return [news for news in end.news if isinstance(news, Lost)]


def test_what_waits_is_withdrawn_and_the_rest_comes_in_its_order() -> None:
    world, owner, guest = a_slow_guest()
    say(owner, ("e", b"1"), ("f", b"2"), ("e", b"3"))
    say(owner, ("f", b"4"))
    say(owner, ("e", b"5"))
    govern(world, EVERYTHING, NOT_F)
    outbox = guest.connection.outbox
    assert outbox.events == 3
    assert outbox.dropped == 0
    world.settle()
    assert values(guest) == [1, 3, 5]
    assert missed(guest) == []
    assert (outbox.events, outbox.event_bytes) == (0, 0)


def test_who_keeps_its_rights_keeps_all_that_waits() -> None:
    world, owner, guest = a_slow_guest()
    other = world.client(known_as="uid:3")
    other.listen(1)
    say(owner, ("e", b"1"), ("f", b"2"))
    govern(world, EVERYTHING, NOT_F)
    world.settle()
    assert (values(guest), values(other)) == ([1], [1, 2])


def test_what_was_withdrawn_is_not_told_as_missed_when_the_right_comes_back() -> None:
    for between in (0, 2):
        world, owner, guest = a_slow_guest()
        say(owner, ("f", b"1"))
        world.settle()
        say(owner, ("f", b"2"), ("f", b"3"))
        govern(world, EVERYTHING, NOT_F)
        for _ in range(between):
            say(owner, ("f", b"4"))
        world.settle()
        govern(world, EVERYTHING)
        world.settle()
        say(owner, ("f", b"5"))
        world.settle()
        assert values(guest) == [1, 5]
        assert missed(guest) == []
        told = [news.route.next_seq for news in guest.news if isinstance(news, RouteOpened) and news.route.event == "f"]
        assert told == [1, 4 + between]  # the number of the fifth, so that it is counted right


def test_events_of_senders_that_have_gone_still_come() -> None:
    world, owner, guest = a_slow_guest()
    say(owner, ("f", b"1"))
    owner.call(RemoveSender("s"))
    world.carry_up(owner)
    govern(world, EVERYTHING, NOT_F)
    world.settle()
    assert values(guest) == [1]


@given(
    st.lists(st.lists(st.sampled_from(["e", "f", "g"]), min_size=1, max_size=6), max_size=8),
    st.sets(st.sampled_from(["e", "f", "g"])),
    st.booleans(),
    st.booleans(),
)
def test_exactly_what_is_still_allowed_comes(said: list[list[str]], taken: set[str], held: bool, late: bool) -> None:
    """Also for one that is held up, and late, and has not been given all of it."""
    world = World()
    world.server.backlogs.patience = 0
    govern(world, EVERYTHING)
    owner, guest = world.client(known_as="uid:1"), world.client(known_as="uid:2")
    owner.add("s", "e", "f", "g")
    guest.listen(1)
    number, expected = 0, []
    for turn in said:
        for event in turn:
            owner.core.owning.trigger("s", event, b"%d" % number)
            if event not in taken:
                expected.append(number)
            number += 1
        world.carry_up(owner)
        if held and late:
            guest.connection.outbox.hold_up(world.server.budget)
    budget = world.server.budget
    if held:
        guest.connection.outbox.hold_up(budget)
    govern(world, EVERYTHING, *[deny("uid:2", "listen", events=event) for event in sorted(taken)])
    assert guest.connection.outbox.events == len(expected)
    world.settle()
    assert values(guest) == expected
    assert budget.used == 0
