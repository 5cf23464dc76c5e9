"""However much there is and however slowly it is read: what a subscription got and what it was told to have missed is,
event for event and in order, what the server accepted while it listened.

Both stages of shedding act here: the server's outbox, and the queue in which a client keeps what its listeners have not
come to yet.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from protocol.pairs import End, World, whole

from sig.codecs import batch_decode
from sig.constants import Limits
from sig.messages import AddSender, Close, Listen, RemoveSender
from sig.names import matches
from sig.protocol.bodies import Lost
from sig.protocol.client import EventsArrived, ListenerReady, News, RouteClosed, RouteOpened
from sig.protocol.events import unpack_events
from sig.protocol.outbox import Outbox

NAMES = ("a", "b", "lab/1")
EVENTS = ("e", "f", "#alarm", "x/y")
MUCH = 1 << 20
_TABLES = 20  # bytes that a frame adds to a payload, and to all of them together, at most

# One life of one event: sender, event, and which of the sender's registrations it is.
Life = tuple[str, str, int]


class Subscription:
    """What one listener should get, by the server's account, and what it got: numbers, and gaps as `-missed`."""

    def __init__(self, sender: str | None, event: str | None) -> None:
        self.selector = sender, event
        self.open = True
        self.ready = False
        self.accepted: dict[Life, list[int]] = {}
        self.got: dict[Life, list[int]] = {}

    def hears(self, life: Life) -> bool:
        return self.open and matches(self.selector[0], life[0]) and matches(self.selector[1], life[1])

    def check(self, *, complete: bool) -> None:
        assert not complete or self.got.keys() == self.accepted.keys()
        for life, got in self.got.items():
            accepted = self.accepted[life]
            place = 0
            for item in got:
                if item < 0:
                    place -= item
                else:
                    assert accepted[place : place + 1] == [item], f"{life}: {got} out of {accepted}"
                    place += 1
            assert place == len(accepted) if complete else place <= len(accepted), f"{life}: {got} out of {accepted}"


