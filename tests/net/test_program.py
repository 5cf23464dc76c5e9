"""One program, three reaches: in process, at a server, and at a client of one. It sees the same in all of them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest
from net.raw import LIMIT_S

import sig


class Stage:
    """What a program runs on: a router, a log, and a way to wait until everything has come to its listeners."""

    def __init__(self, router: sig.Router) -> None:
        self.router = router
        self.log: list[object] = []

    def settle(self) -> None:
        driver = getattr(self.router, "_driver", None)
        if driver is not None and not self.router.wait(0):
            self.router.flush()
            driver.drain(LIMIT_S)

    def hear(self, name: str) -> Callable[[sig.Info, object], None]:
        return lambda info, data: self.log.append((name, info.sender, info.event, data))

    def attempt(self, what: str, call: Callable[[], object]) -> None:
        """Log what it returns, or what it raises, behind all that came of it."""
        self.settle()
        try:
            outcome: object = call()
        except Exception as error:
            outcome = type(error).__name__ if isinstance(error, sig.SigError) else "an exception of its own"
            if isinstance(error, sig.RemoteError):
                outcome = "an exception of its own"  # over a link it is one of ours
        self.settle()
        self.log.append((what, outcome))


Program = Callable[[Stage], None]


def who_is_called_first(stage: Stage) -> None:
    router = stage.router
    selectors = [("s", "e"), ("s", "*"), (None, "e"), ("s", None), (None, None), ("*", None), ("s", "e"), ("**", "e")]
    for number, selector in enumerate(selectors):
        router.listen(stage.hear(f"{number} {selector}"), *selector)
    sender = router.add_sender("s", ["e", "f"])
    sender.trigger("e", 1)
    sender.trigger("f", 2)


def one_call_for_each_registration(stage: Stage) -> None:
    twice = stage.hear("twice")
    for _ in range(2):
        stage.router.listen(twice, "s", "e")
    stage.router.listen(stage.hear("all"), "**", None)
    with stage.router.add_sender("s", ["e"]) as sender:
        sender.trigger("e", 1)
    stage.settle()
    stage.attempt("remove", lambda: stage.router.remove_listener(twice, "s", "e"))
    stage.router.add_sender("s", "e").trigger("e", 2)
    stage.attempt("remove", lambda: stage.router.remove_listener(twice, "s", "f"))


def presence(stage: Stage) -> None:
    router = stage.router
    router.listen(stage.hear("everything"))
    router.listen(stage.hear("comes"), None, "#connect")
    router.listen(stage.hear("goes"), "s", "#disconnect")
    handlers: dict[str | None, Any] = {"m": len, None: lambda method, params: None}
    sender = router.add_sender("s", ["e", "f"], handlers)
    sender.trigger("e")
    stage.attempt("again", lambda: router.add_sender("s", "e"))
    stage.attempt("connected", lambda: (sender.connected, router.sender("s").connected, router.sender("t").connected))
    stage.attempt("gone", sender.remove)
    stage.attempt("gone", sender.remove)
    stage.attempt("connected", lambda: (sender.connected, router.sender("s").connected))
    stage.attempt("trigger", lambda: sender.trigger("e", 1))
    router.add_sender("s", "other")
    router.add_sender("t", requests={"m": len})


def changes_from_inside(stage: Stage) -> None:
    """Only what happens between events: within one, a link has hands of its own."""
    router = stage.router
    added: list[sig.Subscription] = []

    def closes_itself(info: sig.Info, data: object) -> None:
        stage.log.append(("closes itself", data))
        mine.close()

    def closes_the_next(info: sig.Info, data: object) -> None:
        stage.log.append(("closes the next", data))
        victim.close()

    def adds(info: sig.Info, data: object) -> None:
        stage.log.append(("adds", data))
        if not added:
            added.append(router.listen(stage.hear("added"), "s", "e"))

    mine = router.listen(closes_itself, "s", "e")
    router.listen(closes_the_next, "s", "e")
    victim = router.listen(stage.hear("victim"), "s", "e")
    router.listen(adds, "s", "e")
    router.listen(stage.hear("last"), "s", "e")
    sender = router.add_sender("s", "e")
    for number in range(3):
        sender.trigger("e", number)
        stage.settle()


def options(stage: Stage) -> None:
    router = stage.router

    class Keeper:
        def hear(self, info: sig.Info, data: object) -> None:
            stage.log.append(("weak", data))

    keeper = Keeper()
    router.listen(stage.hear("once"), "s", "e", once=True)
    router.listen(lambda info, data: stage.log.append(("meta", info.seq, data)), "s", "e", meta=True)
    router.listen(stage.hear("typed"), "s", "e", type=int)
    router.listen(keeper.hear, "s", "e", weak=True)
    router.on_error = lambda failed: stage.log.append(("error", type(failed.error).__name__, failed.info.event))
    sender = router.add_sender("s", "e")
    for data in (1, "two", 3):
        sender.trigger("e", data)
    stage.settle()
    del keeper
    sender.trigger("e", 4)
    for wrong in ({"when_full": "explode"}, {"queue": 0}, {"weak": True}, {"executor": 5}):
        stage.attempt(f"{wrong}", lambda wrong=wrong: router.listen(print, "s", "e", **wrong))  # type: ignore[misc]


def listeners_that_go_with_their_object(stage: Stage) -> None:
    router = stage.router

    class Keeper:
        def hear(self, info: sig.Info, data: object) -> None:
            stage.log.append(("weak", info.event, data if info.event == "e" else None))

    keepers = [Keeper()]
    options: list[dict[str, Any]] = [{}, {"meta": True}, {"type": int}, {"once": True}, {"on_gap": keepers[0].hear}]
    weak = [router.listen(keepers[0].hear, "s", "e", weak=True, **each) for each in options]
    weak.append(router.listen(keepers[0].hear, "s", "#disconnect", weak=True))
    sender = router.add_sender("s", "e")
    sender.trigger("e", 1)
    stage.settle()
    stage.log.append([subscription.closed for subscription in weak])
    keepers.clear()
    gc.collect()
    stage.log.append([subscription.closed for subscription in weak])
    sender.trigger("e", 2)
    sender.remove()
    stage.settle()
    stage.log.append([subscription.detached for subscription in weak])
    for wrong in (stage.hear("function"), partial(Keeper.hear, Keeper()), stage.log.append):
        stage.attempt(type(wrong).__name__, lambda wrong=wrong: router.listen(wrong, "s", "e", weak=True))  # type: ignore[misc]


def listeners_that_are_marked(stage: Stage) -> None:
    router = stage.router

    class Panel:
        @sig.on("s", "e")
        def hear(self, info: sig.Info, data: object) -> None:
            stage.log.append(("hear", data))

        @sig.on(event="f", once=True)
        @sig.on("s", "e")
        def twice(self, info: sig.Info, data: object) -> None:
            stage.log.append(("twice", info.event, data))

    class Wrong(Panel):
        @sig.on("s", "e")
        def hear_less(self, info: sig.Info) -> None: ...

    panel = Panel()
    handle = router.listen_all(panel)
    sender = router.add_sender("s", ["e", "f"])
    for number in range(2):
        sender.trigger("e", number)
        sender.trigger("f", number)
    stage.settle()
    handle.close()
    sender.trigger("e", 2)
    stage.log.append(handle.closed)
    for wrong in (Wrong(), object(), 5):
        stage.attempt(type(wrong).__name__, lambda wrong=wrong: router.listen_all(wrong))  # type: ignore[misc]
    weak = router.listen_all(panel, weak=True)
    sender.trigger("e", 3)
    stage.settle()
    del panel
    gc.collect()
    stage.log.append(weak.closed)
    sender.trigger("e", 4)


def listeners_that_fail(stage: Stage) -> None:
    def fail(info: sig.Info, data: object) -> None:
        raise ZeroDivisionError

    stage.router.on_error = lambda failed: stage.log.append((type(failed.error).__name__, failed.info.sender))
    stage.router.listen(fail)
    stage.router.listen(stage.hear("behind it"))
    stage.router.add_sender("s", "e").trigger("e", 1)


def requests(stage: Stage) -> None:
    router = stage.router

    def fail(params: object) -> None:
        raise KeyError(params)

    def refuse(params: object) -> None:
        raise sig.RequestFailed("door open", code="interlock", data=[1])

    def nested(params: int) -> object:
        return router.request("s", "double", params)

    router.add_sender("s", requests={"double": lambda params: params * 2, "fail": fail, "refuse": refuse, "in": nested})
    default: dict[str | None, Any] = {None: lambda method, params: [method, params]}
    router.add_sender("d", requests=default)
    router.add_sender("silent", "e")
    router.add_sender("round", requests={"round": lambda params: router.request("round", "round")})
    for sender, method, params in [
        ("s", "double", 21),
        ("s", "double", "ab"),
        ("s", "fail", 1),
        ("s", "refuse", None),
        ("s", "in", 4),
        ("s", "absent", None),
        ("d", "anything", None),
        ("silent", "m", None),
        ("nobody", "m", None),
        ("round", "round", None),
        ("*", "m", None),
        ("s", "", None),
    ]:
        stage.attempt(f"{sender} {method}", lambda s=sender, m=method, p=params: router.request(s, m, p))  # type: ignore[misc]
    stage.attempt("typed", lambda: router.request("s", "double", 2, type=int))
    stage.attempt("typed", lambda: router.request("s", "double", 2, type=str))
    stage.attempt("timeout", lambda: router.request("s", "double", 2, timeout=-1))
    stage.attempt("view", lambda: router.sender("s").request("double", 3))


class Reading(msgspec.Struct):
    celsius: float
    unit: str = "C"


@dataclass
class Level:
    metres: int


def types(stage: Stage) -> None:
    router = stage.router

    def reading(info: sig.Info, data: Reading) -> None:
        stage.log.append(("reading", data))

    def level(info: sig.Info, data: Level) -> None:
        stage.log.append(("level", data))

    def plain(info: sig.Info, data: dict[str, object]) -> None:
        stage.log.append(("plain", data))

    def halved(params: Reading) -> Reading:
        return Reading(params.celsius / 2)

    def broken(params: list[int]) -> int:
        return params  # type: ignore[return-value]  # the mistake in question

    router.on_error = lambda failed: stage.log.append(("error", type(failed.error).__name__, failed.info.event))
    for listener, event in ((reading, "warm"), (level, "deep"), (plain, "both"), (reading, "both"), (level, "any")):
        router.listen(listener, "s", event)
    events = {"warm": Reading, "deep": Level, "both": Reading, "any": None}
    sender = router.add_sender("s", events, [halved, broken])
    sender.trigger("warm", Reading(20.5))
    for number in range(3):
        sender.trigger("warm", {"celsius": number})
        sender.trigger("deep", {"metres": number})
        sender.trigger("any", {"metres": number})
    sender.trigger("any", {"metres": "x"})
    sender.trigger("any", {"metres": 4})
    for event, data in (("warm", {"celsius": "x"}), ("warm", None), ("deep", Reading(1)), ("both", Reading(2, "F"))):
        stage.attempt(f"{event} {data}", lambda event=event, data=data: sender.trigger(event, data))  # type: ignore[misc]
    stage.attempt("plain", lambda: router.request("s", "halved", {"celsius": 5}, type=dict))
    stage.attempt("typed", lambda: router.request("s", "halved", Reading(5), type=Reading))
    stage.attempt("wrong parameters", lambda: router.request("s", "halved", [5]))
    stage.attempt("broken", lambda: router.request("s", "broken", [5]))
    router.listen(lambda info, data: stage.log.append(("late", data["celsius"])), "s", "both", type=dict)
    sender.trigger("both", Reading(3))


def one_question_to_many(stage: Stage) -> None:
    router = stage.router

    def fail(params: object) -> None:
        raise KeyError(params)

    for name in ("lab/b", "lab/a", "hall"):
        router.add_sender(name, requests={"read": lambda params, name=name: [name, params]})
    router.add_sender("lab/c", requests={"read": fail, "write": len})
    router.add_sender("lab/d", "event")

    def ask(pattern: str | None, method: str, params: object = None, **options: Any) -> object:
        ours = (type(None), sig.SigError)
        return [
            (r.sender, r.value, type(r.error).__name__ if isinstance(r.error, ours) and r.sender != "lab/c" else "")
            for r in router.request_all(pattern, method, params, **options)
        ]

    for pattern in (None, "**", "lab/*", "hall", "nobody"):
        stage.attempt(f"{pattern}", lambda pattern=pattern: ask(pattern, "read", 5))  # type: ignore[misc]
    stage.attempt("absent", lambda: ask("lab/*", "absent"))
    stage.attempt("typed", lambda: ask("hall", "read", type=int, timeout=LIMIT_S))
    for bad in ({"pattern": "a*"}, {"method": ""}, {"timeout": -1}):
        stage.attempt(f"{bad}", lambda bad=bad: ask(**{"pattern": None, "method": "read", **bad}))  # type: ignore[misc]
    stage.attempt("leaves", lambda: router.remove_sender("hall"))
    stage.attempt("fewer", lambda: ask(None, "read"))


def what_a_handler_is_told(stage: Stage) -> None:
    router = stage.router

    def look(params: object) -> object:
        request = sig.current_request()
        request.check()
        return [0 < request.remaining <= LIMIT_S, request.cancelled]

    def inner(params: object) -> object:
        return router.request("s", "look", timeout=600)

    router.add_sender("s", requests={"look": look, "inner": inner})
    stage.attempt("look", lambda: router.request("s", "look", timeout=LIMIT_S))
    stage.attempt("inner", lambda: router.request("s", "inner", timeout=LIMIT_S))
    stage.attempt("nowhere", sig.current_request)


def views(stage: Stage) -> None:
    """Everything that one does with somebody else's sender, before, while and after it is there."""
    view = stage.router.sender("s")

    def state() -> object:
        return view.name, view.connected, view.wait(0)

    def ask(method: str, params: object, **options: Any) -> object:
        started = view.start_request(method, params, **options)
        return started.result(LIMIT_S) if isinstance(started, Future) else started  # where one awaits, it has been

    stage.attempt("before", state)
    stage.attempt("before", lambda: view.request("double", 1))
    stage.attempt("before", lambda: view.last("e"))
    view.listen(stage.hear("one"), "e", once=True)
    view.on("e")(stage.hear("on"))
    view.listen(stage.hear("all"))
    events = view.events("e", type=int)
    sender = stage.router.add_sender("s", ["e", "f"], {"double": lambda params: params * 2})
    for number in range(2):
        sender.trigger("e", number)
    sender.trigger("f", "other")
    stage.attempt("while", state)
    stage.attempt("while", lambda: view.wait(LIMIT_S))
    stage.attempt("while", lambda: view.request("double", 2, type=int, timeout=LIMIT_S))
    stage.attempt("while", lambda: ask("double", "ab", type=str, timeout=LIMIT_S))
    stage.attempt("while", lambda: ask("double", "ab", type=int))
    stage.attempt("while", lambda: ask("absent", None))
    stage.attempt("while", lambda: view.last("e"))
    stage.log.append([data for _, data in events.take()])
    stage.attempt("remove", sender.remove)
    stage.attempt("after", state)
    stage.attempt("after", lambda: view.request("double", 1))
    events.close()


