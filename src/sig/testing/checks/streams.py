"""Answers in parts: all of them, in order, and no faster than they are taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import count
from typing import Any, Final

import sig
from sig.constants import STREAM_WINDOW_BYTES
from sig.testing.place import LIMIT_S
from sig.testing.stage import Stage, becomes, raises, same

_MANY: Final = 400
_SIZE: Final = 4000
# What a handler may be ahead by: its window, and what the caller has been given and not looked at.
_AHEAD: Final = 3 * STREAM_WINDOW_BYTES // _SIZE


def parts_come_in_order_with_the_result_behind_them(stage: Stage) -> None:
    """A generator's parts arrive in order, `None` among them, and what it returns is the result."""
    server, client = stage.serve(), stage.connect()
    values = [None, {"a": [1, "ü"]}, *range(_MANY)]

    def give(params: Any) -> Any:
        yield from values
        return params

    async def give_later(params: Any) -> AsyncIterator[Any]:
        for value in values:
            yield value

    for owner, caller in ((server, client), (client, server), (stage.other(), client)):
        sender = owner.add_sender("s", requests={"give": give, "later": give_later, "plain": lambda params: params})
        for method, result in (("give", "ok"), ("later", None)):
            stream = caller.stream("s", method, "ok")
            same(list(stream), values, f"the parts of {method}")
            same(stream.result, result, f"the result of {method}")
        stream = caller.stream("s", "plain", 5)
        same((list(stream), stream.result), ([], 5), "the answer of what gives no parts")
        raises(sig.InvalidArgument, caller.request, "s", "give")
        sender.remove()


def parts_are_of_the_types_that_are_said(stage: Stage) -> None:
    """Parts fit what the handler's annotation says, and what the caller wants; one that does not ends its stream."""
    server, client = stage.serve(), stage.connect()

    def give(params: Any) -> Iterator[float]:
        yield from params

    async def give_later(params: Any) -> AsyncIterator[float]:
        for value in params:
            yield value

    for owner, caller in ((server, client), (client, server), (stage.other(), client)):
        sender = owner.add_sender("s", requests={"give": give, "later": give_later})
        for method in ("give", "later"):
            parts = list(caller.stream("s", method, [1, 2.5], type=str | float))
            same(parts, [1.0, 2.5], f"the parts of {method}")
            stream = caller.stream("s", method, [1, "two", 3])
            same(next(stream), 1, "what comes before the wrong one")
            raises(sig.RemoteError, next, stream)
            becomes(partial(len, owner.errors), 1, "who answers for the handler has been told")
            owner.errors.clear()
            stream = caller.stream("s", method, [1, 2], type=str)
            raises(sig.InvalidData, next, stream)
            same(list(stream), [], "what comes behind the wrong one")
        sender.remove()


def a_slow_caller_makes_the_handler_wait(stage: Stage) -> None:
    """A handler is ahead of its caller by a window and no more; the same link goes on for all else."""
    server, client = stage.serve(), stage.connect()
    given = 0
    ahead = threading.Event()

    def give(params: object) -> Iterator[str]:
        nonlocal given
        for given in count(1):
            if given * _SIZE >= STREAM_WINDOW_BYTES // 2:
                ahead.set()
            yield "x" * _SIZE

    server.add_sender("s", requests={"give": give, "given": lambda params: given})
    stream = client.stream("s", "give")
    next(stream)
    same(ahead.wait(LIMIT_S), True, "half of the window was filled")
    for _ in range(5):
        client.request("s", "given")
    same(client.request("s", "given") <= _AHEAD, True, "the handler waits for its caller")
    for _ in range(2 * _AHEAD):
        next(stream)
    same(given > 2 * _AHEAD, True, "it goes on as parts are taken")
    stream.close()


def whoever_leaves_lets_the_handler_end(stage: Stage) -> None:
    """A handler whose caller leaves early is closed: its `finally` runs, wherever it is."""
    server, client = stage.serve(), stage.connect()
    begun, ended = threading.Event(), threading.Event()

    def give(params: object) -> Iterator[int]:
        try:
            yield from count()
        finally:
            ended.set()

    async def wait(params: object) -> AsyncIterator[int]:
        try:
            yield 1
            begun.set()
            await asyncio.sleep(LIMIT_S)
        finally:
            ended.set()

    for owner, caller in ((server, client), (client, server)):
        sender = owner.add_sender("s", requests={"give": give, "wait": wait})
        for method in ("give", "wait"):
            stream = caller.stream("s", method)
            next(stream)
            if method == "wait":
                same(begun.wait(LIMIT_S), True, "the handler goes on to its second part")
            stream.close()
            same(ended.wait(LIMIT_S), True, f"{method} has ended")
            begun.clear()
            ended.clear()
        sender.remove()


def a_handler_that_fails_costs_its_stream_alone(stage: Stage) -> None:
    """What a handler raises comes behind the parts that it gave; so does what cannot be sent. The link lives."""
    server, client = stage.serve(), stage.connect()

    def fail(params: object) -> Iterator[int]:
        yield 1
        raise KeyError("oven")

    def refuse(params: object) -> Iterator[int]:
        yield 1
        raise sig.RequestFailed("door open", code="interlock")

    def odd(params: object) -> Iterator[object]:
        yield 1
        yield object()

    def large(params: object) -> Iterator[object]:
        yield 1
        yield "x" * 17_000_000

    requests: Any = {"fail": fail, "refuse": refuse, "odd": odd, "large": large, "echo": lambda params: params}
    kinds = {"fail": sig.RemoteError, "refuse": sig.RequestFailed, "odd": sig.InvalidData, "large": sig.MessageTooBig}
    for owner, caller in ((server, client), (client, server)):
        sender = owner.add_sender("s", requests=requests)
        for method, kind in kinds.items():
            stream = caller.stream("s", method)
            same(next(stream), 1, f"what {method} has given before")
            raises(kind, next, stream)
            same(list(stream), [], f"what comes behind that of {method}")
        same(caller.request("s", "echo", 1), 1, "the answer after that")
        sender.remove()
    raises(sig.SenderNotConnected, next, client.stream("s", "fail"))
