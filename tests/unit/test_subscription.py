"""One listener: its options, its queue, and that nothing is called after it has closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest
from unit.listeners import Desk, Heard, Thing, nothing, nothing_later

import sig
from sig.consumer import REFUSED
from sig.info import info_of
from sig.pace import Pace

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
        assert repr(subscription) == f"<Subscription of {nothing.__module__}.nothing to 's', None: open>"
    assert repr(subscription) == f"<Subscription of {nothing.__module__}.nothing to 's', None: closed>"


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


def test_logging_is_silent_where_nothing_is_wrong(
    router: sig.Router, signal: sig.Signal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with router.listen(nothing, "s", "e", queue=1):
        signal.trigger(1)
    assert not caplog.records


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


# -- losses --------------------------------------------------------------------------------------


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
        f"{subscription!r} is closed: its queue was full (when_full='disconnect')".replace("closed>", "open>")
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


# -- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, *({"queue": 5, **more} for more in ({"group": "g"}, {"once": True}, {"meta": True}, {"when_full": "block"}))],
    ids=str,
)
def test_who_must_be_called_with_each_event_takes_no_batch(router: sig.Router, options: dict[str, Any]) -> None:
    assert router.listen(nothing, "s", "e", **options).many is None


def test_a_queue_takes_a_batch_at_once(router: sig.Router, signal: sig.Signal) -> None:
    desk, heard = Desk(), Heard()
    subscription = router.listen(heard, "s", "e", executor=desk)
    assert subscription.many is not None
    subscription.many(signal.info, [1, 2, 3])
    desk.run()
    assert heard == [1, 2, 3]


# -- what a server keeps -------------------------------------------------------------------------


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
