"""What a router needs of the world is written down, and what the package gives it has all of it."""

from __future__ import annotations

import inspect
import threading

import pytest

from sig.drivers.local import LocalRuntime
from sig.runtime import Expired, Flag, Runtime


def methods(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


@pytest.mark.parametrize("name", methods(Runtime))
def test_the_ordinary_runtime_has_every_method_with_the_same_parameters(name: str) -> None:
    runtime = LocalRuntime()
    wanted = list(inspect.signature(getattr(Runtime, name)).parameters)[1:]
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
