"""Answering the requests that come over a router's link, in the way of either face.

In the blocking face handlers run on a bounded number of threads of their own. Requests may cause each other in turn,
and so one could wait for a thread that waits for it: what is asked on behalf of a request that is under way gets a
thread beyond the bound where those within may be taken.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from sig.drivers.pool import Pool
from sig.errors import InvalidData, Overloaded, RequestCancelled, RequestTimeout, SenderNotConnected, SigError
from sig.giving import Giving, gives
from sig.log import logger
from sig.protocol.answering import Asked, RequestArrived, RequestDropped
from sig.requests import Later, Trail
from sig.runtime import Dropping
from sig.sender import Owned
from sig.slots import Lines, Slots, has_share
from sig.steps import Steps, walk

if TYPE_CHECKING:
    from sig.linked import Linked

Post: TypeAlias = Callable[[Callable[[], object]], object]

_NAME: Final = "sig-handler"


class Case(msgspec.Struct, frozen=True, eq=False):
    """A request under way here."""

    news: RequestArrived
    dropping: Dropping
    held: Owned
    """Who was asked: of its slots, if it has any, this has one, or waits for one."""


class Answers:
    """Takes the requests in, for one link of one router."""

    _giving: type[Giving] = Giving  # of this face

    def __init__(self, router: Linked) -> None:
        self._router = router
        self._limits = router.limits
        # By requester and number. Only `asked` adds, and it is called on one thread; each is taken out when its handler
        # has come to its end, which may be after the answer.
        self._under_way: dict[tuple[int, int], Case] = {}

    def asked(self, news: Sequence[Asked]) -> None:
        """Where bytes are read: what came in one read, in order."""
        under_way, limit, senders = self._under_way, self._limits.requests_in, self._router._senders
        accepted: list[Case] = []
        for item in news:
            if isinstance(item, RequestDropped):
                self._drop(item)
                continue
            # What is known at once is told at once: it does not wait for a thread, nor for a slot.
            held = senders.get(item.sender)
            if held is None:
                self._reply(item, None, SenderNotConnected(item.sender))
            elif held._handlers.find(item.request.method) is None:
                self._reply(item, None, held._handlers.unknown(item.sender, item.request.method))
            elif len(under_way) >= limit and not self._has_share(item):
                error = Overloaded(f"{len(under_way)} requests to this client are under way: try again later")
                self._reply(item, None, error)
            else:
                slots = held._slots
                under_way[item.request.peer, item.request.corr] = case = Case(item, Dropping(), held)
                if slots is None or self._has_slot(case, slots):
                    accepted.append(case)
        self._start(accepted)

    def _has_share(self, news: RequestArrived) -> bool:
        """Whether one more of that requester is let in although there are as many as may be."""
        peer = news.request.peer
        counts = Counter(other for other, _ in list(self._under_way))
        own = counts.pop(peer, 0)
        return has_share(own, len(counts), own + counts.total(), self._limits.requests_in)

    def _has_slot(self, case: Case, slots: Slots) -> bool:
        """Whether it may begin. Else it will when it may, unless it is refused here, or given up meanwhile."""
        who = case.news.request.peer
        go = partial(self._go, case)
        try:
            if slots.enter(who, go):
                return True
        except Overloaded as error:
            self._forget(case)
            self._reply(case.news, None, error)
            return False

        def withdraw() -> None:
            if slots.withdraw(who, go):
                self._forget(case)
                self._reply(case.news, None, RequestCancelled("it was given up before its turn came"))

        case.dropping.then(withdraw)
        return False

    def _go(self, case: Case) -> None:
        """It has got its slot. On the thread of whoever had that before."""
        self._start([case])

    def close(self, timeout: float) -> Any:
        """Take nothing more, wait at most `timeout` seconds for what runs, and name what would not end in the log.

        A step, see `steps`.
        """
        raise NotImplementedError

    def _start(self, accepted: list[Case]) -> None:
        """Have `_answer` called with each of them."""
        raise NotImplementedError

    def _drop(self, news: RequestDropped) -> None:
        """Whoever asked does not wait any more: what has not begun never will, what can be cancelled is."""
        for (peer, corr), case in list(self._under_way.items()):
            if peer == news.peer and news.corr in (None, corr):
                case.dropping.drop()

    def _answer(self, case: Case) -> Steps[None] | None:
        """Call the handler and reply. Where the handler has to be waited for, the rest of it has to be walked."""
        news = case.news
        try:
            answer = self._begin(case)
            if news.parts is not None and gives(answer):
                return self._go_on(case, self._give_all(case, answer))
            if isinstance(answer, Later):
                return self._go_on(case, answer.steps)
            try:
                payload = self._router._codec.quick(answer)
            except Exception:
                payload = self._encoded(news, answer)
        except BaseException as error:
            self._ended(case)
            self._fail(news, error)
        else:
            self._ended(case)
            self._finish(news, payload, None)
        return None

    def _begin(self, case: Case) -> object:
        """What the handler answers, or `Later`; raises what the requester is to be told."""
        news = case.news
        sender, request = news.sender, news.request
        held = case.held
        if self._router._senders.get(sender) is not held:  # nor another of that name: it has not been asked
            raise SenderNotConnected(sender)
        if case.dropping.dropped or time.monotonic() >= news.deadline:
            raise RequestTimeout(sender, request.method, 0)  # nobody waits any more
        codec = self._router._codec
        try:
            params = codec.read(request.payload)
        except Exception:
            params = codec.decode(request.payload)  # raises what is wrong, in a sentence
        trail = Trail(request.hops, news.deadline, case.dropping, request.peer)
        begin = held._handlers.begin if news.parts is None else held._handlers.open
        return begin(sender, request.method, params, trail, partial(self._ended, case))

    def _ended(self, case: Case) -> None:
        """Its handler has come to its end, or never will be called."""
        request = case.news.request
        self._under_way.pop((request.peer, request.corr), None)  # as `_forget`, which is a call for each of many
        if (slots := case.held._slots) is not None:
            slots.leave()

    def _forget(self, case: Case) -> None:
        """There is room for another."""
        self._under_way.pop((case.news.request.peer, case.news.request.corr), None)

    def _give_all(self, case: Case, answer: object) -> Steps[object]:
        """Give the parts of an answer; returns what stands behind the last."""
        try:
            return (yield from self._given(case.news, case.dropping, answer))
        finally:
            self._ended(case)

    def _given(self, news: RequestArrived, dropping: Dropping, answer: object) -> Steps[object]:
        driver, held = self._router._driver, self._router._senders.get(news.sender)
        if driver is None or held is None or news.parts is None:
            raise SenderNotConnected(news.sender)
        giving = self._giving(self._router, driver, news, news.parts, dropping)
        return (yield from giving.steps(answer, held._handlers.loop))

    def _go_on(self, case: Case, steps: Steps[object]) -> Steps[None]:
        news = case.news
        try:
            answer = yield from steps
            if news.parts is not None and gives(answer):  # an `async def` that returns a generator
                answer = yield from self._given(news, case.dropping, answer)
            payload = self._encoded(news, answer)
        except BaseException as error:
            self._fail(news, error)
        else:
            self._finish(news, payload, None)

    def _encoded(self, news: RequestArrived, answer: object) -> bytes:
        try:
            return self._router._codec.encode(answer)
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
        """Nobody works for the answer any more; reply."""
        driver = self._router._driver  # as `_reply`
        if driver is not None:
            driver.reply(news, payload, error)

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
        self._lines: Lines[Case] = Lines()  # each with one `_run_next` that has been posted for it, or for another

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

    def _start(self, accepted: list[Case]) -> None:
        for case in accepted:
            nested = case.news.request.hops > 1 and len(self._under_way) > self._limits.request_workers
            if self._post is None and (nested or case.news.parts is not None):  # a stream may go on for long
                self._add_thread(case)
            else:
                self._line_up(case)

    def _add_thread(self, case: Case) -> None:
        thread = threading.Thread(target=self._run_extra, args=(case,), name=_NAME, daemon=True)
        try:
            with self._lock:
                thread.start()
                self._extra.append(thread)
        except RuntimeError as error:  # none to be had
            self._refuse(case, error)

    def _line_up(self, case: Case) -> None:
        who = case.news.request.peer
        with self._lock:
            self._lines.put(who, case)
        try:
            if self._post is not None:
                self._post(self._run_next)
            else:
                self._pool.submit(self._run_next)
        except Exception as error:  # an executor that has been shut down, or no thread to be had
            with self._lock:
                if not self._lines.remove(who, case):
                    # It has been begun in the place of another, for which nobody will come then.
                    case = self._lines.take()
            self._refuse(case, error)

    def _refuse(self, case: Case, error: Exception) -> None:
        self._ended(case)
        self._finish(case.news, None, Overloaded(f"the handlers of {case.news.sender!r} cannot be run: {error}"))

    def _run_next(self) -> None:
        """Whose turn it is; on a thread of the pool."""
        with self._lock:
            case = self._lines.take()
        self._run(case)

    def _run_extra(self, case: Case) -> None:
        try:
            self._run(case)
        finally:
            with self._lock:
                self._extra.remove(threading.current_thread())

    def _run(self, case: Case) -> None:
        self._running[threading.current_thread()] = case.news
        steps = self._answer(case)
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
