"""What the router needs of the world: time, chance, threads and loops.

The router itself knows no clock and no loop; `drivers/local.py` provides the ordinary ones, tests their own.
A loop is opaque here: whatever `running_loop` returned.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

# A timeout that is none, where a number of seconds is needed.
FOREVER: Final = 1e9


class Expired(Exception):
    """The time given to `Runtime.run` was over. Not a `TimeoutError`: what ran may raise one of its own."""


class Dropping(msgspec.Struct):
    """Whether whoever asked still waits, and what to do when not. From any thread.

    A struct without a lock: each request has one, and hardly any is ever dropped.
    """

    dropped: bool = False
    _actions: list[Callable[[], object]] = []

    def then(self, action: Callable[[], object]) -> None:
        """Call `action` when nobody waits any more; at once if that is so already."""
        self._actions.append(action)
        if self.dropped:
            self._act()

    def forget(self, action: Callable[[], object]) -> None:
        """There is no need for that any more."""
        try:
            self._actions.remove(action)
        except ValueError:
            pass  # it has been called, or is about to be

    def drop(self) -> None:
        """Nobody waits any more."""
        self.dropped = True
        self._act()

    def _act(self) -> None:
        # Two threads may be here, but each action is taken out once: by one who has seen that it is time.
        while True:
            try:
                action = self._actions.pop(0)
            except IndexError:
                return
            action()


class Flag(Protocol):
    """What `threading.Event` is, without its module."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> Any: ...


class Runtime(Protocol):
    """Time, chance, threads and loops, as one router sees them. Every method may be called from any thread."""

    def now(self) -> float:
        """Seconds on a clock that never jumps; for intervals only."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch; for telling people and records."""
        ...

    def random64(self) -> int:
        """A random number of 64 bits, never 0."""
        ...

    def random(self) -> float:
        """A random number, evenly from 0 up to 1."""
        ...

    def submit(self, function: Callable[[], object], beyond: bool = False) -> None:
        """Run `function` soon on a thread of the router's executor. Never blocks.

        `beyond`: on one beyond the bound if need be, since those within may be waiting for it.
        """
        ...

    def running_loop(self) -> object | None:
        """The event loop that runs on this thread, if any."""
        ...

    def spawn(self, loop: object, function: Callable[[], Coroutine[object, object, object]]) -> None:
        """Start `function()` as a task on `loop`. Raises `RuntimeError` when the loop is closed."""
        ...

    def ended(self, loop: object) -> bool:
        """Whether `loop` is closed: then nothing that was started on it will go on."""
        ...

    def cancelling(self) -> bool:
        """Whether the task that runs here has been told to end."""
        ...

    @property
    def awaits(self) -> bool:
        """Whether this is the awaited face: steps are to be awaited, and nothing may block."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether request handlers that are plain functions have to be run by `call`."""
        ...

    def call(self, function: Callable[..., object], arguments: tuple[object, ...]) -> Any:
        """Run a function where the user wants such things to be run. A step."""
        ...

    def would_block(self, loop: object) -> bool:
        """Whether waiting here for something on `loop` would keep it from happening."""
        ...

    def ours(self) -> bool:
        """Whether this is a thread or task of the router's own, for which others may be waiting."""
        ...

    def run(
        self,
        loop: object,
        coroutine: Coroutine[object, object, object],
        timeout: float,
        dropping: Dropping | None = None,
    ) -> Any:
        """Run `coroutine` on `loop` and wait for its result; cancel it when it is dropped.

        A step of a verb, as are `Flag.wait`, `settle` and `close`: in the awaited face they return something to await.

        Raises `Expired` after `timeout` seconds (the coroutine is cancelled then), `RequestCancelled` when something
        else cancelled it, `RuntimeError` when the loop is closed, and whatever the coroutine raised.
        """
        ...

    def turn(self) -> Any:
        """Let others have their turn, where all take turns. A step."""
        ...

    def flag(self) -> Flag:
        """Something one thread waits for and another sets."""
        ...

    def settle(self, busy: Callable[[], bool], timeout: float) -> Any:
        """Wait until nothing is `busy`, at most `timeout` seconds; not at all where waiting would keep it busy."""
        ...

    def close(self, timeout: float) -> Any:
        """Stop the threads started here; waits at most `timeout` seconds for what runs on them."""
        ...
