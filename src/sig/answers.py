"""Answering the requests that come over a router's link: handlers run on a bounded number of threads of their own.

Requests may cause each other in turn, and so one could wait for a thread that waits for it. Therefore what is asked on
behalf of a request that is under way gets a thread beyond the bound where those within may be taken.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from sig.codecs import Codec
from sig.drivers.pool import Pool
from sig.errors import InvalidData, Overloaded, RequestTimeout, SenderNotConnected, SigError
from sig.log import logger
from sig.protocol.client import RequestArrived, RequestDropped
from sig.requests import Trail

if TYPE_CHECKING:
    from sig.linked import LinkedRouter

Post: TypeAlias = Callable[[Callable[[], object]], object]

_NAME: Final = "sig-handler"


class Answers:
    """Takes the requests in, for one link of one router.

    `post` is how the user wants work to be run; `None` for threads of ours.
    """

    def __init__(self, router: LinkedRouter, codec: Codec, post: Post | None) -> None:
        self._router = router
        self._codec = codec
        self._limits = router.limits
        self._pool = Pool(self._limits.request_workers, _NAME)
        self._post = post
        self._lock = threading.Lock()  # guards all below
        self._accepted = 0
        self._running: dict[tuple[int, int], tuple[threading.Thread, RequestArrived]] = {}
        self._extra: list[threading.Thread] = []

    def asked(self, news: RequestArrived | RequestDropped) -> None:
        """On the reading thread: hand it on."""
        if isinstance(news, RequestDropped):
            return  # a handler that runs is not interrupted in this version; its answer finds nobody
        with self._lock:
            full = self._accepted >= self._limits.requests_in
            self._accepted += not full
            crowded = self._accepted > self._limits.request_workers
        if full:
            self._reply(news, None, Overloaded(f"{self._limits.requests_in} requests to this client are under way"))
            return
        try:
            self._start(lambda: self._answer(news), extra=crowded and news.request.hops > 1)
        except Exception as error:  # an executor that has been shut down, or no thread to be had
            self._done()
            self._reply(news, None, Overloaded(f"the handlers of {news.sender!r} cannot be run: {error}"))

    def close(self, timeout: float) -> None:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log."""
        deadline = time.monotonic() + timeout
        self._pool.close(timeout)
        me = threading.current_thread()
        with self._lock:
            extra = [thread for thread in self._extra if thread is not me]
        for thread in extra:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            still = [news for thread, news in self._running.values() if thread is not me]
        for news in still:
            logger.warning(
                f"handler {news.request.method!r} of {news.sender!r} has not ended within {timeout:g} s: "
                "it is left to itself"
            )

    def _start(self, work: Callable[[], object], *, extra: bool) -> None:
        if self._post is not None:
            self._post(work)
        elif extra:
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

    def _answer(self, news: RequestArrived) -> None:
        """On a thread of the pool: call the handler, and reply."""
        key = news.request.peer, news.request.corr
        with self._lock:
            self._running[key] = threading.current_thread(), news
        payload: bytes | None = None
        failure: BaseException | None = None
        try:
            payload = self._payload(news)
        except BaseException as error:
            failure = error
        with self._lock:
            self._running.pop(key, None)
        self._done()
        self._reply(news, payload, failure)
        if isinstance(failure, KeyboardInterrupt | SystemExit):
            self._router._fatal(failure)

    def _payload(self, news: RequestArrived) -> bytes:
        """What the handler answers, encoded; raises what the requester is to be told."""
        sender, request = news.sender, news.request
        held = self._router._senders.get(sender)
        if held is None:
            raise SenderNotConnected(sender)
        if time.monotonic() >= news.deadline:
            raise RequestTimeout(sender, request.method, 0)  # nobody waits any more
        params = self._codec.decode(request.payload)
        try:
            answer = held._handlers.answer(sender, request.method, params, Trail(request.hops, news.deadline))
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

    def _done(self) -> None:
        with self._lock:
            self._accepted -= 1

    def _reply(self, news: RequestArrived, payload: bytes | None, failure: BaseException | None) -> None:
        driver = self._router._driver
        if driver is not None:
            driver.reply(news, payload, failure)


def _shown(error: BaseException) -> str:
    """Type, message and place: enough to find it in the log, on this side of the link."""
    [place] = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-1, lookup_lines=False)
    [text] = traceback.format_exception_only(error)[-1:]
    return f"{text.rstrip()}\n  at {place.filename}, line {place.lineno}"
