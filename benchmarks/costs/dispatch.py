"""What a client's dispatch thread does for an event, over decoding it: real frames, one listener that counts its calls.

The frames are packed as a publisher would, with the routes in random alternation, and the client knows the routes
because a server has told it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, islice
from typing import TypeVar

import sig
from benchmarks.costs.rows import Effort, Measure, WrongCount
from benchmarks.costs.world import AS_PUBLISHED, End, MemoryLink, World, connect
from benchmarks.peers.payload import encode, sample
from benchmarks.timing import Drive, fastest
from sig.codecs import as_codec, batch_decode
from sig.protocol.client import EventsArrived
from sig.protocol.events import count_events, pack_events, unpack_events
from sig.protocol.frames import Frame

T = TypeVar("T")

ROUTES = (1, 2, 10, 100)
SENDER = "bench"
# As many as a publisher gathers who triggers as fast as it can.
EVENTS = 87
FRAMES = 16
MEETING_S = 30.0


def ways() -> Iterator[tuple[str, AbstractContextManager[Measure]]]:
    """What is measured, by name."""
    for routes in ROUTES:
        yield f"{routes} route{'s' if routes > 1 else ''}", dispatching(routes)
    yield "the listener alone, in a loop", looping()


def handler(client: sig.ClientRouter, frames: Sequence[Frame]) -> Drive:
    """What the dispatch thread of a client runs, so often, for one frame after the other.

    The only place here that knows how that looks inside.
    """
    assert client._driver is not None  # it is connected
    handle = client._driver._handle
    news = [EventsArrived(frame, count_events(frame)) for frame in frames]
    return driven(handle, news)


@contextmanager
def dispatching(routes: int) -> Iterator[Measure]:
    """Seconds for an event, of so many routes, and for decoding it alone."""
    calls = 0

    def listener(info: object, data: object) -> None:
        nonlocal calls
        calls += 1

    world = World()
    publisher = End(world)
    events = [f"event-{number}" for number in range(routes)]
    numbers = publisher.add(SENDER, events)
    frames = pack(numbers)
    codec = as_codec("json")
    batches = [(unpack_events(frame), frame.count) for frame in frames]
    client, link = connect(world)
    with client:
        client.listen(listener, SENDER)
        meet(client, link, publisher, numbers)
        handle = handler(client, frames)
        decode = driven(lambda it: batch_decode(codec, it[0].payloads, it[0].lens, it[1]), batches)

        def measure(effort: Effort) -> list[float]:
            nonlocal calls
            handled = calls = 0

            def counted(times: int) -> None:
                nonlocal handled
                handled += times
                handle(times)

            figures = fastest([counted, decode], effort.batch_s, effort.batches)
            if calls != handled * EVENTS:
                raise WrongCount(f"{handled * EVENTS} events of {routes} routes made {calls} calls")
            return [figure / EVENTS for figure in figures]

        yield measure


@contextmanager
def looping() -> Iterator[Measure]:
    """Seconds for a call of the listener from a bare loop: so much of the figures above is its own."""
    calls = 0

    def listener(info: object, data: object) -> None:
        nonlocal calls
        calls += 1

    values = [sample()] * EVENTS

    def loop(values: Sequence[object]) -> None:
        for value in values:
            listener(None, value)

    yield lambda effort: [figure / EVENTS for figure in fastest([driven(loop, [values])], *effort)]


def meet(
    client: sig.ClientRouter, link: MemoryLink, publisher: End, numbers: Sequence[int], payload: bytes = b"null"
) -> None:
    """Return when the client knows these routes: each comes with its first event."""
    met = threading.Event()
    reached = 0

    def meeting(info: object, data: object) -> None:
        nonlocal reached
        reached += 1
        if reached == len(numbers):
            met.set()

    with client.listen(meeting, SENDER):
        publisher.send(*pack_events([(number, payload) for number in numbers], **AS_PUBLISHED))
        link.carry()
        if not met.wait(MEETING_S):
            raise WrongCount(f"the client was given {reached} of {len(numbers)} first events")


def pack(routes: Sequence[int]) -> list[Frame]:
    """Frames full of events of these routes at random, some of each."""
    chance = random.Random(len(routes))
    payload = encode(sample())
    packed = []
    for _ in range(FRAMES):
        items = [(chance.choice(routes), payload) for _ in range(EVENTS)]
        [data] = pack_events(items, **AS_PUBLISHED)
        packed.append(Frame.of(data))
    return packed


def driven(function: Callable[[T], object], things: Sequence[T]) -> Drive:
    """What gives the function these things, in turn."""

    def drive(times: int) -> None:
        for thing in islice(cycle(things), times):
            function(thing)

    return drive
