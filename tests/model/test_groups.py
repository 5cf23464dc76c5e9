"""Groups over links: whoever comes, goes or is lost, each event is for exactly one member, or told as missed by one.

The cores of server and clients, joined by pipes: chance says when bytes move, and when members begin what they have.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import Answer, End, World

from sig.messages import Close, Listen, Presence
from sig.names import matches
from sig.pace import Pace
from sig.protocol.bodies import Lost
from sig.protocol.client import EventsArrived, RouteOpened
from sig.protocol.events import unpack_events

SENDERS = ("a", "b")
EVENTS = ("e", "f")
SELECTORS = ((None, None), ("a", None), ("*", "e"), ("a", "e"), ("b", "**"))
PLACES = st.integers(0, 2)
MEMBERS = st.integers(0, 7)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), PLACES, st.sampled_from(SELECTORS), st.integers(1, 6)),
        st.tuples(st.just("trigger"), st.sampled_from(SENDERS), st.lists(st.sampled_from(EVENTS), max_size=20)),
        st.tuples(st.just("trigger"), st.sampled_from(SENDERS), st.lists(st.sampled_from(EVENTS), max_size=20)),
        st.tuples(st.just("begin"), MEMBERS, st.integers(1, 10)),
        st.tuples(st.just("begin"), MEMBERS, st.integers(1, 10)),
        st.tuples(st.just("carry"), PLACES, st.booleans()),
        st.tuples(st.just("close"), MEMBERS),
        st.tuples(st.just("lose"), PLACES),
        st.tuples(st.just("remove"), st.sampled_from(SENDERS)),
    ),
    min_size=5,
    max_size=60,
)


@dataclass(eq=False)
class Worker:
    """A member, and what it was told."""

    end: End
    number: int
    selector: tuple[str | None, str | None]
    pace: Pace
    queue: deque[tuple[str, str, int, Any]] = field(default_factory=deque)
    done: list[tuple[str, str, int, Any]] = field(default_factory=list)
    presence: list[tuple[str, str]] = field(default_factory=list)
    # What it was given, in that order: events, gaps and presence.
    given: list[str] = field(default_factory=list)

    @property
    def missed(self) -> int:
        """Events that it knows to be missing; not any more when it has left without having come so far."""
        return self.given[: self.pace._done].count("gap")

    def begin(self, events: int) -> None:
        for _ in range(min(events, len(self.queue))):
            event = self.queue.popleft()
            assert self.pace.begin()
            if event[2] < 0:
                self.presence.append(event[:2])
            else:
                self.done.append(event)


class Shop:
    """A server, an owner of two senders, and clients whose listeners share the events out."""

    def __init__(self, **limits: float) -> None:
        self.world = World(codec=["json", "msgpack"], interest_timeout_s=1e6, **limits)
        self.owner = self.world.client()
        self.owners: dict[str, int] = {}
        self.ends = [self.world.client(codec=codec) for codec in ("json", "msgpack", "json")]
        self.workers: list[Worker] = []
        self.gone: list[Worker] = []
        self.accepted: Counter[str] = Counter()
        self.value = 0
        self.twice = 0  # said to have begun, but the server never knew
        self.told = self.twice_told = 0
        self.had = 0  # that those had who were lost
        # Somebody hears everything, is never lost, and never leaves.
        self.anchor = self.join(self.world.client(), (None, None), 4)
        self.world.settle()

    def run(self, steps: list[Any]) -> None:
        for what, *arguments in steps:
            getattr(self, f"_{what}")(*arguments)
            self.absorb()

    # Steps

    def join(self, end: End, selector: tuple[str | None, str | None], window: int) -> Worker:
        number = len(self.workers) + len(self.gone)
        worker = Worker(end, number, selector, Pace(window, lambda events: end.core.grant(number, events)))
        self.workers.append(worker)
        end.core.listen(Listen(number, *selector, group="g", window=window), worker, 0, 1e6, Answer())
        return worker

    def _join(self, place: int, selector: tuple[str | None, str | None], window: int) -> None:
        self.join(self.ends[place], selector, window)

    def _trigger(self, sender: str, events: list[str]) -> None:
        if sender not in self.owners:
            self.owners[sender] = self.told
            self.told += 1
            self.owner.add(sender, *EVENTS)
        for event in events:
            self.value += 1
            self.owner.core.owning.trigger(sender, event, str(self.value).encode())
            self.accepted[sender] += 1

    def _remove(self, sender: str) -> None:
        if self.owners.pop(sender, None) is not None:
            self.told += 1
            self.owner.remove(sender)

    def _begin(self, member: int, events: int) -> None:
        if member < len(self.workers):
            self.workers[member].begin(events)

    def _carry(self, place: int, up: bool) -> None:
        end = (*self.ends, self.owner)[place]
        (self.world.carry_up if up else self.world.carry_down)(end)

    def _close(self, member: int) -> None:
        if 0 < member < len(self.workers):
            worker = self.workers.pop(member)
            worker.end.core.call(Close(worker.number, worker.pace.close()), 0, 1e6, Answer())
            self.gone.append(worker)

    def _lose(self, place: int) -> None:
        """The link of a client goes down as it is; another takes its place."""
        end = self.ends[place]
        known = {number: s.member for number, s in end.connection.subscriptions.items()}
        for worker in [worker for worker in self.workers if worker.end is end]:
            self.workers.remove(worker)
            self.gone.append(worker)
            member = known.get(worker.number)
            if member is not None:
                done = worker.pace.close()
                again = worker.given[member.begun : done]
                events = [share for share in member.had if not share.reason and share.parcel.presence is None]
                self.had += sum(share.events for share in events) + again.count("gap")
                self.twice_told += again.count("presence")
                self.twice += len(again) - again.count("presence")
        self.world.lose(end)
        self.ends[place] = self.world.client()

    # What has come

    def absorb(self) -> None:
        workers = {(id(worker.end), worker.number): worker for worker in self.workers}
        for end in dict.fromkeys([*self.ends, self.anchor.end]):
            news, end.news = end.news, []
            lanes = end.__dict__.setdefault("lanes", {})
            for item in news:
                if isinstance(item, RouteOpened):
                    assert item.route.listener is not None, "nobody listens but in groups"
                    lanes[item.number] = item.route
                elif isinstance(item, EventsArrived):
                    self.arrived(workers, end, lanes[item.frame.route], item)
                elif isinstance(item, Lost):
                    worker = workers.get((id(end), lanes[item.route].listener))
                    if worker is not None:
                        assert item.missed is not None
                        worker.given += ["gap"] * item.missed
                        worker.pace.miss(item.missed)
                elif isinstance(item, Presence):
                    worker = workers.get((id(end), item.listener or 0))
                    if worker is not None:
                        worker.pace.come(1)
                        worker.given.append("presence")
                        worker.queue.append((item.sender, item.event, -1, None))

    def arrived(self, workers: Any, end: End, route: Any, item: EventsArrived) -> None:
        worker = workers.get((id(end), route.listener))
        if worker is None:
            return  # it was closed meanwhile
        batch = unpack_events(item.frame)
        values = end.core.codecs[route.codec].decode_many(batch.payloads, batch.lens, item.frame.count)
        worker.pace.come(len(values))
        assert batch.first_seq is not None
        assert matches(worker.selector[0], route.sender)
        assert matches(worker.selector[1], route.event)
        worker.given += ["event"] * len(values)
        for seq, value in enumerate(values, batch.first_seq):
            worker.queue.append((route.sender, route.event, seq, value))
        assert len(worker.queue) <= worker.pace.window

    def end(self) -> None:
        """Everybody begins all that he gets, until nothing more comes."""
        before = -1
        while before != (before := sum(len(w.done) + len(w.presence) + w.missed for w in self.workers)):
            self.world.settle()
            self.absorb()
            for worker in self.workers:
                worker.begin(1000)


@given(STEPS)
def test_every_event_is_for_one_member_or_told_as_missed(steps: list[Any]) -> None:
    shop = Shop()
    shop.run(steps)
    shop.end()
    everybody = [*shop.workers, *shop.gone]
    heard = Counter(event[3] for worker in everybody for event in worker.done)
    assert set(heard.values()) <= {1}
    missed = sum(worker.missed for worker in everybody)
    assert len(heard) + missed == shop.value + shop.twice
    assert missed == shop.had
    assert sum(len(worker.presence) for worker in everybody) == shop.told + shop.twice_told


@given(STEPS)
def test_every_member_gets_a_senders_events_in_order(steps: list[Any]) -> None:
    """But for those that another has given back."""
    shop = Shop()
    shop.run([step for step in steps if step[0] not in ("close", "lose")])
    shop.end()
    for worker in shop.workers:
        for sender in SENDERS:
            values = [event[3] for event in worker.done if event[0] == sender]
            assert values == sorted(values)
            told = [event for name, event in worker.presence if name == sender]
            assert told.count("#connect") - told.count("#disconnect") in (0, 1) or len(shop.workers) > 1


@given(STEPS)
def test_what_is_too_much_to_wait_is_told_as_missed(steps: list[Any]) -> None:
    """The line holds no more than five events."""
    shop = Shop(listener_queue_events=5)
    shop.run(steps)
    shop.end()
    everybody = [*shop.workers, *shop.gone]
    heard = Counter(event[3] for worker in everybody for event in worker.done)
    assert set(heard.values()) <= {1}
    assert len(heard) + sum(worker.missed for worker in everybody) == shop.value + shop.twice
    assert sum(len(worker.presence) for worker in everybody) == shop.told + shop.twice_told


def test_nothing_is_left_behind_where_members_and_senders_have_gone() -> None:
    shop = Shop()
    shop.run([("join", 0, ("a", None), 2), ("trigger", "a", ["e"] * 9), ("carry", 0, True), ("carry", 2, True)])
    shop.world.settle()
    shop.absorb()
    shop.run([("remove", "a"), ("close", 1)])
    shop.end()
    server = shop.world.server
    assert (len(shop.anchor.done), shop.anchor.presence) == (9, [("a", "#connect"), ("a", "#disconnect")])
    assert not server.shares._numbers
    assert not server.shares._members
    shop.anchor.end.core.call(Close(0, shop.anchor.pace.close()), 0, 1e6, Answer())
    shop.world.settle()
    assert not server.shares._groups
    assert not server.budget.used
