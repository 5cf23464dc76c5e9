"""When routers have come to rest: everything triggered has been delivered, and nothing more comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from sig.errors import WouldDeadlock
from sig.hub import Hub
from sig.iterators import Taken
from sig.linked import Linked, left
from sig.steps import Steps
from sig.subscription import Subscription


def to_rest(routers: Sequence[Hub], timeout: float) -> Iterator[tuple[Hub, Steps[None]]]:
    """What has to be walked, one after the other, until all is at rest: each with its router.

    Rounds, until one in which no listener has triggered anything: what was triggered is routed at every server, and
    then given to every listener.
    """
    deadline = time.monotonic() + timeout
    while True:
        before = [_triggered(router) for router in routers]
        for router in routers:
            yield router, router._flushing(max(left(deadline), 0.001))
        for router in routers:
            yield router, _delivered(router, deadline, timeout)
        if before == [_triggered(router) for router in routers] and not any(map(_busy, routers)):
            return


def _triggered(router: Hub) -> int:
    driver = router._driver if isinstance(router, Linked) else None
    return driver.triggered if driver is not None else 0


def _delivered(router: Hub, deadline: float, timeout: float) -> Steps[None]:
    """Until this router's listeners have been given all that has arrived, and have returned."""
    if router._runtime.ours():
        raise WouldDeadlock("settle() waits until listeners have returned, and a listener called it: call it elsewhere")
    if isinstance(router, Linked) and router._driver is not None:
        yield partial(router._driver.drain, left(deadline))
    yield partial(router._runtime.settle, partial(_busy, router), left(deadline))
    if _busy(router) or not left(deadline):
        busy = ", ".join(repr(s) for s in router._index.all() if _works(s))
        raise AssertionError(
            f"this {type(router).__name__} has not come to rest within {timeout:g} s: "
            + (f"busy with {busy}" if busy else "a listener does not return, or listeners trigger without end")
        )


def _busy(router: Hub) -> bool:
    return any(map(_works, router._index.all()))


def _works(subscription: Subscription) -> bool:
    """Whether a listener with a queue has something in it, or is being called."""
    mailbox = subscription._mailbox
    # Whoever iterates takes when he likes.
    return mailbox is not None and not mailbox.resting and not isinstance(subscription, Taken)
