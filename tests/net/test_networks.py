"""Whole programs over networks of the kernel that fail: clients come back, what was lost is told exactly, and nothing
comes twice. Nobody is told by the system that the other end has gone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from net.apart import ADDRESSES, CLIENT, SERVER, Apart, Program, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

SOON = "2"
NUMBERS = 20


class Book:
    """What one end has told: where it is in the other's numbers."""

    def __init__(self, program: Program, other: str) -> None:
        self._program = program
        self._other = other
        self._next: int | None = None
        self.missed = 0
        self.states: list[str] = []
        self.answers = 0

    def turn(self) -> str:
        """Enter the next thing that is told, and say of what kind it was."""
        kind, *told = self._program.next()
        if kind == self._other:
            (number,) = told
            assert self._next in (None, number), f"{number} was heard, and {self._next} was next"
            self._next = number + 1
        elif kind == "gap":
            missed, reason = told
            assert (type(missed), reason) == (int, "lost_link")
            self.missed += missed
            assert self._next is not None
            self._next += missed
        elif kind == "state":
            self.states += told
        elif kind == "answer":
            self.answers += 1
        else:
            assert (kind, *told) == ("unknown", "ConnectionLost")
        return kind

    def hear(self, count: int = NUMBERS) -> None:
        """Until so many more numbers have been heard."""
        while count:
            count -= self.turn() == self._other

    def until(self, state: str) -> None:
        while self.states[-1:] != [state]:
            self.turn()


@pytest.fixture
def apart() -> Iterator[Apart]:
    with Apart() as both:
        yield both


def meet(apart: Apart, seconds: str = SOON) -> tuple[Book, Book]:
    """A server and a client that hear each other."""
    server = apart.start(SERVER, "serve", ADDRESSES[SERVER], seconds)
    kind, url = server.next()
    assert kind == "url"
    books = Book(server, "client"), Book(apart.start(CLIENT, "listen", url, seconds), "server")
    for book in books:
        book.hear()
    return books


def check_return(at_server: Book, at_client: Book) -> None:
    """The client comes back, and both go on where they were."""
    at_client.until("connected")
    answers = at_client.answers
    for book in (at_client, at_server):
        book.hear()
    while at_client.answers == answers:
        at_client.turn()
    states = at_client.states
    assert states == ["away", "connected"] * (
        len(states) // 2
    )  # a slow machine may be taken for a broken cable once more
    assert at_client.missed > 0


def test_a_cable_that_is_pulled_and_plugged_in_again(apart: Apart) -> None:
    at_server, at_client = meet(apart)
    apart.pull()
    at_client.until("away")
    apart.plug()
    check_return(at_server, at_client)


@pytest.mark.parametrize("deaf", [SERVER, CLIENT], ids=["server", "client"])
def test_a_way_that_is_broken_in_one_direction(apart: Apart, deaf: int) -> None:
    at_server, at_client = meet(apart)
    apart.deafen(deaf)
    at_client.until("away")
    apart.heal()
    check_return(at_server, at_client)


def test_one_packet_in_five_is_lost(apart: Apart) -> None:
    """That is slow, and nothing else: nobody is taken for gone, and nothing is missing."""
    at_server, at_client = meet(apart, "25")
    apart.lose(20)
    for book in (at_client, at_server):
        book.hear(5 * NUMBERS)
    answers = at_client.answers
    while at_client.answers < answers + 3:
        at_client.turn()
    assert (at_client.states, at_client.missed, at_server.missed) == ([], 0, 0)
