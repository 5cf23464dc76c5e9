"""What holds for every test: nothing is left behind, no secret is logged, and properties are tried on the same examples
each time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from canary import shows_a_secret
from hypothesis import HealthCheck, settings

# The run decides, not the day nor the machine. For a search: pytest --hypothesis-profile=long
settings.register_profile(
    "ci",
    max_examples=50,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", max_examples=5_000, deadline=None)
settings.load_profile("ci")

try:
    import uvloop
except ImportError:
    pass
else:
    uvloop.new_event_loop().close()  # the first one opens pipes that stay for good, which is no leak of a test

# A shell lets what it starts in the background ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A thread that has been told to end may need a moment; one that has not will never.
GRACE_S = 2.0
STEP_S = 0.005

# Descriptors of the tools: the capture files of pytest, examples of hypothesis, results of coverage.
NOT_OURS = ("/dev/null", "(deleted)", ".hypothesis", ".coverage")


def threads() -> dict[object, str]:
    """The running threads that somebody has to end: all but foreign daemons."""
    return {
        thread: f"thread {thread.name}"
        for thread in threading.enumerate()
        if not thread.daemon or thread.name.startswith("sig-")
    }


def descriptors() -> dict[object, str]:
    """The open files, sockets and pipes of this process, where the system tells."""
    found: dict[object, str] = {}
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return found
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that listed the directory
            continue
        if not any(part in target for part in NOT_OURS):
            found[number, target] = f"descriptor {number} -> {target}"
    return found


def left(look: Callable[[], dict[object, str]], before: dict[object, str]) -> list[str]:
    return [what for key, what in look().items() if key not in before]


class AsyncioErrors(logging.Handler):
    """Collects what asyncio can only log, such as a pending task that was destroyed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"asyncio: {record.getMessage()}")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a descriptor behind, and name it."""
    before = [(look, look()) for look in (threads, descriptors)]
    errors = AsyncioErrors()
    logging.getLogger("asyncio").addHandler(errors)
    yield
    deadline = time.monotonic() + GRACE_S
    while leaks := [what for look, known in before for what in left(look, known)]:
        if time.monotonic() > deadline:
            break
        time.sleep(STEP_S)
    logging.getLogger("asyncio").removeHandler(errors)
    leaks += errors.texts
    if leaks:
        pytest.fail("left behind: " + "; ".join(leaks), pytrace=False)


class Secrets(logging.Handler):
    """Collects where a secret of the tests has been logged; not the line itself, which would show it again."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if shows_a_secret(self.format(record)):  # with the traceback, if there is one
            self.places.append(f"{record.name}, {record.filename}:{record.lineno}")


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """Fail a test in which we log a token, or a text that is called a secret, whatever the test is about."""
    secrets = Secrets()
    logging.getLogger("sig").addHandler(secrets)
    yield
    logging.getLogger("sig").removeHandler(secrets)
    if secrets.places:
        pytest.fail("a secret was logged: " + "; ".join(secrets.places), pytrace=False)


@pytest.fixture(autouse=True)
def no_task_left_behind(request: pytest.FixtureRequest, nothing_left_behind: None) -> None:
    """Fail a test that leaves an asyncio task behind. After `nothing_left_behind`: the loop is not a leak."""
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("tasks_end")


@pytest_asyncio.fixture
async def tasks_end() -> AsyncIterator[None]:
    """Looks on the test's own loop, before that is closed and cancels everything."""
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + GRACE_S
    while leaks := asyncio.all_tasks() - before - {asyncio.current_task()}:
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + "; ".join(sorted(map(repr, leaks))), pytrace=False)
        await asyncio.sleep(STEP_S)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