def names(stage: Stage) -> None:
    router = stage.router
    for name in ("", "a*", "#s", "a\n", "x" * 256, "/".join("x" * 17)):
        stage.attempt(f"sender {name[:5]!r}", lambda name=name: router.add_sender(name, "e"))  # type: ignore[misc]
        stage.attempt(f"listen {name[:5]!r}", lambda name=name: router.listen(print, name).closed)  # type: ignore[misc]
    for event in ("", "#connect", "#audit", "a*"):
        stage.attempt(f"event {event!r}", lambda event=event: router.add_sender("s", event))  # type: ignore[misc]
    stage.attempt("nothing", lambda: router.add_sender("s"))
    sender = router.add_sender("/dev/ttyUSB0", "#alarm")
    stage.attempt("unknown", lambda: sender.trigger("e"))
    stage.attempt("reserved", lambda: sender.trigger("#connect"))
    stage.attempt("signal", lambda: sender.get_signal("e"))
    stage.attempt("offered", lambda: router.add_listener(stage.hear("0.7"), "/dev/ttyUSB0", "#alarm"))
    stage.attempt("not offered", lambda: router.add_listener(stage.hear("0.7"), "/dev/ttyUSB0", "e"))
    stage.attempt("not there", lambda: router.add_listener(stage.hear("0.7"), "t", "e"))
    stage.attempt("known", lambda: router.get_sender("/dev/ttyUSB0") is sender)
    stage.attempt("unknown", lambda: router.get_sender("u"))
    sender.trigger("#alarm", "fire")


