"""Several senders of one name, in one process: replicas."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import sig

LIMIT_S = 30


class Log(list[Any]):
    """What a listener is told."""

    def __call__(self, info: sig.Info, data: Any) -> None:
        self.append((info.event, data.get("reason") if isinstance(data, dict) else data))


def test_a_name_is_shared_by_those_who_all_say_so(router: sig.Router) -> None:
    first = router.add_sender("s", "e", shared=True)
    second = router.add_sender("s", "e", shared=True)
    assert first.connected
    assert second.connected
    with pytest.raises(sig.SenderAlreadyConnected):
        router.add_sender("s", "e")
    router.add_sender("alone", "e")
    with pytest.raises(sig.SenderAlreadyConnected):
        router.add_sender("alone", "e", shared=True)


def test_the_first_is_told_connected_and_the_last_is_told_gone(router: sig.Router) -> None:
    log = Log()
    router.listen(log, "s")
    first = router.add_sender("s", "e", shared=True)
    second = router.add_sender("s", ["e", "f"], shared=True)
    second.trigger("e", 2)
    first.trigger("e", 1)
    second.trigger("f", 3)
    assert first.remove()
    assert not first.remove()
    second.trigger("e", 4)
    with pytest.raises(sig.SenderNotConnected):
        first.trigger("e", 5)
    assert router.get_sender("s") is second
    assert second.remove()
    assert log == [("#connect", None), ("e", 2), ("e", 1), ("f", 3), ("e", 4), ("#disconnect", "closed")]
    assert not router.sender("s").connected


def test_who_comes_later_hears_them_all_and_whoever_goes_takes_nobody_along(router: sig.Router) -> None:
    senders = [router.add_sender("s", "e", shared=True) for _ in range(3)]
    log = Log()
    router.listen(log, "s", "e")
    for number, sender in enumerate(senders):
        sender.trigger("e", number)
    senders[0].remove()
    senders[2].remove()
    router.listen(log, None, "e")
    senders[1].trigger("e", 9)
    assert log == [("e", 0), ("e", 1), ("e", 2), ("e", 9), ("e", 9)]


def test_all_are_listed_and_removed_by_their_name(router: sig.Router) -> None:
    senders = [router.add_sender("s", "e", shared=True) for _ in range(3)]
    rows = router.senders("s")
    assert len({row.instance for row in rows}) == 3
    assert [row.name for row in rows] == ["s"] * 3
    assert router.remove_sender("s")
    assert not router.remove_sender("s")
    assert [sender.connected for sender in senders] == [False] * 3


def test_the_past_is_that_of_all_of_them(router: sig.Router) -> None:
    first = router.add_sender("s", "e", retain=True, shared=True)
    second = router.add_sender("s", "e", retain=True, shared=True)
    assert router.last("s", "e") is None
    second.trigger("e", 2)
    first.trigger("e", 1)
    last = router.last("s", "e")
    assert last is not None
    assert last.data in (1, 2)
    log = Log()
    router.listen(log, "s", initial=True)
    assert log == [("#connect", None), ("e", 1), ("e", 2)]


def test_a_request_goes_to_who_is_answering_least(router: sig.Router) -> None:
    go_on, inside = threading.Event(), threading.Semaphore(0)
    asked: list[int] = []

    def replica(number: int) -> Any:
        def work(params: object) -> int:
            asked.append(number)
            inside.release()
            assert go_on.wait(LIMIT_S)
            return number

        return work

    senders = [router.add_sender("s", requests={"work": replica(number)}, shared=True) for number in range(3)]
    calls = []
    for _ in range(6):
        calls.append(router.start_request("s", "work"))
        assert inside.acquire(timeout=LIMIT_S)
    go_on.set()
    assert sorted(call.result(LIMIT_S) for call in calls) == [0, 0, 1, 1, 2, 2]  # type: ignore[type-var]
    assert asked == [0, 1, 2, 0, 1, 2]
    senders[0].remove()
    assert router.request("s", "work") == 1
    assert [sender._asked for sender in senders] == [0, 0, 0]


def test_a_stream_comes_from_who_is_answering_least(router: sig.Router) -> None:
    def giver(name: str) -> Any:
        def give(params: object) -> Iterator[str]:
            while True:
                yield name

        return {"give": give, "who": lambda params: name}

    for name in "ab":
        router.add_sender("s", requests=giver(name), shared=True)
    first = router.stream("s", "give")
    assert next(first) == "a"
    with router.stream("s", "give") as second:
        assert next(second) == "b"
    assert router.request("s", "who") == "b"
    del first  # as good as closed
    gc.collect()
    with router.stream("s", "give") as third:
        assert next(third) == "a"
        with pytest.raises(sig.MethodNotFound):
            router.stream("s", "absent")
        with router.stream("s", "give") as fourth:
            assert next(fourth) == "b"


def test_all_are_asked_and_each_answers_for_itself(router: sig.Router) -> None:
    for number in range(3):
        router.add_sender("s", requests={"who": lambda params, number=number: number}, shared=True)
    replies = router.request_all("s", "who")
    assert [reply.value for reply in replies] == [0, 1, 2]
    assert [reply.instance for reply in replies] == [row.instance for row in router.senders("s")]


def test_one_that_leaves_before_it_is_asked_is_not_connected(router: sig.Router) -> None:
    senders: list[sig.Sender] = []

    def leave(params: object) -> str:
        senders[1].remove()
        return "left"

    senders += [router.add_sender("s", requests=[leave], shared=True) for _ in range(2)]
    gone = senders[1]._incarnation
    assert router.request("s", "leave") == "left"
    call = Future[object]()

    def done(value: object, error: BaseException | None) -> None:
        call.set_exception(error or AssertionError(value))

    router._start_request("s", "leave", None, None, None, done, gone)
    with pytest.raises(sig.SenderNotConnected):
        call.result(LIMIT_S)


def test_a_router_that_closes_leaves_none_of_them() -> None:
    log = Log()
    with sig.Router() as router:
        router.listen(log, "s")
        router.add_sender("s", "e", shared=True)
        router.add_sender("s", "e", shared=True)
    assert log == [("#connect", None), ("#disconnect", "closed")]
    assert (router._senders, router._senders._shared) == ({}, {})
