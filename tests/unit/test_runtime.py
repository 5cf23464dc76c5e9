"""What a router needs of the world is written down, and what the package gives it has all of it."""

from __future__ import annotations

import inspect
import threading

import pytest

from sig.drivers.local import LocalRuntime
from sig.runtime import Dropping, Expired, Flag, Runtime


def methods(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


@pytest.mark.parametrize("name", methods(Runtime))
def test_the_ordinary_runtime_has_every_method_with_the_same_parameters(name: str) -> None:
    runtime = LocalRuntime()
    declared = getattr(Runtime, name)
    if isinstance(declared, property):  # may be a constant of the class
        assert type(getattr(runtime, name)) is bool
        return
    wanted = list(inspect.signature(declared).parameters)[1:]
    try:
        found = list(inspect.signature(getattr(runtime, name)).parameters)
    except ValueError:  # a builtin of the module `time`
        found = []
    assert found == wanted


@pytest.mark.parametrize("name", methods(Flag))
def test_a_flag_is_what_an_event_of_threading_is(name: str) -> None:
    wanted = list(inspect.signature(getattr(Flag, name)).parameters)
    assert list(inspect.signature(getattr(threading.Event, name)).parameters) == wanted


def test_expired_is_not_a_timeout_because_what_ran_may_raise_one_of_its_own() -> None:
    assert not issubclass(Expired, TimeoutError)


# -- who does not wait any more ------------------------------------------------------------------


def test_what_is_to_be_done_when_nobody_waits_is_done_once_and_then_at_once() -> None:
    done: list[str] = []
    dropping = Dropping()
    dropping.then(lambda: done.append("first"))
    dropping.then(lambda: done.append("second"))
    assert (dropping.dropped, done) == (False, [])
    dropping.drop()
    dropping.drop()
    assert (dropping.dropped, done) == (True, ["first", "second"])
    dropping.then(lambda: done.append("late"))
    assert done == ["first", "second", "late"]


def test_what_is_not_needed_any_more_is_not_done() -> None:
    done: list[str] = []
    dropping = Dropping()

    def first() -> None:
        done.append("first")

    dropping.then(first)
    dropping.forget(first)
    dropping.then(lambda: done.append("second"))
    dropping.drop()
    dropping.forget(first)
    assert done == ["second"]


def test_what_is_done_then_may_ask_and_drop_in_turn() -> None:
    """No lock is held while it is."""
    done: list[bool] = []
    dropping = Dropping()

    def act() -> None:
        dropping.drop()
        dropping.then(lambda: done.append(dropping.dropped))

    dropping.then(act)
    dropping.drop()
    assert done == [True]
