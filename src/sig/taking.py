"""Parts of an answer that come over a link, for whoever takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sig.drivers.client import ClientDriver
from sig.errors import Closed, RequestCancelled, SigError
from sig.protocol.asking import Coded, Payloads
from sig.protocol.parts import Abandoned, PartsIn
from sig.requests import Trail
from sig.runtime import FOREVER, Expired, Flag
from sig.steps import Steps


class FromAfar:
    """A `Source` of parts; the request is under way when it has been made.

    Args:
        news: a flag for this alone.
        decoded: makes what stands behind the last part of its payload.
        asked: the sender and the method.
    """

    def __init__(
        self,
        driver: ClientDriver,
        news: Flag,
        decoded: Callable[[bytes | Coded], object],
        asked: tuple[str, str],
        payload: bytes | Payloads,
        trail: Trail,
    ) -> None:
        self.result: object = None
        self._driver = driver
        self._news = news
        self._decoded = decoded
        self._parts = parts = PartsIn(news.set)
        self._left: SigError | None = None  # why nobody waits any more
        self._outer = trail.dropping  # of the request that it is a part of, which may be given up
        self._number = driver.start_request(*asked, payload, trail.deadline, trail.hops, parts.finish, parts)
        if self._outer is not None:
            self._outer.then(self._drop)

    def more(self, timeout: float) -> Steps[Sequence[object] | None]:
        news, parts = self._news, self._parts
        while True:
            news.clear()
            over = parts.over  # before it is looked whether there is something: what comes first is taken first
            some = parts.take()
            if some is not None:
                if parts.owes:
                    self._driver.give_back(self._number, parts)
                return some
            if over:
                break
            if self._left is not None:
                raise self._left
            if timeout <= 0 or not (yield partial(self._driver.wait_aside, news, _finite(timeout))):
                raise Expired
        self._end()
        if parts.error is not None:
            raise parts.error
        result: Any = parts.result
        self.result = self._decoded(result)
        return None

    def close(self, timeout: float) -> Steps[None]:
        self._end()
        self._leave(Closed("this stream has been closed"))
        yield from ()

    def abandon(self) -> None:
        self._driver.core.answering.written.append(Abandoned(self._number))

    def _end(self) -> None:
        if self._outer is not None:
            self._outer.forget(self._drop)

    def _drop(self) -> None:
        self._leave(RequestCancelled("the request that this one is part of has been given up"))

    def _leave(self, why: SigError) -> None:
        self._left = self._left or why
        self._news.set()
        if not self._parts.over:
            self._driver.give_up(self._number)


def _finite(timeout: float) -> float | None:
    return None if timeout >= FOREVER else timeout
