"""Each promise is watched: with one fault planted in one place, a few seeds are enough to find it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sim.scene import Scene
from sim.world import Violation

from sig.info import Gap, Info
from sig.messages import Route
from sig.protocol import retained
from sig.protocol.connection import Connection
from sig.protocol.frames import Kind
from sig.protocol.lanes import Lanes
from sig.protocol.parts import PartsIn
from sig.protocol.registry import Registry
from sig.protocol.requests import Requests
from sig.protocol.retained import Values
from sig.returned import Absence
from sig.returning import Returning
from sig.subscription import Subscription

# So many seeds are tried at most, of so many seconds. Nearly always one of the first finds it.
SEEDS = 40
LENGTH_S = 30
# Of so many occasions one goes wrong.
NOW_AND_THEN = 7


def now_and_then() -> Callable[[], bool]:
    numbers = count(1)
    return lambda: next(numbers) % NOW_AND_THEN == 0


def found(only: str | None = None, seeds: int = SEEDS, **often: float) -> str:
    """What the first seed says that finds something; `only`: the kind of fault that there is; `often`: of a scene's."""
    for seed in range(seeds):
        scene = Scene(seed, LENGTH_S, only=only)
        for name, share in often.items():
            setattr(scene, name, share)
        try:
            scene.play()
        except Violation as violation:
            return str(violation)
    pytest.fail("nobody has noticed")


def test_a_frame_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    share, wrong = Connection.share, now_and_then()
    monkeypatch.setattr(Connection, "share", lambda self, entry: None if wrong() else share(self, entry))
    assert "has missed" in found()


def test_a_frame_that_is_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    share, wrong = Connection.share, now_and_then()

    def twice(self: Connection, entry: Any) -> None:
        share(self, entry)
        if wrong():
            share(self, entry)

    monkeypatch.setattr(Connection, "share", twice)
    assert "twice" in (what := found()) or "after number" in what


def test_frames_that_change_places(monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = Connection._ordered
    monkeypatch.setattr(Connection, "_ordered", lambda self, limit: swapped(ordered(self, limit)))

    def swapped(frames: Any) -> Any:
        events = [frame[4] == Kind.EVENT for frame in frames]
        return frames[::-1] if len(events) > 1 and all(events) else frames

    assert "has missed" in (what := found(seeds=3 * SEEDS)) or "after number" in what


def test_a_gap_that_is_told_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    gap = Subscription.gap

    def more(self: Subscription, info: Info, missed: Gap) -> None:
        gap(self, info, missed if missed.missed is None else Gap(missed.missed + 1, missed.reason))

    monkeypatch.setattr(Subscription, "gap", more)
    assert "and was told of" in found()


def test_a_place_in_a_table_that_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Registry.release

    def forgetful(self: Registry, held: Any, reason: str, **options: Any) -> None:
        release(self, held, reason, **options)
        self._server.routes[held.requests_route.id] = held.requests_route

    monkeypatch.setattr(Registry, "release", forgetful)
    assert found().startswith("something is left at the server when all have gone: {'routes': ")


def test_an_acknowledgement_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    result, wrong = Connection.result, now_and_then()
    monkeypatch.setattr(Connection, "result", lambda self, *told: None if wrong() else result(self, *told))
    assert found()  # in one way or another: who waits for it does nothing else


def test_a_presence_that_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Registry._tell_presence

    def twice(self: Registry, *what: Any) -> None:
        tell(self, *what)
        tell(self, *what)

    monkeypatch.setattr(Registry, "_tell_presence", twice)
    assert "twice in a row" in found()


def test_a_request_that_is_carried_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_on = Requests.pass_on

    def twice(self: Requests, *what: Any, **options: Any) -> None:
        pass_on(self, *what, **options)
        pass_on(self, *what, **options)

    monkeypatch.setattr(Requests, "pass_on", twice)
    assert "carried out twice" in found()


def test_a_listener_that_is_forgotten_when_its_client_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Returning, "_listen", lambda self, driver, subscription, initial, done: done(None, None))
    assert "missed" in found()


def test_a_part_of_an_answer_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    put, wrong = PartsIn.put, now_and_then()
    monkeypatch.setattr(PartsIn, "put", lambda self, *what: None if wrong() else put(self, *what))
    assert "where part" in (what := found()) or "has ended after" in what


def test_a_handler_that_is_not_told_that_nobody_takes_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Requests, "cancel", lambda self, connection, frame: None)
    assert "which nobody takes" in found("change")  # else links are lost, and handlers learn of it by that


def test_a_last_value_that_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Values.put

    def once(self: Values, route: Any, value: Any) -> None:
        if self.get(route) is None:
            put(self, route, value)

    monkeypatch.setattr(Values, "put", once)
    assert "had been routed" in found()


def test_a_last_value_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "_has_past", lambda route: False)
    assert "was not given the last value" in found("change")  # who is lost may come back as another


def test_events_that_do_not_wait_for_who_has_senders_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    parcel = Lanes._parcel

    def hasty(self: Lanes, *what: Any) -> Any:
        made = parcel(self, *what)
        if made.deadline < math.inf:
            self.due = made.deadline = self._server.now
        return made

    monkeypatch.setattr(Lanes, "_parcel", hasty)
    assert "did not wait for it" in found("change", seeds=3 * SEEDS)  # few listeners have senders wait


def test_what_is_not_told_to_who_has_senders_wait_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Absence.found

    def silent(self: Absence, route: Route, info: Info, listener: Subscription | None = None) -> None:
        if listener is None or listener.options.group is not None:
            tell(self, route, info, listener)
            return
        for left in self._of(route.sender, route.event):
            left.told |= left.speaks_to(listener)

    monkeypatch.setattr(Absence, "found", silent)
    assert "has missed" in found("cut", slow=1.0, blocking=1.0)


def test_a_sender_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    find, wrong = Registry.find, now_and_then()
    monkeypatch.setattr(Registry, "find", lambda self, name: None if wrong() else find(self, name))
    assert "has that name" in found("change")
