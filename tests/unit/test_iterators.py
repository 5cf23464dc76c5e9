"""Events taken one by one: order, waiting, gaps, and the end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import sig
import sig.aio
from sig.iterators import Events
from sig.subscription import Options


def data(received: list[sig.Received]) -> list[object]:
    return [event.data for event in received]


def test_what_comes_is_taken_in_order() -> None:
    with sig.Router() as router:
        sender = router.add_sender("s", ["e", "f"])
        events = router.events("s")
        sender.trigger("e", 1)
        sender.trigger("f", 2)
        sender.trigger("e", 3)
        first = events.get()
        assert (first.info.event, first.data) == ("e", 1)
        assert events.pending == 2
        assert data(events.take()) == [2, 3]
        assert events.take() == []
        assert (events.received, events.missed) == (3, 0)


def test_of_what_has_come_no_more_is_taken_than_asked_for() -> None:
    with sig.Router() as router:
        sender = router.add_sender("s", "e")
        events = router.sender("s").events("e")
        for number in range(5):
            sender.trigger("e", number)
        assert data(events.take(2)) == [0, 1]
        assert data(events.take()) == [2, 3, 4]


def test_waiting_ends_after_the_time_given() -> None:
    with sig.Router() as router, pytest.raises(TimeoutError, match="no event of 's', 'e' came within 0.01 s"):
        router.events("s", "e").get(0.01)


def test_whoever_waits_is_given_what_comes() -> None:
    with sig.Router() as router, ThreadPoolExecutor(2) as pool:
        sender = router.add_sender("s", "e")
        events = router.events("s", "e")
        waiting = [pool.submit(events.get, 30) for _ in range(2)]
        sender.trigger("e", 1)
        sender.trigger("e", 2)
        assert {one.result(30).data for one in waiting} == {1, 2}


def test_of_several_threads_each_event_goes_to_one() -> None:
    with sig.Router() as router, ThreadPoolExecutor(4) as pool:
        sender = router.add_sender("s", "e")
        events = router.events("s", "e")
        taking = [pool.submit(lambda: [event.data for event in events]) for _ in range(4)]
        for number in range(2000):
            sender.trigger("e", number)
        events.close()
        taken = [one.result(30) for one in taking]
    assert sorted(number for part in taken for number in part) == list(range(2000))
    assert all(part == sorted(part) for part in taken)


def test_iterating_ends_with_the_router_behind_what_has_come() -> None:
    router = sig.Router()
    sender = router.add_sender("s", "e")
    events = router.events("s", "e")
    sender.trigger("e", 1)
    router.close()
    assert [event.data for event in events] == [1]
    with pytest.raises(sig.Closed, match="no more events of 's', 'e'"):
        events.get()


def test_as_a_context_it_is_closed_at_the_end() -> None:
    with sig.Router() as router:
        sender = router.add_sender("s", "e")
        with router.events("s", "e") as events:
            sender.trigger("e", 1)
        sender.trigger("e", 2)
        assert [event.data for event in events] == [1]
        assert not router._index.count


@pytest.mark.parametrize("gaps", [False, True])
def test_what_is_lost_is_told_in_its_place(gaps: bool) -> None:
    told: list[sig.Gap] = []
    with sig.Router() as router:
        sender = router.add_sender("s", "e")
        events = router.events("s", "e", queue=2, gaps=gaps, on_gap=lambda info, gap: told.append(gap))
        for number in range(5):
            sender.trigger("e", number)
        lost = sig.Gap(3, "slow")
        assert data(events.take()) == ([lost, 3, 4] if gaps else [3, 4])
        assert told == ([] if gaps else [lost])
        assert events.missed == 3


def test_what_does_not_fit_the_type_is_reported_and_passed_over() -> None:
    errors: list[sig.ListenerError] = []
    with sig.Router() as router:
        router.on_error = errors.append
        sender = router.add_sender("s", "e")
        events = router.events("s", "e", type=int)
        sender.trigger("e", "x")
        sender.trigger("e", 5)
        assert data(events.take()) == [5]
    assert [type(error.error) for error in errors] == [sig.InvalidData]


@pytest.mark.parametrize("option", ["executor", "loop", "weak"])
def test_whoever_iterates_runs(option: str) -> None:
    options = Options()._replace(**{option: True})
    with sig.Router() as router, pytest.raises(sig.InvalidArgument, match="whoever iterates runs"):
        Events(router, False, "s", "e", options, 1)


def test_over_a_link_too() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        events = client.events("s", "e")
        taken: list[object] = []
        thread = threading.Thread(target=lambda: taken.extend(event.data for event in events))
        thread.start()
        sender = server.add_sender("s", "e")
        for number in range(500):
            sender.trigger("e", number)
        server.flush()
        client.close()
        thread.join(30)
    assert taken == list(range(500))


@pytest.mark.asyncio
async def test_async_for_registers_and_closes_by_itself() -> None:
    async with sig.aio.Router() as router, router.add_sender("s", "e") as sender:
        asyncio.get_running_loop().call_later(0, lambda: [sender.trigger("e", number) for number in range(3)])
        taken = []
        async for info, value in router.events("s", "e"):
            taken.append((info.sender, value))
            if value == 2:
                break
        assert taken == [("s", 0), ("s", 1), ("s", 2)]


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_while_it_waits_takes_nothing() -> None:
    async with sig.aio.Router() as router, router.add_sender("s", "e") as sender:
        events = await router.sender("s").events("e")
        waiting = asyncio.create_task(events.get())
        await asyncio.sleep(0)
        sender.trigger("e", 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await events.get(10)).data == 1
        with pytest.raises(TimeoutError):
            await events.get(0.01)
        events.close()
        assert [event async for event in events] == []
        with pytest.raises(sig.Closed):
            await events.get()


@pytest.mark.asyncio
async def test_awaiting_ends_with_the_router() -> None:
    router = sig.aio.Router()
    events = await router.events()
    waiting = asyncio.create_task(anext(events, None))
    await asyncio.sleep(0)
    await router.close()
    assert await waiting is None
