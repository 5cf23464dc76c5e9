"""One listener: its options, its queue, and that nothing is called after it has closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest

import sig
from sig.info import info_of
from sig.pace import Pace
from sig.subscription import _TURN, REFUSED


@pytest.fixture
def router() -> Iterator[sig.Router]:
    with sig.Router() as router:
        yield router


@pytest.fixture
def signal(router: sig.Router) -> sig.Signal:
    return router.add_sender("s", ["e"]).signal("e")


class Heard(list[Any]):
    """A listener that notes the data, and can be waited for."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)

    def __call__(self, info: sig.Info, data: object) -> None:
        self.append(data)
        self.arrived.release()

    def wait(self, count: int = 1) -> Heard:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)
        return self


class Desk:
    """An executor whose work is done when the test says so."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def __call__(self, function: Callable[[], object]) -> None:
        self.work.append(function)

    def run(self) -> None:
        while self.work:
            self.work.pop(0)()


class Thing:
    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    def hear(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)

    async def hear_later(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)


def nothing(info: object, data: object) -> None: ...


async def nothing_later(info: object, data: object) -> None: ...


# -- what it says of itself ----------------------------------------------------------------------


def test_a_plain_listener_is_called_itself_and_not_counted(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    subscription = router.listen(heard, "s", "e")
    signal.trigger(1)
    assert heard == [1]
    assert subscription.call is heard
    assert subscription.callback is heard
    assert (subscription.received, subscription.missed, subscription.pending, subscription.load) == (None, 0, 0, 0.0)


def test_it_shows_who_listens_to_what_and_whether_still(router: sig.Router) -> None:
    with router.listen(nothing, "s", None) as subscription:
        assert repr(subscription) == f"<Subscription of {__name__}.nothing to 's', None: open>"
    assert repr(subscription) == f"<Subscription of {__name__}.nothing to 's', None: closed>"


def test_the_end_of_the_block_closes_it_and_closing_twice_does_nothing(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    with router.listen(heard, "s", "e") as subscription:
        signal.trigger(1)
    assert subscription.closed
    subscription.close()
    signal.trigger(2)
    assert heard == [1]


def test_what_would_never_run_is_refused(router: sig.Router) -> None:
    def some(info: object, data: object) -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="some is a generator: as a listener, nothing of it would ever run"):
        router.listen(some)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"when_full": "keep"}, sig.InvalidArgument, "when_full='keep' is unknown"),
        ({"queue": 0}, sig.InvalidArgument, "queue=0 has no room"),
        ({"queue": 1, "max_wait": -1}, sig.InvalidArgument, "max_wait=-1"),
        ({"executor": 5}, sig.InvalidArgument, "executor=5 is neither an executor nor a function that posts one"),
        ({"weak": True}, sig.InvalidArgument, "weak=True takes a bound method, not .*nothing"),
        ({"on_gap": lambda info: None}, TypeError, r"cannot be called with \(info, gap\)"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    router: sig.Router, options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        router.listen(nothing, **options)


def test_an_async_listener_without_a_loop_is_refused(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match="nothing_later is `async def` and no loop runs here"):
        router.listen(nothing_later)


def test_who_waits_for_its_end_is_told(router: sig.Router) -> None:
    ended = threading.Event()
    router.listen(nothing).on_close = ended.set
    router.close()
    assert ended.is_set()


# -- once ----------------------------------------------------------------------------------------


def test_once_is_closed_when_it_is_called(router: sig.Router, signal: sig.Signal) -> None:
    states = []

    def first(info: sig.Info, data: object) -> None:
        states.append(subscription.closed)
        signal.trigger("nested")

    subscription = router.listen(first, "s", "e", once=True)
    signal.trigger(1)
    signal.trigger(2)
    assert states == [True]


def test_once_with_a_queue_takes_one_event_and_closes_when_it_comes_to_it(
    router: sig.Router, signal: sig.Signal
) -> None:
    heard, desk = Heard(), Desk()
    subscription = router.listen(heard, "s", "e", once=True, executor=desk)
    for number in range(3):
        signal.trigger(number)
    assert (subscription.pending, subscription.closed) == (1, False)
    desk.run()
    assert heard == [0]
    assert (subscription.received, subscription.missed, subscription.closed) == (1, 0, True)


def test_once_gives_an_event_that_came_too_late_to_the_next_of_its_group(
    router: sig.Router, signal: sig.Signal
) -> None:
    late, desk = Heard(), Desk()
    router.listen(nothing, "s", "e", once=True, executor=desk, group="g")
    router.listen(late, "s", "e", group="g")
    for number in range(4):
        signal.trigger(number)
    desk.run()
    assert len(late) == 3


# -- weak ----------------------------------------------------------------------------------------


def test_a_weak_method_goes_with_its_object(router: sig.Router, signal: sig.Signal) -> None:
    heard: list[object] = []
    thing = Thing(heard)
    subscription = router.listen(thing.hear, "s", "e", weak=True)
    assert subscription.callback == thing.hear
    signal.trigger(1)
    del thing
    gc.collect()
    assert subscription.closed
    assert subscription.callback is Thing.hear
    signal.trigger(2)
    assert heard == [1]
    assert not router._index.count


def test_a_weak_method_that_went_during_an_event_is_not_called(router: sig.Router, signal: sig.Signal) -> None:
    heard: list[object] = []
    things = [Thing(heard)]
    router.listen(lambda info, data: things.clear(), "s", "e")
    router.listen(things[0].hear, "s", "e", weak=True)
    signal.trigger(1)
    assert heard == []
    assert router._index.count == 1


def test_the_end_of_an_object_changes_nothing_while_the_router_is_at_work(router: sig.Router) -> None:
    """The collector runs where it likes: also while this thread holds the router's lock and walks its tables."""
    thing = Thing([])
    subscription = router.listen(thing.hear, "s", "e", weak=True)
    with router._lock:
        del thing
        gc.collect()
        assert router._index.count == 1
    router.listen(nothing, "s", "e")
    assert router._index.count == 1
    assert subscription.closed


