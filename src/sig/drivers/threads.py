"""The blocking client: the caller writes, one thread reads, one thread calls listeners.

User code never runs where bytes are read, and no lock is held while it runs. A write never waits under a lock: what the
socket does not take at once is left to the reading thread.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Final, Protocol

from sig.constants import Limits
from sig.errors import Closed, ConnectionLost, Overloaded, SigError
from sig.log import logger
from sig.messages import Call
from sig.protocol.bodies import Lost
from sig.protocol.client import ClientCore, EventsArrived, News, RequestArrived, RequestDropped
from sig.protocol.outbox import Outbox

_CHUNK: Final = 256 * 1024
_READ: Final = 64 * 1024


class Link(Protocol):
    """What carries a client's bytes. `send` is called with the driver's lock held and never waits."""

    @property
    def unsent(self) -> int:
        """Bytes taken and not yet gone."""
        ...

    def start(self, driver: ClientDriver) -> None:
        """Begin to call `driver.received`, `driver.writable` and, once, `driver.lost`."""
        ...

    def send(self, data: bytes) -> None: ...

    def close(self, timeout: float) -> None:
        """Close when what was sent has gone and the other end has closed, or after `timeout` seconds."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of the descriptors, touch nothing else."""
        ...


class SocketLink:
    """A connected stream socket, read by a thread of its own."""

    def __init__(self, sock: socket.socket, stall_s: float) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._stall_s = stall_s
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._left = bytearray()  # guarded by the driver's lock, as is all sending
        self._closing_until: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def unsent(self) -> int:
        return len(self._left)

    def start(self, driver: ClientDriver) -> None:
        self._thread = threading.Thread(target=self._run, args=(driver,), name="sig-read", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        if not self._left:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reading thread meets the same end, and tells it
            if sent == len(data):
                return
            self._left += memoryview(data)[sent:]
        else:
            self._left += data
        self._wake()

    def close(self, timeout: float) -> None:
        self._closing_until = time.monotonic() + timeout
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout + 1)

    def abandon(self) -> None:
        for sock in (self._sock, self._wake_in, self._wake_out):
            os.close(sock.detach())

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except OSError:
            pass  # full: it is awake already; closed: it is gone

    def _run(self, driver: ClientDriver) -> None:
        error: SigError | None = None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._sock, selectors.EVENT_READ)
                selector.register(self._wake_in, selectors.EVENT_READ)
                self._serve(driver, selector)
        except OSError as trouble:
            error = ConnectionLost(f"the link to the server was lost: {trouble.strerror or trouble}")
        except _Stalled:
            error = ConnectionLost(f"the server has not read anything for {self._stall_s:g} s")
        finally:
            driver.lost(error or ConnectionLost("the server closed the link"))
            for sock in (self._sock, self._wake_in, self._wake_out):
                sock.close()

    def _serve(self, driver: ClientDriver, selector: selectors.BaseSelector) -> None:
        buffer = memoryview(bytearray(_READ))
        progress = time.monotonic()
        shut = False
        writing = False
        while True:
            timeout = None
            if self._left:
                timeout = max(0.0, progress + self._stall_s - time.monotonic())
            if self._closing_until is not None:
                left = self._closing_until - time.monotonic()
                if left <= 0:
                    return
                timeout = left if timeout is None else min(left, timeout)
            for key, events in selector.select(timeout):
                if key.fileobj is self._wake_in:
                    try:
                        self._wake_in.recv(4096)
                    except BlockingIOError:
                        pass
                elif events & selectors.EVENT_READ:
                    try:
                        size = self._sock.recv_into(buffer)
                    except BlockingIOError:
                        continue
                    if not size:
                        return
                    driver.received(buffer[:size])
            if self._left:
                if driver.locked(self._write):
                    progress = time.monotonic()
                elif time.monotonic() - progress >= self._stall_s:
                    raise _Stalled
                if not self._left:
                    driver.writable()
            else:
                progress = time.monotonic()
            if bool(self._left) is not writing:
                writing = bool(self._left)
                selector.modify(self._sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0))
            if self._closing_until is not None and not self._left and not shut:
                self._sock.shutdown(socket.SHUT_WR)
                shut = True

    def _write(self) -> bool:
        """Send what is left; true if anything went."""
        try:
            sent = self._sock.send(memoryview(self._left)[:_CHUNK])
        except BlockingIOError:
            return False
        del self._left[:sent]
        return sent > 0


