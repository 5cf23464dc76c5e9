"""Answers that come in parts, as those who take them see them: the blocking `Stream`, and what it has in common with
that of the other face.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Self, TypeVar

from .errors import InvalidArgument, RequestTimeout
from .hub import Hub, Name, converted
from .parts import Source
from .requests import next_hop
from .runtime import FOREVER, Expired
from .steps import Steps, walk

S = TypeVar("S", bound="Taking")

# What `_next` gives behind the last part.
END: Final = object()


def streaming(
    make: type[S],
    router: Hub,
    sender: Name,
    method: str,
    params: object,
    type: Any,
    timeout: float | None,
    idle: float | None,
) -> S:
    """Ask for an answer in parts; see `Router.stream`."""
    name, check, _ = router._checked_request(sender, method, type, timeout)
    pause = router.limits.stream_idle_s if idle is None else idle
    if not pause > 0:
        raise InvalidArgument(f"idle={idle!r} of stream {check!r} is out of bounds: it must be above 0 seconds")
    limit = math.inf if timeout is None else timeout
    trail = next_hop(router._runtime.now(), limit, name, check, router.limits, endless=True)
    source = router._open_stream(name, check, params, trail)
    return make(router, source, (name, check), type, (pause, limit, trail.deadline))


class Taking:
    """The parts of one answer; what the streams of both faces have in common."""

    def __init__(
        self, router: Hub, source: Source, asked: tuple[str, str], type: Any, times: tuple[float, float, float]
    ) -> None:
        self._over = False
        self._complete = False
        self._router = router
        self._source = source
        self._sender, self._method = asked
        self._type = type
        self._result: Any = None
        self._result_type: Any = None  # a contract says that too
        self._idle, self._timeout, self._deadline = times
        self._ready: deque[object] = deque()  # parts that have come

    @property
    def result(self) -> Any:
        """What the handler returned behind its last part; the answer, of a handler that gives no parts.

        Raises `InvalidArgument` before the last part has been taken, and of a stream that did not come to its end.
        """
        if not self._complete:
            raise InvalidArgument(
                f"the answer of {self._sender!r} to {self._method!r} has not come to its end: take all its parts first"
            )
        return self._result

    def _next(self) -> Steps[object]:
        """The next part, or `END`. Whatever it raises is the end too."""
        try:
            while not self._ready:
                if self._over:
                    return END
                some = yield from self._more()
                if some is None:
                    self._over = True
                    self._result = self._converted(self._source.result, self._result_type)
                    self._complete = True
                    return END
                self._ready.extend(some)
            return self._converted(self._ready.popleft(), self._type)
        except BaseException:
            yield from self._closing()
            raise

    def _more(self) -> Steps[Sequence[object] | None]:
        left = self._deadline - self._router._runtime.now()
        try:
            some = yield from self._source.more(min(self._idle, left, FOREVER))
        except Expired:
            limit = self._idle if self._idle <= left else self._timeout
            raise RequestTimeout(self._sender, self._method, limit) from None
        return some

    def _converted(self, value: object, type: Any) -> object:
        return value if type is None else converted(value, type, self._sender, self._method)

    def _closing(self) -> Steps[None]:
        if self._over:
            return
        self._over = True
        self._ready.clear()
        yield from self._source.close(self._router.limits.close_timeout_s)

    def __del__(self) -> None:
        if not getattr(self, "_over", True):  # else it has never been made
            self._over = True
            self._source.abandon()

    def __repr__(self) -> str:
        state = "ended" if self._over else "under way"
        return f"<{type(self).__name__} {self._method!r} of {self._sender!r}, {state}>"


class Stream(Taking):
    """What `router.stream(...)` returns: `for part in stream` takes part by part, and waits for each.

    Use it as a context manager: whoever leaves the block early lets the handler end, whose `finally` runs. One that is
    only forgotten does so some time later. For one thread at a time.
    """

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """The next part. Raises what `Router.request` raises; `RequestTimeout` when none comes in time."""
        if self._ready and self._type is None:
            return self._ready.popleft()
        part = walk(self._next())
        if part is END:
            raise StopIteration(self._result)  # what `yield from` is worth
        return part

    def close(self) -> None:
        """Take no more: the handler is told, and closed where it gives its next part. Idempotent."""
        walk(self._closing())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
