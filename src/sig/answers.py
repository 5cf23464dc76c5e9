"""Answering the requests that come over a router's link, in the way of either face.

In the blocking face handlers run on a bounded number of threads of their own. Requests may cause each other in turn,
and so one could wait for a thread that waits for it: what is asked on behalf of a request that is under way gets a
thread beyond the bound where those within may be taken.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sig.drivers.pool import Pool
from sig.errors import InvalidData, Overloaded, RequestTimeout, SenderNotConnected, SigError
from sig.log import logger
from sig.protocol.client import Asked, RequestArrived, RequestDropped
from sig.requests import Later, Trail
from sig.runtime import Dropping
from sig.steps import Steps, walk

if TYPE_CHECKING:
    from sig.linked import Linked

Post: TypeAlias = Callable[[Callable[[], object]], object]

_NAME: Final = "sig-handler"


class Answers:
    """Takes the requests in, for one link of one router."""

    def __init__(self, router: Linked) -> None:
        self._router = router
        self._limits = router.limits
        # Only `asked` adds, and it is called on one thread; each is taken out by whoever has answered it.
        self._under_way: dict[tuple[int, int], tuple[RequestArrived, Dropping]] = {}

    def asked(self, news: Sequence[Asked]) -> None:
        """Where bytes are read: what came in one read, in order."""
        under_way = self._under_way
        accepted: list[tuple[RequestArrived, Dropping]] = []
        for item in news:
            if isinstance(item, RequestDropped):
                self._drop(item)
            elif len(under_way) >= self._limits.requests_in:
                error = Overloaded(f"{self._limits.requests_in} requests to this client are under way")
                self._reply(item, None, error)
            else:
                accepted.append((item, Dropping()))
                under_way[item.request.peer, item.request.corr] = accepted[-1]
        self._start(accepted)

    def close(self, timeout: float) -> Any:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log.

        A step, see `steps`.
        """
        raise NotImplementedError

    def _start(self, accepted: list[tuple[RequestArrived, Dropping]]) -> None:
        """Have `_answer` called with each of them."""
        raise NotImplementedError

    def _drop(self, news: RequestDropped) -> None:
        """Whoever asked does not wait any more: what has not begun never will, what can be cancelled is."""
        for (peer, corr), (_, dropping) in list(self._under_way.items()):
            if peer == news.peer and news.corr in (None, corr):
                dropping.drop()

    def _answer(self, news: RequestArrived, dropping: Dropping) -> Steps[None] | None:
        """Call the handler and reply. Where the handler has to be waited for, the rest of it has to be walked."""
        try:
            answer = self._begin(news, dropping)
            if isinstance(answer, Later):
                return self._go_on(news, answer.steps)
            payload = self._encoded(news, answer)
        except BaseException as error:
            self._fail(news, error)
        else:
            self._finish(news, payload, None)
        return None

    def _begin(self, news: RequestArrived, dropping: Dropping) -> object:
        """What the handler answers, or `Later`; raises what the requester is to be told."""
        sender, request = news.sender, news.request
        held = self._router._senders.get(sender)
        if held is None:
            raise SenderNotConnected(sender)
        if dropping.dropped or time.monotonic() >= news.deadline:
            raise RequestTimeout(sender, request.method, 0)  # nobody waits any more
        params = self._router._codec.decode(request.payload)
        trail = Trail(request.hops, news.deadline, dropping, request.peer)
        return held._handlers.begin(sender, request.method, params, trail)

    def _go_on(self, news: RequestArrived, steps: Steps[object]) -> Steps[None]:
        try:
            payload = self._encoded(news, (yield from steps))
        except BaseException as error:
            self._fail(news, error)
        else:
            self._finish(news, payload, None)

    def _encoded(self, news: RequestArrived, answer: object) -> bytes:
        codec = self._router._codec
        try:
            return codec.quick(answer)
        except Exception:
            pass  # `encode` says what is wrong
        try:
            return codec.encode(answer)
        except InvalidData as error:
            logger.error(f"the answer of {_named(news)} cannot be sent: {error}")
            raise

    def _fail(self, news: RequestArrived, error: BaseException) -> None:
        """The handler has raised that, or it was not called for that reason."""
        if not isinstance(error, SigError):  # else it was refused on purpose
            logger.error(f"{_named(news)} failed: {_shown(error)}")
        self._finish(news, None, error)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        """A handler raised KeyboardInterrupt or SystemExit: that is meant for the program."""
        raise NotImplementedError

    def _finish(self, news: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """It is no more under way; reply."""
        self._under_way.pop((news.request.peer, news.request.corr), None)
        self._reply(news, payload, error)

    def _reply(self, news: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        driver = self._router._driver
        if driver is not None:
            driver.reply(news, payload, error)


class ThreadAnswers(Answers):
    """`Answers` of the blocking face.

    `post` is how the user wants work to be run; `None` for threads of ours. `fatal` is called with the
    KeyboardInterrupt or SystemExit of a handler.
    """

    def __init__(self, router: Linked, post: Post | None, fatal: Callable[[BaseException], object]) -> None:
        super().__init__(router)
        self._post = post
        self._tell_fatal = fatal
        self._pool = Pool(self._limits.request_workers, _NAME)
        self._running: dict[threading.Thread, RequestArrived] = {}  # each thread enters itself
        self._lock = threading.Lock()  # guards what follows
        self._extra: list[threading.Thread] = []

    def close(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._pool.close(timeout)
        me = threading.current_thread()
        with self._lock:
            extra = [thread for thread in self._extra if thread is not me]
        for thread in extra:
            thread.join(max(0.0, deadline - time.monotonic()))
        for thread, news in list(self._running.items()):
            if thread is not me:
                logger.warning(f"{_named(news)} has not ended within {timeout:g} s: it is left to itself")

    def _start(self, accepted: list[tuple[RequestArrived, Dropping]]) -> None:
        for news, dropping in accepted:
            try:
                self._post_one(news, partial(self._run, news, dropping))
            except Exception as error:  # an executor that has been shut down, or no thread to be had
                self._finish(news, None, Overloaded(f"the handlers of {news.sender!r} cannot be run: {error}"))

    def _post_one(self, news: RequestArrived, work: Callable[[], object]) -> None:
        if self._post is not None:
            self._post(work)
        elif news.request.hops > 1 and len(self._under_way) > self._limits.request_workers:
            thread = threading.Thread(target=self._run_extra, args=(work,), name=_NAME, daemon=True)
            with self._lock:
                thread.start()
                self._extra.append(thread)
        else:
            self._pool.submit(work)

    def _run_extra(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._extra.remove(threading.current_thread())

    def _run(self, news: RequestArrived, dropping: Dropping) -> None:
        """On a thread of the pool."""
        self._running[threading.current_thread()] = news
        steps = self._answer(news, dropping)
        if steps is not None:
            walk(steps)

    def _finish(self, news: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        self._running.pop(threading.current_thread(), None)
        super()._finish(news, payload, error)

    def _fatal(self, error: BaseException) -> None:
        self._tell_fatal(error)


def _named(news: RequestArrived) -> str:
    return f"handler {news.request.method!r} of {news.sender!r}"


def _shown(error: BaseException) -> str:
    """Type, message and place: enough to find it in the log, on this side of the link."""
    [place] = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-1, lookup_lines=False)
    [text] = traceback.format_exception_only(error)[-1:]
    return f"{text.rstrip()}\n  at {place.filename}, line {place.lineno}"
