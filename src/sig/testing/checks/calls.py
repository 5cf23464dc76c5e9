"""Requests: every outcome is the caller's, once, with its own class."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

import sig
from sig.testing.place import LIMIT_S, Place
from sig.testing.stage import Stage, raises, same

_SOON_S: Final = 0.05
_MANY: Final = 1000


def answers_come_to_whoever_asked(stage: Stage) -> None:
    """A request is answered with what its handler returns, `None` too; a default handler is given the method."""
    places = [stage.serve(), stage.connect(), stage.other()]

    def add(number: int) -> Any:
        return lambda params: params + number

    for number, place in enumerate(places):
        place.add_sender(f"s{number}", requests={"add": add(number), None: lambda method, params: [method, params]})
    for place in places:
        for number in range(len(places)):
            same(place.request(f"s{number}", "add", 10), 10 + number, f"the answer of s{number}")
            same(place.request(f"s{number}", "any", None), ["any", None], "the answer of a default handler")


def errors_are_those_of_the_handler(stage: Stage) -> None:
    """What a handler raises comes as `RemoteError` with its type and text; what it refuses on purpose, as itself."""
    server, client = stage.serve(), stage.connect()

    def fail(params: object) -> None:
        raise KeyError(params)

    def refuse(params: object) -> None:
        raise sig.RequestFailed("door open", code="interlock", data={"door": 2})

    for owner, caller in ((server, client), (client, server)):
        sender = owner.add_sender("s", "e", {"fail": fail, "refuse": refuse, "echo": lambda params: params})
        error = raises(sig.RemoteError, caller.request, "s", "fail", "oven")
        same((error.type, error.args[0]), ("KeyError", "'oven'"), "type and text")
        refused = raises(sig.RequestFailed, caller.request, "s", "refuse")
        same((str(refused), refused.code, refused.data), ("door open", "interlock", {"door": 2}), "what was refused")
        same(isinstance(refused, sig.RemoteError), False, "a refusal is a RemoteError")
        same(caller.request("s", "echo", 1), 1, "the answer after that")
        sender.remove()


def who_cannot_answer_is_told_at_once(stage: Stage) -> None:
    """Without a sender, a method or any requests, the caller is told which is missing."""
    server, client = stage.serve(), stage.connect()
    server.add_sender("s", requests={"m": len})
    server.add_sender("silent", "e")
    raises(sig.SenderNotConnected, client.request, "nobody", "m")
    raises(sig.MethodNotFound, client.request, "s", "absent")
    raises(sig.RequestsNotSupported, client.request, "silent", "m")
    raises(sig.SenderNotConnected, server.request, "nobody", "m")


def a_late_answer_is_nobodys(stage: Stage) -> None:
    """A request whose time is over raises `RequestTimeout`; its late answer is not taken for another's."""
    server, client = stage.serve(), stage.connect()
    go_on = threading.Event()
    server.add_sender(
        "s", requests={"wait": lambda params: go_on.wait(LIMIT_S) and "late", "echo": lambda params: params}
    )
    calls = [client.start_request("s", "wait", timeout=_SOON_S) for _ in range(3)]
    for call in calls:
        error = raises(sig.RequestTimeout, call.result, LIMIT_S)
        same((error.sender, error.method), ("s", "wait"), "what the error tells")
    go_on.set()
    for number in range(20):
        same(client.request("s", "echo", number), number, "the answer after the late ones")


def cancelling_reaches_the_handler(stage: Stage) -> None:
    """Cancelling a request cancels its `async def` handler, wherever that runs, and frees the request's place."""
    server, client = stage.serve(), stage.connect()
    begun, cancelled = threading.Event(), threading.Event()

    async def wait(params: object) -> None:
        begun.set()
        try:
            await asyncio.sleep(LIMIT_S)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    for owner, caller in ((server, client), (client, server)):
        sender = owner.add_sender("s", requests={"wait": wait, "echo": lambda params: params})
        call = caller.start_request("s", "wait")
        same(begun.wait(LIMIT_S), True, "the handler has begun")
        same(call.cancel(), True, "the request could be cancelled")
        same(cancelled.wait(LIMIT_S), True, "the handler was cancelled")
        same(caller.request("s", "echo", 1), 1, "the answer after that")
        begun.clear()
        cancelled.clear()
        sender.remove()