def test_a_weak_method_in_a_group_passes_its_event_on(router: sig.Router, signal: sig.Signal) -> None:
    others, desk, thing = Heard(), Desk(), Thing([])
    router.listen(thing.hear, "s", "e", weak=True, group="g", executor=desk)
    router.listen(others, "s", "e", group="g")
    for number in range(4):
        signal.trigger(number)
    before = len(others)
    del thing
    gc.collect()
    desk.run()
    assert before < 4
    assert sorted(others) == [0, 1, 2, 3]


def test_the_gaps_of_a_weak_method_do_not_keep_its_object_either(router: sig.Router, signal: sig.Signal) -> None:
    class Watching(Thing):
        def missing(self, info: sig.Info, gap: sig.Gap) -> None:
            self.heard.append(gap)

    desk, heard = Desk(), list[object]()
    thing = Watching(heard)
    subscription = router.listen(thing.hear, "s", "e", weak=True, on_gap=thing.missing, queue=1, executor=desk)
    signal.trigger(1)
    signal.trigger(2)
    desk.run()
    assert heard == [(1, "slow"), 2]
    del thing
    gc.collect()
    assert subscription.closed
    subscription._tell_gap(signal.info, sig.Gap(1, "slow"))
    assert len(heard) == 2


@pytest.mark.parametrize("options", [{"meta": True}, {"group": "g"}, {"meta": True, "once": True}, {"type": int}])
def test_a_weak_method_that_has_gone_is_out_with_the_next_event(
    router: sig.Router, signal: sig.Signal, options: dict[str, Any]
) -> None:
    thing = Thing([])
    subscription = router.listen(thing.hear, "s", "e", weak=True, **options)
    del thing
    gc.collect()
    signal.trigger(1)
    assert subscription.detached
    assert not router._index.count


def test_one_that_was_closed_in_the_same_round_is_passed_by(router: sig.Router, signal: sig.Signal) -> None:
    thing = Thing([])
    router.listen(lambda info, data: closed.close(), "s", "e", meta=True)
    closed = router.listen(thing.hear, "s", "e", meta=True, weak=True)
    signal.trigger(1)
    assert thing.heard == []


def test_a_weak_method_that_has_gone_is_out_with_the_next_news_of_presence(router: sig.Router) -> None:
    thing = Thing([])
    subscription = router.listen(thing.hear, "s", "#connect", weak=True)
    del thing
    gc.collect()
    router.add_sender("s", "e")
    assert subscription.detached


class Called(Thing):
    def __call__(self, info: sig.Info, data: object) -> None:
        self.heard.append(data)


@pytest.mark.parametrize(
    ("callback", "shown"),
    [
        (nothing, "nothing"),
        (lambda info, data: None, "<lambda>"),
        (partial(nothing), "nothing"),
        (partial(Thing([]).hear), "Thing.hear"),
        (Called([]), "Called"),
        (Thing.__dict__["hear"].__get__, "function.__get__|method-wrapper.__get__"),
    ],
)
def test_what_is_no_bound_method_is_not_kept_weakly(router: sig.Router, callback: Any, shown: str) -> None:
    with pytest.raises(sig.InvalidArgument, match=f"weak=True takes a bound method, not .*({shown})"):
        router.listen(callback, "s", "e", weak=True)


