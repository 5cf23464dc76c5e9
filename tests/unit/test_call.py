"""A call: one request, answered once or given up once, whatever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, wait

import pytest

import sig
from sig.call import Call


class World:
    """An executor that does what it was given when it is told to, and a request that can be given up."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []
        self.given_up = 0

    def call(self, *, begun: bool = True) -> Call:
        call = Call(self.work.append)
        if begun:
            call.begun(self.give_up)
        return call

    def give_up(self) -> None:
        self.given_up += 1


@pytest.fixture
def world() -> World:
    return World()


def test_an_answer_may_be_nothing(world: World) -> None:
    call = world.call()
    assert not call.done()
    call.answered(None, None)
    assert call.result(0) is None
    assert call.exception(0) is None


def test_what_a_request_raises_is_raised_to_whoever_waits(world: World) -> None:
    call = world.call()
    error = sig.SenderNotConnected("s")
    call.answered(None, error)
    with pytest.raises(sig.SenderNotConnected) as caught:
        call.result(0)
    assert caught.value is error


def test_giving_up_is_told_once_and_an_answer_that_comes_now_is_nobodys(world: World) -> None:
    call = world.call()
    assert call.cancel() is True
    call.answered(1, None)
    call.answered(None, ZeroDivisionError())
    assert call.cancelled()
    assert world.given_up == 1
    with pytest.raises(CancelledError):
        call.result(0)


def test_giving_up_twice_is_giving_up_once_as_with_other_futures(world: World) -> None:
    call = world.call()
    assert call.cancel() is True
    assert call.cancel() is True
    assert world.given_up == 1


def test_what_was_given_up_before_it_had_begun_is_given_up_then(world: World) -> None:
    call = world.call(begun=False)
    assert call.cancel() is True
    assert world.given_up == 0
    call.begun(world.give_up)
    assert world.given_up == 1


def test_who_has_the_answer_has_nothing_to_give_up(world: World) -> None:
    call = world.call()
    call.answered(1, None)
    assert call.cancel() is False
    assert (call.result(0), world.given_up) == (1, 0)


@pytest.mark.parametrize("end", ["answer", "cancel"])
def test_who_wants_to_be_told_is_told_elsewhere_and_never_where_answers_are_read(world: World, end: str) -> None:
    told: list[object] = []
    call = world.call()
    call.add_done_callback(told.append)
    call.cancel() if end == "cancel" else call.answered(1, None)
    call.add_done_callback(told.append)  # too late, and told all the same
    assert told == []
    assert len(world.work) == 2
    for work in world.work:
        work()
    assert told == [call, call]


def test_it_is_a_future_like_others(world: World) -> None:
    first, second = world.call(), world.call()
    second.answered(2, None)
    assert wait([first, second], timeout=0).done == {second}
    first.cancel()
    assert wait([first, second], timeout=0).not_done == set()


def test_it_can_be_awaited(world: World) -> None:
    async def main() -> object:
        loop = asyncio.get_running_loop()
        call = Call(lambda work: loop.call_soon(work))
        call.begun(world.give_up)
        loop.call_soon(call.answered, 5, None)
        return await asyncio.wrap_future(call)

    assert asyncio.run(main()) == 5
