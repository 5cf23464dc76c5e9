"""Where `sig` says what it sees: the standard library's logger "sig", unless the user sets another.

A logger is any object with the methods `debug`, `info`, `warning`, `error` and `critical`. If it has `exception` (as
those of the standard library) or `trace` (as those of pysig 0.7) too, they are used; else `error` and `debug` are.
Those of the standard library get text and arguments as they are, so that nothing is formatted for nobody;
any other gets one finished text, as in pysig 0.7. User code is never hurt by its logger: one that raises is
reported to the logger "sig".
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import Final, Protocol

_DEFAULT: Final = logging.getLogger("sig")
# A library stays silent until the application says where its log goes.
_DEFAULT.addHandler(logging.NullHandler())
# But so many sentences of `last_words` are told to who has not.
_LAST_WORDS: Final = 10

_METHODS: Final = ("debug", "info", "warning", "error", "critical")
# What takes the place of a method that a logger need not have.
_SUBSTITUTES: Final = {"exception": "error", "trace": "debug"}


class LogSink(Protocol):
    """What `setup_logger` takes. It may have `exception`, called while an exception is being handled, and `trace`."""

    def debug(self, text: str, /) -> object: ...
    def info(self, text: str, /) -> object: ...
    def warning(self, text: str, /) -> object: ...
    def error(self, text: str, /) -> object: ...
    def critical(self, text: str, /) -> object: ...


class LOG_LEVELS:  # the name of 0.7
    """The levels of `SimpleLogger`, the same numbers as in `logging`; below and above all, everything and nothing."""

    LEVEL_TRACE: Final = 0
    LEVEL_DEBUG: Final = logging.DEBUG
    LEVEL_INFO: Final = logging.INFO
    LEVEL_WARNING: Final = logging.WARNING
    LEVEL_ERROR: Final = logging.ERROR
    LEVEL_CRITICAL: Final = logging.CRITICAL
    LEVEL_NONE: Final = 100


class NullLogger:
    """Says nothing."""

    def debug(self, text: object, *args: object) -> None:
        """Ignore it."""

    trace = debug
    info = debug
    warning = debug
    error = debug
    critical = debug
    exception = debug


class SimpleLogger:
    """Prints `tag[line][function][level]-text` to standard output, from `level` up.

    Line and function are those of the caller. May be called from any thread; lines are never mixed.
    """

    def __init__(self, tag: str = "[sig]", level: int = LOG_LEVELS.LEVEL_INFO) -> None:
        self.tag = tag
        self.level = level

    def trace(self, text: object, *args: object) -> None:
        """Print at level TRACE, below DEBUG."""
        self._print(LOG_LEVELS.LEVEL_TRACE, _format(text, args))

    def debug(self, text: object, *args: object) -> None:
        """Print at level DEBUG; `args` are put into the text as `logging` does."""
        self._print(LOG_LEVELS.LEVEL_DEBUG, _format(text, args))

    def info(self, text: object, *args: object) -> None:
        """Print at level INFO."""
        self._print(LOG_LEVELS.LEVEL_INFO, _format(text, args))

    def warning(self, text: object, *args: object) -> None:
        """Print at level WARNING."""
        self._print(LOG_LEVELS.LEVEL_WARNING, _format(text, args))

    def error(self, text: object, *args: object) -> None:
        """Print at level ERROR."""
        self._print(LOG_LEVELS.LEVEL_ERROR, _format(text, args))

    def critical(self, text: object, *args: object) -> None:
        """Print at level CRITICAL."""
        self._print(LOG_LEVELS.LEVEL_CRITICAL, _format(text, args))

    def exception(self, text: object, *args: object) -> None:
        """Print at level ERROR, with the traceback of the exception being handled."""
        self._print(LOG_LEVELS.LEVEL_ERROR, f"{_format(text, args)}\n{traceback.format_exc().rstrip()}")

    def _print(self, level: int, text: str) -> None:
        if level < self.level:
            return
        frame = sys._getframe()
        # The caller is the first one outside of this file, however many of our own functions lie between.
        while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
            frame = frame.f_back
        name = "TRACE" if level == LOG_LEVELS.LEVEL_TRACE else logging.getLevelName(level)
        line = f"{self.tag}[{frame.f_lineno}][{frame.f_code.co_name}][{name}]-{text}\n"
        # The end of the line goes out with it: two writes could be parted by another thread's.
        try:
            print(line, end="")
        except UnicodeEncodeError:
            print(line.encode("ascii", "backslashreplace").decode("ascii"), end="")


class _Logger:
    """What all of `sig` logs through. It stays, whatever `setup_logger` puts behind it."""

    def __init__(self) -> None:
        self.sink: LogSink = _DEFAULT

    def trace(self, text: str, *args: object) -> None:
        self._pass("trace", text, args, None)

    def debug(self, text: str, *args: object) -> None:
        self._pass("debug", text, args, None)

    def info(self, text: str, *args: object) -> None:
        self._pass("info", text, args, None)

    def warning(self, text: str, *args: object, exc_info: BaseException | None = None) -> None:
        self._pass("warning", text, args, exc_info)

    def error(self, text: str, *args: object, exc_info: BaseException | None = None) -> None:
        self._pass("error", text, args, exc_info)

    def critical(self, text: str, *args: object, exc_info: BaseException | None = None) -> None:
        self._pass("critical", text, args, exc_info)

    def exception(self, text: str, *args: object) -> None:
        self._pass("exception", text, args, sys.exception())

    def _pass(self, method: str, text: str, args: tuple[object, ...], error: BaseException | None) -> None:
        sink = self.sink
        if not callable(getattr(sink, method, None)):
            method = _SUBSTITUTES[method]
        if isinstance(sink, logging.Logger | logging.LoggerAdapter):
            # Two frames of ours stand between the logger and the line that is to be named.
            getattr(sink, method)(text, *args, exc_info=error, stacklevel=3)
            return
        text = _format(text, args)
        if error is not None and method != "exception":
            text = f"{text}\n{''.join(traceback.format_exception(error)).rstrip()}"
        try:
            getattr(sink, method)(text)
        except Exception:
            _DEFAULT.exception("the logger %r, set by setup_logger, has failed on: %s", type(sink).__name__, text)


logger: Final = _Logger()


def setup_logger(obj: LogSink | None = None) -> None:
    """Let everything that `sig` logs from now on go to `obj`; `None` brings the logger "sig" back.

    Raises:
        TypeError: `obj` lacks one of the five methods.
    """
    sink = _DEFAULT if obj is None else obj
    missing = [name for name in _METHODS if not callable(getattr(sink, name, None))]
    if missing:
        raise TypeError(f"a logger needs the methods {', '.join(_METHODS)}: {obj!r} lacks {', '.join(missing)}")
    logger.sink = sink


class _LastWords:
    """What would be heard by nobody, on standard error.

    A listener that raises must not vanish without a trace from the first program that somebody writes. It stops after
    ten sentences: who fails at every event would fill the screen.
    """

    def __init__(self) -> None:
        self.left: int = _LAST_WORDS

    def __call__(self, text: str) -> None:
        """Tell it, unless the application has said where its log goes, or that it wants none."""
        heard = logging.root.handlers or any(not isinstance(h, logging.NullHandler) for h in _DEFAULT.handlers)
        if heard or logger.sink is not _DEFAULT or not _DEFAULT.isEnabledFor(logging.ERROR):
            return
        if self.left and logging.lastResort is not None:
            self.left -= 1
            more = "" if self.left else "\nsig: no more is shown here; logging.basicConfig() shows all"
            logging.lastResort.handle(logging.LogRecord("sig", logging.ERROR, "", 0, f"sig: {text}{more}", (), None))


last_words: Final = _LastWords()


def stringify_object(obj: object) -> str:
    """`obj` as indented JSON, or as Python shows it where JSON cannot. Never raises."""
    for show in (_as_json, repr):
        try:
            return show(obj)
        except Exception:  # any at all: `repr` is code of the user's
            continue
    return f"<{type(obj).__name__}>"


def _as_json(obj: object) -> str:
    return json.dumps(obj, indent=4, ensure_ascii=False, default=repr)


def _format(text: object, args: tuple[object, ...]) -> str:
    """`text % args`; where that fails, both side by side, because a log line is better than none."""
    try:
        return str(text) % args if args else str(text)
    except Exception:  # any at all: the arguments are the user's
        return " ".join(stringify_object(part) for part in (text, *args))
