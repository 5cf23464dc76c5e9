"""The blocking client: the caller writes, one thread reads, one thread calls listeners.

User code never runs where bytes are read, and no lock is held while it runs. A write never waits under a lock: what the
link does not take at once stays with us until it does.
"""

from __future__ import annotations

import _thread
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.client import SMALL, ClientDriver
from sig.drivers.deadlines import Deadlines
from sig.drivers.dispatcher import NEWS_BYTES, Dispatcher
from sig.drivers.fork import tell_child
from sig.drivers.links import LINGER_S, Link
from sig.drivers.tail import Tail
from sig.drivers.waiting import Answer
from sig.errors import Closed, ConnectionLost, InvalidArgument, Overloaded, RequestCancelled, SigError
from sig.messages import Auth, Flush
from sig.protocol.answering import Asked
from sig.protocol.asking import Payloads
from sig.protocol.calls import Done
from sig.protocol.client import ClientCore, News
from sig.protocol.frames import FRAMING_ROOM_BYTES, check_payload
from sig.protocol.login import discard
from sig.protocol.owning import CLOSED, UNHEARD
from sig.runtime import Dropping, Flag
from sig.security.proof import NONCE_BYTES
from sig.signal import UNCHECKED, Check

# Events are gathered for so long: with longer, they would come later; with shorter, the system is called more often. A
# lone event never waits.
_AGE_S: Final = 50e-6
# When there are so many in that time, for so long: to call the system costs all processes on the way more than what it
# is called for, and who triggers so fast waits for all of them.
_MANY: Final = 8
_BUSY_S: Final = 250e-6


