"""The router of the blocking face: its verbs return when they are done, and `start_request` does not wait at all.

What they do is in test_hub.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import sig


def nothing(info: object, data: object) -> None: ...


def answer(params: object) -> object:
    return ("answer", params)


# -- the verbs -----------------------------------------------------------------------------------


def test_every_verb_returns_when_it_is_done() -> None:
    heard: list[object] = []

    def listener(info: sig.Info, data: object) -> None:
        heard.append((info.event, data))

    with sig.Router() as router:
        assert router.wait(0) is False
        subscription = router.listen(listener, "s", "e")
        assert router.add_listener(listener, "s", "f") is True
        sender = router.add_sender("s", ["e", "f"], [answer], retain=["e"])
        sender.trigger("e", 1)
        sender.trigger("f", 2)
        assert heard == [("e", 1), ("f", 2)]
        assert router.remove_listener(listener, "s", "f") is True
        subscription.close()
        sender.trigger("e", 3)
        assert len(heard) == 2
        last = router.last("s", "e")
        assert last is not None
        assert last.data == 3
        assert [row.name for row in router.senders()] == ["s"]
        assert {(row.sender, row.event) for row in router.stats().senders} == {("s", "e"), ("s", "f")}
        assert router.get_sender("s") is sender
        assert router.sender("s").connected
        assert router.request("s", "answer", 5) == ("answer", 5)
        assert router.flush() is None  # type: ignore[func-returns-value]
        events = router.events("s", "f")
        sender.trigger("f", 4)
        assert [data for _, data in events.take()] == [4]
        router.listen_all(sig.on("s", "f")(lambda info, data: heard.append("marked"))).close()
        assert router.remove_sender("s") is True
    assert router.wait() is True
    router.close()


def test_the_decorator_registers_and_returns_the_function(router: sig.Router) -> None:
    @router.on("s", "e", once=True)
    def listener(info: sig.Info, data: object) -> None:
        log.append(data)

    log: list[object] = []
    assert listener.__name__ == "listener"
    sender = router.add_sender("s", ["e"])
    sender.trigger("e", 1)
    sender.trigger("e", 2)
    assert log == [1]


def test_the_decorator_without_parentheses_says_so(router: sig.Router) -> None:
    with pytest.raises(sig.InvalidArgument, match=r"write @router.on\(...\) with parentheses above .*nothing"):
        router.on(nothing)  # type: ignore[arg-type]


# -- requests that are not waited for ------------------------------------------------------------


def test_a_request_that_is_not_waited_for_is_answered_in_the_executor(router: sig.Router) -> None:
    router.add_sender("s", requests={"where": lambda params: (threading.current_thread(), params)})
    thread, params = router.start_request("s", "where", 5).result(10)
    assert thread is not threading.current_thread()
    assert params == 5
    assert router.start_request("s", "where", 5, type=list[Any]).result(10)[1] == 5


def test_what_it_raises_is_raised_to_whoever_waits(router: sig.Router) -> None:
    router.add_sender("s", requests={"fail": lambda params: 1 / 0})
    for sender, error in (("s", ZeroDivisionError), ("nobody", sig.SenderNotConnected)):
        assert type(router.start_request(sender, "fail").exception(10)) is error
    with pytest.raises(sig.InvalidName):  # that is no answer: nothing has been asked
        router.start_request("*", "fail")


def test_one_that_was_given_up_before_it_began_never_begins() -> None:
    work: list[Callable[[], object]] = []
    asked: list[object] = []
    with sig.Router(executor=work.append) as router:
        router.add_sender("s", requests={"ask": asked.append})
        given_up, other = (router.start_request("s", "ask", number) for number in (1, 2))
        assert given_up.cancel() is True
        for run in work:
            run()
        assert other.result(0) is None
    assert asked == [2]


@pytest.mark.asyncio
async def test_an_async_handler_is_cancelled_when_it_is_given_up(router: sig.Router) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(params: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    router.add_sender("s", requests=[forever])
    call = router.start_request("s", "forever")
    await begun.wait()
    assert call.cancel()
    await ended.wait()


def test_a_handler_sees_that_it_is_given_up(router: sig.Router) -> None:
    begun, given_up = threading.Event(), threading.Event()
    seen: Future[bool] = Future()

    def work(params: object) -> None:
        begun.set()
        given_up.wait(10)
        seen.set_result(sig.current_request().cancelled)

    router.add_sender("s", requests=[work])
    call = router.start_request("s", "work")
    assert begun.wait(10)
    call.cancel()
    given_up.set()
    assert seen.result(10) is True


def test_requests_that_are_not_waited_for_at_once_lead_to_each_other_on_as_many_threads_as_it_takes(
    router: sig.Router,
) -> None:
    """And as any others: within the time of the first, and not in circles."""
    left: list[float] = []

    def down(params: int) -> object:
        left.append(sig.current_request().remaining)
        return router.start_request("s", "down", params - 1).result(20) if params else "the ground"

    def around(params: object) -> object:
        return router.start_request("s", "around").result(20)

    router.add_sender("s", requests=[down, around])
    calls = [router.start_request("s", "down", 14, timeout=20) for _ in range(8)]
    assert [call.result(20) for call in calls] == ["the ground"] * 8
    assert max(left) <= 20
    with pytest.raises(sig.LoopDetected):
        router.start_request("s", "around").result(20)


# -- the names of 0.7 ----------------------------------------------------------------------------


def test_an_override_of_an_old_name_is_followed_by_the_new_one_and_back() -> None:
    calls: list[str] = []

    class Old(sig.Router):
        def addListener(self, *arguments: Any, **options: Any) -> bool:
            calls.append("old")
            return super().addListener(*arguments, **options)

    class New(sig.Router):
        def add_listener(self, *arguments: Any, **options: Any) -> bool:
            calls.append("new")
            return super().add_listener(*arguments, **options)

    for made in (Old(), New()):
        with made as router:
            router.add_listener(nothing)
            router.addListener(nothing)
            router.add_sender("s", ["e"]).addListener(nothing)
    assert calls == ["old"] * 3 + ["new"] * 3


def test_all_that_match_are_asked_at_once(router: sig.Router) -> None:
    for name in ("lab/1", "lab/2"):
        router.add_sender(name, requests={"read": lambda params, name=name: name})
    assert [(reply.sender, reply.value) for reply in router.request_all("lab/*", "read")] == [
        ("lab/1", "lab/1"),
        ("lab/2", "lab/2"),
    ]


def test_a_router_streams(router: sig.Router) -> None:
    def count(params: int) -> Iterator[int]:
        yield from range(params)

    router.add_sender("s", requests=[count])
    with router.stream("s", "count", 3) as parts:
        assert list(parts) == [0, 1, 2]
