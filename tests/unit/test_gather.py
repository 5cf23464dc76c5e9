"""One question to many senders: who is asked, in which order their answers are told, and when it is over."""

from __future__ import annotations

import asyncio
import threading

import pytest

import sig
import sig.aio
from sig.gather import AT_ONCE

LIMIT_S = 20


def fail(params: object) -> object:
    raise KeyError(params)


def told(replies: list[sig.Reply]) -> list[tuple[str, object, str]]:
    return [(reply.sender, reply.value, type(reply.error).__name__) for reply in replies]


def test_everybody_who_matches_is_asked_and_told_in_the_order_of_names(router: sig.Router) -> None:
    for name in ("lab/c", "lab/a", "hall"):
        router.add_sender(name, requests={"read": lambda params, name=name: (name, params)})
    router.add_sender("lab/b", requests={"read": fail})
    router.add_sender("lab/d", requests={"write": print})
    router.add_sender("lab/e", "event")
    assert told(router.request_all("lab/*", "read", 5)) == [
        ("lab/a", ("lab/a", 5), "NoneType"),
        ("lab/b", None, "KeyError"),
        ("lab/c", ("lab/c", 5), "NoneType"),
        ("lab/d", None, "MethodNotFound"),
        ("lab/e", None, "RequestsNotSupported"),
    ]
    assert [reply.sender for reply in router.request_all(None, "read")] == [
        "hall", "lab/a", "lab/b", "lab/c", "lab/d", "lab/e",
    ]  # fmt: skip
    assert told(router.request_all("hall", "read")) == [("hall", ("hall", None), "NoneType")]
    assert router.request_all("nobody/**", "read") == []


def test_each_is_told_with_the_life_of_the_sender_that_was_asked(router: sig.Router) -> None:
    router.add_sender("s", requests={"read": lambda params: 1})
    (row,) = router.senders()
    assert router.request_all("s", "read") == [sig.Reply("s", row.instance, 1, None)]


def test_answers_become_a_type_and_one_that_does_not_fit_is_an_error(router: sig.Router) -> None:
    router.add_sender("a", requests={"read": lambda params: 1})
    router.add_sender("b", requests={"read": lambda params: "one"})
    assert told(router.request_all(None, "read", type=int)) == [("a", 1, "NoneType"), ("b", None, "InvalidData")]


def test_they_are_asked_at_the_same_time(router: sig.Router) -> None:
    together = threading.Barrier(5)
    for number in range(5):
        router.add_sender(f"s{number}", requests={"meet": lambda params: together.wait(LIMIT_S)})
    replies = router.request_all(None, "meet")
    assert sorted(reply.value for reply in replies if isinstance(reply.value, int)) == [0, 1, 2, 3, 4]


def test_many_are_asked_so_many_at_a_time(router: sig.Router) -> None:
    for number in range(3 * AT_ONCE):
        router.add_sender(f"s{number:04}", requests={"number": lambda params, number=number: number})
    assert [reply.value for reply in router.request_all(None, "number")] == list(range(3 * AT_ONCE))


@pytest.mark.parametrize(
    ("pattern", "method", "timeout", "sentence"),
    [
        ("a*", "m", 1, "a\\*"),
        (None, "", 1, "cannot be empty"),
        (None, "m", 0, "timeout=0 of request 'm' is out of bounds"),
        (None, "m", 601, "timeout=601"),
    ],
)
def test_what_makes_no_sense_is_refused(
    router: sig.Router, pattern: str | None, method: str, timeout: float, sentence: str
) -> None:
    with pytest.raises(sig.InvalidArgument, match=sentence):
        router.request_all(pattern, method, timeout=timeout)


def test_a_router_that_is_closed_asks_nobody(router: sig.Router) -> None:
    router.close()
    with pytest.raises(sig.Closed):
        router.request_all(None, "m")


