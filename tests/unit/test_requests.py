"""Handlers, and the trail of a request from hop to hop."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, TypeVar, cast

import msgspec
import pytest

from sig.drivers.local import LocalRuntime
from sig.drivers.running import LoopRuntime
from sig.errors import (
    InvalidArgument,
    InvalidName,
    LoopDetected,
    MethodNotFound,
    RequestCancelled,
    RequestFailed,
    RequestsNotSupported,
    RequestTimeout,
    WouldDeadlock,
)
from sig.requests import Handlers, Later, Request, Trail, answering, aside, current_request, next_hop, under_way
from sig.requests import inside as context_of
from sig.runtime import Dropping
from sig.slots import Slots
from sig.steps import walk, walk_awaiting

T = TypeVar("T")


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time


TRAIL = Trail(1, 130.0)


def handlers(requests: Any, loop: object = None) -> Handlers:
    return Handlers(requests, LocalRuntime(clock=Clock()), loop)


def read(params: object) -> object:
    return ("read", params)


def write(params: object) -> None: ...


async def later(params: object) -> object:
    await asyncio.sleep(0)
    return ("later", params)


# -- the trail -----------------------------------------------------------------------------------


def test_the_first_request_has_all_the_time_it_asked_for() -> None:
    assert next_hop(100.0, 5, "s", "m") == Trail(1, 105.0)


@pytest.mark.parametrize("timeout", [0, -1, 600.001, float("nan"), float("inf")])
def test_a_time_out_of_bounds_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidArgument, match=r"request 'm' is out of bounds: above 0 and at most 600 seconds"):
        next_hop(100.0, timeout, "s", "m")


def test_a_time_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(InvalidArgument, match="timeout='soon' of request 'm' is no number of seconds"):
        next_hop(100.0, cast("float", "soon"), "s", "m")


def inside(trail: Trail, ask: Callable[[], T]) -> T:
    """Call that from a handler that is on this trail."""
    made = handlers({"handler": lambda params: ask()})
    answer: Any = walk(made.answer("s", "handler", None, trail))
    result: T = answer
    return result


def nested(timeout: float = 5) -> Trail:
    return next_hop(100.0, timeout, "s", "m")


@pytest.mark.parametrize(("timeout", "deadline"), [(5, 105.0), (30, 110.0)])
def test_a_nested_request_has_what_is_left_at_most(timeout: float, deadline: float) -> None:
    assert inside(Trail(3, 110.0), lambda: nested(timeout)) == Trail(4, deadline)
    assert nested() == Trail(1, 105.0)


def test_a_nested_request_without_time_times_out_at_once() -> None:
    with pytest.raises(RequestTimeout, match="'s' has not answered 'm'"):
        inside(Trail(1, 100.0), nested)


def test_a_circle_is_broken_after_sixteen_hops() -> None:
    trail = nested()
    for hop in range(1, 16):
        assert trail.hops == hop
        trail = inside(trail, nested)
    with pytest.raises(LoopDetected, match="'m' of sender 's' was passed on 16 times"):
        inside(trail, nested)


def test_the_trail_ends_when_the_handler_raises() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        inside(Trail(16, 200.0), fail)
    assert nested().hops == 1


# -- registering ---------------------------------------------------------------------------------


def test_without_requests_there_are_no_names_rather_than_none_of_them() -> None:
    none = handlers(None)
    assert (none.table, none.names, bool(none)) == (None, None, False)
    empty = handlers({})
    assert (empty.table, empty.names, bool(empty)) == ({}, [], False)


def test_handlers_are_listed_by_name_but_for_the_default_one() -> None:
    assert handlers(None).by_name() == []
    [(name, handler)] = handlers({None: lambda method, params: method, "r": read}).by_name()
    assert (name, handler.function) == ("r", read)


def test_handlers_are_named_by_a_dict_or_by_themselves() -> None:
    assert handlers({"r": read, None: lambda method, params: method}).names == ["r", None]
    assert handlers([read, write]).names == ["read", "write"]
    assert handlers(iter((write,))).names == ["write"]


def test_names_are_kept_as_plain_text() -> None:
    class Method(StrEnum):
        READ = "read"

    (name,) = handlers({Method.READ: read}).names or [None]
    assert type(name) is str


@pytest.mark.parametrize(
    ("requests", "error", "sentence"),
    [
        (read, InvalidArgument, "is one function: give a list, or a dict of names"),
        (["read"], InvalidArgument, "'read' is only a name: give the function"),
        ([lambda params: None], InvalidArgument, "<lambda> has no name of its own"),
        ([functools.partial(read)], InvalidArgument, "read has no name of its own: give requests as a dict of names"),
        ([read, functools.wraps(read)(lambda params: 1)], InvalidArgument, "two handlers are named 'read'"),
        ({"a*": read}, InvalidName, "is not a method name"),
        ({5: read}, InvalidName, "must be a str"),
        ({"r": "read"}, TypeError, "'read' cannot be called"),
        ({"r": lambda: None}, TypeError, r"cannot be called with \(params\)"),
        ({None: read}, TypeError, r"cannot be called with \(method, params\)"),
        ({"r": later}, InvalidArgument, r"later is `async def` and no loop runs here: register it inside one, or give"),
    ],
)
def test_what_cannot_answer_is_refused_when_it_registers(requests: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        handlers(requests)


# -- answering -----------------------------------------------------------------------------------


def test_the_handler_answers_with_what_it_returns() -> None:
    assert walk(handlers([read]).answer("s", "read", 5, TRAIL)) == ("read", 5)
    assert walk(handlers([write]).answer("s", "write", 5, TRAIL)) is None


def test_the_default_handler_answers_what_nobody_else_does() -> None:
    both = handlers({"read": read, None: lambda method, params: (method, params)})
    assert walk(both.answer("s", "read", 1, TRAIL)) == ("read", 1)
    assert walk(both.answer("s", "other", 1, TRAIL)) == ("other", 1)


def test_who_answers_nothing_says_so() -> None:
    for nothing in (handlers(None), handlers({})):
        with pytest.raises(RequestsNotSupported, match="'s' answers no requests"):
            walk(nothing.answer("s", "read", None, TRAIL))
    with pytest.raises(MethodNotFound, match="'s' has no request 'erase'"):
        walk(handlers([read]).answer("s", "erase", None, TRAIL))


def test_what_a_handler_raises_is_raised() -> None:
    def refuse(params: object) -> None:
        raise KeyError("door")

    with pytest.raises(KeyError, match="door"):
        walk(handlers([refuse]).answer("s", "refuse", None, TRAIL))


def test_a_handler_runs_on_the_trail_of_its_request() -> None:
    def ask(params: object) -> Trail:
        return next_hop(100.0, 60, "t", "m")

    assert walk(handlers([ask]).answer("s", "ask", None, TRAIL)) == Trail(2, 130.0)


def test_a_plain_handler_runs_where_the_runtime_has_such_things_run_and_on_its_trail() -> None:
    class Elsewhere(LocalRuntime):
        elsewhere = True

        def call(self, function: Callable[..., object], arguments: tuple[object, ...]) -> object:
            return ("elsewhere", super().call(function, arguments))

    def ask(params: object) -> Trail:
        return next_hop(100.0, 60, "t", "m")

    made = Handlers([read, ask], Elsewhere(clock=Clock()))
    assert walk(made.answer("s", "read", 5, TRAIL)) == ("elsewhere", ("read", 5))
    where, trail = cast("tuple[str, Trail]", walk(made.answer("s", "ask", None, TRAIL)))
    assert (where, trail.hops, trail.deadline) == ("elsewhere", 2, 130.0)


def test_only_what_has_to_be_waited_for_is_answered_later(loop: asyncio.AbstractEventLoop) -> None:
    made = handlers([read, later], loop)
    assert made.begin("s", "read", 5, TRAIL) == ("read", 5)
    answer = made.begin("s", "later", 5, TRAIL)
    assert isinstance(answer, Later)
    assert walk(answer.steps) == ("later", 5)


# -- what a handler is told of its request -------------------------------------------------------


def test_a_handler_sees_who_asks_and_how_long_the_answer_is_waited_for() -> None:
    clock = Clock()
    dropping = Dropping()

    def look(params: object) -> object:
        request = current_request()
        first = (request.requester, request.remaining, request.cancelled, repr(request))
        request.check()
        clock.time = 129.0
        second = (request.remaining, request.cancelled)
        clock.time = 131.0
        return first, second, (request.remaining, request.cancelled)

    made = Handlers([look], LocalRuntime(clock=clock))
    assert walk(made.answer("s", "look", None, Trail(1, 130.0, dropping, requester=7))) == (
        (7, 30.0, False, "<Request of client 7, 30 s left>"),
        (1.0, False),
        (0.0, True),
    )


def test_a_handler_that_checks_ends_when_nobody_waits_any_more() -> None:
    dropping = Dropping()
    seen: list[Request] = []

    def work(params: object) -> object:
        seen.append(current_request())
        dropping.drop()
        seen[0].check()
        raise AssertionError("it went on")

    with pytest.raises(RequestCancelled, match="nobody waits for the answer to this request any more"):
        walk(handlers([work]).answer("s", "work", None, Trail(1, 130.0, dropping)))
    assert repr(seen[0]) == "<Request of this process, cancelled>"


@pytest.mark.asyncio
async def test_an_async_handler_sees_it_too() -> None:
    async def look(params: object) -> object:
        await asyncio.sleep(0)
        return current_request().remaining

    made = Handlers([look], LoopRuntime(clock=Clock()))
    assert await walk_awaiting(made.answer("s", "look", None, TRAIL)) == 30.0


@pytest.mark.parametrize("inside_handler", [False, True])
def test_where_no_request_is_answered_there_is_none(inside_handler: bool) -> None:
    def ask() -> None:
        with pytest.raises(InvalidArgument, match=r"no request is being answered here: call sig.current_request\(\)"):
            current_request()

    if inside_handler:
        thread = threading.Thread(target=lambda: inside(TRAIL, lambda: None))
        thread.start()
        thread.join()
    ask()
    with pytest.raises(InvalidArgument):
        aside(Dropping(), lambda: 100.0).run(current_request)


@pytest.mark.asyncio
async def test_a_plain_handler_in_an_executor_is_told_when_whoever_asked_has_given_up() -> None:
    begun, given_up, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[bool] = []

    def work(params: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        given_up.wait(10)
        seen.append(current_request().cancelled)
        ended.set()

    with ThreadPoolExecutor(1) as pool:
        made = Handlers([work], LoopRuntime(executor=pool))
        trail = Trail(1, time.monotonic() + 60, Dropping())
        task = asyncio.ensure_future(walk_awaiting(made.answer("s", "work", None, trail)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        given_up.set()
    assert ended.is_set()
    assert seen == [True]


# -- requests on other threads -------------------------------------------------------------------


def test_what_is_asked_aside_is_part_of_what_is_under_way() -> None:
    outer, own = Dropping(), Dropping()

    def ask() -> tuple[Trail, bool]:
        assert under_way()
        return aside(own, lambda: 0.0).run(nested, 60), under_way()

    trail, _ = inside(Trail(3, 110.0, outer), ask)
    assert (trail.hops, trail.deadline, trail.dropping) == (4, 110.0, own)
    outer.drop()
    assert own.dropped


def test_what_is_asked_aside_by_itself_can_be_given_up() -> None:
    own = Dropping()
    assert not under_way()
    trail = aside(own, lambda: 0.0).run(nested)
    assert (trail.hops, trail.deadline, trail.dropping) == (1, 105.0, own)


# -- `async def` handlers ------------------------------------------------------------------------


def test_an_async_handler_answers_on_its_loop(loop: asyncio.AbstractEventLoop) -> None:
    async def where(params: object) -> object:
        return asyncio.get_running_loop()

    assert walk(handlers([later, where], loop).answer("s", "later", 5, TRAIL)) == ("later", 5)
    assert walk(handlers([where], loop).answer("s", "where", None, TRAIL)) is loop


def test_an_async_handler_runs_on_the_trail_of_its_request(loop: asyncio.AbstractEventLoop) -> None:
    async def ask(params: object) -> Trail:
        return next_hop(100.0, 60, "t", "m")

    assert walk(handlers([ask], loop).answer("s", "ask", None, TRAIL)) == Trail(2, 130.0)


def test_the_loop_is_the_one_in_which_the_handler_registers() -> None:
    async def register() -> Handlers:
        return handlers([later, read])

    with asyncio.Runner() as runner:
        made = runner.run(register())
        assert made.loop is runner.get_loop()


def test_an_async_handler_without_time_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    cancelled = threading.Event()

    async def forever(params: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(RequestTimeout, match="'s' has not answered 'forever' within 0.05 s"):
        walk(handlers([forever], loop).answer("s", "forever", None, Trail(1, 100.05)))
    assert cancelled.wait(10)


def test_an_async_handler_that_was_cancelled_says_so(loop: asyncio.AbstractEventLoop) -> None:
    async def cancelled(params: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RequestCancelled):
        walk(handlers([cancelled], loop).answer("s", "cancelled", None, TRAIL))


def test_waiting_on_the_loop_that_has_to_answer_is_refused() -> None:
    async def ask() -> None:
        with pytest.raises(WouldDeadlock, match="'later' of sender 's' would wait on the loop that has to answer it"):
            walk(handlers([later]).answer("s", "later", None, TRAIL))

    asyncio.run(ask())


def test_a_loop_that_has_closed_cannot_answer() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    made: Callable[[object], Coroutine[Any, Any, object]] = later
    with pytest.raises(RuntimeError, match="closed"):
        walk(handlers([made], loop).answer("s", "later", None, TRAIL))


# -- types ---------------------------------------------------------------------------------------


class Level(msgspec.Struct):
    metres: float


def rise(params: Level) -> Level:
    return Level(params.metres + 1)


async def rise_later(params: Level) -> Level:
    await asyncio.sleep(0)
    return {"metres": params.metres + 1}  # type: ignore[return-value]  # it is made to fit


def any_level(method: str, params: Level) -> str:
    return f"{method} {params.metres}"


def promise(params: object) -> int:
    return params  # type: ignore[return-value]  # perhaps


def stream(params: Level) -> Iterator[int]:
    yield 1


def test_annotations_are_the_types_of_parameters_and_answers() -> None:
    found = handlers({"rise": rise, "read": read, "promise": promise, "stream": stream, None: any_level})
    assert found.kinds == {
        "rise": (Level, Level, None),
        "promise": (None, int, None),
        "stream": (Level, None, int),
        None: (Level, str, None),
    }
    assert found.table is not None
    assert found.table["rise"] is rise


@pytest.mark.parametrize("given", [Level(2), {"metres": 2}])
def test_parameters_become_what_the_handler_takes(given: object) -> None:
    found = handlers({"rise": rise, None: any_level})
    assert walk(found.answer("s", "rise", given, TRAIL)) == Level(3)
    assert walk(found.answer("s", "other", given, TRAIL)).startswith("other 2")  # type: ignore[attr-defined]  # a str


def test_so_they_do_for_async_handlers(loop: asyncio.AbstractEventLoop) -> None:
    assert walk(handlers([rise_later], loop).answer("s", "rise_later", {"metres": 2}, TRAIL)) == Level(3)


@pytest.mark.parametrize("method", ["rise", "other"])
def test_parameters_that_do_not_fit_are_refused_with_their_place(method: str) -> None:
    found = handlers({"rise": rise, None: any_level})
    with pytest.raises(
        RequestFailed, match=rf"request '{method}' takes Level: Expected `float`.*\$\.metres"
    ) as refused:
        walk(found.answer("s", method, {"metres": "deep"}, TRAIL))
    assert refused.value.code == "invalid_params"


def test_an_answer_that_is_not_as_promised_is_a_mistake_of_the_handlers() -> None:
    assert walk(handlers([promise]).answer("s", "promise", 5, TRAIL)) == 5
    with pytest.raises(TypeError, match="promise of request 'promise' says that it answers with int"):
        walk(handlers([promise]).answer("s", "promise", "five", TRAIL))


def test_whoever_holds_the_handlers_is_told_of_it() -> None:
    told: list[object] = []
    found = Handlers([promise], LocalRuntime(), None, lambda *what: told.extend(what))
    with pytest.raises(TypeError) as wrong:
        walk(found.answer("s", "promise", "five", TRAIL))
    assert told == [promise, "promise", wrong.value]


# -- so many at a time ---------------------------------------------------------------------------


def limited(most: int = 1, *, waiting: int = 10, loop: object = None, runtime: Any = None) -> tuple[Handlers, Slots]:
    slots = Slots("s", most, waiting)
    requests: dict[str, Any] = {"read": read, "fail": fail}
    if loop is not None:
        requests["later"] = later
    return Handlers(requests, runtime or LocalRuntime(), loop, None, slots), slots


def fail(params: object) -> None:
    raise ValueError("no")


def soon(seconds: float = 20, *, dropping: Dropping | None = None) -> Trail:
    return Trail(1, time.monotonic() + seconds, dropping)


def test_a_slot_is_taken_for_the_time_of_the_handler() -> None:
    made, slots = limited()
    assert walk(made.answer("s", "read", 1, soon())) == ("read", 1)
    with pytest.raises(ValueError, match="no"):
        walk(made.answer("s", "fail", 1, soon()))
    with pytest.raises(MethodNotFound):
        walk(made.answer("s", "absent", 1, soon()))
    assert (slots.taken, len(slots)) == (0, 0)


def test_who_gets_no_slot_in_time_is_told_so() -> None:
    made, slots = limited()
    assert slots.enter(None, print)
    with pytest.raises(RequestTimeout, match="'s' has not answered 'read'"):
        walk(made.answer("s", "read", 1, soon(0.01)))
    dropping = Dropping()
    dropping.drop()
    with pytest.raises(RequestCancelled, match="nobody waits"):
        walk(made.answer("s", "read", 1, soon(dropping=dropping)))
    assert (slots.taken, len(slots)) == (1, 0)


def test_a_slot_that_becomes_free_is_taken() -> None:
    made, slots = limited()
    assert slots.enter(None, print)
    steps = made.answer("s", "read", 1, soon())
    wait = next(steps)
    slots.leave()
    assert wait()
    with pytest.raises(StopIteration) as done:
        steps.send(True)
    assert done.value.value == ("read", 1)
    assert slots.taken == 0


@pytest.mark.parametrize("had", [False, True], ids=["waiting", "just given a slot"])
def test_who_is_interrupted_while_it_waits_leaves_nothing(had: bool) -> None:
    made, slots = limited()
    assert slots.enter(None, print)
    steps = made.answer("s", "read", 1, soon())
    next(steps)
    if had:
        slots.leave()
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    assert (slots.taken, len(slots)) == (0 if had else 1, 0)


def test_waiting_for_a_slot_on_the_loop_that_would_free_it_is_refused() -> None:
    async def main() -> None:
        made, slots = limited(loop=asyncio.get_running_loop())
        assert walk(made.answer("s", "read", 1, soon())) == ("read", 1)
        assert slots.enter(None, print)
        with pytest.raises(WouldDeadlock):
            walk(made.answer("s", "read", 1, soon()))
        assert (slots.taken, len(slots)) == (1, 0)

    asyncio.run(main())


def test_a_coroutine_leaves_its_slot_when_it_ends() -> None:
    async def main() -> None:
        made, slots = limited(loop=asyncio.get_running_loop(), runtime=LoopRuntime())
        assert await walk_awaiting(made.answer("s", "later", 1, soon())) == ("later", 1)
        assert slots.taken == 0

    asyncio.run(main())


def test_what_will_never_begin_has_ended() -> None:
    """Whoever asked has been interrupted before the executor came to it."""
    told: list[str] = []
    made, _ = limited(runtime=LoopRuntime(executor=lambda work: None))
    answer = made.begin("s", "read", 1, soon(), lambda: told.append("ended"))
    assert isinstance(answer, Later)
    next(answer.steps)
    with pytest.raises(KeyboardInterrupt):
        answer.steps.throw(KeyboardInterrupt)
    assert told == ["ended"]


def gives(params: Level) -> Iterator[Level]:
    yield params


async def gives_later(params: object) -> AsyncIterator[object]:
    yield params


def test_what_answers_in_parts_is_opened_and_not_asked() -> None:
    found = handlers({"gives": gives, None: write_any})
    with pytest.raises(InvalidArgument, match=r"'gives' of sender 's' answers in parts: take them with stream\(\)"):
        found.begin("s", "gives", None, TRAIL)
    opened = found.open("s", "gives", {"metres": 2}, TRAIL)
    assert list(cast("Iterator[object]", opened)) == [Level(2)]
    assert found.open("s", "other", 5, TRAIL) == ("other", 5)
    with pytest.raises(MethodNotFound):
        handlers([gives]).open("s", "other", 5, TRAIL)


def write_any(method: str, params: object) -> object:
    return (method, params)


def test_an_async_generator_needs_a_loop() -> None:
    with pytest.raises(InvalidArgument, match=r"is `async def` and no loop runs here"):
        handlers([gives_later])


def test_what_is_endless_may_take_as_long_as_one_likes() -> None:
    assert next_hop(100.0, math.inf, "s", "m", endless=True) == Trail(1, math.inf)
    for wrong in (0, -1, math.nan):
        with pytest.raises(InvalidArgument, match="above 0$"):
            next_hop(100.0, wrong, "s", "m", endless=True)
    with pytest.raises(InvalidArgument, match="above 0 and at most 600 seconds"):
        next_hop(100.0, math.inf, "s", "m")


def test_a_stream_that_would_wait_on_its_own_loop_is_refused() -> None:
    async def ask() -> None:
        with pytest.raises(WouldDeadlock):
            handlers([gives_later]).open("s", "gives_later", None, TRAIL)

    asyncio.run(ask())


def test_a_default_handler_that_gives_parts_is_told_the_method() -> None:
    def give(method: str, params: object) -> Iterator[object]:
        yield method
        yield current_request().requester

    trail = Trail(1, 130.0, None, 7)
    found = handlers({None: give})
    opened = cast("Iterator[object]", found.open("s", "any", None, trail))
    with answering(trail, Clock().now):
        assert list(opened) == ["any", 7]
    assert context_of(trail, Clock().now).run(current_request).requester == 7


def test_a_slot_is_to_be_had_without_a_handler() -> None:
    assert walk(handlers([gives]).slot("s", "gives", TRAIL, 1)) is None
    slots = Slots("s", 1, 5)
    found = Handlers([gives], LocalRuntime(), None, None, slots)
    trail = Trail(1, math.inf)
    assert walk(found.slot("s", "gives", trail, 1)) is slots
    assert slots.taken == 1
    with pytest.raises(RequestTimeout, match=r"within 0\.0\d* s"):
        walk(found.slot("s", "gives", trail, 0.01))
