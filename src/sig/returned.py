"""What listeners are told when the link is back: what they missed, and which senders have come and gone meanwhile.

Everything here runs where listeners are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.info import Gap, Info
from sig.messages import Presence, Route
from sig.names import matches
from sig.subscription import Subscription

LOST_LINK: Final = "lost_link"
SERVER_RESTART: Final = "server_restart"


@dataclass(slots=True, eq=False)
class Left:
    """A route, or a lane, as it was when the link was lost: the number of its next event, and who heard it."""

    info: Info
    incarnation: int | None
    next_seq: int
    listeners: Sequence[Subscription]
    lane: bool = False
    told: bool = False

    def ends_with(self, later: Left) -> bool:
        """Whether that is the same on a link that was lost later: who heard this has heard what came there."""
        return self.lane == later.lane and (not self.lane or self.listeners == later.listeners)

    def speaks_to(self, listener: Subscription | None) -> bool:
        """Whether what was missed of this is known from a lane of that listener, or, if `None`, from the route."""
        if listener is None:
            return not self.lane or any(each.options.group is not None for each in self.listeners)
        return self.lane and listener in self.listeners

    def tell(self, missed: int | None, reason: str) -> None:
        self.told = True
        if missed == 0:
            return
        for listener in self.listeners:
            if not listener.closed:
                listener.gap(self.info, Gap(missed, reason))


class Absence:
    """From the loss of a link until all that was registered is registered on another.

    Events are counted at both ends and not numbered on the way: a route that goes on says the number of its next event,
    and what lies between was missed. Where it does not go on, nobody knows how many events there were.
    """

    def __init__(self) -> None:
        self.same: bool = True
        """Whether the server has not been started since."""
        self._kept = True
        # Of one event there may be several: who is given it by itself has been given as much as it took.
        self._left: dict[tuple[str, str], list[Left]] = {}
        self._listeners: list[Subscription] = []

    def begin(self, listeners: Iterable[Subscription]) -> None:
        """These were registered when the link was lost."""
        self._listeners = self._listeners or list(listeners)

    def leave(self, lefts: Iterable[Left]) -> None:
        """The routes, and lanes, of the link that was lost: all of them."""
        lost: dict[tuple[str, str], list[Left]] = {}
        for left in lefts:
            lost.setdefault((left.info.sender, left.info.event), []).append(left)
        for what, new in lost.items():
            others = [o for o in self._of(*what) if not (o.told and any(map(o.ends_with, new)))]
            for other in others:
                other.told = False  # it was told what it had missed until then
            self._left[what] = [*others, *new]

    def back(self, same: bool, kept: bool) -> None:
        """There is a link again; there may have been others since, and all count."""
        self.same = self.same and same
        self._kept = self._kept and kept

    def found(self, route: Route, info: Info, listener: Subscription | None = None) -> None:
        """A route has been opened: its listeners learn what they missed, since it was left, or since it came to be.

        Of a lane, its `listener` does. One for whom senders wait learns it by its lane alone: it is registered again
        after the route was opened, and is given nothing until then.
        """
        kept = self.same and self._kept
        # From a server that has forgotten us, or never knew: what a sender that is new to us has triggered was missed.
        missed = route.first_seq if kept else route.next_seq > 1 or route.unsure_seq
        if missed and (heard := self._unknowing(route, listener)):
            left = Left(info, route.incarnation, route.first_seq, heard, lane=listener is not None)
            self._left.setdefault((info.sender, info.event), []).append(left)
        for left in self._of(route.sender, route.event):
            if not left.told and left.speaks_to(listener):
                same = kept and route.incarnation == left.incarnation and left.next_seq > route.unsure_seq
                left.tell(max(0, route.next_seq - left.next_seq) if same else None, self._reason)
                left.incarnation, left.next_seq = route.incarnation, route.next_seq

    def gone(self, left: Left) -> None:
        """A route has been closed that was found: all that was missed of it is told, and another counts anew."""
        found = self._of(left.info.sender, left.info.event)
        found[:] = [o for o in found if not (o.told and o.incarnation == left.incarnation and o.ends_with(left))]

    def found_again(self, route: Route, info: Info, next_seq: int) -> None:
        """A route has been opened twice, and was to go on with that number: what lies between was missed.

        Had anybody been registered by then who hears all of it, the server would have sent it, and not opened it again.
        """
        missed = route.next_seq - next_seq if next_seq > route.unsure_seq else None
        heard = [each for each in self._hearing(route) if each.pace is None]
        Left(info, route.incarnation, next_seq, heard).tell(missed, self._reason)

    def _hearing(self, route: Route) -> list[Subscription]:
        """Who was to hear that when the link was lost, and all of it."""
        return [
            listener
            for listener in self._listeners
            if listener.options.group is None
            and matches(listener.sender, route.sender)
            and matches(listener.event, route.event or "")
        ]

    def _unknowing(self, route: Route, alone: Subscription | None) -> list[Subscription]:
        """Who was to hear that, and has not been given any of it."""
        left = self._of(route.sender, route.event)
        if alone is None and not all(each.lane for each in left):
            return []  # who hears what comes on the route knows it
        given = [listener for each in left for listener in each.listeners]
        return [
            listener
            for listener in self._hearing(route)
            if listener not in given and (listener.pace is None if alone is None else listener is alone)
        ]

    def knew(self, route: Route) -> bool:
        """Whether the event on this lane had come before the link was lost."""
        found = self._of(route.sender, route.event)
        return any(route.incarnation == left.incarnation and route.next_seq < left.next_seq for left in found)

    def end(self) -> None:
        """All is registered again. What has not been found is no more, or has no events to speak of yet."""
        for found in self._left.values():
            for left in found:
                if not left.told:
                    left.tell(None, self._reason)

    def _of(self, sender: str, event: str | None) -> list[Left]:
        return self._left.get((sender, event or ""), [])

    @property
    def _reason(self) -> str:
        return LOST_LINK if self.same else SERVER_RESTART


def hears_presence(listener: Subscription) -> bool:
    """Whether it is told of senders that come, or of those that go."""
    return matches(listener.event, EVENT_CONNECT) or matches(listener.event, EVENT_DISCONNECT)


class Presences:
    """Which senders listeners have been told of, so that `#connect` and `#disconnect` go on to alternate."""

    def __init__(self) -> None:
        self._there: dict[str, Presence] = {}
        # Who has a lane is told by itself, later than the others: that is not what these know. A group is told once.
        self._alone: WeakKeyDictionary[Subscription, dict[str, Presence]] = WeakKeyDictionary()
        self._grouped: dict[str, dict[str, Presence]] = {}
        # While listeners are registered again, one after the other: what each knew when the link was lost, by serial.
        self._knew: dict[int, dict[str, Presence]] = {}

    def part(self, listeners: Iterable[Subscription]) -> None:
        """The link is lost: these are to be told what changes until they are registered again."""
        there = dict(self._there)  # one for all who are told together
        for listener in listeners:
            knew = there if listener.pace is None else dict(self._known_to(listener))
            self._knew.setdefault(listener.serial, knew)

    def waits(self, listener: Subscription) -> bool:
        """Whether this one is still to be registered again, and then told all at once."""
        return listener.serial in self._knew

    def take(self, news: Presence, listener: Subscription | None = None) -> None:
        """Everybody who listens to that is told, or one who has a lane."""
        there = self._known_to(listener)
        if news.event == EVENT_CONNECT:
            there[news.sender] = news
        else:
            there.pop(news.sender, None)

    def found(self, part: Presence, listener: Subscription) -> None:
        """A listener has been told that it is there, or need not be."""
        self._known_to(listener)[part.sender] = part

    def changes(self, listener: Subscription, since_us: int, there: Iterable[Presence]) -> list[Presence]:
        """What a listener has not seen, who listened since then and is registered again, if these are there now."""
        changes: list[Presence] = []
        found = {part.sender: part for part in there}
        current = self._known_to(listener)
        knew = self._knew.pop(listener.serial, current)
        for name, known in list(knew.items()):
            part = found.get(name)
            if matches(listener.sender, name) and (part is None or part.incarnation != known.incarnation):
                data = {**known.data, "reason": "lost"}
                changes.append(Presence(name, known.incarnation, EVENT_DISCONNECT, data, known.time_us))
                if part is None and name in current and current[name].incarnation == known.incarnation:
                    del current[name]
        for part in found.values():
            before = knew.get(part.sender)
            if part.time_us > since_us if before is None else before.incarnation != part.incarnation:
                changes.append(part)
        return [change for change in changes if matches(listener.event, change.event)]

    def _known_to(self, listener: Subscription | None) -> dict[str, Presence]:
        """Of whom it, and those who are told with it, have been told that they are there."""
        if listener is None or listener.pace is None:
            return self._there
        group = listener.options.group
        return self._alone.setdefault(listener, {}) if group is None else self._grouped.setdefault(group, {})

    def settle(self) -> None:
        """Every listener has been told."""
        self._knew.clear()
