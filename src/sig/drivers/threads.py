"""The blocking client: the caller writes, one thread reads, one thread calls listeners.

User code never runs where bytes are read, and no lock is held while it runs. A write never waits under a lock: what the
link does not take at once stays with us until it does.
"""

from __future__ import annotations

import _thread
import copy
import signal
import threading
import time
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.fork import tell_child
from sig.drivers.links import Link
from sig.drivers.tail import Tail
from sig.errors import Closed, ConnectionLost, Overloaded, SigError
from sig.log import logger
from sig.messages import Call, Close, Flush
from sig.protocol.bodies import Lost
from sig.protocol.client import CLOSED, UNHEARD, ClientCore, EventsArrived, News, RequestArrived, RequestDropped
from sig.protocol.frames import FRAMING_ROOM_BYTES, check_payload
from sig.protocol.outbox import Outbox

_CHUNK: Final = 256 * 1024
_SLOW: Final = "slow"
# Events no larger than this are gathered for so long: with longer, a batch is larger than pays; with shorter, the
# system is called more often. A lone event never waits.
_SMALL: Final = 4096
_AGE_S: Final = 50e-6
# How long a server that was told to go, or told us so, may take to close its end.
_LINGER_S: Final = 1.0


class Answer:
    """Something one thread waits for and another gives, once."""

    __slots__ = ("_error", "_lock", "_value", "given")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held until the answer is there: nothing is cheaper to wait for
        self._lock.acquire()
        self._value: object = None
        self._error: BaseException | None = None
        self.given: bool = False

    def give(self, value: object, error: BaseException | None = None) -> None:
        """The answer; what is said later is ignored. Of several threads, the driver's lock lets in one."""
        if not self.given:
            self.given = True
            self._value, self._error = value, error
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Whether it is there, within `timeout` seconds. Once, by one thread."""
        return self._lock.acquire(timeout=max(0.0, timeout))

    def result(self) -> object:
        """The value, or raises the error; after `wait` has said that it is there."""
        if self._error is not None:
            raise copy.copy(self._error)  # others may be given the same, and each raises it somewhere else
        return self._value


class _Mark:
    """Stands in the inbox where somebody waits for the listeners to have come to."""


class ClientDriver:
    """Moves the bytes and the time of one `ClientCore`, and calls back with what came.

    Args:
        core: used under this driver's lock only.
        handle: called on the dispatch thread with each piece of news, in order.
        asked: called on the reading thread with requests; must not block, and not raise.
        ended: called once when the link is down, on the thread that noticed; must not block.
        over: called once on the dispatch thread, after the last piece of news.
        fatal: called on the dispatch thread with the KeyboardInterrupt or SystemExit that a listener raised; the
            thread ends with it.
    """

    def __init__(
        self,
        core: ClientCore,
        limits: Limits,
        *,
        handle: Callable[[News], object],
        asked: Callable[[RequestArrived | RequestDropped], object],
        ended: Callable[[], object],
        over: Callable[[], object],
        fatal: Callable[[BaseException], object],
    ) -> None:
        self.core = core
        self._limits = limits
        self._handle = handle
        self._asked = asked
        self._ended = ended
        self._over = over
        self._fatal = fatal
        self._lock = threading.Lock()  # guards the core and all sending
        self._room = threading.Condition(self._lock)
        self._link: Link | None = None
        self._opened = Answer()
        self._leaving = False  # by our own doing
        self._gone = False  # everybody has been told that the link is down, or about to be
        self._tail = Tail(self._flush)
        self.flushed: int = 0
        """Of these, how many the server is known to have routed."""
        self._arrived = threading.Condition(threading.Lock())  # guards what follows; taken inside the other, if both
        self._inbox: Outbox[News | _Mark] = Outbox(
            drop_bytes=limits.listener_queue_bytes, drop_events=limits.listener_queue_events
        )
        self._marks = 0
        self._passed = 0
        self._down = False  # nothing more will arrive
        self._stopping = False  # nothing more is handed out
        self._dispatched = False  # the dispatch thread has come to its end
        self._dispatcher = threading.Thread(target=self._dispatch, name="sig-dispatch", daemon=True)
        tell_child(self)

    # What the application does

    @property
    def inside(self) -> bool:
        """Whether this is the dispatch thread: inside a listener."""
        return threading.current_thread() is self._dispatcher

    def open(self, link: Link, timeout: float) -> None:
        """Shake hands over a link; raises what went wrong, and leaves nothing behind then."""
        try:
            self._dispatcher.start()
            self._begin(link)
            with self._lock:
                self._pump()
            if not self._opened.wait(timeout):
                raise ConnectionLost(f"the server did not finish the handshake within {timeout:g} s")
            self._opened.result()
        except BaseException:
            self.close(0)
            if self._link is None:
                link.join(0)  # it never began
            raise

    def call(self, message: Call, timeout: float) -> object:
        """Ask the server, and wait for the answer."""
        return self._wait(lambda done: self.core.call(message, time.monotonic(), timeout, done), timeout)

    def tell(self, message: Call) -> None:
        """Ask the server for something whose answer does not matter; nothing happens on a link that is down."""
        with self._lock:
            if not self.core.closed:
                self.core.call(message, time.monotonic(), self._limits.flush_timeout_s, lambda value, error: None)
                self._pump()

    def listen(self, number: int, sender: str | None, event: str | None, listener: object, timeout: float) -> None:
        """Ask for events; returns when the server has it. If that fails, the server will not keep it."""
        now = time.monotonic()
        try:
            self._wait(lambda done: self.core.listen(number, sender, event, listener, now, timeout, done), timeout)
        except BaseException:
            self.tell(Close(number))
            raise

    def request(self, sender: str, method: str, payload: bytes, *, deadline: float, hops: int) -> bytes:
        """Ask a sender, and wait for the payload of its answer."""
        give_up: Callable[[], None] | None = None

        def ask(done: Callable[[object, BaseException | None], object]) -> None:
            nonlocal give_up
            now = time.monotonic()
            give_up = self.core.request(sender, method, payload, now=now, deadline=deadline, hops=hops, done=done)

        try:
            answer = self._wait(ask, deadline - time.monotonic())
        except (KeyboardInterrupt, SystemExit):
            with self._lock:
                if give_up is not None:
                    give_up()
                    self._pump()
            raise
        assert isinstance(answer, bytes)  # the core hands out the payload as it came
        return answer

    @property
    def triggered(self) -> int:
        """Events accepted so far."""
        with self._lock:
            return self.core.triggered

    def outlet(self, sender: str, event: str, codec: Codec) -> Callable[[object], None]:
        """The function that sends the events of one signal, from any thread. Raises as `Signal.trigger`.

        A lone event leaves before it returns. Of those that follow within `_AGE_S` none waits for the system: they
        leave with the first after that, or after `_TAIL_S`.
        """
        number = CLOSED
        quick, encode = codec.quick, codec.encode
        tail, append = self._tail, self.core.outgoing.events.append
        small = min(_SMALL, self.core.max_frame_bytes - FRAMING_ROOM_BYTES)

        def changed(route: int) -> None:
            nonlocal number
            number = route

        def trigger(data: object = None) -> None:
            if number == UNHEARD:
                return
            try:
                payload = quick(data)
            except Exception:
                payload = encode(data)  # raises what is wrong, in a sentence
            if monotonic() < tail.gate and len(payload) <= small and number:
                append((number, payload))
                if not tail.armed:
                    tail.arm()
            else:
                self._send(sender, event, payload)

        with self._lock:
            self.core.outlet(sender, event, changed)
        return trigger

    def close_outlets(self, sender: str, events: Iterable[str]) -> None:
        """Let none of these functions send any more: they raise `SenderNotConnected`."""
        with self._lock:
            self.core.close_outlets(sender, events)

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request."""
        with self._lock:
            self.core.reply(arrived, payload, error)
            self._pump()

    def drain(self, timeout: float) -> None:
        """Wait until the listeners have been given all that the server had for them when this was called.

        At most `timeout` seconds, and not at all from inside one of them. Whoever closes goes on then.
        """
        if self.inside:
            return
        deadline = time.monotonic() + timeout
        try:
            self.call(Flush(), timeout)
        except SigError:
            pass  # the link is down, or the server does not answer: what has arrived is still given out
        with self._lock, self._arrived:
            self._marks += 1
            mine = self._marks
            self._inbox.put(_Mark(), 0)
            self._arrived.notify_all()
        with self._arrived:
            self._arrived.wait_for(
                lambda: self._passed >= mine or self._dispatched, max(0.0, deadline - time.monotonic())
            )

    def close(self, timeout: float) -> None:
        """Leave in order, and end the threads; what has not been given to listeners by then is not. Any thread."""
        deadline = time.monotonic() + timeout
        with self._lock:
            if not self.core.closed:
                self._leaving = True
                self._tail.gate = 0.0
                self.core.leave()
                self._pump()
            if self._link is not None:
                self._link.finish(timeout)
            said = not self.core.outgoing.size
        if said:
            self.lost(Closed("this router has been closed"))  # nobody need wait until the other end has closed too
        if self._link is not None:
            self._link.join(timeout + 1)
        with self._arrived:
            self._stopping = True
            self._arrived.notify_all()
        if not self.inside and self._dispatcher.ident is not None:
            self._dispatcher.join(max(0.0, deadline - time.monotonic()))
            if self._dispatcher.is_alive():
                logger.warning(f"a listener is still busy after {timeout:g} s; its thread is left to itself")

    # What the link does: implements `LinkUser`

    def received(self, data: bytes | memoryview) -> None:
        """Bytes have come. On the reading thread."""
        with self._lock:
            self.core.receive_at(data, time.monotonic())
            news = self.core.take_news()
            if self.core.opened:
                self._opened.give(None)
            # Before the lock is left: whoever was given an answer must find what came before it in the inbox.
            asked = self._enter(news) if news else ()
            self._pump()
            if not self._tail.gate:
                self._room.notify_all()
            over = self.core.closed and not self._leaving
        for item in asked:
            self._asked(item)
        if over:
            self.lost(ConnectionLost("the server closed the link"))  # nobody need wait until it really is

    def writable(self) -> None:
        """What was left has gone."""
        with self._lock:
            self._pump()
            self._room.notify_all()

    def locked(self, function: Callable[[], bool]) -> bool:
        """Run something of the link's under the lock that guards sending."""
        with self._lock:
            return function()

    def lost(self, error: SigError) -> None:
        """The link is down, or of no use any more. Only the first time counts."""
        with self._lock:
            if self._gone:
                return
            self._gone = True
            self._tail.close()
            self.core.disconnected(error)
            self._room.notify_all()
            self._opened.give(None, self.core.error)
        self._ended()
        with self._arrived:
            self._down = True
            self._arrived.notify_all()

    # Within

    def _begin(self, link: Link) -> None:
        self._link = link
        try:
            link.start(self)
        except BaseException:
            self._link = None
            raise

    def _wait(
        self, ask: Callable[[Callable[[object, BaseException | None], object]], object], timeout: float
    ) -> object:
        answer = Answer()
        with self._lock:
            ask(answer.give)
            self._pump()
            deadline = time.monotonic() + timeout  # not before the core's
        while not answer.wait(deadline - time.monotonic()):
            with self._lock:
                self.core.handle_timeout(time.monotonic())
                self._pump()
        return answer.result()

    def _send(self, sender: str, event: str, payload: bytes) -> None:
        """Send an event now, with all that wait; waits while there is no room, at most `send_timeout_s`."""
        with self._lock:
            check_payload(payload, self.core.max_frame_bytes)
            self.core.outgoing.pack()
            if self.core.outgoing.room <= 0:
                self._wait_for_room()
            self.core.trigger(sender, event, payload)
            self._pump()
            alive = not self.core.closed and self.core.outgoing.room > 0
            self._tail.gate = monotonic() + _AGE_S if alive else 0.0

    def _flush(self) -> None:
        """Send what has been waiting for a moment."""
        with self._lock:
            self._pump()

    def _pump(self) -> None:
        """Send what waits, while the link takes it at once; end the link when that was the last."""
        link = self._link
        if link is None:
            return
        while not link.unsent:
            data = self.core.data_to_send(_CHUNK)
            if not data:
                if self.core.closed:
                    link.finish(self._limits.close_timeout_s if self._leaving else _LINGER_S)
                return
            link.send(data)

    def _wait_for_room(self) -> None:
        self._tail.gate = 0.0
        timeout = self._limits.send_timeout_s
        outgoing = self.core.outgoing
        if not self._room.wait_for(lambda: self.core.closed or outgoing.room > 0, timeout):
            raise Overloaded(
                f"the server has not taken {outgoing.event_bytes} bytes of events within {timeout:g} s: "
                "trigger less often, or raise send_timeout"
            )

    def _enter(self, news: list[News]) -> list[RequestArrived | RequestDropped]:
        """Put news into the inbox; returns what does not belong there."""
        asked: list[RequestArrived | RequestDropped] = []
        with self._arrived:
            for item in news:
                if isinstance(item, EventsArrived):
                    self._inbox.put_events(item, len(item.frame.data), item.counts)
                elif isinstance(item, RequestArrived | RequestDropped):
                    asked.append(item)
                elif isinstance(item, Lost) and item.missed is not None and item.reason == _SLOW:
                    self._inbox.put_loss(item.route, item.missed)  # told together with what is lost here
                else:
                    self._inbox.put(item, 1)
            self._arrived.notify_all()
        return asked

    # On the dispatch thread

    def _dispatch(self) -> None:
        try:
            while (news := self._next()) is not None:
                for item in news:
                    try:
                        self._handle(item)
                    except Exception:
                        logger.exception("a piece of news from the server could not be handled")
            self._over()
        except (KeyboardInterrupt, SystemExit) as error:
            self._fatal(error)
        finally:
            with self._arrived:
                self._dispatched = True
                self._arrived.notify_all()

    def _next(self) -> list[News] | None:
        with self._arrived:
            while not self._stopping:
                entry = self._inbox.take()
                if entry is None:
                    if self._down:
                        return None
                    self._arrived.wait()
                elif entry.lost is not None:
                    return [Lost(route, missed, _SLOW) for route, missed in entry.lost.items()]
                elif isinstance(entry.item, _Mark):
                    self._passed += 1
                    self._arrived.notify_all()
                else:
                    assert entry.item is not None  # an entry is one or the other
                    return [entry.item]
            return None

    # In the child of a fork

    def forked(self) -> None:
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._arrived = threading.Condition(threading.Lock())
        self._stopping = self._dispatched = True
        self._tail = Tail(self._flush)
        self.core.closed = True
        self.core.error = Closed("this router belongs to the process that forked: make another here")
        link, self._link = self._link, None
        if link is not None:
            link.abandon()


def interrupt_main() -> None:
    """Raise KeyboardInterrupt in the main thread, as Ctrl-C does: also where it waits for something."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill") and callable(signal.getsignal(signal.SIGINT)):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()  # of no effect where the program ignores SIGINT
