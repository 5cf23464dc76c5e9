"""How results are shown: tables and colours where people read, JSON where programs do."""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TimeRemainingColumn
from rich.text import Text

from sig.cli.tables import of_texts, printable
from sig.info import Info, SenderInfo

_in_colours: Final = JSONHighlighter()
_COLUMNS: Final[tuple[ProgressColumn, ...]] = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())


class Output:
    """Standard output, in one of two ways."""

    def __init__(self, json: bool) -> None:
        self.json: bool = json or not sys.stdout.isatty()
        self._console: Console = Console(soft_wrap=True, highlight=False)

    def value(self, value: object) -> None:
        """An answer."""
        text = as_json(value)
        if self.json:
            _line(text)
            return
        for line in msgspec.json.format(text, indent=2).splitlines():
            self._console.print(_in_colours(printable(line)))

    @contextmanager
    def parts(self) -> Iterator[Callable[[object], None]]:
        """While the block runs: shows each part of an answer. One that tells how far the work is moves a bar."""
        if self.json:
            yield lambda part: _line(_named("part", part))
            return
        with Progress(*_COLUMNS, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=None)

            def show(part: object) -> None:
                steps = _steps(part)
                if steps is None:
                    self.value(part)
                else:
                    progress.update(task, completed=steps[0], total=steps[1])

            yield show

    def result(self, value: object) -> None:
        """What stands behind the last part."""
        if self.json:
            _line(_named("result", value))
        elif value is not None:
            self.value(value)

    def reply(self, sender: str, value: object) -> None:
        """The answer of one of many."""
        shown = as_json(value)
        if self.json:
            _line(as_json({"sender": sender, "value": msgspec.Raw(shown.encode())}))
        else:
            self._console.print(Text(printable(sender), "cyan").append(" ").append(_in_colours(printable(shown))))

    def refusal(self, sender: str, sentence: str) -> None:
        """Why one of many has not answered."""
        if self.json:
            _line(as_json({"sender": sender, "error": sentence}))
        else:
            self._console.print(Text(printable(sender), "cyan").append(" ").append(printable(sentence), "red"))

    def event(self, info: Info, data: object, *, meta: bool = False) -> None:
        """One event."""
        shown = as_json(data)
        if self.json:
            record: dict[str, object] = {"sender": info.sender, "event": info.event}
            record["data"] = msgspec.Raw(shown.encode())
            if meta:
                record |= {"seq": info.seq, "time": info.time}
            _line(as_json(record))
            return
        line = Text()
        if meta:
            line.append(f"{_clock(info.time)} {'' if info.seq is None else info.seq:>6}  ", "dim")
        line.append(printable(info.sender), "cyan").append(" ")
        line.append(printable(info.event), "yellow" if info.event.startswith("#") else "green").append(" ")
        self._console.print(line.append(_in_colours(printable(shown))))

    def senders(self, senders: list[SenderInfo]) -> None:
        """A table of senders."""
        if self.json:
            for sender in senders:
                _line(as_json(sender._asdict()))
            return
        shown = of_texts(("sender", "events", "requests", "since", "address"), [_cells(sender) for sender in senders])
        self._console.print(shown if senders else "nobody is there", soft_wrap=not senders)

    def remark(self, text: str) -> None:
        """A word to the person at the terminal, which is no result."""
        if not self.json:
            Console(stderr=True, soft_wrap=True, highlight=False).print(Text(printable(text), "dim"))


def _named(name: str, value: object) -> str:
    return as_json({name: msgspec.Raw(as_json(value).encode())})


def _cells(sender: SenderInfo) -> list[str]:
    methods = ", ".join("(any)" if method is None else method for method in sender.requests or ())
    return [sender.name, ", ".join(sender.events), methods, _date(sender.since), sender.address]


def _steps(part: object) -> tuple[float, float] | None:
    """How far it is, and how far it goes: of a part with numbers `done` and `total`."""
    if not isinstance(part, dict):
        return None
    done, total = part.get("done"), part.get("total")
    return (done, total) if isinstance(done, int | float) and isinstance(total, int | float) else None


def as_json(value: object) -> str:
    """One line of JSON. What that has no words for, and another codec has, is a text, as Python writes it."""
    try:
        text = msgspec.json.encode(value)
    except TypeError:
        text = msgspec.json.encode(repr(value))
    return text.decode()


def complain(sentence: str, word: str = "sig", colour: str = "red") -> None:
    """Say what is wrong, on standard error, in one line."""
    line = Text(f"{word}: ", colour).append(printable(" ".join(sentence.split())), "default")
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)


def reader_has_gone() -> bool:
    """Whether nobody reads standard output any more: the pipe's other end is closed. Never blocks."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    return any(what & select.POLLERR for _, what in poller.poll(0))


def flush() -> None:
    """Write what waits: at exit it would be too late to say that it cannot be written."""
    print(end="", flush=True)


def discard() -> None:
    """Nobody takes what waits: Python must not try again, and complain, when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class LogLines(logging.Handler):
    """Warnings of the library as readable lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # How the link has ended is what the command itself ends with, and says.
        if not text.startswith("ClientRouter: "):
            complain(text, f"sig {record.levelname.lower()}", "yellow")


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """While the block runs, the library says its warnings there."""
    logger, lines = logging.getLogger("sig"), LogLines(logging.WARNING)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)


def _line(text: str) -> None:
    """At once: whoever reads a pipe waits for it."""
    print(text, flush=True)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03}"


def _date(seconds: float) -> str:
    """The time of day; of other days, the day too."""
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)
