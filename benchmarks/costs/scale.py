"""Whether a delivery costs more in a large world: many senders, routes, patterns, clients that do nothing.

One publisher and one receiver among them, a server without I/O. The *same* traffic goes over a hundred routes of one
sender, in every world; traffic over *all* goes over the routes of the world at random, as wide as it is. A frame holds
64 events of as many routes, in both. Ratios are to the same traffic in the smallest world, in the same rounds.
"""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.costs.forward import check
from benchmarks.costs.rows import QUICK, Effort, Outcome
from benchmarks.costs.world import AS_PUBLISHED, CHUNK, End, World
from benchmarks.peers.payload import encode, sample
from benchmarks.progress import say
from benchmarks.rounds import ratios, rotated, spread
from benchmarks.tables import Table, cell, hundredths, whole
from benchmarks.timing import Drive, fastest
from sig.protocol.events import pack_events

ROUNDS = 7
PROBE = "probe/unit"
PROBED = 100
BATCH = 64
FRAMES = 9  # in a read, of 64 KiB
READS = 16
ENOUGH = 10_000_000
LIMITS = {
    "send_window_bytes": CHUNK,
    "max_names": ENOUGH,
    "max_events": ENOUGH,
    "max_subscriptions": ENOUGH,
    "max_subscriptions_total": ENOUGH,
    "max_connections": ENOUGH,
}
SAME, ALL = "same", "all"


class Size(NamedTuple):
    """What else is in a world, beside the publisher, the routes that are probed, and the receiver."""

    senders: int = 0
    routes: int = 0
    patterns: int = 0
    clients: int = 0

    def times(self, factor: float) -> Size:
        return Size(*(max(1, round(count * factor)) if count else 0 for count in self))


SMALLEST = Size()
SIZES = (
    SMALLEST,
    Size(senders=10, routes=1_000),
    Size(senders=10_000, routes=10_000),
    Size(senders=1_000, routes=100_000),
    Size(patterns=1_000),
    Size(patterns=10_000),
    Size(clients=1_000),
    Size(clients=5_000),
    Size(1_000, 100_000, 10_000, 5_000),
)
# For one of each, on average.
MEMORY = Size(1_000, 10_000, 1_000, 1_000)
SHRUNK = 0.01


class Place:
    """A world of some size, with its traffic."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.world = World(**LIMITS)
        self.publisher = End(self.world)
        probed = self.publisher.add(PROBE, [f"event-{number}" for number in range(PROBED)])
        everywhere = probed + add_senders(self.publisher, size)
        self.receiver = End(self.world)
        self.receiver.listen()
        add_patterns(self.receiver, End(self.world), size.patterns)
        for number in range(size.clients):
            add_client(self.world, number)
        self.reads = {SAME: traffic(probed), ALL: traffic(everywhere)}
        introduce(self.world, self.publisher, everywhere)
        check(self.world, self.publisher, [self.receiver], self.reads[ALL][0], 1)

    def drive(self, which: str) -> Drive:
        """What takes a read so often, and hands on what comes of it."""
        accepts = [partial(self.world.receive, self.publisher.connection, read) for read in self.reads[which]]

        def drive(times: int) -> None:
            for turn in range(times):
                accepts[turn % len(accepts)]()
                self.world.drain()

        return drive


def introduce(world: World, publisher: End, numbers: Sequence[int]) -> None:
    """Trigger each route once: it is told with its first event, and that is not what is measured here."""
    for start in range(0, len(numbers), 1000):
        items = [(number, b"null") for number in numbers[start : start + 1000]]
        publisher.send(*pack_events(items, **AS_PUBLISHED))
        world.drain()


def add_senders(end: End, size: Size) -> list[int]:
    """Senders with so many routes in all; their numbers."""
    numbers: list[int] = []
    for sender in range(size.senders):
        events = [f"event-{number}" for number in range(size.routes // size.senders)]
        numbers += end.add(f"plant-{sender % 100}/unit-{sender}", events)
    return numbers


def add_patterns(receiver: End, watcher: End, count: int) -> None:
    """Half of them match what is probed, and are the receiver's; the others match nobody."""
    for number in range(count):
        if number % 2:
            watcher.listen(f"nowhere-{number}/*")
        else:
            receiver.listen(("probe/*", "*/unit", "**")[number % 3], f"event-{number // 2 % PROBED}")


