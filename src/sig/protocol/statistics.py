"""What a server can tell about itself, put together when somebody asks.

Sans-I/O: no socket, no thread, no clock. Connections and routes count by read, by frame and by run; nothing is
counted event by event, and nothing here is touched while events pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from sig.protocol.connection import Connection
from sig.protocol.held import Route
from sig.stats import LinkStats, SenderStats, Stats, Totals

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# What is counted by each connection, and summed up for all, by the names of the fields.
_COUNTED: Final = ("bytes_in", "bytes_out", "frames_in", "frames_out", "events_in", "events_out", "missed")


class Statistics:
    """Sums up; also what those had who have gone."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self._past: dict[str, int] = dict.fromkeys(_COUNTED, 0)

    def forget(self, connection: Connection) -> None:
        """That one is about to go."""
        self._add(self._past, (connection,))

    def tell(self, time: float, limit: int, routes: Iterable[Route], *, links: bool = True) -> Stats:
        """What there is now: of links, if they are to be told, and of these routes at most so many, the largest."""
        server = self._server
        connections = server.connections.values()
        totals = Totals(
            clients=len(connections),
            senders=sum(len(connection.held) for connection in connections),
            events=sum(len(held.routes) for connection in connections for held in connection.held.values()),
            subscriptions=sum(len(connection.subscriptions) for connection in connections),
            refused=server.refused,
            vanished=server.vanished,
            cut=server.cut,
            overloaded=server.overloaded,
            memory_bytes=server.budget.used,
            **self._add(dict(self._past), connections),
        )
        return Stats(
            time=time,
            totals=totals,
            links=[_link(connection) for connection in nlargest(limit if links else 0, connections, key=_load)],
            senders=[self._sender(route) for route in nlargest(limit, routes, key=_accepted)],
        )

    def _add(self, sums: dict[str, int], connections: Iterable[Connection]) -> dict[str, int]:
        for connection in connections:
            for name in _COUNTED:
                sums[name] += getattr(connection, name)
        return sums

    def _sender(self, route: Route) -> SenderStats:
        hearing = self._server.listening.hearing(route) if route.audience is None else route.audience.connections
        return SenderStats(sender=route.sender, event=route.event, accepted=route.next_seq - 1, receivers=len(hearing))


def _load(connection: Connection) -> tuple[int, int]:
    return connection.unsent[0], connection.bytes_in + connection.bytes_out


def _accepted(route: Route) -> int:
    return route.next_seq


def _link(connection: Connection) -> LinkStats:
    waiting_bytes, waiting_events = connection.unsent
    return LinkStats(
        client=connection.number,
        name=connection.name,
        address=connection.address,
        senders=len(connection.held),
        subscriptions=len(connection.subscriptions),
        waiting_bytes=waiting_bytes,
        waiting_events=waiting_events,
        requests_out=sum(connection.called.values()),
        requests_in=sum(requester.called.get(connection, 0) for requester in connection.asked_by),
        **{name: getattr(connection, name) for name in _COUNTED},
    )
