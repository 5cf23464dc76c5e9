"""`capture` catches what listeners would be given; `wait` waits for it, and says what came instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

import sig
from sig.testing import Clock, capture, pair

LIMIT_S = 20


@contextmanager
def plain() -> Iterator[tuple[sig.Router, sig.Router]]:
    with sig.Router() as router:
        yield router, router


# Where is triggered, and where is heard.
Reach = Callable[[], AbstractContextManager[tuple[sig.Router, sig.Router]]]


@pytest.fixture(params=[plain, pair], ids=["in process", "linked"])
def reach(request: pytest.FixtureRequest) -> Iterator[tuple[sig.Router, sig.Router]]:
    make: Reach = request.param
    with make() as routers:
        yield routers


def test_it_is_a_list_of_what_came(reach: tuple[sig.Router, sig.Router]) -> None:
    here, there = reach
    got = capture(there, "s")
    sender = here.add_sender("s", ["e", "f"])
    sender.trigger("e", 1)
    sender.trigger("f", [2])
    assert got.wait(3) is got
    assert got.names == [("s", "#connect"), ("s", "e"), ("s", "f")]
    assert got.data[1:] == [1, [2]]


def test_it_catches_one_event(reach: tuple[sig.Router, sig.Router]) -> None:
    here, there = reach
    sender = here.add_sender("s", ["e", "f"])
    got = capture(there, "s", "e")
    for number in range(3):
        sender.trigger("e", number)
        sender.trigger("f", number)
    got.wait(3)
    assert got.data == [0, 1, 2]
    assert got.names == [("s", "e")] * 3
    assert len(got) == 3
    assert (got[0].data, got[-1].data) == (0, 2)
    assert [received.data for received in got[1:]] == [1, 2]
    assert [data for _, data in got] == [0, 1, 2]
    assert repr(got) == "<Capture of 's', 'e': 3 events>"
    assert got.missed == 0


def test_clear_forgets_and_wait_counts_anew(reach: tuple[sig.Router, sig.Router]) -> None:
    here, there = reach
    sender = here.add_sender("s", "e")
    got = capture(there, "s", "e")
    sender.trigger("e", 1)
    got.wait().clear()
    assert list(got) == []
    sender.trigger("e", 2)
    assert got.wait().data == [2]


def test_options_are_those_of_listen() -> None:
    clock = Clock()
    with sig.Router(clock=clock) as router:
        sender = router.add_sender("s", "e", retain=True)
        clock.advance(5)
        sender.trigger("e", 1)
        got = capture(router, "s", "e", initial=True, meta=True)
        assert got[0].info.initial
        assert got[0].info.time == clock.wall()


def test_after_the_block_nothing_more_comes() -> None:
    with sig.Router() as router:
        sender = router.add_sender("s", "e")
        with capture(router, "s", "e") as got:
            sender.trigger("e", 1)
        sender.trigger("e", 2)
        assert got.data == [1]


def test_wait_waits_for_another_thread() -> None:
    with sig.Router() as router:
        sender = router.add_sender("s", "e")
        got = capture(router, "s", "e")
        waits = threading.Event()
        seen: list[int] = []

        def wait() -> None:
            waits.set()
            seen.append(len(got.wait(2, LIMIT_S)))

        thread = threading.Thread(target=wait)
        thread.start()
        assert waits.wait(LIMIT_S)
        sender.trigger("e", 1)
        sender.trigger("e", 2)
        thread.join(LIMIT_S)
        assert seen == [2]


def test_what_does_not_come_is_told_with_what_did() -> None:
    with sig.Router() as router:
        got = capture(router, None, "e")
        with pytest.raises(AssertionError, match=r"^0 of 1 event of None, 'e' came within 0 s$"):
            got.wait(timeout=0)
        router.add_sender("s", "e").trigger("e", {"celsius": 21})
        with pytest.raises(AssertionError, match=r"1 of 2 events of None, 'e' came within 0 s:\n  s e {'celsius': 21}"):
            got.wait(2, 0)


def test_who_waits_is_told_when_no_more_will_come() -> None:
    with sig.Router() as router:
        got = capture(router, "s", "e")
        got.close()
        with pytest.raises(AssertionError, match="before it was closed"):
            got.wait(1, LIMIT_S)


def test_who_waits_is_told_when_the_link_is_lost() -> None:
    with pair() as (server, client):
        got = capture(client, "s", "e")
        threading.Timer(0.02, server.close).start()
        with pytest.raises(AssertionError, match="link was lost"):
            got.wait(1, LIMIT_S)


def test_losses_are_counted() -> None:
    with sig.Router() as router:
        got = capture(router, "s", "e", queue=1, executor=lambda function: None)  # which never runs it
        sender = router.add_sender("s", "e")
        for number in range(3):
            sender.trigger("e", number)
        assert (got.data, got.missed) == ([], 2)
        got.close()
