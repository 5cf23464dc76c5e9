"""What comes for links that take nothing: kept once for all of them, and not put into the outbox of each.

Sans-I/O: no socket, no thread, no clock. A link is *late* when it is held up and has taken none of the last events. An
event costs the same however many late links hear it: the backlog of their audience gets it, and each of them knows from
where on that is its own. It catches up when it takes something again, or is told what must stand behind those events:
then they go into its outbox, as if each had gone there by itself.

A backlog is a chain of *lots*: events that came one after the other. The oldest are dropped as they are from an outbox,
and then the lot tells what is missing there: to all for whom it stands, exactly, and at no cost for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Final, Generic, TypeVar

from sig.protocol.budget import Budget
from sig.protocol.outbox import SLOW, Entry, Frames, Losses

T = TypeVar("T")

# So many runs of events in a row that a link has not taken anything of make it late. Who is merely slow takes some in
# between, and to part with the others and come back would be more work than to stay.
PATIENCE: Final = 16


class Lot:
    """One place in the chain."""

    __slots__ = ("after", "begun", "entry", "next", "number", "pieces", "size")

    def __init__(self) -> None:
        self.number: int = 0  # in the order of all backlogs of a server, from its first piece on
        self.after: int = 0  # the last place before it where a link was told something
        self.pieces: list[Frames] = []  # while more may come
        self.size: int = 0
        self.entry: Entry[bytes] | None = None  # all pieces as one; or the news that they are missing
        self.begun: int = 0  # for so many links this is the first that is theirs
        self.next: Lot | None = None


class Backlogs:
    """What all backlogs of a server have in common.

    Args:
        drop_bytes: above it the oldest events of a backlog go.
        lot_bytes: how large a lot becomes, where it is not one run that is larger.
    """

    def __init__(self, budget: Budget, *, drop_bytes: int, lot_bytes: int) -> None:
        self.budget: Budget = budget
        self.drop_bytes: int = drop_bytes
        self.lot_bytes: int = lot_bytes
        self.patience: int = PATIENCE
        self.newest: Lot | None = None
        """The only lot that may grow: who follows several backlogs takes whole lots, in order."""
        self._numbers = count(1)
        self._told = 0  # the last number of a place that is no lot

    def begin(self, lot: Lot) -> None:
        """From here on that is the newest."""
        lot.number, lot.after = next(self._numbers), self._told
        self.newest = lot

    def place(self) -> int:
        """The number of a place behind all lots that there are, and before all that will be: for what a link is told.

        Neither events nor the news that they are missing cross it.
        """
        if self.newest is not None:
            self.newest = None
            self._told = next(self._numbers)
        return self._told


class Backlog(Generic[T]):
    """Of one audience: what its late links have not been given. Implements `Holder`.

    Args:
        prompt: the other links of that audience. Who joins is taken out of it, and who leaves comes back.
    """

    def __init__(self, common: Backlogs, prompt: dict[T, None]) -> None:
        self._common = common
        self._prompt = prompt
        self._first = self._oldest = self._last = Lot()  # `_oldest`: the first that still has its events
        self._news: Lot | None = None  # the one before that, if it tells what is missing
        self._group = 0  # how many bits `event_bytes` has, as far as the budget knows
        self.links: int = 0
        """How many follow it."""
        self.event_bytes: int = 0

    def put(self, frames: Frames) -> None:
        """Append events; older ones are dropped where there are too many."""
        common, lot = self._common, self._last
        if lot.pieces and (lot is not common.newest or lot.size + frames.size > common.lot_bytes):
            lot = self._seal()
        if not lot.pieces:
            common.begin(lot)
        lot.pieces.append(frames)
        lot.size += frames.size
        self.event_bytes += frames.size
        common.budget.hold(frames)
        while self.event_bytes > common.drop_bytes and self._oldest is not self._last:
            self._drop()
        self._regroup()

    def shed(self) -> None:
        """Drop the oldest events; there must be some."""
        if self._oldest is self._last:
            self._seal()
        self._drop()
        self._regroup()

    def join(self, link: T) -> Lot:
        """One more is late, and follows from here on: the lot with which that begins."""
        del self._prompt[link]
        self.links += 1
        return self._begin()

    def since(self, first: Lot) -> Iterator[Lot]:
        """What has come from that lot on."""
        if self._last.pieces:
            self._seal()
        while first.next is not None:
            yield first
            first = first.next

    def missed(self, first: Lot) -> int:
        """How many events are missing from that lot on."""
        missed, lot = 0, first
        while lot is not self._oldest and lot.entry is not None and lot.entry.lost is not None:
            missed += sum(lot.entry.lost.values())
            assert lot.next is not None
            lot = lot.next
        return missed

    def waiting(self, first: Lot) -> tuple[int, int]:
        """How many bytes and events there are from that lot on."""
        entries = [lot.entry for lot in self.since(first) if lot.entry is not None]
        return sum(entry.size for entry in entries), sum(entry.events for entry in entries)

    def go_on(self, first: Lot) -> Lot:
        """One who began with that lot has it all: the lot with which what comes begins."""
        last = self._begin()
        self._end(first)
        return last

    def leave(self, link: T, first: Lot) -> None:
        """One who began with that lot is not late any more."""
        self.links -= 1
        if not self.links and self._last.pieces:
            self._seal()
        self._end(first)
        self._prompt[link] = None

    def _begin(self) -> Lot:
        if self._last.pieces:
            self._seal()
        self._last.begun += 1
        return self._last

    def _end(self, first: Lot) -> None:
        first.begun -= 1
        self._forget()
        if not first.begun and first.entry is not None and first.entry.lost is not None:
            self._condense()
        self._regroup()

    def _seal(self) -> Lot:
        """The last lot is complete. Returns the next."""
        lot, budget = self._last, self._common.budget
        if len(lot.pieces) == 1:
            lot.entry = lot.pieces[0]
        else:
            counts: Counter[int] = Counter()
            for piece in lot.pieces:
                counts.update(dict(piece.counts))
            data = b"".join([piece.item for piece in lot.pieces if piece.item is not None])
            lot.entry = Frames.of(data, tuple(counts.items()), sum(piece.frames for piece in lot.pieces))
            budget.hold(lot.entry)
            for piece in lot.pieces:
                budget.release(piece)
        lot.pieces = []
        self._last = lot.next = Lot()
        return self._last

    def _drop(self) -> None:
        """The events of the oldest lot go, and are missing from there on. There is one behind it."""
        lot, news, budget = self._oldest, self._news, self._common.budget
        entry, following = lot.entry, lot.next
        assert entry is not None  # it is complete
        assert following is not None
        self.event_bytes -= entry.size
        budget.release(entry)
        # Who has the lot before it has this one, too: where nobody begins here, and was told nothing between them, one
        # place tells of both.
        if news is None or lot.begun or lot.after != news.after:
            news = self._news = lot
            lot.entry = Entry(None, 0, lost={})
            budget.hold(lot.entry)
        else:
            news.next = following
        self._oldest = following
        self._lose(news, {(route, SLOW): missed for route, missed in entry.counts})

    def _lose(self, news: Lot, missing: Losses) -> None:
        assert news.entry is not None
        lost = news.entry.lost
        assert lost is not None  # it tells what is missing
        for what, missed in missing.items():
            if what not in lost:
                self._common.budget.lose()
            lost[what] = lost.get(what, 0) + missed

    def _forget(self) -> None:
        """Nothing is kept of the lots that nobody has any more."""
        while not self._first.begun and self._first is not self._last:
            lot = self._first
            assert lot.entry is not None
            assert lot.next is not None
            if lot is self._oldest:
                self.event_bytes -= lot.size
                self._oldest = lot.next
            elif lot is self._news:
                self._news = None
            self._common.budget.release(lot.entry)
            self._first = lot.next

    def _condense(self) -> None:
        """News in a row for the same links are told as one."""
        lot = self._first
        while self._news is not None and lot is not self._news:
            following = lot.next
            assert following is not None
            if following.begun or following.after != lot.after:
                lot = following
                continue
            assert following.entry is not None
            assert following.entry.lost is not None
            self._lose(lot, following.entry.lost)
            self._common.budget.release(following.entry)
            lot.next = following.next
            if following is self._news:
                self._news = lot

    def _regroup(self) -> None:
        group = self.event_bytes.bit_length()
        if group != self._group:
            self._common.budget.move(self, self._group, group)
            self._group = group
