"""What the demo has seen: events, rates, latencies, presence, losses."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import sig


@dataclass
class Row:
    """One event of one sender."""

    count: int = 0
    last: object = None
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=50))

    def rate(self, now: float) -> float:
        """Events a second, over the last ten seconds."""
        window = [at for at in self.recent if now - at < 10]
        return len(window) / max(1.0, now - window[0]) if window else 0.0


class Tally:
    """Filled by a listener on the dispatch thread, read by the one that shows it."""

    def __init__(self) -> None:
        self._lock: threading.Lock = threading.Lock()  # guards all below
        self.rows: dict[tuple[str, str], Row] = {}
        self.presence: list[str] = []
        self.answers: list[str] = []
        self.missed: int = 0
        self.seen: dict[tuple[str, str], threading.Event] = {}

    def event(self, info: sig.Info, data: object) -> None:
        """Listener: count it, and take its latency from the sender's clock, which is this machine's too."""
        with self._lock:
            if info.event in (sig.EVENT_CONNECT, sig.EVENT_DISCONNECT):
                reason = f" ({data['reason']})" if isinstance(data, dict) and "reason" in data else ""
                self.presence.append(f"{info.sender} {info.event}{reason}")
            else:
                row = self.rows.setdefault((info.sender, info.event), Row())
                row.count += 1
                row.last = data
                row.recent.append(time.monotonic())
                if isinstance(data, dict) and isinstance(at := data.get("at"), float):
                    row.latencies_ms.append(max(0.0, (time.time() - at) * 1000))
            self._flag(info.sender, info.event).set()

    def gap(self, info: sig.Info, gap: sig.Gap) -> None:
        """Listener for losses."""
        with self._lock:
            self.missed += gap.missed or 1

    def answer(self, text: str) -> None:
        """A request was answered."""
        with self._lock:
            self.answers.append(text)

    def flag(self, sender: str, event: str) -> threading.Event:
        """Set at the next such event."""
        with self._lock:
            flag = self._flag(sender, event)
            flag.clear()
            return flag

    def snapshot(self) -> tuple[list[tuple[str, str, Row]], list[str], list[str], int]:
        """Rows, presence, answers and losses so far."""
        with self._lock:
            return (
                [(s, e, row) for (s, e), row in self.rows.items()],
                list(self.presence),
                list(self.answers),
                self.missed,
            )

    def summary(self) -> dict[str, object]:
        """What is printed at the end."""
        rows, presence, answers, missed = self.snapshot()
        return {
            "events": {f"{sender} {event}": row.count for sender, event, row in rows},
            "latency_ms": {f"{s} {e}": percentiles(list(row.latencies_ms)) for s, e, row in rows if row.latencies_ms},
            "requests_answered": len(answers),
            "presence": presence,
            "missed": missed,
        }

    def _flag(self, sender: str, event: str) -> threading.Event:
        return self.seen.setdefault((sender, event), threading.Event())


def percentiles(values: list[float]) -> dict[str, float]:
    """The median, and what one in a hundred exceeds."""
    if len(values) < 2:
        return {"p50": round(values[0], 3), "p99": round(values[0], 3)}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}
