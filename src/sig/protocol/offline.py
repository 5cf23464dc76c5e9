"""What is triggered while a client has no link: kept for the next one, or dropped and counted, or refused.

Sans-I/O: no socket, no thread, no clock; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sig.errors import ConnectionLost

POLICIES: Final = ("buffer", "drop", "raise")


class Kept(NamedTuple):
    """An event that waits for a link."""

    sender: str
    event: str
    payload: bytes
    of: int | None = None
    """The incarnation that its sender had, if that has left; -1: it had none. Then it is no event of the next."""


class Offline:
    """Events that were triggered since the link was lost.

    Args:
        policy: `buffer` keeps them, `drop` counts them, `raise` refuses them.
        limit_bytes: so much is kept; then `add` refuses.
        kept_s: for so long after the loss; what is older is dropped, and what comes later refused.
    """

    def __init__(self, policy: str, limit_bytes: int, kept_s: float) -> None:
        self.dropped: int = 0
        """Events that nobody will ever get, over the whole life of this."""
        self._policy = policy
        self._limit_bytes = limit_bytes
        self._kept_s = kept_s
        self._until = 0.0
        self._kept: list[Kept] = []
        self._bytes = 0
        self._lost: dict[tuple[str, str], int] = {}
        self._told = False  # the losses have been told on a new link: until that is in use nothing more may be lost

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, now: float, waiting: Iterable[Kept]) -> None:
        """The link is lost, and these have not left on it. Time counts from here on."""
        self._until = now + self._kept_s
        self._told = False
        # What is lost is told before all that is kept: it must be the oldest.
        older = list(waiting)
        while older and self._policy == "buffer" and self._bytes + len(older[-1].payload) <= self._limit_bytes:
            self._keep(older.pop())
        self._kept.reverse()
        for kept in older:
            self._drop(kept)

    def add(self, kept: Kept, now: float, why: str) -> None:
        """One more. Raises `ConnectionLost` where it is not accepted: `why` says what has become of the link."""
        if self._policy == "drop" and not self._told:
            self._drop(kept)
            return
        reason = ""
        if self._policy == "raise":
            reason = "offline='raise'"
        elif self._late(now):
            self._expire()
            reason = f"it has been away for more than {self._kept_s:g} s (offline_s)"
        elif self._bytes + len(kept.payload) > self._limit_bytes:
            reason = f"{self._bytes} bytes of events wait already (offline_bytes={self._limit_bytes})"
        if reason:
            raise ConnectionLost(f"event {kept.event!r} of {kept.sender!r} was not accepted: {why}, and {reason}")
        self._keep(kept)

    def add_late(self, kept: Kept) -> None:
        """One that was accepted when the link was lost, as those of `begin`, and is known only now."""
        if self._policy == "buffer" or self._told:
            self._keep(kept)
        else:
            self._drop(kept)

    def leave(self, sender: str, event: str, incarnation: int) -> None:
        """The sender leaves: what is kept of this event is of that incarnation."""
        for at, one in enumerate(self._kept):
            if one.of is None and (one.sender, one.event) == (sender, event):
                self._kept[at] = one._replace(of=incarnation)

    def take(self, now: float) -> list[Kept]:
        """What is to be sent now that there is a link, in order."""
        if self._late(now):
            self._expire()
        self._told = False
        kept, self._kept, self._bytes = self._kept, [], 0
        return kept

    def losses(self, now: float) -> dict[tuple[str, str], int]:
        """How many events of which sender and event were dropped since the last `settle`: to be told on a new link.

        From here on none is dropped, as that would be told too late: until `take`, or until that link is lost, too.
        """
        if self._late(now):
            self._expire()
        self._told = True
        return dict(self._lost)

    def again(self) -> None:
        """The new link is lost before it was in use."""
        self._told = False

    def settle(self) -> None:
        """The losses have been told."""
        self._lost.clear()

    def _late(self, now: float) -> bool:
        return now >= self._until and not self._told

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._bytes += len(kept.payload)

    def _drop(self, kept: Kept) -> None:
        self.dropped += 1
        what = kept.sender, kept.event
        self._lost[what] = self._lost.get(what, 0) + 1

    def _expire(self) -> None:
        kept, self._kept, self._bytes = self._kept, [], 0
        for one in kept:
            self._drop(one)
