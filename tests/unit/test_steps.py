"""Verbs written once: the same steps, walked by waiting and by awaiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sig.steps import Steps, at_once, one, walk, walk_awaiting


def verb(log: list[object], ask: Callable[[], Any]) -> Steps[str]:
    """Waits twice; the second time may fail."""
    log.append((yield ask))
    try:
        log.append((yield ask))
    except LookupError as error:
        log.append(error)
        log.append((yield ask))
    return "done"


class World:
    """What is waited for: answers, and errors to raise."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def ask(self) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def ask_awaited(self) -> object:
        return self.ask()


def test_a_verb_is_carried_out_by_waiting() -> None:
    log: list[object] = []
    assert walk(verb(log, World(1, 2).ask)) == "done"
    assert log == [1, 2]


@pytest.mark.asyncio
async def test_the_same_verb_is_carried_out_by_awaiting() -> None:
    log: list[object] = []
    assert await walk_awaiting(verb(log, World(1, 2).ask_awaited)) == "done"
    assert log == [1, 2]


@pytest.mark.asyncio
async def test_a_verb_that_has_begun_is_awaited_from_there_on() -> None:
    log: list[object] = []
    steps = verb(log, World(1, 2).ask_awaited)
    assert await walk_awaiting(steps, next(steps)) == "done"
    assert log == [1, 2]


@pytest.mark.asyncio
async def test_what_waiting_raises_arrives_in_the_verb() -> None:
    error = LookupError("twice")
    for awaited in (False, True):
        log: list[object] = []
        world = World(1, error, 3)
        if awaited:
            assert await walk_awaiting(verb(log, world.ask_awaited)) == "done"
        else:
            assert walk(verb(log, world.ask)) == "done"
        assert log == [1, error, 3]


@pytest.mark.asyncio
async def test_what_the_verb_does_not_catch_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        walk(verb([], World(ValueError("no")).ask))
    with pytest.raises(ValueError, match="no"):
        await walk_awaiting(verb([], World(ValueError("no")).ask_awaited))


@pytest.mark.asyncio
async def test_a_verb_that_need_not_wait() -> None:
    assert walk(at_once(5)) == 5
    assert await walk_awaiting(at_once(5)) == 5


def test_a_verb_may_be_one_wait() -> None:
    assert walk(one(World(1).ask)) == 1
    with pytest.raises(LookupError):
        walk(one(World(LookupError()).ask))