def who_is_there(stage: Stage) -> None:
    router = stage.router
    for name in ("lab/b", "lab/a", "hall"):
        router.add_sender(name, ["e"], {"m": len} if name == "hall" else None)

    def rows(pattern: str | None) -> list[object]:
        return [(row.name, row.events, row.requests) for row in router.senders(pattern)]

    for pattern in (None, "**", "lab/*", "hall", "nobody"):
        stage.attempt(f"{pattern}", lambda pattern=pattern: rows(pattern))  # type: ignore[misc]
    stage.attempt("bad", lambda: rows("a**"))
    stage.attempt("last", lambda: router.last("hall", "e"))
    stage.attempt("waits", lambda: (router.sender("hall").wait(LIMIT_S), router.sender("nobody").wait(0)))


def queues(stage: Stage) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow(info: sig.Info, data: object) -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        stage.log.append(data)
        if data == 9:
            done.set()

    subscription = stage.router.listen(
        slow, "s", "e", queue=2, when_full="drop_oldest", on_gap=lambda info, gap: stage.log.append(tuple(gap))
    )
    sender = stage.router.add_sender("s", "e")
    sender.trigger("e", 0)
    assert begun.wait(LIMIT_S)
    for number in range(1, 10):
        sender.trigger("e", number)
    stage.settle()
    go_on.set()
    assert done.wait(LIMIT_S)
    stage.log.append((subscription.received, subscription.missed))


