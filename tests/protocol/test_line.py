"""Whose turn it is in a line, and what waits, comes back or is lost there."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sig.constants import Limits
from sig.protocol.budget import Budget
from sig.protocol.line import Line, Member, Members, Parcel, Share


class Link:
    """Whether a member is there is all that a line asks of its connection."""

    closed = False


class Row:
    """A line, and what its members were told."""

    def __init__(self, *windows: int, **limits: float) -> None:
        self.budget = Budget(1_000_000)
        self.lost: list[tuple[Member, int, str]] = []
        self.line = Line(Limits.of(**limits), self.budget, lambda m, s: self.lost.append((m, s.events, s.reason)))
        self.members = tuple(self.join(window) for window in windows)
        self.serial = 0

    def join(self, window: int) -> Member:
        member = Member(cast(Any, Link()), 0, window)
        member.ready = True
        self.line.members[member] = None
        return member

    def put(self, text: str, members: Members | None = None, **more: Any) -> Parcel:
        """One event for each letter."""
        self.serial += 1
        parcel = Parcel("s", "e", self.serial, [letter.encode() for letter in text], **more)
        self.line.put(self.members if members is None else members, parcel)
        return parcel

    def give(self) -> dict[Member, str]:
        """All that can be given now."""
        found: dict[Member, str] = dict.fromkeys(self.line.members, "")
        while (given := self.line.next()) is not None:
            member, share = given
            found[member] += b"".join(share.parcel.payloads[share.start : share.end]).decode()
        return found


def test_a_burst_is_shared_out_evenly_and_in_order() -> None:
    row = Row(16, 16, 16)
    row.put("abcdefghij")
    assert list(row.give().values()) == ["abcd", "efgh", "ij"]
    assert row.line.events == 0


def test_single_events_go_to_who_has_least_and_has_waited_longest() -> None:
    row = Row(16, 16)
    first, second = row.members
    told = []
    for letter in "abcd":
        row.put(letter)
        told += [member for member, text in row.give().items() if text]
    assert told == [first, second, first, second]
    row.line.begun(second, 2)
    row.put("efg")
    assert row.give() == {first: "", second: "efg"}


def test_nobody_has_more_than_his_window_and_is_given_more_when_half_is_free() -> None:
    row = Row(4)
    (member,) = row.members
    row.put("abcdefgh")
    assert row.give()[member] == "abcd"
    row.line.begun(member, 1)
    assert row.give()[member] == ""
    row.line.begun(member, 1)
    assert row.give()[member] == "ef"
    assert (member.free, member.begun, row.line.events) == (0, 2, 2)


def test_who_is_alone_is_given_what_it_has_room_for() -> None:
    row = Row(4)
    row.line.alone = True
    (member,) = row.members
    row.put("abcdefgh")
    row.give()
    row.line.begun(member, 1)
    assert row.give()[member] == "e"


def test_a_single_place_is_enough_for_all_that_waits() -> None:
    row = Row(4)
    (member,) = row.members
    row.put("abcde")
    row.give()
    row.line.begun(member, 1)
    assert row.give()[member] == "e"


def test_large_events_are_given_one_by_one() -> None:
    row = Row(16, 16)
    large = [bytes(700_000)] * 4
    row.line.put(row.members, Parcel("s", "e", 1, large))
    row.give()
    assert [member.events for member in row.members] == [2, 2]
    row = Row(16)
    row.line.put(row.members, Parcel("s", "e", 1, large))
    row.give()
    assert (row.members[0].events, row.line.events) == (2, 2)


def test_who_is_gone_and_who_is_not_ready_is_given_nothing() -> None:
    row = Row(4, 4)
    row.members[0].connection.closed = True
    row.put("abc")
    assert list(row.give().values()) == ["", "abc"]


def test_who_may_have_only_some_is_given_the_oldest_of_these() -> None:
    row = Row(2, 2)
    first, second = row.members
    row.put("ab", (first,))
    row.put("cd", (first,))
    row.put("ef")
    assert row.give() == {first: "ab", second: "ef"}
    row.line.begun(first, 2)
    assert row.give() == {first: "cd", second: ""}


def test_what_is_for_nobody_is_forgotten() -> None:
    row = Row(4)
    paid: list[str] = []
    row.put("ab", (), paid=lambda: paid.append("at once"))
    assert (row.line.events, row.budget.used, paid) == (0, 0, ["at once"])


def test_whoever_waits_for_a_parcel_is_told_when_none_of_it_waits() -> None:
    row = Row(2)
    paid: list[str] = []
    row.put("abc", paid=lambda: paid.append("taken"))
    row.give()
    assert paid == []
    row.line.begun(row.members[0], 2)
    row.give()
    assert paid == ["taken"]


def test_what_a_member_gives_back_comes_before_what_waits() -> None:
    row = Row(4, 4)
    first, second = row.members
    row.put("abcdefgh")
    row.put("ij")
    assert row.give() == {first: "abcd", second: "efgh"}
    row.line.begun(first, 1)
    row.line.begun(second, 4)
    back = row.line.leave(first)
    row.line.regroup(lambda parcel: (second,), back)
    assert row.give() == {second: "bcd"}
    row.line.begun(second, 3)
    assert row.give() == {second: "ij"}
    assert row.line.leave(second)[0].events == 2
    assert row.budget.used == 0


def test_what_is_too_much_is_lost_from_the_oldest_on_and_one_member_is_told() -> None:
    row = Row(1, 1, listener_queue_events=4)
    first, second = row.members
    row.put("ab")
    row.give()
    for text in ("cd", "ef", "gh"):
        row.put(text)
    assert row.lost == [(first, 2, "slow")]
    assert (row.line.events, first.events, second.events) == (4, 3, 1)
    row.line.begun(second, 1)
    assert row.give()[second] == "e"
    row.line.begun(first, 3)
    assert row.give()[first] == "f"


def test_what_is_too_large_is_lost_too() -> None:
    row = Row(1, listener_queue_bytes=500)
    row.put("a")
    row.give()
    row.line.put(row.members, Parcel("s", "e", 2, [bytes(100)]))
    row.line.put(row.members, Parcel("s", "e", 3, [bytes(300)]))
    assert row.lost == [(row.members[0], 1, "slow")]


def test_what_a_lost_member_had_is_told_to_another() -> None:
    row = Row(4, 4)
    first, second = row.members
    row.put("abcdef")
    row.give()
    row.line.begun(first, 1)
    back = [share._replace(reason="lost_link") for share in row.line.leave(first)]
    row.line.regroup(lambda parcel: (second,), back)
    assert row.lost == [(second, 2, "lost_link")]
    # The news takes its place among what the other has.
    assert second.events == 5
    row.line.begun(second, 100)
    assert (second.events, second.begun, row.budget.used) == (0, 5, 0)


def test_what_is_lost_is_told_to_nobody_where_nobody_might_have_had_it() -> None:
    row = Row(4, 4)
    first, second = row.members
    row.put("ab", (first,))
    row.give()
    back = [share._replace(reason="lost_link") for share in row.line.leave(first)]
    row.line.regroup(lambda parcel: (), back)
    assert (row.lost, second.events) == ([], 0)


def test_where_nobody_is_left_nothing_waits() -> None:
    row = Row(1)
    paid: list[str] = []
    row.put("abc", paid=lambda: paid.append("over"))
    row.line.leave(row.members[0])
    row.line.clear()
    assert (row.line.events, row.budget.used, paid, row.lost) == (0, 0, ["over"], [])


def test_a_budget_that_is_full_has_the_oldest_lost() -> None:
    row = Row(1)
    row.put("abc")
    row.put("def")
    used = row.budget.used
    row.budget.limit = used - 1
    assert row.budget.shed()
    assert (row.lost, row.line.events) == ([(row.members[0], 3, "slow")], 3)


def test_what_has_waited_too_long_is_lost() -> None:
    row = Row(1)
    assert row.line.due == float("inf")
    row.put("ab", deadline=5)
    row.put("c", deadline=7)
    row.line.expire(4)
    assert (row.lost, row.line.due) == ([], 5)
    row.line.expire(6)
    assert row.lost == [(row.members[0], 2, "slow")]
    assert row.line.due == 7


def test_a_part_that_is_hollow_knows_only_how_many() -> None:
    parcel = Parcel("s", "e", 1, [b"a", b"b", b"c"], first_seq=5)
    hollow = parcel.part(1, 3, hollow=True)
    assert (hollow.payloads, hollow.at, hollow.end, hollow.first_seq) == ([], 1, 3, 5)
    assert Share(parcel, 1, 3).events == 2


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(0, 40), max_size=20))
def test_everything_is_given_once_and_in_order_and_nothing_is_kept(windows: list[int], sizes: list[int]) -> None:
    row = Row(*windows)
    given: dict[Member, list[bytes]] = {member: [] for member in row.members}
    value = 0
    for size in sizes:
        row.serial += 1
        payloads = [b"%d" % (value + i) for i in range(size)]
        value += size
        if payloads:
            row.line.put(row.members, Parcel("s", "e", row.serial, payloads))
    while row.line.events:
        while (found := row.line.next()) is not None:
            member, share = found
            given[member] += share.parcel.payloads[share.start : share.end]
            assert member.events <= member.window
        for member in row.members:
            row.line.begun(member, member.events)
    assert row.budget.used == 0
    assert sorted(int(payload) for payloads in given.values() for payload in payloads) == list(range(value))
    for payloads in given.values():
        assert payloads == sorted(payloads, key=int)


def test_what_waits_can_be_looked_through() -> None:
    row = Row(1)
    row.line.put(row.members, Parcel("s", "e", 1, [b"1", b"2"]))
    assert [(parcel.serial, parcel.at, parcel.end) for parcel in row.line.waiting()] == [(1, 0, 2)]


def test_what_is_lost_is_told_behind_all_that_waits_and_need_not_wait_for_room() -> None:
    row = Row(2)
    (member,) = row.members
    row.put("abc")
    row.line.lose(row.members, Share(Parcel("s", "e", row.serial + 1, []), 0, 5, "lost_link"))
    row.serial += 1
    row.put("d")
    assert (row.give(), row.lost, row.line.events) == ({member: "ab"}, [], 2)
    row.line.begun(member, 2)
    assert (row.give(), row.lost) == ({member: "c"}, [(member, 5, "lost_link")])
    row.line.begun(member, 6)
    assert row.give() == {member: "d"}


def test_what_is_lost_is_told_to_nobody_if_nobody_is_left_and_at_once_if_all_before_it_is_lost() -> None:
    row = Row(1)
    (member,) = row.members
    row.put("ab")
    row.give()
    for _ in range(2):
        row.line.lose(row.members, Share(Parcel("s", "e", row.serial + 1, []), 0, 0, "lost_link"))
    row.line.shed()
    assert row.lost == [(member, 1, "slow"), (member, 0, "lost_link"), (member, 0, "lost_link")]
    row.put("c")
    row.line.lose(row.members, Share(Parcel("s", "e", row.serial + 1, []), 0, 3, "lost_link"))
    row.line.leave(member)
    row.line.clear()
    assert (row.line.events, row.budget.used, len(row.lost)) == (0, 0, 3)
