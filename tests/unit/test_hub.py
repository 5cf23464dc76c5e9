"""What routers of both faces have in common, in one process: registration, presence, requests, errors, closing.

All through the router of the blocking face; what is that one's own is in test_router.py.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from typing import Any

import pytest

import sig
from sig.constants import Limits
from sig.hub import Hub
from sig.info import info_of


class Log(list[Any]):
    """Listeners that note what they hear, by name."""

    def named(self, name: object) -> Callable[[sig.Info, object], None]:
        return lambda info, data: self.append((name, info.sender, info.event))

    def __call__(self, info: sig.Info, data: object) -> None:
        self.append((info.sender, info.event))


def nothing(info: object, data: object) -> None: ...


def answer(params: object) -> object:
    return ("answer", params)


def anything(method: str, params: int) -> int: ...


# -- listening -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "event", "sentence"),
    [
        ("", None, "a sender name cannot be empty"),
        ("#alarm", None, r"write on\(event='#alarm'\)"),
        ("a/**/b", None, r"'\*\*' is not the last level"),
        (None, "a*", r"'\*' stands within a level"),
        (5, None, "must be a str"),
        (None, b"e", "must be a str"),
    ],
)
def test_what_nobody_can_be_called_is_refused_and_nothing_is_registered(
    router: sig.Router, sender: Any, event: Any, sentence: str
) -> None:
    with pytest.raises(sig.InvalidName, match=sentence):
        router.listen(nothing, sender, event)
    assert not router._index.count


def test_a_wrong_callable_is_refused_where_it_registers(router: sig.Router) -> None:
    with pytest.raises(TypeError, match=r"cannot be called with \(info, data\)"):
        router.listen(lambda info: None)


def test_the_function_comes_first(router: sig.Router) -> None:
    with pytest.raises(TypeError, match="'pump' cannot be called: listen takes the function first"):
        router.listen("pump", "state", print)  # type: ignore[arg-type]  # as others have it


def test_names_are_kept_as_plain_text(router: sig.Router) -> None:
    class Name(StrEnum):
        S = "s"
        E = "e"

    subscription = router.listen(nothing, Name.S, Name.E)
    assert (type(subscription.sender), type(subscription.event)) == (str, str)
    assert type(router.add_sender(Name.S, [Name.E]).name) is str


def test_add_listener_says_whether_the_event_is_offered_and_registers_anyway(router: sig.Router) -> None:
    log = Log()
    for event in ("e", "f"):
        assert router.add_listener(log, "s", event) is True  # nobody there: who knows
    sender = router.add_sender("s", ["e", "x/y"])
    assert router.add_listener(log, "s", "f") is False
    for offered in ("e", "x/*", "#connect", None):
        assert router.add_listener(log, "s", offered) is True
    assert router.add_listener(log, None, "g") is True
    assert router.add_listener(log, router.sender("s"), "y/*") is False
    log.clear()
    sender.remove()
    router.add_sender("s", ["f"]).trigger("f")
    assert log.count(("s", "f")) == 3


def test_remove_listener_takes_one_registration_of_exactly_that(router: sig.Router) -> None:
    log = Log()
    for _ in range(2):
        router.add_listener(log, "s", "e")
    assert router.remove_listener(log, "s") is False
    assert router.remove_listener(nothing, "s", "e") is False
    assert router.remove_listener(log, router.sender("s"), "e") is True
    router.add_sender("s", ["e"]).trigger("e")
    assert log == [("s", "e")]
    assert router.remove_listener(log, "s", "e") is True
    assert router.remove_listener(log, "s", "e") is False


def test_a_bound_method_is_found_again_weak_or_not(router: sig.Router) -> None:
    class Thing:
        def hear(self, info: sig.Info, data: object) -> None: ...

    thing, other = Thing(), Thing()
    for weak in (False, True):
        router.listen(thing.hear, "s", weak=weak)
        assert router.remove_listener(other.hear, "s") is False
        assert router.remove_listener(thing.hear, "s") is True
    assert not router._index.count


def test_a_member_of_a_group_that_takes_no_more_leaves_the_event_to_another(router: sig.Router) -> None:
    heard: list[object] = []
    router.listen(nothing, "s", "e", group="g", once=True, executor=lambda function: None)  # which never runs it
    router.listen(lambda info, data: heard.append(data), "s", "e", group="g")
    signal = router.add_sender("s", "e").signal("e")
    for number in range(5):
        signal.trigger(number)
    assert len(heard) == 4


def test_a_member_whose_turn_it_is_may_take_no_more(router: sig.Router) -> None:
    def never(function: object) -> None: ...

    first = router.listen(nothing, "s", "e", group="g", once=True, executor=never)
    second = router.listen(nothing, "s", "e", group="g", executor=never)
    signal = router.add_sender("s", "e").signal("e")
    for number in range(3):  # in the third round both have as much to do, and it is the first one's turn
        signal.trigger(number)
    assert (first.pending, second.pending) == (1, 2)


def test_what_is_marked_is_registered_altogether_or_not_at_all(router: sig.Router) -> None:
    class Thing:
        @sig.on("s", "e")
        def hear(self, info: sig.Info, data: object) -> None: ...

        @sig.on("s")
        def more(self, info: sig.Info, data: object) -> None: ...

    with router.listen_all(Thing()):
        assert router._index.count == 2
    assert not router._index.count
    with pytest.raises(sig.InvalidArgument):
        router.listen_all(Thing(), queue=0)
    with pytest.raises(sig.InvalidArgument):
        router.listen_all(type("Other", (Thing,), {"more": sig.on("s", queue=0)(lambda self, info, data: None)})())
    assert not router._index.count


@pytest.mark.parametrize("act", ["listen", "remove", "event", "events"])
def test_who_has_gone_is_out_of_the_tables_when_somebody_looks(router: sig.Router, act: str) -> None:
    class Thing:
        def hear(self, info: sig.Info, data: object) -> None: ...

    sender = router.add_sender("s", ["e"])
    subscription = router.listen(Thing().hear, "s", "e", weak=True)
    gc.collect()
    assert router._index.count == 1
    {
        "listen": lambda: router.listen(nothing).close(),
        "remove": lambda: router.remove_listener(nothing, "s", "e"),
        "event": lambda: sender.get_event("e"),
        "events": sender.get_events,
    }[act]()
    assert not router._index.count
    assert subscription.detached


def test_closing_twice_does_nothing_more(router: sig.Router) -> None:
    subscription = router.listen(nothing)
    assert router._detach(subscription) is True
    assert router._detach(subscription) is False


def test_what_a_leaving_member_of_a_group_has_not_begun_goes_to_another(router: sig.Router) -> None:
    log: list[object] = []
    work: list[Callable[[], object]] = []
    members = [router.listen(nothing, "s", "e", group="g", executor=work.append) for _ in range(2)]
    alone = router.listen(nothing, "s", "e", executor=work.append)
    router.listen(lambda info, data: log.append(data), "s", "e", group="other")
    sender = router.add_sender("s", ["e"])
    for number in range(4):
        sender.trigger("e", number)
    members[0].close()
    alone.close()
    assert (members[1].pending, log) == (4, [0, 1, 2, 3])
    members[1].close()
    assert len(log) == 4


# -- senders -------------------------------------------------------------------------------------


def test_the_second_claim_of_a_name_is_refused_and_the_first_is_unharmed(router: sig.Router) -> None:
    log = Log()
    first = router.add_sender("s", ["e"])
    router.listen(log)
    with pytest.raises(sig.SenderAlreadyConnected, match="sender 's' is already connected") as caught:
        router.add_sender("s", ["f"])
    assert isinstance(caught.value, NameError)
    assert router.get_sender("s") is first
    assert log == []


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (("s",), sig.InvalidArgument, "sender 's' has neither events nor requests: give it at least one"),
        (("s", [], {}), sig.InvalidArgument, "neither events nor requests"),
        (
            ("s", {"e": sig.Router}),
            sig.InvalidArgument,
            "event 'e' of sender 's' cannot have the type Router: it has",
        ),
        (("s", {"e": Callable[[], int]}), sig.InvalidArgument, "'s' cannot have the type collections.abc.Callable"),
        (("s", {"e": "nonsense"}), sig.InvalidArgument, "'nonsense' cannot be a type of data"),
        (("", ["e"]), sig.InvalidName, "a sender name cannot be empty"),
        (("s", [""]), sig.InvalidName, "an event name cannot be empty"),
        (("s", ["e", 5]), sig.InvalidName, "an event name must be a str, not int"),
        (("s", ["#connect"]), sig.InvalidName, "'#connect' is triggered by routers only"),
        (("s", b"e"), sig.InvalidName, "must be a str, not int"),
        (("s", ["e"], {"#r": answer}), sig.InvalidName, "a method name cannot begin with '#'"),
        (("s", ["e"], answer), sig.InvalidArgument, "is one function"),
        (("s", ["e"], {"r": nothing}), TypeError, r"cannot be called with \(params\)"),
    ],
)
def test_what_cannot_be_a_sender_is_refused_before_anything_is_registered(
    router: sig.Router, arguments: Any, error: type[Exception], sentence: str
) -> None:
    log = Log()
    router.listen(log)
    with pytest.raises(error, match=sentence):
        router.add_sender(*arguments)
    assert log == []
    assert router.senders() == []
    assert router.get_sender("s") is None


def test_what_came_last_can_be_asked_for(router: sig.Router) -> None:
    sender = router.add_sender("s", ["e", "f"], retain="e")
    for value in (1, 2):
        sender.trigger("e", value)
        sender.trigger("f", value)
    last = router.last("s", "e")
    assert last is not None
    assert last.data == 2
    assert router.last("s", "f") is None


def test_a_sender_that_answers_so_many_at_a_time_answers(router: sig.Router) -> None:
    router.add_sender("s", requests=[answer], max_concurrent=1)
    assert router.request("s", "answer", 4) == router.request("s", "answer", 4)
    with pytest.raises(sig.InvalidArgument, match="max_concurrent=0"):
        router.add_sender("t", requests=[answer], max_concurrent=0)


@pytest.mark.parametrize(
    ("arguments", "options"), [(("a*", "m"), {}), (("s", "m"), {"timeout": 0}), (("s", "m"), {"type": 5})]
)
def test_a_request_that_can_never_be_right_is_refused_where_it_is_begun(
    router: sig.Router, arguments: Any, options: Any
) -> None:
    with pytest.raises(sig.InvalidArgument):
        router.start_request(*arguments, **options)
    router.close()
    with pytest.raises(sig.Closed):
        router.start_request("s", "m")


def test_whoever_streams_is_told_who_is_missing(router: sig.Router) -> None:
    def count(params: int) -> Iterator[int]:
        yield from range(params)

    router.add_sender("s", requests=[count])
    assert list(router.stream("s", "count", 3)) == [0, 1, 2]
    with pytest.raises(sig.SenderNotConnected):
        router.stream("t", "count")


def test_senders_are_listed_in_order_of_arrival_and_by_pattern(router: sig.Router) -> None:
    router.add_sender("lab/b", ["e"], {"r": answer, None: lambda method, params: None})
    router.add_sender("lab/a", ["e", "f"])
    router.add_sender("hall", [], [answer])
    rows = router.senders()
    assert [(row.name, row.events, row.requests, row.address) for row in rows] == [
        ("lab/b", ["e"], ["r", None], "local"),
        ("lab/a", ["e", "f"], None, "local"),
        ("hall", [], ["answer"], "local"),
    ]
    assert [row.name for row in router.senders("lab/*")] == ["lab/b", "lab/a"]
    assert [row.name for row in router.senders("hall")] == ["hall"]
    assert len({row.instance for row in rows}) == 3
    with pytest.raises(sig.InvalidName):
        router.senders("a*")


def test_get_sender_is_what_this_router_knows(router: sig.Router) -> None:
    assert router.get_sender("s") is None
    made = router.get_sender("s", create=True)
    assert made is not None
    assert not made.connected
    assert router.get_sender("s") is None
    router.listen(nothing, "s", "e")
    known = router.get_sender("s")
    assert known is not None
    assert not known.connected
    assert known.count_listeners() == 1
    sender = router.add_sender("s", ["e"])
    assert router.get_sender("s") is sender


def test_remove_sender_takes_a_name_a_view_or_the_sender(router: sig.Router) -> None:
    view = router.sender("s")
    assert not view.connected
    for given in (lambda: "s", lambda: router.sender("s"), lambda: router.get_sender("s")):
        router.add_sender("s", ["e"])
        assert view.connected
        assert router.remove_sender(given()) is True  # type: ignore[arg-type]
        assert router.remove_sender("s") is False
    with sig.Router() as elsewhere:
        foreign = elsewhere.add_sender("s", ["e"])
        assert router.remove_sender(foreign) is False
        assert foreign.connected


# -- presence ------------------------------------------------------------------------------------


def test_presence_says_what_a_sender_offers_and_why_it_left(router: sig.Router) -> None:
    got: list[tuple[str, object]] = []
    router.listen(lambda info, data: got.append((info.event, data)), "s")
    router.add_sender("s", ["e"], {"r": answer, None: lambda method, params: None}).remove()
    router.add_sender("s", ["e"])
    router.close()
    offers = {"events": ["e"], "requests": ["r", None]}
    alone = {"events": ["e"], "requests": None}
    assert got == [
        ("#connect", offers),
        ("#disconnect", {**offers, "reason": "closed"}),
        ("#connect", alone),
        ("#disconnect", {**alone, "reason": "closed"}),
    ]


def test_presence_is_heard_by_name_and_by_none_but_not_by_patterns(router: sig.Router) -> None:
    log = Log()
    for sender, event in ((None, None), ("s", None), (None, "#connect"), ("s", "#connect"), ("*", "#connect")):
        router.listen(log.named((sender, event)), sender, event)
    for event in ("*", "**", "#audit"):
        router.listen(log.named("never"), None, event)
    router.add_sender("s", ["e"])
    assert [name for name, _, _ in log] == [
        (None, None),
        ("s", None),
        (None, "#connect"),
        ("*", "#connect"),
        ("s", "#connect"),
    ]


def test_presence_tells_the_life_it_belongs_to(router: sig.Router) -> None:
    lives: list[tuple[str, int | None]] = []
    router.listen(lambda info, data: lives.append((info.event, info.incarnation)), "s")
    for _ in range(2):
        router.add_sender("s", ["e"]).remove()
    (first, first_end, second, second_end) = [life for _, life in lives]
    assert first == first_end != second == second_end


def test_connect_comes_before_the_first_event_also_where_a_listener_triggers_it(router: sig.Router) -> None:
    log = Log()

    def eager(info: sig.Info, data: object) -> None:
        sender = router.get_sender("s")
        assert sender is not None
        sender.trigger("e", 1)
        sender.trigger("e", 2)
        log.append("triggered")

    router.listen(eager, "s", "#connect")
    router.listen(lambda info, data: log.append((info.event, data if info.event == "e" else None)), "s")
    router.listen(log.named("behind"), "s", "#connect")
    router.add_sender("s", ["e"])
    assert log == [("#connect", None), "triggered", ("behind", "s", "#connect"), ("e", 1), ("e", 2)]


def test_events_that_wait_behind_presence_are_not_overtaken(router: sig.Router) -> None:
    log: list[object] = []

    def eager(info: sig.Info, data: object) -> None:
        for number in (1, 2):
            router.get_sender("s").trigger("e", number)  # type: ignore[union-attr]

    def first(info: sig.Info, data: object) -> None:
        log.append(data)
        if data == 1:
            # Whoever registers makes the plan stale; and what is triggered now must go behind what waits.
            router.listen(lambda info, data: log.append(("late", data)), "s", "e")
            router.get_sender("s").trigger("e", 3)  # type: ignore[union-attr]

    router.listen(eager, "s", "#connect")
    router.listen(first, "s", "e")
    router.add_sender("s", ["e"])
    assert log == [1, 2, ("late", 2), 3, ("late", 3)]


def test_who_registers_with_initial_while_presence_is_told_hears_all_once(router: sig.Router) -> None:
    log = Log()

    def eager(info: sig.Info, data: object) -> None:
        router.listen(log, "s", initial=True)
        router.get_sender("s").trigger("e")  # type: ignore[union-attr]

    router.listen(eager, "s", "#connect")
    router.listen(log.named("behind"), "s", "#connect")
    router.add_sender("s", ["e"], retain=True)
    assert log == [("s", "#connect"), ("behind", "s", "#connect"), ("s", "e")]


def test_a_sender_that_leaves_and_returns_inside_its_presence_alternates_for_everybody(router: sig.Router) -> None:
    log = Log()

    def fickle(info: sig.Info, data: object) -> None:
        if len(log) < 8:
            router.remove_sender("s") or router.add_sender("s", ["e"])

    router.listen(fickle, "s")
    router.listen(log, "s")
    router.add_sender("s", ["e"])
    events = [event for _, event in log]
    assert len(events) >= 8
    assert events[::2] == ["#connect"] * len(events[::2])
    assert events[1::2] == ["#disconnect"] * len(events[1::2])


def test_an_event_that_waited_is_told_although_its_sender_left_behind_it(router: sig.Router) -> None:
    log = Log()
    kept: list[sig.Signal] = []

    def eager(info: sig.Info, data: object) -> None:
        sender = router.get_sender("s")
        assert sender is not None
        kept.append(sender.signal("e"))
        sender.trigger("e")
        sender.remove()

    def closing(info: sig.Info, data: object) -> None:
        closed.close()

    router.listen(eager, "s", "#connect")
    router.listen(log, "s")
    router.listen(closing, "s", "e")
    closed = router.listen(log.named("closed"), "s", "e")
    router.add_sender("s", ["e"])
    assert log == [("s", "#connect"), ("s", "e"), ("s", "#disconnect")]
    with pytest.raises(sig.SenderNotConnected):
        kept[0].trigger()


def test_a_sender_that_leaves_inside_its_own_event_is_told_of_at_once(router: sig.Router) -> None:
    log = Log()
    router.listen(lambda info, data: router.remove_sender("s"), "s", "e")
    router.listen(log, None, "#disconnect")
    router.listen(log, "s", "e")
    router.add_sender("s", ["e"]).trigger("e")
    assert log == [("s", "#disconnect"), ("s", "e")]


def test_a_group_shares_presence_too(router: sig.Router) -> None:
    log = Log()
    for name in (1, 2):
        router.listen(log.named(name), group="g")
    for sender in "abcd":
        router.add_sender(sender, ["e"])
    assert sorted(name for name, _, _ in log) == [1, 1, 2, 2]
    assert sorted(sender for _, sender, _ in log) == ["a", "b", "c", "d"]


def test_after_an_interrupt_in_presence_the_rest_is_told_by_the_next_act(router: sig.Router) -> None:
    log = Log()

    def interrupted(info: sig.Info, data: object) -> None:
        raise KeyboardInterrupt

    router.listen(interrupted, "s", "#connect")
    router.listen(log, "s")
    router.listen(log.named("behind"), "s", "#connect")
    with pytest.raises(KeyboardInterrupt):
        router.add_sender("s", ["e"])
    assert log == [("s", "#connect")]
    sender = router.get_sender("s")
    assert sender is not None
    sender.trigger("e")
    assert log == [("s", "#connect"), ("behind", "s", "#connect"), ("s", "e")]
    assert not router._rounds


def test_an_event_from_another_thread_waits_behind_presence_and_is_told_by_its_thread(router: sig.Router) -> None:
    inside, go_on = threading.Event(), threading.Event()
    threads: list[tuple[str, int]] = []

    def slow(info: sig.Info, data: object) -> None:
        inside.set()
        assert go_on.wait(10)

    router.listen(slow, "s", "#connect")
    router.listen(lambda info, data: threads.append((info.event, threading.get_ident())), "s")
    with ThreadPoolExecutor(1) as pool:
        added = pool.submit(router.add_sender, "s", ["e"])
        assert inside.wait(10)
        router.get_sender("s").trigger("e")  # type: ignore[union-attr]  # returns at once
        go_on.set()
        added.result(10)
        teller = pool.submit(threading.get_ident).result()
    assert threads == [("#connect", teller), ("e", teller)]


def test_what_waits_behind_presence_is_bounded(router: sig.Router) -> None:
    log: list[object] = []
    limit = Limits().listener_queue_events

    def endless(info: sig.Info, data: object) -> None:
        trigger = router.get_sender("s").signal("e").trigger  # type: ignore[union-attr]
        for number in range(limit):
            trigger(number)
        with pytest.raises(sig.Overloaded, match=f"{limit} events of 's' wait behind a listener of its presence"):
            trigger()

    router.listen(endless, "s", "#connect")
    router.listen(lambda info, data: log.append(data), "s", "e")
    router.add_sender("s", ["e"])
    assert log == list(range(limit))


# -- initial -------------------------------------------------------------------------------------


def test_initial_tells_who_is_there_and_what_is_retained_in_order_of_arrival(router: sig.Router) -> None:
    got: list[tuple[str, str, object]] = []
    router.add_sender("b", ["e", "f"], retain=["e"]).trigger("e", 1)
    router.add_sender("a", ["e"], retain=True)
    router.add_sender("lab/c", ["e"], [answer]).trigger("e", 3)

    def listener(info: sig.Info, data: object) -> None:
        assert info.initial
        got.append((info.sender, info.event, data))

    router.listen(listener, initial=True)
    assert got == [
        ("b", "#connect", {"events": ["e", "f"], "requests": None}),
        ("b", "e", 1),
        ("a", "#connect", {"events": ["e"], "requests": None}),
        ("lab/c", "#connect", {"events": ["e"], "requests": ["answer"]}),
    ]
    got.clear()
    router.listen(listener, "*", "e", initial=True)
    assert got == [("b", "e", 1)]
    got.clear()
    router.listen(listener, "lab/*", "#connect", initial=True)
    assert [row[:2] for row in got] == [("lab/c", "#connect")]


def test_an_interrupt_while_the_past_is_told_leaves_no_listener_behind(router: sig.Router) -> None:
    def interrupted(info: sig.Info, data: object) -> None:
        raise KeyboardInterrupt

    router.add_sender("s", ["e"])
    with pytest.raises(KeyboardInterrupt):
        router.listen(interrupted, "s", initial=True)
    assert not router._index.count


def test_initial_tells_the_number_of_the_retained_value(router: sig.Router) -> None:
    infos: list[sig.Info] = []
    sender = router.add_sender("s", ["e"], retain=True)
    for _ in range(3):
        sender.trigger("e")
    router.listen(lambda info, data: infos.append(info), "s", "e", initial=True, meta=True)
    sender.trigger("e")
    (row,) = router.senders()
    assert [(info.seq, info.initial, info.incarnation) for info in infos] == [
        (3, True, row.instance),
        (4, False, row.instance),
    ]
    assert infos[0].time is not None


# -- last and requests ---------------------------------------------------------------------------


def test_last_checks_its_names_and_knows_nothing_of_strangers(router: sig.Router) -> None:
    assert router.last("s", "e") is None
    for sender, event in (("", "e"), ("s", ""), ("*", "e"), ("s", "*")):
        with pytest.raises(sig.InvalidName):
            router.last(sender, event)


def test_a_request_is_answered_here_and_now(router: sig.Router) -> None:
    threads: list[int] = []
    router.add_sender("s", requests={"thread": lambda params: threads.append(threading.get_ident())})
    assert router.request("s", "thread") is None
    assert threads == [threading.get_ident()]


def test_an_answer_can_be_converted(router: sig.Router) -> None:
    router.add_sender("s", requests=[answer])
    assert router.request("s", "answer", 5) == ("answer", 5)
    assert router.request("s", "answer", 5, type=list[str | int]) == ["answer", 5]
    with pytest.raises(sig.InvalidData, match="'s' answered 'answer' with other data: Expected `int`"):
        router.request("s", "answer", type=int)


def test_an_event_may_have_a_type(router: sig.Router) -> None:
    sender = router.add_sender("s", {"typed": int, "any": object, "none": None})
    assert [(event, sender.signal(event).kind) for event in ("typed", "any", "none")] == [
        ("typed", int),
        ("any", None),
        ("none", None),
    ]
    sender.trigger("any", "anything")
    with pytest.raises(sig.InvalidData, match="event 'typed' of sender 's' takes int: Expected `int`, got `str`"):
        sender.trigger("typed", "five")


def test_types_are_told_as_json_schema(router: sig.Router) -> None:
    def set_level(params: int) -> None: ...

    told: list[Any] = []
    router.listen(lambda info, data: told.append(data), "s", "#connect")
    untyped = router.add_sender("u", ["e"], [answer])
    sender = router.add_sender(
        "s", {"typed": list[int], "any": None}, {"set": set_level, "ask": answer, None: anything}
    )
    schema = {
        "events": {"typed": {"type": "array", "items": {"type": "integer"}}},
        "requests": {"set": {"params": {"type": "integer"}, "result": {"type": "null"}}},
    }
    assert told == [{"events": ["typed", "any"], "requests": ["set", "ask", None], "schema": schema}]
    assert [row.schema for row in router.senders()] == [None, schema]
    sender.set_requests([answer])
    assert router.senders("s")[0].schema == {"events": schema["events"], "requests": {}}
    untyped.set_requests([set_level])
    assert router.senders("u")[0].schema == {"events": {}, "requests": {"set_level": schema["requests"]["set"]}}


class Counter(sig.Contract):
    counted: sig.EventOf[int]

    def count(self, by: int) -> int:
        self.counted.trigger(by)
        return by


def test_a_contract_says_what_its_sender_offers(router: sig.Router) -> None:
    told: list[str] = []
    router.on_error = lambda failed: told.append(str(failed.error))
    counter = router.add_sender("s", Counter())
    router.add_sender("u", requests=[answer])
    log = Log()
    router.listen(log)
    assert router.sender("s").typed(Counter).count(2) == 2
    assert log == [("s", "counted")]
    assert router.sender("u").typed(Counter).sender.connected
    assert not router.sender("absent").typed(Counter).sender.connected
    assert told == []
    with pytest.raises(sig.InvalidArgument, match="leave requests= out"):
        router.add_sender("t", Counter(), [answer])  # type: ignore[call-overload]  # the mistake in question
    with pytest.raises(sig.SenderAlreadyConnected):
        router.add_sender("s", Counter())
    assert counter.sender.connected


def test_a_request_that_cannot_be_answered_says_why(router: sig.Router) -> None:
    router.add_sender("s", requests=[answer])
    router.add_sender("mute", ["e"])
    for sender, method, error in (
        ("nobody", "answer", sig.SenderNotConnected),
        ("s", "other", sig.MethodNotFound),
        ("mute", "answer", sig.RequestsNotSupported),
        ("*", "answer", sig.InvalidName),
        ("s", "", sig.InvalidName),
    ):
        with pytest.raises(error):
            router.request(sender, method)
    with pytest.raises(sig.InvalidArgument, match="timeout=0"):
        router.request("s", "answer", timeout=0)


def test_requests_that_go_in_circles_are_found_out(router: sig.Router) -> None:
    hops: list[str] = []

    def pass_on(to: str) -> Callable[[object], object]:
        def ask(params: object) -> object:
            hops.append(to)
            return router.request(to, "ask")

        return ask

    router.add_sender("a", requests={"ask": pass_on("b")})
    router.add_sender("b", requests={"ask": pass_on("a")})
    with pytest.raises(sig.LoopDetected):
        router.request("a", "ask")
    assert len(hops) == 16


def test_an_async_handler_answers_another_thread(router: sig.Router) -> None:
    async def later(params: object) -> object:
        await asyncio.sleep(0)
        return params

    async def main() -> object:
        router.add_sender("s", requests=[later])
        return await asyncio.to_thread(router.request, "s", "later", 5)

    assert asyncio.run(main()) == 5


# -- waiting for a sender ------------------------------------------------------------------------


def test_waiting_for_a_sender_is_over_when_it_is_there_and_in_vain_when_it_does_not_come(router: sig.Router) -> None:
    assert router.sender("s").wait(0) is False
    router.add_sender("s", ["e"])
    assert router.sender("s").wait() is True
    assert not router._index.count


# -- closing -------------------------------------------------------------------------------------


def test_close_lets_all_leave_and_ends_every_verb() -> None:
    log = Log()
    router = sig.Router()
    subscription = router.listen(log)
    sender = router.add_sender("s", ["e"], [answer])
    view = router.sender("s")
    router.close()
    assert log == [("s", "#connect"), ("s", "#disconnect")]
    assert (subscription.closed, sender.connected) == (True, False)
    verbs: list[Callable[[], object]] = [
        lambda: router.listen(nothing),
        lambda: router.on("s")(nothing),
        lambda: router.add_listener(nothing),
        lambda: router.add_sender("s", ["e"]),
        lambda: router.request("s", "answer"),
        lambda: router.last("s", "e"),
        router.senders,
        router.flush,
        lambda: sender.trigger("e"),
        lambda: view.request("answer"),
        view.wait,
    ]
    for verb in verbs:
        with pytest.raises(sig.Closed, match="this Router has been closed: make another"):
            verb()
    assert router.remove_sender("s") is False
    router.close()
    assert not router._index.count


def test_flush_has_nothing_to_wait_for(router: sig.Router) -> None:
    assert router.flush() is None  # type: ignore[func-returns-value]


def test_wait_returns_when_the_router_is_closed() -> None:
    router = sig.Router()
    assert router.wait(0) is False
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(router.wait)
        router.close()
        assert waiting.result(10) is True


def test_close_works_from_inside_a_listener(router: sig.Router) -> None:
    log = Log()
    router.listen(lambda info, data: router.close(), "s", "e")
    router.listen(log)
    router.listen(log.named("behind"), "s", "e")
    sender = router.add_sender("s", ["e"])
    sender.trigger("e")
    assert log == [("s", "#connect"), ("s", "e"), ("s", "#disconnect")]
    with pytest.raises(sig.Closed):
        sender.trigger("e")


def test_nobody_comes_while_the_router_closes(router: sig.Router) -> None:
    errors: list[BaseException] = []
    router.on_error = lambda failure: errors.append(failure.error)
    router.listen(lambda info, data: router.add_sender(info.sender, ["e"]), None, "#disconnect")
    router.listen(lambda info, data: router.listen(nothing), None, "#disconnect")
    router.add_sender("s", ["e"])
    router.close()
    assert [type(error) for error in errors] == [sig.Closed]
    assert not router._senders
    assert not router._index.count


def test_close_lets_listeners_finish_what_is_queued() -> None:
    heard: list[object] = []
    with sig.Router() as router:
        router.listen(lambda info, data: heard.append(data), "s", "e", queue=100)
        router.listen(lambda info, data: heard.append("once"), "s", "e", once=True, queue=1)
        sender = router.add_sender("s", ["e"])
        for number in range(100):
            sender.trigger("e", number)
    assert heard.count("once") == 1
    assert [data for data in heard if data != "once"] == list(range(100))


def test_close_waits_no_longer_than_it_is_told() -> None:
    router = sig.Router()
    subscription = router.listen(nothing, "s", "e", executor=lambda function: None)
    router.add_sender("s", ["e"]).trigger("e")
    router.close(timeout=0)
    assert subscription.closed


def test_an_interrupt_while_closing_closes_all_the_same() -> None:
    router = sig.Router()

    def interrupted(info: sig.Info, data: object) -> None:
        raise KeyboardInterrupt

    subscription = router.listen(interrupted, "s", "#disconnect")
    router.add_sender("s", ["e"])
    with pytest.raises(KeyboardInterrupt):
        router.close()
    assert subscription.closed
    assert router.wait(0)


# -- extending -----------------------------------------------------------------------------------


def test_the_three_classes_can_be_replaced() -> None:
    class MySender(sig.Sender): ...

    class MyEvent(sig.Event): ...

    class MySignal(sig.Signal): ...

    with sig.Router(class_sender=MySender, class_event=MyEvent, class_signal=MySignal) as router:
        sender = router.add_sender("s", ["e"])
        router.listen(nothing, "s", "e")
        assert type(sender) is MySender
        assert type(sender.get_event("e")) is MyEvent
        assert type(sender.signal("e")) is MySignal
        assert type(router.get_sender("t", create=True)) is MySender


def test_an_executor_of_ones_own_runs_what_has_a_queue() -> None:
    work: list[Callable[[], object]] = []
    heard: list[object] = []
    with sig.Router(executor=work.append) as router:
        router.listen(lambda info, data: heard.append(data), "s", "e", queue=1)
        router.add_sender("s", ["e"]).trigger("e", 1)
        assert heard == []
        work[0]()
        assert heard == [1]


def test_a_router_with_links_tells_presence_to_whom_it_finds(router: sig.Router) -> None:
    """The hook of routers with links: the listeners are given, closed ones among them, and groups."""
    log = Log()
    subscriptions = [router.listen(log.named(name), group="g" if name else None) for name in (0, 1, 2)]
    router._call_each(subscriptions, info_of("s", "#connect"), None)
    router._call_each(subscriptions, info_of("s", "#connect"), None)
    assert sorted(name for name, _, _ in log) == [0, 0, 1, 2]
    for subscription in subscriptions:
        subscription.close()
    router._call_each(subscriptions, info_of("s", "#connect"), None)
    assert len(log) == 4


def test_how_to_ask_without_waiting_is_left_to_the_face(router: sig.Router) -> None:
    with pytest.raises(NotImplementedError):
        Hub._start_request(router, "s", "m", None, None, None, lambda answer, error: None)


# -- statistics ----------------------------------------------------------------------------------


def test_what_goes_on_can_be_asked(router: sig.Router) -> None:
    router.add_sender("s", ["e", "f"])
    router.listen(lambda info, data: None, "s", "e")
    stats = router.stats()
    assert [(row.event, row.receivers) for row in stats.senders] == [("e", 1), ("f", 0)]
    assert [(row.sender, row.event) for row in stats.listeners] == [("s", "e")]
    assert [len(rows) for rows in (router.stats(1).senders, router.stats(0).listeners)] == [1, 0]
    with pytest.raises(sig.InvalidArgument, match="limit must be a whole number"):
        router.stats(-1)


def test_a_stream_of_a_name_that_is_shared_comes_from_one(router: sig.Router) -> None:
    def count(params: int) -> Iterator[int]:
        yield from range(params)

    for _ in range(2):
        router.add_sender("s", requests=[count], shared=True)
    first, second = router._senders.alike("s")
    streams = [router.stream("s", "count", 3) for _ in range(2)]
    assert (len(first._streams), len(second._streams)) == (1, 1)
    assert [list(stream) for stream in streams] == [[0, 1, 2]] * 2
    with pytest.raises(sig.MethodNotFound):
        router.stream("s", "absent")
    assert (len(first._streams), len(second._streams)) == (0, 0)


def test_a_name_that_is_shared_is_held_by_all_and_asked_of_one(router: sig.Router) -> None:
    told: list[str] = []
    router.listen(lambda info, data: told.append(info.event), "s")
    first, second, third = (router.add_sender("s", "e", [answer], retain=True, shared=True) for _ in range(3))
    with pytest.raises(sig.SenderAlreadyConnected):
        router.add_sender("s", "e")
    for sender in (first, second):
        sender.trigger("e", 1)
    assert router.request("s", "answer", 5) == answer(5)
    assert [reply.error for reply in router.request_all("s", "answer")] == [None] * 3
    past: list[str] = []
    router.listen(lambda info, data: past.append(info.event), "s", initial=True).close()
    assert past == ["#connect", "e", "e"]
    call = Future[object]()
    router._start_request("s", "answer", None, None, 5, lambda value, error: call.set_result(error), 1)
    assert isinstance(call.result(10), sig.SenderNotConnected)
    assert second.remove()
    assert not second.remove()
    assert router.remove_sender("s")
    assert (first.connected, third.connected) == (False, False)
    assert told == ["#connect", "e", "e", "#disconnect"]


def test_who_comes_later_is_told_that_it_wants_other_data_whoever_that_is(router: sig.Router) -> None:
    told: list[object] = []
    router.on_error = lambda error: told.append(type(error.error))
    for number in range(2):
        if number:
            router.listen(nothing, "s1", "e", type=str)
        router.add_sender(f"s{number}", {"e": int})
        if not number:
            router.listen(nothing, "s0", "e", type=str)
    assert told == [sig.InvalidData] * 2