class _Stalled(Exception):
    pass


class ClientDriver:
    """Moves the bytes and the time of one `ClientCore`, and calls back with what came.

    Args:
        core: used under this driver's lock only.
        handle: called on the dispatch thread with each piece of news, in order.
        asked: called on the reading thread with requests; must not block.
        ended: called once on the reading thread, when the link is down.
        fatal: called on the dispatch thread with what `handle` let through: the thread has ended then.
    """

    def __init__(
        self,
        core: ClientCore,
        limits: Limits,
        *,
        handle: Callable[[News], object],
        asked: Callable[[RequestArrived | RequestDropped], object],
        ended: Callable[[], object],
        fatal: Callable[[BaseException], object],
    ) -> None:
        self.core = core
        self._limits = limits
        self._handle = handle
        self._asked = asked
        self._ended = ended
        self._fatal = fatal
        self._lock = threading.Lock()  # guards the core and all sending
        self._room = threading.Condition(self._lock)
        self._opened: Future[None] = Future()
        self._link: Link | None = None
        self._forked = False
        self.triggered: int = 0
        """Events accepted so far."""
        self.flushed = 0
        """Of these, how many the server is known to have routed."""
        self._arrived = threading.Condition(threading.Lock())  # guards the inbox and what follows
        self._inbox: Outbox[News] = Outbox(
            drop_bytes=limits.listener_queue_bytes, drop_events=limits.listener_queue_events
        )
        self._stopping = False
        self._idle = True
        self._dispatcher: threading.Thread | None = None
        _drivers.add(self)

    # What the application does

    def open(self, link: Link, timeout: float) -> None:
        """Shake hands over a link; raises what went wrong."""
        self._link = link
        self._dispatcher = threading.Thread(target=self._dispatch, name="sig-dispatch", daemon=True)
        self._dispatcher.start()
        link.start(self)
        with self._lock:
            self._pump()
        try:
            self._opened.result(timeout)
        except FutureTimeout:
            self.close(0)
            raise ConnectionLost(f"the server did not finish the handshake within {timeout:g} s") from None
        except SigError:
            self.close(0)
            raise

    def call(self, message: Call, timeout: float) -> object:
        """Ask the server, and wait for the answer."""
        return self._wait(lambda done: self.core.call(message, time.monotonic(), timeout, done), timeout)

    def tell(self, message: Call) -> None:
        """Ask the server for something whose answer does not matter."""
        with self._lock:
            if not self.core.closed and not self._forked:
                self.core.call(message, time.monotonic(), self._limits.flush_timeout_s, lambda value, error: None)
                self._pump()

    def listen(self, number: int, sender: str | None, event: str | None, listener: object, timeout: float) -> None:
        """Ask for events; returns when the server has it."""
        now = time.monotonic()
        self._wait(lambda done: self.core.listen(number, sender, event, listener, now, timeout, done), timeout)

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

    def trigger(self, sender: str, event: str, payload: bytes) -> None:
        """Send an event; waits while more is unsent than the window allows, at most `send_timeout_s`."""
        with self._lock:
            if self._unsent() > self._limits.send_window_bytes:
                self._wait_for_room()
            self._check_fork()
            self.core.trigger(sender, event, payload)
            self.triggered += 1
            self._pump()

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request."""
        with self._lock:
            self.core.reply(arrived, payload, error)
            self._pump()

    def settle(self, timeout: float) -> None:
        """Wait until the listeners have been given what has arrived; not from inside one of them."""
        if threading.current_thread() is self._dispatcher:
            return
        with self._arrived:
            self._arrived.wait_for(lambda: self._idle and not len(self._inbox), timeout)

    def close(self, timeout: float) -> None:
        """Leave in order, and end the threads. From any thread, also from inside a listener."""
        deadline = time.monotonic() + timeout
        with self._lock:
            if not self.core.closed:
                self.core.leave()
                self._pump()
        if self._link is not None:
            self._link.close(max(0.0, deadline - time.monotonic()))
        self.settle(max(0.0, deadline - time.monotonic()))
        with self._arrived:
            self._stopping = True
            self._arrived.notify_all()
        dispatcher = self._dispatcher
        if dispatcher is not None and dispatcher is not threading.current_thread():
            # Idle, it ends at once; only user code can take its time.
            dispatcher.join(max(1.0 if self._idle else 0.0, deadline - time.monotonic()))
            if dispatcher.is_alive():
                logger.warning(f"a listener is still busy after {timeout:g} s; its thread is left to itself")

    # What the link does

    def received(self, data: bytes | memoryview) -> None:
        """Bytes have come. On the reading thread."""
        with self._lock:
            self.core.receive_at(data, time.monotonic())
            news = self.core.take_news()
            if self.core.opened and not self._opened.done():
                self._opened.set_result(None)
            self._pump()
            closed = self.core.closed
        if news:
            self._deliver(news)
        if closed and self._link is not None:
            self._link.close(self._limits.close_timeout_s)

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
        """The link is down."""
        with self._lock:
            self.core.disconnected(error)
            self._room.notify_all()
            if not self._opened.done():
                self._opened.set_exception(self.core.error or error)
        self._ended()

    # Within

    def _wait(
        self, ask: Callable[[Callable[[object, BaseException | None], object]], object], timeout: float
    ) -> object:
        future: Future[object] = Future()

        def done(value: object, error: BaseException | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        deadline = time.monotonic() + timeout
        with self._lock:
            self._check_fork()
            ask(done)
            self._pump()
        while True:
            try:
                return future.result(max(0.001, deadline - time.monotonic()))
            except FutureTimeout:
                if future.done():
                    raise
                with self._lock:
                    self.core.handle_timeout(time.monotonic())
                    self._pump()

    def _pump(self) -> None:
        """Send what waits, while the link takes it at once."""
        link = self._link
        while link is not None and not link.unsent:
            data = self.core.data_to_send(_CHUNK)
            if not data:
                return
            link.send(data)

    def _unsent(self) -> int:
        return self.core.queued_bytes + (self._link.unsent if self._link is not None else 0)

    def _wait_for_room(self) -> None:
        window = self._limits.send_window_bytes
        timeout = self._limits.send_timeout_s
        if not self._room.wait_for(lambda: self.core.closed or self._unsent() <= window, timeout):
            raise Overloaded(
                f"the server has not taken {self._unsent()} bytes of events within {timeout:g} s: "
                "trigger less often, or raise send_timeout_s"
            )

    def _deliver(self, news: list[News]) -> None:
        with self._arrived:
            for item in news:
                if isinstance(item, EventsArrived):
                    self._inbox.put_events(item, len(item.frame.data), item.counts)
                elif isinstance(item, Lost) and item.missed is not None:
                    self._inbox.put_loss(item.route, item.missed)
                elif not isinstance(item, RequestArrived | RequestDropped):
                    self._inbox.put(item, 1)
            self._arrived.notify_all()
        for item in news:
            if isinstance(item, RequestArrived | RequestDropped):
                self._asked(item)

    def _dispatch(self) -> None:
        try:
            while (item := self._next()) is not None:
                for news in item:
                    self._handle(news)
        except BaseException as error:
            with self._arrived:  # nobody will take what waits: whoever waits for that must not
                self._inbox.clear()
                self._idle = True
                self._arrived.notify_all()
            self._fatal(error)

    def _next(self) -> list[News] | None:
        with self._arrived:
            while (entry := self._inbox.take()) is None:
                self._idle = True
                self._arrived.notify_all()
                if self._stopping:
                    return None
                self._arrived.wait()
            self._idle = False
            if self._stopping:
                return None
        if entry.lost is not None:
            return [Lost(route, missed, "slow") for route, missed in entry.lost.items()]
        assert entry.item is not None  # an entry is one or the other
        return [entry.item]

    def _check_fork(self) -> None:
        if self._forked:
            raise Closed("this router belongs to the process that forked: connect anew in the child")

    def forked(self) -> None:
        """In the child of a fork: the link is the parent's."""
        self._forked = True
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._arrived = threading.Condition(threading.Lock())
        self._stopping = True
        self._idle = True
        self._inbox.clear()
        self.core.closed = True
        self.core.error = Closed("this router belongs to the process that forked: connect anew in the child")
        self._dispatcher = None
        link, self._link = self._link, None
        if link is not None:
            link.abandon()


_drivers: weakref.WeakSet[ClientDriver] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_drivers):
        driver.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
