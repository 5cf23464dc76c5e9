"""What the drivers of both faces have in common: how the bytes and the time of one `ClientCore` move.

A driver decides how its verbs wait, when events that were gathered leave, and on which thread news is handed out.
Everything that knows messages is in the core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, TypeVar

from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.links import LINGER_S, Link
from sig.errors import Closed, ConnectionLost, Overloaded, SigError
from sig.messages import Call, Listen
from sig.protocol import coming
from sig.protocol.answering import Asked, RequestArrived
from sig.protocol.asking import Payloads
from sig.protocol.calls import Done
from sig.protocol.client import ClientCore, News, Notice
from sig.protocol.parts import PartsIn
from sig.protocol.restoring import Begin, Restoring
from sig.runtime import Dropping, Flag
from sig.signal import UNCHECKED, Check

T = TypeVar("T")

_CHUNK: Final = 256 * 1024
# What ends by itself: each of the calls has a time of its own.
_FOREVER_S: Final = 1e6
# Events no larger than this are gathered.
SMALL: Final = 4096


class _Dropped(NamedTuple):
    """A link that is down, and nobody outside of the lock has been told."""

    asked: list[Asked]
    final: bool  # no other link follows


class ClientDriver:
    """Implements `LinkUser` for one `ClientCore`.

    Args:
        core: used under `lock` only.
        lock: guards the core and all sending; where there is but one thread, it need not do anything.
        handle: called with each piece of news, in order.
        asked: called where bytes are read with the requests that came in one read; must not block, and not raise.
        ended: called once when the link is down, on the thread that noticed; must not block.
    """

    def __init__(
        self,
        core: ClientCore,
        limits: Limits,
        lock: AbstractContextManager[object],
        *,
        handle: Callable[[News], object],
        asked: Callable[[Sequence[Asked]], object],
        ended: Callable[[], object],
    ) -> None:
        self.core: ClientCore = core
        self.flushed: int = 0
        """Of the events triggered, how many the server is known to have routed."""
        self._limits = limits
        self._lock = lock
        self._handle = handle
        self._asked = asked
        self._ended = ended
        self._link: Link | None = None
        self._leaving = False  # by our own doing
        self._answered: list[tuple[Done, object, BaseException | None]] = []  # to be told once the lock has been left
        self._shaking = True  # the handshake is not known to be complete
        self._gone = False  # everybody has been told that the link is down, or is about to be

    # Steps of verbs, see `steps`: they wait, or return something to await

    def open(self, link: Link, timeout: float) -> Any:
        """Shake hands over a link; raises what went wrong, and leaves nothing behind then."""
        raise NotImplementedError

    def begin_away(self) -> None:
        """Begin without a link: it is as if one had been lost, and `reopen` gives the first one."""
        with self._lock:
            self.core.begin_away(time.monotonic())
            self._gone = True

    def reopen(self, link: Link, timeout: float) -> Any:
        """Shake hands over another link, after the last was lost. Raises as `open`, and may be tried again then."""
        raise NotImplementedError

    def restore(self, calls: Sequence[Begin]) -> Any:
        """Make many calls on a new link; returns all their answers. A step."""

        def begin(done: Done) -> None:
            Restoring(calls, done).go_on()
            self._watch()

        return self.ask(begin, _FOREVER_S)

    def ask(self, begin: Callable[[Done], int | None], timeout: float) -> Any:
        """Begin something, and wait for what its `Done` is called with; `begin` returns the number of a request."""
        raise NotImplementedError

    def drain(self, timeout: float) -> Any:
        """Wait until the listeners have been given all that has arrived, at most `timeout` seconds."""
        raise NotImplementedError

    def close(self, timeout: float) -> Any:
        """Leave in order; what has not been given to listeners by then is not."""
        raise NotImplementedError

    def call(self, message: Call, timeout: float) -> Any:
        """Ask the server, and wait for the answer. A step."""
        return self.ask(lambda done: self.core.call(message, time.monotonic(), timeout, done), timeout)

    def call_on(self, number: int, message: Call, timeout: float) -> Any:
        """The same, if the link is still the one of that number: else what is said anew has been said. A step."""

        def begin(done: Done) -> int:
            self._check_link(number)
            return self.core.call(message, time.monotonic(), timeout, done)

        return self.ask(begin, timeout)

    def listen(self, message: Listen, listener: object, timeout: float, *, link: int) -> Any:
        """Ask for events on the link of that number, and wait until the server has that. A step."""

        def begin(done: Done) -> None:
            self._check_link(link)
            self.core.listen(message, listener, time.monotonic(), timeout, done)

        return self.ask(begin, timeout)

    def _check_link(self, number: int) -> None:
        if self.core.links != number:
            raise ConnectionLost("the link to the server was lost meanwhile")

    def last(self, sender: str, event: str, timeout: float) -> Any:
        """Ask for the last value of an event. A step."""
        return self.ask(lambda done: self.core.last(sender, event, time.monotonic(), timeout, done), timeout)

    def request(
        self,
        sender: str,
        method: str,
        payload: bytes | Payloads,
        *,
        deadline: float,
        hops: int,
        dropping: Dropping | None = None,
    ) -> Any:
        """Ask a sender, and wait for the payload of its answer. A step.

        With `dropping` it is part of another request, and given up with that: raises `RequestCancelled` then.
        """
        now = time.monotonic()

        def begin(done: Done) -> int:
            return self.core.asking.request(sender, method, payload, now=now, deadline=deadline, hops=hops, done=done)

        return self.ask(begin, deadline - now)

    def wait_aside(self, flag: Flag, timeout: float | None) -> Any:
        """Wait for a flag that is set where bytes are read. A step."""
        return flag.wait(timeout)

    # What does not wait

    def start_request(
        self,
        sender: str,
        method: str,
        payload: bytes | Payloads,
        deadline: float,
        hops: int,
        done: Done,
        parts: PartsIn | None = None,
        instance: int | None = None,
    ) -> int:
        """Ask a sender without waiting; `done` is called where bytes are read, or where time passes.

        Returns the number of the request, for `give_up`. Parts of the answer go to `parts`, where there is one.
        """

        def answered(value: object, error: BaseException | None) -> None:
            self._answered.append((done, value, error))

        now = time.monotonic()
        with self._lock:
            number = self.core.asking.request(
                sender,
                method,
                payload,
                now=now,
                deadline=deadline,
                hops=hops,
                done=answered,
                parts=parts,
                instance=instance,
            )
            self._say()
            self._watch()
        return number

    def give_back(self, number: int, parts: PartsIn) -> None:
        """Parts have been taken: their sender may give more."""
        with self._lock:
            self.core.asking.give_back(number, parts)
            self._pump()

    def part_written(self) -> None:
        """A part of an answer is to leave: at once when idle, with others when busy. By whoever has written it."""
        raise NotImplementedError

    def send_now(self) -> None:
        """What waits to be sent leaves now."""
        with self._lock:
            self._pump()

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer to that request any more: its `done` is not called."""
        with self._lock:
            self.core.asking.give_up(number)
            self._pump()

    def tell(self, message: Call) -> None:
        """Ask the server for something whose answer does not matter; nothing happens on a link that is down."""
        with self._lock:
            if not self.core.closed:
                self.core.call(message, time.monotonic(), self._limits.flush_timeout_s, lambda value, error: None)
                self._pump()

    def grant(self, number: int, events: int) -> None:
        """A listener has begun so many of the events that it is given by itself; see `Pace`."""
        with self._lock:
            if not self.core.closed:
                self.core.grant(number, events)
                self._say()

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        """Answer a request."""
        with self._lock:
            self.core.answering.reply(arrived, payload, error)
            self._say()

    def outlet(self, sender: str, event: str, codec: Codec, check: Check = UNCHECKED) -> Callable[[object], None]:
        """The function that sends the events of one signal, once they have been looked at.

        Raises as `Signal.trigger`, and what `check` raises.
        """
        raise NotImplementedError

    def close_outlets(self, sender: str, events: Iterable[str]) -> None:
        """Let none of these functions send any more: they raise `SenderNotConnected`."""
        with self._lock:
            self.core.owning.close_outlets(sender, events)

    @property
    def triggered(self) -> int:
        """Events accepted so far."""
        with self._lock:
            return self.core.owning.triggered

    # What the link does: implements `LinkUser`

    def received(self, data: bytes | memoryview) -> None:
        """Bytes have come."""
        now = time.monotonic()
        asked: Sequence[Asked] = ()
        dropped = None
        with self._lock:
            lone = self.core.receive_lone(data, now)
            if lone is not None:
                self._enter((lone,))
            else:
                asked, dropped = self._take(data, now)
        if self._answered:
            self._complete()
        self._hand_out()
        if asked:
            self._asked(asked)
        if dropped is not None:
            self._tell_lost(dropped)

    def _take(self, data: bytes | memoryview, now: float) -> tuple[list[Asked], _Dropped | None]:
        """Bytes that are more, or other, than events that came by themselves. The lock is held."""
        self.core.receive_at(data, now)
        news, asked = self.core.take_news(), self.core.answering.take_asked()
        if news:
            # Before the lock is left: whoever was given an answer must find what came before it handed out, or
            # queued.
            self._enter(news)
        if self._shaking and self.core.opened:
            self._shaking = False
            self._shaken(None)
        elif self._shaking and self.core.challenge is not None:
            self._shaken(None)  # whoever opens the link answers
        if not self.core.silent:
            self._send_back()
        self._room_changed()
        if self.core.resumes is not None:
            self._watch()  # what has come is to be acknowledged before long
        return asked, self._check("the server closed the link") if self.core.closed else None

    def writable(self) -> None:
        """What was left has gone."""
        with self._lock:
            self._pump()
            self._room_changed()

    def locked(self, function: Callable[[], T]) -> T:
        """Run something of the link's under the lock that guards sending."""
        with self._lock:
            return function()

    def lost(self, error: SigError) -> None:
        """The link is down, or of no use any more. Only the first time counts."""
        with self._lock:
            dropped = self._lose(error)
        if dropped is not None:
            self._tell_lost(dropped)

    def despair(self, error: SigError) -> None:
        """No link can ever come up, and this is why: none follows."""
        with self._lock:
            self.core.error, self.core.hopeless = error, True
            self._gone = False
            dropped = self._lose(error)
        if dropped is not None:
            self._tell_lost(dropped)

    def give_up_opening(self) -> None:
        """Whoever waits for a handshake is told that it is in vain."""
        with self._lock:
            if self._shaking:
                self._shaken(Closed("this router has been closed"))

    def tell_listeners(self, tell: Callable[[], object]) -> None:
        """Call something where listeners are called, behind all that has arrived."""
        with self._lock:
            self._announce([Notice(tell)])
        self._hand_out()

    def restored(self) -> bool:
        """All has been registered again; false if the link is lost once more."""
        with self._lock:
            if self.core.closed:
                return False
            self.core.restored(time.monotonic())
            self._announce(self.core.take_news())
            self._pump()
            self._room_changed()
        self._hand_out()
        return True

    # Within

    def _renew(self) -> None:
        """Another link follows. The lock is held."""
        if self._leaving:
            raise Closed("this router has been closed")
        self.core.renew(self.flushed)
        self._gone = False
        self._shaking = True

    def _begin(self, link: Link) -> None:
        self._link = None  # what is due meanwhile must not be sent on one that has not been started
        link.start(self)
        self._link = link

    def _leave(self, timeout: float) -> None:
        """Say that we go. The lock is held."""
        if not self.core.closed or self.core.away:
            self._leaving = True
            if self.core.parted:
                self._gone = False  # nobody has been told yet
            self.core.leave()
            self._pump()
        if self._link is not None:
            self._link.finish(timeout)

    def _pump(self) -> None:
        """Send what waits, while the link takes it at once; end the link when that was the last."""
        link = self._link
        if link is None:
            return
        while not link.unsent:
            data = self.core.data_to_send(_CHUNK)
            if data:
                link.send(data)
            if len(data) < _CHUNK:  # that was all
                if self.core.closed:
                    link.finish(self._limits.close_timeout_s if self._leaving else LINGER_S)
                return

    def _send_back(self) -> None:
        """Send what is to be said to what has come. The lock is held."""
        self._pump()

    def _complete(self) -> None:
        """Tell those whose answers have come. The lock is not held."""
        while self._answered:
            with self._lock:
                answered, self._answered = self._answered, []
            for done, value, error in answered:
                done(value, error)

    def _on_time(self) -> None:
        """A deadline may have come."""
        with self._lock:
            self.core.handle_timeout(time.monotonic())
            self._pump()
            self._watch()
            dropped = self._check("the server is silent")  # the core has said so, in more words
        self._complete()
        if dropped is not None:
            self._tell_lost(dropped)

    def _check(self, error: str) -> _Dropped | None:
        """`_lose` a link that has ended, though it may be up yet: nobody need wait until it is not.

        Before the lock is left: who triggers in between would be refused what is to be kept for the next link.
        """
        return self._lose(ConnectionLost(error)) if self.core.closed and not self._leaving else None

    def _lose(self, error: SigError) -> _Dropped | None:
        """The link is down; what `_tell_lost` is to tell, or `None` if it has been before. The lock is held."""
        if self._gone:
            return None
        self._gone = True
        self.core.disconnected(error)
        self._room_changed()
        self._shaken(self.core.error)
        asked = self.core.answering.take_asked()
        final = not (self.core.away or self.core.parted)
        if not final:
            self._announce(self.core.take_news())
        return _Dropped(asked, final)

    def _tell_lost(self, dropped: _Dropped) -> None:
        """Tell whoever has to know that the link is down. The lock is not held."""
        self._complete()
        if dropped.asked:
            self._asked(dropped.asked)
        self._hand_out()
        self._ended()
        if dropped.final:
            self._no_more()

    def _watch(self) -> None:
        """Have `_on_time` called at the next deadline. The lock is held."""
        raise NotImplementedError

    def _say(self) -> None:
        """Send what nobody here waits for: at once when idle, with others when busy. The lock is held."""
        raise NotImplementedError

    def _enter(self, news: Sequence[News]) -> None:
        """Queue news to be handed out. The lock is held."""
        raise NotImplementedError

    def _announce(self, news: Sequence[News]) -> None:
        """Queue news that nobody has read from the link. The lock is held."""
        self._enter(news)

    def _hand_out(self) -> None:
        """News has been entered. The lock is not held."""

    def _shaken(self, error: BaseException | None) -> None:
        """The handshake is complete, or has failed, or so has the link later on. The lock is held."""
        raise NotImplementedError

    def _unfinished(self, timeout: float) -> ConnectionLost:
        """What is said to whoever has waited for a handshake in vain."""
        return ConnectionLost(f"the server did not finish the handshake within {timeout:g} s")

    def _no_room(self) -> Overloaded:
        """What is said to whoever has waited for room in vain."""
        size, timeout = self.core.outgoing.event_bytes, self._limits.send_timeout_s
        return Overloaded(
            f"the server has not taken {size} bytes of events within {timeout:g} s: "
            "trigger less often, or raise send_timeout"
        )

    def _room_changed(self) -> None:
        """There may be room for events again, or there will be none any more. The lock is held."""
        raise NotImplementedError

    def _no_more(self) -> None:
        """Nothing more will arrive."""
        raise NotImplementedError

    def forked(self) -> None:
        """In the child of a fork: the link is the parent's."""
        self.core.closed = True
        self.core.away = False
        coming.end(self.core)
        self.core.owning.shut()
        self.core.error = Closed("this router belongs to the process that forked: make another here")
        link, self._link = self._link, None
        if link is not None:
            link.abandon()
