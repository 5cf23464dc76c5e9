"""What listeners are told when the link is back: what they missed, and which senders have come and gone meanwhile.

Everything here runs where listeners are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sig.constants import EVENT_CONNECT, EVENT_DISCONNECT
from sig.info import Gap, Info
from sig.messages import Presence, Route
from sig.names import matches
from sig.subscription import Subscription

LOST_LINK: Final = "lost_link"
SERVER_RESTART: Final = "server_restart"


class _Left:
    """A route as it was when the link was lost, and who heard it."""

    __slots__ = ("incarnation", "info", "listeners", "next_seq", "told")

    def __init__(self, info: Info, incarnation: int | None, next_seq: int, listeners: Sequence[Subscription]) -> None:
        self.info = info
        self.incarnation = incarnation
        self.next_seq = next_seq
        self.listeners = listeners
        self.told = False

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
        self._left: dict[tuple[str, str], list[_Left]] = {}

    def leave(self, info: Info, incarnation: int | None, next_seq: int, listeners: Sequence[Subscription]) -> None:
        """A route, or a lane, on which the next event would have had that number."""
        others = [left for left in self._of(info.sender, info.event) if not left.told]
        self._left[info.sender, info.event] = [*others, _Left(info, incarnation, next_seq, listeners)]

    def back(self, same: bool, kept: bool) -> None:
        """There is a link again; there may have been others since, and all count."""
        self.same = self.same and same
        self._kept = self._kept and kept

    def found(self, route: Route) -> None:
        """A route has been opened: if it is one of those that were left, its listeners learn what they missed."""
        for left in self._of(route.sender, route.event):
            if not left.told:
                same = self.same and self._kept and route.incarnation == left.incarnation
                left.tell(max(0, route.next_seq - left.next_seq) if same else None, self._reason)

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

    def _of(self, sender: str, event: str | None) -> list[_Left]:
        return self._left.get((sender, event or ""), [])

    @property
    def _reason(self) -> str:
        return LOST_LINK if self.same else SERVER_RESTART


class Presences:
    """Which senders listeners have been told of, so that `#connect` and `#disconnect` go on to alternate."""

    def __init__(self) -> None:
        self._there: dict[str, Presence] = {}
        # While listeners are registered again, one after the other, each is compared with what was.
        self._come: dict[str, Presence] = {}
        self._gone: dict[str, int] = {}

    def take(self, news: Presence) -> None:
        """Everybody who listens to that is told."""
        self._come.pop(news.sender, None)
        self._gone.pop(news.sender, None)
        if news.event == EVENT_CONNECT:
            self._there[news.sender] = news
        else:
            self._there.pop(news.sender, None)

    def found(self, part: Presence, returning: bool) -> None:
        """One listener has been told, or need not be. `returning`: others are still to be compared with what was."""
        (self._come if returning else self._there)[part.sender] = part

    def changes(
        self, sender: str | None, event: str | None, since_us: int, there: Iterable[Presence]
    ) -> list[Presence]:
        """What a listener of these has not seen, who listens since then, if these are there now."""
        changes: list[Presence] = []
        found = {part.sender: part for part in there}
        for name, known in self._there.items():
            part = found.get(name)
            if matches(sender, name) and (part is None or part.incarnation != known.incarnation):
                data = {**known.data, "reason": "lost"}
                changes.append(Presence(name, known.incarnation, EVENT_DISCONNECT, data, known.time_us))
                if part is None:
                    self._gone[name] = known.incarnation
        for part in found.values():
            known_too = self._there.get(part.sender)
            if known_too is None:
                news = part.time_us > since_us
            else:
                news = known_too.incarnation != part.incarnation
            if news:
                changes.append(part)
        return [change for change in changes if matches(event, change.event)]

    def settle(self) -> None:
        """Every listener has been told."""
        for name, incarnation in self._gone.items():
            if name in self._there and self._there[name].incarnation == incarnation:
                del self._there[name]
        self._there |= self._come
        self._come.clear()
        self._gone.clear()