def test_a_method_of_an_object_that_is_called_and_of_a_class(router: sig.Router, signal: sig.Signal) -> None:
    class OfClass:
        heard: list[object] = []

        @classmethod
        def hear(cls, info: sig.Info, data: object) -> None:
            cls.heard.append(data)

    called = Called([])
    router.listen(called.__call__, "s", "e", weak=True)
    router.listen(OfClass.hear, "s", "e", weak=True)
    gc.collect()
    signal.trigger(1)
    assert called.heard == OfClass.heard == [1]


def test_an_object_that_cannot_be_watched_is_refused(router: sig.Router) -> None:
    class Slim:
        __slots__ = ()

        def hear(self, info: sig.Info, data: object) -> None: ...

    with pytest.raises(sig.InvalidArgument, match="weak=True cannot watch the .*Slim of .*hear: add '__weakref__'"):
        router.listen(Slim().hear, "s", "e", weak=True)


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
    assert (subscription.pending, subscription.owed) == (1, 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: subscription.owed).result(10) == 1
    router.close(timeout=10_000)


# -- type ----------------------------------------------------------------------------------------


@dataclass
class Reading:
    celsius: float


class Mark(msgspec.Struct):
    number: int


@pytest.mark.parametrize(
    ("wanted", "data", "value"),
    [
        (int, 5, 5),
        (Reading, {"celsius": 21}, Reading(21)),
        (Reading, Reading(21), Reading(21)),
        (Mark, Mark(1), Mark(1)),
        (list[int], (1, 2), [1, 2]),
    ],
)
def test_data_is_converted_to_the_type(
    router: sig.Router, signal: sig.Signal, wanted: Any, data: object, value: object
) -> None:
    heard = Heard()
    router.listen(heard, "s", "e", type=wanted)
    signal.trigger(data)
    assert heard == [value]


def test_an_annotation_of_the_second_parameter_is_a_type_too(router: sig.Router, signal: sig.Signal) -> None:
    heard: list[object] = []

    def by_annotation(info: sig.Info, data: Reading) -> None:
        heard.append(data)

    assert router.listen(by_annotation, "s", "e").kind is Reading
    assert router.listen(by_annotation, "s", "e", type=dict).kind is dict
    assert router.listen(by_annotation, "s", "e", type=object).kind is None
    assert router.listen(lambda info, data: None, "s", "e").kind is None
    signal.trigger({"celsius": 21})
    assert heard == [Reading(21), {"celsius": 21}, {"celsius": 21}]


def test_nothing_can_be_made_to_fit_some_types(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match="cannot be a type of data: .*more than one dict-like"):
        router.listen(print, "s", "e", type=Reading | Mark)


