"""The promises of the router hold wherever one thread is stopped and another goes on."""

from __future__ import annotations

import importlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from model.turns import MODULES, TurnLock, Turns

import sig

SEEDS = range(9)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    turns = Turns()
    for name in MODULES:
        if hasattr(importlib.import_module(name), "RLock"):
            monkeypatch.setattr(f"{name}.RLock", lambda: TurnLock(turns))
    return turns


@pytest.fixture
def routers(turns: Turns) -> Iterator[list[sig.Router]]:
    """One for each seed."""
    routers = [sig.Router() for _ in SEEDS]
    yield routers
    for router in routers:
        router.close()


class Worker:
    """An executor whose thread takes turns like the others."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._posted: deque[Callable[[], object]] = deque()
        self.ended = 0

    def __call__(self, function: Callable[[], object]) -> None:
        self._posted.append(function)

    def work(self, others: int) -> None:
        """Until so many others have ended, and nothing is left."""
        while self._posted or self.ended < others:
            if self._posted:
                self._posted.popleft()()
            else:
                self._turns.switch()

    def then_end(self, work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            work()
            self.ended += 1

        return run


def with_worker(turns: Turns, worker: Worker, seed: int, *works: Callable[[], object]) -> None:
    turns.run(seed, *map(worker.then_end, works), lambda: worker.work(len(works)))


def disturbing(router: sig.Router, times: int) -> Callable[[], None]:
    """Come and go as listeners of all kinds, so that every plan is rebuilt again and again."""

    def disturb() -> None:
        for _ in range(times):
            for sender, event in ((None, None), ("s", None), (None, "e"), ("s", "*"), ("s", "e")):
                router.listen(nothing, sender, event, meta=sender is None).close()

    return disturb


def triggering(signal: sig.Signal, values: Iterable[object]) -> Callable[[], None]:
    def trigger() -> None:
        for value in values:
            signal.trigger(value)

    return trigger


def nothing(info: object, data: object) -> None: ...


def test_a_seed_decides_who_runs_when(turns: Turns) -> None:
    """Else a failure here could not be had again."""

    def order(seed: int) -> list[tuple[int, int]]:
        log: list[tuple[int, int]] = []
        with sig.Router() as router:
            signal = router.add_sender("s", "e").signal("e")
            router.listen(lambda info, data: log.append(data), "s", "e")
            works = [triggering(signal, [(me, number) for number in range(20)]) for me in range(3)]
            turns.run(seed, *works, disturbing(router, 5))
        return log

    first = order(1)
    assert order(1) == first != order(2)
    assert first != sorted(first), "nobody was stopped by another"


def test_nobody_misses_or_doubles_an_event_while_others_come_and_go(turns: Turns, routers: list[sig.Router]) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[tuple[int, int]] = []
        signal = router.add_sender("s", ["e"]).signal("e")
        router.listen(lambda info, data, heard=heard: heard.append(data), "s", "e")
        works = [triggering(signal, [(me, number) for number in range(60)]) for me in range(3)]
        turns.run(seed, *works, *[disturbing(router, 10)] * 2)
        for thread in range(3):
            assert [number for who, number in heard if who == thread] == list(range(60))


def test_the_numbers_of_a_signal_are_given_out_once_each(turns: Turns, routers: list[sig.Router]) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        numbers: list[int | None] = []
        signal = router.add_sender("s", ["e"]).signal("e")
        router.listen(lambda info, data, numbers=numbers: numbers.append(info.seq), "s", "e", meta=True)
        turns.run(seed, *[triggering(signal, range(50))] * 4)
        assert sorted(numbers, key=lambda number: number or 0) == list(range(1, 201))


@pytest.mark.parametrize("queued", [False, True])
def test_initial_neither_misses_nor_doubles_between_the_past_and_the_present(
    turns: Turns, routers: list[sig.Router], queued: bool
) -> None:
    """One thread counts on a retained event; whoever comes hears a number, and then all that follow."""
    began = set()
    for seed, router in zip(SEEDS, routers, strict=True):
        worker = Worker(turns)
        options: dict[str, Any] = {"executor": worker} if queued else {}
        signal = router.add_sender("s", ["e"], retain=True).signal("e")
        signal.trigger(0)
        heard: list[list[tuple[bool, Any]]] = []

        def come(router: sig.Router = router, heard: Any = heard, options: dict[str, Any] = options) -> None:
            for _ in range(4):
                mine: list[tuple[bool, Any]] = []
                heard.append(mine)
                router.listen(
                    lambda info, data, mine=mine: mine.append((info.initial, data)), "s", "e", initial=True, **options
                )

        with_worker(turns, worker, seed, triggering(signal, range(1, 41)), come, come)
        for mine in heard:
            assert [initial for initial, _ in mine].count(True) == 1
            assert mine[0][0] is True
            assert [number for _, number in mine] == list(range(mine[0][1], 41))
            began.add(mine[0][1])
    assert len(began) > 5, "some came in the middle"


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("queued", [False, True])
def test_a_group_has_each_event_exactly_once_while_members_come_and_go(
    turns: Turns, routers: list[sig.Router], once: bool, queued: bool
) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        worker = Worker(turns)
        options: dict[str, Any] = {"once": once, "executor": worker if queued else None}
        heard: list[object] = []
        signal = router.add_sender("s", ["e"]).signal("e")

        def listener(info: sig.Info, data: object, heard: list[object] = heard) -> None:
            heard.append(data)

        def come_and_go(router: sig.Router = router, listener: Any = listener, options: Any = options) -> None:
            for _ in range(5):
                for member in [router.listen(listener, "s", "e", group="g", **options) for _ in range(3)]:
                    member.close()

        router.listen(listener, "s", "e", group="g")  # so that there always is one
        works = [triggering(signal, range(start, start + 40)) for start in (0, 40)]
        with_worker(turns, worker, seed, *works, come_and_go, come_and_go)
        assert Counter(heard) == Counter(range(80))


@pytest.mark.parametrize("options", [{}, {"meta": True}, {"initial": True}], ids=str)
def test_once_is_once(turns: Turns, routers: list[sig.Router], options: dict[str, Any]) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[int] = []
        signal = router.add_sender("s", ["e"]).signal("e")
        subscriptions = [
            router.listen(lambda info, data, me=me, heard=heard: heard.append(me), "s", "e", once=True, **options)
            for me in range(20)
        ]
        turns.run(seed, *[triggering(signal, range(5))] * 4)
        assert Counter(heard) == Counter(range(20))
        assert all(subscription.closed for subscription in subscriptions)


@pytest.mark.parametrize("options", [{}, {"meta": True}, {"type": int}, {"group": "g"}, {"queued": True}], ids=str)
def test_after_close_at_most_the_call_already_chosen_begins(
    turns: Turns, routers: list[sig.Router], options: dict[str, Any]
) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        worker = Worker(turns)
        more = {"executor": worker} if options.get("queued") else options
        signal = router.add_sender("s", ["e"]).signal("e")
        late: list[int] = []
        stopped: list[bool] = []

        def come_and_go(
            router: sig.Router = router, late: Any = late, stopped: Any = stopped, more: Any = more
        ) -> None:
            for _ in range(15):
                begun: list[int] = []
                closed: list[bool] = []

                def listener(info: sig.Info, data: object, begun: Any = begun, closed: Any = closed) -> None:
                    begun.append(1)
                    if closed:
                        late.append(1)

                subscription = router.listen(listener, "s", "e", **more)
                turns.wait_for(lambda begun=begun: bool(begun))  # type: ignore[misc]
                subscription.close()
                closed.append(True)
                late.clear()
                for _ in range(20):
                    turns.switch()  # for the others to come to a whole round
                assert len(late) <= 1  # there is one other thread
            stopped.append(True)

        def trigger(signal: sig.Signal = signal, stopped: list[bool] = stopped) -> None:
            while not stopped:
                signal.trigger(1)

        with_worker(turns, worker, seed, trigger, come_and_go)


def test_who_is_closed_by_another_thread_is_taken_out_of_the_round_under_way(
    turns: Turns, routers: list[sig.Router]
) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[str] = []
        steps: list[str] = []

        def first(info: sig.Info, data: object, steps: list[str] = steps) -> None:
            steps.append("inside")
            turns.wait_for(lambda: steps[-1] == "closed")

        def close(router: sig.Router = router, heard: Any = heard, steps: list[str] = steps) -> None:
            turns.wait_for(lambda: bool(steps))
            behind.close()  # noqa: B023
            steps.append("closed")

        signal = router.add_sender("s", ["e"]).signal("e")
        router.listen(first, "s", "e")
        behind = router.listen(lambda info, data, heard=heard: heard.append("behind"), "s", "e")
        router.listen(lambda info, data, heard=heard: heard.append("stays"), "s", "e")
        turns.run(seed, signal.trigger, close)
        assert heard == ["stays"]


def test_closing_ones_own_subscription_is_final(turns: Turns, routers: list[sig.Router]) -> None:
    """In the thread that closes it there is no call already chosen."""
    for seed, router in zip(SEEDS, routers, strict=True):
        signal = router.add_sender("s", ["e"]).signal("e")

        def come_and_go(me: int, router: sig.Router = router, signal: sig.Signal = signal) -> None:
            for number in range(15):
                calls: list[int] = []

                def listener(info: sig.Info, data: object, calls: list[int] = calls, number: int = number) -> None:
                    if data == (me, number):
                        calls.append(1)
                        subscription.close()  # noqa: B023
                        signal.trigger(data)

                subscription = router.listen(listener, "s", "e")
                signal.trigger((me, number))
                assert calls == [1]

        turns.run(seed, *[lambda me=me, go=come_and_go: go(me) for me in range(2)])


def test_lives_of_a_name_follow_each_other_and_none_begins_in_another(turns: Turns, routers: list[sig.Router]) -> None:
    """Several threads fight for one name; each that gets it triggers three events and leaves."""
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[tuple[str, object]] = []

        def listener(info: sig.Info, data: object, heard: Any = heard) -> None:
            heard.append((info.event, data if info.event == "e" else None))

        def live(thread: int, router: sig.Router = router) -> Callable[[], None]:
            def work() -> None:
                for _ in range(10):
                    try:
                        sender = router.add_sender("s", ["e"])
                    except sig.SenderAlreadyConnected:
                        continue
                    for _ in range(3):
                        sender.trigger("e", thread)
                    assert sender.remove()

            return work

        router.listen(listener, "s")
        turns.run(seed, *map(live, range(4)), disturbing(router, 5))
        lives = [heard[start : start + 5] for start in range(0, len(heard), 5)]
        assert lives
        for life in lives:
            assert [event for event, _ in life] == ["#connect", "e", "e", "e", "#disconnect"]
            assert len({data for _, data in life[1:4]}) == 1
        assert not router._rounds


def test_whoever_comes_with_initial_sees_whole_lives(turns: Turns, routers: list[sig.Router]) -> None:
    """In the middle of one too: `#connect` and the retained value are told of the past."""
    one = ["#connect", "e", "#disconnect"]
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[list[str]] = []
        ended: list[bool] = []

        def come(router: sig.Router = router, heard: Any = heard, ended: Any = ended) -> None:
            while not ended:
                mine: list[str] = []
                heard.append(mine)
                with router.listen(lambda info, data, mine=mine: mine.append(info.event), "s", initial=True):
                    for _ in range(20):
                        turns.switch()  # for some to be there for a while

        def live(router: sig.Router = router, ended: Any = ended) -> None:
            for _ in range(20):
                with router.add_sender("s", ["e"], retain=True) as sender:
                    sender.trigger("e")
            ended.append(True)

        whole: list[str] = []
        router.listen(lambda info, data, whole=whole: whole.append(info.event), "s", initial=True)
        turns.run(seed, live, come, come)
        assert whole == one * 20
        for mine in heard:
            assert mine == (one * 20)[: len(mine)]
        assert any(heard)


def test_what_is_triggered_while_the_router_closes_is_heard_or_refused(turns: Turns, routers: list[sig.Router]) -> None:
    ends = set()
    for seed, router in zip(SEEDS, routers, strict=True):
        heard: list[int] = []
        accepted: list[int] = []
        signal = router.add_sender("s", ["e"]).signal("e")
        router.listen(lambda info, data, heard=heard: heard.append(data), "s", "e")

        def trigger(signal: sig.Signal = signal, accepted: list[int] = accepted) -> None:
            for number in range(10_000):
                try:
                    signal.trigger(number)
                except (sig.Closed, sig.SenderNotConnected):
                    return
                accepted.append(number)

        turns.run(seed, trigger, router.close)
        assert heard == accepted
        ends.add(len(accepted))
        assert not router._index.count
    assert len(ends) > 3


def test_registering_everything_at_once_leaves_nothing_behind(turns: Turns, routers: list[sig.Router]) -> None:
    for seed, router in zip(SEEDS, routers, strict=True):

        def work(thread: int, router: sig.Router = router) -> Callable[[], None]:
            def run() -> None:
                for number in range(6):
                    name = f"{thread}/{number % 3}"
                    with (
                        router.add_sender(name, ["e", "#x"], retain=True) as sender,
                        router.listen(nothing, f"{thread}/*", None, group=str(number % 2)),
                        router.listen(nothing, name, "e", initial=True, once=True),
                    ):
                        sender.trigger("e", number)
                        assert router.last(name, "e") is not None
                        assert name in [row.name for row in router.senders()]
                        sender.add_listener(nothing, "e")
                        assert sender.count_listeners() >= 1
                        sender.remove_listener(nothing, "e")

            return run

        turns.run(seed, *map(work, range(4)))
        index: Any = router._index
        assert index.count == 0
        for table in (index._plain, index._of_any.tree, index._of_senders, index._senders, index._events):
            assert len(table) == 0
        for left in (router._senders, router._turns, router._rounds):
            assert not left
