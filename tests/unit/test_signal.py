"""A signal calls a flattened plan: in order, in spite of what listeners do to it or raise meanwhile."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, TypedDict
from unittest import mock

import msgspec
import pytest

import sig
from sig.signal import UNCHECKED, Calls


def noting(log: list[Any], name: object) -> Callable[[sig.Info, object], None]:
    return lambda info, data: log.append((name, data))


# -- dispatch ------------------------------------------------------------------------------------


def test_trigger_calls_every_listener_with_info_and_data_and_returns_none(
    router: sig.Router, signal: sig.Signal
) -> None:
    got: list[tuple[sig.Info, object]] = []
    for _ in range(3):
        router.listen(lambda info, data: got.append((info, data)), "s", "e")
    data = {"celsius": 21}
    assert signal.trigger(data) is None  # type: ignore[func-returns-value]
    assert [info for info, _ in got] == [{"sender": "s", "event": "e"}] * 3
    assert all(given is data for _, given in got)


def test_many_values_are_as_many_triggers(router: sig.Router, signal: sig.Signal) -> None:
    got: list[object] = []
    router.listen(lambda info, data: got.append(data), signal.sender, signal.event)
    signal.trigger_many(iter(range(3)))
    assert got == [0, 1, 2]

    def values() -> Iterator[object]:
        yield 3
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        signal.trigger_many(values())
    assert got == [0, 1, 2, 3]


def test_broadcasts_come_first_and_specific_ones_last_each_in_order_of_registration(
    router: sig.Router, signal: sig.Signal
) -> None:
    log: list[tuple[Any, object]] = []
    for turn in (1, 2):
        router.listen(noting(log, ("specific", turn)), "s", "e")
        router.listen(noting(log, ("channel or pattern", turn)), "*", "e")
        router.listen(noting(log, ("sender", turn)), "s")
        router.listen(noting(log, ("router", turn)))
        router.listen(noting(log, ("channel or pattern", turn + 0.5)), None, "e")
    signal.trigger()
    order = [name for name, _ in log if name[0] in ("router", "sender", "channel or pattern", "specific")]
    assert [(kind, [turn for _, turn in turns]) for kind, turns in groupby(order, key=lambda name: name[0])] == [
        ("router", [1, 2]),
        ("sender", [1, 2]),
        ("channel or pattern", [1, 1.5, 2, 2.5]),
        ("specific", [1, 2]),
    ]


def test_one_registration_is_one_call_and_two_are_two(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    listener = noting(log, 1)
    for _ in range(2):
        router.listen(listener, "**", "*")
    signal.trigger()
    assert len(log) == 2


def test_a_plan_is_built_once_and_only_what_reaches_it_makes_it_stale(router: sig.Router, signal: sig.Signal) -> None:
    signal.trigger()
    calls = signal._calls
    router.listen(noting([], 1), "t", "e")
    router.listen(noting([], 1), "s", "f")
    signal.trigger()
    assert signal._calls is calls
    router.listen(noting([], 1), "s", "*")
    signal.trigger()
    assert signal._calls is not calls


# -- what listeners do to the plan under way -----------------------------------------------------


def test_who_is_closed_during_the_round_is_not_called_and_nobody_is_skipped(
    router: sig.Router, signal: sig.Signal
) -> None:
    log: list[Any] = []

    def closing(info: sig.Info, data: object) -> None:
        log.append(("closing", data))
        closed.close()
        itself.close()

    itself = router.listen(closing, "s", "e")
    closed = router.listen(noting(log, "closed"), "s", "e")
    router.listen(noting(log, "stays"), "s", "e")
    signal.trigger(1)
    signal.trigger(2)
    assert log == [("closing", 1), ("stays", 1), ("stays", 2)]


def test_who_is_closed_in_an_older_round_is_not_called_there_either(router: sig.Router, signal: sig.Signal) -> None:
    """Two rounds are under way, on two lists: the second has been built since."""
    log: list[Any] = []

    def outer(info: sig.Info, data: object) -> None:
        if data == "outer":
            router.listen(inner, "s", "e")
            signal.trigger("inner")

    def inner(info: sig.Info, data: object) -> None:
        last.close()

    router.listen(outer, "s", "e")
    last = router.listen(noting(log, "last"), None, "*")
    first = router.listen(noting(log, "first"), "s", "e")
    signal.trigger("outer")
    assert log == [("last", "outer"), ("last", "inner"), ("first", "inner"), ("first", "outer")]
    first.close()
    log.clear()
    signal.trigger("again")
    assert log == []


def test_a_round_goes_on_after_its_sender_has_left_but_not_to_who_closes_then(
    router: sig.Router, signal: sig.Signal
) -> None:
    log: list[Any] = []

    def leaving(info: sig.Info, data: object) -> None:
        router.remove_sender("s")
        closed.close()

    router.listen(leaving, "s", "e")
    closed = router.listen(noting(log, "closed"), "s", "e")
    router.listen(noting(log, "stays"), "s", "e")
    signal.trigger(1)
    assert log == [("stays", 1)]
    with pytest.raises(sig.SenderNotConnected):
        signal.trigger(2)


def test_who_registers_during_the_round_hears_the_next_one(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    router.listen(lambda info, data: router.listen(noting(log, data), "s", "e"), "s", "e")
    signal.trigger(1)
    assert log == []
    signal.trigger(2)
    assert log == [(1, 2)]


def test_nested_events_come_before_the_listeners_behind(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    router.listen(lambda info, data: signal.trigger(data + 1) if data < 3 else None, "s", "e")
    router.listen(noting(log, "behind"), "s", "e")
    signal.trigger(1)
    assert log == [("behind", 3), ("behind", 2), ("behind", 1)]


# -- what listeners raise ------------------------------------------------------------------------


def test_a_listener_that_raises_is_reported_and_the_others_run(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append
    failure = ValueError("no")

    def failing(info: sig.Info, data: object) -> None:
        raise failure

    router.listen(failing, "s", "e")
    router.listen(noting(log, "behind"), "s", "e")
    signal.trigger(1)
    assert log == [("behind", 1)]
    assert errors == [(failure, failing, {"sender": "s", "event": "e"})]


@pytest.mark.parametrize("options", [{}, {"once": True}, {"meta": True}, {"type": int}])
def test_a_listener_that_closes_itself_and_raises_is_reported_by_its_own_name(
    router: sig.Router, signal: sig.Signal, options: dict[str, Any]
) -> None:
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append

    def failing(info: sig.Info, data: object) -> None:
        subscription.close()
        raise ValueError("no")

    router.listen(noting([], 1), "s", "e")
    subscription = router.listen(failing, "s", "e", **options)
    signal.trigger(1)
    assert [error.listener for error in errors] == [failing]


def test_a_listener_that_has_every_attribute_is_a_listener_all_the_same(router: sig.Router, signal: sig.Signal) -> None:
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append
    listener = mock.Mock(side_effect=ValueError("no"))
    router.listen(listener, "s", "e")
    signal.trigger(1)
    assert [error.listener for error in errors] == [listener]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_for_the_program_reaches_it(
    router: sig.Router, signal: sig.Signal, error: type[BaseException]
) -> None:
    def interrupted(info: sig.Info, data: object) -> None:
        raise error

    router.listen(interrupted, "s", "e")
    with pytest.raises(error):
        signal.trigger()


def test_what_is_no_listener_raises_to_who_triggers(router: sig.Router, signal: sig.Signal) -> None:
    """A router with links puts one entry of its own into the plan."""
    router.listen(noting([], 1), "s", "e")
    signal.trigger()

    def send(info: sig.Info, data: object) -> None:
        raise sig.Overloaded("full")

    signal._calls = Calls((send,))
    with pytest.raises(sig.Overloaded, match="full"):
        signal.trigger()


def test_a_sender_that_has_left_cannot_trigger(router: sig.Router, signal: sig.Signal) -> None:
    signal.trigger()
    router.remove_sender("s")
    with pytest.raises(sig.SenderNotConnected, match="'s'"):
        signal.trigger()
    router.add_sender("s", ["e"])
    with pytest.raises(sig.SenderNotConnected, match="'s'"):
        signal.trigger()


# -- numbers, retained values, groups ------------------------------------------------------------


class Clock:
    def now(self) -> float:
        return 1.0

    def wall(self) -> float:
        return 1234.5


def test_meta_is_an_info_of_its_own_for_each_event_and_only_for_who_asked() -> None:
    with sig.Router(clock=Clock()) as router:
        sender = router.add_sender("s", ["e"])
        with_meta: list[sig.Info] = []
        without: list[sig.Info] = []
        router.listen(lambda info, data: without.append(info), "s", "e")
        sender.trigger("e")
        subscription = router.listen(lambda info, data: with_meta.append(info), "s", "e", meta=True)
        for _ in range(3):
            sender.trigger("e")
        subscription.close()
        sender.trigger("e")
        router.listen(lambda info, data: with_meta.append(info), "s", "e", meta=True)
        sender.trigger("e")
        (row,) = router.senders()
    assert [info.seq for info in with_meta] == [1, 2, 3, 4]
    assert {(info.time, info.incarnation, info.initial) for info in with_meta} == {(1234.5, row.instance, False)}
    assert len(without) == 6
    assert all(info is without[0] for info in without)
    assert (without[0].seq, without[0].time, without[0].incarnation) == (None, None, None)


def test_a_retained_value_is_the_last_one_and_goes_with_its_sender(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e", "f"], retain="e")
    assert router.last("s", "e") is None
    for number in (1, 2):
        sender.trigger("e", number)
        sender.trigger("f", number)
    last = router.last("s", "e")
    assert last is not None
    assert last.data == 2
    assert (last.info, last.info.seq) == ({"sender": "s", "event": "e"}, 2)
    assert router.last("s", "f") is None
    sender.remove()
    assert router.last("s", "e") is None


def test_each_event_goes_to_one_member_of_each_group_and_to_all_others(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    for name in ("a1", "a2", "a3"):
        router.listen(noting(log, name), "s", "e", group="a")
    for name in ("b1", "b2"):
        router.listen(noting(log, name), "s", None, group="b")
    router.listen(noting(log, "alone"), "s", "e")
    for number in range(6):
        signal.trigger(number)
    assert Counter(name[0] for name, _ in log if name != "alone") == {"a": 6, "b": 6}
    assert Counter(name for name, _ in log) == {"a1": 2, "a2": 2, "a3": 2, "b1": 3, "b2": 3, "alone": 6}
    for number in range(6):
        assert sorted(name[0] for name, data in log if data == number) == ["a", "a", "b"]


def test_a_group_shares_the_events_of_many_signals(router: sig.Router) -> None:
    log: list[Any] = []
    for name in ("a", "b"):
        router.listen(noting(log, name), None, "e", group="g")
    for number in range(10):
        router.add_sender(f"s{number}", ["e"]).trigger("e")
    assert Counter(name for name, _ in log) == {"a": 5, "b": 5}


def test_a_group_prefers_the_member_with_the_emptiest_queue(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    slow = router.listen(noting(log, "slow"), "s", "e", group="g", executor=lambda function: None)
    router.listen(noting(log, "quick"), "s", "e", group="g")
    for number in range(10):
        signal.trigger(number)
    assert slow.pending == 1
    assert [data for _, data in log] == list(range(1, 10))
    slow.close()


def test_members_that_have_closed_are_passed_over_and_the_last_one_ends_the_group(
    router: sig.Router, signal: sig.Signal
) -> None:
    log: list[Any] = []

    def closing(info: sig.Info, data: object) -> None:
        for member in members[:2]:
            member.close()

    router.listen(closing, "s", "e")
    members = [router.listen(noting(log, number), "s", "e", group="g") for number in range(3)]
    for number in range(3):
        signal.trigger(number)
    assert log == [(2, 0), (2, 1), (2, 2)]
    members[2].close()
    signal.trigger(3)
    assert len(log) == 3
    assert not router._turns


def test_a_member_that_raises_has_had_the_event(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    errors: list[sig.ListenerError] = []
    router.on_error = errors.append

    def failing(info: sig.Info, data: object) -> None:
        raise ValueError(data)

    router.listen(failing, "s", "e", group="g")
    router.listen(noting(log, "other"), "s", "e", group="g")
    for number in range(4):
        signal.trigger(number)
    assert len(log) == len(errors) == 2


# -- extending -----------------------------------------------------------------------------------


class Counting(sig.Signal):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.event_info["unit"] = "celsius"
        self.count = 0

    def trigger(self, data: object = None) -> None:
        self.count += 1
        self.event_info["count"] = self.count
        super().trigger(data)


@pytest.mark.parametrize("options", [{}, {"meta": True}])
def test_a_subclass_may_override_trigger_and_add_to_event_info(options: dict[str, Any]) -> None:
    got: list[dict[str, object]] = []
    with sig.Router(class_signal=Counting) as router:
        sender = router.add_sender("s", ["e"])
        router.listen(lambda info, data: got.append(dict(info)), "s", "e", **options)
        sender.trigger("e")
        sender.signal("e").trigger()
    assert got == [{"sender": "s", "event": "e", "unit": "celsius", "count": number} for number in (1, 2)]


def test_lists_that_nobody_walks_are_forgotten(router: sig.Router, signal: sig.Signal) -> None:
    for _ in range(100):
        router.listen(noting([], 1), "s", "e").close()
        signal.trigger()
    gc.collect()
    assert len(signal._walked) <= 2


def test_the_garbage_collector_may_trigger_while_an_event_is_numbered(router: sig.Router, signal: sig.Signal) -> None:
    log: list[int | None] = []
    router.listen(lambda info, data: log.append(info.seq), "s", "e", meta=True)
    signal.trigger()

    class Late:
        def __del__(self) -> None:
            signal.trigger("last words")

    assert signal._lock is not None
    with signal._lock:
        Late()
    assert log == [1, 2]


# -- what routers with links put in the method's place -------------------------------------------


def bound(signal: sig.Signal, log: list[Any], *, structs: bool = True) -> None:
    def send(info: sig.Info, data: object) -> None:
        log.append((dict(info), data))

    check = signal.check(structs=structs)

    def trigger(data: object = None) -> None:  # as links have it
        wanted, fitted = check
        log.append(("trigger", data if check is UNCHECKED or type(data) is wanted else fitted(data)))

    signal.bind(trigger, send)


def test_a_signal_of_ours_is_bound_by_its_method_and_released(router: sig.Router, signal: sig.Signal) -> None:
    log: list[Any] = []
    router.listen(lambda info, data: log.append(data), "s", "e")
    bound(signal, log)
    cached = signal.trigger
    signal.trigger(1)
    cached(2)
    signal.unbind()
    signal.unbind()
    signal.trigger(3)
    assert log == [("trigger", 1), ("trigger", 2), 3]


def test_a_signal_with_a_trigger_of_its_own_keeps_it_and_sends_in_the_end() -> None:
    class Loud(sig.Signal):
        def trigger(self, data: object = None) -> None:
            super().trigger(f"{data}!")

    log: list[Any] = []
    with sig.Router(class_signal=Loud) as router:
        signal = router.add_sender("s", ["e"]).signal("e")
        router.listen(lambda info, data: log.append(data), "s", "e")
        bound(signal, log)
        signal.trigger("here")
        signal.unbind()
        signal.trigger("there")
    assert log == [({"sender": "s", "event": "e"}, "here!"), "there!"]


# -- data of one type ----------------------------------------------------------------------------


class Reading(msgspec.Struct):
    celsius: float


class Warmer(Reading):
    by: float


class Declared(TypedDict):
    celsius: float


@pytest.fixture
def typed(router: sig.Router) -> sig.Signal:
    return router.add_sender("typed", {"e": Reading, "any": None, "numbers": list[int]}).signal("e")


def test_an_instance_goes_through_and_other_data_is_made_to_fit(router: sig.Router, typed: sig.Signal) -> None:
    log: list[Any] = []
    router.listen(noting(log, "e"), "typed", "e")
    reading = Reading(21.5)
    typed.trigger(reading)
    assert log[0][1] is reading
    typed.trigger({"celsius": 22})
    assert log[1:] == [("e", Reading(22.0))]
    assert typed.kind is Reading


def test_what_does_not_fit_is_refused_and_nobody_is_called(router: sig.Router, typed: sig.Signal) -> None:
    log: list[Any] = []
    router.listen(noting(log, "heard"), "typed")
    with pytest.raises(
        sig.InvalidData, match=r"event 'e' of sender 'typed' takes Reading: Expected `float`.*\.celsius"
    ):
        typed.trigger({"celsius": "warm"})
    with pytest.raises(sig.InvalidData, match="got `null`"):
        typed.trigger()
    with pytest.raises(sig.InvalidData, match=r"takes list\[int\]"):
        router.get_sender("typed").trigger("numbers", [1, "two"])  # type: ignore[union-attr]  # it is there
    assert log == []


@pytest.mark.parametrize("structs", [False, True])
def test_what_is_sent_is_checked_and_made_to_fit_too(router: sig.Router, typed: sig.Signal, *, structs: bool) -> None:
    log: list[Any] = []
    bound(typed, log, structs=structs)
    reading = Reading(21.0)
    typed.trigger(reading)
    typed.trigger({"celsius": 22})
    typed.trigger(Warmer(23.0, by=1.0))  # of a subclass: msgspec would refuse it
    with pytest.raises(sig.InvalidData, match=r"event 'e' of sender 'typed' takes Reading: Expected `float`.*celsius"):
        typed.trigger({"celsius": "warm"})
    assert [data for _, data in log] == [reading, Reading(22.0), Warmer(23.0, by=1.0)]
    assert log[0][1] is reading


@pytest.mark.parametrize("structs", [False, True])
def test_a_dict_of_a_declared_form_is_sent_as_what_is_written_alike(router: sig.Router, *, structs: bool) -> None:
    signal = router.add_sender("s", {"e": Declared}).signal("e")
    log: list[Any] = []
    bound(signal, log, structs=structs)
    signal.trigger({"celsius": 22, "more": 1})
    signal.trigger(Reading(23.0))
    with pytest.raises(sig.InvalidData, match=r"takes Declared: Object missing required field `celsius`"):
        signal.trigger({})
    sent = [data for _, data in log]
    assert [msgspec.json.encode(data) for data in sent] == [b'{"celsius":22.0}', b'{"celsius":23.0}']
    assert isinstance(sent[0], dict) is not structs


def test_events_without_a_type_are_signals_as_ever(router: sig.Router, typed: sig.Signal) -> None:
    """Not a single instruction more for them."""
    sender = router.get_sender("typed")
    assert sender is not None
    assert type(sender.signal("any")) is sig.Signal
    assert type(typed) is not sig.Signal
    assert isinstance(typed, sig.Signal)


def test_a_listener_that_fails_is_reported_for_typed_signals_too(router: sig.Router, typed: sig.Signal) -> None:
    failed: list[sig.ListenerError] = []
    router.on_error = failed.append

    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError

    router.listen(fail, "typed", "e")
    for _ in range(2):  # the first finds out who listens
        typed.trigger(Reading(1))
    assert [type(error.error) for error in failed] == [ZeroDivisionError] * 2


def test_a_trigger_of_ones_own_comes_before_the_check() -> None:
    class Doubled(sig.Signal):
        def trigger(self, data: object = None) -> None:
            super().trigger([data, data])

    log: list[Any] = []
    with sig.Router(class_signal=Doubled) as router:
        router.listen(noting(log, "e"), "s", "e")
        sender = router.add_sender("s", {"e": list[int], "f": list[int]})
        assert type(sender.signal("e")) is type(sender.signal("f"))
        assert isinstance(sender.signal("e"), Doubled)
        sender.trigger("e", 1)
        with pytest.raises(sig.InvalidData):
            sender.trigger("e", "one")
    assert log == [("e", [1, 1])]


@pytest.mark.parametrize("overridden", [False, True])
def test_what_a_link_binds_is_given_what_fits(overridden: bool) -> None:
    class Plain(sig.Signal):
        pass

    class Own(sig.Signal):
        def trigger(self, data: object = None) -> None:
            super().trigger(data)

    log: list[Any] = []
    with sig.Router(class_signal=Own if overridden else Plain) as router:
        signal = router.add_sender("s", {"e": Reading}).signal("e")
        assert (signal.check(structs=True) is UNCHECKED) is overridden  # else it would be looked at twice
        bound(signal, log)
        assert ("trigger" in vars(signal)) is not overridden
        signal.trigger({"celsius": 1})
        signal.trigger(Reading(2))
        with pytest.raises(sig.InvalidData, match="takes Reading"):
            signal.trigger()
        assert [data for _, data in log] == [Reading(1), Reading(2)]
        signal.unbind()
        signal.trigger(Reading(3))
    assert len(log) == 2


def test_without_a_type_nothing_is_looked_at(signal: sig.Signal) -> None:
    assert signal.check(structs=True) is UNCHECKED
    anything = object()
    assert UNCHECKED[1](anything) is anything
