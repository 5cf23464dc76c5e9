"""Lanes: events that are not for all listeners of a client, on their way to the one whom they are for.

Sans-I/O: no socket, no thread, no clock. Members of groups, and listeners for whom senders wait, are given events by
their *lines* (see `line`). A lane is a route of its own, for those events of one route that one of them is given. What
stands on it tells its number, since not everything on the route comes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, count
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from sig.constants import NAME_MAX_BYTES
from sig.errors import InvalidArgument
from sig.messages import Listen, Presence, RouteGone, encode_control
from sig.protocol.bodies import Lost, Unit, pack_lost, unpack_credit
from sig.protocol.bridge import Outcome
from sig.protocol.connection import Connection
from sig.protocol.ended import End
from sig.protocol.events import pack_batch, unpack_events
from sig.protocol.fitting import lengths
from sig.protocol.frames import FRAMING_ROOM_BYTES, HEADER, Frame, Kind, pack
from sig.protocol.heard import LinkSubscription
from sig.protocol.held import Route
from sig.protocol.line import Line, Member, Members, Parcel, Share
from sig.protocol.outbox import Frames

if TYPE_CHECKING:
    from sig.protocol.server import ServerCore

# Which lines take the events of a route, and who of their members may have them.
Lines: TypeAlias = tuple[tuple[Line, Members], ...]
# The events of one route in a row: number, time, payloads; or how many there are, where nobody can tell them apart.
_Run: TypeAlias = tuple[int, int, list[bytes] | int]

_GONE: Final = encode_control(RouteGone())
# A ROUTE takes no more, nearly always.
A_ROUTE: Final = bytes(1024)
# Of an event in a frame, beside its payload: its length, and a newline.
_BESIDE: Final = 5


class Lanes:
    """All lines of one server, and the lanes of their members."""

    def __init__(self, server: ServerCore) -> None:
        self.due: float = inf
        """When `expire` has something to do, or before."""
        self._server = server
        self._groups: dict[str, Line] = {}
        self._blocking: dict[Line, float] = {}  # those for whom senders wait, and how long
        self._numbers: dict[int, Route] = {}  # of lanes
        self._members: dict[Route, dict[Member, None]] = {}  # who has a lane of it
        self._serials = count(1)

    def __contains__(self, number: int) -> bool:
        """Whether that is the number of a lane."""
        return number in self._numbers

    # Who comes and goes

    def join(self, subscription: LinkSubscription, call: Listen) -> None:
        """Somebody listens in a group, or has senders wait; is given nothing before `begin`."""
        limits = self._server.limits
        if call.group is not None:
            if not 0 < len(call.group.encode()) <= NAME_MAX_BYTES:
                raise InvalidArgument(f"the name of a group has 1 to {NAME_MAX_BYTES} bytes, not {len(call.group)}")
            line = self._groups.get(call.group)
            if line is None:
                line = self._groups[call.group] = self._line()
        elif call.max_wait_s is not None:
            line = self._line(alone=True)
            self._blocking[line] = call.max_wait_s
        else:
            return
        window = min(call.window or limits.group_prefetch, limits.listener_queue_events)
        subscription.line = line
        subscription.firsts = {} if line.alone else None
        subscription.member = member = Member(subscription.connection, call.id, window, subscription.firsts)
        line.members[member] = None

    def _line(self, *, alone: bool = False) -> Line:
        return Line(self._server.limits, self._server.budget, self._lose, alone=alone)

    def reopen(self, subscription: LinkSubscription) -> None:
        """One for whom senders wait is back: it learns from which number on it is given each event. The rest it missed.

        To be followed by `begin` before anything else comes.
        """
        line, member, connection = subscription.line, subscription.member, subscription.connection
        if line is None or member is None or not (line.alone and subscription.again and member in line.members):
            return
        for route in self._server.listening.index.targets(subscription.sender, subscription.event):
            allowed = self._server.allowed(connection.identity, "listen", route.sender, route.event)
            if allowed and not route.denied and connection.has_room_for(A_ROUTE):
                self._lane(member, route, route.next_seq)

    def begin(self, subscription: LinkSubscription) -> None:
        """It knows that it listens: from here on it is given events."""
        line, member = subscription.line, subscription.member
        if line is None or member is None or member not in line.members:
            return
        member.ready = True
        self._changed(subscription)
        line.regroup(partial(self._members_of, line))
        self._pump(line)

    def leave(self, subscription: LinkSubscription, begun: int | None = None, reason: str = "lost_link") -> None:
        """It listens no more, and is out of the index.

        What it has not begun is for the others, if `begun` tells how many it had begun in all; else it is lost, for the
        reason that is given. With none, it gets what is on its way.
        """
        line, member = subscription.line, subscription.member
        if line is None or member is None:
            return
        for route in list(member.lanes):
            self._close_lane(member, route)
        if begun is not None:
            line.begun(member, begun - member.begun)
        rest: Iterable[Share] = line.leave(member)
        if begun is None:
            rest = [share._replace(reason=share.reason or reason) for share in rest] if reason else ()
        if line.members:
            line.regroup(partial(self._members_of, line), rest)
            self._pump(line)
            return
        if line.alone and not begun:
            self._lose_ended(member, line.waiting())
        line.clear()
        self._blocking.pop(line, None)
        for name in [name for name, other in self._groups.items() if other is line]:
            del self._groups[name]

    def _lose_ended(self, member: Member, parcels: Iterable[Parcel]) -> None:
        """These it was not given. Of senders that are there still it learns that from the number of the next event."""
        for parcel in parcels:
            route = parcel.route
            if route is not None and self._has_gone(route):
                end = End(route, parcel.first_seq + parcel.at, member.id)
                member.connection.ended.add(self._server.number(), end, self._server.now, away=True)

    def reconsider(self) -> None:
        """Rights have changed: what waits is for those who may have it now."""
        for line in [*self._groups.values(), *self._blocking]:
            line.regroup(partial(self._members_of, line))
            self._pump(line)

    def _changed(self, subscription: LinkSubscription) -> None:
        for route in self._server.listening.index.targets(subscription.sender, subscription.event):
            self._server.listening.changed(route)

    def lines(self, sender: str, event: str) -> Lines:
        """Which lines hear that event: also those none of whose members is ready yet."""
        if not (self._groups or self._blocking):
            return ()
        found: dict[Line, list[Member]] = {}
        allowed = self._server.allowed
        for subscription in self._server.listening.index.matching(sender, event):
            line, member = subscription.line, subscription.member
            if line is not None and member is not None and allowed(member.connection.identity, "listen", sender, event):
                members = found.setdefault(line, [])
                if member.ready:
                    members.append(member)
        return tuple((line, tuple(members)) for line, members in found.items())

    def _members_of(self, line: Line, parcel: Parcel) -> Members:
        return dict(self.lines(parcel.sender, parcel.event)).get(line, ())

    # What is to be given to somebody

    def take(self, owner: Connection, frames: Sequence[Frame], wanted: Mapping[int, Lines]) -> None:
        """Events have come, and are about to be accepted; of these routes they are for these lines."""
        server = self._server
        numbers: dict[int, int] = {}
        touched: dict[Line, None] = {}
        for number, time_us, payloads in _runs(frames, wanted, lines=owner.codec.lines):
            route = server.routes[number]
            first = numbers.get(number, route.next_seq)
            events = payloads if isinstance(payloads, int) else len(payloads)
            numbers[number] = first + events
            for line, members in wanted[number]:
                if isinstance(payloads, int):
                    self._lost(line, members, route, first, events, "undecodable")
                    continue
                parcel = self._parcel(line, route.sender, route.event, payloads)
                parcel.route, parcel.time_us, parcel.first_seq = route, time_us, first
                if line.alone and members:
                    # At once: should its link be lost before it is given any, it will have missed all from here on.
                    self._lane(members[0], route, first)
                if line in self._blocking and members and self._may_block(members, route):
                    size = sum(map(len, payloads)) + events
                    owner.hold(size)
                    parcel.paid = partial(owner.let_go, size)
                line.put(members, parcel)
                touched[line] = None
        for line in touched:
            self._pump(line)

    def miss(self, route: Route, count: int | None) -> None:
        """Events never came, so many or nobody knows how many: one member of each line is told."""
        for line, members in self.lines(route.sender, route.event):
            self._lost(line, members, route, route.next_seq, count or 0, "lost_link")

    def _lost(self, line: Line, members: Members, route: Route, first_seq: int, events: int, reason: str) -> None:
        """So many from there on are lost; none: nobody knows how many."""
        parcel = Parcel(route.sender, route.event, next(self._serials), [], route=route, first_seq=first_seq)
        line.lose(members, Share(parcel, 0, events, reason))
        self._pump(line)

    def _may_block(self, members: Members, route: Route) -> bool:
        """Who may not is given the same, but nobody waits for him."""
        identity = members[0].connection.identity
        return self._server.allowed(identity, "block", route.sender, route.event)

    def tell(self, message: Presence) -> None:
        """A presence is for one member of each group."""
        for line, members in self.lines(message.sender, message.event):
            parcel = self._parcel(line, message.sender, message.event, [b""])
            parcel.presence = message
            line.put(members, parcel)
            self._pump(line)

    def _parcel(self, line: Line, sender: str, event: str, payloads: list[bytes]) -> Parcel:
        parcel = Parcel(sender, event, next(self._serials), payloads)
        wait = self._blocking.get(line)
        if wait is not None:
            parcel.deadline = self._server.now + wait
            self.due = min(self.due, parcel.deadline)
        return parcel

    def credit(self, connection: Connection, frame: Frame) -> None:
        """A member has begun some of what it has."""
        credit = unpack_credit(frame)
        subscription = connection.subscriptions.get(frame.route)
        if credit.unit is not Unit.EVENTS or subscription is None:
            return  # it has been closed meanwhile
        line, member = subscription.line, subscription.member
        if line is not None and member is not None:
            line.begun(member, credit.amount)
            self._pump(line)

    def expire(self, now: float) -> None:
        """What has waited too long is lost."""
        if self.due > now:
            return
        self.due = inf
        for line in self._blocking:
            line.expire(now)
            self.due = min(self.due, line.due)

    def _pump(self, line: Line) -> None:
        while (given := line.next()) is not None:
            self._send(*given)

    # How it is told

    def _send(self, member: Member, share: Share) -> None:
        parcel, connection = share.parcel, member.connection
        if parcel.presence is not None:
            self._say(member, parcel.presence)
            return
        route = parcel.route
        assert route is not None  # an event has one
        seq = parcel.first_seq + share.start
        lane = self._lane(member, route, seq)
        source, target = route.held.owner.codec, connection.codec_on(route)
        payloads = parcel.payloads[share.start : share.end]
        bridge, alike = self._server.bridge, source.name == target.name
        outcomes: list[Outcome] = [p if alike else bridge.event(p, source, target) for p in payloads]
        for piece in _pieces(outcomes, connection.max_frame_bytes - FRAMING_ROOM_BYTES):
            if isinstance(piece, str):
                connection.lose(((lane, 1),), piece)
                seq += 1
                continue
            time_us = parcel.time_us
            data = pack_batch(lane, piece, lens=False, lines=target.lines, time_us=time_us, first_seq=seq)
            connection.share(Frames.of(data, ((lane, len(piece)),)))
            seq += len(piece)
        self._used(member, route)

    def _say(self, member: Member, presence: Presence) -> None:
        connection = member.connection
        message = replace(presence, listener=member.id)
        frame = pack(Kind.PRESENCE, encode_control(message))
        if len(frame) - HEADER.size > connection.max_frame_bytes:
            # The names that one client chose must not cost another its link.
            frame = pack(Kind.PRESENCE, encode_control(replace(message, data={"events": [], "requests": None})))
        connection.put(frame)

    def _lose(self, member: Member, share: Share) -> None:
        parcel = share.parcel
        if parcel.presence is not None:
            self._say(member, parcel.presence)  # which is never lost
            return
        route = parcel.route
        assert route is not None  # an event has one
        lane = self._lane(member, route, parcel.first_seq + share.start)
        if share.events:
            member.connection.lose(((lane, share.events),), share.reason)
        else:
            member.connection.put(pack_lost(Lost(lane, None, share.reason)))
        self._used(member, route)

    def _lane(self, member: Member, route: Route, seq: int) -> int:
        """The number under which a member is given events of that route, this one at first; it has been told."""
        lane = member.lanes.get(route)
        if lane is None:
            lane = member.lanes[route] = self._server.number()
            self._numbers[lane] = route
            self._members.setdefault(route, {})[member] = None
            message = replace(self._server.describe_to(member.connection, route), next_seq=seq)
            message = replace(message, base=route.id, listener=member.id)
            if member.firsts is not None:
                message = replace(message, first_seq=_first(member, route, message.first_seq))
                member.firsts.setdefault(route, message.first_seq or seq)
            member.connection.put(pack(Kind.ROUTE, encode_control(message), route=lane))
            if not route.known_by.setdefault(member.connection, False):
                member.connection.known[route] = seq
        return lane

    def _used(self, member: Member, route: Route) -> None:
        """Of a sender that has gone, something may have waited; the lane was for this alone."""
        if self._has_gone(route):
            self._close_lane(member, route)
            route.known_by.pop(member.connection, None)
            member.connection.known.pop(route, None)

    def route_gone(self, route: Route) -> None:
        """A sender leaves. What waits still comes."""
        for member in list(self._members.get(route, ())):
            self._close_lane(member, route)

    def _close_lane(self, member: Member, route: Route) -> None:
        lane = member.lanes.pop(route)
        del self._numbers[lane], self._members[route][member]
        if not self._members[route]:
            del self._members[route]
        connection = member.connection
        connection.put(pack(Kind.ROUTE_GONE, _GONE, route=lane))
        if connection.returns:
            end: End | None = None
            if member.firsts is not None and self._has_gone(route):
                end = End(route, member.firsts.pop(route), member.id)
            connection.ended.add(lane, end, self._server.now)

    def _has_gone(self, route: Route) -> bool:
        return self._server.routes.get(route.id) is not route


def _first(member: Member, route: Route, default: int) -> int:
    """Which event was the first that a listener who is back was to be given, by the oldest link that is kept."""
    for link in member.connection.earlier:
        subscription = link.subscriptions.get(member.id)
        if subscription is not None and subscription.firsts is not None and route in subscription.firsts:
            return subscription.firsts[route]
    return default


def _pieces(outcomes: Iterable[Outcome], room: int) -> Iterator[list[bytes] | str]:
    """Payloads that fit into a frame together, and in between why one is missing."""
    piece: list[bytes] = []
    size = 0
    for outcome in outcomes:
        reason = outcome if isinstance(outcome, str) else "too_big" if len(outcome) > room else ""
        if piece and (reason or size + len(outcome) > room):
            yield piece
            piece, size = [], 0
        if isinstance(outcome, str) or reason:
            yield reason
        else:
            piece.append(outcome)
            size += len(outcome) + _BESIDE
    if piece:
        yield piece


def _runs(frames: Sequence[Frame], wanted: Mapping[int, object], *, lines: bool) -> Iterator[_Run]:
    """The events of the wanted routes, those of one route and time that follow each other together."""
    last: tuple[int, int] | None = None
    gathered: list[bytes] = []
    for frame in frames:
        batch = unpack_events(frame)
        sizes = lengths(batch, frame.count, lines=lines)
        if sizes is None:
            if last is not None:
                yield *last, gathered
            yield frame.route, batch.time_us, frame.count
            last, gathered = None, []
            continue
        starts = accumulate(sizes, initial=0)
        routes = batch.routes or (frame.route,) * frame.count
        for number, start, size in zip(routes, starts, sizes, strict=False):
            if number not in wanted:
                continue
            if last != (number, batch.time_us):
                if last is not None:
                    yield *last, gathered
                last, gathered = (number, batch.time_us), []
            payload = batch.payloads[start : start + size]
            gathered.append(payload.removesuffix(b"\n") if lines else payload)
    if last is not None:
        yield *last, gathered
