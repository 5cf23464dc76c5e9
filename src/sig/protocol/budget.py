"""What a server has in memory for all its links together: what waits for them, and what they may send unasked.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from sig.protocol.outbox import Entry

# What an entry takes beside its bytes: itself, its tables by route, and its place in each queue. Rather more than less.
_ENTRY: Final = 200
_ROUTE: Final = 150
_PLACE: Final = 16


class Holder(Protocol):
    """Whoever can hold less."""

    def shed(self) -> None:
        """Drop the oldest; there is one."""
        ...


class Budget:
    """Bytes that wait in outboxes whose links take no more for now; what waits in several of them counts once.

    Outboxes report here for as long as they are held up, and only then: who reads costs nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.used: int = 0
        # The outboxes with events, by how much they hold: within a group nobody has twice as much as another.
        self._groups: list[dict[Holder, None]] = [{} for _ in range(64)]

    @property
    def over(self) -> bool:
        """Whether too much waits."""
        return self.used > self.limit

    def hold(self, entry: Entry[Any]) -> None:
        """An outbox that is held up has this entry."""
        if not entry.holders:
            self.used += _weight(entry)
        entry.holders += 1
        self.used += _PLACE

    def release(self, entry: Entry[Any]) -> None:
        """It has it no more."""
        entry.holders -= 1
        self.used -= _PLACE
        if not entry.holders:
            self.used -= _weight(entry)

    def lose(self) -> None:
        """An entry that is held tells of one more loss."""
        self.used += _ROUTE

    def move(self, outbox: Holder, before: int, now: int) -> None:
        """The bytes of its events have so many bits now."""
        if before:
            del self._groups[before][outbox]
        if now:
            self._groups[now][outbox] = None

    def shed(self) -> bool:
        """Drop events until all is within the limit: the oldest of those who hold most. False where none are left.

        One frame at a time, each in turn: a frame that many wait for is freed when the last of them has dropped it.
        """
        while self.used > self.limit:
            group = next((group for group in reversed(self._groups) if group), None)
            if group is None:
                return False
            # Who sheds may fall out of its group, and never rises: this remains the one of those who hold most.
            while group and self.used > self.limit:
                outbox = next(iter(group))
                outbox.shed()
                if outbox in group:
                    group[outbox] = group.pop(outbox)
        return True


def _weight(entry: Entry[Any]) -> int:
    return entry.size + _ENTRY + _ROUTE * (len(entry.counts) + len(entry.lost or ()))


class Windows:
    """How many bytes of events each client may send before it is given credit again: together never over `total`.

    Half of that is shared out evenly to whoever may come, the other half among those who have something to send.

    Args:
        largest: the most that one client gets.
        clients: how many there may be.
    """

    def __init__(self, total: int, *, largest: int, clients: int) -> None:
        self.first: int = max(1, min(largest, total // 2 // clients))
        """What a client gets when it comes."""
        self._largest = largest
        self._shared = self._spare = max(0, total - self.first * clients)
        self._owners = 0

    def enter(self) -> None:
        """One more has something to send."""
        self._owners += 1

    def leave(self) -> None:
        """One less has."""
        self._owners -= 1

    def change(self, window: int, free: int) -> int:
        """By how much to widen the window of one who has something to send; negative: to narrow it, at most by `free`.

        Args:
            window: how large it is.
            free: how much of it is in our hands.
        """
        fair = min(self._largest, self.first + self._shared // max(1, self._owners))
        by = min(fair - window, self._spare) if fair >= window else -min(window - fair, free)
        self._spare -= by
        return by

    def give_back(self, window: int) -> None:
        """One who had so much has gone."""
        self._spare += window - self.first