class Slow:
    """A client that reads, and whose listeners run, when the test says so."""

    def __init__(self, load: Load, limits: Limits) -> None:
        self.load = load
        self.end = load.world.client(limits=limits)
        load.world.ends.remove(self.end)  # or `settle` would read for it
        self.subscriptions: list[Subscription] = []
        # As a driver's: only events may go, and what the server lost is told with what is lost here.
        self.inbox: Outbox[News] = Outbox(
            drop_bytes=limits.listener_queue_bytes, drop_events=limits.listener_queue_events
        )
        self.routes: dict[int, tuple[Life, int]] = {}  # with the number of the next event

    def listen(self, selector: tuple[str | None, str | None]) -> None:
        subscription = Subscription(*selector)
        self.subscriptions.append(subscription)
        number = len(self.subscriptions)
        self.end.core.listen(Listen(number, *selector), subscription, self.load.world.now, 30, nothing)
        self.load.world.carry_up(self.end)

    def close(self, place: int) -> None:
        if place < len(self.subscriptions) and self.subscriptions[place].open:
            self.subscriptions[place].open = False
            self.end.call(Close(place + 1))
            self.load.world.carry_up(self.end)

    def read(self, limit: int) -> bool:
        """Take bytes from the link; whether there were any."""
        data = self.end.connection.data_to_send(limit)
        for part in self.load.world.cut(data):
            self.end.core.receive_at(part, self.load.world.now)
        assert not self.end.core.closed, self.end.core.error
        for news in self.end.core.take_news():
            if isinstance(news, EventsArrived):
                self.inbox.put_events(news, len(news.frame.data), news.counts)
            elif isinstance(news, Lost) and news.missed is not None:
                self.inbox.put_loss(news.route, news.missed, news.reason)
            else:
                self.inbox.put(news, 1)
        return bool(data)

    def work(self, entries: int) -> bool:
        """Let the listeners have so much of what waits; whether that was all."""
        for _ in range(entries):
            entry = self.inbox.take()
            if entry is None:
                return True
            if entry.lost is not None:
                for (route, _), missed in entry.lost.items():
                    self._miss(route, missed)
            else:
                assert entry.item is not None
                self._handle(entry.item)
        return False

    def check_bounds(self, most_bytes: int, most_events: int) -> None:
        """No more waits than the limits allow, or than was triggered at one time."""
        at_server, here = self.end.connection.outbox, self.inbox
        limits = self.end.core.limits
        assert at_server.event_bytes <= max(self.load.world.limits.link_drop_bytes, most_bytes)
        assert here.event_bytes <= max(limits.listener_queue_bytes, most_bytes)
        assert here.events <= max(limits.listener_queue_events, most_events)

    def _handle(self, news: News) -> None:
        if isinstance(news, ListenerReady):
            assert isinstance(news.listener, Subscription)
            news.listener.ready = True
        elif isinstance(news, RouteOpened):
            life = self.load.lives[news.route.incarnation, news.route.event or ""]
            self.routes[news.number] = life, news.route.next_seq
        elif isinstance(news, RouteClosed):
            del self.routes[news.number]
        elif isinstance(news, Lost):
            assert news.missed is not None
            self._miss(news.route, news.missed)
        elif isinstance(news, EventsArrived):
            batch = unpack_events(news.frame)
            count = news.frame.count
            values = batch_decode(self.end.core.codec, batch.payloads, batch.lens, count)
            for route, value in zip(batch.routes or (news.frame.route,) * count, values, strict=True):
                number = value[0] if isinstance(value, list) else value
                life, expected = self.routes[route]
                assert number == expected, f"event {number} of {life} came as number {expected}"
                self._count(route, 1, number)

    def _miss(self, route: int, missed: int) -> None:
        assert missed > 0
        self._count(route, missed, -missed)

    def _count(self, route: int, events: int, item: int) -> None:
        life, expected = self.routes[route]
        self.routes[route] = life, expected + events
        for subscription in self.subscriptions:
            if subscription.ready and subscription.hears(life):
                subscription.got.setdefault(life, []).append(item)


def nothing(value: object, error: BaseException | None) -> None:
    assert error is None


