"""The pytest plugin: `sig_router`, `sig_pair` and `sig_clock`. A listener that raises fails the test.

pytest finds it by itself; `-p no:sig` leaves it out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from traceback import format_exception
from typing import Final

import pytest

from sig.errors import SigError
from sig.info import ListenerError
from sig.network import ClientRouter, ServerRouter
from sig.router import Router

from .blocking import pair, settle
from .clock import Clock
from .leftovers import left_behind, our_threads

# How long a test that has come to its end waits for what is still under way.
_REST_S: Final = 1.0


class Watch:
    """What becomes of the routers of one test."""

    def __init__(self) -> None:
        self._routers: list[Router] = []
        self._failures: list[BaseException] = []

    def over(self, *routers: Router) -> None:
        """Watch over these too. A test that sets `on_error` itself is asked no more."""
        for router in routers:
            router.on_error = self._failed
        self._routers += routers

    def _failed(self, failed: ListenerError) -> None:
        self._failures.append(failed.error)

    def rest(self) -> None:
        """Let what was triggered come to its listeners, while there are links and listeners that return."""
        try:
            settle(*self._routers, timeout=_REST_S)
        except (SigError, AssertionError):
            pass

    def taken(self) -> list[BaseException]:
        """What listeners have raised, and nobody was told yet."""
        failures, self._failures = self._failures, []
        return failures

    def tell(self) -> None:
        """Raise that."""
        __tracebackhide__ = True
        failures = self.taken()
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup("listeners raised", failures)


_WATCH: Final = pytest.StashKey[Watch]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    __tracebackhide__ = True
    watch = item.stash.get(_WATCH, None)
    try:
        yield
    except BaseException as error:
        for failure in watch.taken() if watch is not None else ():
            error.add_note("A listener raised, too:\n" + "".join(format_exception(failure)))
        raise
    if watch is not None:
        watch.rest()
        watch.tell()


@pytest.fixture
def _sig_watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    before = our_threads()
    watch = request.node.stash[_WATCH] = Watch()
    yield watch
    left = left_behind(before)
    watch.tell()
    if left:
        pytest.fail(f"threads are left behind, of routers that were not closed: {', '.join(left)}", pytrace=False)


@pytest.fixture
def sig_clock() -> Clock:
    """A clock that stands still until the test moves it: `sig_clock.advance(5)`. `sig_router` goes by it."""
    return Clock()


@pytest.fixture
def sig_router(request: pytest.FixtureRequest, _sig_watch: Watch) -> Iterator[Router]:
    """A router in this process."""
    clock = request.getfixturevalue("sig_clock") if "sig_clock" in request.fixturenames else None
    with Router(clock=clock) as router:
        _sig_watch.over(router)
        yield router


@pytest.fixture
def sig_pair(_sig_watch: Watch) -> Iterator[tuple[ServerRouter, ClientRouter]]:
    """A server and a client of it, in this process and with a link between them."""
    with pair() as (server, client):
        _sig_watch.over(server, client)
        yield server, client
