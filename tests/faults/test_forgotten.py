"""What a program does not hold any more goes on until it is closed: handles are for closing, and for nothing else."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from net.book import Book

import sig


@pytest.fixture(params=["in one process", "over a link"])
def router(request: pytest.FixtureRequest) -> Iterator[sig.Router]:
    with ExitStack() as stack:
        if request.param == "in one process":
            yield stack.enter_context(sig.Router())
        else:
            server = stack.enter_context(sig.serve("tcp://127.0.0.1:0"))
            yield stack.enter_context(sig.connect(server.urls[0]))


def test_a_listener_that_nobody_holds_hears_on(router: sig.Router) -> None:
    book = Book()
    router.listen(book.hear, "s", "e")
    router.listen(lambda info, data: book.add(["queued", data]), "s", "e", queue=10)
    sender = router.add_sender("s", ["e"])
    gc.collect()
    sender.trigger("e", 1)
    book.wait(1)
    book.wait(["queued", 1])


def test_a_sender_that_nobody_holds_stays_and_answers_until_its_block_or_its_router_ends(router: sig.Router) -> None:
    router.add_sender("s", ["e"], {"double": lambda params: 2 * params})
    gc.collect()
    assert router.request("s", "double", 21) == 42
    with router.add_sender("held", ["e"]):
        assert [info.name for info in router.senders()] == ["s", "held"]
    assert [info.name for info in router.senders()] == ["s"]


def test_what_was_forgotten_leaves_with_its_client() -> None:
    with sig.serve("tcp://127.0.0.1:0") as server:
        book = Book()
        server.listen(book.hear, "s", "#disconnect")
        with sig.connect(server.urls[0]) as client:
            client.add_sender("s", ["e"])
            client.listen(book.hear)
            gc.collect()
        book.wait("#disconnect")
        assert server.senders() == []
