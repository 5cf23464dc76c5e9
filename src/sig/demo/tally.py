"""What the demo's listener has heard: events, rates, latencies, presence, losses; and what was answered."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import sig

# Over how many seconds a rate is taken.
_RATE_S = 10.0

# What our senders add to their data for the tally alone: the time, and a number that counts from 1.
FOR_THE_TALLY = ("at", "number")

_KEPT = 10_000


@dataclass
class Row:
    """One event of one sender."""

    count: int = 0
    next_number: int = 1
    last: object = None
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=50))

    def rate(self, now: float) -> float:
        """Events a second, over the last ten seconds."""
        window = [at for at in self.recent if now - at < _RATE_S]
        return len(window) / max(1.0, now - window[0]) if window else 0.0

    def take(self, data: object, now: float, wall: float) -> int:
        """Count an event; returns how many are missing before it, or came twice, by the sender's numbers."""
        self.count += 1
        self.last = data
        self.recent.append(now)
        if not isinstance(data, dict):
            return 0
        at, number = (data.get(key) for key in FOR_THE_TALLY)
        if not (isinstance(at, float) and isinstance(number, int)):
            return 0  # not from one of ours: anybody may connect to the demo's server, and trigger what they like
        self.last = {key: value for key, value in data.items() if key not in FOR_THE_TALLY}
        # Clocks are set now and then; nothing arrives before it is sent.
        self.latencies_ms.append(max(0.0, (wall - at) * 1000))
        missed, self.next_number = abs(number - self.next_number), number + 1
        return missed

    def copy(self) -> Row:
        return replace(self, latencies_ms=self.latencies_ms.copy(), recent=self.recent.copy())


Kind: TypeAlias = Literal["act", "presence", "answer", "missed"]


class Note(NamedTuple):
    """Something that happens once."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Snapshot:
    """The tally at one moment."""

    rows: dict[tuple[str, str], Row]
    notes: list[Note]
    missed: int

    def texts(self, kind: Kind) -> list[str]:
        """The notes of one kind."""
        return [note.text for note in self.notes if note.kind == kind]


class Tally:
    """Filled by the thread that calls listeners and by the one that asks; read by the one that shows it.

    Latency is from just before the sender's `trigger` to here, through the server, by the clock of this machine, which
    all of them share.
    """

    def __init__(self, tell: Callable[[Note], object] = lambda note: None) -> None:
        self._tell = tell
        self._lock = threading.Lock()  # guards all below
        self._rows: dict[tuple[str, str], Row] = {}
        self._notes: list[Note] = []
        self._missed = 0
        self._waiting: list[tuple[str, str, Future[object]]] = []

    def event(self, info: sig.Info, data: object) -> None:
        """Listener: count it."""
        if info.event in (sig.EVENT_CONNECT, sig.EVENT_DISCONNECT):
            reason = f" ({data['reason']})" if isinstance(data, dict) and "reason" in data else ""
            self.note("presence", f"{info.sender} {info.event}{reason}")
        with self._lock:
            if info.event == sig.EVENT_CONNECT:
                # A new life, which counts anew.
                for row in (row for (sender, _), row in self._rows.items() if sender == info.sender):
                    row.next_number = 1
            elif info.event != sig.EVENT_DISCONNECT:
                row = self._rows.setdefault((info.sender, info.event), Row())
                self._missed += row.take(data, time.monotonic(), time.time())
            arrived = [one for one in self._waiting if one[:2] == (info.sender, info.event)]
            self._waiting = [one for one in self._waiting if one not in arrived]
        for _, _, future in arrived:
            future.set_result(data)

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        """Listener for losses: their number shows in the next event's, but nobody promises a next one."""
        self.note("missed", f"{info.sender} {info.event}: {gap.missed} events missed ({gap.reason})")

    def note(self, kind: Kind, text: str) -> None:
        """Write down what has happened."""
        note = Note(kind, text)
        with self._lock:
            self._notes.append(note)
        self._tell(note)

    def next(self, sender: str, event: str) -> Future[object]:
        """The data of the next such event, once it has come."""
        future: Future[object] = Future()
        with self._lock:
            self._waiting.append((sender, event, future))
        return future

    def snapshot(self) -> Snapshot:
        with self._lock:
            rows = {key: row.copy() for key, row in self._rows.items()}
            return Snapshot(rows, list(self._notes), self._missed)


def percentiles(values: list[float]) -> dict[str, float]:
    """The median, and what one in a hundred exceeds."""
    if len(values) < 2:
        return {"p50": round(values[0], 3), "p99": round(values[0], 3)}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}
