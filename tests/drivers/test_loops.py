"""A loop on a thread of its own: what is asked of it ends in time, and nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from sig.drivers.loops import LoopThread

LIMIT_S = 20


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread("sig-test")
    yield thread
    thread.stop(LIMIT_S)


async def answer(value: object) -> object:
    await asyncio.sleep(0)
    return value


def test_a_coroutine_runs_there_and_its_result_is_here(thread: LoopThread) -> None:
    assert thread.run(answer(5), LIMIT_S) == 5

    async def where() -> str:
        return threading.current_thread().name

    assert thread.run(where(), LIMIT_S) == "sig-test"


def test_what_it_raises_is_raised_here(thread: LoopThread) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        thread.run(fail(), LIMIT_S)


def test_what_takes_too_long_is_cancelled(thread: LoopThread) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        thread.run(wait(), 0.01)
    assert cancelled.wait(LIMIT_S)


def test_stopping_cancels_what_runs_and_closes_the_loop() -> None:
    thread = LoopThread("sig-test")
    begun, cancelled = threading.Event(), threading.Event()

    async def stay() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    kept: list[asyncio.Task[None]] = []
    thread.loop.call_soon_threadsafe(lambda: kept.append(thread.loop.create_task(stay())))
    assert begun.wait(LIMIT_S)
    thread.stop(LIMIT_S)
    assert cancelled.is_set()
    assert thread.loop.is_closed()
    thread.stop(LIMIT_S)  # once more is no mistake
    thread.forked()  # nor is there anything to let go of
    with pytest.raises(RuntimeError):
        thread.run(answer(5), LIMIT_S)


def test_it_may_be_stopped_from_inside() -> None:
    thread = LoopThread("sig-test")

    async def stop() -> None:
        thread.stop(LIMIT_S)

    thread.run(stop(), LIMIT_S)
    thread.stop(LIMIT_S)
    assert thread.loop.is_closed()


def test_without_a_thread_there_is_no_loop_left_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(RuntimeError, match="can't start"):
        LoopThread("sig-test")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_forked_child_holds_none_of_its_descriptors_and_the_parent_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=LIMIT_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept: []\n5\n", "")


FORKING = """
import asyncio, os, warnings
from sig.drivers.loops import LoopThread

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, in later Pythons

def mine():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            pass
    return found

before = mine()
thread = LoopThread("sig-test")
server = thread.run(asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0), 20)
made = {number: target for number, target in mine().items() if before.get(number) != target}
child = os.fork()
if not child:
    now = mine()
    print("kept:", [target for number, target in made.items() if now.get(number) == target], flush=True)
    os._exit(0)
os.waitpid(child, 0)
async def answer():
    server.close()
    return 5
print(thread.run(answer(), 20))
thread.stop(20)
"""
