"""The thread on which the blocking face calls listeners, and the inbox of what they are to be told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from threading import get_ident
from time import monotonic
from typing import Final

from sig.constants import Limits
from sig.drivers.links import LINGER_S, Link
from sig.log import logger
from sig.protocol.bodies import Lost
from sig.protocol.client import EventsArrived, News
from sig.protocol.outbox import Outbox

# What a piece of news that may not be dropped takes in the inbox, roughly.
NEWS_BYTES: Final = 512


class _Mark:
    """Stands in the inbox where somebody waits for the listeners to have come to."""


class Dispatcher:
    """Hands news out in order, one piece at a time. Its lock may be taken under that of the driver, never around it.

    Args:
        link: the one to read from, as long as nothing else is to be done; `None` while there is none.
        handle: called with each piece of news, on the thread.
        over: called once, after the last.
        fatal: called with the KeyboardInterrupt or SystemExit that a listener raised; the thread ends with it.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        link: Callable[[], Link | None],
        handle: Callable[[News], object],
        over: Callable[[], object],
        fatal: Callable[[BaseException], object],
    ) -> None:
        self._link = link
        self._handle = handle
        self._over = over
        self._fatal = fatal
        self._changed = threading.Condition(threading.Lock())  # guards what follows
        self._inbox: Outbox[News | _Mark] = Outbox(
            drop_bytes=limits.listener_queue_bytes, drop_events=limits.listener_queue_events
        )
        self._turning = False  # the thread reads
        self._read: News | None = None  # a piece of news that it has read: nothing waits that comes before it
        self._handling = False  # the thread is inside a listener, perhaps
        self._marks = 0
        self._passed = 0
        self._last = False  # nothing more will be put in
        self._stopping = False  # nothing more is handed out
        self._ended = False  # the thread has come to its end
        self._ident = 0  # of the thread
        self._thread = threading.Thread(target=self._run, name="sig-dispatch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def inside(self) -> bool:
        """Whether this is the thread: inside a listener."""
        return threading.current_thread() is self._thread

    def put(self, news: Sequence[News]) -> int:
        """Put news in; with the driver's lock held. Returns how many bytes now wait that may not be dropped."""
        if self._turning and len(news) == 1 and self._read is None and get_ident() == self._ident and not self._inbox:
            self._read = news[0]  # whoever would have to be told is here
            return 0
        with self._changed:
            for item in news:
                if isinstance(item, EventsArrived):
                    self._inbox.put_events(item, len(item.frame.data), item.counts)
                elif isinstance(item, Lost) and item.missed is not None:
                    self._inbox.put_loss(item.route, item.missed, item.reason)  # told with what is lost here
                else:
                    self._inbox.put(item, NEWS_BYTES)
            self._changed.notify_all()
            return self._inbox.other_bytes

    def put_last(self) -> None:
        """Nothing more will be put in: the thread ends behind what there is."""
        with self._changed:
            self._last = True
            self._rouse()

    def rouse(self) -> None:
        """Have the thread look at the inbox: it may be reading, and nothing need come."""
        with self._changed:
            self._rouse()

    def mark(self) -> int:
        """A place behind all that has been put in, to be waited for."""
        with self._changed:
            self._marks += 1
            self._inbox.put(_Mark(), 0)
            self._rouse()
            return self._marks

    def wait_for(self, mark: int, timeout: float) -> None:
        """Wait until listeners have been told all up to there, or will be told no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._passed >= mark or self._ended, timeout)

    def close(self, deadline: float, timeout: float) -> None:
        """Hand nothing more out, and end the thread; wait for it until `deadline`, `timeout` seconds after we began."""
        with self._changed:
            self._stopping = True
            self._rouse()
        if self.inside or self._thread.ident is None:
            return
        # One that is not inside a listener ends by itself, however little time is left.
        self._thread.join(max(0.0 if self._handling else LINGER_S, deadline - monotonic()))
        if self._thread.is_alive():
            logger.warning(f"a listener is still busy after {timeout:g} s; its thread is left to itself")

    def forked(self) -> None:
        """This is the child of a fork, where the thread is not."""
        self._changed = threading.Condition(threading.Lock())
        self._stopping = self._ended = True

    # On the thread

    def _run(self) -> None:
        self._ident = get_ident()
        try:
            while (news := self._next()) is not None:
                for item in news:
                    self._handling = True
                    try:
                        self._handle(item)
                    except Exception:
                        logger.exception("a piece of news from the server could not be handled")
                    finally:
                        self._handling = False
            self._over()
        except (KeyboardInterrupt, SystemExit) as error:
            self._fatal(error)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _next(self) -> list[News] | None:
        with self._changed:
            while not self._stopping:
                if self._read is not None:
                    read, self._read = self._read, None
                    return [read]
                entry = self._inbox.take()
                if entry is None:
                    if self._last:
                        return None
                    self._wait_for_news()
                elif entry.lost is not None:
                    return [Lost(route, missed, reason) for (route, reason), missed in entry.lost.items()]
                elif isinstance(entry.item, _Mark):
                    self._passed += 1
                    self._changed.notify_all()
                else:
                    assert entry.item is not None  # an entry is one or the other
                    return [entry.item]
            return None

    def _wait_for_news(self) -> None:
        """Until there may be some; the lock is held. Best is to read them here."""
        link = self._link()
        if link is not None:
            self._changed.release()
            self._turning = True
            try:
                if link.turn():
                    return
            finally:
                self._turning = False
                self._changed.acquire()
        if self._read is None and not (len(self._inbox) or self._last or self._stopping):
            self._changed.wait()

    def _rouse(self) -> None:
        """`rouse`, with the lock held."""
        self._changed.notify_all()
        link = self._link()
        if link is not None:
            link.poke()
