"""What goes wrong where listeners are called is told here: to the log, and to the router's `on_error`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from traceback import format_exception_only
from types import FrameType
from typing import Any, Final, Protocol

from .callables import describe
from .errors import InvalidData
from .info import Info, ListenerError, info_of
from .kinds import is_kind, schema_of, shown
from .log import last_words, logger
from .schema import difference
from .signal import Plan
from .subscription import Callback, Subscription

# So many sentences about data of other types are remembered, not to be said twice.
_MOST_DIFFERENCES: Final = 1000


class HasOnError(Protocol):
    """Whoever wants to know."""

    on_error: Callable[[ListenerError], object] | None


class Complaints:
    """Those of one router. Called on the thread that calls the listener."""

    def __init__(self, router: HasOnError) -> None:
        self._router = router
        self._lock = Lock()  # guards what follows
        self._differences: dict[str, None] = {}  # that have been told

    def guarded(self, call: Callback, info: Info, data: object, listener: Subscription) -> object:
        """Call, and report what it raises."""
        try:
            return call(info, data)
        except Exception as error:
            self.listener_failed(listener, error, info)
            return None

    def listener_failed(self, listener: Subscription, error: BaseException, info: Info) -> None:
        callback = listener.callback
        sentence = f"listener {describe(callback)} failed at {info.event!r} of {info.sender!r}: {_text(error)}"
        sentence += f"{_raised_at(error)}{_triggered_at()}"
        logger.error(sentence)
        self._unheard(sentence)
        self.tell(error, callback, info)

    def handler_failed(self, sender: str, handler: Callable[..., object], method: str, error: Exception) -> None:
        """A handler answered with other data than it says. Whoever asked is told by the error itself."""
        self.tell(error, handler, info_of(sender, method))

    def compare(self, listener: Subscription, plan: Plan, kind: Any, schema: object = None) -> None:
        """Tell, once, that a listener wants other data than a sender triggers: of this type, or of that schema."""
        wanted = listener.kind
        if wanted is None or kind is wanted or not is_kind(wanted) or (kind is None and schema is None):
            return
        differs = difference(schema_of(kind) if schema is None else schema, schema_of(wanted))
        if differs is None:
            return
        sentence = f"listener {describe(listener.callback)} takes {shown(wanted)}, and {plan.sender!r} triggers "
        sentence += f"{plan.event!r} with other data: {differs}"
        self.tell_difference(sentence, listener.callback, plan.info)

    def tell_difference(self, sentence: str, callback: object, info: Info) -> None:
        """Tell, once, that two ends have other types in mind."""
        with self._lock:
            if sentence in self._differences:
                return
            if len(self._differences) >= _MOST_DIFFERENCES:
                self._differences.clear()
            self._differences[sentence] = None
        logger.error(sentence)
        self._unheard(sentence)
        self.tell(InvalidData(sentence), callback, info)

    def _unheard(self, sentence: str) -> None:
        if self._router.on_error is None:
            last_words(sentence)

    def tell(self, error: BaseException, callback: object, info: Info) -> None:
        on_error = self._router.on_error
        if on_error is not None:
            try:
                on_error(ListenerError(error, callback, info))
            except Exception as second:
                logger.error(f"on_error itself failed: {_text(second)}{_raised_at(second)}")


def _text(error: BaseException) -> str:
    """Type and message, as in the last line of a traceback. Never raises: `__str__` is code of the user's."""
    return "".join(format_exception_only(error)).rstrip()


def _raised_at(error: BaseException) -> str:
    """A line that says where it was raised: the innermost place of the traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else _place("at", trace.tb_frame, trace.tb_lineno)


def _triggered_at() -> str:
    """A line that says where the event under way was triggered: the first place outside of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "sig":
        frame = frame.f_back
    if frame is None or frame.f_globals.get("__name__", "").split(".")[0] in ("threading", "asyncio", "concurrent"):
        return ""  # taken from a queue: whoever triggered has gone on
    return _place("triggered at", frame, frame.f_lineno)


def _place(what: str, frame: FrameType, line: int) -> str:
    return f"\n  {what} {frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}"
