"""What waits for the members of a group, and whose turn it is; or for one listener, for whom senders wait.

Sans-I/O: no socket, no thread, no clock. Each event is given to exactly one member, the one who has least of those that
may have it; each member is given what it gets in the order in which it was triggered. A member has no more than a
*window* of events that it has not begun: the rest waits here, where whoever is ready next gets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sig.constants import Limits
    from sig.messages import Presence
    from sig.protocol.budget import Budget
    from sig.protocol.connection import Connection
    from sig.protocol.held import Route

# What an event takes beside its bytes, here. Rather more than less.
_EVENT_BYTES: Final = 100
# What a member has not begun is also no more than that, or one event: large jobs are shared out as well.
_HELD_BYTES: Final = 1024 * 1024


class Parcel:
    """Events of one route, or a presence: those from `at` to `end` wait. With a reason: the news that they are lost."""

    __slots__ = (
        "at",
        "deadline",
        "end",
        "event",
        "first_seq",
        "paid",
        "payloads",
        "presence",
        "reason",
        "route",
        "sender",
        "serial",
        "time_us",
    )

    def __init__(
        self,
        sender: str,
        event: str,
        serial: int,
        payloads: list[bytes],
        *,
        route: Route | None = None,
        time_us: int = 0,
        first_seq: int = 0,
        presence: Presence | None = None,
        deadline: float = inf,
        paid: Callable[[], object] | None = None,
    ) -> None:
        self.sender: str = sender
        self.event: str = event
        self.serial: int = serial
        self.payloads: list[bytes] = payloads
        self.at: int = 0
        self.end: int = len(payloads)
        self.route: Route | None = route
        self.time_us: int = time_us
        self.first_seq: int = first_seq  # the number of the first of `payloads`
        self.presence: Presence | None = presence
        self.deadline: float = deadline  # from which on it is lost
        self.paid: Callable[[], object] | None = paid  # called once none of it waits any more
        self.reason: str = ""

    @property
    def events(self) -> int:
        """How many wait."""
        return 0 if self.reason else self.end - self.at

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return _EVENT_BYTES if self.reason else _size(self.payloads, self.at, self.end)

    def part(self, start: int, end: int, *, hollow: bool = False) -> Parcel:
        """Some of it again; `hollow`: only how many there are, and of what."""
        payloads = [] if hollow else self.payloads
        part = Parcel(self.sender, self.event, self.serial, payloads, route=self.route, time_us=self.time_us)
        part.at, part.end, part.first_seq, part.presence = start, end, self.first_seq, self.presence
        return part


class Share(NamedTuple):
    """Events that a member has been given, or, with a reason, the news that it misses them."""

    parcel: Parcel
    start: int
    end: int
    reason: str = ""

    @property
    def events(self) -> int:
        return self.end - self.start


class Member:
    """A listener that is given events by a line, under the number that its client chose for it."""

    __slots__ = ("begun", "connection", "events", "firsts", "had", "held", "id", "lanes", "ready", "served", "window")

    def __init__(
        self, connection: Connection, number: int, window: int, firsts: dict[Route, int] | None = None
    ) -> None:
        self.connection: Connection = connection
        self.id: int = number
        self.window: int = window
        self.ready: bool = False  # from the answer to its `listen` on
        self.lanes: dict[Route, int] = {}
        self.firsts: dict[Route, int] | None = firsts  # of its lanes, see `LinkSubscription`
        self.had: deque[Share] = deque()  # what it is not known to have begun
        self.events: int = 0  # of these
        self.held: int = 0  # their bytes
        self.begun: int = 0  # events that it has said to have begun, or missed
        self.served: int = 0  # when it was given something last

    @property
    def free(self) -> int:
        return self.window - self.events

    @property
    def load(self) -> tuple[float, int]:
        """Who has least, and of these who has waited longest, is the next."""
        return self.events / self.window, self.served


Members = tuple[Member, ...]


class Line:
    """One group, or one listener.

    Args:
        limits: above its bounds for a listener's queue the oldest events are lost.
        budget: what waits here counts there.
        lose: tells a member that it misses what it might have been given.
        alone: of one listener, who is given what it has room for.
    """

    def __init__(
        self, limits: Limits, budget: Budget, lose: Callable[[Member, Share], object], *, alone: bool = False
    ) -> None:
        self.members: dict[Member, None] = {}
        self.events: int = 0
        """That wait."""
        self._most_events = limits.listener_queue_events
        self._most_bytes = limits.listener_queue_bytes
        self._budget = budget
        self._lose = lose
        self.alone: bool = alone
        self._size = 0
        self._turn = 0
        # By who may have it. Nearly always all may have everything.
        self._queues: dict[Members, deque[Parcel]] = {}

    def put(self, members: Members, parcel: Parcel) -> None:
        """Let a parcel wait, for any of these members; for nobody, if there are none."""
        if not members:
            _done(parcel)
            return
        self._queues.setdefault(members, deque()).append(parcel)
        self._grow(parcel.events, parcel.size)
        while self.events > self._most_events or self._size > self._most_bytes:
            self.shed()

    def next(self) -> tuple[Member, Share] | None:
        """Who is to be given something now, and what; `None` if nobody is ready for what waits."""
        self._tell_lost()
        first: tuple[list[Member], Members] | None = None
        serial: float = inf
        for members, queue in self._queues.items():
            if queue[0].serial < serial and (ready := [m for m in members if self._is_ready(m)]):
                first, serial = (ready, members), queue[0].serial
        if first is None:
            return None
        ready, members = first
        parcel = self._queues[members][0]
        member = min(ready, key=_load)
        # All shall have the same in the end; what is given together makes one frame.
        level = -(-(self.events + sum(m.events for m in ready)) // len(ready))
        most = min(parcel.end, parcel.at + min(member.free, max(1, level - member.events)))
        start = end = parcel.at
        size = 0
        while end < most and (end == start or member.held + size < _HELD_BYTES):
            size += _size(parcel.payloads, end, end + 1)
            end += 1
        parcel.at = end
        self._grow(start - end, -size)
        if parcel.at == parcel.end:
            self._drop(members)
        share = Share(parcel, start, end)
        self._give(member, share, size)
        return member, share

    def begun(self, member: Member, events: int) -> None:
        """The member has begun so many, or knows that it misses them; more than it has been given count for nothing."""
        while events and member.had:
            share = member.had[0]
            taken = min(events, share.events)
            if taken == share.events:
                member.had.popleft()
            else:
                member.had[0] = share._replace(start=share.start + taken)
            size = 0 if share.reason else _size(share.parcel.payloads, share.start, share.start + taken)
            member.held -= size
            self._budget.used -= size
            member.events -= taken
            member.begun += taken
            events -= taken

    def leave(self, member: Member) -> list[Share]:
        """A member goes; returns what it has not begun."""
        del self.members[member]
        self._budget.used -= member.held
        rest = list(member.had)
        member.ready = False
        member.had.clear()
        member.events = member.held = 0
        return rest

    def regroup(self, members_of: Callable[[Parcel], Members], back: Iterable[Share] = ()) -> None:
        """Somebody has come or gone: what waits, and what comes back, is for those who are there now."""
        waiting = [parcel for queue in self._queues.values() for parcel in queue]
        lost: list[Share] = []
        for share in back:
            if share.reason:
                lost.append(share)
                continue
            parcel = share.parcel.part(share.start, share.end)
            self._grow(share.events, parcel.size)
            waiting.append(parcel)
        waiting.sort(key=_place)
        self._queues.clear()
        for parcel in waiting:
            members = members_of(parcel)
            if members:
                self._queues.setdefault(members, deque()).append(parcel)
            else:
                self._grow(-parcel.events, -parcel.size)
                _done(parcel)
        for share in lost:
            self.miss(members_of(share.parcel), share)

    def lose(self, members: Members, share: Share) -> None:
        """Tell one of these that it misses something, behind all that waits; the share has a reason."""
        parcel = share.parcel.part(share.start, share.end, hollow=True)
        parcel.reason = share.reason
        self.put(members, parcel)

    def _tell_lost(self) -> None:
        """Of what is lost nobody need wait until it is his turn."""
        for members, queue in list(self._queues.items()):
            while queue and (parcel := queue[0]).reason:
                self._grow(0, -parcel.size)
                self._drop(members)
                self.miss(members, Share(parcel, parcel.at, parcel.end, parcel.reason))

    def miss(self, members: Members, share: Share) -> None:
        """Tell one of these at once that it misses something; the share has a reason."""
        if members:
            member = min(members, key=_load)
            hollow = Share(share.parcel.part(share.start, share.end, hollow=True), *share[1:])
            self._give(member, hollow, 0)
            self._lose(member, hollow)

    @property
    def due(self) -> float:
        """When something here will have waited too long."""
        return min((queue[0].deadline for queue in self._queues.values()), default=inf)

    def expire(self, now: float) -> None:
        """What has waited too long is lost."""
        while self.due <= now:
            self.shed()

    def shed(self) -> None:
        """Lose the oldest parcel; there must be one."""
        members = min(self._queues, key=self._oldest)
        parcel = self._queues[members][0]
        self._grow(-parcel.events, -parcel.size)
        self._drop(members)
        self.miss(members, Share(parcel, parcel.at, parcel.end, parcel.reason or "slow"))
        self._tell_lost()

    def waiting(self) -> Iterator[Parcel]:
        """What waits."""
        return chain.from_iterable(self._queues.values())

    def clear(self) -> None:
        """Forget what waits: nobody is left."""
        self.regroup(_nobody)

    def _oldest(self, members: Members) -> int:
        return self._queues[members][0].serial

    def _is_ready(self, member: Member) -> bool:
        """In a group not for a single place: frames of one event each would cost more than the events."""
        free = member.free
        enough = self.alone or free * 2 >= member.window or free >= self.events
        return free > 0 and enough and member.held < _HELD_BYTES and not member.connection.closed

    def _give(self, member: Member, share: Share, size: int) -> None:
        self._turn += 1
        member.served = self._turn
        member.had.append(share)
        member.events += share.events
        member.held += size
        self._budget.used += size

    def _drop(self, members: Members) -> None:
        """The first parcel there waits no more."""
        queue = self._queues[members]
        _done(queue.popleft())
        if not queue:
            del self._queues[members]

    def _grow(self, events: int, size: int) -> None:
        group = self._size.bit_length()
        self.events += events
        self._size += size
        self._budget.used += size
        if self._size.bit_length() != group:
            self._budget.move(self, group, self._size.bit_length())


def _done(parcel: Parcel) -> None:
    if parcel.paid is not None:
        parcel.paid()


def _size(payloads: list[bytes], start: int, end: int) -> int:
    return sum(map(len, payloads[start:end])) + _EVENT_BYTES * (end - start)


def _load(member: Member) -> tuple[float, int]:
    return member.load


def _place(parcel: Parcel) -> tuple[int, int]:
    return parcel.serial, parcel.at


def _nobody(parcel: Parcel) -> Members:
    return ()