class Load:
    """A server with tiny queues, senders that obey at once, and clients that do not."""

    def __init__(self, *readers: dict[str, int], **limits: float) -> None:
        self.world = World(cut=whole, **limits)
        self.world.prompt = False
        self.lives: dict[tuple[int, str], Life] = {}
        self.numbers: dict[Life, int] = {}
        self.here: dict[str, tuple[End, int]] = {}
        self.senders: End = self.world.client()
        self.most_bytes = self.most_events = 0  # of what was triggered at a time
        self.readers = [Slow(self, Limits.of(**limits)) for limits in readers]

    def run(self, program: list[tuple[Any, ...]]) -> None:
        for what, *arguments in program:
            getattr(self, what)(*arguments)
            for reader in self.readers:
                reader.check_bounds(self.most_bytes, self.most_events)

    def finish(self) -> None:
        for reader in self.readers:
            while reader.read(MUCH) or not reader.work(MUCH):
                pass
            for subscription in reader.subscriptions:
                subscription.check(complete=subscription.open)

    def come(self, name: str) -> None:
        if name in self.here:
            return
        answer = self.senders.call(AddSender(name, list(EVENTS), None))
        self.world.settle()
        incarnation = answer.ok
        assert isinstance(incarnation, int)
        self.here[name] = self.senders, incarnation
        for event in EVENTS:
            life = self.lives[incarnation, event] = name, event, incarnation
            self.numbers[life] = 0

    def leave(self, name: str) -> None:
        if self.here.pop(name, None):
            self.senders.ask(RemoveSender(name))

    def vanish(self) -> None:
        """The senders' link goes down, and they come back with another."""
        names = list(self.here)
        self.here.clear()
        self.world.lose(self.senders)
        self.senders = self.world.client()
        for name in names:
            self.come(name)

    def trigger(self, events: list[tuple[str, str, int, int]]) -> None:
        """Trigger so many events of each of these, so much longer than they need be, as one batch."""
        size = count = 0
        for name, event, longer, times in events:
            if name not in self.here:
                continue
            end, incarnation = self.here[name]
            life = name, event, incarnation
            for _ in range(times):
                self.numbers[life] += 1
                number = b"%d" % self.numbers[life]
                payload = b'[%s,"%s"]' % (number, b"x" * longer) if longer else number
                end.core.owning.trigger(name, event, payload)
                size, count = size + len(payload) + _TABLES, count + 1
                for reader in self.readers:
                    for subscription in reader.subscriptions:
                        if subscription.hears(life):
                            subscription.accepted.setdefault(life, []).append(self.numbers[life])
        self.most_bytes = max(self.most_bytes, size + _TABLES)
        self.most_events = max(self.most_events, count)
        self.world.settle()

    def listen(self, reader: int, selector: tuple[str | None, str | None]) -> None:
        self.readers[reader].listen(selector)
        self.world.settle()

    def close(self, reader: int, place: int) -> None:
        self.readers[reader].close(place)
        self.world.settle()

    def read(self, reader: int, limit: int) -> None:
        self.readers[reader].read(limit)

    def stall(self, reader: int) -> None:
        """The server finds that the reader's link takes no more."""
        self.world.server.held_up(self.readers[reader].end.connection, 1)

    def name(self, name: str) -> None:
        """Something comes that may not be dropped, and stands in order."""
        if name in self.here:
            self.leave(name)
        else:
            self.come(name)

    def work(self, reader: int, entries: int) -> None:
        self.readers[reader].work(entries)


# What overflows the server's queue, the client's, both or neither; and clients that take small frames only.
READERS = st.fixed_dictionaries(
    {
        "listener_queue_events": st.sampled_from([1, 3, 10, 1000]),
        "listener_queue_bytes": st.sampled_from([100, 1000, MUCH]),
        "max_frame_bytes": st.sampled_from([400, MUCH, MUCH]),
    }
)
EVERYTHING = None, None
SELECTORS = st.tuples(
    st.sampled_from([None, None, "a", "lab/*", "**"]), st.sampled_from([None, None, "e", "#alarm", "x/*", "**"])
)
BURST = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(EVENTS), st.sampled_from([0, 1, 30, 100, 500, 3000]), st.integers(1, 8)
)
TRIGGER = st.tuples(st.just("trigger"), st.lists(BURST, min_size=1, max_size=5))
READ = st.tuples(st.just("read"), st.integers(0, 1), st.sampled_from([1, 100, 1000, MUCH]))
WORK = st.tuples(st.just("work"), st.integers(0, 1), st.sampled_from([1, 3, MUCH]))
STALL = st.tuples(st.just("stall"), st.integers(0, 1))
SENDERS = st.one_of(st.tuples(st.sampled_from(["come", "come", "leave"]), st.sampled_from(NAMES)), st.just(("vanish",)))
LISTENERS = st.one_of(
    st.tuples(st.just("listen"), st.integers(0, 1), SELECTORS),
    st.tuples(st.just("close"), st.integers(0, 1), st.integers(0, 4)),
)


