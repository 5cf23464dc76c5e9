"""zenoh through a router: the Python package's own, which is the code of `zenohd` in another process.

Not to lose anything: publishers are RELIABLE and BLOCK when a queue is full, and a queue may be full for a minute
before the link is given up. Scouting is off: everybody is told where the router is. It goes over TCP as the others do:
shared memory, which would make events of 64 KiB faster and those of 16 MiB slower, is off.

The rest is as it comes, because what the documentation offers beyond that lost here: callbacks on zenoh's own thread
(a quarter of the throughput), `express` (a tenth), the low-latency transport (a seventh, for 5 % in latency).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import zenoh

from benchmarks.peers import roles
from benchmarks.peers.payload import Event, decode, encode
from benchmarks.peers.roles import ANSWER_S, MEETING, Address
from benchmarks.peers.tally import Take, Tally

BLOCK_US = 60_000_000


def open_session(mode: str, where: str, url: str) -> zenoh.Session:
    settings: dict[str, object] = {
        "mode": mode,
        f"{where}/endpoints": [url],
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "transport/link/tx/queue/congestion_control/block/wait_before_close": BLOCK_US,
        "transport/shared_memory/enabled": False,
    }
    config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    return zenoh.open(config)


def close(session: zenoh.Session) -> None:
    session.close()  # type: ignore[no-untyped-call]  # zenoh has types, but not there


def key(route: str) -> str:
    return f"bench/{route}"


class Server(roles.Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"tcp/127.0.0.1:{free.getsockname()[1]}"
        self._session = open_session("router", "listen", url)
        self.address = {"url": url}

    def close(self) -> None:
        close(self._session)


class Client:
    """A session with the router."""

    def __init__(self, address: Address) -> None:
        self.session = open_session("client", "connect", address["url"])

    def close(self) -> None:
        close(self.session)


class Publisher(roles.Publisher):
    def __init__(self, address: Address, routes: Sequence[str], large: bool) -> None:
        super().__init__(address, routes, large)
        self._client = Client(address)
        self._publishers = {
            route: self._client.session.declare_publisher(
                key(route),
                congestion_control=zenoh.CongestionControl.BLOCK,
                reliability=zenoh.Reliability.RELIABLE,
            )
            for route in [*routes, MEETING]
        }

    def trigger(self, route: str) -> Callable[[Event], object]:
        put = self._publishers[route].put
        return lambda event: put(encode(event))

    def close(self) -> None:
        self._client.close()


class Subscriber(roles.Subscriber):
    def __init__(self, address: Address, routes: Sequence[str], tally: Tally, large: bool) -> None:
        super().__init__(address, routes, tally, large)
        self._client = Client(address)
        for route in routes:
            self._listen(route, tally.take)
        self._listen(MEETING, tally.meet)

    def _listen(self, route: str, take: Take) -> None:
        def on_sample(sample: zenoh.Sample) -> None:
            take(None, decode(sample.payload.to_bytes()))

        self._client.session.declare_subscriber(key(route), on_sample)

    def close(self) -> None:
        self._client.close()


class Replier(roles.Replier):
    def __init__(self, address: Address) -> None:
        self._client = Client(address)

        def on_query(query: zenoh.Query) -> None:
            assert query.payload is not None  # ours all have one
            query.reply(key("echo"), encode(decode(query.payload.to_bytes())))

        self._client.session.declare_queryable(key("echo"), on_query, complete=True)

    def close(self) -> None:
        self._client.close()


class Requester(roles.Requester):
    def __init__(self, address: Address) -> None:
        self._client = Client(address)
        # The first answer that comes is the answer: there is one queryable.
        self._querier = self._client.session.declare_querier(
            key("echo"), consolidation=zenoh.ConsolidationMode.NONE, timeout=ANSWER_S
        )

    def request(self, event: Event) -> Event:
        return content(self._querier.get(payload=encode(event)).recv())

    def ask_many(self, count: int, flight: int) -> dict[str, float]:
        # A third faster than a thread for each request, and five times as fast as a callback for each.
        def start(event: Event) -> Callable[[], Event]:
            replies = self._querier.get(payload=encode(event))
            return lambda: content(replies.recv())

        return roles.windowed(start, count, flight)

    def close(self) -> None:
        self._client.close()


def content(reply: zenoh.Reply) -> Event:
    if reply.ok is None:
        raise RuntimeError(f"the queryable failed: {reply.err}")
    answer: Event = decode(reply.ok.payload.to_bytes())
    return answer


class Idle(roles.Idle):
    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: list[Client] = []

    def open(self, count: int) -> None:
        self._clients += [Client(self._address) for _ in range(count)]

    def close(self) -> None:
        for client in self._clients:
            client.close()