def test_when_the_time_is_over_those_who_have_not_answered_are_named_and_told() -> None:
    """By a clock that the last handler moves: nothing here depends on how fast it runs."""

    class Clock:
        time = 0.0

        def now(self) -> float:
            return self.time

        wall = now

    clock, go_on, told_so = Clock(), threading.Event(), threading.Event()
    work = []

    def slow(params: object) -> None:
        go_on.wait(LIMIT_S)
        if sig.current_request().cancelled:
            told_so.set()

    def last(params: object) -> str:
        clock.time = 10.0
        return "last"

    def post(function: object) -> None:
        work.append(threading.Thread(target=function))  # type: ignore[arg-type]  # a function
        work[-1].start()

    with sig.Router(clock=clock, executor=post) as router:
        router.add_sender("a", requests={"m": slow})
        router.add_sender("b", requests={"m": last})
        replies = router.request_all(None, "m", timeout=10)
        assert told(replies) == [("a", None, "RequestTimeout"), ("b", "last", "NoneType")]
        assert "within 10 s" in str(replies[0].error)
        go_on.set()
        assert told_so.wait(LIMIT_S)
        for thread in work:
            thread.join()


def test_those_whose_turn_does_not_come_in_time_are_not_asked() -> None:
    class Clock:
        time = 0.0

        def now(self) -> float:
            return self.time

        wall = now

    clock, asked = Clock(), []

    def ask(params: object) -> None:
        asked.append(params)
        clock.time = 10.0

    with sig.Router(clock=clock, executor=lambda function: function()) as router:
        for name in "abc":
            router.add_sender(name, requests={"m": ask})
        assert told(router.request_all(None, "m", 1, timeout=5)) == [
            ("a", None, "NoneType"), ("b", None, "RequestTimeout"), ("c", None, "RequestTimeout")
        ]  # fmt: skip
    assert asked == [1]


def test_one_that_leaves_meanwhile_is_told_as_such() -> None:
    with sig.Router(executor=lambda function: function()) as router:
        router.add_sender("a", requests={"m": lambda params: second.remove()})
        second = router.add_sender("b", requests={"m": print})
        assert told(router.request_all(None, "m")) == [("a", True, "NoneType"), ("b", None, "SenderNotConnected")]


def test_inside_a_handler_it_is_part_of_the_request_under_way(router: sig.Router) -> None:
    """As many threads as it takes, and no more time than is left."""

    def down(params: int) -> object:
        left.append(sig.current_request().remaining)
        if not params:
            return "ground"
        return [reply.value for reply in router.request_all("s/*", "down", params - 1, timeout=600)]

    left: list[float] = []
    for number in range(3):
        router.add_sender(f"s/{number}", requests=[down])
    floor = ["ground"] * 3
    assert [reply.value for reply in router.request_all("s/*", "down", 2, timeout=LIMIT_S)] == [[floor] * 3] * 3
    assert len(left) == 3 + 9 + 27
    assert max(left) <= LIMIT_S


# -- on a loop -----------------------------------------------------------------------------------


async def later(params: object) -> object:
    await asyncio.sleep(0)
    return params


@pytest.mark.asyncio
async def test_who_could_only_answer_on_the_loop_that_waits_is_not_asked(router: sig.Router) -> None:
    router.add_sender("a", requests=[later])
    router.add_sender("b", requests={"later": lambda params: "at once"})
    assert told(router.request_all(None, "later")) == [("a", None, "WouldDeadlock"), ("b", "at once", "NoneType")]
    assert told(await asyncio.to_thread(router.request_all, "a", "later", 5)) == [("a", 5, "NoneType")]


@pytest.mark.asyncio
async def test_awaited_it_is_the_same() -> None:
    async with sig.aio.Router() as router:
        await router.add_sender("b", requests=[later])
        await router.add_sender("a", requests={"later": fail})
        assert told(await router.request_all(None, "later", 5)) == [("a", None, "KeyError"), ("b", 5, "NoneType")]


@pytest.mark.asyncio
async def test_whoever_stops_waiting_cancels_those_that_have_not_answered() -> None:
    begun, cancelled = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def forever(params: object) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.release()

    async with sig.aio.Router() as router:
        for name in ("a", "b"):
            await router.add_sender(name, requests=[forever])
        await router.add_sender("c", requests={"forever": lambda params: 1})
        task = asyncio.ensure_future(router.request_all(None, "forever"))
        for _ in range(2):
            await begun.acquire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(2):
            await cancelled.acquire()