class ThreadsDriver(ClientDriver):
    """`ClientDriver` of the blocking face.

    `handle` is called on the dispatch thread, `asked` on the reading thread.

    Args:
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
        asked: Callable[[Sequence[Asked]], object],
        ended: Callable[[], object],
        over: Callable[[], object],
        fatal: Callable[[BaseException], object],
    ) -> None:
        lock = threading.Lock()
        super().__init__(core, limits, lock, handle=handle, asked=asked, ended=ended)
        self._room = threading.Condition(lock)
        self._crowd = 0  # threads that wait for room
        self._opened = Answer()
        self._packed = 0  # events that had been sent when the gate was opened last, and for how long that was
        self._age = _AGE_S
        self._tail = Tail(self._flush)
        self._deadlines = Deadlines(self._on_time)
        self._dispatcher = Dispatcher(limits, link=lambda: self._link, handle=handle, over=over, fatal=fatal)
        tell_child(self)

    @property
    def inside(self) -> bool:
        """Whether this is the dispatch thread: inside a listener."""
        return self._dispatcher.inside

    def open(self, link: Link, timeout: float) -> None:
        """Shake hands over a link; raises what went wrong, and leaves nothing behind then."""
        try:
            self._dispatcher.start()
            self._begin(link)
            with self._lock:
                self._pump()
            self._shake_hands(timeout)
            with self._lock:
                self._watch()
        except BaseException:
            self.close(0)
            if self._link is None:
                link.join(0)  # it never began
            raise

    def begin_away(self) -> None:
        self._dispatcher.start()
        super().begin_away()

    def _shake_hands(self, timeout: float) -> None:
        """Wait until the handshake is complete; prove who we are, if the server asks. On the thread that opens."""
        deadline = monotonic() + timeout
        self._wait_opened(timeout, timeout)
        challenge, prover = self.core.challenge, self.core.prover
        if challenge is None or prover is None:
            return
        answer = prover.answer(challenge, secrets.token_bytes(NONCE_BYTES))
        if not isinstance(answer, Auth):
            discard(answer)
            raise InvalidArgument("auth= has a coroutine function, which needs sig.aio: give a plain function here")
        with self._lock:
            if not self._gone:
                self._opened = Answer()
            self.core.answer(answer)
            self._pump()
            if self._gone and self.core.error is not None:
                raise self.core.error
        self._wait_opened(deadline - monotonic(), timeout)

    def _wait_opened(self, left: float, timeout: float) -> None:
        if not self._opened.wait(left):
            raise self._unfinished(timeout)
        self._opened.result()

    def reopen(self, link: Link, timeout: float) -> None:
        before = self._link
        if before is not None:
            before.finish(0)  # nothing of it may come among what comes of the next
            before.join(LINGER_S)
        with self._lock:
            self._renew()
            self._opened = Answer()
        try:
            self._begin(link)
            with self._lock:
                self._pump()
            self._shake_hands(timeout)
        except BaseException as error:
            self.lost(error if isinstance(error, SigError) else ConnectionLost(str(error)))
            link.finish(0)
            raise
        with self._lock:
            self._watch()
            self._dispatcher.rouse()

    def ask(self, begin: Callable[[Done], int | None], timeout: float) -> object:
        self._away()
        answer = Answer()
        with self._lock:
            number = begin(answer.give)
            self._pump()
            deadline = monotonic() + timeout  # not before the core's
            if self._link is not None:
                self._link.expect()
        try:
            while not answer.wait(deadline - monotonic()):
                with self._lock:
                    self.core.handle_timeout(monotonic())
                    self._pump()
        except BaseException:  # KeyboardInterrupt
            if number is not None:
                self.give_up(number)
            raise
        return answer.result()

    def request(
        self,
        sender: str,
        method: str,
        payload: bytes | Payloads,
        *,
        deadline: float,
        hops: int,
        dropping: Dropping | None = None,
    ) -> object:
        if dropping is None:
            return super().request(sender, method, payload, deadline=deadline, hops=hops)
        over = dropping  # mypy keeps no narrowing inside functions
        asked: list[tuple[int, Done]] = []
        now = monotonic()

        def begin(done: Done) -> int:
            if over.dropped:
                raise _part_of_another()
            number = self.core.asking.request(sender, method, payload, now=now, deadline=deadline, hops=hops, done=done)
            asked.append((number, done))
            return number

        def drop() -> None:
            with self._lock:  # either it has been asked, or `begin` will see that it need not be
                for number, done in asked:
                    self.core.asking.give_up(number)
                    done(None, _part_of_another())
                self._pump()

        dropping.then(drop)
        try:
            return self.ask(begin, deadline - now)
        finally:
            dropping.forget(drop)

    def wait_aside(self, flag: Flag, timeout: float | None) -> object:
        self._away()
        return flag.wait(timeout)

    def part_written(self) -> None:
        tail = self._tail
        if monotonic() < tail.gate:
            if not tail.armed:
                tail.arm()
        else:
            with self._lock:
                self._pump()
                self._open_gate()

    def outlet(self, sender: str, event: str, codec: Codec, check: Check = UNCHECKED) -> Callable[[object], None]:
        """The function that sends the events of one signal, from any thread. Raises as `Signal.trigger`.

        A lone event leaves before it returns. Of those that follow within `_AGE_S` none waits for the system: they
        leave with the first after that, or with the tail.
        """
        what = sender, event
        number = CLOSED
        held = False  # events there were since nobody listened
        quick, encode = codec.quick, codec.encode
        tail, outgoing = self._tail, self.core.outgoing
        append = outgoing.events.append
        small = min(SMALL, self.core.max_frame_bytes - FRAMING_ROOM_BYTES)

        def changed(route: int) -> bool:
            nonlocal number, held
            # In this order: whoever holds something back while we are here is seen, or sees the other number.
            before, number = number, route
            withheld, held = held and before == UNHEARD, False
            return withheld

        def trigger(data: object = None) -> None:
            nonlocal held
            route = number  # read once: it may change while we encode
            if route == UNHEARD:
                held = True
                if number == UNHEARD:
                    return
                route = number
            try:
                payload = quick(data)
            except Exception:
                payload = encode(data)  # raises what is wrong, in a sentence
            if monotonic() < tail.gate and len(payload) <= small and route:
                append((route, payload))
                if not tail.armed:
                    tail.arm()
            else:
                self._send(what, payload)

        wanted, fitted = check

        def checked(data: object = None) -> None:
            # `trigger` again, with the check in front: a call in between would cost four times as much as that.
            nonlocal held
            if type(data) is not wanted:
                data = fitted(data)
            route = number
            if route == UNHEARD:
                held = True
                if number == UNHEARD:
                    return
                route = number
            try:
                payload = quick(data)
            except Exception:
                payload = encode(data)
            if monotonic() < tail.gate and len(payload) <= small and route:
                append((route, payload))
                if not tail.armed:
                    tail.arm()
            else:
                self._send(what, payload)

        with self._lock:
            self.core.owning.outlet(sender, event, changed)
        return trigger if check is UNCHECKED else checked

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
        with self._lock:
            mark = self._dispatcher.mark()
        self._dispatcher.wait_for(mark, max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> None:
        """Leave in order, and end the threads; what has not been given to listeners by then is not. Any thread."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._tail.gate = 0.0
            self._leave(timeout)
            said = self.core.parted or not self.core.outgoing.size
        if said:
            self.lost(Closed("this router has been closed"))  # nobody need wait until the other end has closed too
        if self._link is not None:
            self._link.join(timeout + 1)
        self._tail.close()
        self._tail.join(timeout)
        self._deadlines.close(timeout)
        self._dispatcher.close(deadline, timeout)

    # Within

    def _send(self, what: tuple[str, str], payload: bytes) -> None:
        """Send an event now, with all that wait; waits while there is no room, at most `send_timeout_s`."""
        with self._lock:
            link = self._link
            if link is not None and not link.unsent:
                frame = self.core.send_lone(what, payload)
                if frame is not None:
                    link.send(frame)
                    self._open_gate()
                    return
            check_payload(payload, self.core.max_frame_bytes)
            if self.core.outgoing.room <= 0:
                self._wait_for_room()
            if self.core.away:
                self.core.owning.keep(*what, payload, monotonic())
                return
            self.core.owning.trigger(*what, payload)
            self.core.outgoing.pack()  # counted, though the link may take nothing now
            self._pump()
            self._open_gate()

    def _flush(self) -> None:
        """Send what has been waiting for a moment."""
        with self._lock:
            self._pump()

    def _wait_for_room(self) -> None:
        self._away()
        self._tail.gate = 0.0
        self._pump()  # nobody else might: what has been gathered leaves as far as there is credit
        timeout = self._limits.send_timeout_s
        outgoing = self.core.outgoing
        self._crowd += 1
        try:
            there = self._room.wait_for(lambda: self.core.closed or outgoing.room > 0, timeout)
        finally:
            self._crowd -= 1
        if not there:
            raise self._no_room()

    def _enter(self, news: Sequence[News]) -> None:
        waiting = self._dispatcher.put(news)
        if waiting > self._limits.link_control_bytes:
            count = waiting // NEWS_BYTES
            self.core.cut(Overloaded(f"the listeners do not keep up: {count} pieces of news wait for them"))

    def _announce(self, news: Sequence[News]) -> None:
        super()._announce(news)
        self._dispatcher.rouse()

    def _shaken(self, error: BaseException | None) -> None:
        self._opened.give(None, error)

    def _room_changed(self) -> None:
        if self.core.closed:
            self._tail.gate = 0.0
            # A core that has just ended its link is not away yet, but will be.
            if self._gone and not (self.core.away or self.core.parted):
                self._tail.close()
        if self._crowd:
            self._room.notify_all()

    def _say(self) -> None:
        if monotonic() >= self._tail.gate:
            self._pump()
            self._open_gate()
        elif not self._tail.armed:
            self._tail.arm()

    def _open_gate(self) -> None:
        """Something has been sent: what follows within a moment is gathered. The lock is held."""
        outgoing = self.core.outgoing
        events, self._packed = outgoing.packed - self._packed, outgoing.packed
        age = self._age = _BUSY_S if events >= _MANY * self._age / _AGE_S else _AGE_S
        self._tail.gate = monotonic() + age if not self.core.closed and outgoing.room > 0 else 0.0

    def _watch(self) -> None:
        due = self.core.next_deadline()
        if due is not None:
            self._deadlines.watch(due)

    def _no_more(self) -> None:
        self._dispatcher.put_last()

    def _away(self) -> None:
        """Whoever is about to wait may be the one who reads."""
        if self._link is not None and self.inside:
            self._link.relieve()

    # In the child of a fork

    def forked(self) -> None:
        lock = self._lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._dispatcher.forked()
        self._tail = Tail(self._flush)
        super().forked()


def interrupt_main() -> None:
    """Raise KeyboardInterrupt in the main thread, as Ctrl-C does: also where it waits for something."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill") and callable(signal.getsignal(signal.SIGINT)):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()  # of no effect where the program ignores SIGINT


def _part_of_another() -> RequestCancelled:
    return RequestCancelled("the request that this one is part of has been given up")
