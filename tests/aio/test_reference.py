"""The asyncio face against the oracles of the other: the reference model in one process, the plain router over TCP.

In one process no verb of the asyncio face ever has to wait. So a program of acts, nested ones too, runs on it as it is.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aio.beside import LIMIT_S, Blocking, NewLoop, beside
from hypothesis import HealthCheck, given, settings
from model.reference import Act, Driven
from model.test_inprocess import Author, InProcess
from model.test_over_tcp import PROGRAMS, Machine, in_process

import sig
import sig.aio

pytestmark = pytest.mark.timeout(300)


class AtOnce:
    """A router whose verbs are carried out without a wait."""

    def __init__(self, router: sig.aio.Router) -> None:
        self.__dict__["_router"] = router

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._router, name)
        return found if not callable(found) else lambda *args, **options: at_once(found(*args, **options))

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._router, name, value)


def at_once(result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result
    steps = result.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise AssertionError("in one process nothing has to be waited for")


class InOneProcess(InProcess):
    """On a loop all the time: as far as `act` and `teardown` reach."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.driven = Driven(AtOnce(sig.aio.Router()))  # type: ignore[arg-type]  # as good as one

    def act(self, act: Act) -> None:
        self.on_loop(lambda: super(InOneProcess, self).act(act))

    def teardown(self) -> None:
        self.on_loop(super().teardown)
        self.loop.close()

    def on_loop(self, function: Callable[[], object]) -> None:
        async def run() -> None:
            function()

        self.loop.run_until_complete(run())


TestInOneProcess = InOneProcess.TestCase
TestInOneProcess.settings = settings(stateful_step_count=50)


def test_programs_of_chance_see_the_same() -> None:
    for seed in range(300):
        machine = InOneProcess()
        for act in Author(seed).program():
            machine.act(act)
            machine.the_same_is_heard()
        machine.teardown()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=PROGRAMS)
def test_the_same_program_sees_the_same_over_tcp(new_loop: NewLoop, program: list[Any]) -> None:
    """A server and two clients on one loop."""
    expected = in_process(program)
    with beside(new_loop) as loop:
        made: list[Any] = [loop.run(lambda: sig.aio.serve("tcp://127.0.0.1:0"))]
        made += [loop.run(lambda: sig.aio.connect(made[0].urls[0])) for _ in range(2)]
        server, a, b = (Blocking(loop, router) for router in made)

        def settle() -> None:
            """Everything has been routed, has arrived, and the listeners have been called."""
            for router in [a, b, server] * 2:
                router.flush()
            for router in made:
                loop.run(lambda router=router: router._driver.drain(LIMIT_S))

        with server, a, b:
            machine = Machine([a, b, server], settle)
            machine.run(program)
            heard = [list(log) for log in machine.heard]
    assert machine.outcomes == expected.outcomes
    assert heard == expected.heard
