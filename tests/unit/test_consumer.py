"""What waits in a listener's queue is handed over in order, one at a time, on the loop or the threads it was given."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from unit.listeners import Desk, Heard, Thing, nothing, nothing_later

import sig
from sig.consumer import TURN
from sig.info import info_of

# -- queues and executors ------------------------------------------------------------------------


def test_a_queue_runs_in_the_workers_one_event_at_a_time_in_order(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    names: list[str] = []
    inside = threading.Lock()

    def serial(info: sig.Info, data: object) -> None:
        assert inside.acquire(blocking=False)
        names.append(threading.current_thread().name)
        heard(info, data)
        inside.release()

    subscription = router.listen(serial, "s", "e", queue=1_000)
    for number in range(3 * TURN):
        signal.trigger(number)
    assert heard.wait(3 * TURN) == list(range(3 * TURN))
    assert {*names} == {"sig-worker"}
    assert subscription.received == 3 * TURN


def test_a_busy_listener_gives_way_to_others_of_its_executor(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    desk = Desk()
    router.listen(lambda info, data: heard.append("busy"), "s", "e", executor=desk)
    router.listen(lambda info, data: heard.append("modest"), "s", "e", executor=desk, queue=1)
    for number in range(2 * TURN):
        signal.trigger(number)
    desk.run()
    assert heard.index("modest") == TURN
    assert heard.count("busy") == 2 * TURN


def test_an_executor_is_anything_with_submit(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    with ThreadPoolExecutor(1) as executor:
        router.listen(heard, "s", "e", executor=executor)
        signal.trigger(1)
        assert heard.wait() == [1]


def test_a_listener_whose_executor_has_ended_is_closed_with_a_log_line(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture
) -> None:
    executor = ThreadPoolExecutor(1)
    subscription = router.listen(nothing, "s", "e", executor=executor)
    executor.shutdown()
    signal.trigger(1)
    assert subscription.closed
    (record,) = caplog.records
    assert record.getMessage() == (
        f"<Subscription of {nothing.__module__}.nothing to 's', 'e': open> is closed: what runs it has ended: "
        "cannot schedule new futures after shutdown"
    )


def test_an_executor_that_forgets_its_work_is_noticed_at_the_next_event(router: sig.Router, signal: sig.Signal) -> None:
    executor = ThreadPoolExecutor(1)
    released = threading.Event()
    executor.submit(released.wait)
    subscription = router.listen(nothing, "s", "e", executor=executor)
    signal.trigger(1)
    executor.shutdown(wait=False, cancel_futures=True)
    signal.trigger(2)
    assert subscription.closed
    released.set()
    executor.shutdown()


def test_work_that_was_done_is_not_taken_for_forgotten(router: sig.Router, signal: sig.Signal) -> None:
    done: Future[None] = Future()
    done.set_result(None)
    starts: list[Callable[[], object]] = []

    def post(function: Callable[[], object]) -> Future[None]:
        starts.append(function)
        return done

    subscription = router.listen(nothing, "s", "e", executor=post)
    signal.trigger(1)
    signal.trigger(2)
    assert len(starts) == 1
    subscription.close()


def test_an_executor_that_fails_is_reported_and_asked_again(router: sig.Router, signal: sig.Signal) -> None:
    heard, errors = Heard(), list[sig.ListenerError]()
    router.on_error = errors.append
    desk = Desk()

    def post(function: Callable[[], object]) -> None:
        if not errors:
            raise OSError("the post is on strike")
        desk(function)

    subscription = router.listen(heard, "s", "e", executor=post)
    signal.trigger(1)
    assert isinstance(errors[0].error, OSError)
    signal.trigger(2)
    desk.run()
    assert heard == [1, 2]
    assert not subscription.closed


def test_keyboard_interrupt_passes_through_a_consumer_and_does_not_make_it_deaf(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard, desk = Heard(), Desk()

    def interrupted(info: sig.Info, data: object) -> None:
        if data == 0:
            raise KeyboardInterrupt
        heard(info, data)

    router.listen(interrupted, "s", "e", executor=desk)
    for number in range(3):
        signal.trigger(number)
    with pytest.raises(KeyboardInterrupt):
        desk.run()
    desk.run()
    assert heard == [1, 2]


def test_a_listener_with_a_queue_that_raises_is_reported_and_goes_on(router: sig.Router, signal: sig.Signal) -> None:
    heard, desk, errors = Heard(), Desk(), list[sig.ListenerError]()
    router.on_error = errors.append

    def failing(info: sig.Info, data: object) -> None:
        heard(info, data)
        raise ValueError(data)

    router.listen(failing, "s", "e", executor=desk)
    signal.trigger(1)
    signal.trigger(2)
    desk.run()
    assert heard == [1, 2]
    assert [(str(e.error), e.listener, e.info.event) for e in errors] == [("1", failing, "e"), ("2", failing, "e")]


def test_nothing_of_the_queue_is_called_after_close(router: sig.Router, signal: sig.Signal) -> None:
    heard, desk = Heard(), Desk()
    subscription = router.listen(heard, "s", "e", executor=desk)
    signal.trigger(1)
    subscription.close()
    desk.run()
    assert heard == []
    assert subscription.pending == 0


def test_what_a_member_of_a_group_has_not_begun_goes_to_another_when_it_closes(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard, desk = Heard(), Desk()
    leaving = router.listen(nothing, "s", "e", group="g", executor=desk)
    router.listen(heard, "s", "e", group="g")
    for number in range(6):
        signal.trigger(number)
    assert leaving.pending >= 1
    leaving.close()
    assert sorted(heard) == list(range(6))


def test_what_nobody_of_a_group_can_take_is_nobodys(router: sig.Router, signal: sig.Signal) -> None:
    only = router.listen(nothing, "s", "e", group="g", executor=Desk())
    signal.trigger(1)
    only.close()
    assert only.pending == 0


def test_a_member_that_closes_with_the_event_in_hand_passes_it_on(router: sig.Router, signal: sig.Signal) -> None:
    """Another thread has chosen it, and only then it closes."""
    heard = Heard()
    leaving = router.listen(nothing, "s", "e", group="g", queue=5)
    router.listen(heard, "s", "e", group="g")
    chosen = leaving.call
    leaving.close()
    assert chosen(info_of("s", "e"), 1) is not None
    leaving.closed = False  # as the other thread has seen it
    leaving.call = chosen
    router._give(router._grouped([leaving])[0], info_of("s", "e"), 2)
    assert leaving.pending == 0


# -- executors that know what time it is, and where ---------------------------------------------


class Window(Desk):
    """Has time for two events a turn; work is done on this thread."""

    turns = 0
    asked = 0

    def run(self) -> None:
        while self.work:
            self.turns += 1
            self.asked = 0
            self.work.pop(0)()

    def has_time(self) -> bool:
        self.asked += 1
        return self.asked < 2

    def here(self) -> bool:
        return threading.current_thread() is threading.main_thread()


def test_a_listener_asks_its_executor_whether_there_is_time_for_more(router: sig.Router, signal: sig.Signal) -> None:
    window, heard = Window(), Heard()
    router.listen(heard, "s", "e", executor=window)
    for number in range(5):
        signal.trigger(number)
    window.run()
    assert heard == [0, 1, 2, 3, 4]
    assert window.turns == 3


def test_nobody_waits_for_what_only_this_thread_could_take() -> None:
    router = sig.Router()
    subscription = router.listen(nothing, "s", "e", executor=Window())
    router.add_sender("s", "e").trigger("e", 1)
    assert (subscription.pending, subscription.owed) == (1, False)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: subscription.owed).result(10)
    router.close(timeout=10_000)


def test_a_router_that_closes_waits_for_the_call_under_way_but_not_from_inside(
    router: sig.Router, signal: sig.Signal
) -> None:
    desk, told = Desk(), list[bool]()

    def inside(info: sig.Info, data: object) -> None:
        with ThreadPoolExecutor(1) as pool:
            told.extend((subscription.owed, other.owed, pool.submit(lambda: subscription.owed).result(10)))

    subscription = router.listen(inside, "s", "e", executor=desk)
    other = router.listen(nothing, "s", "e", executor=Desk())
    assert not subscription.owed
    signal.trigger(1)
    assert subscription.owed
    desk.run()
    assert told == [False, True, True]
    assert not subscription.owed
    other.close()


def test_nobody_waits_for_what_an_executor_that_has_ended_could_not_take(
    router: sig.Router, signal: sig.Signal
) -> None:
    executor = ThreadPoolExecutor(1)
    subscription = router.listen(nothing, "s", "e", executor=executor)
    executor.shutdown()
    signal.trigger(1)
    assert (subscription.closed, subscription.owed) == (True, False)


# -- async listeners -----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_async_listener_runs_on_its_loop_one_event_at_a_time_in_order(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard: list[object] = []
    done = asyncio.Event()

    async def slow(info: sig.Info, data: object) -> None:
        heard.append(data)
        await asyncio.sleep(0)
        heard.append(data)
        if data == 2:
            done.set()

    subscription = router.listen(slow, "s", "e")
    for number in range(3):
        signal.trigger(number)
    assert heard == []
    await done.wait()
    assert heard == [0, 0, 1, 1, 2, 2]
    assert subscription.received == 3


@pytest.mark.asyncio
async def test_an_async_listener_that_never_waits_lets_others_on_the_loop_run(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard: list[object] = []
    done = asyncio.Event()

    async def eager(info: sig.Info, data: object) -> None:
        heard.append(data)
        if len(heard) == 2 * TURN + 1:
            done.set()

    router.listen(eager, "s", "e")
    for number in range(2 * TURN):
        signal.trigger(number)
    signal.trigger("last")
    asyncio.get_running_loop().call_soon(heard.append, "other")
    await done.wait()
    assert heard.index("other") <= TURN


@pytest.mark.asyncio
async def test_an_async_listener_that_raises_is_reported_and_goes_on(router: sig.Router, signal: sig.Signal) -> None:
    errors: list[BaseException] = []
    done = asyncio.Event()
    router.on_error = lambda failure: errors.append(failure.error)

    async def failing(info: sig.Info, data: Any) -> None:
        if data is None:
            done.set()
        else:
            raise data

    router.listen(failing, "s", "e")
    cancelled = asyncio.CancelledError("of something that it awaited")
    failures = [ValueError("1"), cancelled, ValueError("2")]
    for failure in (*failures, None):
        signal.trigger(failure)
    await done.wait()
    assert errors == failures


@pytest.mark.asyncio
async def test_a_cancelled_consumer_makes_way_for_another(router: sig.Router, signal: sig.Signal) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()

    async def waiting(info: sig.Info, data: object) -> None:
        heard.put_nowait(data)
        if data == 1:
            await asyncio.Event().wait()

    router.listen(waiting, "s", "e")
    signal.trigger(1)
    assert await heard.get() == 1
    (consumer,) = asyncio.all_tasks() - {asyncio.current_task()}
    consumer.cancel()
    await asyncio.wait([consumer])
    signal.trigger(2)
    assert await heard.get() == 2


def test_system_exit_of_an_async_listener_ends_its_loop_and_not_the_listener(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    async def leaving(info: sig.Info, data: object) -> None:
        heard.append(data)
        raise SystemExit

    loop = asyncio.new_event_loop()
    with sig.Router() as router:
        subscription = router.listen(leaving, "s", "e", loop=loop)
        sender = router.add_sender("s", ["e"])
        sender.trigger("e", 1)
        with pytest.raises(SystemExit):
            loop.run_forever()
        sender.trigger("e", 2)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert heard == [1, 2]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        sender.trigger("e", 3)
        assert subscription.closed
    assert "is closed: its event loop has closed" in caplog.text


@pytest.mark.parametrize("under_way", [False, True])
def test_an_async_listener_whose_loop_has_closed_is_closed_with_a_log_line(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture, under_way: bool
) -> None:
    async def register() -> sig.Subscription:
        return router.listen(nothing_later, "s", "e")

    with asyncio.Runner() as runner:
        subscription = runner.run(register())
        if under_way:
            signal.trigger("the loop will not come to it")
    signal.trigger(1)
    signal.trigger(2)
    assert subscription.closed
    assert len(caplog.records) == 1
    assert "is closed: its event loop has closed" in caplog.text


def test_an_async_listener_of_a_group_whose_loop_has_closed_passes_all_on(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard = Heard()
    loop = asyncio.new_event_loop()
    router.listen(nothing_later, "s", "e", loop=loop, group="g")
    router.listen(heard, "s", "e", group="g")
    loop.close()
    for number in range(4):
        signal.trigger(number)
    assert heard == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_losses_of_an_async_listener_are_told_in_their_place(router: sig.Router, signal: sig.Signal) -> None:
    told: asyncio.Queue[object] = asyncio.Queue()

    async def put(info: sig.Info, data: object) -> None:
        told.put_nowait(data)

    router.listen(put, "s", "e", queue=1, on_gap=lambda info, gap: told.put_nowait(gap))
    signal.trigger(1)
    signal.trigger(2)
    assert [await told.get(), await told.get()] == [sig.Gap(1, "slow"), 2]


@pytest.mark.asyncio
async def test_nobody_waits_for_room_on_the_loop_that_would_have_to_make_it(
    router: sig.Router, signal: sig.Signal
) -> None:
    subscription = router.listen(nothing_later, "s", "e", queue=1, when_full="block", max_wait=1e6)
    signal.trigger(1)
    signal.trigger(2)
    assert (subscription.pending, subscription.missed) == (1, 1)
    subscription.close()
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_another_thread_waits_for_room(router: sig.Router, signal: sig.Signal) -> None:
    told: asyncio.Queue[object] = asyncio.Queue()

    async def put(info: sig.Info, data: object) -> None:
        told.put_nowait(data)

    subscription = router.listen(put, "s", "e", queue=1, when_full="block", max_wait=60)

    def produce() -> None:
        for number in range(20):
            signal.trigger(number)

    await asyncio.to_thread(produce)
    assert [await told.get() for _ in range(20)] == list(range(20))
    assert subscription.missed == 0


@pytest.mark.asyncio
async def test_a_weak_async_method_goes_with_its_object(router: sig.Router, signal: sig.Signal) -> None:
    heard: list[object] = []
    others: asyncio.Queue[object] = asyncio.Queue()
    thing = Thing(heard)
    subscription = router.listen(thing.hear_later, "s", "e", weak=True)

    async def put(info: sig.Info, data: object) -> None:
        others.put_nowait(data)

    router.listen(put, "s", "e")
    signal.trigger(1)
    await others.get()
    signal.trigger(2)
    del thing
    gc.collect()
    await others.get()
    assert heard == [1]
    assert subscription.closed


@pytest.mark.asyncio
async def test_whoever_closes_gives_back_what_was_taken_and_not_begun(router: sig.Router, signal: sig.Signal) -> None:
    """Of a batch that its consumer holds already, the rest goes to another member of the group."""
    first: list[object] = []
    second: list[object] = []
    done = asyncio.Event()

    async def leaving(info: sig.Info, data: object) -> None:
        first.append(data)
        leaver.close()

    async def staying(info: sig.Info, data: object) -> None:
        second.append(data)
        if len(first) + len(second) == 5:
            done.set()

    leaver = router.listen(leaving, "s", "e", group="g")
    for number in range(4):
        signal.trigger(number)
    leaver.gap(signal.info, sig.Gap(7, "slow"))
    router.listen(staying, "s", "e", group="g")
    signal.trigger(4)
    await done.wait()
    assert sorted([*first, *second], key=str) == [0, 1, 2, 3, 4]
    assert len(first) == 1


def test_what_takes_no_work_is_no_executor(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match="executor=7 is neither an executor nor a function that posts one"):
        router.listen(nothing, executor=7)


def test_losses_are_told_in_their_place_and_counted(router: sig.Router, signal: sig.Signal) -> None:
    told: list[object] = []
    desk = Desk()
    subscription = router.listen(
        lambda info, data: told.append(data),
        "s",
        "e",
        executor=desk,
        queue=2,
        on_gap=lambda info, gap: told.append((info.sender, info.event, gap)),
    )
    for number in range(5):
        signal.trigger(number)
    assert subscription.load == 1.0
    desk.run()
    assert told == [("s", "e", sig.Gap(3, "slow")), 3, 4]
    assert (subscription.received, subscription.missed) == (2, 3)


@pytest.mark.asyncio
async def test_a_batch_enters_a_queue_at_once_and_is_told_in_order(router: sig.Router, signal: sig.Signal) -> None:
    heard: list[object] = []
    done = asyncio.Event()

    async def listener(info: sig.Info, data: object) -> None:
        heard.append(data)
        if data == 299:
            done.set()

    subscription = router.listen(listener, "s", "e")
    assert subscription.many is not None
    subscription.many(signal.info, list(range(300)))
    assert subscription.pending == 300
    await done.wait()
    assert heard == list(range(300))
    assert (subscription.received, subscription.pending) == (300, 0)


def test_a_batch_for_a_loop_that_has_closed_closes_the_listener(router: sig.Router, signal: sig.Signal) -> None:
    async def listener(info: sig.Info, data: object) -> None: ...

    loop = asyncio.new_event_loop()
    subscription = router.listen(listener, "s", "e", loop=loop)
    take = subscription.many
    assert take is not None
    loop.close()
    take(signal.info, [1, 2])
    assert subscription.closed


def test_what_a_member_of_a_group_cannot_take_any_more_goes_to_another(router: sig.Router, signal: sig.Signal) -> None:
    late, desk, seen = Heard(), Desk(), list[object]()
    thing: Thing | None = Thing(seen)
    assert thing is not None
    router.listen(thing.hear, "s", "e", weak=True, executor=desk, group="g")
    signal.trigger(1)
    router.listen(late, "s", "e", group="g")
    thing = None
    gc.collect()
    desk.run()
    assert (seen, late) == ([], [1])
