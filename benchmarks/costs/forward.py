"""What the server's core does for an event: cut frames from what was read, look up who hears them, hand them on.

One publisher, and receivers that are given what is theirs in one piece for each read. No codec has a part in this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import cycle

from benchmarks.costs.rows import Measure, WrongCount
from benchmarks.costs.world import AS_PUBLISHED, CHUNK, End, World
from benchmarks.peers.payload import encode, sample
from benchmarks.timing import fastest
from sig.protocol.events import count_events, pack_events
from sig.protocol.frames import FrameReader, Kind
from sig.security.policy import Policy

RECEIVERS = (1, 10, 50)
BATCHES = (1, 16, 64)
SENDER = "bench"
# As much as a server takes in one read.
READ = 64 * 1024


def ways() -> Iterator[tuple[str, AbstractContextManager[Measure]]]:
    """What is measured, by name."""
    for receivers in RECEIVERS:
        for batch in BATCHES:
            yield f"{so_many(receivers)}, {batch} in a frame", forwarding(receivers, batch, 1, apart=False)
    for receivers in (1, 10):
        yield f"{so_many(receivers)}, 64 of 100 routes in a frame", forwarding(receivers, 64, 100, apart=False)
    for receivers in (2, 10):
        name = f"{so_many(receivers)}, 64 in a frame, each hears a route of its own"
        yield name, forwarding(receivers, 64, receivers, apart=True)


@contextmanager
def forwarding(
    receivers: int, batch: int, routes: int, *, apart: bool, policy: Policy | None = None
) -> Iterator[Measure]:
    """Seconds for an event that comes from the publisher; `apart`: each receiver hears one route, else all."""
    world = World(policy, send_window_bytes=CHUNK)
    publisher = End(world)
    events = [f"event-{number}" for number in range(routes)]
    numbers = publisher.add(SENDER, events)
    listening = [End(world) for _ in range(receivers)]
    for number, end in enumerate(listening):
        end.listen(SENDER, events[number] if apart else None)
    frames = read_of(numbers, batch)
    count = len(frames) * batch
    data = b"".join(frames)
    accept = partial(world.receive, publisher.connection, data)
    accept()  # the routes are told with their first events
    world.drain()
    check(world, publisher, listening, data, 1 if apart else receivers)

    def drive(times: int) -> None:
        for _ in range(times):
            accept()
            world.drain()

    # One read is hundreds of frames, and may take long enough by itself.
    yield lambda effort: [figure / count for figure in fastest([drive], *effort, least=1)]


def read_of(routes: Sequence[int], batch: int) -> list[bytes]:
    """Frames of so many events, the routes in turn: as many as make one read."""
    payload = encode(sample())
    turn = cycle(routes)
    frames: list[bytes] = []
    size = 0
    while size < READ:
        items = [(next(turn), payload) for _ in range(batch)]
        frames += pack_events(items, **AS_PUBLISHED)
        size += len(frames[-1])
    return frames


def check(world: World, publisher: End, listening: Sequence[End], data: bytes, copies: int) -> None:
    """Raise `WrongCount` unless every event reaches so many receivers."""
    sent = count_in(data)
    world.receive(publisher.connection, data)
    got = sum(count_in(end.connection.data_to_send(len(data) * 2)) for end in listening)
    world.drain()
    if got != sent * copies:
        raise WrongCount(f"{sent} events for {copies} receivers each came to {got}")


def count_in(data: bytes) -> int:
    """The events in some frames."""
    frames = FrameReader(1 << 24).feed(data)
    return sum(count for frame in frames if frame.kind == Kind.EVENT for _, count in count_events(frame))


def so_many(receivers: int) -> str:
    return f"{receivers} receiver{'s' if receivers > 1 else ''}"