def test_data_of_another_type_goes_to_on_error_and_not_to_the_listener(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append
    router.listen(heard, "s", "e", type=int)
    signal.trigger("five")
    assert heard == []
    assert isinstance(errors[0].error, sig.InvalidData)
    assert errors[0].listener is heard
    assert "'s' triggered 'e' with other data: Expected `int`" in str(errors[0].error)


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
    for number in range(3 * _TURN):
        signal.trigger(number)
    assert heard.wait(3 * _TURN) == list(range(3 * _TURN))
    assert {*names} == {"sig-worker"}
    assert subscription.received == 3 * _TURN


def test_a_busy_listener_gives_way_to_others_of_its_executor(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    desk = Desk()
    router.listen(lambda info, data: heard.append("busy"), "s", "e", executor=desk)
    router.listen(lambda info, data: heard.append("modest"), "s", "e", executor=desk, queue=1)
    for number in range(2 * _TURN):
        signal.trigger(number)
    desk.run()
    assert heard.index("modest") == _TURN
    assert heard.count("busy") == 2 * _TURN


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
        f"<Subscription of {__name__}.nothing to 's', 'e': open> is closed: what runs it has ended: "
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


# -- losses --------------------------------------------------------------------------------------


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


def test_losses_that_nobody_asked_for_are_warned_of(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    subscription = router.listen(nothing, "s", "e", executor=desk, queue=1)
    signal.trigger(1)
    signal.trigger(2)
    subscription.gap(info_of("s", "e"), sig.Gap(None, "lost_link"))
    desk.run()
    texts = [record.getMessage() for record in caplog.records]
    assert [text.split("missed")[1] for text in texts] == [
        " 1 events (slow) of 's', 'e'",
        " an unknown number of events (lost_link) of 's', 'e'",
    ]


def test_losses_on_the_way_to_a_listener_without_a_queue_are_told_at_once(router: sig.Router) -> None:
    told: list[sig.Gap] = []
    subscription = router.listen(nothing, "s", "e", on_gap=lambda info, gap: told.append(gap))
    subscription.gap(info_of("s", "e"), sig.Gap(2, "slow"))
    subscription.gap(info_of("s", "e"), sig.Gap(None, "codec"))
    assert told == [(2, "slow"), (None, "codec")]
    assert subscription.missed == 2


def test_an_on_gap_that_raises_is_reported(router: sig.Router) -> None:
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append

    def failing(info: sig.Info, gap: sig.Gap) -> None:
        raise ValueError(gap.missed)

    router.listen(nothing, on_gap=failing).gap(info_of("s", "e"), sig.Gap(2, "slow"))
    assert str(errors[0].error) == "2"


def test_a_listener_that_cannot_keep_up_may_choose_to_be_closed(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = router.listen(nothing, "s", "e", executor=Desk(), queue=1, when_full="disconnect")
    signal.trigger(1)
    signal.trigger(2)
    signal.trigger(3)
    assert subscription.closed
    assert [record.getMessage() for record in caplog.records] == [
        f"<Subscription of {__name__}.nothing to 's', 'e': open> is closed: its queue was full (when_full='disconnect')"
    ]


def test_a_router_with_links_counts_those_that_it_calls_directly() -> None:
    class Counting(sig.Router):
        _counts = True

    with Counting() as router:
        direct, queued = router.listen(nothing), router.listen(nothing, queue=1)
        for subscription in (direct, queued):
            subscription.arrived += 3
        assert (direct.received, queued.received) == (3, 0)
    with sig.Router() as plain:
        subscription = plain.listen(nothing)
        subscription.arrived += 3
        assert subscription.received is None


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
        if len(heard) == 2 * _TURN + 1:
            done.set()

    router.listen(eager, "s", "e")
    for number in range(2 * _TURN):
        signal.trigger(number)
    signal.trigger("last")
    asyncio.get_running_loop().call_soon(heard.append, "other")
    await done.wait()
    assert heard.index("other") <= _TURN


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


def test_a_listener_that_has_closed_itself_is_not_said_to_be_closed_by_its_loop(
    router: sig.Router, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    subscription = router.listen(nothing_later, "s", "e", loop=loop)
    chosen = subscription.call  # by another thread
    subscription.close()
    loop.close()
    chosen(info_of("s", "e"), 1)
    assert not caplog.records


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


# -- initial -------------------------------------------------------------------------------------


def test_what_is_triggered_while_the_past_is_told_follows_it(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e"], retain=True)
    sender.trigger("e", "past")
    heard: list[object] = []

    def telling(info: sig.Info, data: object) -> None:
        heard.append((info.event, info.initial, data if info.event == "e" else None))
        if info.event == "#connect":
            sender.trigger("e", 1)
            sender.trigger("e", 2)
        if data == 1:
            sender.trigger("e", 3)

    router.listen(telling, "s", initial=True)
    sender.trigger("e", 4)
    assert heard == [
        ("#connect", True, None),
        ("e", True, "past"),
        ("e", False, 1),
        ("e", False, 2),
        ("e", False, 3),
        ("e", False, 4),
    ]


def test_after_the_past_nothing_stands_before_the_listener(router: sig.Router, signal: sig.Signal) -> None:
    heard = Heard()
    subscription = router.listen(heard, "s", "e", initial=True)
    assert subscription.call is heard


def test_what_the_past_calls_may_close_it(router: sig.Router) -> None:
    for name in ("s", "t"):
        router.add_sender(name, ["e"])
    heard: list[str] = []

    def once(info: sig.Info, data: object) -> None:
        heard.append(info.sender)
        router.remove_listener(once, None, "#connect")
        router.add_sender("u", ["e"])

    assert router.listen(once, None, "#connect", initial=True).closed
    assert heard == ["s"]


def test_a_member_of_a_group_that_closes_while_the_past_is_told_passes_on_what_came_meanwhile(
    router: sig.Router,
) -> None:
    sender = router.add_sender("s", ["e"])
    heard = Heard()

    def leaving(info: sig.Info, data: object) -> None:
        router.listen(heard, "s", "e", group="g")
        for number in range(4):
            sender.trigger("e", number)
        router.remove_listener(leaving, "s")

    router.listen(leaving, "s", group="g", initial=True)
    assert sorted(heard) == [0, 1, 2, 3]


def test_keyboard_interrupt_while_the_past_is_told_leaves_no_listener_behind(router: sig.Router) -> None:
    router.add_sender("s", ["e"])

    def interrupted(info: sig.Info, data: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        router.listen(interrupted, "s", initial=True)
    assert not router._index.count


def test_a_listener_that_raises_while_the_past_is_told_is_reported(router: sig.Router, signal: sig.Signal) -> None:
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append

    def failing(info: sig.Info, data: object) -> None:
        raise ValueError(info.event)

    router.listen(failing, "s", initial=True)
    assert [(str(error.error), error.listener) for error in errors] == [("#connect", failing)]


def test_an_event_that_stands_at_the_gate_when_it_opens_goes_through(router: sig.Router, signal: sig.Signal) -> None:
    """Another thread has begun its round while the past was told, and goes on with it afterwards."""
    heard: list[object] = []
    gates: list[Callable[..., object]] = []

    def listener(info: sig.Info, data: object) -> None:
        heard.append(data if info.event == "e" else info.event)
        if not gates:
            gates.append(subscriptions(router)[0].call)

    router.listen(listener, "s", initial=True)
    gates[0](info_of("s", "e"), "late")
    assert heard == ["#connect", "late"]


def subscriptions(router: sig.Router) -> list[sig.Subscription]:
    return router._index.all()


def test_logging_is_silent_where_nothing_is_wrong(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with router.listen(nothing, "s", "e", queue=1):
        signal.trigger(1)
    assert not caplog.records


# -- batches -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "options",
    [{}, *({"queue": 5, **more} for more in ({"group": "g"}, {"once": True}, {"meta": True}, {"when_full": "block"}))],
    ids=str,
)
def test_who_must_be_called_with_each_event_takes_no_batch(router: sig.Router, options: dict[str, Any]) -> None:
    assert router.listen(nothing, "s", "e", **options).many is None


def test_a_batch_for_a_loop_that_has_closed_closes_the_listener(router: sig.Router, signal: sig.Signal) -> None:
    async def listener(info: sig.Info, data: object) -> None: ...

    loop = asyncio.new_event_loop()
    subscription = router.listen(listener, "s", "e", loop=loop)
    take = subscription.many
    assert take is not None
    loop.close()
    take(signal.info, [1, 2])
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


class Keeper(sig.Router):
    """Stands for a server that keeps events for its listeners."""

    def _pace_of(self, subscription: sig.Subscription) -> Pace:
        return Pace(4, lambda events: None)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


def pace_of(subscription: sig.Subscription) -> Pace:
    assert subscription.pace is not None
    return subscription.pace


def test_what_a_server_keeps_counts_when_it_begins(keeper: Keeper) -> None:
    heard, desk = Heard(), Desk()
    signal = keeper.add_sender("s", ["e"]).signal("e")
    subscription = keeper.listen(heard, "s", "e", executor=desk, when_full="latest", queue=5)
    for number in range(3):
        signal.trigger(number)  # each waits: what is too much, waits at the server
    assert (subscription.received, subscription.pending) == (0, 3)
    desk.run()
    assert (heard, subscription.received) == ([0, 1, 2], 3)


def test_what_was_given_back_does_not_begin(keeper: Keeper) -> None:
    heard, desk = Heard(), Desk()
    signal = keeper.add_sender("s", ["e"]).signal("e")
    subscription = keeper.listen(heard, "s", "e", executor=desk)
    signal.trigger(1)
    assert pace_of(subscription).close() == 0
    desk.run()
    assert heard == []


def test_the_past_does_not_count_as_given(keeper: Keeper) -> None:
    heard = Heard()
    sender = keeper.add_sender("s", ["e"], retain=True)
    sender.trigger("e", "past")
    with keeper.listen(heard, "s", "e", initial=True) as subscription:
        assert (heard, subscription.received) == (["past"], 0)
    assert subscription.call(info_of("s", "e", initial=True), "late") is REFUSED
    assert heard == ["past"]


def test_an_event_whose_listener_is_gone_has_not_begun(keeper: Keeper) -> None:
    heard: list[object] = []
    thing: Thing | None = Thing(heard)
    assert thing is not None
    signal = keeper.add_sender("s", ["e"]).signal("e")
    desk = Desk()
    subscription = keeper.listen(thing.hear, "s", "e", weak=True, executor=desk)
    pace = pace_of(subscription)
    signal.trigger(1)
    desk.run()
    signal.trigger(2)
    entry = subscription.call  # keeps nothing alive
    thing = None
    gc.collect()
    desk.run()
    entry(info_of("s", "e"), 3)
    assert (heard, pace.begun, subscription.closed) == ([1], 1, True)
