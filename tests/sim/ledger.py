"""What is promised, checked while it happens: who triggered what, and what each listener may, must and must not hear.

Every event carries the life of its sender and its number in that; every life, listener and request is entered here. The
ledger knows of links and servers only what users could know: when they were lost, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.world import Violation, World

from sig.info import Gap, Info
from sig.names import matches
from sig.returned import LOST_LINK

CONNECT, DISCONNECT = "#connect", "#disconnect"


class Life:
    """A sender, from its registration until it leaves."""

    def __init__(self, number: int, place: Place, name: str, events: list[str], begun: float, *, retains: bool) -> None:
        self.number = number
        self.retains = retains
        self.place = place
        self.name = name
        self.begun = begun
        self.there: Callable[[], bool] = lambda: False  # whether its holder knows that it has the name
        self.left: float | None = None
        self.counts = dict.fromkeys(events, 0)  # accepted by `trigger`
        self.times: dict[str, list[float]] = {event: [] for event in events}  # when they were
        self.routed = dict.fromkeys(events, 0)  # known to have been routed


class Absence:
    """A link was lost, for all that its user knows: when at the earliest, and until when."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.end: float | None = None
        self.servers = 0  # how many servers had been lost meanwhile
        self.several = False  # whether events of several kinds may have been on their way


class Place:
    """A client, as far as its user can tell how it fares."""

    def __init__(self, name: str, grace_s: float, kept_s: float = 0.0) -> None:
        self.name = name
        self.grace_s = grace_s
        self.kept_s = kept_s  # it is as if its link had not been lost where that took no longer; 0: it is not reliable
        self.outlets = 0  # events of its senders
        self.used = 0  # and of those that have left, on the present link
        self.faults: list[float] = []  # when something was done to its link, since it came up or was lost
        self.absences: list[Absence] = []
        self.early: list[Ear] = []  # that were registered while it was away: they hear from its return on

    @property
    def away(self) -> bool:
        return bool(self.absences) and self.absences[-1].end is None

    def lost(self, now: float) -> None:
        """Its link is away."""
        self.absences.append(Absence(min(self.faults, default=now)))
        self.faults.clear()

    def back(self, now: float, servers_lost: list[float]) -> None:
        if self.away:
            absence = self.absences[-1]
            absence.servers = sum(lost >= absence.begun for lost in servers_lost)
            absence.end, absence.several = now, self.used > 1
            self.used = self.outlets
        self.faults.clear()
        early, self.early = self.early, []
        for ear in early:
            ear.listening()

    def troubled_since(self, moment: float) -> bool:
        """Whether its link was lost since then, for whatever time, or something was done to it that may cost it."""
        return bool(self.faults) or any(absence.end is None or absence.end >= moment for absence in self.absences)

    def away_since(self, moment: float, now: float, least_s: float = 0.0, *, several: bool = False) -> bool:
        """Whether it was away since then, for so long; or, of any length, with `several` events under way."""
        for absence in self.absences:
            end = now if absence.end is None else absence.end
            mixed = self.used > 1 if absence.end is None else absence.several
            took = end - absence.begun
            least = self.kept_s if self.kept_s and not absence.servers else 0.0 if several and mixed else least_s
            if end >= moment and took >= least:
                return True
        return False

    def comes_anew(self, moment: float, server_lost: float) -> bool:
        """Whether it came back since then from an absence in which the server was lost, or is about to."""
        last = self.absences[-1] if self.absences else None
        if last is None:
            return False
        return server_lost >= last.begun if last.end is None else last.servers > 0 and last.end >= moment


class Track:
    """What one listener has heard of one event of one sender."""

    def __init__(self) -> None:
        self.life: Life | None = None
        self.number = 0
        self.when = 0.0  # it was triggered
        self.initial = False  # as of the past
        self.missed = 0  # told since the last that was heard
        self.unknown = False


