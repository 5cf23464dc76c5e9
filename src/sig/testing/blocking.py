"""For tests of programs that use routers of `sig`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, Self

from sig.errors import InvalidArgument
from sig.hub import Hub, Name
from sig.network import ClientRouter, ServerRouter, connect, serve
from sig.router import Router
from sig.steps import walk

from .captured import TIMEOUT_S, Captured
from .faults import Faults, faulty
from .rest import to_rest

_numbers: Final = count(1)


class Capture(Captured):
    """What `capture` returns: the events so far, as a list of `Received`."""

    def wait(self, count: int = 1, timeout: float = TIMEOUT_S) -> Self:
        """Wait until at least so many events are there, and return the capture.

        Raises `AssertionError`, with what did come, when they do not come in time, or cannot any more.
        """
        walk(self._waiting(count, timeout))
        return self


def capture(router: Router, sender: Name | None = None, event: str | None = None, **options: Any) -> Capture:
    """Catch the events of a sender: all that are triggered once this has returned. Arguments as `Router.listen`.

    Away from a plain `Router` they come a moment later: `wait` for them, or `settle`.
    """
    _check_face(router)
    captured = Capture(router)
    captured._begun(router.listen(captured._hear, sender, event, **options))
    return captured


def settle(*routers: Router, timeout: float = TIMEOUT_S) -> None:
    """Return when everything triggered so far has been delivered on all these routers, and its listeners have returned.

    What listeners trigger in turn, through these routers, counts too. Who takes events from `events()` is not waited
    for, nor are requests.

    Raises:
        AssertionError: that takes longer than `timeout` seconds; says which listener is busy.
        ConnectionLost, Closed: a router has no link any more.
        WouldDeadlock: a listener called this.
    """
    for router in routers:
        _check_face(router)
    for _, steps in to_rest(routers, timeout):
        walk(steps)


@contextmanager
def pair(
    url: str | None = None, *, faults: Faults | None = None, **options: Any
) -> Iterator[tuple[ServerRouter, ClientRouter]]:
    """A server and a client of it, in this process and with a real link between them; closed with the block.

    The link is of the carrier `local://`, unless the URL of another is given. `options` are given to both: `codec=`,
    or limits. With `faults`, the link breaks as they tell.
    """
    with serve(url or fresh_url(), **options) as server:
        client = connect(faulty(server.urls[0], faults), **{"reconnect": False, **options})
        try:
            yield server, client
        finally:
            client.close()


def fresh_url() -> str:
    """An address of this process that nobody has."""
    return f"local://pair-{next(_numbers)}"


def _check_face(router: Hub) -> None:
    if router._runtime.awaits:
        raise InvalidArgument(f"this {type(router).__name__} is one of sig.aio: use sig.testing.aio, and await")
