"""The programs of the blocking face on routers of the asyncio face: they see the same, in process and over links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from aio.beside import LIMIT_S, Beside, Blocking, NewLoop, beside
from net.test_program import (
    PROGRAMS,
    Program,
    Stage,
    classes_of_ones_own,
    in_process,
    queues,
    seen,
)

import sig.aio


class AsyncStage(Stage):
    """Settles by way of the loop."""

    def __init__(self, loop: Beside, router: Any) -> None:
        super().__init__(Blocking(loop, router))  # type: ignore[arg-type]  # as good as one
        self._loop = loop
        self._aio = router

    def settle(self) -> None:
        driver = getattr(self._aio, "_driver", None)
        if driver is None or self.router.wait(0):
            self._loop.run(_nothing)  # what has been posted to the loop has run
            return
        self.router.flush()
        self._loop.run(lambda: driver.drain(LIMIT_S))


async def _nothing() -> None:
    pass


Reach = Callable[[Beside, Any], Any]


@contextmanager
def in_one_process(loop: Beside, executor: Any) -> Iterator[Any]:
    router = loop.run(lambda: sig.aio.Router(executor=executor))
    with Blocking(loop, router):
        yield router


@contextmanager
def at_a_server(loop: Beside, executor: Any) -> Iterator[Any]:
    server = loop.run(lambda: sig.aio.serve("tcp://127.0.0.1:0", executor=executor))
    with Blocking(loop, server):
        yield server


@contextmanager
def at_a_client(loop: Beside, executor: Any) -> Iterator[Any]:
    server = loop.run(lambda: sig.aio.serve("tcp://127.0.0.1:0"))
    with Blocking(loop, server):
        client = loop.run(lambda: sig.aio.connect(server.urls[0], executor=executor))
        with Blocking(loop, client):
            yield client


@contextmanager
def at_a_client_of_the_other_face(loop: Beside, executor: Any) -> Iterator[Any]:
    with sig.serve("tcp://127.0.0.1:0") as server:
        client = loop.run(lambda: sig.aio.connect(server.urls[0], executor=executor))
        with Blocking(loop, client):
            yield client


REACHES: list[Reach] = [in_one_process, at_a_server, at_a_client, at_a_client_of_the_other_face]


def awaited(program: Program, reach: Reach, new_loop: NewLoop, executor: Any = None) -> list[object]:
    with beside(new_loop) as loop:
        with reach(loop, executor) as router:
            stage = AsyncStage(loop, router)
            program(stage)
            stage.settle()
        return stage.log


@pytest.mark.parametrize("reach", REACHES, ids=lambda reach: reach.__name__)
@pytest.mark.parametrize(
    "program",
    # Listeners that block run elsewhere, see below; and classes are those of a face.
    [program for program in PROGRAMS if program not in (queues, classes_of_ones_own)],
    ids=lambda program: program.__name__,
)
def test_it_sees_the_same(program: Program, reach: Reach, new_loop: NewLoop) -> None:
    assert awaited(program, reach, new_loop) == seen(program, in_process)


@pytest.mark.parametrize("reach", REACHES, ids=lambda reach: reach.__name__)
def test_a_listener_that_blocks_sees_the_same_in_an_executor(reach: Reach, new_loop: NewLoop) -> None:
    with ThreadPoolExecutor() as executor:
        assert awaited(queues, reach, new_loop, executor) == seen(queues, in_process)
