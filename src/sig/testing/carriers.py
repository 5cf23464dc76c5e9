"""The conformance suite: what every carrier has to keep, for those of this package and for yours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NamedTuple

from .checks import bytes, calls, delivery, life, streams, threads
from .stage import BLOCKING_ONLY, MakePair, Stage, check_face

_SUBJECTS: tuple[ModuleType, ...] = (delivery, calls, streams, life, bytes, threads)


class Check(NamedTuple):
    """One promise, and what tries whether a carrier keeps it."""

    name: str
    """`subject.promise`."""
    run: Callable[[MakePair], None]
    """`run(make_pair)` raises `AssertionError` that says what was promised, and what was found."""


def check_carrier(
    make_pair: MakePair, *, face: str = "blocking", progress: Callable[[str], object] | None = None
) -> None:
    """Run all checks over a carrier.

    Args:
        make_pair: called for each check; returns a context manager that yields the `Ends` of the carrier.
        face: `blocking`, `asyncio`, or `mixed`.
        progress: called with the name of each check before it runs.

    Raises:
        AssertionError: the carrier does not keep a promise; says which.
    """
    for name, run in carrier_checks(face):
        if progress is not None:
            progress(name)
        run(make_pair)


def carrier_checks(face: str = "blocking") -> list[Check]:
    """The checks one by one, so that a test runner has a test for each: `check.run(make_pair)`."""
    check_face(face)
    return [
        Check(f"{subject.__name__.rpartition('.')[2]}.{name}", partial(_run, function, face))
        for subject in _SUBJECTS
        for name, function in vars(subject).items()
        if inspect.isfunction(function) and function.__module__ == subject.__name__ and not name.startswith("_")
        if face == "blocking" or function not in BLOCKING_ONLY
    ]


def _run(check: Callable[[Stage], None], face: str, make_pair: MakePair) -> None:
    try:
        with make_pair() as ends, Stage(ends, face) as stage:
            check(stage)
    except Exception as error:
        promise = " ".join((inspect.getdoc(check) or "").split())
        found = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise AssertionError(f"{check.__name__}, {face}: {promise}\n{found}") from error
