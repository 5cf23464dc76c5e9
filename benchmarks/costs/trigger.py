"""What `signal.trigger` of a client costs over encoding: gathering, packing, and handing to the link.

To a link that does nothing, and to the socket of a server process that reads as fast as it can. Somebody listens at
either server; what was sent is taken up there between the batches.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, islice

import sig
from benchmarks.costs.rows import Effort, Measure
from benchmarks.costs.world import WINDOW_BYTES, End, World, connect
from benchmarks.peers.children import environment
from benchmarks.peers.payload import encode, sample
from benchmarks.timing import Drive, fastest

ROUTES = (1, 2, 100)
SENDER = "bench"

# A client, and what is to be done between the batches.
Linked = AbstractContextManager[tuple[sig.ClientRouter, Callable[[], object]]]


def ways() -> Iterator[tuple[str, AbstractContextManager[Measure]]]:
    """What is measured, by name."""
    for name, link in (("null link", null_link), ("server process", server_process)):
        for routes in ROUTES:
            yield f"{name}, {routes} route{'s' if routes > 1 else ''}", triggering(link(), routes)


@contextmanager
def triggering(linked: Linked, routes: int) -> Iterator[Measure]:
    """Seconds for an event, on so many routes in turn, and for encoding it alone."""
    events = [f"event-{number}" for number in range(routes)]
    with linked as (client, between):
        sender = client.add_sender(SENDER, events)
        triggers = [sender.signal(event).trigger for event in events]
        drives = [driven(triggers), driven([encode] * routes)]

        def measure(effort: Effort) -> list[float]:
            return fastest(drives, effort.batch_s, effort.batches, between)

        yield measure


@contextmanager
def null_link() -> Iterator[tuple[sig.ClientRouter, Callable[[], object]]]:
    world = World(send_window_bytes=WINDOW_BYTES)
    End(world).listen()
    client, link = connect(world)
    with client:

        def between() -> None:
            link.hush()
            link.carry()

        yield client, between
        link.revive()


@contextmanager
def server_process() -> Iterator[tuple[sig.ClientRouter, Callable[[], object]]]:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.costs.sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    with server:
        assert server.stdout is not None  # it is a pipe
        with sig.connect(server.stdout.readline().strip()) as client:
            yield client, client.flush


def driven(calls: Sequence[Callable[[object], object]]) -> Drive:
    """What gives these the event, in turn."""
    event = sample()

    def drive(times: int) -> None:
        for call in islice(cycle(calls), times):
            call(event)

    return drive