class Ear:
    """A listener."""

    def __init__(
        self,
        ledger: Ledger,
        place: Place,
        sender: str | None,
        event: str | None,
        *,
        initial: bool,
        group: str | None,
        blocks: bool = False,
    ) -> None:
        self.ledger = ledger
        self.place = place
        self.sender = sender
        self.event = event
        self.initial = initial
        self.group = group
        self.blocks = blocks  # senders wait for it, and longer than it ever takes
        self.asked = ledger.world.now
        self.begun: float | None = None
        self.closed = False
        self.tracks: dict[tuple[str, str], Track] = {}
        self.there: dict[str, bool] = {}  # what it was told last of each sender's presence
        self.told: dict[str, float] = {}  # and when
        # What a member of a group did not begin, others are given: later, and of presence only one half.
        self._hears_both = group is None and matches(event, CONNECT) and matches(event, DISCONNECT)
        self._before = {life: dict(life.routed) for life in ledger.lives if life.left is None}
        self._after: dict[Life, dict[str, int]] = {}
        self._newest = 0  # life when it began

    def __repr__(self) -> str:
        return f"{self.place.name}'s listener for {self.sender}, {self.event}" + (
            f" in {self.group}" if self.group else ""
        )

    def listening(self) -> None:
        """It is registered: what is triggered from here on is for it."""
        if self.place.away:
            self.place.early.append(self)
            return
        self.begun = self.ledger.world.now
        self._after = {life: dict(life.counts) for life in self.ledger.lives}
        self._newest = len(self.ledger.lives_by_number)

    def close(self) -> None:
        self.closed = True
        if self.group is not None:
            begun = self.ledger.world.now if self.begun is None else self.begun
            self.ledger.left[self.group] = min(begun, self.ledger.left.get(self.group, begun))

    def hear(self, info: Info, data: Any) -> None:
        if self.closed:
            self._fail("is called after it was closed")
        elif info.initial and not self.initial:
            self._fail(f"is told {info.event} of {info.sender} as of the past, and did not ask for that")
        elif info.event in (CONNECT, DISCONNECT):
            self._presence(info)
        else:
            self._event(info, *data)

    def _presence(self, info: Info) -> None:
        self.ledger.world.note(repr(self), info.sender, info.event)
        there, now = info.event == CONNECT, self.ledger.world.now
        before = self.there.get(info.sender)
        if before is there and self._hears_both:
            self._fail(f"is told {info.event} of {info.sender} twice in a row")
        self.there[info.sender], self.told[info.sender] = there, now

    def _event(self, info: Info, number_of_life: int, number: int) -> None:
        ledger = self.ledger
        ledger.world.note(repr(self), number_of_life, info.event, number)
        ledger.heard += 1
        life = ledger.lives_by_number[number_of_life]
        if life.name != info.sender or not matches(self.sender, info.sender) or not matches(self.event, info.event):
            self._fail(f"hears {info.sender}, {info.event}, which is not for it")
        if number > life.counts[info.event]:
            self._fail(f"hears number {number} of {info.sender}, {info.event}, which was not triggered yet")
        gone = self.there.get(info.sender) is False and self._hears_both
        if gone and not self.place.away_since(self.told[info.sender], ledger.world.now):
            self._fail(f"hears {info.event} of {info.sender} after its {DISCONNECT}")
        track = self.tracks.setdefault((info.sender, info.event), Track())
        if track.life is life and number <= track.number and self.group is None:
            again = "twice" if number == track.number else f"after number {track.number}"
            self._fail(f"hears number {number} of {info.sender}, {info.event} {again}")
        if number <= self._before.get(life, {}).get(info.event, 0) and not info.initial and self.group is None:
            self._fail(f"hears number {number} of {info.sender}, {info.event}, which was before its time")
        if info.initial:
            self._past(track, life, info.event, number)
        elif track.life is not life:
            self._was_given(track, life, info.event)
        if self.group is None and not info.initial and self.begun is not None:
            self._account(track, life, info.event, number - 1)
        if self.group is not None and not info.initial:  # the last value is for every member that asks for it
            ledger.once(self, life, info.event, number)
        life.routed[info.event] = max(number, life.routed[info.event])
        track.life, track.number, track.when = life, number, life.times[info.event][number - 1]
        track.initial, track.missed, track.unknown = info.initial, 0, False

    def _past(self, track: Track, life: Life, event: str, number: int) -> None:
        """It is given that as the last value there was."""
        self.ledger.retained += 1
        routed = self._before.get(life, {}).get(event, 0)
        # What was kept for the next link may be sent when its sender has come back as another.
        if not any(each.retains for each in self.ledger.lives_of[life.name]):
            self._fail(f"is given number {number} of {life.name}, {event} as the last, and that retains nothing")
        if number < routed:
            self._fail(f"is given number {number} of {life.name}, {event} as the last, and {routed} had been routed")

    def _was_given(self, track: Track, life: Life, event: str) -> None:
        """Whether it was given the last value before anything else of that life."""
        # Should its sender have come back as another, what was retained is no more.
        since, lost = life.begun, self.ledger.server_lost
        if (
            self.initial
            and self.group is None
            and life.retains
            and self._before.get(life, {}).get(event, 0)
            and track.life is not life
            and not (track.missed or track.unknown)
            and lost < since
            and not (self.place.troubled_since(self.asked) or life.place.troubled_since(since))
        ):
            self._fail(f"was not given the last value of {life.name}, {event}")

    def _account(self, track: Track, life: Life, event: str, upto: int) -> None:
        """All that should have come before this, up to that number, has come or been told."""
        now = self.ledger.world.now
        if track.life is life:
            # What never came to the server, and was triggered before it listened, it has not missed.
            before = self._after.get(life, {}).get(event, 0) if track.initial else 0
            due, since = upto - max(track.number, before), track.when
            # Else its sender may have come back as another.
            exact = not (before or life.place.away_since(since, now, life.place.grace_s))
        else:
            after = self._after.get(life)
            if after is None and life.number <= self._newest:
                return  # what had been triggered and was on its way
            due, since = upto - (0 if after is None else after[event]), self.begun or 0.0
            exact = False  # some may be of the life before, or from before it was registered
        if self._unaccountable(life, since, now, first=track.life is not life):
            return
        if track.unknown:
            return
        if track.missed < due or (exact and track.missed != due):
            self._fail(
                f"has missed {due} of {life.name}, {event} before number {upto + 1}, and was told of {track.missed}"
            )

    def _unaccountable(self, life: Life, since: float, now: float, *, first: bool) -> bool:
        """Whether so much has happened that what was missed is not told.

        Of what nobody knows how much it was, only those are told who are there then. What a server was told that was
        lost before anybody else came is told to nobody.
        """
        if first and any(absence.servers > 1 for absence in self.place.absences if (absence.end or now) >= since):
            return True
        sender_away = life.place.away_since(since, now)
        return (first or sender_away) and self.place.away_since(since, now, self.place.grace_s)

    def gap(self, info: Info, gap: Gap) -> None:
        self.ledger.world.note(repr(self), info.sender, info.event, gap)
        self.ledger.gaps += 1
        if info.event in (CONNECT, DISCONNECT):
            self._fail(f"is told that it missed {info.event} of {info.sender} ({gap.reason})")
            return
        track = self.tracks.setdefault((info.sender, info.event), Track())
        if gap.missed is None:
            self.ledger.unknown += 1
            track.unknown = True
            why = self._excuse(track, info.sender)
            if why is None:
                self._fail(
                    f"is told that nobody knows how many of {info.sender}, {info.event} it missed ({gap.reason})"
                )
        elif gap.reason == LOST_LINK and self._reliable(info.sender) and self._excuse(track, info.sender) is None:
            self._fail(f"is told that {info.sender}, {info.event} has lost {gap.missed} on links that lose nothing")
        elif gap.reason == "slow" and self.blocks and not self.place.troubled_since(track.when):
            self._fail(f"is told that {info.sender}, {info.event} did not wait for it")
        elif gap.missed <= 0:
            self._fail(f"is told that it missed {gap.missed} events")
        else:
            track.missed += gap.missed

    def _reliable(self, sender: str) -> bool:
        if self.group is not None:
            return False  # another member may have crashed, and nobody knows what it had begun
        places = [self.place, *(life.place for life in self.ledger.lives_of.get(sender, ()))]
        return all(place.kept_s for place in places)

    def _excuse(self, track: Track, sender: str) -> str | None:
        """Why nobody can know how many were missed since the last that was heard."""
        ledger, since = self.ledger, track.when
        now = ledger.world.now
        if self.group is not None:
            # News of which a member is not known to have come to it when it left, or its link, is for another; however
            # old it is, and though the member may have been told.
            others = [e for e in ledger.ears if e.group == self.group and e.place.troubled_since(since)]
            since = min([since, ledger.left.get(self.group, since), *(e.begun for e in others if e.begun is not None)])
        if ledger.server_lost >= since:
            return "the server was lost"
        if self.place.away_since(since, now, self.place.grace_s):
            return "its own link was away for long"
        if self.place.comes_anew(since, ledger.server_lost):
            # What the sender triggers until it is told that somebody listens again, it holds back and does not count.
            return "it is only being registered at another server"
        for life in ledger.lives_of.get(sender, ()):
            if life.left is not None and life.left < since:
                continue
            if life.left is not None or (track.life is not life and life.begun > since):
                return "another sender has the name"
            if life.place.away_since(since, now, life.place.grace_s, several=True):
                return "the sender's link was away"
            kept_s = max(life.place.grace_s, life.place.kept_s)
            if any(now - fault >= kept_s for fault in life.place.faults):
                return "the sender's link may be away, and it does not know yet"
        return None

    def settle(self) -> None:
        """All is quiet, nothing is away: what was triggered has come, or has been told."""
        for life in self.ledger.lives:
            if (
                life.left
                or self.closed
                or self.begun is None
                or self.group is not None
                or not matches(self.sender, life.name)
            ):
                continue
            for event, count in life.counts.items():
                if matches(self.event, event):
                    track = self.tracks.setdefault((life.name, event), Track())
                    self._was_given(track, life, event)
                    self._account(track, life, event, count)

    def _fail(self, what: str) -> None:
        self.ledger.fail(f"{self!r} {what}")


