"""Giving the parts of an answer, over a link, to whoever asked.

The handler runs ahead of them by what their window holds, and no further. When nobody takes them any more, it is closed
where it gives its next part; one that awaits something is cancelled there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from functools import partial
from inspect import isasyncgen, isgenerator
from typing import TYPE_CHECKING, Any, Final

from sig.drivers.client import ClientDriver
from sig.errors import InvalidData, RequestCancelled
from sig.log import logger
from sig.parts import advance_awaiting, closing
from sig.protocol.answering import RequestArrived
from sig.protocol.frames import check_payload
from sig.protocol.parts import PartsOut
from sig.requests import Trail, answering, inside
from sig.runtime import FOREVER, Dropping
from sig.steps import Steps

if TYPE_CHECKING:
    from sig.linked import Linked

# So long a handler may have the loop to itself, in the asyncio face.
TURN_S: Final = 0.001


def gives(answer: object) -> bool:
    """Whether that is something that gives parts."""
    return isgenerator(answer) or isasyncgen(answer)


def advance(generator: Generator[Any, Any, Any]) -> tuple[bool, object]:
    """Whether that was all, and the next part, or the result."""
    try:
        return False, next(generator)
    except StopIteration as stop:
        return True, stop.value


class Giving:
    """One answer in parts: `steps` returns what stands behind the last of them.

    Args:
        parts: where they go.
        dropping: whether anybody takes them.
    """

    def __init__(
        self, router: Linked, driver: ClientDriver, asked: RequestArrived, parts: PartsOut, dropping: Dropping
    ) -> None:
        request = asked.request
        self._runtime = router._runtime
        self._limits = router.limits
        self._codec = router._codec
        self._driver = driver
        self._parts = parts
        self._dropping = dropping
        self._what = f"a part of what {asked.sender!r} answers {request.method!r}"
        self._trail = Trail(request.hops, asked.deadline, dropping, request.peer)
        self._news: Any = self._runtime.flag()  # there may be room again, or nobody may take any more

    def steps(self, given: object, loop: object) -> Steps[object]:
        """Give what a handler gives. Raises what that raises, and `RequestCancelled` where nobody takes any more.

        Args:
            given: the generator that the handler has returned.
            loop: where it runs, if it is awaited.
        """
        self._parts.news = self._news.set
        self._dropping.then(self._news.set)
        if isgenerator(given):
            return (yield from self._plain(given))
        assert isasyncgen(given)  # else it gives nothing
        return (yield from self._awaited(given, loop))

    def _plain(self, generator: Any) -> Steps[object]:
        context = inside(self._trail, self._runtime.now)
        run, parts, dropping, give = context.run, self._parts, self._dropping, self._give
        now = self._runtime.now if self._runtime.awaits else None
        begun = now() if now is not None else 0.0
        call = self._runtime.call if self._runtime.elsewhere else None
        try:
            while True:
                if call is not None:
                    over, part = yield partial(call, partial(run, advance, generator), ())
                    if over:
                        return part
                else:
                    try:
                        part = run(next, generator)
                    except StopIteration as stop:
                        return stop.value
                give(part)
                if not parts.room:
                    yield from self._room()
                elif now is not None and now() - begun > TURN_S:
                    yield self._runtime.turn
                    begun = now()
                if dropping.dropped:
                    raise nobody()
        finally:
            if call is not None and not generator.gi_running:
                yield partial(call, partial(run, generator.close), ())
            elif call is None:
                run(generator.close)

    def _awaited(self, generator: AsyncGenerator[Any, Any], loop: object) -> Steps[object]:
        inner = Dropping()  # of the step that runs, so that what has been is not kept
        self._dropping.then(lambda: inner.drop())
        try:
            while True:
                inner = Dropping(self._dropping.dropped)
                with answering(self._trail, self._runtime.now):
                    over = yield from self._some(generator, loop, inner)
                if over:
                    return None
                if not self._parts.room:
                    yield from self._room()
                if self._dropping.dropped:
                    raise nobody()
        finally:
            yield from closing(self._runtime, loop, generator, self._limits.close_timeout_s)

    def _some(self, generator: AsyncGenerator[Any, Any], loop: object, inner: Dropping) -> Steps[bool]:
        """Give the next parts of a generator of that loop, while there is room; whether that was all."""
        over: bool = yield partial(self._runtime.run, loop, self._give_some(generator), FOREVER, inner)
        return over

    async def _give_some(self, generator: AsyncGenerator[Any, Any]) -> bool:
        # On the handler's own loop: to come and go for each part would take far longer than to make it. Only one of the
        # two threads gives at a time.
        now, parts, give, dropping = self._runtime.now, self._parts, self._give, self._dropping
        begun = now()
        while True:
            over, part = await advance_awaiting(generator)
            if over:
                return True
            give(part)
            if dropping.dropped or not parts.room or now() - begun > TURN_S:
                return False

    def _take(self, part: object) -> Steps[None]:
        """Give a part, and wait until there is room for one more."""
        self._give(part)
        if not self._parts.room:
            yield from self._room()
        if self._dropping.dropped:
            raise nobody()

    def _give(self, part: object) -> None:
        codec = self._codec
        try:
            payload = codec.quick(part)
        except Exception:
            payload = self._encoded(part)
        if len(payload) > _SMALL_BYTES:
            check_payload(payload, self._driver.core.max_frame_bytes)
        self._parts.write(payload)
        self._driver.part_written()

    def _encoded(self, part: object) -> bytes:
        try:
            return self._codec.encode(part)
        except InvalidData as error:
            logger.error(f"{self._what} cannot be sent: {error}")
            raise

    def _room(self) -> Steps[None]:
        """Wait until one more part may be given, or nobody takes any more."""
        news = self._news
        self._driver.send_now()
        while True:
            news.clear()
            if self._parts.room or self._dropping.dropped:
                return
            yield news.wait


# No frame may be made so small that it could not take this.
_SMALL_BYTES: Final = 256


def nobody() -> RequestCancelled:
    """What ends a handler that is left."""
    return RequestCancelled("nobody takes the parts of this answer any more")
