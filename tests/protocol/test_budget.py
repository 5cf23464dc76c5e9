"""The budget: what waits in many queues counts once, and who holds most gives; windows that together stay in bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sig.protocol.budget import Budget, Windows
from sig.protocol.outbox import Entry, Outbox

MUCH = 1 << 40


def queue(budget: Budget | None = None) -> Outbox[str]:
    """A queue; one that reports to the budget already has something in it."""
    outbox: Outbox[str] = Outbox(drop_bytes=MUCH)
    if budget is not None:
        outbox.put("first of all", 1)
        outbox.hold_up(budget)
    return outbox


def frame(size: int, *routes: int) -> Entry[str]:
    return Entry(f"{size} bytes", size, tuple((route, 1) for route in routes), len(routes))


def test_who_reads_is_none_of_its_business() -> None:
    budget, outbox = Budget(10), queue()
    outbox.share(frame(1000, 1))
    assert (budget.used, outbox.held) == (0, False)
    outbox.hold_up(budget)
    assert budget.used > 1000
    assert outbox.held
    outbox.take()
    outbox.share(frame(1000, 1))
    assert (budget.used, outbox.held) == (0, False)


def test_nobody_is_held_up_for_whom_nothing_waits() -> None:
    outbox = queue()
    outbox.hold_up(Budget(10))
    assert not outbox.held


def test_what_waits_for_many_counts_once() -> None:
    budget = Budget(MUCH)
    outboxes = [queue(budget) for _ in range(50)]
    before = budget.used
    entry = frame(100_000, 1)
    for outbox in outboxes:
        outbox.share(entry)
    assert 100_000 < budget.used - before < 102_000
    for outbox in outboxes[1:]:
        outbox.clear()
    assert 100_000 < budget.used < 102_000
    outboxes[0].clear()
    assert budget.used == 0


def test_tables_and_losses_count_too() -> None:
    """A frame of a few bytes may have a table of many routes, and so may what is told of frames that are gone."""
    budget, outbox = Budget(MUCH), queue()
    outbox.share(frame(10, *range(1000)))
    outbox.hold_up(budget)
    assert budget.used > 50_000
    outbox.shed()
    assert (budget.used > 50_000, outbox.event_bytes) == (True, 0)
    for _ in range(5):
        outbox.put_loss(1, 1, "codec")
    used = budget.used
    outbox.put_loss(1, 1, "codec")
    assert budget.used == used
    outbox.take()
    assert budget.used == 0


def test_who_holds_most_gives_its_oldest() -> None:
    budget = Budget(14_000)
    large, small = queue(budget), queue(budget)
    for _ in range(3):
        small.share(frame(1000, 1))
    for _ in range(6):
        large.share(frame(1000, 1))
    assert not budget.over
    for _ in range(6):
        large.share(frame(1000, 1))
        assert budget.over
        assert budget.shed()
        assert not budget.over
    assert small.dropped == 0
    assert large.dropped > 5
    kinds = [(entry.item, entry.lost) for entry in iter(large.take, None)]
    assert kinds[:2] == [("first of all", None), (None, {(1, "slow"): large.dropped})]


def test_those_who_hold_the_same_give_in_turn() -> None:
    budget = Budget(100_000)
    outboxes = [queue(budget) for _ in range(10)]
    for _ in range(200):
        entry = frame(1000, 1)
        for outbox in outboxes:
            outbox.share(entry)
        assert budget.shed()
    dropped = [outbox.dropped for outbox in outboxes]
    assert min(dropped) > 100
    assert max(dropped) - min(dropped) <= 1


def test_the_last_frame_goes_too_and_then_there_is_nothing_more() -> None:
    budget, outbox = Budget(500), queue()
    outbox.share(frame(10_000, 1))
    outbox.hold_up(budget)
    assert budget.shed()
    outbox.put("what may not be dropped", 10_000)
    outbox.share(frame(10_000, 1))
    assert not budget.shed()
    assert (outbox.event_bytes, outbox.dropped) == (0, 2)


# -- windows -------------------------------------------------------------------------------------


def test_few_who_send_have_it_all() -> None:
    windows = Windows(128_000, largest=1_000, clients=1_000)
    assert windows.first == 64
    windows.enter()
    assert windows.first + windows.change(windows.first, 0) == 1_000


def test_many_who_send_share_it_evenly_as_they_send() -> None:
    windows = Windows(128_000, largest=1_000, clients=1_000)
    owners = []
    for _ in range(200):
        windows.enter()
        owners.append(windows.first + windows.change(windows.first, 0))
    assert owners[:3] == [1_000, 1_000, 1_000]
    for _ in range(3):
        owners = [window + windows.change(window, window // 2) for window in owners]
    assert set(owners) == {64 + 64_000 // 200}


def test_nothing_is_as_small_as_nothing() -> None:
    assert Windows(10, largest=1_000, clients=1_000).first == 1


@given(
    st.integers(1000, 10**6),
    st.integers(1, 10**5),
    st.lists(st.tuples(st.sampled_from(["come", "own", "disown", "spend", "go"]), st.integers(0, 9)), max_size=80),
)
def test_together_they_are_never_too_wide(total: int, largest: int, steps: list[tuple[str, int]]) -> None:
    windows = Windows(total, largest=largest, clients=10)
    clients: dict[int, int] = {}
    owners: set[int] = set()
    for step, who in steps:
        if step == "come" and who not in clients:
            clients[who] = windows.first
        elif step == "own" and who in clients.keys() - owners:
            owners.add(who)
            windows.enter()
            clients[who] += windows.change(clients[who], 0)
        elif step == "disown" and who in owners:
            owners.remove(who)
            windows.leave()
        elif step == "spend" and who in owners:
            clients[who] += windows.change(clients[who], (clients[who] + 1) // 2)
        elif step == "go" and who in clients:
            if who in owners:
                owners.remove(who)
                windows.leave()
            windows.give_back(clients.pop(who))
        assert sum(clients.values()) <= total
        assert all(0 < window <= largest for window in clients.values())


@pytest.mark.parametrize("largest", [100, 10**9])
def test_it_ends_as_it_began(largest: int) -> None:
    windows = Windows(10_000, largest=largest, clients=10)
    for _ in range(3):
        windows.enter()
        window = windows.first + windows.change(windows.first, 0)
        assert window == min(largest, 500 + 5_000)
        windows.leave()
        windows.give_back(window)
