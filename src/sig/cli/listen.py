"""`sig listen`."""

from __future__ import annotations

import threading
import time
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

import sig
from sig.cli import errors
from sig.cli.options import Codec, Json, Url
from sig.cli.output import Output, complain, reader_has_gone
from sig.cli.signals import until_signal

EXAMPLES = """Examples:

    sig listen                                 everything
    sig listen 'lab/**'                        events of senders below lab/
    sig listen lab/oven done --count 1         one event, then end
    sig listen '**' '#disconnect'              who leaves, and why
    sig listen 'lab/*' | jq .data              one JSON text a line when piped

Quote patterns: * stands for one level of a name, ** for the rest of it.
It ends with code 0 on Ctrl-C, after --count or --seconds, or when nobody reads
its output any more; with code 3 when the server goes.
"""

# How soon it is noticed that nobody reads any more, although nothing is to be written.
_LOOK_S = 0.5


def listen(
    sender: str | None = None,
    event: str | None = None,
    /,
    *,
    count: Annotated[int | None, Parameter(help="end after so many events", validator=Number(gte=1))] = None,
    seconds: Annotated[float | None, Parameter(help="end after that time", validator=Number(gte=0))] = None,
    meta: Annotated[
        bool, Parameter(negative="", show_default=False, help="tell the time and the number of each event too")
    ] = False,
    json: Json = False,
    codec: Codec = "json",
    url: Url = None,
) -> int:
    """Show events as they come, until Ctrl-C.

    Parameters
    ----------
    sender
        name or pattern; everybody without it
    event
        name or pattern; all events without it
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    with sig.connect(url, codec=codec, reconnect=False, name="sig listen") as router, until_signal() as stopped:
        screen = _Screen(Output(json), count, meta, stopped)
        router.on_disconnected = stopped.set
        router.listen(screen.show, sender, event, meta=meta, on_gap=_tell_gap)
        screen.output.remark("listening; Ctrl-C ends it")
        while not stopped.wait(_LOOK_S if deadline is None else min(_LOOK_S, max(0.0, deadline - time.monotonic()))):
            if reader_has_gone() or (deadline is not None and time.monotonic() >= deadline):
                break
        screen.end()
        if not screen.full:
            router.wait(0)  # raises what the link has ended with
    return errors.ANSWERED


class _Screen:
    """Shows events on the router's thread, until it is told to end or has shown enough."""

    def __init__(self, output: Output, count: int | None, meta: bool, stopped: threading.Event) -> None:
        self.output = output
        self.full: bool = False
        self._left = count
        self._meta = meta
        self._stopped = stopped
        self._lock = threading.Lock()  # guards `_open`: nothing is shown once `end` has returned
        self._open = True
        self._failed: BaseException | None = None

    def show(self, info: sig.Info, data: object) -> None:
        with self._lock:
            if not self._open:
                return
            try:
                self.output.event(info, data, meta=self._meta)
            except Exception as error:  # whatever it is, the main thread ends with it
                self._failed, self._open = error, False
            if self._left is not None:
                self._left -= 1
                self.full = self._left == 0
            if self.full or self._failed:
                self._open = False
                self._stopped.set()

    def end(self) -> None:
        """Show no more. Raises what kept it from showing."""
        with self._lock:
            self._open = False
        if self._failed is not None:
            raise self._failed


def _tell_gap(info: sig.Info, gap: sig.Gap) -> None:
    missed = "an unknown number of" if gap.missed is None else gap.missed
    complain(f"missed {missed} events {info.event!r} of {info.sender!r} ({gap.reason})", "sig warning", "yellow")