def programs(change: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Rounds: much is triggered, something changes or not, and one of the two clients reads, or works, a little."""
    rounds = st.tuples(TRIGGER, TRIGGER, st.one_of(TRIGGER, change), READ, st.one_of(TRIGGER, change, WORK))
    return st.lists(rounds, min_size=3, max_size=12).map(lambda some: [step for steps in some for step in steps])


def run(
    link_drop_bytes: int,
    readers: tuple[dict[str, int], dict[str, int]],
    selectors: list[tuple[str | None, str | None]],
    program: list[tuple[Any, ...]],
) -> None:
    load = Load(*readers, link_drop_bytes=link_drop_bytes)
    for name in NAMES:
        load.come(name)
    for place, selector in enumerate(selectors):
        load.listen(place % 2, selector)
    load.run(program)
    load.finish()


LINKS = st.sampled_from([1, 300, 1000, 4000, MUCH])


@given(LINKS, st.tuples(READERS, READERS), st.lists(SELECTORS, max_size=5), programs(SENDERS))
def test_delivered_and_missed_are_what_was_accepted(
    link_drop_bytes: int,
    readers: tuple[dict[str, int], dict[str, int]],
    selectors: list[tuple[str | None, str | None]],
    program: list[tuple[Any, ...]],
) -> None:
    run(link_drop_bytes, readers, [EVERYTHING, EVERYTHING, *selectors], program)


@given(LINKS, st.tuples(READERS, READERS), programs(st.one_of(SENDERS, LISTENERS)))
def test_so_they_are_for_listeners_that_come_and_go(
    link_drop_bytes: int, readers: tuple[dict[str, int], dict[str, int]], program: list[tuple[Any, ...]]
) -> None:
    run(link_drop_bytes, readers, [EVERYTHING, EVERYTHING], program)


@given(LINKS, st.sampled_from([80_000, MUCH]), st.sampled_from([0, 1, 3]), programs(st.one_of(SENDERS, LISTENERS)))
def test_so_they_are_for_links_that_take_nothing(
    link_drop_bytes: int, memory_bytes: int, patience: int, program: list[tuple[Any, ...]]
) -> None:
    """They are late soon, and find what came for them in the backlogs of those who hear the same."""
    load = Load({}, {}, link_drop_bytes=link_drop_bytes, memory_bytes=memory_bytes)
    load.world.server.backlogs.patience = patience
    for name in NAMES:
        load.come(name)
    load.listen(0, EVERYTHING)
    load.listen(1, ("a", "e"))
    load.listen(1, ("lab/1", None))
    for step in program:
        load.stall(0)
        load.stall(1)
        load.run([step])
    load.finish()
    for reader in load.readers:
        load.world.server.held_up(reader.end.connection, 0)
    assert not load.world.server.budget.used


def test_who_listens_is_not_told_of_what_was_lost_before() -> None:
    """The answer to `listen` stands between two losses, and stays there."""
    load = Load({}, link_drop_bytes=1)
    load.come("a")
    load.listen(0, ("a", "e"))
    load.trigger([("a", "e", 0, 1)])
    load.listen(0, ("a", "e"))
    for _ in range(2):
        load.trigger([("a", "e", 0, 1)])
    load.finish()
    first, second = load.readers[0].subscriptions
    assert [*first.got.values()] == [[-1, -1, 3]]
    assert [*second.got.values()] == [[-1, 3]]


def test_who_comes_back_counts_on_from_where_the_event_is() -> None:
    """So does the ROUTE that tells again how far the event is, to one who has not listened for a while."""
    load = Load({}, link_drop_bytes=1)
    load.come("a")
    load.listen(0, ("a", "e"))
    load.trigger([("a", "e", 0, 1)])
    load.close(0, 0)
    load.trigger([("a", "e", 0, 1)])
    load.listen(0, ("a", "e"))
    for _ in range(2):
        load.trigger([("a", "e", 0, 1)])
    load.finish()  # which compares the number of each event with what was counted


def test_nobody_is_cut_off_for_events_that_it_cannot_take() -> None:
    load = Load({"max_frame_bytes": 400}, link_control_bytes=2000)
    load.come("a")
    load.listen(0, ("a", "e"))
    for _ in range(200):
        load.trigger([("a", "e", 500, 1)])
    load.finish()
    assert load.readers[0].subscriptions[0].got
