"""What `sig` is to reach against the others, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers.cases import HIGHER, LOWER
from benchmarks.peers.contestants import ALL, EVENTS
from benchmarks.peers.results import Results
from benchmarks.rounds import Spread

PEERS = tuple(one.name for one in ALL if not one.name.startswith("sig_") and EVENTS in one.offers)


@dataclass(frozen=True)
class Target:
    """A ratio within rounds, ours over theirs (the best of theirs); without others, the figure itself."""

    text: str
    case: str
    measure: str
    mine: str
    others: tuple[str, ...]
    must: float
    goal: float
    better: str = HIGHER

    def measured(self, results: Results) -> Spread | None:
        """`None` where somebody did not take part."""
        if self.others:
            return results.ratio(self.case, self.measure, self.mine, self.others, self.better)
        return results.spread(self.case, self.mine, self.measure)

    def verdict(self, figure: float) -> str:
        """`goal`, `must` or `missed`."""
        for name, bound in (("goal", self.goal), ("must", self.must)):
            if figure >= bound if self.better == HIGHER else figure <= bound:
                return name
        return "missed"


TWO_PART = ("pyzmq_two_part",)

TARGETS = (
    Target("throughput, blocking / pyzmq two-part", "throughput", "rate", "sig_blocking", TWO_PART, 4, 6),
    Target(
        "throughput, blocking / best of pyzmq one-part and zenoh",
        "throughput",
        "rate",
        "sig_blocking",
        ("pyzmq_one_part", "zenoh_router"),
        1.8,
        2.7,
    ),
    Target("throughput, asyncio / nats-py", "throughput", "rate", "sig_asyncio", ("nats_uvloop",), 4, 6.5),
    Target("two routes, blocking / pyzmq two-part", "alternating", "rate", "sig_blocking", TWO_PART, 3.5, 5),
    Target("fan-out 10 / best peer", "fanout_10", "deliveries", "sig_blocking", PEERS, 2, 3),
    Target("fan-out 50 / best peer", "fanout_50", "deliveries", "sig_blocking", PEERS, 2, 3),
    Target("event age p50 / pyzmq", "latency", "p50", "sig_blocking", TWO_PART, 0.8, 0.5, LOWER),
    Target("computing, event age p99 / pyzmq", "computing", "p99", "sig_blocking", TWO_PART, 1, 0.8, LOWER),
    Target("round trip p50 / pyzmq", "roundtrip", "p50", "sig_blocking", TWO_PART, 0.7, 0.45, LOWER),
    Target("64 in flight, asyncio / pyzmq pipelined", "pipelined", "rate", "sig_asyncio", TWO_PART, 1.5, 2.5),
    Target("throughput, Unix socket / TCP", "throughput", "rate", "sig_unix", ("sig_blocking",), 1, 1.1),
    Target("throughput, TLS / TCP", "throughput", "rate", "sig_tls", ("sig_blocking",), 0.6, 0.8),
    Target("throughput, WebSocket / TCP", "throughput", "rate", "sig_websocket", ("sig_blocking",), 0.8, 0.9),
    Target("memory per idle connection, KiB", "memory", "each", "sig_blocking", (), 8, 4, LOWER),
)