def classes_of_ones_own(stage: Stage) -> None:
    class Signed(sig.Signal):
        def trigger(self, data: object = None) -> None:
            self.event_info["by"] = "me"
            super().trigger(["signed", data])

    stage.router._class_signal = Signed
    stage.router.listen(lambda info, data: stage.log.append((dict(info), data)), "s", "e")
    stage.router.add_sender("s", "e").trigger("e", 1)


def the_end(stage: Stage) -> None:
    router = stage.router
    router.listen(stage.hear("all"))
    sender = router.add_sender("s", "e", {"m": len})
    kept = router.listen(stage.hear("kept"), "s", "e")
    sender.trigger("e", 1)
    router.close()
    router.close()
    stage.log.append((sender.connected, kept.closed, router.wait(0)))
    for what, call in {
        "trigger": lambda: sender.trigger("e", 2),
        "listen": lambda: router.listen(print),
        "add": lambda: router.add_sender("t", "e"),
        "ask": lambda: router.request("s", "m"),
        "flush": router.flush,
        "senders": router.senders,
        "last": lambda: router.last("s", "e"),
        "ask all": lambda: router.request_all(None, "m"),
        "close": kept.close,
        "remove": sender.remove,
        "remove by name": lambda: router.remove_sender(sender),
    }.items():
        stage.attempt(what, call)


PROGRAMS: list[Program] = [
    who_is_called_first,
    one_call_for_each_registration,
    presence,
    changes_from_inside,
    options,
    listeners_that_go_with_their_object,
    listeners_that_are_marked,
    listeners_that_fail,
    requests,
    types,
    one_question_to_many,
    what_a_handler_is_told,
    views,
    names,
    who_is_there,
    queues,
    classes_of_ones_own,
    the_end,
]


@contextmanager
def in_process() -> Iterator[Any]:
    with sig.Router() as router:
        yield router


@contextmanager
def at_a_server() -> Iterator[Any]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        yield server


@contextmanager
def at_a_client() -> Iterator[Any]:
    with sig.serve("tcp://127.0.0.1:0") as server, sig.connect(server.urls[0]) as client:
        yield client


def seen(program: Program, reach: Callable[[], Any]) -> list[object]:
    with reach() as router:
        stage = Stage(router)
        program(stage)
        stage.settle()
    return stage.log  # with what the end of it told


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_it_sees_the_same(program: Program) -> None:
    expected = seen(program, in_process)
    assert expected, "a program that sees nothing shows nothing"
    assert seen(program, at_a_server) == expected
    assert seen(program, at_a_client) == expected
