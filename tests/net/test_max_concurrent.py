"""So many requests of a sender at a time, by turns of those who ask: in one process as over links."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

import pytest
from net.aside import aside
from net.raw import LIMIT_S

import sig


class Doors:
    """A handler whose calls the test lets through one by one; `order` is how they began."""

    def __init__(self) -> None:
        self.order: list[object] = []
        self.most = 0
        self._inside: dict[int, threading.Event] = {}
        self._open = False
        self._changed = threading.Condition()

    def pass_through(self, params: object) -> object:
        door = threading.Event()
        with self._changed:
            if self._open:
                return params
            number = len(self.order)
            self.order.append(params)
            self._inside[number] = door
            self.most = max(self.most, len(self._inside))
            self._changed.notify_all()
        assert door.wait(LIMIT_S)
        return params

    def wait_begun(self, number: int) -> None:
        """Until so many have begun in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.order) >= number, LIMIT_S), self.order

    def let(self, number: int) -> None:
        """Through goes the one that began as that."""
        with self._changed:
            door = self._inside.pop(number)
        door.set()

    def open(self) -> None:
        """Everybody may go."""
        with self._changed:
            self._open = True
            for door in self._inside.values():
                door.set()


@pytest.fixture(params=["in process", "over a link"])
def reach(request: pytest.FixtureRequest) -> Iterator[tuple[sig.Router, sig.Router]]:
    """Who answers, and who asks."""
    with ExitStack() as stack:
        if request.param == "in process":
            router = stack.enter_context(sig.Router())
            yield router, router
        else:
            server = stack.enter_context(sig.serve("tcp://127.0.0.1:0"))
            yield server, stack.enter_context(sig.connect(server.urls[0]))


def test_no_more_run_at_a_time(reach: tuple[sig.Router, sig.Router]) -> None:
    router, asker = reach
    doors = Doors()
    router.add_sender("s", requests={"pass": doors.pass_through}, max_concurrent=2)
    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(asker.request, "s", "pass", number) for number in range(6)]
        for number in range(6):
            doors.wait_begun(min(number + 2, 6))
            doors.let(number)
        assert [one.result(LIMIT_S) for one in asking] == list(range(6))
    assert doors.most == 2
    assert sorted(map(repr, doors.order)) == sorted(map(repr, range(6)))


def test_beyond_those_who_may_wait_it_is_refused_at_once() -> None:
    doors = Doors()
    with sig.serve("tcp://127.0.0.1:0", requests_in=3) as server, sig.connect(server.urls[0]) as asker:
        server.add_sender("s", requests={"pass": doors.pass_through, "other": lambda params: params}, max_concurrent=1)
        asking = [asker.start_request("s", "pass", number) for number in range(3)]
        doors.wait_begun(1)
        with pytest.raises(sig.Overloaded, match="3 requests to this client are under way"):
            asker.request("s", "other", timeout=LIMIT_S)
        for number in range(3):
            doors.wait_begun(number + 1)
            doors.let(number)
        assert [one.result(LIMIT_S) for one in asking] == [0, 1, 2]
        assert asker.request("s", "other", 5) == 5


class Small(sig.Router):
    """Only two wait."""

    limits = sig.Router.limits.of(requests_in=2)


def test_so_it_is_in_one_process() -> None:
    doors = Doors()
    with Small() as router:
        router.add_sender("s", requests={"pass": doors.pass_through}, max_concurrent=1)
        slots = router._senders["s"]._slots
        assert slots is not None
        first = aside(lambda: router.request("s", "pass", 0))
        doors.wait_begun(1)
        waiting = [router.start_request("s", "pass", number) for number in (1, 2)]
        refused = router.start_request("s", "pass", 3)
        late = [*waiting, refused]
        done, _ = wait(late, LIMIT_S, return_when="FIRST_COMPLETED")
        [over] = done  # whichever came last to the queue
        assert isinstance(over.exception(), sig.Overloaded)
        for number in range(3):
            doors.wait_begun(number + 1)
            doors.let(number)
        assert first.result(LIMIT_S) == 0
        assert sum(one.exception(LIMIT_S) is None for one in late) == 2
        assert (slots.taken, len(slots)) == (0, 0)


def test_what_it_does_not_answer_is_told_without_waiting(reach: tuple[sig.Router, sig.Router]) -> None:
    router, asker = reach
    doors = Doors()
    router.add_sender("s", requests={"pass": doors.pass_through}, max_concurrent=1)
    first = aside(lambda: asker.request("s", "pass", 0))
    doors.wait_begun(1)
    with pytest.raises(sig.MethodNotFound):
        asker.request("s", "absent", timeout=LIMIT_S)
    doors.let(0)
    assert first.result(LIMIT_S) == 0


def test_whose_time_is_over_while_it_waits_never_begins(reach: tuple[sig.Router, sig.Router]) -> None:
    router, asker = reach
    doors = Doors()
    router.add_sender("s", requests={"pass": doors.pass_through}, max_concurrent=1)
    first = aside(lambda: asker.request("s", "pass", 0))
    doors.wait_begun(1)
    with pytest.raises(sig.RequestTimeout):
        asker.request("s", "pass", 1, timeout=0.05)
    given_up = asker.start_request("s", "pass", 2)
    assert given_up.cancel()
    last = aside(lambda: asker.request("s", "pass", 3))
    doors.let(0)
    doors.wait_begun(2)
    doors.let(1)
    assert (first.result(LIMIT_S), last.result(LIMIT_S)) == (0, 3)
    assert doors.order == [0, 3]


def test_a_handler_that_fails_gives_its_slot_back(reach: tuple[sig.Router, sig.Router]) -> None:
    router, asker = reach

    def fail(params: object) -> None:
        raise ValueError("no")

    router.add_sender("s", requests={"fail": fail, "quick": lambda params: params}, max_concurrent=1)
    for _ in range(3):
        with pytest.raises((ValueError, sig.RemoteError)):
            asker.request("s", "fail")
    assert asker.request("s", "quick", 1) == 1


@pytest.mark.parametrize("most", [None, 1], ids=["threads of the pool", "slots of the sender"])
def test_who_asks_most_does_not_keep_others_waiting(most: int | None) -> None:
    doors = Doors()
    with (
        sig.serve("tcp://127.0.0.1:0", request_workers=1) as server,
        sig.connect(server.urls[0]) as greedy,
        sig.connect(server.urls[0]) as modest,
    ):
        server.add_sender("s", requests={"pass": doors.pass_through}, max_concurrent=most)
        # As many as there may be, and then some: those are refused.
        calls: list[Future[object]] = [greedy.start_request("s", "pass", "greedy") for _ in range(300)]
        doors.wait_begun(1)
        refused, _ = wait(calls, LIMIT_S, return_when="FIRST_COMPLETED")
        assert {type(one.exception()) for one in refused} == {sig.Overloaded}
        asked = [modest.start_request("s", "pass", "modest") for _ in range(3)]
        with pytest.raises(sig.MethodNotFound):  # told at once, and so those before it have come to the server
            modest.request("s", "absent", timeout=LIMIT_S)
        for number in range(8):
            doors.wait_begun(number + 1)
            doors.let(number)
        assert [one.result(LIMIT_S) for one in asked] == ["modest"] * 3
        assert doors.order[:8].count("modest") == 3
        doors.open()
