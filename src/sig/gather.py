"""One question to many senders: all are asked at once, and what they say is gathered until the time is over."""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .errors import RequestTimeout
from .info import Reply, SenderInfo
from .names import check_method
from .requests import next_hop
from .steps import Steps

if TYPE_CHECKING:
    from .hub import Hub

# A sender's name, and which of those that share it.
_Key: TypeAlias = tuple[str, int]
# How many are asked at a time. A client answers 256, whoever asks; and others ask too.
AT_ONCE: Final = 100


def gathering(
    router: Hub, pattern: str | None, method: str, params: object, type: Any, timeout: float | None
) -> Steps[list[Reply]]:
    """Ask every sender that matches now; see `Router.request_all`."""
    check_method(method)
    now = router._runtime.now
    limit = router.limits.request_timeout_s if timeout is None else timeout
    # Of the request under way here, if there is one, what is left: the questions are part of it.
    deadline = next_hop(now(), limit, pattern or "**", method, router.limits).deadline
    rows = sorted((yield from router._listing(pattern)), key=_name)
    round = _Round(router, deque(rows), method, params, type, deadline)
    try:
        while round.go_on() and (left := deadline - now()) > 0:
            yield partial(round.news.wait, left)
    finally:
        round.give_up()
    return [round.answered.get(_key(row)) or _late(row, method, limit) for row in rows]


class _Round:
    """Who is still to be asked, who has been, and what they said."""

    def __init__(
        self, router: Hub, waiting: deque[SenderInfo], method: str, params: object, type: Any, deadline: float
    ) -> None:
        self._router = router
        self._waiting = waiting
        self._question = method, params, type
        self._deadline = deadline
        self._names = Counter(row.name for row in waiting)  # some may share one
        self._asked: dict[_Key, Any] = {}  # how to give them up
        self.answered: dict[_Key, Reply] = {}
        """By the sender's name and incarnation. Entered on any thread."""
        self.news: Any = router._runtime.flag()
        """Somebody has answered since `go_on`."""

    def go_on(self) -> bool:
        """Ask more, as those before have answered; false when nobody is left."""
        self.news.clear()
        for key in [key for key in self._asked if key in self.answered]:
            del self._asked[key]
        while self._waiting and len(self._asked) < AT_ONCE:
            self._ask(self._waiting.popleft())
        return bool(self._asked)

    def _ask(self, row: SenderInfo) -> None:
        method, params, type = self._question
        timeout = self._deadline - self._router._runtime.now()
        if timeout <= 0:
            return
        try:
            for held in self._router._senders.alike(row.name):
                held._handlers.check_wait(row.name, method)
            done = partial(self._done, row)
            start = self._router._start_request
            instance = row.instance if self._names[row.name] > 1 else None
            self._asked[_key(row)] = start(row.name, method, params, type, timeout, done, instance)
        except Exception as error:  # known at once: it has left, or the link is down
            self._done(row, None, error)

    def _done(self, row: SenderInfo, value: object, error: BaseException | None) -> None:
        self.answered[_key(row)] = Reply(row.name, row.instance, value if error is None else None, error)
        self.news.set()

    def give_up(self) -> None:
        """Wait for nobody any more."""
        for key, give_up in self._asked.items():
            if key not in self.answered:
                give_up()


def _late(row: SenderInfo, method: str, timeout: float) -> Reply:
    return Reply(row.name, row.instance, None, RequestTimeout(row.name, method, timeout))


def _key(row: SenderInfo) -> _Key:
    return row.name, row.instance


def _name(row: SenderInfo) -> str:
    return row.name