class Ledger:
    """All of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lives: list[Life] = []
        self.lives_of: dict[str, list[Life]] = {}
        self.lives_by_number: dict[int, Life] = {}
        self.ears: list[Ear] = []
        self.left: dict[str, float] = {}  # of each group, when the first of those began that have left
        self.servers_lost: list[float] = []
        self.server_lost = -1.0  # when one was, last; without end as long as there is none
        self.triggered = self.heard = self.gaps = self.unknown = self.retained = 0
        self._members: dict[tuple[int, str, int, str], Ear] = {}

    def live(self, place: Place, name: str, events: list[str], *, retains: bool = False) -> Life:
        life = Life(len(self.lives_by_number) + 1, place, name, events, self.world.now, retains=retains)
        self.lives.append(life)
        self.lives_of.setdefault(name, []).append(life)
        self.lives_by_number[life.number] = life
        place.outlets += len(events)
        place.used += len(events)
        return life

    def leave(self, life: Life) -> None:
        """Nothing more will be triggered in that life."""
        if life.left is None:
            life.left = self.world.now
            life.place.outlets -= len(life.counts)
            self.lives.remove(life)

    def trigger(self, life: Life, event: str, send: Callable[[str, object], object]) -> None:
        """Trigger the next event of that life; raises what `send` does, and then it was not accepted."""
        life.counts[event] += 1
        try:
            send(event, [life.number, life.counts[event]])
        except BaseException:
            life.counts[event] -= 1
            raise
        life.times[event].append(self.world.now)
        self.triggered += 1

    def flushed(self, life: Life, counts: dict[str, int]) -> None:
        """The server has routed all up to these numbers, but what was lost with a link: then its listeners are told."""
        for event, count in counts.items():
            if count and not life.place.away_since(life.times[event][count - 1], self.world.now):
                life.routed[event] = max(count, life.routed[event])

    def once(self, ear: Ear, life: Life, event: str, number: int) -> None:
        """An event is for one member of a group."""
        other = self._members.setdefault((life.number, event, number, ear.group or ""), ear)
        if other is not ear:
            self.fail(f"{ear!r} hears number {number} of {life.name}, {event}, which {other!r} has heard")

    def holders(self, name: str) -> list[Life]:
        """Who has that name. One that was added while its link was away has it once nobody else does."""
        return [life for life in self.lives_of.get(name, ()) if life.left is None and life.there()]

    def refused(self, asking: Place, name: str, asked: float, holders: list[Life]) -> None:
        """A request is told that nobody has that name, which these had when it was asked."""
        if self.server_lost >= asked or asking.troubled_since(asked):
            return
        for life in holders:
            if life.left is None and not life.place.troubled_since(asked):
                self.fail(f"{asking.name} is told that there is no {name}, and {life.place.name} has that name")

    def fail(self, what: str) -> None:
        self.world.fail(Violation(what))
