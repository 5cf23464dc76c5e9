"""The thread on which listeners are called: in order, to the end, and not beyond."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from time import monotonic
from typing import cast

import pytest

from sig.constants import Limits
from sig.drivers.dispatcher import Dispatcher
from sig.drivers.links import Link, ReadsByItself
from sig.protocol.bodies import Lost
from sig.protocol.client import News, Notice

LIMIT_S = 20.0


class Told:
    """A dispatcher, and what it has handed out."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self.over = threading.Event()
        self.fatal: list[BaseException] = []
        self.dispatcher = Dispatcher(
            Limits(), link=lambda: None, handle=self.handle, over=self.over.set, fatal=self.fatal.append
        )

    def handle(self, item: News) -> None:
        if isinstance(item, Notice):
            self.all.append(item.tell())
        else:
            self.all.append(item)

    def put(self, *values: object) -> None:
        self.dispatcher.put([Notice(lambda value=value: value) for value in values])  # type: ignore[misc]

    def settle(self) -> None:
        self.dispatcher.wait_for(self.dispatcher.mark(), LIMIT_S)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.dispatcher.close(monotonic() + LIMIT_S, LIMIT_S)


def test_all_is_told_in_order_before_the_end(told: Told) -> None:
    told.put(1, 2)
    told.dispatcher.put([Lost(5, 2, "slow"), Lost(5, 3, "slow"), Lost(5, None, "lost_link")])
    told.dispatcher.start()
    told.settle()
    told.put(3)
    assert not told.over.is_set()
    told.dispatcher.put_last()
    assert told.over.wait(LIMIT_S)
    assert told.all == [1, 2, Lost(5, 5, "slow"), Lost(5, None, "lost_link"), 3]


def test_whoever_waits_does_so_for_what_was_there_before(told: Told) -> None:
    go_on, behind = threading.Event(), threading.Event()
    told.dispatcher.put([Notice(lambda: go_on.wait(LIMIT_S)), Notice(lambda: told.dispatcher.inside)])
    mark = told.dispatcher.mark()
    told.dispatcher.put([Notice(lambda: behind.wait(LIMIT_S))])
    told.dispatcher.start()
    told.dispatcher.wait_for(mark, 0)
    assert told.all == []
    go_on.set()
    told.dispatcher.wait_for(mark, LIMIT_S)
    assert told.all == [True, True]
    assert not told.dispatcher.inside
    behind.set()


def test_a_mistake_of_ours_costs_one_piece_of_news(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.dispatcher.put([Notice(lambda: 1 / 0)])
    told.put("next")
    told.dispatcher.start()
    told.settle()
    assert told.all == ["next"]
    assert [record.getMessage() for record in caplog.records] == [
        "a piece of news from the server could not be handled"
    ]


def test_an_interrupt_ends_the_thread_and_nobody_waits_for_it(told: Told) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    told.dispatcher.put([Notice(interrupt)])
    told.put("never")
    told.dispatcher.start()
    told.settle()
    assert [type(error) for error in told.fatal] == [KeyboardInterrupt]
    assert (told.all, told.over.is_set()) == ([], False)


def test_after_its_end_nothing_is_handed_out_and_who_is_busy_is_left(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    told.dispatcher.put([Notice(lambda: (begun.set(), go_on.wait(LIMIT_S)))])
    told.put("never")
    told.dispatcher.start()
    assert begun.wait(LIMIT_S)
    told.dispatcher.close(monotonic(), 0)
    assert [record.getMessage() for record in caplog.records] == [
        "a listener is still busy after 0 s; its thread is left to itself"
    ]
    go_on.set()
    assert told.over.wait(LIMIT_S)
    assert told.all == [(None, True)]


def test_what_never_began_ends_at_once(told: Told) -> None:
    told.put("never")
    told.dispatcher.close(monotonic() + LIMIT_S, LIMIT_S)
    assert told.all == []


class Reader(ReadsByItself):
    """A link that has its user's thread read: `came` is what the next turns find, one after the other."""

    def __init__(self) -> None:
        self.dispatcher: Dispatcher
        self.came: SimpleQueue[list[News] | None] = SimpleQueue()

    def turn(self) -> bool:
        news = self.came.get()
        if news is None:
            return False
        for item in news:  # a turn may find more than one read
            self.dispatcher.put([item])
        return True

    def poke(self) -> None:
        self.came.put([])


def test_what_the_thread_reads_itself_it_hands_out_before_what_came_behind_it() -> None:
    told, link, inside = Told(), Reader(), threading.Event()

    def tell(value: object) -> Notice:
        return Notice(lambda: value)

    def wait() -> object:
        told.put("from elsewhere")
        inside.set()
        return "first"

    told.dispatcher = link.dispatcher = Dispatcher(
        Limits(), link=lambda: cast(Link, link), handle=told.handle, over=told.over.set, fatal=told.fatal.append
    )
    for news in ([Notice(wait)], [tell("second")], [tell("third"), tell("fourth")], [], [tell("last")]):
        link.came.put(news)
    told.dispatcher.start()
    assert inside.wait(LIMIT_S)
    link.came.put(None)
    told.settle()
    assert told.all == ["first", "from elsewhere", "second", "third", "fourth", "last"]
    told.dispatcher.put_last()
    assert told.over.wait(LIMIT_S)
