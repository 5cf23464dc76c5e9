"""Answering the requests that come over a router's link, in the way of either face.

In the blocking face handlers run on a bounded number of threads of their own. Requests may cause each other in turn,
and so one could wait for a thread that waits for it: what is asked on behalf of a request that is under way gets a
thread beyond the bound where those within may be taken.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sig.codecs import Codec
from sig.drivers.pool import Pool
from sig.errors import InvalidData, Overloaded, RequestTimeout, SenderNotConnected, SigError
from sig.log import logger
from sig.protocol.client import RequestArrived, RequestDropped
from sig.requests import Trail
from sig.runtime import Dropping
from sig.steps import Steps, walk

if TYPE_CHECKING:
    from sig.linked import Linked

Post: TypeAlias = Callable[[Callable[[], object]], object]

_NAME: Final = "sig-handler"


class Answers:
    """Takes the requests in, for one link of one router."""

    def __init__(self, router: Linked, codec: Codec) -> None:
        self._router = router
        self._codec = codec
        self._limits = router.limits
        self._lock = threading.Lock()  # guards what follows, and what subclasses say
        self._under_way: dict[tuple[int, int], tuple[RequestArrived, Dropping]] = {}

    def asked(self, news: RequestArrived | RequestDropped) -> None:
        """Where bytes are read: hand it on."""
        if isinstance(news, RequestDropped):
            self._drop(news)
            return
        key = news.request.peer, news.request.corr
        dropping = Dropping()
        with self._lock:
            full = len(self._under_way) >= self._limits.requests_in
            if not full:
                self._under_way[key] = news, dropping
        if full:
            self._reply(news, None, Overloaded(f"{self._limits.requests_in} requests to this client are under way"))
            return
        try:
            self._start(news, dropping)
        except Exception as error:  # an executor that has been shut down, or no thread to be had
            self._done(news)
            self._reply(news, None, Overloaded(f"the handlers of {news.sender!r} cannot be run: {error}"))

    def close(self, timeout: float) -> Any:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log.

        A step, see `steps`.
        """
        raise NotImplementedError

    def _start(self, news: RequestArrived, dropping: Dropping) -> None:
        """Have `_answering(news, dropping)` walked."""
        raise NotImplementedError

    def _drop(self, news: RequestDropped) -> None:
        """Whoever asked does not wait any more: what has not begun never will, what can be cancelled is."""
        with self._lock:
            found = [
                dropping
                for (peer, corr), (_, dropping) in self._under_way.items()
                if peer == news.peer and news.corr in (None, corr)
            ]
        for dropping in found:
            dropping.drop()

    def _answering(self, news: RequestArrived, dropping: Dropping) -> Steps[None]:
        payload: bytes | None = None
        failure: BaseException | None = None
        try:
            payload = yield from self._payload(news, dropping)
        except BaseException as error:
            failure = error
        self._done(news)
        self._reply(news, payload, failure)
        if isinstance(failure, KeyboardInterrupt | SystemExit):
            self._fatal(failure)

    def _fatal(self, error: BaseException) -> None:
        """A handler raised KeyboardInterrupt or SystemExit."""
        raise error

    def _payload(self, news: RequestArrived, dropping: Dropping) -> Steps[bytes]:
        """What the handler answers, encoded; raises what the requester is to be told."""
        sender, request = news.sender, news.request
        held = self._router._senders.get(sender)
        if held is None:
            raise SenderNotConnected(sender)
        if time.monotonic() >= news.deadline or dropping.dropped:
            raise RequestTimeout(sender, request.method, 0)  # nobody waits any more
        params = self._codec.decode(request.payload)
        trail = Trail(request.hops, news.deadline, dropping)
        try:
            answer = yield from held._handlers.answer(sender, request.method, params, trail)
        except SigError:
            raise  # refused on purpose
        except BaseException as error:
            logger.error(f"handler {request.method!r} of {sender!r} failed: {_shown(error)}")
            raise
        try:
            return self._codec.encode(answer)
        except InvalidData as error:
            logger.error(f"the answer of handler {request.method!r} of {sender!r} cannot be sent: {error}")
            raise

    def _done(self, news: RequestArrived) -> None:
        with self._lock:
            self._under_way.pop((news.request.peer, news.request.corr), None)

    def _reply(self, news: RequestArrived, payload: bytes | None, failure: BaseException | None) -> None:
        driver = self._router._driver
        if driver is not None:
            driver.reply(news, payload, failure)


class ThreadAnswers(Answers):
    """`Answers` of the blocking face.

    `post` is how the user wants work to be run; `None` for threads of ours. `fatal` is called with the
    KeyboardInterrupt or SystemExit of a handler.
    """

    def __init__(
        self, router: Linked, codec: Codec, post: Post | None, fatal: Callable[[BaseException], object]
    ) -> None:
        super().__init__(router, codec)
        self._post = post
        self._tell_fatal = fatal
        self._pool = Pool(self._limits.request_workers, _NAME)
        self._running: dict[threading.Thread, RequestArrived] = {}
        self._extra: list[threading.Thread] = []

    def close(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._pool.close(timeout)
        me = threading.current_thread()
        with self._lock:
            extra = [thread for thread in self._extra if thread is not me]
        for thread in extra:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            still = [news for thread, news in self._running.items() if thread is not me]
        for news in still:
            logger.warning(
                f"handler {news.request.method!r} of {news.sender!r} has not ended within {timeout:g} s: "
                "it is left to itself"
            )

    def _start(self, news: RequestArrived, dropping: Dropping) -> None:
        work = partial(self._answer, news, dropping)
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

    def _answer(self, news: RequestArrived, dropping: Dropping) -> None:
        """On a thread of the pool."""
        with self._lock:
            self._running[threading.current_thread()] = news
        walk(self._answering(news, dropping))

    def _done(self, news: RequestArrived) -> None:
        with self._lock:
            self._running.pop(threading.current_thread(), None)
        super()._done(news)

    def _fatal(self, error: BaseException) -> None:
        self._tell_fatal(error)


def _shown(error: BaseException) -> str:
    """Type, message and place: enough to find it in the log, on this side of the link."""
    [place] = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-1, lookup_lines=False)
    [text] = traceback.format_exception_only(error)[-1:]
    return f"{text.rstrip()}\n  at {place.filename}, line {place.lineno}"
