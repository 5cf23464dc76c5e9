"""The asyncio client: one flush for each turn of the loop; listeners are called where bytes are read.

Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from threading import get_ident
from time import monotonic
from typing import Final

from sig.codecs import Codec
from sig.constants import Limits
from sig.drivers.client import SMALL, ClientDriver
from sig.drivers.fork import tell_child
from sig.drivers.links import Link
from sig.errors import Closed, ConnectionLost, InvalidArgument, Overloaded, SigError
from sig.log import logger
from sig.messages import Auth, Call, Flush
from sig.protocol.answering import Asked, RequestArrived
from sig.protocol.asking import Payloads
from sig.protocol.calls import Done
from sig.protocol.client import ClientCore, News
from sig.protocol.frames import FRAMING_ROOM_BYTES, check_payload
from sig.protocol.owning import CLOSED, UNHEARD
from sig.protocol.parts import PartsIn
from sig.security.proof import NONCE_BYTES
from sig.signal import UNCHECKED, Check

# So many events leave at once and not at the end of the turn: what comes of them elsewhere begins the earlier.
_MOST: Final = 256
# The same of requests, and of answers.
_MOST_BYTES: Final = 2048
# A deadline that is sooner by less is not worth another timer.
_TICK_S: Final = 0.005


class _Gate:
    """Whether events may be gathered, and whether somebody will send them."""

    __slots__ = ("armed", "open")

    def __init__(self) -> None:
        self.open = False
        self.armed = False


class LoopDriver(ClientDriver):
    """`ClientDriver` of the asyncio face; its steps are to be awaited.

    Args:
        loop: the one that runs here.
        over: called once after the last piece of news.
    """

    def __init__(
        self,
        core: ClientCore,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        *,
        handle: Callable[[News], object],
        asked: Callable[[Sequence[Asked]], object],
        ended: Callable[[], object],
        over: Callable[[], object],
    ) -> None:
        super().__init__(core, limits, nullcontext(), handle=handle, asked=asked, ended=ended)
        self._loop = loop
        # To ask for the loop that runs here costs a call of the system, which is much for each request of many. A
        # thread runs one loop at a time: it is ours if that runs, and was last seen on this thread.
        self._running = loop.is_running
        self._thread = 0
        self._over = over
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._news: deque[News] = deque()
        self._gate = _Gate()
        self._waiting: set[asyncio.Future[None]] = set()  # for room
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it rings
        tell_child(self)

    # Steps of verbs

    async def open(self, link: Link, timeout: float) -> None:
        try:
            self._begin(link)
            self._pump()
            await self._shake_hands(timeout)
            self._watch()
        except BaseException:
            await self.close(0)
            raise

    async def _shake_hands(self, timeout: float) -> None:
        """Wait until the handshake is complete; prove who we are, if the server asks."""
        try:
            async with asyncio.timeout(timeout):
                await self._be_let_in()
        except TimeoutError:
            raise self._unfinished(timeout) from None

    async def _be_let_in(self) -> None:
        await self._opened
        challenge, prover = self.core.challenge, self.core.prover
        if challenge is None or prover is None:
            return
        what = challenge, secrets.token_bytes(NONCE_BYTES)
        answer = await asyncio.to_thread(prover.answer, *what) if prover.slow else prover.answer(*what)
        if not isinstance(answer, Auth):
            answer = await answer
        if self._gone and self.core.error is not None:
            raise self.core.error
        self._opened = self._loop.create_future()
        self.core.answer(answer)
        self._pump()
        await self._opened

    async def reopen(self, link: Link, timeout: float) -> None:
        if self._link is not None:
            await self._link.join(0)  # nothing of it may come among what comes of the next
        try:
            self._renew()
            self._opened = self._loop.create_future()
            self._begin(link)
            self._pump()
            await self._shake_hands(timeout)
        except BaseException as error:
            self.lost(error if isinstance(error, SigError) else ConnectionLost(str(error)))
            link.finish(0)
            raise
        self._watch()

    async def ask(self, begin: Callable[[Done], int | None], timeout: float) -> object:
        self._check_loop()
        future: asyncio.Future[object] = self._loop.create_future()

        def done(value: object, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(copy.copy(error))  # others may be given the same

        number = begin(done)
        self._say()
        self._watch()
        try:
            return await future
        except asyncio.CancelledError:
            if number is not None:
                self.give_up(number)
            raise

    async def drain(self, timeout: float) -> None:
        try:
            await self.call(Flush(), max(timeout, 0.001))
        except SigError:
            pass  # the link is down, or the server does not answer: what has arrived has been given out

    async def close(self, timeout: float) -> None:
        self._gate.open = False
        self._leave(timeout)
        if not self.core.outgoing.size:
            self.lost(Closed("this router has been closed"))  # nobody need wait until the other end has closed too
        try:
            if self._link is not None:
                await self._link.join(timeout + 1)
        finally:
            self.lost(Closed("this router has been closed"))
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def room(self) -> None:
        """Wait until there is room for events, at most `send_timeout_s`. Raises `Overloaded`."""
        self._flush()
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                while not self.core.closed and self.core.outgoing.room <= 0:
                    future: asyncio.Future[None] = self._loop.create_future()
                    self._waiting.add(future)
                    try:
                        await future
                    finally:
                        self._waiting.discard(future)
        except TimeoutError:
            raise self._no_room() from None

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
        if get_ident() != self._thread or not self._running():
            self._check_loop()
        # `done` may be called while bytes are read: there is no lock, and whoever awaits the answer goes on later.
        now = monotonic()
        number = self.core.asking.request(
            sender,
            method,
            payload,
            now=now,
            deadline=deadline,
            hops=hops,
            done=done,
            parts=parts,
            instance=instance,
        )
        if not self._gate.armed:
            self._say()
        elif self.core.outgoing.other_bytes >= _MOST_BYTES:
            self._send_out()
        if self._timer is None or deadline < self._due - _TICK_S:
            self._watch()
        return number

    def press(self) -> None:
        """Send a request at once that is the only one under way: nothing that would leave with it is to be expected."""
        if len(self.core.asking.calls) == 1:
            self._send_out()

    def reply(self, arrived: RequestArrived, payload: bytes | None, error: BaseException | None) -> None:
        self.core.answering.reply(arrived, payload, error)
        if not self._gate.armed:
            self._say()
        elif self.core._reply_bytes >= _MOST_BYTES:
            self._send_out()

    def give_back(self, number: int, parts: PartsIn) -> None:
        self.core.asking.give_back(number, parts)
        self.part_written()

    def part_written(self) -> None:
        if not self._gate.armed:
            self._say()

    def tell(self, message: Call) -> None:
        """As `ClientDriver.tell`, from any thread: subscriptions may be closed on any, or collected."""
        self._here(super().tell, message)

    def grant(self, number: int, events: int) -> None:
        """As `ClientDriver.grant`, from any thread: `executor=` has listeners called on others."""
        self._here(super().grant, number, events)

    def _here(self, function: Callable[..., object], *args: object) -> None:
        """Call it on the loop's thread."""
        if asyncio._get_running_loop() is self._loop:
            function(*args)
            return
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # the loop has closed, and the link with it

    def outlet(self, sender: str, event: str, codec: Codec, check: Check = UNCHECKED) -> Callable[[object], None]:
        """The function that sends the events of one signal, on the loop's thread. Raises as `Signal.trigger`.

        What is triggered in one turn of the loop leaves together at its end.
        """
        number = CLOSED
        held = False  # events there were since nobody listened
        quick, encode = codec.quick, codec.encode
        gate, outgoing, flush, call_soon = self._gate, self.core.outgoing, self._flush, self._loop.call_soon
        events = outgoing.events
        append = events.append
        small = min(SMALL, self.core.max_frame_bytes - FRAMING_ROOM_BYTES)

        def changed(route: int) -> bool:
            nonlocal number, held
            withheld, held = held, False
            number = route
            return withheld

        def trigger(data: object = None) -> None:
            nonlocal held
            route = number  # read once: it may change while we encode
            if route == UNHEARD:
                held = True
                return
            try:
                payload = quick(data)
            except Exception:
                payload = encode(data)  # raises what is wrong, in a sentence
            if gate.open and len(payload) <= small and route:
                append((route, payload))
                if not gate.armed:
                    gate.armed = True
                    call_soon(flush)
                elif len(events) >= _MOST:
                    self._send_out()
            else:
                self._send(sender, event, payload)

        wanted, fitted = check

        def checked(data: object = None) -> None:
            # `trigger` again, with the check in front: a call in between would cost four times as much as that.
            nonlocal held
            if type(data) is not wanted:
                data = fitted(data)
            route = number
            if route == UNHEARD:
                held = True
                return
            try:
                payload = quick(data)
            except Exception:
                payload = encode(data)
            if gate.open and len(payload) <= small and route:
                append((route, payload))
                if not gate.armed:
                    gate.armed = True
                    call_soon(flush)
                elif len(events) >= _MOST:
                    self._send_out()
            else:
                self._send(sender, event, payload)

        self.core.owning.outlet(sender, event, changed)
        return trigger if check is UNCHECKED else checked

    # What the link does

    def received(self, data: bytes | memoryview) -> None:
        """Bytes have come. What is sent in return leaves at the end of this, and not at the end of the turn."""
        gate = self._gate
        armed, gate.armed = gate.armed, True
        try:
            super().received(data)
        finally:
            gate.armed = armed
            if not (gate.open and self.core.silent):
                self._send_out()

    def _send_back(self) -> None:
        """Not yet, see `received`."""

    # Within

    def _check_loop(self) -> None:
        if asyncio._get_running_loop() is not self._loop:
            raise InvalidArgument("this router lives on another event loop: use it there, or make another here")
        self._thread = get_ident()

    def _send(self, sender: str, event: str, payload: bytes) -> None:
        """An event that is large, or the first after there was no room."""
        check_payload(payload, self.core.max_frame_bytes)
        if self.core.away:
            self.core.owning.keep(sender, event, payload, monotonic())
            return
        limit = self._limits.send_outbox_bytes
        if self.core.outgoing.event_bytes > limit:
            raise Overloaded(
                f"{self.core.outgoing.event_bytes} bytes of events wait for the server, and the limit is {limit} "
                "(send_outbox_bytes): await signal.drain() now and then"
            )
        self.core.owning.trigger(sender, event, payload)
        self._send_out()

    def _send_out(self) -> None:
        outgoing = self.core.outgoing
        outgoing.pack()
        self._pump()
        self._gate.open = not self.core.closed and outgoing.event_bytes <= self._limits.send_outbox_bytes

    def _say(self) -> None:
        if not self._gate.armed:
            self._gate.armed = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._gate.armed = False
        self._send_out()

    def _enter(self, news: Sequence[News]) -> None:
        self._news.extend(news)

    def _hand_out(self) -> None:
        while self._news:
            try:
                self._handle(self._news.popleft())
            except Exception:
                logger.exception("a piece of news from the server could not be handled")

    def _shaken(self, error: BaseException | None) -> None:
        if self._opened.done():
            return
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)
            self._opened.exception()  # perhaps nobody waits any more

    def _room_changed(self) -> None:
        if self.core.closed:
            self._gate.open = False
        if self._waiting and (self.core.closed or self.core.outgoing.room > 0):
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)

    def _no_more(self) -> None:
        self._loop.call_soon(self._over)

    def _watch(self) -> None:
        """Be there at the next deadline."""
        due = self.core.next_deadline()
        if due is not None and (self._timer is None or due < self._due - _TICK_S):
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self._loop.call_later(max(0.0, due - monotonic()), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        super()._on_time()

    def forked(self) -> None:
        self._gate.open = False
        super().forked()