def a_thousand_requests_may_be_under_way(stage: Stage) -> None:
    """A thousand requests of one client are under way at once, and each gets its own answer."""
    stage.serve()
    owner, caller = stage.connect(requests_in=_MANY), stage.other()
    go_on = asyncio.Event()
    loop = stage.loop

    async def hold(params: int) -> int:
        await go_on.wait()
        return params

    owner.add_sender("s", requests={"hold": hold})
    calls = caller.start_requests("s", "hold", range(_MANY))
    same([call for call in calls if call.done()], [], "requests that were answered before all had been made")
    loop.call_soon_threadsafe(go_on.set)
    same([call.result(LIMIT_S) for call in calls], list(range(_MANY)), "answers")


def one_too_many_is_refused(stage: Stage) -> None:
    """Beyond `requests_out` a request raises `Overloaded` at once; when one has been answered there is room again."""
    server, client = stage.serve(), stage.connect(requests_out=5)
    go_on = threading.Event()
    server.add_sender("s", requests={"hold": lambda params: go_on.wait(LIMIT_S)})
    calls = [client.start_request("s", "hold") for _ in range(5)]
    raises(sig.Overloaded, lambda: client.start_request("s", "hold").result(LIMIT_S))
    go_on.set()
    same([call.result(LIMIT_S) for call in calls], [True] * 5, "answers of those that were in time")
    same(client.request("s", "hold"), True, "the answer when there was room again")


def requests_nest_both_ways(stage: Stage) -> None:
    """A handler may ask, and be asked while it waits: A asks B, which asks A, and so on."""
    stage.serve()
    a, b = stage.connect(), stage.other()

    def down(place: Place, other: str) -> Any:
        return lambda left: 0 if not left else 1 + place.request(other, "down", left - 1)

    a.add_sender("a", requests={"down": down(a, "b")})
    b.add_sender("b", requests={"down": down(b, "a")})
    same(a.request("b", "down", 7), 7, "how deep it went")


def circles_are_found(stage: Stage) -> None:
    """Requests that cause each other without end are told from those that only nest deep."""
    server, client = stage.serve(), stage.connect()
    server.add_sender("a", requests={"round": lambda params: server.request("b", "round")})
    client.add_sender("b", requests={"round": lambda params: client.request("a", "round")})
    raises(sig.LoopDetected, client.request, "a", "round")


def listeners_may_ask(stage: Stage) -> None:
    """A listener may request from inside its call, and even ask whoever has triggered."""
    server, client = stage.serve(), stage.connect()
    answers: list[object] = []
    done = threading.Event()

    def ask(info: sig.Info, data: int) -> None:
        answers.append(client.request(info.sender, "double", data))
        if len(answers) == 10:
            done.set()

    client.listen_waiting(ask, "s", "e")
    server.add_sender("s", "e", {"double": lambda params: params * 2}).trigger("e", *range(10))
    same(done.wait(LIMIT_S), True, "all have been answered")
    same(answers, [2 * number for number in range(10)], "answers")


def what_cannot_be_sent_is_refused_at_the_caller(stage: Stage) -> None:
    """A value that the codec does not have raises `InvalidData` where it is given; the link lives."""
    server, client = stage.serve(), stage.connect()
    sender = server.add_sender("s", "e", {"echo": lambda params: params, "odd": lambda params: object()})
    client.hear("s", "e")
    raises(sig.InvalidData, client.request, "s", "echo", object())
    raises(sig.InvalidData, sender.trigger, "e", object())
    raises(sig.InvalidData, client.request, "s", "odd")
    same(client.request("s", "echo", 1), 1, "the answer after that")
