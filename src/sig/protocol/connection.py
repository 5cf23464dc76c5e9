"""What a server knows of one client: its link, the names it holds, what it listens to.

Sans-I/O: no socket, no thread, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, ClassVar, Final

from sig.codecs import Codec
from sig.errors import ConnectionLost, Overloaded, RemoteProtocolError, SigError, to_wire
from sig.messages import Result, encode_control
from sig.protocol.backlog import Backlog, Lot
from sig.protocol.bodies import Credit, Lost, pack_credit, pack_lost
from sig.protocol.ended import Ended
from sig.protocol.frames import HEADER, RESULT_ERR, Found, Frame, Kind, pack
from sig.protocol.outbox import Counts, Entry, Frames, Outbox
from sig.protocol.peer import Peer
from sig.protocol.reliable import acknowledge
from sig.protocol.session import Session
from sig.security.credentials import Credential
from sig.security.identity import Identity

if TYPE_CHECKING:
    from sig.protocol.access import Pending
    from sig.protocol.heard import Audience, LinkSubscription
    from sig.protocol.held import Held, Route
    from sig.protocol.requests import Asked
    from sig.protocol.retained import Values
    from sig.protocol.server import ServerCore
    from sig.protocol.streams import Stream


class Connection(Peer):
    """The server's end of one link."""

    __slots__ = (
        "_aside",
        "_aside_bytes",
        "_asked",
        "_asked_bytes",
        "_run_bytes",
        "_spent",
        "_told_bytes",
        "_unfit",
        "_untaken",
        "address",
        "asked_by",
        "behind",
        "beside",
        "called",
        "codec",
        "codecs",
        "credential",
        "credit",
        "deadline",
        "earlier",
        "ended",
        "events_in",
        "events_out",
        "given_up",
        "heard",
        "held",
        "identity",
        "kept",
        "known",
        "known_as",
        "known_until",
        "lineage",
        "login",
        "may_ask",
        "name",
        "number",
        "outbox",
        "removed",
        "retained",
        "returns",
        "server",
        "streams",
        "subscriptions",
        "successor",
        "trusted",
        "unanswered",
        "window_bytes",
    )

    other: ClassVar[str] = "the client"

    def __init__(self, server: ServerCore, number: int, address: str, deadline: float) -> None:
        super().__init__(server.limits, number, server.lanes)
        self.server: ServerCore = server
        self.number: int = number
        self.address: str = address
        self.deadline: float = deadline
        self.name: str = ""
        self.known_as: str | None = None
        """Who the carrier says it is, as a policy writes it."""
        self.known_until: float = inf
        """When that ends, in seconds since 1970."""
        self.lineage: object = object()
        """The same for all links of one client that comes back."""
        self.returns: bool = False
        """Whether it comes back when its link is lost."""
        self.successor: Connection | None = None
        """The link on which it has come back."""
        self.trusted: bool = False
        """Whether it is the server's own router."""
        self.identity: Identity | None = None
        """Who it is, once it is let in."""
        self.credential: Credential | None = None
        """What it has logged in with."""
        self.login: Pending | None = None
        """The login under way."""
        self.removed: bool = False
        """Whether the server has ended it, and its client is not to come back."""
        self.codecs: Mapping[str, Codec] = {}  # that both ends have
        self.codec: Codec  # that its senders' payloads are in, and what is in none of these is put into
        self.held: dict[str, Held] = {}
        self.heard: dict[int, Audience] = {}  # who hears its own routes, by number, of those that somebody hears
        self.retained: Values | None = None  # what its senders retain, if one ever did
        self.subscriptions: dict[int, LinkSubscription] = {}
        self.called: dict[Connection, int] = {}  # how many answers each owner owes this one
        self.asked_by: dict[Connection, None] = {}  # the same, seen from the owner
        self.streams: dict[int, Stream] = {}  # that it takes, by the numbers of its requests
        self.unanswered: dict[int, Asked] = {}  # what it has asked and waits for, by its own numbers, see `requests`
        self.given_up: dict[int, int] = {}  # the route of each that it waits for no more, and that is under way still
        # What it is known to have the right to ask for, by the numbers of routes and by method, see `requests`.
        self.may_ask: dict[tuple[int, bytes], Asked] = {}
        # Routes that this one has been told of, and which was the first event that it heard then.
        self.known: dict[Route, int] = {}
        # Those of links before this one, oldest first, while they are kept: what it may not have been told.
        self.earlier: tuple[Connection, ...] = ()
        # Of routes that this one has been told of, those that are no more: it may not have heard that.
        self.ended: Ended = Ended()
        self.outbox: Outbox[bytes] = Outbox(drop_bytes=server.limits.link_drop_bytes)
        # What it is asked comes in runs, and a run stands in the outbox in one piece: the one that is not there yet. It
        # is put there before anything else.
        self._asked: list[bytes] = []
        self._run_bytes = 0
        self._asked_bytes = 0  # of all that it is asked
        self.events_in: int = 0
        self.events_out: int = 0
        self.window_bytes: int = 0
        self.credit: int = 0
        """How many bytes of events it may still send, as far as it can know: one frame may exceed it."""
        self._spent = 0  # bytes of EVENT frames that came since credit was last given
        self._unfit = 0  # events that it could not take, or that were dropped from a backlog
        self._untaken = 0  # runs of events that it was given since it last took something, while it is held up
        # The backlogs that it follows, and from where on: empty unless it is late.
        self.behind: dict[Backlog[Connection], Lot] = {}
        # What it was given by itself since, and where that stands among the lots.
        self._aside: list[tuple[int, Entry[bytes]]] = []
        self._aside_bytes = 0
        self._told_bytes = 0  # of those that may not be dropped
        self.beside: int = 0
        """Bytes that wait for it outside the outbox, as far as the budget knows."""
        self.kept: int = 0
        """Bytes that may have to be sent again, as far as it knows."""

    def remove(self, message: str) -> None:
        """End it, and send it nothing more but why."""
        if not self.closed:
            self.removed = True
            self._discard()
            self.say_bye("denied", message)

    def agree(self, codecs: Mapping[str, Codec]) -> None:
        """These are the codecs that both ends have, the client's preferred one first."""
        self.codecs = codecs
        self.codec = next(iter(codecs.values()))

    def codec_on(self, route: Route) -> Codec:
        """What payloads are in, of this route and on this link: its owner's codec, if this client has that."""
        theirs = route.held.owner.codec
        return theirs if theirs.name in self.codecs else self.codec

    def spend(self, size: int) -> None:
        """Take an EVENT frame into account, and give credit for it; not for each one by itself."""
        self._spent += size
        if self._spent * 2 >= self.window_bytes:
            self.give_credit()

    def give_credit(self) -> None:
        """Let it send as much as its window allows, and make that as wide as it may be."""
        free = max(0, self._spent)
        by = self.server.windows.change(self.window_bytes, free)
        self.window_bytes += by
        if free + by:
            self.credit += free + by
            self._urge(pack_credit(Credit(free + by)))
            self._touch()
        self._spent -= free

    def hold(self, size: int) -> None:
        """Give no credit yet for so many bytes: somebody for whom this client shall wait has not taken them."""
        self._spent -= size

    def let_go(self, size: int) -> None:
        """They have been taken, or lost."""
        if not self.closed:
            self.spend(size)

    def share(self, frames: Frames) -> None:
        """Append frames of events, which others get too; the oldest are shed where there are too many."""
        if not self.closed:
            if self._asked:
                self._gather()
            if self.behind and self._set_aside(frames):
                return
            outbox = self.outbox
            outbox.share(frames)
            if not outbox.held:  # else its link will ask when it takes more
                self.server.dirty[self] = None

    def offer(self, frames: Frames) -> bool:
        """The same, unless it is late, see `backlog`: then it is not given them, and true."""
        if self.closed:
            return False
        if self._asked:
            self._gather()
        outbox = self.outbox
        if not outbox.held:
            outbox.share(frames)
            self.server.dirty[self] = None
            return False
        self._untaken += 1
        if self.behind or self._untaken > self.server.backlogs.patience:
            return True
        outbox.share(frames)
        return False

    @property
    def idle(self) -> bool:
        """Whether nothing waits for it, here or in its link: what is said next may leave at once."""
        return not (
            self._first or self._replies or self._asked or self.beside or self.behind or self.closed or self.outbox
        ) and (self.resumes is None)

    def pass_by(self, size: int, events: int) -> None:
        """A frame of events leaves past all that is kept here: it is idle."""
        self._leaves(size)
        self.events_out += events
        self._untaken = 0

    def catch_up(self) -> bool:
        """Have in the outbox what it was not given so far; whether there was anything. It remains late."""
        behind, outbox = self.behind, self.outbox
        lots = [lot for backlog, first in behind.items() for lot in backlog.since(first)]
        places = [(lot.number, lot.entry) for lot in lots if lot.entry is not None]  # as it is: they are complete
        if self._aside or len(behind) > 1:
            places = sorted(places + self._aside, key=_number)
        for _, entry in places:
            if entry.lost is not None:
                for (route, reason), missed in entry.lost.items():
                    outbox.put_loss(route, missed, reason)
                    self._unfit += missed
            elif entry.events:
                outbox.share(entry)
            else:
                assert entry.item is not None  # it is one of the three
                outbox.put(entry.item, entry.size)
        self._clear_aside()
        for backlog, first in behind.items():
            behind[backlog] = backlog.go_on(first)
        return bool(places)

    def _keep_up(self) -> None:
        """It is not late any more. What it has not caught up with is not for it."""
        for backlog, first in self.behind.items():
            self._unfit += backlog.missed(first)
            backlog.leave(self, first)
        self.behind.clear()
        self._clear_aside()

    def _set_aside(self, entry: Entry[bytes]) -> bool:
        """Whether that waits beside the lots: it is late, and given this by itself. Its link will ask for it.

        Who is given much by itself gains nothing by being late, and is not any more; not all of them at once.
        """
        most = _MOST_ASIDE + self.number % _MOST_ASIDE
        if len(self._aside) >= most or self._aside_bytes + entry.size > _RUN_BYTES:
            self.catch_up()
            self._keep_up()
            self._untaken = 0
            return False
        self._aside.append((self.server.backlogs.place(), entry))
        self._aside_bytes += entry.size
        if not entry.events:
            self._told_bytes += entry.size
        self.server.budget.hold(entry)
        return True

    def _clear_aside(self) -> None:
        for _, entry in self._aside:
            self.server.budget.release(entry)
        self._aside.clear()
        self._aside_bytes = self._told_bytes = 0

    @property
    def missed(self) -> int:
        """Events that it has missed at this end."""
        return self.outbox.dropped + self._unfit + sum(backlog.missed(first) for backlog, first in self.behind.items())

    @property
    def unsent(self) -> tuple[int, int]:
        """How many bytes wait for it here, and how many events."""
        late = [backlog.waiting(first) for backlog, first in self.behind.items()]
        size = self.outbox.bytes + self._aside_bytes + self.beside + sum(size for size, _ in late)
        aside = sum(entry.events for _, entry in self._aside)
        return size, self.outbox.events + aside + sum(events for _, events in late)

    @property
    def waiting(self) -> int:
        """Bytes that its link does not take."""
        kept = 0 if self.resumes is None else self.resumes.bytes
        return self.beside + kept + (self.outbox.bytes if self.outbox.held else 0)

    def weigh(self, unwritten: int) -> None:
        """Take what waits for it into the budget, with so many bytes that its link has taken and not passed on."""
        beside = 0 if self.closed else unwritten + self._reply_bytes + len(self._first)
        self.server.budget.used += beside - self.beside
        self.beside = beside
        if self._asked:
            self._gather()
        self.outbox.hold_up(self.server.budget)

    def lose(self, counts: Counts, reason: str) -> None:
        """Append the news that events are missing here."""
        if not self.closed:
            self._gather()
            for route, missed in counts:
                self.outbox.put_loss(route, missed, reason)
                self._unfit += missed
            self._touch()

    def put(self, frame: bytes) -> None:
        """Append what may not be dropped. Somebody who lets it pile up is cut off; so is who cannot take it."""
        if self.closed:
            return
        if len(frame) - HEADER.size > self.max_frame_bytes:
            self.fail(
                Overloaded(
                    f"the server has to say {len(frame) - HEADER.size} bytes in one frame, and this client takes "
                    f"{self.max_frame_bytes}: give it a larger max_frame_bytes"
                )
            )
            return
        self._put(frame)
        waiting = self.control_bytes - self._asked_bytes
        if waiting > self.limits.link_control_bytes:
            self.cut(Overloaded(f"it does not read: {waiting} bytes wait that cannot be dropped"))

    @property
    def control_bytes(self) -> int:
        """Bytes that wait for it and may not be dropped."""
        return self.outbox.other_bytes + self._told_bytes

    def has_room_for(self, body: bytes) -> bool:
        """Whether it takes that frame, though it could do without; nothing that is needed has to wait for it."""
        waiting = self.control_bytes + len(body)
        return len(body) <= self.max_frame_bytes and waiting <= self.limits.link_control_bytes // 4

    def put_asked(self, *frames: bytes) -> bool:
        """Append what another client asks of this one; false, and nothing is done, where too much of that waits.

        Who is asked more than it reads is not to blame: its link lives, and whoever asks is told.
        """
        size = sum(map(len, frames))
        if (self._asked_bytes or len(frames) > 1) and self._asked_bytes + size > self.limits.link_drop_bytes:
            return False
        if not self.closed:
            self._asked_bytes += size
            self._run_bytes += size
            self._asked += frames
            # Of one that is late it stands between what it was not given and what it will not be.
            if self._run_bytes > _RUN_BYTES or self.behind:
                self._gather()
            self.server.dirty[self] = None
        return True

    def _gather(self) -> None:
        """What it was not given, and what it is asked, takes its place in order."""
        if self.behind:
            self.catch_up()
        frames = self._asked
        if frames:
            self.outbox.put(b"".join(frames), self._run_bytes, len(frames))
            frames.clear()
            self._run_bytes = 0

    def result(self, call: int, value: object) -> None:
        """Answer a call. An answer that would cost the link for its size becomes an error."""
        body = encode_control(Result(value))
        limits = self.limits
        if len(body) > min(self.max_frame_bytes, limits.max_control_frame_bytes, limits.link_control_bytes // 2):
            self.refuse(call, Overloaded(f"the answer takes {len(body)} bytes: ask for less, with a pattern"))
        else:
            self.put(pack(Kind.RESULT, body, route=call))

    def refuse(self, call: int, error: SigError) -> None:
        """Answer a call with an error."""
        self.put(pack(Kind.RESULT, encode_control(to_wire(error)), flags=RESULT_ERR, route=call))

    def _put(self, frame: bytes) -> None:
        if self.behind and self._set_aside(Entry(frame, len(frame))):
            return
        self._gather()
        self.outbox.put(frame, len(frame))
        self._touch()

    def _ordered(self, limit: int) -> Sequence[bytes]:
        if self._asked or self.behind:
            self._gather()
            if self.behind:
                self._keep_up()
        self._untaken = 0
        taken = self.outbox.take_some(limit)
        frames: list[bytes] = []
        for entry in taken:
            if (frame := entry.item) is not None:
                frames.append(frame)
                if entry.frames > 1:
                    self._count_out(entry.frames - 1)
                if entry.events:
                    self.events_out += entry.events
                elif frame[_KIND_AT] in _ASKED:
                    self._asked_bytes -= len(frame)
            else:
                assert entry.lost is not None  # an entry is one or the other
                frames += [pack_lost(Lost(route, missed, reason)) for (route, reason), missed in entry.lost.items()]
        return frames

    # A link that is reliable, see `sessions`

    @property
    def parted(self) -> bool:
        """Whether it has no link, and waits for its client to come back."""
        return self.resumes is not None and self.resumes.parted

    def cut(self, error: SigError) -> None:
        if self.resumes is not None and isinstance(error, ConnectionLost) and not self.closed:
            self.server.sessions.part(self)
        else:
            super().cut(error)

    def rest(self) -> None:
        """It has no link: nothing is of it."""
        self._first.clear()
        self._quiet = 0

    def acknowledge(self, now: float) -> None:
        """Tell the client what has arrived, if it is time to."""
        if self.resumes is not None and not self.parted:
            acknowledge(self, self.resumes, now)
            self.server.sessions.owes(self, self.resumes)

    @property
    def _clock(self) -> float:
        return self.server.now

    def _arrived(self, session: Session, found: list[Found]) -> None:
        super()._arrived(session, found)
        self.server.sessions.owes(self, session)

    def _acknowledged(self, session: Session, received: int) -> None:
        super()._acknowledged(session, received)
        self.server.sessions.confirmed(self)

    def _keeps(self) -> None:
        kept = 0 if self.resumes is None else self.resumes.bytes
        self.server.budget.used += kept - self.kept
        self.kept = kept

    def _hold_up(self) -> None:
        if not self.closed:
            self.outbox.hold_up(self.server.budget)

    def _discard(self) -> None:
        super()._discard()
        self._keep_up()
        self.outbox.clear()
        self._asked.clear()
        self._asked_bytes = self._run_bytes = 0
        self.server.budget.used -= self.beside + self.kept
        self.beside = self.kept = 0

    def _close(self) -> None:
        if not self.closed:  # it may come by here again when the link is down
            self.server.ended[self] = None
            if self.behind:
                self.catch_up()
                self._keep_up()
        super()._close()

    def _touch(self) -> None:
        self.server.dirty[self] = None

    def _receive(self, frame: Frame) -> None:
        kind = frame.kind
        if kind == _EVENT and self.opened:
            self.server.forwarder.forward(self, frame)
            return
        self.server.forwarder.seal()
        handler = self.server.handlers.get(kind)
        if handler is not None and self.opened is not (kind in _BEFORE):
            handler(self, frame)
        elif kind == _HELLO:
            raise RemoteProtocolError("the client sent a second HELLO: a link has one handshake")
        else:
            super()._receive(frame)


def _number(place: tuple[int, object]) -> int:
    return place[0]


_HELLO: Final = Kind.HELLO.value
_BEFORE: Final = (_HELLO, Kind.AUTH.value)  # the handshake is complete
_EVENT: Final = Kind.EVENT.value
_KIND_AT: Final = 4  # in a header
# Requests that wait in one piece: little beside what may wait for a link, which is given its pieces one by one.
_RUN_BYTES: Final = 64 * 1024
# What a late link is given by itself is little beside what waits for it; and it is not sorted in again and again.
_MOST_ASIDE: Final = 64
_ASKED: Final = (Kind.REQUEST.value, Kind.CANCEL.value, Kind.CREDIT.value)
