"""Requests under random weather, between cores, and a reference that knows what each may come to.

Clients of several codecs ask each other, for one answer or for parts, give up, run out of time, answer well, badly,
twice or never, lose their links and come back; bytes go over in pieces, whenever chance has it. No socket, no thread,
no clock: a seed is a schedule, and a schedule is the same each time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from model.flows import CODECS, SERVER, SIZES, Flow, decoded, encoded, left, pieces
from protocol.pairs import End, World

from sig.errors import (
    ConnectionLost,
    MethodNotFound,
    Overloaded,
    RequestCancelled,
    RequestFailed,
    RequestTimeout,
    SenderNotConnected,
)
from sig.messages import AddSender
from sig.protocol.answering import RequestArrived, RequestDropped
from sig.protocol.calls import Done
from sig.slots import Slots

# How many handlers of a client run at a time, and how many more wait.
RUNNING = 4
WAITING = 6


class Broken(AssertionError):
    """A promise has not been kept."""


def check(kept: object, promise: str) -> None:
    if not kept:
        raise Broken(promise)


class Ask:
    """One request, as the reference sees it."""

    __slots__ = (
        "answer",
        "asker",
        "begun",
        "call",
        "deadline",
        "departures",
        "flow",
        "give_up",
        "name",
        "number",
        "over",
        "vacant",
    )

    def __init__(self, number: int, asker: Place, name: str, deadline: float) -> None:
        self.number = number
        self.asker = asker
        self.name = name
        self.deadline = deadline
        self.departures = 0  # of that name until it was asked
        self.vacant = False  # whether nobody held it then, or another than its asker knows
        self.begun = False
        self.answer: object = None  # what its handler said: a value, or the class of an error
        self.flow: Flow | None = None  # its parts, if it may be answered in parts
        self.call = 0  # its asker's number for it
        self.over = False
        self.give_up: Callable[[], object] = int


class Work:
    """The same, at who answers."""

    __slots__ = ("arrived", "ask", "dropped", "given", "go", "running")

    def __init__(self, arrived: RequestArrived, ask: Ask) -> None:
        self.arrived = arrived
        self.ask = ask
        self.dropped = False
        self.running = False
        self.given = 0
        self.go: Callable[[], object] = partial(setattr, self, "running", True)


class Place:
    """A client, and who comes after it when its link is lost."""

    def __init__(self, name: str, codec: object) -> None:
        self.name = name
        self.codec = codec
        self.end: End
        self.slots: Slots
        self.work: list[Work] = []


class Storm:
    """A world, its weather, and its reference. Raises `Broken` where a promise is."""

    def __init__(self, seed: int, *, places: int = 4) -> None:
        self.chance = random.Random(seed)
        self.world = World(cut=pieces(seed), codec=SERVER, requests_out=12)
        self.tally: Counter[str] = Counter()
        self.live: dict[int, Ask] = {}
        self._departures: Counter[str] = Counter()
        self._last = 0
        self.places = [Place(f"s{number}", CODECS[number % len(CODECS)]) for number in range(places)]
        for place in self.places:
            self._join(place)
        self._acts: list[Callable[[], object]] = []
        for act, weight in (
            (self._ask, 50),
            (self._carry, 80),
            (self._answer, 40),
            (self._give, 30),
            (self._take_parts, 20),
            (self._give_up, 6),
            (self._wait, 3),
            (self._leave, 1),
        ):
            self._acts += [act] * weight

    def run(self, steps: int) -> None:
        for step in range(steps):
            self.chance.choice(self._acts)()
            if step % 1000 == 999:
                self.rest()

    # What happens

    def _ask(self) -> None:
        place = self.chance.choice(self.places)
        name = self.chance.choice([*self.places, None, place])
        self._last += 1
        ask = Ask(
            self._last, place, "nobody" if name is None else name.name, self.world.now + self.chance.uniform(0.5, 15)
        )
        ask.departures = self._departures[ask.name]
        core = place.end.core
        # Nobody has the name; or who had it when the asker last heard of it has left, and it has not been told yet.
        held = self.world.server.registry._senders.get(ask.name)
        known = core.asking._numbers.get(ask.name)
        ask.vacant = held is None or known not in (None, held.requests_route.id)
        waiting = len(core.asking.calls)
        done: Done = partial(self._done, ask)
        if self.chance.random() < 0.3:
            ask.flow = Flow(ask.number, done, check)
            done = ask.flow.finish
        try:
            number = core.asking.request(
                ask.name,
                "m",
                encoded(core, ask.name, ask.number),
                now=self.world.now,
                deadline=ask.deadline,
                hops=1,
                done=done,
                parts=None if ask.flow is None else ask.flow.parts,
            )
        except Overloaded:
            check(waiting == self.world.limits.requests_out, f"{waiting} wait, and one more is too many")
            self.tally["refused at the caller"] += 1
            return
        check(waiting < self.world.limits.requests_out, f"{waiting} wait, and one more was let in")
        self.tally["asked"] += 1
        self.live[ask.number] = ask
        ask.call, ask.give_up = number, partial(core.asking.give_up, number)

    def _done(self, ask: Ask, value: object, error: BaseException | None) -> None:
        check(not ask.over, f"request {ask.number} came to two ends, the second being {error or value!r}")
        ask.over = True
        del self.live[ask.number]
        left = self._departures[ask.name] > ask.departures
        if error is None:
            told = decoded(ask.asker.end.core, value)
            check(told == ask.answer, f"request {ask.number} was answered {ask.answer!r}, and told {told!r}")
        elif isinstance(error, RequestTimeout):
            check(self.world.now >= ask.deadline, f"request {ask.number} timed out before its time")
        elif isinstance(error, ConnectionLost):
            gone = ask.asker.end.core.closed
            check(left or gone or ask.vacant, f"request {ask.number} was lost, and no link was")
        elif isinstance(error, SenderNotConnected):
            check(left or ask.vacant, f"request {ask.number} found nobody, and somebody was there")
        else:
            check(type(error) is ask.answer, f"request {ask.number} was told {error!r}, and nobody said so")
        self.tally["answered" if error is None else type(error).__name__] += 1
        if ask.flow is not None:
            self.tally["in parts" if error is None else "ended within"] += ask.flow.taken > 0

    def _give_up(self) -> None:
        if self.live:
            ask = self.live[self.chance.choice(list(self.live))]
            ask.give_up()
            ask.over = True
            del self.live[ask.number]
            self.tally["given up"] += 1

    def _carry(self) -> None:
        place = self.chance.choice(self.places)
        if self.chance.random() < 0.5:
            self.world.carry_up(place.end)
        else:
            self.world.carry_down(place.end)
            self._take(place)

    def _take(self, place: Place) -> None:
        """What has come to one who answers."""
        news, place.end.news = place.end.news, []
        for item in news:
            if isinstance(item, RequestArrived):
                self._begin(place, item)
            elif isinstance(item, RequestDropped):
                for work in list(place.work):
                    request = work.arrived.request
                    if request.peer == item.peer and item.corr in (None, request.corr):
                        check(work.ask.over, f"request {work.ask.number} was dropped, and its asker waits")
                        work.dropped = True
                        if place.slots.withdraw(request.peer, work.go):
                            self._reply(place, work, None, Overloaded("nobody waits"))

    def _begin(self, place: Place, arrived: RequestArrived) -> None:
        self.tally["begun"] += 1
        number = place.end.core.codec.decode(arrived.request.payload)
        assert isinstance(number, int)
        ask = self.live.get(number)
        if ask is None:  # over, and on its way nevertheless
            ask = Ask(number, place, place.name, arrived.deadline)
            ask.over = True
        else:
            check((arrived.parts is None) == (ask.flow is None), f"request {number} is for another kind of answer")
        check(not ask.begun, f"request {number} was asked twice")
        check(ask.name == place.name == arrived.sender, f"request {number} came to another sender")
        check(
            ask.over or self.world.now <= arrived.deadline <= ask.deadline + self.world.now,
            f"request {number} has more time than it was given",
        )
        ask.begun = True
        work = Work(arrived, ask)
        place.work.append(work)
        try:
            work.running = place.slots.enter(arrived.request.peer, work.go)
        except Overloaded as error:
            self._reply(place, work, None, error)

    def _answer(self) -> None:
        place = self.chance.choice(self.places)
        ready = [work for work in place.work if work.running]
        if not ready:
            return
        work = self.chance.choice(ready)
        # Parts take longer.
        luck = self.chance.random() * (1 if work.arrived.parts is None else 3)
        if luck < 0.7:
            self._reply(place, work, str(work.ask.number), None)
        elif luck < 0.8:
            self._reply(place, work, None, MethodNotFound(place.name, "m"))
        elif luck < 0.9:
            self._reply(place, work, None, RequestFailed("no", code="no"))
        elif luck < 0.95:
            self._reply_again(place, work)
        # else its handler takes its time

    def _reply_again(self, place: Place, work: Work) -> None:
        """Twice: were the second not known for what it is, it would be taken for the answer to another."""
        self._reply(place, work, str(work.ask.number), None)
        self.tally["answered twice"] += 1
        core = place.end.core
        core.answering.reply(work.arrived, core.codec.encode("once more"), None)
        self.world.carry_up(place.end)

    def _give(self) -> None:
        """Some parts more, as far as there is room."""
        place = self.chance.choice(self.places)
        ready = [work for work in place.work if work.running and work.arrived.parts is not None]
        if not ready:
            return
        work = self.chance.choice(ready)
        parts, codec = work.arrived.parts, place.end.core.codec
        assert parts is not None  # as was looked for
        for _ in range(self.chance.choice((1, 1, 3, 20))):
            if work.dropped:  # handlers are closed where they give their next part
                self._reply(place, work, None, RequestCancelled("nobody takes the parts"))
                return
            if not parts.room:
                self.tally["windows full"] += 1
                return
            parts.write(codec.encode([work.ask.number, work.given, "x" * self.chance.choice(SIZES)]))
            work.given += 1
            if work.ask.flow is not None:
                work.ask.flow.given = work.given

    def _take_parts(self) -> None:
        flows = [ask for ask in self.live.values() if ask.flow is not None]
        if flows:
            ask = self.chance.choice(flows)
            assert ask.flow is not None  # as was looked for
            for _ in range(self.chance.choice((1, 1, 10))):
                self.tally["credits"] += ask.flow.take(ask.asker.end.core, ask.call)

    def _reply(self, place: Place, work: Work, answer: object, error: Exception | None) -> None:
        place.work.remove(work)
        if work.running:
            place.slots.leave()
        work.ask.answer = answer if error is None else type(error)
        core = place.end.core
        core.answering.reply(work.arrived, core.codec.encode(answer) if error is None else None, error)

    def _wait(self) -> None:
        self.world.now += self.chance.choice((0.01, 0.5, 4.0))
        self.world.server.handle_timeout(self.world.now)
        for place in self.places:
            place.end.core.handle_timeout(self.world.now)

    def _leave(self) -> None:
        """A link is lost, with whatever was on its way; after a while somebody comes in its place."""
        place = self.chance.choice(self.places)
        self.tally["links lost"] += 1
        self._departures[place.name] += 1
        end = place.end
        self.world.ends.remove(end)
        end.core.closed = True  # what it says from here on is lost
        self.world.server.disconnected(end.connection, self.world.now)
        end.core.disconnected(ConnectionLost("the link was lost"))
        check(len(end.core.asking.calls) == 0, "who lost its link waits for nothing")
        for work in place.work:
            work.ask.answer = None
        self._join(place)

    def _join(self, place: Place) -> None:
        place.end = self.world.client(codec=place.codec, settle=False)
        place.slots, place.work = Slots(place.name, RUNNING, WAITING), []
        shake = [self.world.carry_up, self.world.carry_down] * 2
        for carry in shake:
            carry(place.end)
        joined = place.end.call(AddSender(place.name, [], ["m"]))
        for carry in shake:
            carry(place.end)
        check(joined.times == 1, "a name is given at once")
        check(joined.error is None, f"a name that is free was refused: {joined.error}")

    # What must hold when all has arrived

    def rest(self) -> None:
        self._settle()
        working = {work.ask.number for place in self.places for work in place.work if not work.ask.over}
        check(working == self.live.keys(), f"these wait and nobody works for them: {self.live.keys() - working}")
        for ask in self.live.values():
            check(ask.deadline > self.world.now, f"request {ask.number} waits beyond its time")
        for place in self.places:
            running = sum(work.running for work in place.work)
            for work in place.work:
                check(work.dropped or not work.ask.over, f"nobody waits for request {work.ask.number}, and it runs on")
            check(place.slots.taken == running, f"{running} handlers run, and have {place.slots.taken} slots")
            check(len(place.slots) == len(place.work) - running, "who waits for a slot is in line for it")
            check(not place.slots or running == RUNNING, f"{len(place.slots)} wait, and {running} run")
            connection = place.end.connection
            owed = sum(other.called.get(connection, 0) for other in self.world.server.connections.values())
            asked = sum(work.arrived.request.peer in self.world.server.connections for work in place.work)
            check(owed == asked, f"{place.name} works for {asked} requests, and the server waits for {owed}")
            check(connection._asked_bytes == 0, "what was sent is not counted as waiting")
            mine = [ask for ask in self.live.values() if ask.asker is place]
            check(len(place.end.core.asking.calls) == len(mine), "who waits is counted, and nobody else")
            flows = [ask for ask in mine if ask.flow is not None]
            check(
                len(connection.streams) == len(flows), f"{len(flows)} streams, the server has {len(connection.streams)}"
            )
            for ask in flows:
                assert ask.flow is not None
                room = connection.streams[ask.call].room
                check(room == ask.flow.room, f"of {ask.number} may be given {room} bytes, and may come {ask.flow.room}")
            giving = [work for work in place.work if work.arrived.parts is not None]
            check(len(place.end.core.answering._giving) == len(giving), "who gives parts is known as long as it does")
            for work in giving:
                self._check_window(work)
        self.tally["rests"] += 1

    def _check_window(self, work: Work) -> None:
        """What the owner may still give is what the server would let pass."""
        asker = self.world.server.connections.get(work.arrived.request.peer)
        stream = None if asker is None else asker.streams.get(work.arrived.request.corr)
        if stream is not None and work.arrived.parts is not None:
            check(stream.room == left(work.arrived.parts), f"of {work.ask.number} may be given {stream.room} bytes")

    def _settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for place in self.places:
                moved |= self.world.carry_up(place.end)
                moved |= self.world.carry_down(place.end)
                self._take(place)

    def end(self) -> None:
        """Everybody answers what is left to answer; then nothing may be left anywhere."""
        self.rest()
        for place in self.places:
            while ready := [work for work in place.work if work.running]:
                for work in ready:
                    self._reply(place, work, str(work.ask.number), None)
        self.rest()
        check(not self.live, f"{len(self.live)} were never told")
        for connection in self.world.server.connections.values():
            check(not connection.called and not connection.asked_by, "the server waits for nobody's answer")
        check(self.tally["asked"] == sum(self.tally[kind] for kind in ENDS), f"each has one end: {dict(self.tally)}")


# What a request can come to; `given up` is the one of which its asker is not told.
ENDS = (
    "answered",
    "given up",
    "ConnectionLost",
    "MethodNotFound",
    "Overloaded",
    "RequestFailed",
    "RequestTimeout",
    "SenderNotConnected",
)
