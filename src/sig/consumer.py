"""Who takes what waits in a listener's queue: a loop, an executor, or threads of the router. One turn at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, Final

from .errors import InvalidArgument
from .info import Info
from .mailbox import Entry, Mailbox

if TYPE_CHECKING:
    from .subscription import Callback, Subscription

# What a listener's `call` returns when it can take no event any more: then another member of its group gets it.
REFUSED: Final = object()

# How many events are handed over before the consumer goes to the end of its queue: executors and loops have others to
# serve, and a listener that never catches up must not keep a thread for itself.
TURN: Final = 100

_LOOP_CLOSED: Final = "its event loop has closed"


# Whose turn this is part of, on whatever thread its callback has this done.
_inside: ContextVar[Consumer | None] = ContextVar("sig_turn", default=None)


class Consumer:
    """A listener's queue, and what hands it over to `call`.

    Args:
        loop: of an async listener; `None` for one that is called.
        start: called when there is something to take, by somebody else.
    """

    __slots__ = ("_batch", "_call", "_listener", "_loop", "_start", "mailbox")

    def __init__(
        self, listener: Subscription, call: Callback, loop: object, start: Callable[[], object] | None = None
    ) -> None:
        self._listener = listener
        self._call = call
        self._loop = loop
        self._batch: deque[Entry] = deque()  # taken from the mailbox on the loop, and not begun
        self._start = self._starts() if start is None else start
        o = listener.options
        room = listener._router.limits.listener_queue_events
        size = room if o.queue is None else o.queue
        # What waits for one with a pace waits at the server. Here is room for all that it is given: so much at a time,
        # and what was there before it listened, which nobody holds back.
        paced = max(size, room) if size > 0 else size
        self.mailbox: Mailbox = Mailbox(
            self._wake,
            size=size if listener.pace is None else paced,
            policy=o.when_full if listener.pace is None else "drop_oldest",
            max_wait=o.max_wait,
            overflow=partial(listener._end, "its queue was full (when_full='disconnect')"),
        )

    def __len__(self) -> int:
        """Events that wait."""
        return len(self.mailbox) + len(self._batch)

    @property
    def busy(self) -> bool:
        """Whether something waits, or the callback is under way; not where it is the callback that asks."""
        return not self.mailbox.resting and _inside.get() is not self

    def close(self) -> Iterator[Entry]:
        """Let nothing begin any more. Returns the events that had not, from any thread."""
        while (entry := self._begin()) is not None:
            if entry.gap is None:
                yield entry
        yield from self.mailbox.close()

    # Into the queue

    def entrance(self) -> Callback:
        """What takes an event in: `REFUSED` if the queue, or the loop behind it, has closed."""
        loop, options, mailbox = self._loop, self._listener.options, self.mailbox
        if loop is None and options.group is None:
            return mailbox.put
        listener, blocks = self._listener, options.when_full == "block"
        runtime = listener._router._runtime

        def enter(info: Info, data: object) -> object:
            if loop is not None and runtime.ended(loop):
                listener._end(_LOOP_CLOSED)
            # On its own loop nobody makes room while we wait.
            may_wait = blocks and (loop is None or runtime.running_loop() is not loop)
            return None if mailbox.put(info, data, may_wait) else REFUSED

        return enter

    def enter_many(self, info: Info, values: Sequence[object]) -> None:
        """Take in a whole batch of one signal."""
        if self._loop is not None and self._listener._router._runtime.ended(self._loop):
            self._listener._end(_LOOP_CLOSED)
        self.mailbox.put_many(info, values)

    # Turns

    def _starts(self) -> Callable[[], object]:
        """What begins a turn."""
        runtime, executor = self._listener._router._runtime, self._listener.options.executor
        if self._loop is not None:
            return partial(runtime.spawn, self._loop, self._turn_awaiting)
        if executor is None:
            return partial(runtime.submit, self._turn)
        post: object = getattr(executor, "submit", executor)
        if not callable(post):
            raise InvalidArgument(f"executor={executor!r} is neither an executor nor a function that posts one")
        has_time: Callable[[], bool] | None = getattr(executor, "has_time", None)
        turn = partial(self._turn, has_time)
        return lambda: self._posted(post(turn))

    def _posted(self, future: Any) -> None:
        """An executor that is shut down may forget what it has: then the next event must find that out."""
        if hasattr(future, "add_done_callback"):
            future.add_done_callback(self._forgotten)

    def _forgotten(self, future: Any) -> None:
        if future.cancelled():
            self.mailbox.rest()

    def _wake(self) -> None:
        try:
            self._start()
        except RuntimeError as error:  # the loop or the executor has closed: nobody will ever take
            self._listener._end(f"what runs it has ended: {error}")
            self.mailbox.rest()

    def _turn(self, has_time: Callable[[], bool] | None = None) -> None:
        """Executors that know how long a turn may be say whether there is time for more."""
        listener, router, mailbox = self._listener, self._listener._router, self.mailbox
        token = _inside.set(self)
        try:
            for number in range(TURN):
                if number and has_time is not None and not has_time():
                    break
                entry = mailbox.take()
                if entry is None:
                    return
                if entry.gap is not None:
                    listener._tell_gap(entry.info, entry.gap)
                elif router._complaints.guarded(self._call, entry.info, entry.data, listener) is REFUSED:
                    router._give_back(listener, entry.info, entry.data)
        except BaseException:  # KeyboardInterrupt or SystemExit: not ours, but no reason to become deaf
            mailbox.start()
            raise
        finally:
            _inside.reset(token)
        mailbox.start()

    async def _turn_awaiting(self) -> None:
        """Goes on until nothing is left; others on the loop run in between."""
        listener, call, batch = self._listener, self._call, self._batch
        try:
            while True:
                batch.extend(self.mailbox.take_many(TURN))
                if not batch:
                    return
                crowded = len(batch) >= TURN
                while (entry := self._begin()) is not None:
                    info, data, gap = entry
                    if gap is not None:
                        listener._tell_gap(info, gap)
                        continue
                    try:
                        result: Any = call(info, data)
                        if result is REFUSED:
                            listener._router._give_back(listener, info, data)
                        else:
                            await result
                    except BaseException as error:
                        self._failed(error, info)
                if crowded:
                    await _pause()
        except BaseException:  # cancelled, most likely because the loop is about to close
            self.mailbox.rest()
            raise

    def _begin(self) -> Entry | None:
        """The next of what was taken on a loop. Whoever closes takes the rest, from any thread."""
        try:
            return self._batch.popleft()
        except IndexError:
            return None

    def _failed(self, error: BaseException, info: Info) -> None:
        """Report what an async listener raised, or raise it again where it is not the listener's."""
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise error
        router = self._listener._router
        # CancelledError: of this task, or of something that the listener awaited?
        if not isinstance(error, Exception) and router._runtime.cancelling():
            raise error
        router._complaints.listener_failed(self._listener, error, info)


@coroutine
def _pause() -> Generator[None, None, None]:
    """Let others on the loop run: what `asyncio.sleep(0)` does."""
    yield
