"""The senders that a client holds: on which routes their events leave, and what becomes of these without a link.

Sans-I/O: no socket, no thread, no clock; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from sig.errors import Denied, RemoteProtocolError, SenderNotConnected
from sig.messages import Interest, Route, decode_control, encode_control
from sig.protocol.frames import Frame, Kind, check_payload, pack
from sig.protocol.offline import Kept, Offline

if TYPE_CHECKING:
    from sig.protocol.client import ClientCore

# What an outlet is told instead of a route.
CLOSED: Final = 0
UNHEARD: Final = -1


class Owning:
    """Those of one client. It outlives links: what is known of one alone is in `_owned` and `_denied`."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._outlets: dict[tuple[str, str], Callable[[int], object]] = {}
        self._owned: dict[tuple[str, str | None], int] = {}
        self._denied: dict[tuple[str, str | None], str] = {}  # those of these that may not be triggered, and why
        self._withheld: dict[tuple[str, str], None] = {}  # events held back until the last link was lost
        # How many never came of those whose names were another's when the client was back; see `losses`.
        self._untold: dict[tuple[str, str], int | None] = {}
        self._incarnations: dict[tuple[str, str | None], int] = {}  # of those that were owned when the link was lost
        self._before: dict[int, Route] = {}  # what was known then
        self._packed_before = 0  # events that had gone into frames when this link began
        self._abandoned = 0  # events that were accepted and never went into a frame
        self.sent: int = 0
        """Of the events accepted, all up to that number had gone, or been dropped, when a link was lost."""
        self.absence: int = 0
        """How often the link has been lost with everything registered on it."""
        self._in_flight: int | None = 0  # of those that had gone, so many never arrived; `None`: nobody knows
        self._packed_elsewhere = 0  # events that had gone into frames when the present server was met
        self._ended = False  # a server to which some had gone is no more: whether it had passed them on nobody knows
        # Of what all events are that have been sent since nothing was in flight; and whether there was more than that.
        self._only: tuple[str, str] | None = None
        self._several = False

    def outlet(self, sender: str, event: str, changed: Callable[[int], object]) -> None:
        """Call `changed` whenever the route changes on which to send the events of a sender that this client holds.

        With its number, `CLOSED` when there is none, `UNHEARD` when nobody listens: then nothing need be sent. It
        returns true if there were events since `UNHEARD`: somebody may have begun to listen before we heard of it.
        """
        self._outlets[sender, event] = changed
        self._only = self._only or (sender, event)
        self._several |= self._only != (sender, event)

    def close_outlets(self, sender: str, events: Iterable[str]) -> None:
        """Send no more of these events, whatever the server knows yet."""
        for event in events:
            self._owned.pop((sender, event), None)
            self._denied.pop((sender, event), None)
            self._withheld.pop((sender, event), None)
            self._untold.pop((sender, event), None)
            if (changed := self._outlets.pop((sender, event), None)) is not None:
                changed(CLOSED)
                incarnation = self._incarnations.pop((sender, event), -1)
                if self._core.offline is not None and self._core.away:
                    self._core.offline.leave(sender, event, incarnation)

    def trigger(self, sender: str, event: str, payload: bytes) -> None:
        """Send an event of a sender that this client holds; asks not whether there is room."""
        self._core.check_alive()
        number = self._owned.get((sender, event))
        if number is None:
            raise SenderNotConnected(sender)
        if (sender, event) in self._denied:
            raise Denied(f"you may not trigger event {event!r} of sender {sender!r}: {self._denied[sender, event]}")
        check_payload(payload, self._core.max_frame_bytes)
        self._core.outgoing.events.append((number, payload))

    @property
    def triggered(self) -> int:
        """Events accepted so far."""
        outgoing, offline = self._core.outgoing, self._core.offline
        here = outgoing.packed + len(outgoing.events) + self._abandoned
        return here if offline is None else here + len(offline) + offline.dropped

    def keep(self, sender: str, event: str, payload: bytes, now: float) -> None:
        """An event that is triggered while there is no link. Raises `ConnectionLost` where it is not accepted."""
        core = self._core
        if core.offline is None or (sender, event) not in self._outlets:
            raise SenderNotConnected(sender)
        self._gather(core.offline)
        core.offline.add(Kept(sender, event, payload), now, str(core.error or "the link to the server is lost"))

    def losses(self, now: float) -> dict[str, dict[str, int | None]]:
        """Which events never came to the server, by sender and event, for `AddSender`; `None`: nobody knows how many.

        Those that were under way can be told apart only where there is but one event they can be of.
        """
        told: dict[str, dict[str, int | None]] = {}
        for (sender, event), count in self._losses(now).items():
            told.setdefault(sender, {})[event] = count
        return told

    def untold(self, sender: str) -> dict[str, int | None]:
        """The same of a sender whose name was another's when all else was registered again, and is asked for now."""
        return {event: count for (name, event), count in self._untold.items() if name == sender}

    def _losses(self, now: float) -> dict[tuple[str, str], int | None]:
        offline = self._core.offline
        dropped = {} if offline is None else offline.losses(now)
        lost = dict(self._untold)
        for what, count in dropped.items():
            lost[what] = _sum(lost.get(what, 0), count)
        if self._in_flight != 0 or self._ended:
            under_way = None if self._several or self._ended else self._in_flight
            for what in self._outlets:
                lost[what] = _sum(lost.get(what, 0), under_way)
        # Whether anybody listened to these nobody knew.
        return {**lost, **dict.fromkeys(self._withheld)}

    def shut(self) -> None:
        """Let no outlet send any more, nor hold back in silence."""
        for what, changed in self._outlets.items():
            if changed(CLOSED):
                self._withheld[what] = None

    def owns(self, sender: str, event: str | None) -> bool:
        """Whether the server knows this client as the owner of that event. From any thread."""
        return (sender, event) in self._owned

    def interest(self, frame: Frame) -> None:
        """INTEREST has come: whether anybody listens, or the event may not be triggered."""
        interest = decode_control(Interest, frame.body)
        heard = interest.state not in ("none", "denied")
        route = self._core.routes.get(frame.route)
        if route is None or not route.owner or route.event is None:
            raise RemoteProtocolError(f"the server sent INTEREST in route {frame.route}, which is no event of ours")
        # Not of one that left, and has the name again on a route that we do not know yet.
        current = self._owned.get((route.sender, route.event)) == frame.route
        if current and interest.state == "denied":
            self._denied[route.sender, route.event] = interest.reason
        elif current:
            self._denied.pop((route.sender, route.event), None)
        if interest.state == "grouped":
            self._core.outgoing.lens = True  # of all its batches: to tell them apart would cost more than the lengths
        outlet = self._outlets.get((route.sender, route.event)) if current and not self._core.away else None
        if not heard:
            if outlet is not None:
                outlet(CLOSED if interest.state == "denied" else UNHEARD)
            return
        # From here on nothing is held back: whoever waits to be told so is told, and what is triggered follows that.
        if outlet is not None and outlet(CLOSED):
            # Who is back hears what waits here, too, and must be told behind that of what was held back since.
            body = encode_control(msgspec.structs.replace(interest, held=True))
            self._core._put(pack(Kind.INTEREST, body, route=frame.route))
        else:
            self._core._urge(pack(Kind.INTEREST, frame.body, route=frame.route))
        if outlet is not None:
            outlet(frame.route)

    # The link

    def opened(self, number: int, route: Route) -> None:
        """The server has told of a route on which something of a sender of this client is sent."""
        if self._owned.get((route.sender, route.event)) == number:
            return  # it is told to who listens, too: whether anybody does is another matter
        self._owned[route.sender, route.event] = number
        if self._core.away:
            return
        what = route.sender, route.event or ""
        self._untold.pop(what, None)  # now it has been told
        if (changed := self._outlets.get(what)) is not None:
            changed(number)

    def gone(self, number: int, route: Route) -> None:
        """A route is no more."""
        if self._owned.get((route.sender, route.event)) == number:
            del self._owned[route.sender, route.event]
            # Without a link the outlet is closed already, and may be of another that has taken the name since.
            if route.event is not None and not self._core.away:
                self.close_outlets(route.sender, (route.event,))

    def lost(self, offline: Offline) -> None:
        """The link is lost, and another will follow. What has not left on it waits for that one."""
        core = self._core
        self.absence += 1
        waiting = core.outgoing.take_back()
        self._in_flight = core.outgoing.packed - self._packed_before
        self.sent = core.outgoing.packed + self._abandoned + offline.dropped
        self._incarnations = {what: core.routes[number].incarnation for what, number in self._owned.items()}
        known = [(number, payload) for number, payload in waiting if number in core.routes]
        kept = [self._kept(number, payload) for number, payload in known]
        self._abandoned += len(waiting) - len(kept)
        offline.begin(core.now, kept)
        core.outgoing.shut, self._before = True, dict(core.routes)

    def _gather(self, offline: Offline) -> None:
        """Keep what threads were about to send on the link when it was lost, and have handed over since."""
        for number, payload in self._core.outgoing.part():
            route = self._before.get(number)
            if route is None or route.event is None:
                self._abandoned += 1
                continue
            left = (route.sender, route.event) not in self._outlets
            offline.add_late(Kept(route.sender, route.event, payload, route.incarnation if left else None))

    def _kept(self, number: int, payload: bytes) -> Kept:
        """What was to leave on that route; its sender may have left before."""
        route = self._core.routes[number]
        left = self._owned.get((route.sender, route.event)) != number
        return Kept(route.sender, route.event or "", payload, route.incarnation if left else None)

    def abandon(self) -> None:
        """What no frame holds yet is lost with the link."""
        self._abandoned += len(self._core.outgoing.part())
        self._core.outgoing.shut = True

    def forget_link(self, flushed: int) -> None:
        """What was known of the last link holds no more; so many of the events triggered are known to be routed."""
        self._owned.clear()
        self._denied.clear()
        if flushed >= self.sent:
            self._in_flight = 0

    def let_in(self, events: int | None, *, same: bool) -> None:
        """The server has let the client in again: of what was in flight so much came; `None`: it does not know.

        Not the `same`: also what was known to have been routed may have come to nobody, and who had never heard of such
        an event cannot tell.
        """
        if self._in_flight and events is not None:
            self._in_flight = max(0, self._in_flight - events)
        elif self._in_flight:
            self._in_flight = None
        self._packed_before = packed = self._core.outgoing.packed
        if not same:
            self._ended |= packed > self._packed_elsewhere
            self._packed_elsewhere = packed

    def restored(self, offline: Offline, now: float) -> None:
        """All has been registered again: what was triggered meanwhile leaves now, and then what comes."""
        lost = self._losses(now).items()
        self._untold = {what: count for what, count in lost if what in self._outlets and what not in self._owned}
        self._in_flight = 0
        self._ended = False
        self._withheld.clear()
        self._only, self._several = next(iter(self._outlets), None), len(self._outlets) > 1
        offline.settle()
        self._incarnations.clear()
        self._gather(offline)
        self._before, self._core.outgoing.shut = {}, False
        for sender, event, payload, incarnation in offline.take(now):
            number = self._owned.get((sender, event))
            if number is None:
                self._abandoned += 1
                if incarnation is None:  # its sender is still here: the name was lost, and its owner told
                    self._untold[sender, event] = _sum(self._untold.get((sender, event), 0), 1)
            elif incarnation not in (None, self._core.routes[number].incarnation):
                self._abandoned += 1  # its sender is gone for the server, too, and this is another
            else:
                self._core.outgoing.events.append((number, payload))
        for what, changed in self._outlets.items():
            changed(self._owned.get(what, CLOSED))


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
