"""Where a check takes place: a server, clients as they are wanted, and nothing left of them at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType
from typing import Any, Final, NamedTuple, Self, TypeAlias, TypeVar

import sig
import sig.aio
from sig.errors import InvalidArgument

from .leftovers import left_behind, our_threads
from .place import LIMIT_S, Hands, LoopPlace, Place
from .rest import to_rest

T = TypeVar("T", bound=BaseException)
R = TypeVar("R")

_ASIDE: Final = 16
_STEP_S: Final = 0.002

FACES: Final = ("blocking", "asyncio", "mixed")


class Ends(NamedTuple):
    """How the two ends of a carrier's links are made.

    Both are given `sig` or `sig.aio`, whose names are the same, and pass on the options they get::

        Ends(
            serve=lambda api, **options: api.serve("tcp://127.0.0.1:0", **options),
            connect=lambda api, server, **options: api.connect(server.urls[0], **options),
        )
    """

    serve: Callable[..., Any]
    """`serve(api, **options)` returns what `api.serve` does."""
    connect: Callable[..., Any]
    """`connect(api, server, **options)` returns what `api.connect` does. Each call makes another client."""
    clients: int | None = None
    """How many clients there can be in all: 1 for a line that leads to one place. `None` is as many as one likes."""
    breaks: bool = True
    """Whether an end notices at once that the other has gone without a word. A serial line does not."""


MakePair: TypeAlias = Callable[[], AbstractContextManager[Ends]]


# Checks that make no sense elsewhere.
BLOCKING_ONLY: Final[set[Callable[[Stage], None]]] = set()


def blocking_only(check: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """Decorates a check of the blocking face."""
    BLOCKING_ONLY.add(check)
    return check


def check_face(face: str) -> None:
    if face not in FACES:
        raise InvalidArgument(f"face={face!r} is unknown: choose one of {', '.join(FACES)}")


class Stage:
    """Makes places of one face with the ends of one carrier. In the face `mixed` server and clients differ, and so do
    the clients among themselves."""

    def __init__(self, ends: Ends, face: str) -> None:
        check_face(face)
        self._ends = ends
        self._face = face
        self._stack = ExitStack()
        self._before = our_threads()
        self._hands = self._more_hands()
        self._aside = ThreadPoolExecutor(_ASIDE, "check-aside")
        self._stack.callback(self._aside.shutdown)
        self._clients = 0
        self.places: list[Place] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        left = left_behind(self._before)
        if error[0] is None:
            same(left, [], "threads that are left behind")
            same([repr(error) for place in self.places for error in place.errors], [], "what listeners raised")

    # Places

    def serve(self, **options: Any) -> Place:
        """The server; first of all."""
        return self._place(self._ends.serve, "blocking" if self._face == "mixed" else self._face, options)

    def connect(self, *, apart: bool = False, **options: Any) -> Place:
        """Another client. `apart` on a loop of its own, where it is on one at all.

        A link that is lost is not tried again, unless `reconnect=True` is among the options.
        """
        options.setdefault("reconnect", False)
        face = ("asyncio", "blocking")[self._clients % 2] if self._face == "mixed" else self._face
        self._clients += 1
        server = self.places[0].router
        return self._place(lambda api, **given: self._ends.connect(api, server, **given), face, options, apart)

    def other(self, **options: Any) -> Place:
        """Another client, or the server where there cannot be another."""
        return self.connect(**options) if self.may_connect else self.places[0]

    @property
    def may_connect(self) -> bool:
        """Whether there can be another client."""
        return self._ends.clients is None or self._clients < self._ends.clients

    def _place(self, make: Callable[..., Any], face: str, options: dict[str, Any], apart: bool = False) -> Place:
        api: ModuleType = sig.aio if face == "asyncio" else sig
        hands = self._more_hands() if apart else self._hands
        place: Place
        if face == "asyncio":
            place = LoopPlace(hands.run(lambda: make(api, **options)), hands)
        else:
            place = Place(make(api, **options), hands)
        self.places.append(place)
        self._stack.callback(place.close)
        return place

    def _more_hands(self) -> Hands:
        hands = Hands()
        self._stack.callback(hands.close)
        return hands

    # What checks need

    def aside(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Do something in another thread meanwhile."""
        return self._aside.submit(function, *arguments)

    @property
    def breaks(self) -> bool:
        """Whether a broken link is noticed."""
        return self._ends.breaks

    def cut(self) -> None:
        """Break the links of all clients, without a word."""
        driver = self.places[0].router._server

        def cut() -> None:
            for wire in list(driver._wires.values()):
                if not wire.ours:
                    wire.abort()

        driver.loop.call_soon_threadsafe(cut)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one on which `async def` handlers run."""
        return self._hands.thread.loop

    def settle(self, *places: Place) -> None:
        """Until everything triggered so far has been delivered at these places, or at all."""
        chosen = places or tuple(self.places)
        by_router = {id(place.router): place for place in chosen}
        for router, steps in to_rest([place.router for place in chosen], LIMIT_S):
            by_router[id(router)].walk(steps)


def same(found: object, expected: object, what: str = "") -> None:
    """Raises `AssertionError` when they differ. Not an `assert`: that may be switched off."""
    if found != expected:
        raise AssertionError(f"{what or 'found'}: {_short(found)}, expected: {_short(expected)}")


def becomes(look: Callable[[], object], expected: object, what: str = "") -> None:
    """The same of something that nobody tells of: looks until it is so, or raises `AssertionError` after a while."""
    deadline = time.monotonic() + LIMIT_S
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(_STEP_S)
    same(found, expected, what)


def raises(kind: type[T] | tuple[type[T], ...], call: Callable[..., object], *arguments: object) -> T:
    """The error of that kind that a call raises; `AssertionError` if it raises none, or another."""
    wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
    try:
        value = call(*arguments)
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"raised {type(error).__name__} ({error}), expected: {wanted}") from error
    raise AssertionError(f"returned {_short(value)}, expected: {wanted}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 1000 else f"{text[:700]} ... {text[-250:]}"
