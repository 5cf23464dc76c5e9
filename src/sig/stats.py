"""What a router can tell about itself: typed records, as `router.stats()` returns them.

Nothing is counted for them event by event: links count reads and frames, and the rest is kept anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from .signal import Plan
    from .subscription import Subscription

# How many rows of each list may be asked for.
MOST_ROWS: Final = 0xFFFF


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that a server of another version does not tell have their defaults; those it tells beside are ignored."""


class LinkStats(_Record, frozen=True, kw_only=True):
    """One client, as its server sees it. `in` is what came from it, `out` what went to it."""

    client: int
    """Its number at the server."""
    name: str
    """What it calls itself; need not be unique."""
    address: str
    """Where it is: `local`, or an address as the server sees it."""
    senders: int = 0
    """How many it has."""
    subscriptions: int = 0
    """How many it has."""
    bytes_in: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    """Without those that tell of life and credit."""
    events_in: int = 0
    events_out: int = 0
    waiting_bytes: int = 0
    """What waits at the server for it to be read."""
    waiting_events: int = 0
    missed: int = 0
    """Events that it should have been sent, and will not be: it was too slow, they were too large for it, or its codec
    has no words for them."""
    requests_out: int = 0
    """Its requests that have not been answered."""
    requests_in: int = 0
    """Requests of others that it has not answered."""


class SenderStats(_Record, frozen=True, kw_only=True):
    """One event of one sender."""

    sender: str
    event: str
    accepted: int | None = None
    """How many were accepted since it registered. `None` where that is not counted: in a plain `Router`, which calls
    its listeners directly."""
    receivers: int = 0
    """How many hear it: clients at a server, listeners in a plain `Router`."""


class ListenerStats(_Record, frozen=True, kw_only=True):
    """One listener of this router's own."""

    sender: str | None
    """What it listens to: a name, a pattern, or `None` for all."""
    event: str | None
    received: int | None = None
    """As `subscription.received`; so are the others."""
    missed: int = 0
    pending: int = 0


class Totals(_Record, frozen=True, kw_only=True):
    """All together, those who have gone included where something is counted that happened."""

    clients: int = 0
    senders: int = 0
    events: int = 0
    """Events that senders have declared."""
    subscriptions: int = 0
    refused: int = 0
    """Links turned away: too many, or a handshake that failed."""
    vanished: int = 0
    """Links given up since nothing came from the other end any more."""
    cut: int = 0
    """Links ended for what their clients did, or did not: mistakes, and not to read."""
    overloaded: int = 0
    """Calls and requests refused since there were too many of something."""
    bytes_in: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    events_in: int = 0
    events_out: int = 0
    missed: int = 0
    memory_bytes: int = 0
    """What waits for clients that do not keep up, what is the same for several counted once, and what is retained; see
    the limit of that name."""


class Stats(_Record, frozen=True, kw_only=True):
    """A router's own account of what goes on.

    The lists have the largest first, and as many rows as were asked for.
    """

    time: float
    """When this was so: seconds since the epoch, by the router's clock."""
    totals: Totals = Totals()
    links: list[LinkStats] = []
    """Clients: those first for whom most waits, then those with most traffic. Empty without a server."""
    senders: list[SenderStats] = []
    """Events of senders, most triggered first."""
    listeners: list[ListenerStats] = []
    """Listeners of this router itself: those first that miss most, or have most to do."""


def listener_stats(subscriptions: Iterable[Subscription], limit: int) -> list[ListenerStats]:
    """Rows for these listeners: for at most so many."""

    def weight(one: Subscription) -> tuple[int, int, int]:
        return one.missed, one.pending, one.received or 0

    return [
        ListenerStats(sender=s.sender, event=s.event, received=s.received, missed=s.missed, pending=s.pending)
        for s in nlargest(limit, subscriptions, key=weight)
    ]


def local_stats(time: float, subscriptions: list[Subscription], heard: Sequence[tuple[Plan, int]], limit: int) -> Stats:
    """What a router without links has to tell: its listeners, and the events of its senders with how many hear each."""
    rows = nlargest(limit, heard, key=lambda row: row[1])
    return Stats(
        time=time,
        totals=Totals(
            senders=len({plan.sender for plan, _ in heard}),
            events=len(heard),
            subscriptions=len(subscriptions),
            missed=sum(subscription.missed for subscription in subscriptions),
        ),
        senders=[SenderStats(sender=plan.sender, event=plan.event, receivers=receivers) for plan, receivers in rows],
        listeners=listener_stats(subscriptions, limit),
    )
