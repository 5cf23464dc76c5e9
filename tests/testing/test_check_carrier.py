"""The conformance suite finds what is wrong with a carrier, and says which promise it breaks."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from conformance.carriers import Compact, Half, Plug, Switchboard, medium, tcp

import sig
from sig.carriers import Medium
from sig.testing import Check, Ends, carrier_checks, check_carrier, leftovers
from sig.testing.checks import bytes, calls, delivery, life, streams, threads
from sig.testing.stage import Stage


def check(name: str, face: str = "blocking") -> Check:
    [found] = [check for check in carrier_checks(face) if check.name == name]
    return found


Make = Callable[[Half], Medium]


class Board(Switchboard):
    """Has media of its own at its end."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self._make = make

    def begin(self, attach: Callable[[Medium, str], None]) -> None:
        super().begin(lambda half, address: attach(self._make(half), address))  # type: ignore[arg-type]  # it is a Half


def broken(make: Make, at_server: Make = lambda half: half) -> AbstractContextManager[Ends]:
    """A carrier with a medium that is not what it should be, at one of its ends."""

    class BrokenPlug(Plug):
        def open(self, timeout: float) -> Medium:
            return make(self._board.plug())

    @contextmanager
    def ends() -> Iterator[Ends]:
        board = Board(at_server)
        yield Ends(
            serve=lambda api, **given: api.serve(board, **given),
            connect=lambda api, _, **given: api.connect(BrokenPlug(board), **given),
        )

    return ends()


def test_a_carrier_that_keeps_them_all_passes() -> None:
    told: list[str] = []
    check_carrier(tcp, progress=told.append)
    assert told == [name for name, _ in carrier_checks()]


@pytest.mark.parametrize("face", ["blocking", "asyncio", "mixed"])
def test_the_checks_have_names_and_promises(face: str) -> None:
    names = [name for name, _ in carrier_checks(face)]
    assert len(set(names)) == len(names) > 30
    assert ("threads.a_forked_child_is_told_and_the_parent_goes_on" in names) is (face == "blocking")
    subjects = {
        module.__name__.rpartition(".")[2]: module for module in (bytes, calls, delivery, life, streams, threads)
    }
    for name in names:
        subject, _, promise = name.partition(".")
        assert str(getattr(subjects[subject], promise).__doc__).rstrip().endswith("."), name


def test_an_unknown_face_is_refused() -> None:
    for call in (lambda: carrier_checks("polite"), lambda: check_carrier(tcp, face="polite")):
        with pytest.raises(sig.InvalidArgument, match="'polite' is unknown: choose one of blocking, asyncio, mixed"):
            call()


class Changing(Compact):
    """A codec that loses a little."""

    def encode(self, value: object) -> Any:
        return super().encode(round(value) if isinstance(value, float) else value)


def test_a_value_that_is_changed_is_found() -> None:
    with pytest.raises(AssertionError) as caught:
        check("delivery.values_arrive_as_they_were").run(lambda: medium(codec=Changing()))
    assert str(caught.value).startswith(
        "values_arrive_as_they_were, blocking: Empty values, text of every kind, numbers, nesting: "
    )
    assert "values that were heard" in str(caught.value)


class Short(Half):
    """A medium that ends too soon."""

    def __init__(self, half: Half) -> None:
        super().__init__(half.half)
        self._left = 100_000

    def read(self, timeout: float) -> Any:
        data = super().read(timeout)
        self._left -= len(data or b"")
        return data if self._left > 0 else b""


@pytest.mark.parametrize("face", ["blocking", "asyncio"])
def test_a_link_that_ends_too_soon_is_found(face: str) -> None:
    with pytest.raises(AssertionError, match="large_and_small_keep_their_order"):
        check("bytes.large_and_small_keep_their_order", face).run(lambda: broken(Short))


class Endless(Half):
    """A medium that takes all there is, and so hides how much waits."""

    def __init__(self, half: Half) -> None:
        super().__init__(half.half)
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                super().write(data)
            except OSError:
                return

    def write(self, data: Any) -> None:
        self._waiting.put(data)

    def close(self) -> None:
        self._waiting.put(None)
        self.half.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        super().close()


def test_a_medium_that_hides_how_much_waits_is_found() -> None:
    name = "bytes.one_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many"
    told = ""
    for _ in range(5):  # where other programs take the processors, what has not been written yet may be seen to wait
        try:
            check(name, "asyncio").run(lambda: broken(lambda half: half, Endless))
        except AssertionError as error:
            told = str(error)
            if "the server knows that its link takes no more: False" in told:
                return
    pytest.fail(f"it was not found: {told}")


def test_ends_that_do_not_pass_on_their_options_are_found() -> None:
    @contextmanager
    def ends() -> Iterator[Ends]:
        yield Ends(
            serve=lambda api, **options: api.serve("tcp://127.0.0.1:0"),
            connect=lambda api, server, **options: api.connect(server.urls[0]),
        )

    with pytest.raises(AssertionError, match="expected: MessageTooBig"):
        check("delivery.everything_up_to_the_limit_arrives").run(ends)


def test_a_thread_that_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_GRACE_S", 0.05)
    go_on = threading.Event()

    def leaving(half: Half) -> Half:
        threading.Thread(target=go_on.wait, name="sig-forgotten").start()
        return half

    with pytest.raises(AssertionError, match="left behind: .*sig-forgotten"):
        check("life.who_is_there_is_known_everywhere").run(lambda: broken(leaving))
    go_on.set()


def test_what_a_listener_raises_is_found() -> None:
    def careless(stage: Stage) -> None:
        """Listeners do not raise."""
        server = stage.serve()

        def fail(info: sig.Info, data: object) -> None:
            raise ZeroDivisionError

        server.listen(fail, "s", "e")
        server.add_sender("s", "e").trigger("e", 1)
        stage.settle()

    told = pytest.raises(AssertionError, match="what listeners raised: .*ZeroDivisionError")
    with tcp() as ends, told, Stage(ends, "asyncio") as stage:
        careless(stage)