def add_client(world: World, number: int) -> None:
    """One that listens to somebody who is not there."""
    End(world).listen(f"nobody-{number}")


def traffic(numbers: Sequence[int]) -> list[bytes]:
    """Reads full of events; no route is twice in a frame."""
    chance = random.Random(1)
    payload = encode(sample())
    frames: list[bytes] = []
    while len(frames) < FRAMES * READS:
        frames += pack_events([(number, payload) for number in chance.sample(numbers, BATCH)], **AS_PUBLISHED)
    return [b"".join(frames[start : start + FRAMES]) for start in range(0, len(frames), FRAMES)]


class Grown(NamedTuple):
    """Seconds for a delivery in a world of that size, by round; and in the smallest."""

    size: Size
    same: list[float]
    all: list[float]
    small: list[float]

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {"size": self.size._asdict()}
        for name, figures in ((SAME, self.same), (ALL, self.all)):
            ratio = spread(ratios(figures, self.small))
            told[name] = {"ns": [figure * 1e9 for figure in figures], "ratio": ratio._asdict()}
        return told


def run(rounds: int, quick: bool, only: Sequence[str] = ()) -> Outcome:
    """The worlds, and bytes for one route, pattern and client."""
    say("scale: building the worlds")
    places = [Place(size.times(SHRUNK) if quick else size) for size in SIZES]
    effort = QUICK if quick else Effort()
    figures: list[list[list[float]]] = [[] for _ in places]
    for number, position in rotated(range(len(places)), rounds):
        place = places[position]
        say(f"scale, round {number + 1} of {rounds}: {named(place.size)}")
        drives = [place.drive(SAME), place.drive(ALL)]
        figures[position].append([s / FRAMES / BATCH for s in fastest(drives, *effort, least=READS)])
    by_round = [list(map(list, zip(*rounds, strict=True))) for rounds in figures]
    small = by_round[0][0]
    grown = [Grown(place.size, same, every, small) for place, (same, every) in zip(places, by_round, strict=True)]
    say("scale: memory")
    each = memory(MEMORY.times(SHRUNK) if quick else MEMORY)
    return Outcome({"rows": [row.as_json() for row in grown], "bytes": each}, list(tables(grown, each)))


def memory(size: Size) -> dict[str, float]:
    """Bytes of the server for one of each, as Python counts them; a socket and its buffers come on top."""
    world = World(**LIMITS)
    publisher, receiver = End(world), End(world)
    receiver.listen()

    def routes() -> None:
        introduce(world, publisher, add_senders(publisher, size))
        publisher.routes.clear()  # ours, not the server's

    def patterns() -> None:
        add_patterns(receiver, receiver, size.patterns)

    def clients() -> None:
        for number in range(size.clients):
            add_client(world, number)

    return {
        "route": taken(routes) / size.routes,
        "pattern": taken(patterns) / size.patterns,
        "client": taken(clients) / size.clients,
    }


def taken(build: Callable[[], None]) -> int:
    """Bytes that are taken afterwards and were not before."""
    gc.collect()
    tracemalloc.start()
    try:
        build()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def named(size: Size) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in size._asdict().items() if count) or "nothing else"


def tables(grown: Sequence[Grown], each: dict[str, float]) -> Iterator[Table]:
    rows = [
        [*(whole(count) if count else "-" for count in row.size), *_cells(row.same, row), *_cells(row.all, row)]
        for row in grown
    ]
    head = [*Size._fields, "same, ns", "ratio", "all, ns", "ratio"]
    yield Table("ns for a delivery, by what else is there", head, rows)
    yield Table("bytes of the server for each", ["", "bytes"], [[name, whole(size)] for name, size in each.items()])


def _cells(figures: Sequence[float], row: Grown) -> list[str]:
    return [whole(spread(figures).median * 1e9), cell(spread(ratios(figures, row.small)), hundredths)]
