"""How results are shown: tables and colours where people read, JSON where programs do."""

from __future__ import annotations

import logging
import sys
import time

import msgspec
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from sig.info import SenderInfo


class Output:
    """Standard output, in one of two ways."""

    def __init__(self, json: bool) -> None:
        self.json: bool = json or not sys.stdout.isatty()
        self.console: Console = Console(highlight=not self.json, soft_wrap=True)

    def line(self, record: dict[str, object]) -> None:
        """One JSON text on a line of its own, at once."""
        sys.stdout.write(as_json(record) + "\n")
        sys.stdout.flush()

    def value(self, value: object) -> None:
        """An answer."""
        if self.json:
            sys.stdout.write(as_json(value) + "\n")
            sys.stdout.flush()
        else:
            self.console.print_json(as_json(value))

    def event(self, record: dict[str, object]) -> None:
        """One event, as a coloured line or as JSON."""
        if self.json:
            self.line(record)
            return
        event = str(record["event"])
        colour = "yellow" if event.startswith("#") else "green"
        self.console.print(
            f"[cyan]{escape(str(record['sender']))}[/] [{colour}]{escape(event)}[/] {escape(as_json(record['data']))}"
        )

    def senders(self, senders: list[SenderInfo]) -> None:
        """A table of senders."""
        if self.json:
            for sender in senders:
                self.line(sender._asdict())
            return
        table = Table("sender", "events", "requests", "since", "address")
        for sender in senders:
            methods = ", ".join("(any)" if m is None else m for m in sender.requests or ())
            cells = (sender.name, ", ".join(sender.events), methods, _clock(sender.since), sender.address)
            table.add_row(*map(escape, cells))
        self.console.print(table if senders else "nobody is connected")


def as_json(value: object) -> str:
    """One line of JSON."""
    return msgspec.json.encode(value).decode()


def complain(sentence: str) -> None:
    """Say what is wrong, on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]sig:[/] {escape(sentence)}")


def log_to_stderr() -> None:
    """Warnings of the library, readable, beside the output."""
    logger = logging.getLogger("sig")
    if not any(isinstance(handler, RichHandler) for handler in logger.handlers):
        logger.addHandler(RichHandler(console=Console(stderr=True), show_path=False))


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
